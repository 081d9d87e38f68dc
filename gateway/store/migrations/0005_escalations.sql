-- 0005: what a person must close: limits, who is told, escalations, alerts; and what the watch has yet to judge.
-- Frozen: a change comes as a new numbered file, with a test from an old store.

-- A target range or a pair of critical limits, as somebody stated it for all patients (level clinic, of_id ''), for
-- those of a provider, or for one patient. It holds from the patient's local day from_date until a later statement of
-- the same level, id and pair; of two with one date the newer holds. low and high null: from then on it is inherited
-- again. Nothing is ever overwritten.
CREATE TABLE limit_pair (
    id          INTEGER PRIMARY KEY,
    level       TEXT NOT NULL CHECK (level IN ('clinic', 'provider', 'patient')),
    of_id       TEXT NOT NULL DEFAULT '',
    pair        TEXT NOT NULL CHECK (pair IN ('target', 'critical')),
    from_date   TEXT NOT NULL,
    low         TEXT,                            -- decimal text
    high        TEXT,
    stated_by   TEXT NOT NULL CHECK (trim(stated_by) <> ''),
    recorded_at TEXT NOT NULL,
    CHECK ((low IS NULL) = (high IS NULL)),
    CHECK ((level = 'clinic') = (of_id = ''))
);
CREATE INDEX limit_pair_of ON limit_pair (level, of_id, from_date, id);
CREATE TRIGGER limit_pair_stays BEFORE UPDATE ON limit_pair
BEGIN SELECT RAISE(ABORT, 'a limit is never changed: state another one'); END;
CREATE TRIGGER limit_pair_is_kept BEFORE DELETE ON limit_pair
BEGIN SELECT RAISE(ABORT, 'a limit is never deleted: state another one'); END;

-- Who is told of a critical result, by the same levels and dates. hours: like 'Mon-Fri 08:00-17:00' in zone, when
-- number answers; '' = at any time.
CREATE TABLE contact (
    id                 INTEGER PRIMARY KEY,
    level              TEXT NOT NULL CHECK (level IN ('clinic', 'provider', 'patient')),
    of_id              TEXT NOT NULL DEFAULT '',
    from_date          TEXT NOT NULL,
    person             TEXT NOT NULL,
    number             TEXT NOT NULL,
    hours              TEXT NOT NULL DEFAULT '',
    zone               TEXT NOT NULL DEFAULT '',
    after_hours_person TEXT NOT NULL DEFAULT '',
    after_hours_number TEXT NOT NULL DEFAULT '',
    stated_by          TEXT NOT NULL CHECK (trim(stated_by) <> ''),
    recorded_at        TEXT NOT NULL,
    CHECK ((level = 'clinic') = (of_id = ''))
);
CREATE INDEX contact_of ON contact (level, of_id, from_date, id);
CREATE TRIGGER contact_stays BEFORE UPDATE ON contact
BEGIN SELECT RAISE(ABORT, 'a contact is never changed: state another one'); END;
CREATE TRIGGER contact_is_kept BEFORE DELETE ON contact
BEGIN SELECT RAISE(ABORT, 'a contact is never deleted: state another one'); END;

-- A named person put a patient live, or took them out again; the newest row holds.
CREATE TABLE live (
    id         INTEGER PRIMARY KEY,
    patient_id TEXT NOT NULL REFERENCES patient (id),
    live       INTEGER NOT NULL CHECK (live IN (0, 1)),
    at         TEXT NOT NULL,
    by_name    TEXT NOT NULL CHECK (trim(by_name) <> ''),
    note       TEXT NOT NULL DEFAULT ''
);
CREATE INDEX live_patient ON live (patient_id, id);

-- What has been stored and not yet been judged (judged = 0), and versions of which no report has been made yet
-- (judged = 1). Written by the triggers below, in the same commit as the version or the quarantine row: nothing can be
-- stored past them. A row is marked in the commit that holds what came of judging it, so each is judged once.
CREATE TABLE watched (
    sequence      INTEGER PRIMARY KEY AUTOINCREMENT,
    result_id     INTEGER,
    version       INTEGER,
    quarantine_id INTEGER,
    judged        INTEGER NOT NULL DEFAULT 0 CHECK (judged IN (0, 1))
);
CREATE INDEX watched_due ON watched (sequence) WHERE judged = 0;

CREATE TRIGGER watched_version AFTER INSERT ON version BEGIN
    INSERT INTO watched (result_id, version) VALUES (new.result_id, new.version);
END;

CREATE TRIGGER watched_quarantine AFTER INSERT ON quarantine WHEN new.urgent = 1 OR new.reason = 'time_unknown' BEGIN
    INSERT INTO watched (quarantine_id) VALUES (new.id);
END;

CREATE TRIGGER watched_decided AFTER UPDATE OF closed_at ON quarantine
WHEN new.urgent = 1 AND new.closed_at IS NOT NULL BEGIN
    INSERT INTO watched (quarantine_id) VALUES (new.id);
END;

