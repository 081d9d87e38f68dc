"""The core against a second tally that shares no code with it, and the promises every tally must keep."""

from __future__ import annotations

import copy
import random
from datetime import date, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.reporting.units.cases import expected_of, parse_case
from gateway.reporting.units.diagnoses import DiagnosisTable
from gateway.reporting.units.model import Statement
from tests.unit.units.oracle import Oracle
from tests.unit.units.strategies import cases, policies, weekly_cases

Json = dict[str, Any]
QUIET = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large)


def state(case: Json, policy: Json, table: DiagnosisTable) -> Statement:
    return parse_case(case, table, policy).tally()


@settings(max_examples=200, deadline=None, suppress_health_check=QUIET)
@given(case=cases() | weekly_cases(), policy=policies())
def test_agrees_with_the_slow_tally(table: DiagnosisTable, case: Json, policy: Json) -> None:
    assert expected_of(state(case, policy, table)) == Oracle(case, policy).expected()


@settings(max_examples=100, deadline=None, suppress_health_check=QUIET)
@given(case=cases() | weekly_cases(), policy=policies(), seed=st.integers(0, 1000))
def test_the_order_of_arrival_is_irrelevant(table: DiagnosisTable, case: Json, policy: Json, seed: int) -> None:
    shuffled = copy.deepcopy(case)
    for key in ("tests", "events", "claimed"):
        random.Random(seed).shuffle(shuffled.get(key, []))
    random.Random(seed).shuffle(shuffled["enrollment"]["tz_history"])
    one, other = expected_of(state(case, policy, table)), expected_of(state(shuffled, policy, table))
    assert sorted(one.pop("not_covered"), key=str) == sorted(other.pop("not_covered"), key=str)  # type: ignore[call-overload]  # a JSON value
    assert one == other


@settings(max_examples=100, deadline=None, suppress_health_check=QUIET)
@given(case=cases() | weekly_cases(), policy=policies())
def test_a_trace_changes_nothing(table: DiagnosisTable, case: Json, policy: Json) -> None:
    inputs = parse_case(case, table, policy)
    traced = inputs.tally(trace=True)
    assert traced == inputs.tally()
    subjects = {step.subject for step in traced.trace or ()}
    assert {test.id for test in inputs.tests} <= subjects
    assert {f"unit {number}" for number in range(1, len(traced.units) + 1)} <= subjects


@settings(max_examples=150, deadline=None, suppress_health_check=QUIET)
@given(case=cases(claims=False) | weekly_cases(claims=False), policy=policies(), later=st.integers(1, 60))
def test_a_claimed_unit_never_changes(table: DiagnosisTable, case: Json, policy: Json, later: int) -> None:
    """Claim everything billable and let more become known: the claims stand, and nothing is paid twice."""
    before = state(case, policy, table)
    claimed = [unit for unit in before.units if unit.status == "billable"]
    after_case = {
        **case,
        "as_of": (date.fromisoformat(case["as_of"]) + timedelta(days=later)).isoformat(),
        "claimed": [
            {
                "tests": list(unit.tests),
                "dos": unit.billable_from.isoformat(),
                "code": unit.code,
                "modifiers": list(unit.modifiers),
            }
            for unit in claimed
        ],
    }
    after = state(after_case, policy, table)
    kept = [unit for unit in after.units if unit.status == "claimed"]
    assert {(frozenset(u.tests), u.billable_from, u.modifiers) for u in kept} == {
        (frozenset(u.tests), u.billable_from, u.modifiers) for u in claimed
    }
    counted = [test_id for unit in after.units for test_id in unit.tests] + list(after.pending)
    assert len(counted) == len(set(counted))


@settings(max_examples=200, deadline=None, suppress_health_check=QUIET)
@given(case=cases() | weekly_cases(), policy=policies())
def test_no_two_unflagged_units_within_the_spacing(table: DiagnosisTable, case: Json, policy: Json) -> None:
    made = [u for u in state(case, policy, table).units if u.status != "claimed"]
    claimed = [u for u in state(case, policy, table).units if u.status == "claimed"]
    for at, unit in enumerate(made):
        for other in [*made[:at], *claimed]:
            if not unit.review_flags and not other.review_flags:
                gap = abs((unit.billable_from - other.billable_from).days)
                # A partial unit ends the service and keeps no spacing; within 28 days, fixed, it is flagged (R25).
                both_full = unit.is_full and other.is_full
                wanted = policy["min_days_between_dos"] if both_full else min(28, policy["min_days_between_dos"])
                assert gap >= wanted, (unit, other)


@settings(max_examples=200, deadline=None, suppress_health_check=QUIET)
@given(case=cases(claims=False) | weekly_cases(claims=False), policy=policies())
def test_what_is_no_patient_test_never_counts(table: DiagnosisTable, case: Json, policy: Json) -> None:
    statement = state(case, policy, table)
    kinds = {test["id"]: test for test in case["tests"]}
    counted = [test_id for unit in statement.units for test_id in unit.tests] + list(statement.pending)
    for test_id in counted:
        assert kinds[test_id]["kind"] == "patient"
        assert not kinds[test_id].get("voided")
        assert kinds[test_id]["inr"] is not None or kinds[test_id]["inr_text"]
    refused = [entry.test for entry in statement.not_covered]
    assert sorted([*counted, *refused]) == sorted(kinds), "every test is counted or has a reason, never both"
