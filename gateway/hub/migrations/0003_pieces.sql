-- 0003: a commit for each piece writes fewer pages. Contexts stand once for each conversation, no longer beside each of
-- its messages; pieces are kept by one ascending number, so that one is appended where the last one ended.

-- Octets of a conversation that its messages need to be decoded; see message.contexts.
CREATE TABLE context (
    id           INTEGER PRIMARY KEY,
    octets       BLOB NOT NULL,
    received_at  TEXT NOT NULL,
    synchronised INTEGER CHECK (synchronised IN (0, 1)),
    boot_id      TEXT NOT NULL,
    monotonic_s  REAL NOT NULL
);

-- contexts: ids of the contexts before the message's pieces, ascending, with blanks between.
ALTER TABLE message ADD COLUMN contexts TEXT NOT NULL DEFAULT '';

ALTER TABLE piece RENAME TO piece_of_0001;
INSERT INTO context SELECT message_id * 1048576 + position, octets, received_at, synchronised, boot_id, monotonic_s
    FROM piece_of_0001 WHERE context = 1;
UPDATE message SET contexts = (SELECT group_concat(id, ' ') FROM
    (SELECT message_id * 1048576 + position AS id FROM piece_of_0001
     WHERE message_id = message.id AND context = 1 ORDER BY position))
    WHERE id IN (SELECT message_id FROM piece_of_0001 WHERE context = 1);

-- The original octets, on disk before the meter gets their acknowledgement, with the hub's clock as it stood then.
-- id: the message's id times 1048576, plus the place among its pieces.
CREATE TABLE piece (
    id           INTEGER PRIMARY KEY,
    octets       BLOB NOT NULL,
    received_at  TEXT NOT NULL,
    synchronised INTEGER CHECK (synchronised IN (0, 1)),
    boot_id      TEXT NOT NULL,
    monotonic_s  REAL NOT NULL
);
INSERT INTO piece SELECT message_id * 1048576 + position, octets, received_at, synchronised, boot_id, monotonic_s
    FROM piece_of_0001 WHERE context = 0;
DROP TABLE piece_of_0001;
