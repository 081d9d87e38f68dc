"""A policy that changes: each unit follows the version in force on its date of service."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.reporting.units import model
from gateway.reporting.units.diagnoses import DiagnosisTable
from gateway.reporting.units.policy import Policy, choose
from gateway.reporting.units.tally import tally
from gateway.reporting.units.versions import earlier_versions, tally_versions
from tests.unit.units.build import ENROLLED, a_test, policy, weekly

AS_OF = dt.date(2024, 9, 30)
EARLY = model.EarlyReason("travel", "away from Thursday on", dt.datetime(2024, 6, 14, 12, tzinfo=dt.UTC), "RN")


def versions(table: DiagnosisTable, second_from: dt.date, **changes: Any) -> tuple[Policy, Policy]:
    """A policy that knows early tests, and its successor that does not."""
    first = replace(policy(table), id="p 1", payers=(ENROLLED.payer,), effective_from=dt.date(2020, 1, 1))
    second = replace(first, id="p 2", early_rule="never", effective_from=second_from)
    return replace(first, effective_to=second_from - dt.timedelta(days=1)), replace(second, **changes)


def with_an_early_test() -> list[model.Test]:
    """Weeks of 5 and 12 June, a stand-in for that of 19 June, then from 26 June on."""
    early = a_test("e", "2024-06-14T08:00:00-07:00", reason_early=EARLY)
    return [test if test.id != "t3" else early for test in weekly(9)]


def made(
    book: Sequence[Policy],
    tests: Sequence[model.Test],
    claimed: Sequence[model.ClaimedUnit] = (),
    *,
    trace: bool = False,
) -> model.Statement:
    return tally_versions(ENROLLED, tests, (), claimed, book, AS_OF, trace=trace)


def test_a_unit_keeps_the_rules_of_its_date_of_service(table: DiagnosisTable) -> None:
    old, new = versions(table, dt.date(2024, 7, 10))
    statement = made((old, new), with_an_early_test())
    assert [unit.tests for unit in statement.units] == [("t1", "t2", "e", "t4"), ("t5", "t6", "t7", "t8")]
    assert statement.units[0].billable_from == dt.date(2024, 7, 3)
    assert statement.units[0].status == "billable"
    assert statement.units[0].review_flags == ("EARLY_TEST",)
    assert statement.policy == "p 2"
    assert statement.not_covered == ()
    assert statement.pending == ("t9",)


def test_a_unit_of_the_successors_days_is_judged_by_the_successor(table: DiagnosisTable) -> None:
    statement = made(versions(table, dt.date(2024, 7, 3)), with_an_early_test())
    assert statement.units[0].tests == ("t1", "t2", "t4", "t5")
    assert [(each.test, each.reason) for each in statement.not_covered] == [("e", "EARLY_NOT_ALLOWED")]


def test_units_of_two_versions_keep_their_distance(table: DiagnosisTable) -> None:
    book = versions(table, dt.date(2024, 7, 10), min_days_first_test_to_dos=0, min_days_between_dos=45)
    first, second = made(book, weekly(8)).units
    assert second.billable_from == first.billable_from + dt.timedelta(days=45)


def test_a_claimed_unit_is_flagged_by_the_version_of_its_own_date(table: DiagnosisTable) -> None:
    by_hand = [test._replace(source="manual", attested=True) for test in weekly(4)]
    claimed = (model.ClaimedUnit(("t1", "t2", "t3", "t4"), dt.date(2024, 7, 3)),)
    old, new = versions(table, dt.date(2024, 7, 10), manual_entry="exclude")
    assert made((old, new), by_hand, claimed).units[0].review_flags == ()
    assert made((old, new), by_hand, claimed).not_covered == ()
    assert made((new,), by_hand, claimed).units[0].review_flags == ("CLAIMED_TEST_INVALIDATED",)


def test_the_trace_tells_of_each_unit_what_its_own_version_found(table: DiagnosisTable) -> None:
    statement = made(versions(table, dt.date(2024, 7, 10)), with_an_early_test(), trace=True)
    assert statement.trace is not None
    assert [step.finding for step in statement.trace if step.subject == "e"] == ["COUNTABLE", "STAND_IN"]
    for number, unit in enumerate(statement.units, 1):
        steps = [step for step in statement.trace if step.subject == f"unit {number}"]
        assert [dict(step.facts)["tests"] for step in steps if step.finding == "UNIT"] == [", ".join(unit.tests)]


@given(st.dates(dt.date(2024, 5, 1), AS_OF))
def test_a_version_that_changes_nothing_changes_nothing(table: DiagnosisTable, second_from: dt.date) -> None:
    old, new = versions(table, second_from, early_rule="fill_missed_next_week")
    tests = with_an_early_test()
    one = tally(ENROLLED, tests, (), (), new, AS_OF)
    both = made((old, new), tests)
    assert both.units == one.units
    assert (both.pending, both.not_covered, both.next_eligible) == (one.pending, one.not_covered, one.next_eligible)


class TestEarlierVersions:
    def test_all_since_the_first_test_are_found(self, table: DiagnosisTable) -> None:
        old, new = versions(table, dt.date(2024, 7, 10))
        last = choose((old, new), ENROLLED.payer, AS_OF)
        assert last is new
        assert earlier_versions((new, old), last, ENROLLED.payer, None, dt.date(2024, 6, 5)) == [old]
        assert earlier_versions((new, old), last, ENROLLED.payer, None, dt.date(2024, 7, 10)) == []

    def test_before_a_gap_there_is_none(self, table: DiagnosisTable) -> None:
        old, new = versions(table, dt.date(2024, 7, 10))
        old = replace(old, effective_to=dt.date(2024, 7, 8))
        assert earlier_versions((old, new), new, ENROLLED.payer, None, dt.date(2024, 6, 5)) == []

    @pytest.mark.parametrize(("mac", "found"), [("noridian", ["n 1"]), ("other", [])])
    def test_the_contractors_own_is_found(self, table: DiagnosisTable, mac: str, found: list[str]) -> None:
        old, new = versions(table, dt.date(2024, 7, 10))
        old = replace(old, id="n 1", macs=("noridian",))
        names = [each.id for each in earlier_versions((old, new), new, ENROLLED.payer, mac, dt.date(2024, 6, 5))]
        assert names == found
