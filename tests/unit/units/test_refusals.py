"""Every refusal is a clear error that names the case and the field, and leaves nothing behind."""

from __future__ import annotations

import copy
import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import main
from gateway.reporting.units import errors, model
from gateway.reporting.units.cases import evaluate, parse_case
from gateway.reporting.units.claims import check_claimed, claim
from gateway.reporting.units.diagnoses import DiagnosisTable
from gateway.reporting.units.tally import tally
from tests.unit.units.build import ENROLLED, a_test, policy, weekly

CASE: dict[str, Any] = {
    "id": "K1",
    "enrollment": {
        "tz": "America/Phoenix",
        "payer": "medicare_ffs",
        "diagnosis": ["I48.20"],
        "valve_type": None,
        "anticoagulant": "warfarin",
        "warfarin_start": "2024-01-02",
        "training_date": "2024-05-01",
        "training_documented": True,
        "orders": [{"signed_on": "2024-04-25", "expires_on": None}],
    },
    "tests": [
        {
            "id": f"t{n}",
            "kind": "patient",
            "source": "device",
            "inr": 2.5,
            "taken_at": f"2024-06-{5 + 7 * n:02}T08:00:00",
        }
        for n in range(4)
    ],
    "events": [],
    "claimed": [{"tests": ["t0", "t1"], "dos": "2024-07-03", "code": "G0249", "modifiers": ["52"]}],
    "as_of": "2024-07-05",
}


def changed(path: str, value: object) -> dict[str, Any]:
    """The case with the field at `path` set."""
    case = copy.deepcopy(CASE)
    place: Any = case
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in steps:
        place = place[step]
    if last == "+":
        place.append(value)
    else:
        place[last] = value
    return case


@pytest.mark.parametrize(
    ("path", "value", "error", "field"),
    [
        ("enrollment.diagnosis", ["atrial"], errors.BadCodeError, "enrollment.diagnosis[0]"),
        ("enrollment.diagnosis", ["I48.20", "4"], errors.BadCodeError, "enrollment.diagnosis[1]"),
        ("enrollment.valve_type", "plastic", errors.BadCodeError, "enrollment.valve_type"),
        ("enrollment.tz", "Mars/Olympus", errors.UnknownZoneError, "enrollment.tz"),
        ("enrollment.tz", "../etc/passwd", errors.UnknownZoneError, "enrollment.tz"),
        (
            "enrollment.tz_history",
            [{"tz": "Nowhere", "from": "2024-01-01"}],
            errors.UnknownZoneError,
            "enrollment.tz_history[0].tz",
        ),
        (
            "enrollment.tz_history",
            [{"tz": "Pacific/Guam", "from": "2024-01-01"}, {"tz": "America/Phoenix", "from": "2024-01-01"}],
            errors.BadValueError,
            "enrollment.tz_history",
        ),
        ("enrollment.orders.0.signed_on", None, errors.UnsignedOrderError, "enrollment.orders[0].signed_on"),
        ("enrollment.orders.0.signed_on", "", errors.UnsignedOrderError, "enrollment.orders[0].signed_on"),
        ("enrollment.orders.0.expires_on", "2024-01-01", errors.DateOrderError, "enrollment.orders[0].expires_on"),
        ("enrollment.training_documented", "yes", errors.BadValueError, "enrollment.training_documented"),
        ("enrollment.warfarin_start", "2024-02-30", errors.BadValueError, "enrollment.warfarin_start"),
        ("enrollment.policy", {"early_rule": "always"}, errors.BadCodeError, "enrollment.policy.early_rule"),
        ("enrollment.policy", {"week_bassis": "rolling7"}, errors.BadCodeError, "enrollment.policy.week_bassis"),
        (
            "enrollment.policy",
            {"min_days_between_dos": -1},
            errors.BadValueError,
            "enrollment.policy.min_days_between_dos",
        ),
        ("enrollment", None, errors.BadValueError, "enrollment"),
        ("tests.2.kind", "blood", errors.BadCodeError, "tests[2].kind"),
        ("tests.2.source", None, errors.BadCodeError, "tests[2].source"),
        ("tests.2.taken_at", "2024-06-05", errors.BadValueError, "tests[2].taken_at"),
        ("tests.2.taken_at", None, errors.BadValueError, "tests[2].taken_at"),
        ("tests.2.inr", "high", errors.BadValueError, "tests[2].inr"),
        ("tests.2.inr", True, errors.BadValueError, "tests[2].inr"),
        ("tests.2.reason_early", {"category": "whim"}, errors.BadCodeError, "tests[2].reason_early.category"),
        ("tests.2.corrects", "t2", errors.BadValueError, "test t2"),
        ("tests.2.id", "t1", errors.DuplicateTestError, "tests"),
        ("tests.2", "t2", errors.BadValueError, "tests[2]"),
        ("tests", {}, errors.BadValueError, "tests"),
        ("events", [{"type": "moved", "date": "2024-06-01"}], errors.BadCodeError, "events[0].type"),
        ("events", [{"type": "death"}], errors.BadValueError, "events[0].date"),
        ("claimed.0.code", "G0248", errors.BadCodeError, "claimed[0].code"),
        ("claimed.0.tests", ["t0", "t9"], errors.UnknownTestError, "claimed[0].tests"),
        ("claimed.0.tests", [], errors.BadValueError, "claimed[0].tests"),
        ("claimed.0.tests", ["t0", "t0"], errors.DuplicateClaimError, "claimed[0].tests"),
        ("claimed.+", CASE["claimed"][0], errors.DuplicateClaimError, "claimed[1].tests"),
        ("as_of", "yesterday", errors.BadValueError, "as_of"),
        ("service", "G0248", errors.BadCodeError, "service"),
    ],
)
def test_a_bad_input_is_refused_by_name(
    table: DiagnosisTable, path: str, value: object, error: type[errors.UnitsError], field: str
) -> None:
    case = changed(path, value)
    before = copy.deepcopy(case)
    with pytest.raises(error) as refused:
        list(evaluate({"cases": [case]}, table))
    assert refused.value.subject == "case K1"
    assert refused.value.field == field
    assert str(refused.value).startswith(f"case K1: {field}: ")
    assert refused.value.remedy
    assert case == before


