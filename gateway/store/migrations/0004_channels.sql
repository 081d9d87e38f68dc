-- 0004: several channels to a provider: order and fall-back, batches, breakers, probes, fuller evidence.
-- Frozen: a change comes as a new numbered file, with a test from an old store.
-- Tables whose checks grow are made anew under their old names; foreign keys are checked when all is done.

-- IANA name of the zone in which the provider's batch hours are meant; '' = not stated.
ALTER TABLE provider ADD COLUMN zone TEXT NOT NULL DEFAULT '';

-- The provider's own number of the standing order; '' = not known.
ALTER TABLE treatment ADD COLUMN order_id TEXT NOT NULL DEFAULT '';

-- Where reports to a provider go. settings: JSON, what this destination wants otherwise (the channel's own model).
-- rank: destinations of the lowest rank get every result; those of the next rank only what the lower ones did not
-- deliver, within fall_back_after_s (null = only when they refused it). mode: each result at once, in batches, or by
-- exception (batches, but at once what is out of the target range). schedule: the batch hours, 'Mon-Fri 08:00 16:30'.
-- live: results go there. A new one of a production store does not before a probe and a named person's word. live_at:
-- when it went live for the first time.
CREATE TABLE destination_new (
    id                TEXT PRIMARY KEY,
    provider_id       TEXT NOT NULL REFERENCES provider (id),
    channel           TEXT NOT NULL,
    address           TEXT NOT NULL,
    application       TEXT NOT NULL DEFAULT '',
    facility          TEXT NOT NULL DEFAULT '',
    settings          TEXT NOT NULL DEFAULT '{}',
    rank              INTEGER NOT NULL DEFAULT 1 CHECK (rank >= 1),
    fall_back_after_s INTEGER CHECK (fall_back_after_s > 0),
    mode              TEXT NOT NULL DEFAULT 'each' CHECK (mode IN ('each', 'batch', 'exception')),
    schedule          TEXT NOT NULL DEFAULT '',
    live              INTEGER NOT NULL DEFAULT 0 CHECK (live IN (0, 1)),
    live_at           TEXT,
    updated_at        TEXT NOT NULL,
    CHECK (mode = 'each' OR schedule <> ''),
    CHECK (live = 0 OR live_at IS NOT NULL)
);
-- What was there before was in use.
INSERT INTO destination_new (id, provider_id, channel, address, application, facility, live, live_at,
                             updated_at)
SELECT id, provider_id, channel, address, application, facility, 1, updated_at, updated_at FROM destination;
DROP TABLE destination;
ALTER TABLE destination_new RENAME TO destination;
CREATE INDEX destination_provider ON destination (provider_id, rank);

-- They name the tables that are made anew below.
DROP TRIGGER tally_attempt;
DROP TRIGGER tally_evidence;

-- accepted: kept by the far end, which says later, or never, that the application has it. not_before: a batch's hour;
-- null = at once. fall_back_at: when destinations of the next rank get it too, unless it is delivered. fell_back_at:
-- since when they do. receipt_at: when the receipt of an accepted report is looked for next; null = never.
CREATE TABLE report_new (
    id              INTEGER PRIMARY KEY,
    result_id       INTEGER NOT NULL,
    version         INTEGER NOT NULL,
    destination_id  TEXT NOT NULL REFERENCES destination (id),
    control_id      TEXT NOT NULL UNIQUE,
    octets          BLOB NOT NULL,
    created_at      TEXT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('waiting', 'accepted', 'delivered', 'refused')),
    attempts        INTEGER NOT NULL DEFAULT 0,
    next_attempt_at TEXT NOT NULL,
    last_error      TEXT NOT NULL DEFAULT '',
    not_before      TEXT,
    fall_back_at    TEXT,
    fell_back_at    TEXT,
    receipt_at      TEXT,
    UNIQUE (result_id, version, destination_id),
    FOREIGN KEY (result_id, version) REFERENCES version (result_id, version)
);
INSERT INTO report_new (id, result_id, version, destination_id, control_id, octets, created_at, state, attempts,
                        next_attempt_at, last_error)
SELECT id, result_id, version, destination_id, control_id, octets, created_at, state, attempts, next_attempt_at,
       last_error FROM report;
