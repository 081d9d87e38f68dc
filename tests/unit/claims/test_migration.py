"""A store from before there were claims opens, keeps what it has, and owes every enrolled patient a tally."""

from __future__ import annotations

import datetime as dt
import sqlite3
from importlib import resources
from pathlib import Path

from gateway.clock import utc
from gateway.reporting.claims.recompute import update
from gateway.reporting.statements import statement_of
from gateway.store import claims, tallies
from gateway.store.opening import MIGRATIONS, open_store
from tests.unit.claims.desk import MONDAYS, NOW, Desk


def test_a_store_of_schema_two(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    old = sqlite3.connect(path, isolation_level=None)
    for name in ("0001_first.sql", "0002_documents.sql"):
        old.executescript((resources.files(MIGRATIONS) / name).read_text(encoding="utf-8"))
    old.execute("PRAGMA user_version = 2")
    at = utc(NOW)
    old.execute("INSERT INTO store (id, role, created_at) VALUES (1, 'rig', ?)", (at,))
    old.execute("INSERT INTO epoch (id, began_at, reason, reconciled_at) VALUES ('e', ?, 'created', ?)", (at, at))
    for name in ("P2", "P1"):
        old.execute("INSERT INTO patient VALUES (?, 'F', 'G', '1950-01-01', 'F', ?)", (name, at))
        old.execute("INSERT INTO patient_zone VALUES (?, '2020-01-01', 'America/Phoenix')", (name,))
        old.execute(
            "INSERT INTO enrollment (patient_id, payer, mac, diagnosis, recorded_at)"
            " VALUES (?, 'medicare_ffs', 'noridian', 'I48.20', ?)",
            (name, at),
        )
    old.close()
    database = open_store(path, "rig")
    try:
        assert tallies.changed(database, tallies.last_change(database)) == ["P1", "P2"]
        assert claims.claimed_units(database, "P1") == ()
        assert statement_of(database, "P1", dt.date(2026, 3, 30), "rig")[0].units == ()
        assert update(database, dt.date(2026, 3, 30), "rig", NOW).patients == 2
    finally:
        database.close()


def test_a_result_that_goes_to_another_patient_makes_both_due(desk: Desk) -> None:
    for patient in ("P1", "P2"):
        desk.patient(patient)
    result = desk.test("P1", MONDAYS[0])
    update(desk.database, dt.date(2026, 3, 30), "rig", desk.now)
    desk.write(
        "INSERT INTO version SELECT result_id, 2, 'final', body, origin, 'P2', taken_at, uncertainty_s, quality,"
        " zone, recorded_at, why, reading_id FROM version WHERE result_id = ?",
        result,
    )
    assert sorted(tallies.changed(desk.database, tallies.last_change(desk.database))) == ["P1", "P2"]