-- A result at or beyond critical limits that somebody must be told of. cause: critical (a version), waiting (a value
-- in quarantine, perhaps nobody's yet), corrected (what was told before turned out otherwise). contacts: JSON, who was
-- to be told when it was opened. Only a named person closes one, with a read-back or a reason.
CREATE TABLE escalation (
    id              INTEGER PRIMARY KEY,
    cause           TEXT NOT NULL CHECK (cause IN ('critical', 'waiting', 'corrected')),
    patient_id      TEXT REFERENCES patient (id),
    result_id       INTEGER REFERENCES result (id),
    version         INTEGER,
    quarantine_id   INTEGER UNIQUE REFERENCES quarantine (id),
    inr             TEXT NOT NULL,
    limit_text      TEXT NOT NULL,
    taken_at        TEXT,
    owner           TEXT NOT NULL,
    contacts        TEXT NOT NULL DEFAULT '[]',
    opened_at       TEXT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('open', 'acknowledged', 'closed')),
    next_contact_at TEXT,
    remind_at       TEXT,
    reminders       INTEGER NOT NULL DEFAULT 0,
    acknowledged_by TEXT,
    acknowledged_at TEXT,
    read_back       TEXT,
    closed_by       TEXT,
    closed_at       TEXT,
    reason          TEXT,
    UNIQUE (result_id, version),
    FOREIGN KEY (result_id, version) REFERENCES version (result_id, version),
    CHECK (result_id IS NOT NULL OR quarantine_id IS NOT NULL),
    CHECK (state <> 'acknowledged' OR (length(trim(acknowledged_by)) > 0 AND lower(trim(acknowledged_by)) <> 'server'
           AND acknowledged_at IS NOT NULL AND length(trim(read_back)) > 0) IS TRUE),
    CHECK (state <> 'closed' OR (length(trim(closed_by)) > 0 AND lower(trim(closed_by)) <> 'server'
           AND closed_at IS NOT NULL
           AND (length(trim(coalesce(read_back, ''))) > 0 OR length(trim(coalesce(reason, ''))) > 0)) IS TRUE)
);
CREATE INDEX escalation_standing ON escalation (remind_at) WHERE state <> 'closed';
CREATE INDEX escalation_patient ON escalation (patient_id, id);
CREATE TRIGGER escalation_is_kept BEFORE DELETE ON escalation
BEGIN SELECT RAISE(ABORT, 'an escalation is never deleted'); END;
CREATE TRIGGER escalation_stays_closed BEFORE UPDATE ON escalation WHEN old.state = 'closed'
BEGIN SELECT RAISE(ABORT, 'a closed escalation stays as it is'); END;

-- Its history; by_name 'server' is the machine. number and person: who was called, and whom they reached.
CREATE TABLE escalation_event (
    id            INTEGER PRIMARY KEY,
    escalation_id INTEGER NOT NULL REFERENCES escalation (id),
    at            TEXT NOT NULL,
    by_name       TEXT NOT NULL CHECK (trim(by_name) <> ''),
    what          TEXT NOT NULL CHECK (what IN ('opened', 'reached', 'not reached', 'acknowledged', 'reopened', 'note',
                                                'reminded', 'closed')),
    number        TEXT NOT NULL DEFAULT '',
    person        TEXT NOT NULL DEFAULT '',
    note          TEXT NOT NULL DEFAULT ''
);
CREATE INDEX escalation_event_of ON escalation_event (escalation_id, id);
CREATE TRIGGER escalation_event_stays BEFORE UPDATE ON escalation_event
BEGIN SELECT RAISE(ABORT, 'what happened to an escalation is never changed'); END;
CREATE TRIGGER escalation_event_is_kept BEFORE DELETE ON escalation_event
BEGIN SELECT RAISE(ABORT, 'what happened to an escalation is never deleted'); END;

-- Something that somebody should look at. subject: what it is about, like 'patient p-1' or 'hub home-1'; of each kind
-- and subject one is open at a time. The machine closes it when its cause has gone.
CREATE TABLE alert (
    id              INTEGER PRIMARY KEY,
    kind            TEXT NOT NULL,
    subject         TEXT NOT NULL,
    patient_id      TEXT REFERENCES patient (id),
    owner           TEXT NOT NULL,
    detail          TEXT NOT NULL,
    opened_at       TEXT NOT NULL,
    acknowledged_by TEXT,
    acknowledged_at TEXT,
    snoozed_until   TEXT,
    closed_at       TEXT,
    closed_by       TEXT,
    why_closed      TEXT
);
CREATE UNIQUE INDEX alert_open ON alert (kind, subject) WHERE closed_at IS NULL;
CREATE INDEX alert_patient ON alert (patient_id, id);
CREATE TRIGGER alert_is_kept BEFORE DELETE ON alert
BEGIN SELECT RAISE(ABORT, 'an alert is never deleted'); END;

CREATE TABLE alert_event (
    id       INTEGER PRIMARY KEY,
    alert_id INTEGER NOT NULL REFERENCES alert (id),
    at       TEXT NOT NULL,
    by_name  TEXT NOT NULL,
    what     TEXT NOT NULL CHECK (what IN ('opened', 'acknowledged', 'snoozed', 'closed')),
    note     TEXT NOT NULL DEFAULT ''
);
CREATE INDEX alert_event_of ON alert_event (alert_id, id);

-- When a hub was last heard. online: what its last status said; since: since when it has said that.
CREATE TABLE hub_heard (
    hub      TEXT PRIMARY KEY,
    online   INTEGER CHECK (online IN (0, 1)),
    since    TEXT,
    heard_at TEXT NOT NULL
);
