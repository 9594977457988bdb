-- Times named *_ns are nanoseconds since 1970; those without are seconds, for people.
-- `one` keeps the table at one row.
CREATE TABLE header (one INTEGER PRIMARY KEY CHECK (one = 1), value BLOB NOT NULL) STRICT;

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
    last_success_ns INTEGER NOT NULL,
    strikers TEXT NOT NULL,
    generation INTEGER NOT NULL,
    version INTEGER NOT NULL,
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

-- What each replica has counted in all. `tally` is the same and more, for programs.
CREATE TABLE totals (
    key_id TEXT NOT NULL,
    replica INTEGER NOT NULL,
    call_count INTEGER NOT NULL,
    success_count INTEGER NOT NULL,
    throttle_count INTEGER NOT NULL,
    rejection_count INTEGER NOT NULL,
    failure_count INTEGER NOT NULL,
    last_client_subnet TEXT,
    tally TEXT NOT NULL,
    PRIMARY KEY (key_id, replica)
) STRICT, WITHOUT ROWID;

-- What each replica has counted on a day, in UTC.
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
    PRIMARY KEY (key_id, date, replica)
) STRICT, WITHOUT ROWID;

-- Whoever deletes a row, be it in the shell, removes the key for good: late news of it does not bring it back.
CREATE TRIGGER key_removed AFTER DELETE ON api_keys BEGIN
    INSERT INTO removed_keys (id, generation, removed_ns)
        VALUES (OLD.id, OLD.generation, CAST(unixepoch('subsec') * 1000 AS INTEGER) * 1000000)
        ON CONFLICT DO UPDATE SET generation = excluded.generation, removed_ns = excluded.removed_ns;
    DELETE FROM totals WHERE key_id = OLD.id;
    DELETE FROM daily_stats WHERE key_id = OLD.id;
END;
