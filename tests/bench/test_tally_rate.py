"""How fast tallies are recomputed from the store, beside only reading the same rows in the same order."""

from __future__ import annotations

import datetime as dt
import resource
import sqlite3
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from gateway.clock import utc
from gateway.database import transaction
from gateway.reporting.claims.recompute import recompute, update
from gateway.reporting.statements import statement_of
from gateway.store import tallies
from gateway.store.opening import create_store, open_store

pytestmark = pytest.mark.bench

PATIENTS = 2000
TESTS = 52
FIRST = dt.datetime(2025, 1, 1, 15, tzinfo=dt.UTC)
DAY = dt.date(2026, 1, 5)
NOW = dt.datetime(2026, 1, 6, 8, tzinfo=dt.UTC)
TARGET_PATIENTS_PER_S = 2000
"""What a nightly pass should reach on one idle core, printed beside the figure. Asserted is a third of it: a shared
machine gives no more at times."""
UPDATE_MS = 2.0


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tallies") / "store.db"
    create_store(path, "rig", NOW)
    database = open_store(path)
    database.execute("PRAGMA synchronous = OFF")
    with transaction(database):
        fill(database)
    database.close()
    return path


def fill(database: sqlite3.Connection) -> None:
    """A year of weekly tests, in the order in which they would have come: week by week, patient by patient."""
    at = utc(NOW)
    database.execute("INSERT INTO provider (id, name, updated_at) VALUES ('c', 'Clinic', ?)", (at,))
    database.execute(
        "INSERT INTO destination (id, provider_id, channel, address, updated_at)"
        " VALUES ('c1', 'c', 'hl7v2', 'mllp://127.0.0.1:1', ?)",
        (at,),
    )
    names = [f"P{number:05d}" for number in range(PATIENTS)]
    for name in names:
        key = f"acme/{name.lower()}"
        database.execute("INSERT INTO patient VALUES (?, 'F', 'G', '1950-01-01', 'F', ?)", (name, at))
        database.execute("INSERT INTO patient_zone VALUES (?, '2020-01-01', 'America/Los_Angeles')", (name,))
        database.execute("INSERT INTO meter VALUES (?, 'acme', ?, '', ?)", (key, name, at))
        database.execute(
            "INSERT INTO assignment (meter_key, patient_id, from_at) VALUES (?, ?, '2024-12-01T00:00:00.000Z')",
            (key, name),
        )
        database.execute(
            "INSERT INTO enrollment (patient_id, payer, mac, diagnosis, warfarin_start, training_date,"
            " training_documented, order_signed_on, recorded_at)"
            " VALUES (?, 'medicare_ffs', 'noridian', 'I48.20', '2024-01-01', '2024-12-01', 1, '2024-12-01', ?)",
            (name, at),
        )
    for week in range(TESTS):
        for number, name in enumerate(names):
            one_test(
                database, name, f"{week}", FIRST + dt.timedelta(days=7 * week + number % 7, minutes=number % 600)
            )


def one_test(database: sqlite3.Connection, name: str, key: str, taken: dt.datetime) -> None:
    sent, accepted, at = utc(taken + dt.timedelta(minutes=5)), utc(taken + dt.timedelta(minutes=6)), utc(NOW)
    result = database.execute(
        "INSERT INTO result (key, recipe, meter_key, kind, created_at, inr) VALUES (?, 1, ?, 'patient', ?, '2.5')",
        (f"{name}/{key}", f"acme/{name.lower()}", at),
    ).lastrowid
    database.execute(
        "INSERT INTO version VALUES (?, 1, 'final', ?, 'meter', ?, ?, 2.0, 'synchronised', '', ?, '', NULL)",
        (result, "x" * 700, name, utc(taken), at),
    )
    report = database.execute(
        "INSERT INTO report (result_id, version, destination_id, control_id, octets, created_at, state,"
        " next_attempt_at) VALUES (?, 1, 'c1', ?, ?, ?, 'delivered', '')",
        (result, str(result), b"x" * 600, sent),
    ).lastrowid
    attempt = database.execute(
        "INSERT INTO attempt (report_id, started_at, ended_at, outcome) VALUES (?, ?, ?, 'delivered')",
        (report, sent, sent),
    ).lastrowid
    database.execute(
        "INSERT INTO evidence (report_id, attempt_id, level, at, peer, octets)"
        " VALUES (?, ?, 'delivered', ?, 'c', ?)",
        (report, attempt, accepted, b"y" * 200),
    )


def test_full_recompute(store: Path) -> None:
    reader, writer = open_store(store), open_store(store)
    try:
        done = recompute(reader, writer, DAY, "rig", NOW)
        assert done.patients == PATIENTS
        assert done.refused == 0
        before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        took_s = min(timed(partial(recompute, reader, writer, day, "rig", NOW)) for day in days(3))
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
        read_s = min(timed(lambda: read_only(reader)) for _ in range(3))
        rate = PATIENTS / took_s
        print(
            f"\nfull recompute: {rate:.0f} patients/s of {TESTS} tests (target {TARGET_PATIENTS_PER_S}); "
            f"only reading those rows in order: {PATIENTS / read_s:.0f}/s; ratio {took_s / read_s:.1f}; "
            f"memory grew by {grown_kib} KiB over three passes"
        )
        assert recompute(reader, writer, days(3)[-1], "rig", NOW).different == ()
        assert grown_kib < 16 * 1024
        assert rate > TARGET_PATIENTS_PER_S / 3
    finally:
        reader.close()
        writer.close()


def test_one_patients_update(store: Path) -> None:
    database = open_store(store)
    try:
        with transaction(database):
            tallies.forget(database, tallies.last_change(database))
        update(database, DAY, "rig", NOW)
        alone_ms = []
        for number in range(100):
            late_test(database, number)
            began_s = time.perf_counter()
            assert update(database, DAY, "rig", NOW).patients == 1
            alone_ms.append((time.perf_counter() - began_s) * 1000)
        for number in range(100, 600):
            late_test(database, number)
        began_s = time.perf_counter()
        assert update(database, DAY, "rig", NOW).patients == 500
        together_ms = (time.perf_counter() - began_s) * 1000 / 500
        print(
            f"\none patient's update: {together_ms:.2f} ms among 500 (target {UPDATE_MS}), "
            f"{statistics.median(alone_ms):.2f} ms alone with its own commit on this disk"
        )
        assert statement_of(database, "P00000", DAY, "rig")[0].units
        assert together_ms <= UPDATE_MS
    finally:
        database.close()


def late_test(database: sqlite3.Connection, number: int) -> None:
    with transaction(database):
        one_test(database, f"P{number:05d}", "late", FIRST - dt.timedelta(days=7))


def days(count: int) -> list[dt.date]:
    return [DAY + dt.timedelta(days=number) for number in range(1, count + 1)]


def timed(work: Callable[[], object]) -> float:
    began_s = time.process_time()
    work()
    return time.process_time() - began_s


def read_only(database: sqlite3.Connection) -> None:
    """The same statements, row by row, and nothing made of them."""
    for statement in tallies.STATEMENTS:
        cursor = database.cursor()
        cursor.row_factory = None
        for _ in cursor.execute(statement):
            pass
