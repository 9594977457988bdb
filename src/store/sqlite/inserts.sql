-- A row that a program inserts has -1 edits, if only for a moment. One that a person inserts is told, and a key that was
-- removed joins anew by it.
CREATE TRIGGER key_put AFTER INSERT ON api_keys WHEN NEW.edits = -1 BEGIN
    UPDATE api_keys SET edits = 0 WHERE id = NEW.id;
END;

CREATE TRIGGER key_inserted AFTER INSERT ON api_keys WHEN NEW.edits >= 0 BEGIN
    UPDATE api_keys SET edits = edits + 1, generation = (SELECT generation + 1 FROM removed_keys WHERE id = NEW.id)
        WHERE id = NEW.id AND generation <= (SELECT generation FROM removed_keys WHERE id = NEW.id);
    DELETE FROM removed_keys WHERE id = NEW.id;
    INSERT INTO news (id) VALUES (NEW.id);
END;
