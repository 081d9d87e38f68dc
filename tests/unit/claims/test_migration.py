"""A store from before there were claims opens, keeps what it has, and owes every enrolled patient a tally."""

from __future__ import annotations

import datetime as dt
import sqlite3
from contextlib import closing
from importlib import resources
from pathlib import Path

import pytest

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


def test_the_tests_of_a_store_of_schema_five_are_those_of_its_reports(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    old = sqlite3.connect(path, isolation_level=None)
    scripts = sorted(item.name for item in resources.files(MIGRATIONS).iterdir() if item.name.endswith(".sql"))
    for name in scripts[:5]:
        old.executescript((resources.files(MIGRATIONS) / name).read_text(encoding="utf-8"))
    old.executescript(
        """
        PRAGMA user_version = 5;
        INSERT INTO store (id, role, created_at) VALUES (1, 'rig', '');
        INSERT INTO epoch (id, began_at, reason, reconciled_at) VALUES ('e', '', 'created', '');
        INSERT INTO provider (id, name, updated_at) VALUES ('c', 'Clinic', '');
        INSERT INTO destination (id, provider_id, channel, address, updated_at) VALUES ('d', 'c', 'hl7v2', '', '');
        INSERT INTO patient VALUES ('P1', 'F', 'G', '1950-01-01', 'F', ''), ('P2', 'F', 'G', '1950-01-01', 'F', '');
        INSERT INTO result (id, key, recipe, meter_key, kind, created_at, inr, merged_into) VALUES
            (1, 'a', 1, 'acme/1', 'patient', '', '2.5', NULL), (2, 'b', 1, 'acme/1', 'patient', '', '>8', NULL),
            (3, 'c', 1, '', 'patient', '', '2.1', NULL), (4, 'd', 1, 'acme/1', 'patient', '', '2.5', 1);
        INSERT INTO desk (epoch, journal, last_number) VALUES ('e', 'of-the-desk', 1);
        INSERT INTO reading (journal, number, sha256, hub, payload, received_at, verdict, result_id)
            VALUES ('of-the-desk', 1, '', 'desk', x'', '', 'stored', 3);
        INSERT INTO version SELECT 1, 1, 'final', '', 'meter', 'P1', 't1', 0, '', '', '', '', NULL;
        INSERT INTO version SELECT 1, 2, 'corrected', '', 'meter', 'P1', 't0', 0, '', '', '', '', NULL;
        INSERT INTO version SELECT 2, 1, 'final', '', 'simulator', 'P2', 't2', 0, '', '', '', '', NULL;
        INSERT INTO version SELECT 3, 1, 'final', '', 'person', 'P2', 't3', 0, '', '', '', '', NULL;
        INSERT INTO version SELECT 4, 1, 'final', '', 'meter', 'P2', 't4', 0, '', '', '', '', NULL;
        INSERT INTO report (id, result_id, version, destination_id, control_id, octets, created_at, state,
                            next_attempt_at) VALUES
            (1, 1, 2, 'd', 'x1', x'', '', 'delivered', ''), (2, 2, 1, 'd', 'x2', x'', '', 'waiting', '');
        INSERT INTO attempt (report_id, started_at, outcome) VALUES
            (1, 's3', 'delivered'), (1, 's2', 'ambiguous'), (1, 's1', 'not_sent'), (2, 's4', 'not_sent');
        INSERT INTO evidence (report_id, level, at, peer, octets, agreed) VALUES
            (1, 'accepted', 'a1', '', x'', 0), (1, 'seen', 'a3', '', x'', 0), (1, 'delivered', 'a2', '', x'', 0),
            (2, 'sent', 'a4', '', x'', 0);
        DELETE FROM tally_change;
        INSERT INTO tally VALUES ('P1', '2026-03-30', 1, 'as it was made then', '');
        """
    )
    old.close()
    with closing(open_store(path, "rig")) as database:
        kept = [tallies.tested(database, patient) for patient in ("P1", "P2")]
        assert [
            [(t.result_id, t.version, t.status, t.reported_at, t.acknowledged_at) for t in of] for of in kept
        ] == [
            [(1, 2, "corrected", "s2", "a2")],
            [(2, 1, "final", None, None), (3, 1, "final", None, None), (4, 1, "retracted", None, None)],
        ]
        assert [t.by_hand for t in kept[1]] == [0, 1, 0]
        assert tallies.astray(database) == []
        assert tallies.computed(database, "P1") is None
        assert tallies.changed(database, tallies.last_change(database)) == []  # nothing of it is news
        with pytest.raises(sqlite3.IntegrityError, match="evidence is never changed"):
            database.execute("UPDATE evidence SET at = ''")
        database.execute(
            "INSERT INTO evidence (report_id, level, at, peer, octets) VALUES (2, 'seen', 'a5', '', '')"
        )
        assert [t.acknowledged_at for t in tallies.tested(database, "P2")] == ["a5", None, None]
        assert tallies.changed(database, tallies.last_change(database)) == ["P2"]


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
