"""The same facts under another policy."""

from __future__ import annotations

import datetime as dt

from tests.unit.claims.desk import MONDAYS, Desk


def saturday_and_sunday(desk: Desk) -> None:
    """Two weeks' tests a day apart: a calendar week takes both, seven days between tests take one."""
    desk.patient()
    desk.test("P1", dt.datetime(2026, 2, 7, 20, tzinfo=dt.UTC))
    desk.test("P1", dt.datetime(2026, 2, 8, 20, tzinfo=dt.UTC))
    for taken in MONDAYS[2:4]:
        desk.test("P1", taken)


def test_the_difference_is_told_unit_by_unit_and_test_by_test(desk: Desk) -> None:
    saturday_and_sunday(desk)
    rows = desk.rows("what-if", "P1", "--policy", "once-a-week-rolling7")
    said = {(row["what"], row["subject"]): (row["now"], row["then"]) for row in rows}
    assert said[("units", "")] == ("1", "0")
    assert said[("unit", "1 2 3 4")] == ("G0249 2026-03-07 billable", "")
    assert said[("test", "2")] == ("in a unit", "LT_7_DAYS")
    assert said[("test", "1")] == ("in a unit", "pending")


def test_everybody_at_once(desk: Desk) -> None:
    saturday_and_sunday(desk)
    desk.patient("P2")
    desk.test("P2", MONDAYS[0])
    rows = desk.rows("what-if", "--all", "--policy", "once-a-week-rolling7 1")
    assert {row["patient"] for row in rows} == {"P1"}


def test_the_policy_in_force_changes_nothing(desk: Desk) -> None:
    saturday_and_sunday(desk)
    assert desk.rows("what-if", "--all", "--policy", "ncd-noridian") == []


def test_an_unknown_policy_is_refused_with_those_there_are(desk: Desk) -> None:
    said = desk.units("what-if", "P1", "--policy", "nonsense")
    assert said.code == 1
    assert "'ncd-noridian 2020-04-29'" in said.err


def test_one_patient_or_all_but_not_none(desk: Desk) -> None:
    assert desk.units("what-if", "--policy", "ncd-noridian").code == 2
