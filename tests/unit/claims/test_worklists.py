"""What the desk has to do, as the lists say it."""

from __future__ import annotations

import csv
import datetime as dt
import io

import pytest

from gateway.result import Kind
from tests.unit.claims.desk import MONDAYS, Desk


def test_three_of_four_come_before_two_and_the_longest_silence_first(desk: Desk) -> None:
    for patient, count in (("P1", 1), ("P2", 3), ("P3", 3), ("P4", 2), ("P5", 4)):
        desk.patient(patient)
        for taken in MONDAYS[:count] if patient != "P3" else MONDAYS[1:4]:
            desk.test(patient, taken)
    found = [(row["patient"], row["pending"], row["days_since"]) for row in desk.rows("worklist", "aging")]
    assert found == [("P2", "3 of 4", 42), ("P3", "3 of 4", 35), ("P4", "2 of 4", 49), ("P1", "1 of 4", 56)]


def test_a_gap_alone_ends_nothing_but_an_event_does(desk: Desk) -> None:
    desk.patient()
    for taken in MONDAYS[:3]:
        desk.test("P1", taken)
    assert desk.rows("worklist", "ending") == []
    desk.paper("P1", "event", type="death", date="2026-03-05")
    assert desk.rows("worklist", "aging") == []
    (row,) = desk.rows("worklist", "ending")
    assert (row["last_covered"], row["tests"], row["date_of_service"]) == ("2026-03-05", 3, "2026-02-16")


def test_an_end_without_tests_leaves_nothing_to_claim(desk: Desk) -> None:
    desk.patient()
    desk.paper("P1", "event", type="withdrawn", date="2026-03-05")
    (row,) = desk.rows("worklist", "ending")
    assert (row["unit"], row["tests"], row["words"]) == (None, 0, "nothing is left to claim")


def test_three_lists_of_missing_tests(desk: Desk) -> None:
    for patient in ("P1", "P2", "P3", "P4"):
        desk.patient(patient)
    desk.test("P1", MONDAYS[0])
    desk.test("P2", MONDAYS[7], reported=None)
    desk.test("P3", MONDAYS[7], acknowledged=None)
    desk.test("P4", MONDAYS[7])
    found = [(row["what"], row["patient"], row["week"]) for row in desk.rows("worklist", "missed-week")]
    assert found == [
        ("not tested", "P1", "2026-03-22"),
        ("not reported", "P2", "2026-03-22"),
        ("not acknowledged", "P3", "2026-03-22"),
    ]


def test_the_running_week_is_asked_about_from_a_weekday_on(desk: Desk) -> None:
    desk.patient()
    desk.test("P1", MONDAYS[7])  # 23 March; the desk stands on Monday 30 March
    assert desk.rows("worklist", "missed-week") == []
    assert desk.rows("worklist", "missed-week", "--weekday", "tuesday") == []
    (row,) = desk.rows("worklist", "missed-week", "--weekday", "monday")
    assert (row["week"], row["taken_on"], row["days"]) == ("2026-03-29", "2026-03-23", 7)


def test_a_control_is_no_test(desk: Desk) -> None:
    desk.patient()
    desk.test("P1", MONDAYS[7], kind=Kind.CONTROL)
    assert [row["what"] for row in desk.rows("worklist", "missed-week")] == ["not tested"]


def test_nobody_is_asked_before_the_training(desk: Desk) -> None:
    desk.patient("P1", training_date="2026-03-29")
    desk.patient("P2", training_date="2026-03-24")
    assert [row["patient"] for row in desk.rows("worklist", "missed-week")] == ["P2"]


@pytest.mark.parametrize(
    ("expires", "within", "words"),
    [
        ("2026-04-29", 30, "ends soon"),
        ("2026-04-30", 30, None),
        ("2026-04-30", 31, "ends soon"),
        ("2026-03-29", 0, "ended"),
        (None, 400, None),
    ],
)
def test_orders_that_end(desk: Desk, expires: str | None, within: int, words: str | None) -> None:
    desk.patient("P1", order_expires_on=expires)
    rows = desk.rows("worklist", "orders", "--within", str(within))
    assert [words in row["words"] for row in rows if words] == ([] if words is None else [True])
    assert len(rows) == (words is not None)


def test_a_missing_order_and_what_it_costs(desk: Desk) -> None:
    desk.patient("P1", order_signed_on=None)
    desk.test("P1", MONDAYS[0])
    (row,) = desk.rows("worklist", "orders")
    assert row["words"] == "no signed order is on file"
    (held,) = desk.rows("worklist", "held")
    assert (held["what"], held["reason"]) == ("test 1", "NO_ACTIVE_ORDER")


