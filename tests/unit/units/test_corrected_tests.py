"""Corrections of corrections: one test, its latest version (rule R22), whatever else the records share."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.reporting.units import model
from gateway.reporting.units.diagnoses import DiagnosisTable
from gateway.reporting.units.tally import tally
from tests.unit.units.build import ENROLLED, a_test, policy, weekly

AS_OF = dt.date(2024, 7, 5)
RECORD: dict[str, Any] = {"device_serial": "S", "device_seq": 1}


def told(day: str) -> dt.datetime:
    return dt.datetime.fromisoformat(f"2024-{day}T09:00:00-07:00")


def version(name: str, taken: str, told_on: str, of: str = "t3", **more: Any) -> model.Test:
    at = told(told_on)
    return a_test(name, f"2024-{taken}T08:00:00-07:00", reported_at=at, acknowledged_at=at, corrects=of, **more)


def tallied(table: DiagnosisTable, tests: Sequence[model.Test]) -> model.Statement:
    """The statement, which must be the same for the tests in the other order."""
    one, other = (tally(ENROLLED, each, (), (), policy(table), AS_OF) for each in (tests, tests[::-1]))
    assert (one.units, one.pending) == (other.units, other.pending)
    return one


def out(statement: model.Statement) -> dict[str, str]:
    return {each.test: each.reason for each in statement.not_covered}


def test_two_corrections_of_one_result_are_one_test(table: DiagnosisTable) -> None:
    made = tallied(table, [*weekly(4), version("b", "06-19", "06-20"), version("c", "06-19", "06-21")])
    assert made.units[0].tests == ("t1", "t2", "c", "t4")
    assert out(made) == {"t3": "SUPERSEDED", "b": "SUPERSEDED"}


@pytest.mark.parametrize(
    ("b", "c", "last"),
    [
        ({"reported_at": told("06-21")}, {"reported_at": told("06-20")}, "b"),
        ({"reported_at": told("06-21")}, {"reported_at": told("06-20"), "acknowledged_at": told("06-22")}, "b"),
        ({"reported_at": None}, {"reported_at": told("06-19")}, "b"),
        ({"reported_at": None}, {"reported_at": told("06-21")}, "c"),
    ],
)
def test_the_report_says_which_was_told_last(
    table: DiagnosisTable, b: dict[str, Any], c: dict[str, Any], last: str
) -> None:
    versions = [version(name, "06-19", "06-20")._replace(**stamps) for name, stamps in (("b", b), ("c", c))]
    assert tallied(table, [*weekly(4), *versions]).units[0].tests == ("t1", "t2", last, "t4")


def test_two_corrections_into_two_weeks_never_count_twice(table: DiagnosisTable) -> None:
    made = tallied(table, [*weekly(3), version("b", "06-26", "06-27"), version("c", "07-03", "07-04")])
    assert made.units == ()
    assert made.pending == ("t1", "t2", "c")


def test_a_branch_of_versions_ends_in_the_one_told_last(table: DiagnosisTable) -> None:
    branch = [
        version("b", "06-19", "06-20"),
        version("c", "06-19", "06-21"),
        version("d", "06-19", "06-22", of="b"),
    ]
    assert tallied(table, [*weekly(4), *branch]).units[0].tests == ("t1", "t2", "d", "t4")


def test_a_void_latest_version_brings_no_older_one_back(table: DiagnosisTable) -> None:
    made = tallied(table, [*weekly(4), version("b", "06-19", "06-20"), version("c", "06-19", "06-21", voided=True)])
    assert made.pending == ("t1", "t2", "t4")
    assert out(made) == {"t3": "SUPERSEDED", "b": "SUPERSEDED", "c": "VOIDED"}


def test_copies_of_a_correction_are_no_versions(table: DiagnosisTable) -> None:
    copies = [version("b", "06-19", "06-20", **RECORD), version("c", "06-19", "06-21", **RECORD)]
    made = tallied(table, [*weekly(4), *copies])
    assert made.units[0].tests == ("t1", "t2", "b", "t4")
    assert out(made)["c"] == "DUPLICATE"


def test_corrections_of_two_copies_are_versions_of_one_test(table: DiagnosisTable) -> None:
    tests = weekly(4)
    tests[2] = tests[2]._replace(**RECORD)
    corrections = [version("b", "06-19", "06-20"), version("c", "07-03", "07-04", of="t3x")]
    made = tallied(table, [*tests, tests[2]._replace(id="t3x"), *corrections])
    assert "c" in made.units[0].tests
    assert out(made)["b"] == "SUPERSEDED"


def test_corrections_of_different_tests_are_different_tests(table: DiagnosisTable) -> None:
    made = tallied(table, [*weekly(4), version("b", "06-19", "06-20"), version("c", "06-26", "06-27", of="t4")])
    assert made.units[0].tests == ("t1", "t2", "b", "c")


def test_a_ring_of_corrections_ends(table: DiagnosisTable) -> None:
    ring = [
        version("a", "06-19", "06-20", of="b"),
        version("b", "06-19", "06-20", of="a"),
        version("c", "06-19", "06-20", of="a"),
    ]
    made = tallied(table, [*weekly(2), *ring])
    assert {"a", "b"} <= set(out(made))


@pytest.mark.parametrize("more", [{}, RECORD])
def test_a_correction_by_hand_is_no_copy_of_what_it_corrects(table: DiagnosisTable, more: dict[str, Any]) -> None:
    tests = weekly(4)
    tests[2] = tests[2]._replace(**more)
    by_hand = version("b", "06-19", "06-20", source="manual", attested=True, **more)
    made = tallied(table, [*tests, by_hand])
    assert made.units[0].tests == ("t1", "t2", "b", "t4")
    assert out(made) == {"t3": "SUPERSEDED"}


def test_a_correction_by_hand_may_be_a_copy_of_another_record(table: DiagnosisTable) -> None:
    by_hand = version("b", "06-12", "06-20", source="manual", attested=True)
    made = tallied(table, [*weekly(4), by_hand])
    assert made.pending == ("t1", "t2", "t4")
    assert out(made) == {"t3": "SUPERSEDED", "b": "DUPLICATE"}


def test_the_trace_names_a_flags_own_rule(table: DiagnosisTable) -> None:
    tests = weekly(4)
    tests[2] = tests[2]._replace(source="manual", attested=True)
    trace = tally(ENROLLED, tests, (), (), policy(table), AS_OF, trace=True).trace or ()
    flags = [(step.rule, dict(step.facts)["flag"]) for step in trace if step.finding == "FLAG"]
    assert flags == [("R21", "MANUAL_ENTRY")]
