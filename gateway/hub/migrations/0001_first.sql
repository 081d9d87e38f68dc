-- 0001: the journal from its first day. Frozen: a change comes as a new numbered file, with a test from an old journal.
-- Instants are text in UTC with milliseconds (2026-03-14T12:30:05.000Z), so that text order is time order.
-- Octets and payloads are never changed. Rows go only when the backup horizon has passed over receipted readings.

CREATE TABLE journal (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    uuid       TEXT NOT NULL,
    created_at TEXT NOT NULL
);

-- Every epoch of the server's store that this journal has adopted; the last row is the current one.
CREATE TABLE epoch (
    sequence   INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    mark       INTEGER NOT NULL,             -- up to here the store held this journal's readings
    adopted_at TEXT NOT NULL
);

-- A message of a meter: open until its last piece came, or until it had waited long enough for it.
-- line: the attachment, and for a listener the peer's host: where a broken message may go on.
-- resumable: 0 when its conversation went on to another message or ended in order: nothing of it will come again.
-- repeated: was never ended, and a later whole message of the same line began with all its octets.
CREATE TABLE message (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    port       TEXT NOT NULL,
    line       TEXT NOT NULL,
    driver     TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('open', 'decoded', 'undecodable', 'repeated')),
    resumable  INTEGER NOT NULL DEFAULT 1 CHECK (resumable IN (0, 1)),
    meter_key  TEXT,
    touched_at TEXT NOT NULL                 -- when its last piece came
);
CREATE INDEX message_open ON message (line, id) WHERE state = 'open';
CREATE INDEX message_resumable ON message (line, id) WHERE resumable = 1;
CREATE INDEX message_meter ON message (meter_key, id) WHERE meter_key IS NOT NULL;

-- The original octets, on disk before the meter gets their acknowledgement, with the hub's clock as it stood then.
-- context: 1 for octets of the conversation that stand before its messages, because these need them to be decoded.
CREATE TABLE piece (
    message_id   INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    position     INTEGER NOT NULL,
    octets       BLOB NOT NULL,
    context      INTEGER NOT NULL CHECK (context IN (0, 1)),
    received_at  TEXT NOT NULL,
    synchronised INTEGER CHECK (synchronised IN (0, 1)),
    boot_id      TEXT NOT NULL,
    monotonic_s  REAL NOT NULL,
    PRIMARY KEY (message_id, position)
);

-- Damaged octets that were not acknowledged; the meter repeats them. Bounded for each line.
CREATE TABLE rejected (
    id          INTEGER PRIMARY KEY,
    message_id  INTEGER REFERENCES message (id) ON DELETE CASCADE,
    line        TEXT NOT NULL,
    octets      BLOB NOT NULL,
    reason      TEXT NOT NULL,
    detail      TEXT NOT NULL,
    received_at TEXT NOT NULL
);
CREATE INDEX rejected_message ON rejected (message_id);
CREATE INDEX rejected_line ON rejected (line, id);

-- One record, read once. payload: the octets that are published until a receipt names their digest.
CREATE TABLE reading (
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id    INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    position      INTEGER NOT NULL,
    payload       BLOB NOT NULL,
    sha256        TEXT NOT NULL,
    verdict       TEXT CHECK (verdict IN ('stored', 'quarantined')),
    receipt_epoch TEXT,
    receipt_at    TEXT,
    UNIQUE (message_id, position)
);
CREATE INDEX reading_waiting ON reading (number) WHERE receipt_at IS NULL;
