-- 0003: what a biller signed, what was exported as a claim, what the payer answered, whose tally is due.
-- Frozen: a change comes as a new numbered file, with a test from an old store.

-- A named person has signed one unit with exactly this content. If the unit changes before its export, content_sha256
-- fits no unit any more and the signature holds nothing. flags: the review flags that the person accepted by name.
CREATE TABLE sign_off (
    id             INTEGER PRIMARY KEY,
    patient_id     TEXT NOT NULL REFERENCES patient (id),
    content_sha256 TEXT NOT NULL,
    content        TEXT NOT NULL,                -- JSON, the octets that were hashed
    flags          TEXT NOT NULL DEFAULT '',     -- separated by one blank
    as_of          TEXT NOT NULL,
    by_name        TEXT NOT NULL,
    at             TEXT NOT NULL,
    note           TEXT NOT NULL DEFAULT ''
);
CREATE INDEX sign_off_patient ON sign_off (patient_id, id);

-- A unit prepared for a payer, frozen as it was exported. frequency as in CLM05-3 of X12 837: 1 original,
-- 7 replacement of and 8 void of the claim it follows. state is that of the claim itself; a claim of frequency 8 stays
-- exported. Nothing here is ever submitted by this software.
CREATE TABLE claim (
    id             TEXT PRIMARY KEY,
    patient_id     TEXT NOT NULL REFERENCES patient (id),
    code           TEXT NOT NULL CHECK (code IN ('G0249', 'G0250')),
    modifiers      TEXT NOT NULL DEFAULT '',     -- separated by one blank
    frequency      INTEGER NOT NULL CHECK (frequency IN (1, 7, 8)),
    follows        TEXT REFERENCES claim (id),
    dos            TEXT NOT NULL,
    file_by        TEXT NOT NULL,
    charge_cents   INTEGER NOT NULL CHECK (charge_cents >= 0),
    state          TEXT NOT NULL CHECK (state IN ('exported', 'denied', 'paid', 'void', 'replaced')),
    content        TEXT NOT NULL,                -- JSON, everything that the files of the export say
    content_sha256 TEXT NOT NULL,
    sign_off_id    INTEGER REFERENCES sign_off (id),
    exported_by    TEXT NOT NULL,
    exported_at    TEXT NOT NULL,
    CHECK ((frequency = 1) OR follows IS NOT NULL)
);
CREATE INDEX claim_patient ON claim (patient_id, dos);
CREATE INDEX claim_state ON claim (state, patient_id);

-- The tests of a claim. standing: the claim holds them; a test is held by one claim of a code at a time.
CREATE TABLE claim_test (
    claim_id   TEXT NOT NULL REFERENCES claim (id),
    place      INTEGER NOT NULL,
    patient_id TEXT NOT NULL,
    code       TEXT NOT NULL,
    test_id    TEXT NOT NULL,
    taken_at   TEXT NOT NULL,                    -- as it was exported
    standing   INTEGER NOT NULL CHECK (standing IN (0, 1)),
    PRIMARY KEY (claim_id, place)
) WITHOUT ROWID;
CREATE UNIQUE INDEX claim_test_once ON claim_test (patient_id, code, test_id) WHERE standing = 1;

CREATE TABLE claim_event (
    id       INTEGER PRIMARY KEY,
    claim_id TEXT NOT NULL REFERENCES claim (id),
    at       TEXT NOT NULL,
    by_name  TEXT NOT NULL,
    what     TEXT NOT NULL,
    detail   TEXT NOT NULL DEFAULT ''
);
CREATE INDEX claim_event_claim ON claim_event (claim_id, id);

-- What the payer said of a claim, row by row as a person posted it (X12 835). cause: what the codes mean to us.
CREATE TABLE remittance (
    id                   INTEGER PRIMARY KEY,
    claim_id             TEXT NOT NULL REFERENCES claim (id),
    posted_on            TEXT NOT NULL,
    status               TEXT NOT NULL CHECK (status IN ('paid', 'denied')),
    group_code           TEXT NOT NULL DEFAULT '',
    carc                 TEXT NOT NULL DEFAULT '',
    rarc                 TEXT NOT NULL DEFAULT '',
    amount_cents         INTEGER NOT NULL,
    payer_control_number TEXT NOT NULL DEFAULT '',
    cause                TEXT NOT NULL DEFAULT '',
    source               TEXT NOT NULL,          -- file and line it stood in
    by_name              TEXT NOT NULL,
    at                   TEXT NOT NULL,
    UNIQUE (claim_id, posted_on, status, group_code, carc, rarc, amount_cents, payer_control_number)
);

-- Which patients something was written about, in the order of the writing: never in the order of the tests. Written by
-- the triggers below; taken away once a tally has seen it.
CREATE TABLE tally_change (
    sequence   INTEGER PRIMARY KEY AUTOINCREMENT,
    patient_id TEXT NOT NULL
);

