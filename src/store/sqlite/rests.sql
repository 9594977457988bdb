-- What rests beside a key that it was refused for, as JSON; NULL for nothing, as it is nearly always.
ALTER TABLE api_keys ADD COLUMN rests TEXT CHECK (json_valid(rests));

-- The same for people: a key for one model, the keys of an account, or, where neither is named, all keys.
CREATE VIEW rests AS SELECT
    api_keys.id AS key_id,
    key_display,
    json_extract(one.value, '$.of.model') AS model,
    json_extract(one.value, '$.of.group') AS quota_group,
    json_extract(one.value, '$.condition.state') AS state,
    json_extract(one.value, '$.condition.throttles') AS consecutive_throttles,
    CAST(json_extract(one.value, '$.condition.until') / 1000000000 AS INTEGER) AS blocked_until
FROM api_keys, json_each(api_keys.rests) AS one WHERE json_extract(one.value, '$.condition.state') <> 'active';
