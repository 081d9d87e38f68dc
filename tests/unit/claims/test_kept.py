"""What was signed, claimed and answered is kept by the schema itself, and no standing claim is out of sight."""

from __future__ import annotations

import sqlite3

import pytest

from gateway.reporting.documents.recording import void_document
from tests.unit.claims.desk import MONDAYS, Desk


def claimed(desk: Desk) -> str:
    for taken in MONDAYS[:4]:
        desk.test("P1", taken)
    assert desk.units("sign", "P1", "1", "--by", "Bea").code == 0
    assert desk.units("export", "--to", str(desk.folder / "out"), "--by", "Bea").code == 0
    return str(desk.rows("claims")[0]["claim"])


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM claim_test",
        "DELETE FROM claim_event",
        "DELETE FROM sign_off",
        "UPDATE claim SET content = '{}'",
        "UPDATE claim SET charge_cents = 1",
        "UPDATE sign_off SET content = '{}'",
        "UPDATE claim_event SET detail = ''",
        "UPDATE evidence SET at = ''",
    ],
)
def test_the_store_itself_keeps_claims(desk: Desk, statement: str) -> None:
    desk.patient()
    claimed(desk)
    desk.database.execute("PRAGMA foreign_keys = OFF")
    with pytest.raises(sqlite3.IntegrityError, match="never"):
        desk.write(statement)


def test_a_claim_that_is_void_stays_so(desk: Desk) -> None:
    desk.patient()
    claim = claimed(desk)
    assert desk.units("void", claim, "--by", "Bea", "--note", "why").code == 0
    with pytest.raises(sqlite3.IntegrityError, match="stays so"):
        desk.write("UPDATE claim SET state = 'exported' WHERE id = ?", claim)


def test_a_claim_of_a_patient_without_papers_is_on_the_list(desk: Desk) -> None:
    desk.patient()
    desk.write("DELETE FROM enrollment")
    for kind, body in (
        ("diagnosis", {"codes": ["I48.20"], "from_": "2025-01-01", "evidence": "x"}),
        ("warfarin", {"start": "2025-01-01"}),
        ("order", {"signed_on": "2026-01-10", "practitioner": "V"}),
        (
            "training",
            {"date": "2026-01-15", "code": "G0248", "trainer": "R", "able_to_test": True, "able_to_report": True},
        ),
        ("coverage", {"payer": "medicare_ffs", "mac": "noridian", "from_": "2025-01-01"}),
    ):
        desk.paper("P1", kind, **body)
    claim = claimed(desk)
    for row in desk.database.execute("SELECT id FROM document").fetchall():
        void_document(desk.database, row[0], "Ada", desk.now, "another patient's")
    assert [row for row in desk.rows("worklist", "held") if row["patient"] == "P1"], claim
