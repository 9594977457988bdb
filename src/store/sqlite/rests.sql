-- What rests beside a key that it was refused for, as JSON; NULL for nothing, as it is nearly always.
ALTER TABLE api_keys ADD COLUMN rests TEXT CHECK (json_valid(rests));

-- The same for people: a key for one model, the keys of an account, or, where neither is named, all keys.
CREATE VIEW rests AS SELECT
    id AS key_id,
    key_display,
    json_extract(value, '$.of.model') AS model,
    json_extract(value, '$.of.group') AS quota_group,
    json_extract(value, '$.condition.state') AS state,
    json_extract(value, '$.condition.throttles') AS consecutive_throttles,
    CAST(json_extract(value, '$.condition.until') / 1000000000 AS INTEGER) AS blocked_until
FROM api_keys, json_each(rests) WHERE json_extract(value, '$.condition.state') <> 'active';
