-- 0007: what was signed, claimed and answered, and the evidence behind it, is kept for ten years and longer. The schema
-- refuses every other change than those that the acts of a person or a delivery make.
-- Frozen: a change comes as a new numbered file, with a test from an old store.

CREATE TRIGGER sign_off_stays BEFORE UPDATE ON sign_off
BEGIN SELECT RAISE(ABORT, 'a signature is never changed'); END;
CREATE TRIGGER sign_off_is_kept BEFORE DELETE ON sign_off
BEGIN SELECT RAISE(ABORT, 'a signature is never deleted'); END;
CREATE TRIGGER claim_stays BEFORE UPDATE OF id, patient_id, code, modifiers, frequency, follows, dos, file_by,
    charge_cents, content, content_sha256, sign_off_id, exported_by, exported_at ON claim
BEGIN SELECT RAISE(ABORT, 'a claim is never changed: void or replace it'); END;
CREATE TRIGGER claim_stays_done_with BEFORE UPDATE OF state ON claim WHEN old.state IN ('void', 'replaced')
BEGIN SELECT RAISE(ABORT, 'a claim that is void or replaced stays so'); END;
CREATE TRIGGER claim_is_kept BEFORE DELETE ON claim
BEGIN SELECT RAISE(ABORT, 'a claim is never deleted'); END;
CREATE TRIGGER claim_test_stays BEFORE UPDATE OF claim_id, place, patient_id, code, test_id, taken_at ON claim_test
BEGIN SELECT RAISE(ABORT, 'the tests of a claim are never changed'); END;
CREATE TRIGGER claim_test_stays_free BEFORE UPDATE OF standing ON claim_test WHEN old.standing = 0
BEGIN SELECT RAISE(ABORT, 'a test that was let go is claimed by another claim'); END;
CREATE TRIGGER claim_test_is_kept BEFORE DELETE ON claim_test
BEGIN SELECT RAISE(ABORT, 'the tests of a claim are never deleted'); END;
CREATE TRIGGER claim_event_stays BEFORE UPDATE ON claim_event
BEGIN SELECT RAISE(ABORT, 'what happened to a claim is never changed'); END;
CREATE TRIGGER claim_event_is_kept BEFORE DELETE ON claim_event
BEGIN SELECT RAISE(ABORT, 'what happened to a claim is never deleted'); END;
CREATE TRIGGER remittance_stays BEFORE UPDATE ON remittance
BEGIN SELECT RAISE(ABORT, 'what a payer said is never changed'); END;
CREATE TRIGGER remittance_is_kept BEFORE DELETE ON remittance
BEGIN SELECT RAISE(ABORT, 'what a payer said is never deleted'); END;

-- The evidence behind them.
CREATE TRIGGER version_stays BEFORE UPDATE ON version BEGIN SELECT RAISE(ABORT, 'a version is never changed'); END;
CREATE TRIGGER version_is_kept BEFORE DELETE ON version BEGIN SELECT RAISE(ABORT, 'a version is never deleted'); END;
CREATE TRIGGER reading_octets_stay BEFORE UPDATE OF journal, number, sha256, payload, received_at ON reading
BEGIN SELECT RAISE(ABORT, 'what came is never changed'); END;
CREATE TRIGGER reading_is_kept BEFORE DELETE ON reading BEGIN SELECT RAISE(ABORT, 'a reading is never deleted'); END;
CREATE TRIGGER report_octets_stay BEFORE UPDATE OF result_id, version, destination_id, control_id, octets ON report
BEGIN SELECT RAISE(ABORT, 'what is sent never changes'); END;
CREATE TRIGGER report_is_kept BEFORE DELETE ON report BEGIN SELECT RAISE(ABORT, 'a report is never deleted'); END;
CREATE TRIGGER attempt_is_kept BEFORE DELETE ON attempt BEGIN SELECT RAISE(ABORT, 'a try is never deleted'); END;
CREATE TRIGGER evidence_stays BEFORE UPDATE ON evidence BEGIN SELECT RAISE(ABORT, 'evidence is never changed'); END;
CREATE TRIGGER evidence_is_kept BEFORE DELETE ON evidence BEGIN SELECT RAISE(ABORT, 'evidence is never deleted'); END;
CREATE TRIGGER decision_stays BEFORE UPDATE ON decision BEGIN SELECT RAISE(ABORT, 'a decision is never changed'); END;
CREATE TRIGGER decision_is_kept BEFORE DELETE ON decision BEGIN SELECT RAISE(ABORT, 'a decision is never deleted'); END;

-- Statements say more than before (notices of heparin and of claims that contradict themselves): all are made anew, and
-- none is called wrong for it.
DELETE FROM tally;
