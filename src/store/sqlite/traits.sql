-- By what the pool chooses a key. `models` is a list with commas, NULL for any; most slips in it are refused at once.
ALTER TABLE api_keys ADD COLUMN weight INTEGER NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 255);
ALTER TABLE api_keys ADD COLUMN tier INTEGER NOT NULL DEFAULT 0 CHECK (tier BETWEEN 0 AND 255);
ALTER TABLE api_keys ADD COLUMN quota_group TEXT;
ALTER TABLE api_keys ADD COLUMN models TEXT
    CHECK (',' || models || ',' NOT LIKE '%,,%' AND models NOT LIKE '% %');