def test_a_patient_of_whom_no_statement_can_be_made_is_on_the_list(desk: Desk) -> None:
    desk.patient("P1", payer="nobody")
    (held,) = desk.rows("worklist", "held")
    assert (held["what"], held["reason"]) == ("patient", "NO_STATEMENT")
    assert "no policy is in force" in held["words"]


def test_filing_limits(desk: Desk) -> None:
    desk.patient()
    for taken in MONDAYS[:4]:
        desk.test("P1", taken)
    assert desk.rows("worklist", "filing") == []
    (row,) = desk.rows("worklist", "filing", "--as-of", "2026-12-02")
    assert (row["file_by"], row["days_left"], row["words"]) == ("2027-03-02", 90, "not exported")
    assert desk.rows("worklist", "filing", "--as-of", "2026-12-01") == []
    (row,) = desk.rows("worklist", "filing", "--as-of", "2027-03-03", "--within", "0")
    assert (row["days_left"], "CO-29" in row["words"]) == (-1, True)


def test_the_pattern_of_exceptions(desk: Desk) -> None:
    desk.patient("P1")
    early = [desk.test("P1", taken) for taken in (MONDAYS[0], MONDAYS[0] + dt.timedelta(days=3))][1]
    desk.paper(
        "P1",
        "early_reason",
        early,
        category="travel",
        text="flight on Monday",
        author="Nurse",
        documented_at="2026-02-05T16:00:00+00:00",
    )
    desk.test("P1", MONDAYS[2], acknowledged=dt.timedelta(days=8))
    desk.patient("P2")
    desk.test("P2", MONDAYS[0])
    total, patient = desk.rows("worklist", "pattern")
    assert (total["scope"], total["tests"], total["early_percent"], total["late_percent"]) == (
        "Home INR service",
        4,
        25.0,
        25.0,
    )
    assert (patient["patient"], patient["early"], patient["late"], patient["manual"]) == ("P1", 1, 1, 0)


def test_strips(desk: Desk) -> None:
    desk.patient()
    desk.paper("P1", "supply_delivery", date="2026-01-20", strips=6, proof="1Z999")
    desk.paper("P1", "supply_delivery", date="2026-02-20", strips=1)
    desk.paper("P1", "supply_waste", date="2026-02-01", strips=1, reason="dropped")
    desk.paper("P1", "supply_contact", date="2026-03-25")
    for taken in MONDAYS[:4]:
        desk.test("P1", taken)
    desk.test("P1", MONDAYS[3], kind=Kind.ERROR)
    (row,) = desk.rows("worklist", "supplies")
    assert (row["on_hand"], row["last_contact"], row["unproven"]) == (1, "2026-03-25", "2026-02-20")
    assert (row["exhausted_on"], row["words"]) == ("2026-04-07", "ask about a refill")


def test_every_list_as_table_csv_and_json(desk: Desk) -> None:
    desk.patient()
    for taken in MONDAYS[:5]:
        desk.test("P1", taken)
    names = ("ready", "held", "aging", "missed-week", "ending", "orders", "filing", "pattern", "supplies")
    for name in names:
        table, as_csv = desk.units("worklist", name), desk.units("worklist", name, "--csv")
        assert (table.code, as_csv.code) == (0, 0)
        assert table.out
        rows = list(csv.DictReader(io.StringIO(as_csv.out)))
        as_json = desk.rows("worklist", name)
        assert [list(row) for row in rows] == [list(row) for row in as_json]
        assert [row.get("patient") for row in rows] == [row.get("patient") for row in as_json]


@pytest.mark.parametrize("zone", ["Pacific/Guam", "Pacific/Pago_Pago", "America/Phoenix", "America/New_York"])
def test_the_patients_own_day_decides(desk: Desk, zone: str) -> None:
    desk.patient("P1", zone=zone)
    for taken in MONDAYS[4:8]:
        desk.test("P1", taken)
    local = {"Pacific/Guam": "2026-03-31", "Pacific/Pago_Pago": "2026-03-30"}.get(zone, "2026-03-30")
    first = {"Pacific/Guam": "2026-03-03", "Pacific/Pago_Pago": "2026-03-02"}.get(zone, "2026-03-02")
    (row,) = desk.rows("worklist", "ready")
    assert (row["tests"][:10], row["date_of_service"]) == (first, local)