-- The last tally of each patient: for which day, and from what (every change up to sequence).
CREATE TABLE tally (
    patient_id  TEXT PRIMARY KEY REFERENCES patient (id),
    as_of       TEXT NOT NULL,
    sequence    INTEGER NOT NULL,
    sha256      TEXT NOT NULL,                   -- of the statement, or of the words of its refusal
    computed_at TEXT NOT NULL
) WITHOUT ROWID;

-- One ordered pass over all tests with their evidence must not touch bodies and octets.
DROP INDEX version_patient;
CREATE INDEX version_patient ON version (patient_id, taken_at, result_id, version, status, origin);
DROP INDEX attempt_report;
CREATE INDEX attempt_report ON attempt (report_id, started_at);
DROP INDEX evidence_report;
CREATE INDEX evidence_report ON evidence (report_id, level, at);
CREATE INDEX assignment_patient ON assignment (patient_id, meter_key, from_at, to_at);
CREATE INDEX result_run ON result (meter_key, device_time) WHERE kind <> 'patient';

CREATE TRIGGER tally_version AFTER INSERT ON version BEGIN
    INSERT INTO tally_change (patient_id) VALUES (new.patient_id);
END;

-- Whoever had an earlier version of it, and is another person.
CREATE TRIGGER tally_version_of_another AFTER INSERT ON version WHEN new.version > 1 BEGIN
    INSERT INTO tally_change (patient_id)
    SELECT DISTINCT patient_id FROM version WHERE result_id = new.result_id AND patient_id <> new.patient_id;
END;

-- Controls and errors belong to whoever had the meter then.
CREATE TRIGGER tally_run AFTER INSERT ON result WHEN new.kind <> 'patient' AND new.meter_key <> '' BEGIN
    INSERT INTO tally_change (patient_id)
    SELECT DISTINCT patient_id FROM assignment WHERE meter_key = new.meter_key;
END;

CREATE TRIGGER tally_result AFTER UPDATE OF kind, inr, device_time, merged_into ON result BEGIN
    INSERT INTO tally_change (patient_id)
    SELECT patient_id FROM version WHERE result_id = new.id
    UNION SELECT patient_id FROM assignment WHERE meter_key = new.meter_key;
END;

CREATE TRIGGER tally_attempt AFTER INSERT ON attempt BEGIN
    INSERT INTO tally_change (patient_id)
    SELECT v.patient_id FROM report r JOIN version v ON v.result_id = r.result_id AND v.version = r.version
     WHERE r.id = new.report_id;
END;

CREATE TRIGGER tally_evidence AFTER INSERT ON evidence BEGIN
    INSERT INTO tally_change (patient_id)
    SELECT v.patient_id FROM report r JOIN version v ON v.result_id = r.result_id AND v.version = r.version
     WHERE r.id = new.report_id;
END;

CREATE TRIGGER tally_held AFTER INSERT ON quarantine WHEN new.result_id IS NOT NULL BEGIN
    INSERT INTO tally_change (patient_id)
    SELECT DISTINCT patient_id FROM version WHERE result_id = new.result_id;
END;

CREATE TRIGGER tally_released AFTER UPDATE OF closed_at ON quarantine WHEN new.result_id IS NOT NULL BEGIN
    INSERT INTO tally_change (patient_id)
    SELECT DISTINCT patient_id FROM version WHERE result_id = new.result_id;
END;

CREATE TRIGGER tally_enrollment AFTER INSERT ON enrollment BEGIN
    INSERT INTO tally_change (patient_id) VALUES (new.patient_id);
END;

CREATE TRIGGER tally_zone AFTER INSERT ON patient_zone BEGIN
    INSERT INTO tally_change (patient_id) VALUES (new.patient_id);
END;

CREATE TRIGGER tally_zone_changed AFTER UPDATE ON patient_zone BEGIN
    INSERT INTO tally_change (patient_id) VALUES (new.patient_id);
END;

CREATE TRIGGER tally_assignment AFTER INSERT ON assignment BEGIN
    INSERT INTO tally_change (patient_id) VALUES (new.patient_id);
END;

CREATE TRIGGER tally_assignment_changed AFTER UPDATE ON assignment BEGIN
    INSERT INTO tally_change (patient_id)
    SELECT old.patient_id UNION SELECT new.patient_id;
END;

CREATE TRIGGER tally_claim AFTER INSERT ON claim BEGIN
    INSERT INTO tally_change (patient_id) VALUES (new.patient_id);
END;

CREATE TRIGGER tally_claim_changed AFTER UPDATE OF state ON claim BEGIN
    INSERT INTO tally_change (patient_id) VALUES (new.patient_id);
END;

CREATE TRIGGER tally_document AFTER INSERT ON document BEGIN
    INSERT INTO tally_change (patient_id) VALUES (new.patient_id);
END;

-- Whoever was there before this file came.
INSERT INTO tally_change (patient_id) SELECT DISTINCT patient_id FROM enrollment ORDER BY patient_id;
