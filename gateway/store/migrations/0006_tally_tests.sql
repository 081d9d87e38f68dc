-- 0006: the tests as the tally reads them, side by side, patient by patient.
-- Frozen: a change comes as a new numbered file, with a test from an old store.

-- What a tally must know of each version of a result, looked up in the tables that hold it. sent_at: when the version
-- first left for a provider; a try that reached nobody is none. accepted_at: when a treating provider's system took it.
-- by_hand: nothing but entries at the desk stands behind it.
CREATE VIEW tally_test_now AS
SELECT e.patient_id, e.taken_at, e.result_id, e.version, r.kind, r.inr, r.meter_key, e.origin,
       CASE WHEN r.merged_into IS NULL THEN e.status ELSE 'retracted' END AS status,
       (SELECT min(a.started_at) FROM report p JOIN attempt a ON a.report_id = p.id
         WHERE p.result_id = e.result_id AND p.version = e.version AND a.outcome IS NOT 'not_sent') AS sent_at,
       (SELECT min(x.at) FROM report p JOIN evidence x ON x.report_id = p.id
         WHERE p.result_id = e.result_id AND p.version = e.version
           AND (x.level IN ('delivered', 'seen') OR x.agreed)) AS accepted_at,
       e.origin = 'person' AND NOT EXISTS (
           SELECT 1 FROM reading g WHERE g.result_id = e.result_id AND g.journal NOT IN (SELECT journal FROM desk)
       ) AS by_hand
  FROM version e JOIN result r ON r.id = e.result_id;

-- The same, kept: a nightly pass over all patients reads it in one scan. The triggers below keep it, so that nothing
-- can be written past it; nobody else writes here.
CREATE TABLE tally_test (
    patient_id  TEXT NOT NULL,
    taken_at    TEXT NOT NULL,
    result_id   INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    inr         TEXT NOT NULL,
    meter_key   TEXT NOT NULL,
    origin      TEXT NOT NULL,
    status      TEXT NOT NULL,
    sent_at     TEXT,
    accepted_at TEXT,
    by_hand     INTEGER NOT NULL,
    PRIMARY KEY (patient_id, taken_at, result_id, version)
) WITHOUT ROWID;

INSERT INTO tally_test SELECT * FROM tally_test_now ORDER BY patient_id, taken_at, result_id, version;

CREATE TRIGGER tally_test_version AFTER INSERT ON version BEGIN
    INSERT OR REPLACE INTO tally_test
    SELECT * FROM tally_test_now WHERE result_id = new.result_id AND version = new.version;
END;

CREATE TRIGGER tally_test_result AFTER UPDATE OF kind, inr, meter_key, merged_into ON result BEGIN
    INSERT OR REPLACE INTO tally_test SELECT * FROM tally_test_now WHERE result_id = new.id;
END;

CREATE TRIGGER tally_test_attempt AFTER INSERT ON attempt BEGIN
    INSERT OR REPLACE INTO tally_test
    SELECT * FROM tally_test_now
     WHERE (result_id, version) = (SELECT result_id, version FROM report WHERE id = new.report_id);
END;

CREATE TRIGGER tally_test_attempt_ended AFTER UPDATE OF outcome ON attempt WHEN new.outcome = 'not_sent' BEGIN
    INSERT OR REPLACE INTO tally_test
    SELECT * FROM tally_test_now
     WHERE (result_id, version) = (SELECT result_id, version FROM report WHERE id = new.report_id);
END;

CREATE TRIGGER tally_test_evidence AFTER INSERT ON evidence BEGIN
    INSERT OR REPLACE INTO tally_test
    SELECT * FROM tally_test_now
     WHERE (result_id, version) = (SELECT result_id, version FROM report WHERE id = new.report_id);
END;

-- A meter's reading of what was entered at the desk, or one that turns out to be of another test.
CREATE TRIGGER tally_test_reading AFTER INSERT ON reading WHEN new.result_id IS NOT NULL BEGIN
    INSERT OR REPLACE INTO tally_test
    SELECT * FROM tally_test_now WHERE result_id = new.result_id AND origin = 'person';
END;

CREATE TRIGGER tally_test_reading_moved AFTER UPDATE OF result_id ON reading BEGIN
    INSERT OR REPLACE INTO tally_test
    SELECT * FROM tally_test_now WHERE result_id IN (old.result_id, new.result_id) AND origin = 'person';
END;

-- Whose test changed is due for a tally. It takes the place of the triggers that said so table by table.
DROP TRIGGER tally_version;
DROP TRIGGER tally_attempt;
DROP TRIGGER tally_attempt_ended;
DROP TRIGGER tally_evidence;
CREATE TRIGGER tally_test_due AFTER INSERT ON tally_test BEGIN
    INSERT INTO tally_change (patient_id) VALUES (new.patient_id);
END;
