-- Times named *_ns are nanoseconds since 1970; those without are seconds, for people.
-- `one` keeps the table at one row.
CREATE TABLE header (one INTEGER PRIMARY KEY CHECK (one = 1), value BLOB NOT NULL) STRICT;

-- `edits` counts what programs have changed: where it stands still, a person did.
CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    provider TEXT NOT NULL,
    origin TEXT,
    key_display TEXT NOT NULL,
    label TEXT,
    state TEXT NOT NULL,
    reason TEXT,
    until_ns INTEGER NOT NULL,
    consecutive_throttles INTEGER NOT NULL,
    consecutive_auth_failures INTEGER NOT NULL,
    retirements INTEGER NOT NULL,
    since_ns INTEGER NOT NULL,
    created_ns INTEGER NOT NULL,
    updated_ns INTEGER NOT NULL,
    last_success_ns INTEGER NOT NULL DEFAULT 0,
    strikers TEXT NOT NULL,
    generation INTEGER NOT NULL,
    version INTEGER NOT NULL,
    edits INTEGER NOT NULL DEFAULT 0,
    seal INTEGER NOT NULL,
    is_sealed INTEGER NOT NULL,
    secret BLOB NOT NULL,
    blocked_until INTEGER AS (nullif(until_ns / 1000000000, 0)),
    since INTEGER AS (since_ns / 1000000000),
    created_at INTEGER AS (created_ns / 1000000000),
    updated_at INTEGER AS (updated_ns / 1000000000),
    last_success_at INTEGER AS (nullif(last_success_ns / 1000000000, 0))
) STRICT, WITHOUT ROWID;

CREATE TABLE removed_keys (
    id TEXT NOT NULL PRIMARY KEY,
    generation INTEGER NOT NULL,
    removed_ns INTEGER NOT NULL,
    removed_at INTEGER AS (removed_ns / 1000000000)
) STRICT, WITHOUT ROWID;

-- What each replica has counted in all, and on the last day that it counted anything (days since 1970).
CREATE TABLE totals (
    key_id TEXT NOT NULL,
    replica INTEGER NOT NULL,
    call_count INTEGER NOT NULL,
    success_count INTEGER NOT NULL,
    throttle_count INTEGER NOT NULL,
    rejection_count INTEGER NOT NULL,
    failure_count INTEGER NOT NULL,
    last_day INTEGER NOT NULL,
    last_day_call_count INTEGER NOT NULL,
    last_day_success_count INTEGER NOT NULL,
    last_day_throttle_count INTEGER NOT NULL,
    last_day_rejection_count INTEGER NOT NULL,
    last_day_failure_count INTEGER NOT NULL,
    last_success_ns INTEGER NOT NULL,
    last_client_ns INTEGER,
    last_client_subnet TEXT,
    usage_count INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    cost_micros INTEGER NOT NULL,
    cost REAL AS (cost_micros / 1000000.0),
    PRIMARY KEY (key_id, replica)
) STRICT, WITHOUT ROWID;

-- What answers have said about tokens and cost, by model and day (days since 1970); `cost` is in dollars.
CREATE TABLE usage (
    key_id TEXT NOT NULL,
    day INTEGER NOT NULL,
    model TEXT NOT NULL,
    replica INTEGER NOT NULL,
    call_count INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    cost_micros INTEGER NOT NULL,
    date TEXT AS (date(min(day, 2932896) * 86400, 'unixepoch')),
    cost REAL AS (cost_micros / 1000000.0),
    PRIMARY KEY (key_id, day, model, replica)
) STRICT, WITHOUT ROWID;

CREATE INDEX usage_by_day ON usage (day);

-- What each replica has counted on a day, in UTC. Days go together, so that the oldest go easily.
CREATE TABLE daily_stats (
    key_id TEXT NOT NULL,
    date TEXT NOT NULL,
    replica INTEGER NOT NULL,
    call_count INTEGER NOT NULL,
    success_count INTEGER NOT NULL,
    throttle_count INTEGER NOT NULL,
    rejection_count INTEGER NOT NULL,
    failure_count INTEGER NOT NULL,
    last_client_subnet TEXT,
    PRIMARY KEY (date, key_id, replica)
) STRICT, WITHOUT ROWID;

-- The days that there are, without reading all of them.
CREATE VIEW days AS WITH RECURSIVE days(date) AS (
    SELECT min(date) FROM daily_stats
    UNION ALL
    SELECT (SELECT min(date) FROM daily_stats WHERE date > days.date) FROM days WHERE date IS NOT NULL
) SELECT date FROM days WHERE date IS NOT NULL;

-- The keys that somebody has changed who does not have the database to himself: what `SqliteStore::watch` tells.
CREATE TABLE news (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL) STRICT;

-- Who reads too late finds a gap, and reads everything.
CREATE TRIGGER news_are_few AFTER INSERT ON news BEGIN
    DELETE FROM news WHERE seq <= NEW.seq - 65536;
END;

-- Whoever deletes a row, be it in the shell, removes the key for good: late news of it does not bring it back.
-- 2440587.5 is the first of January 1970. The shell may be too old for `unixepoch('subsec')`.
CREATE TRIGGER key_removed AFTER DELETE ON api_keys BEGIN
    INSERT INTO removed_keys (id, generation, removed_ns)
        VALUES (OLD.id, OLD.generation, CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000000)
        ON CONFLICT DO UPDATE SET generation = excluded.generation, removed_ns = excluded.removed_ns;
    DELETE FROM totals WHERE key_id = OLD.id;
    DELETE FROM daily_stats WHERE key_id = OLD.id AND date IN (SELECT date FROM days);
    DELETE FROM usage WHERE key_id = OLD.id;
    INSERT INTO news (id) VALUES (OLD.id);
END;

-- What a person changes wins over what is known of the key, as any later version does.
CREATE TRIGGER key_edited AFTER UPDATE ON api_keys WHEN NEW.edits = OLD.edits AND NEW.version = OLD.version BEGIN
    UPDATE api_keys SET version = version + 1, edits = edits + 1,
        updated_ns = CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000000 WHERE id = NEW.id;
    INSERT INTO news (id) VALUES (NEW.id);
END;
