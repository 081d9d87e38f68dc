-- 0001: the journal from its first day. Frozen: a change comes as a new numbered file, with a test from an old journal.
-- Instants are text in UTC with milliseconds (2026-03-14T12:30:05.000Z), so that text order is time order.
-- Octets and payloads are never changed. Rows go only when the backup horizon has passed over receipted readings.

-- Every index and counter costs each commit a page; the few questions that have none are asked seldom.

-- last_message, last_number: of what was removed; no id and no number is ever used twice.
CREATE TABLE journal (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    uuid         TEXT NOT NULL,
    created_at   TEXT NOT NULL,
    last_message INTEGER NOT NULL DEFAULT 0,
    last_number  INTEGER NOT NULL DEFAULT 0
);

-- Every epoch of the server's store that this journal has adopted; the last row is the current one.
CREATE TABLE epoch (
    sequence   INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    mark       INTEGER NOT NULL,             -- up to here the store held this journal's readings
    adopted_at TEXT NOT NULL
);

-- A message of a meter: open until its last piece came, or until it had waited long enough for it; whole until what
-- it says was decoded from its pieces, which is soon, or at the next start.
-- line: the attachment, and for a listener the peer's host: where a broken message may go on.
-- resumable: 0 when its conversation went on to another message or ended in order: nothing of it will come again.
-- repeated: was never ended, and a later whole message of the same line began with all its octets.
-- first_number, readings: its readings are the numbers from first_number on, so many; null before it was decoded.
CREATE TABLE message (
    id           INTEGER PRIMARY KEY,
    port         TEXT NOT NULL,
    line         TEXT NOT NULL,
    driver       TEXT NOT NULL,
    origin       TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('open', 'whole', 'decoded', 'undecodable', 'repeated')),
    resumable    INTEGER NOT NULL CHECK (resumable IN (0, 1)),
    touched_at   TEXT NOT NULL,              -- when its last piece came
    meter_key    TEXT,
    first_number INTEGER,
    readings     INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX message_open ON message (line, id) WHERE state = 'open';

-- The original octets, on disk before the meter gets their acknowledgement, with the hub's clock as it stood then.
-- context: 1 for octets of the conversation that stand before its messages, because these need them to be decoded.
CREATE TABLE piece (
    message_id   INTEGER NOT NULL,
    position     INTEGER NOT NULL,
    octets       BLOB NOT NULL,
    context      INTEGER NOT NULL CHECK (context IN (0, 1)),
    received_at  TEXT NOT NULL,
    synchronised INTEGER CHECK (synchronised IN (0, 1)),
    boot_id      TEXT NOT NULL,
    monotonic_s  REAL NOT NULL,
    PRIMARY KEY (message_id, position)
) WITHOUT ROWID;

-- Damaged octets that were not acknowledged; the meter repeats them. Bounded for each line.
CREATE TABLE rejected (
    id          INTEGER PRIMARY KEY,
    message_id  INTEGER,
    line        TEXT NOT NULL,
    octets      BLOB NOT NULL,
    reason      TEXT NOT NULL,
    detail      TEXT NOT NULL,
    received_at TEXT NOT NULL
);
CREATE INDEX rejected_line ON rejected (line, id);

-- One record, read once. payload: the octets that are published until a receipt names their digest.
CREATE TABLE reading (
    number     INTEGER PRIMARY KEY,
    message_id INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    sha256     TEXT NOT NULL,
    payload    BLOB NOT NULL
);

-- What the server said of a reading: it is committed in the store of this epoch.
CREATE TABLE receipt (
    number  INTEGER PRIMARY KEY,
    verdict TEXT NOT NULL CHECK (verdict IN ('stored', 'quarantined')),
    epoch   TEXT NOT NULL,
    at      TEXT NOT NULL
);