def test_the_plain_case_is_not_refused(table: DiagnosisTable) -> None:
    assert parse_case(CASE, table).tally().units[0].status == "claimed"


def test_fields_that_nobody_reads_are_named(table: DiagnosisTable) -> None:
    case = changed("tests.1.acknowleged_at", "2024-06-12T09:00:00")
    (evaluation,) = evaluate({"cases": [case]}, table)
    assert evaluation.unread == ("tests[1].acknowleged_at",)


def test_the_core_itself_refuses_what_no_reader_has_checked(table: DiagnosisTable) -> None:
    as_of = dt.date(2024, 7, 5)
    house = policy(table)

    def run(enrollment: model.Enrollment = ENROLLED, **changes: Any) -> None:
        tally(enrollment, [a_test("t1", "2024-06-05T08:00:00", **changes)], (), (), house, as_of)

    with pytest.raises(errors.UnknownZoneError):
        run(replace(ENROLLED, tz="Moon"))
    with pytest.raises(errors.BadCodeError):
        run(replace(ENROLLED, diagnosis=("?",)))
    with pytest.raises(errors.DateOrderError, match=r"orders\[0\]\.expires_on"):
        run(replace(ENROLLED, orders=(model.Order(dt.date(2024, 5, 1), dt.date(2024, 4, 1)),)))
    with pytest.raises(errors.BadCodeError, match="kind"):
        run(kind="unheard of")
    with pytest.raises(errors.BadCodeError, match="category"):
        run(reason_early=model.EarlyReason("whim", "x", None, "RN"))  # type: ignore[arg-type]  # on purpose
    with pytest.raises(errors.BadCodeError, match="events"):
        tally(ENROLLED, [], [model.Event("gone", as_of)], (), house, as_of)  # type: ignore[arg-type]  # on purpose


class TestClaiming:
    def test_a_billable_unit_becomes_a_claim_once(self, table: DiagnosisTable) -> None:
        tests, house, as_of = weekly(4), policy(table), dt.date(2024, 7, 5)
        statement = tally(ENROLLED, tests, (), (), house, as_of)
        made = claim(statement, statement.units[0], (), tests)
        assert made == model.ClaimedUnit(("t1", "t2", "t3", "t4"), dt.date(2024, 7, 3), "G0249", ())
        with pytest.raises(errors.DuplicateClaimError, match="already claimed"):
            claim(statement, statement.units[0], [made], tests)
        again = tally(ENROLLED, tests, (), [made], house, as_of)
        with pytest.raises(errors.DuplicateClaimError):
            claim(again, again.units[0], [made], tests)

    def test_a_unit_is_not_claimed_before_its_date(self, table: DiagnosisTable) -> None:
        tests = weekly(4)
        statement = tally(ENROLLED, tests, (), (), policy(table), dt.date(2024, 7, 2))
        with pytest.raises(errors.DateOrderError, match="2024-07-03, has not come"):
            claim(statement, statement.units[0], (), tests)

    def test_a_unit_of_another_statement_is_refused(self, table: DiagnosisTable) -> None:
        tests = weekly(4)
        unit = tally(ENROLLED, tests, (), (), policy(table), dt.date(2024, 7, 5)).units[0]
        empty = tally(ENROLLED, tests, (), (), policy(table), dt.date(2024, 6, 5))
        with pytest.raises(errors.BadValueError, match="does not stand in this statement"):
            claim(empty, unit, (), tests)

    def test_one_test_may_be_in_a_claim_of_each_code(self) -> None:
        tests, dos = weekly(4), dt.date(2024, 7, 3)
        ids = tuple(test.id for test in tests)
        check_claimed([model.ClaimedUnit(ids, dos, "G0249"), model.ClaimedUnit(ids, dos, "G0250")], tests)


def test_a_refused_case_does_not_hide_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = {
        "id": "good",
        "enrollment": {"tz": "UTC", "payer": "x"},
        "tests": [],
        "as_of": "2024-07-05",
        "expected": {"pending_count": 1},
    }
    path = tmp_path / "cases.json"
    path.write_text(json.dumps({"cases": [{**good, "id": "bad", "as_of": "yesterday"}, good]}))
    assert main(["units", "evaluate", str(path), "--check"]) == 1
    said = capsys.readouterr()
    assert "good: pending_count: computed 0, expected 1" in said.out
    assert "case bad: as_of" in said.err
