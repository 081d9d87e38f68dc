-- 0002: what one conversation leaves for later ones on the same line (drivers.contract.Memo): the last record read, a
-- configuration. Losing a row costs a repetition, never a result.
CREATE TABLE memo (
    line       TEXT NOT NULL,
    key        TEXT NOT NULL,
    octets     BLOB NOT NULL,
    touched_at TEXT NOT NULL,
    PRIMARY KEY (line, key)
) WITHOUT ROWID;
