"""The worked cases that stand beside the project, with every policy variant."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.reporting.units.cases import differences, evaluate
from gateway.reporting.units.diagnoses import DiagnosisTable
from gateway.reporting.units.errors import BadValueError


def test_every_case_and_variant_agrees(golden: dict[str, Any], table: DiagnosisTable) -> None:
    found = list(evaluate(golden, table))
    assert len(found) == len(golden["cases"]) + sum(len(c.get("policy_variants", [])) for c in golden["cases"])
    assert {f"{e.case} {dict(e.variant)}": e.differences for e in found if e.differences} == {}
    assert {e.case: e.unread for e in found if e.unread} == {}


def test_every_case_states_what_is_expected_and_all_fields_are_compared(
    golden: dict[str, Any], table: DiagnosisTable
) -> None:
    for evaluation in evaluate(golden, table):
        assert evaluation.expected is not None
        assert set(evaluation.expected) <= set(evaluation.computed)
        if evaluation.expected["units"]:
            assert set(evaluation.expected["units"][0]) == set(evaluation.computed["units"][0])  # type: ignore[index]  # a JSON value


def test_one_case_can_be_asked_for(golden: dict[str, Any], table: DiagnosisTable) -> None:
    first = golden["cases"][0]["id"]
    assert {evaluation.case for evaluation in evaluate(golden, table, first)} == {first}
    with pytest.raises(BadValueError, match="no case is called 'nowhere'"):
        list(evaluate(golden, table, "nowhere"))


def test_a_difference_names_its_place() -> None:
    computed = {"units": [{"tests": ["t1"], "status": "billable"}], "pending_count": 0}
    expected = {"units": [{"tests": ["t2"], "status": "billable"}], "pending_count": 0, "other": 1}
    assert differences(computed, expected) == (
        "units[0].tests[0]: computed 't1', expected 't2'",
        "other: not computed",
    )
    assert differences(computed, {"units": []}) == (f"units: computed {computed['units']!r}, expected []",)
    assert differences(computed, {"pending_count": 0}) == ()