DROP TABLE report;
ALTER TABLE report_new RENAME TO report;
CREATE INDEX report_waiting ON report (state, destination_id, id);
CREATE INDEX report_fall_back ON report (fall_back_at) WHERE fall_back_at IS NOT NULL;
CREATE INDEX report_receipt ON report (destination_id, receipt_at) WHERE receipt_at IS NOT NULL;

-- busy: the far end as a whole asked to be left alone for a time; it does not count against the report.
CREATE TABLE attempt_new (
    id         INTEGER PRIMARY KEY,
    report_id  INTEGER NOT NULL REFERENCES report (id),
    started_at TEXT NOT NULL,
    ended_at   TEXT,
    outcome    TEXT CHECK (outcome IN ('delivered', 'accepted', 'refused', 'postponed', 'busy', 'ambiguous',
                                       'not_sent'))
);
INSERT INTO attempt_new (id, report_id, started_at, ended_at, outcome)
SELECT id, report_id, started_at, ended_at, outcome FROM attempt;
DROP TABLE attempt;
ALTER TABLE attempt_new RENAME TO attempt;
CREATE INDEX attempt_report ON attempt (report_id, outcome, started_at);

-- certificate: SHA-256 of the peer's certificate; message_sha256: of the octets that were sent; software: who sent
-- them. '' in rows that are older than these columns, or where there is none. agreed: the provider signed that this
-- level is their agreed way of being told, so that the result counts as reported.
ALTER TABLE evidence ADD COLUMN certificate TEXT NOT NULL DEFAULT '';
ALTER TABLE evidence ADD COLUMN message_sha256 TEXT NOT NULL DEFAULT '';
ALTER TABLE evidence ADD COLUMN software TEXT NOT NULL DEFAULT '';
ALTER TABLE evidence ADD COLUMN agreed INTEGER NOT NULL DEFAULT 0 CHECK (agreed IN (0, 1));
DROP INDEX evidence_report;
CREATE INDEX evidence_report ON evidence (report_id, level, agreed, at);

CREATE TRIGGER tally_attempt AFTER INSERT ON attempt BEGIN
    INSERT INTO tally_change (patient_id)
    SELECT v.patient_id FROM report r JOIN version v ON v.result_id = r.result_id AND v.version = r.version
     WHERE r.id = new.report_id;
END;

-- A try that reached nobody was no report after all.
CREATE TRIGGER tally_attempt_ended AFTER UPDATE OF outcome ON attempt WHEN new.outcome = 'not_sent' BEGIN
    INSERT INTO tally_change (patient_id)
    SELECT v.patient_id FROM report r JOIN version v ON v.result_id = r.result_id AND v.version = r.version
     WHERE r.id = new.report_id;
END;

CREATE TRIGGER tally_evidence AFTER INSERT ON evidence BEGIN
    INSERT INTO tally_change (patient_id)
    SELECT v.patient_id FROM report r JOIN version v ON v.result_id = r.result_id AND v.version = r.version
     WHERE r.id = new.report_id;
END;

-- The circuit breaker of each destination that ever failed. open: nothing is sent before trial_at; half-open: one
-- report is on its way to see whether it works again. failures: in a row. asked: the far end named the time itself.
CREATE TABLE breaker (
    destination_id TEXT PRIMARY KEY REFERENCES destination (id),
    state          TEXT NOT NULL CHECK (state IN ('closed', 'open', 'half-open')),
    since          TEXT NOT NULL,
    why            TEXT NOT NULL,
    failures       INTEGER NOT NULL,
    trial_at       TEXT,
    asked          INTEGER NOT NULL DEFAULT 0 CHECK (asked IN (0, 1))
) WITHOUT ROWID;

-- What was seen when a destination was tried with made-up results. findings: JSON list of name, danger, text.
CREATE TABLE probe (
    id             INTEGER PRIMARY KEY,
    destination_id TEXT NOT NULL REFERENCES destination (id),
    at             TEXT NOT NULL,
    by_name        TEXT NOT NULL,
    channel        TEXT NOT NULL,
    address        TEXT NOT NULL,
    settings       TEXT NOT NULL,
    findings       TEXT NOT NULL
);
CREATE INDEX probe_destination ON probe (destination_id, id);
