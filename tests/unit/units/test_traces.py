"""The trace says by which rule and on which dates each decision rests: whole traces, step by step."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from gateway.reporting.units import model
from gateway.reporting.units.diagnoses import DiagnosisTable
from gateway.reporting.units.tally import tally
from tests.unit.units.build import ENROLLED, a_test, policy, weekly

AS_OF = dt.date(2024, 8, 5)
MORNING = "T08:00:00-07:00"


def traced(
    table: DiagnosisTable,
    tests: list[model.Test],
    events: list[model.Event] | None = None,
    claimed: list[model.ClaimedUnit] | None = None,
    patient: model.Enrollment = ENROLLED,
    **options: object,
) -> dict[str, list[str]]:
    """The steps about each subject, each as one line."""
    house = policy(table, **options)
    statement = tally(patient, tests, events or [], claimed or [], house, AS_OF, trace=True)
    lines: dict[str, list[str]] = {}
    for step in statement.trace or ():
        facts = " ".join(f"{name}={value}" for name, value in step.facts)
        lines.setdefault(step.subject, []).append(f"{step.rule} {step.finding} {facts}")
    return lines


def travel(day: str) -> model.EarlyReason:
    return model.EarlyReason("travel", "away", dt.datetime.fromisoformat(day + MORNING), "RN")


def test_a_stand_in_and_its_unit(table: DiagnosisTable) -> None:
    early = a_test("e", "2024-06-21" + MORNING, reason_early=travel("2024-06-20"))
    lines = traced(table, [*weekly(3), early])
    assert lines["t1"] == [
        "R3 COUNTABLE test=2024-06-05 evidence=2024-06-05",
        "R2 OWN_WEEK test=2024-06-05 week of=2024-06-02",
    ]
    assert lines["e"] == [
        "R3 COUNTABLE test=2024-06-21 evidence=2024-06-21",
        "R8 STAND_IN test=2024-06-21 week of=2024-06-23 early reason=travel documented=2024-06-20",
    ]
    assert lines["unit 1"] == [
        "R1 UNIT tests=t1, t2, t3, e",
        "R10 LAST_EVIDENCE date=2024-06-21",
        "R14 FIRST_TEST_PLUS date=2024-07-03",
        "R14 STAND_IN_WEEK_OVER date=2024-06-30",
        "R14 BILLABLE_FROM date=2024-07-03",
        "R8 FLAG flag=EARLY_TEST",
    ]


def test_no_week_for_an_early_test(table: DiagnosisTable) -> None:
    tests = [
        *weekly(2),
        a_test("n", "2024-06-06" + MORNING),
        a_test("u", "2024-06-07" + MORNING, reason_early=travel("2024-06-06")),
    ]
    assert traced(table, tests)["n"][1] == "R6 SAME_WEEK_NO_REASON test=2024-06-06 week of=2024-06-02"
    facts = "early reason=travel documented=2024-06-06"
    assert traced(table, tests)["u"][1] == f"R8 NEXT_WEEK_USED test=2024-06-07 week of=2024-06-09 {facts}"
    never = traced(table, tests, early_rule="never")["u"][1]
    assert never == f"R8 EARLY_NOT_ALLOWED test=2024-06-07 week of=2024-06-02 {facts}"


def test_a_claimed_unit_and_the_one_spaced_after_it(table: DiagnosisTable) -> None:
    claimed = [model.ClaimedUnit(("t1", "t2", "t3", "t4"), dt.date(2024, 7, 10))]
    lines = traced(table, weekly(8), claimed=claimed)
    assert lines["unit 1"] == ["R13 CLAIMED tests=t1, t2, t3, t4 date=2024-07-10"]
    assert lines["unit 2"] == [
        "R1 UNIT tests=t5, t6, t7, t8",
        "R10 LAST_EVIDENCE date=2024-07-24",
        "R14 FIRST_TEST_PLUS date=2024-07-31",
        "R15 SPACED date=2024-08-07",
        "R14 BILLABLE_FROM date=2024-08-07",
    ]
    assert lines["t5"][1:] == ["R2 OWN_WEEK test=2024-07-03 week of=2024-06-30"]
    voided = [test._replace(voided=test.id == "t2") for test in weekly(8)]
    assert traced(table, voided, claimed=claimed)["unit 1"][1:] == ["R22 CLAIMED_TEST_INVALIDATED test=t2"]


def test_a_whole_unit_pulled_back_to_the_death(table: DiagnosisTable) -> None:
    lines = traced(table, weekly(4), [model.Event("death", dt.date(2024, 6, 30))])
    assert lines["unit 1"] == [
        "R1 UNIT tests=t1, t2, t3, t4",
        "R10 LAST_EVIDENCE date=2024-06-26",
        "R14 FIRST_TEST_PLUS date=2024-07-03",
        "R25 PULLED_BACK date=2024-06-30",
        "R14 BILLABLE_FROM date=2024-06-30",
        "R25 FLAG flag=PERIOD_LT_28_DAYS_TERMINATION",
    ]


def test_a_partial_unit_after_a_whole_one(table: DiagnosisTable) -> None:
    lines = traced(table, weekly(6), [model.Event("death", dt.date(2024, 7, 11))])
    assert lines["unit 2"] == [
        "R1 UNIT tests=t5, t6",
        "R23 PARTIAL_death date=2024-07-11",
        "R10 LAST_EVIDENCE date=2024-07-10",
        "R25 DAY_AFTER_PREVIOUS_UNIT date=2024-07-04",
        "R25 BILLABLE_FROM date=2024-07-10",
        "R25 FLAG flag=WITHIN_28_DAYS_OF_PREVIOUS_DOS",
    ]
    claimed = [model.ClaimedUnit(("t1", "t2", "t3", "t4"), dt.date(2024, 7, 15))]
    lines = traced(table, weekly(6), [model.Event("death", dt.date(2024, 7, 11))], claimed)
    assert lines["unit 2"][3:5] == [
        "R25 DAY_AFTER_PREVIOUS_UNIT date=2024-07-16",
        "R25 PULLED_BACK date=2024-07-11",
    ]


def test_a_partial_unit_names_the_last_of_several_before_it(table: DiagnosisTable) -> None:
    lines = traced(table, weekly(9), [model.Event("withdrawn", dt.date(2024, 8, 1))])
    assert lines["unit 2"][-1] == "R14 BILLABLE_FROM date=2024-07-31"
    assert lines["unit 3"][3:5] == [
        "R25 DAY_AFTER_PREVIOUS_UNIT date=2024-08-01",
        "R25 BILLABLE_FROM date=2024-08-01",
    ]


def test_evidence_on_the_last_covered_day_is_not_pulled_back(table: DiagnosisTable) -> None:
    lines = traced(table, weekly(2), [model.Event("death", dt.date(2024, 6, 12))])
    assert lines["unit 1"] == [
        "R1 UNIT tests=t1, t2",
        "R23 PARTIAL_death date=2024-06-12",
        "R10 LAST_EVIDENCE date=2024-06-12",
        "R25 BILLABLE_FROM date=2024-06-12",
    ]


def test_seven_days_and_any_four(table: DiagnosisTable) -> None:
    close = a_test("x", "2024-06-17" + MORNING)
    rolling = traced(table, [*weekly(2), close], week_basis="rolling7")
    assert rolling["x"][1:] == ["R2b LT_7_DAYS test=2024-06-17 counted test=2024-06-12"]
    assert rolling["t2"][1:] == ["R2b OWN_WEEK test=2024-06-12 week of=2024-06-09"]
    early = a_test("x", "2024-06-14" + MORNING, reason_early=travel("2024-06-14"))
    any_four = traced(table, [*weekly(2), early], early_rule="literal_any4")
    assert any_four["t2"][1:] == ["R9 OWN_WEEK test=2024-06-12 week of=2024-06-09"]
    facts = "early reason=travel documented=2024-06-14"
    assert any_four["x"][1:] == [f"R9 EARLY_ACCEPTED test=2024-06-14 week of=2024-06-09 {facts}"]


def test_the_gates_name_their_dates(table: DiagnosisTable) -> None:
    orders = (model.Order(dt.date(2024, 4, 25), dt.date(2024, 6, 10)), model.Order(dt.date(2024, 6, 20)))
    patient = replace(ENROLLED, orders=orders, warfarin_start=dt.date(2024, 3, 6), covered_from=dt.date(2024, 6, 7))
    tests = [*weekly(2), a_test("c", "2024-06-06" + MORNING), a_test("o", "2024-05-01" + MORNING)]
    lines = traced(table, tests, patient=patient)
    spans = "orders=2024-04-25 to 2024-06-10, 2024-06-20 to no end"
    assert lines["t1"] == [
        "R28 WARFARIN_LT_3_MONTHS test=2024-06-05 warfarin since=2024-03-06 three months on=2024-06-06"
    ]
    assert lines["t2"] == [f"R29 NO_ACTIVE_ORDER test=2024-06-12 {spans}"]
    assert lines["c"] == ["R37 BEFORE_COVERAGE test=2024-06-06 covered from=2024-06-07"]
    assert lines["o"] == ["R27 TRAINING_DAY test=2024-05-01 training=2024-05-01"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"warfarin_start": None}, "R28 WARFARIN_LT_3_MONTHS {} warfarin since=not stated three months on=no end"),
        ({"anticoagulant": None}, "R28 NOT_ON_WARFARIN {} anticoagulant=not stated"),
        ({"anticoagulant": "apixaban"}, "R28 NOT_ON_WARFARIN {} anticoagulant=apixaban"),
        ({"diagnosis": ("I10", "I11.9")}, "R26 DIAGNOSIS_NOT_COVERED {} diagnosis=I10, I11.9 valve=not stated"),
        (
            {"diagnosis": ("Z95.2",), "valve_type": "bioprosthetic"},
            "R26 DIAGNOSIS_NOT_COVERED {} diagnosis=Z95.2 valve=bioprosthetic",
        ),
        ({"orders": ()}, "R29 NO_ACTIVE_ORDER {} orders=none"),
        ({"training_documented": False}, "R27 TRAINING_NOT_DOCUMENTED {}"),
        ({"training_date": dt.date(2024, 6, 6)}, "R27 BEFORE_TRAINING {} training=2024-06-06"),
    ],
)
def test_what_is_not_stated_is_said_to_be(table: DiagnosisTable, changes: dict[str, object], expected: str) -> None:
    patient = replace(ENROLLED, **changes)  # type: ignore[arg-type]  # fields by name
    (line,) = traced(table, weekly(1), patient=patient)["t1"]
    assert line.strip() == expected.format("test=2024-06-05")


@pytest.mark.parametrize(
    ("taken", "drug"),
    [
        ("06-04", "none on record"),
        ("06-05", "heparin"),
        ("06-10", "heparin"),
        ("06-11", "none on record"),
        ("06-12", "apixaban"),
        ("07-30", "apixaban"),
    ],
)
def test_the_drug_of_the_day_is_named(table: DiagnosisTable, taken: str, drug: str) -> None:
    therapies = (
        model.Therapy("heparin", dt.date(2024, 6, 5), dt.date(2024, 6, 10)),
        model.Therapy("apixaban", dt.date(2024, 6, 12)),
    )
    lines = traced(table, [a_test("t", f"2024-{taken}{MORNING}")], patient=replace(ENROLLED, therapies=therapies))
    assert lines["t"] == [f"R28 NOT_ON_WARFARIN test=2024-{taken} anticoagulant={drug}"]


def test_evidence_is_dated_in_the_zone_of_its_own_moment(table: DiagnosisTable) -> None:
    moved = (model.ZoneChange(dt.date(2024, 6, 20), "Pacific/Guam"),)
    patient = replace(ENROLLED, tz="Pacific/Honolulu", tz_history=moved)
    test = a_test("t", "2024-06-19T13:30:00+00:00")
    assert traced(table, [test], patient=patient)["t"][0] == "R3 COUNTABLE test=2024-06-19 evidence=2024-06-20"


def test_the_end_of_the_service_in_the_trace(table: DiagnosisTable) -> None:
    late = a_test("z", "2024-06-17" + MORNING, acknowledged_at=dt.datetime(2024, 6, 19, 12, tzinfo=dt.UTC))
    lines = traced(table, [*weekly(3), late], [model.Event("ma_transfer", dt.date(2024, 6, 18))])
    assert lines["z"] == ["R25 ACK_AFTER_END test=2024-06-17 last covered day=2024-06-17 evidence=2024-06-19"]
    assert lines["t3"] == ["R25 NOT_FFS test=2024-06-19 ma_transfer=2024-06-18"]
    lines = traced(table, weekly(3), [model.Event("withdrawn", dt.date(2024, 6, 18))])
    assert lines["t3"] == ["R25 AFTER_TERMINATION test=2024-06-19 withdrawn=2024-06-18"]
    assert lines["unit 1"][1] == "R23 PARTIAL_withdrawn date=2024-06-18"


def test_evidence_that_is_missing_late_or_to_come(table: DiagnosisTable) -> None:
    to_come = dt.datetime(2024, 8, 8, 19, tzinfo=dt.UTC)
    tests = [
        a_test("n", "2024-06-25" + MORNING, acknowledged_at=None),
        a_test("l", "2024-06-26" + MORNING, acknowledged_at=to_come),
        a_test("f", "2024-08-06" + MORNING),
        a_test("c", "2024-06-05" + MORNING, kind="control"),
    ]
    lines = traced(table, tests)
    assert lines["n"] == ["R4 NOT_ACKNOWLEDGED test=2024-06-25"]
    assert lines["l"] == ["R4 NOT_ACKNOWLEDGED test=2024-06-26 evidence=2024-08-08"]
    assert lines["f"] == ["R3 FUTURE_DATED test=2024-08-06 as of=2024-08-05"]
    assert len(lines["c"]) == 1
    assert lines["c"][0].endswith(" CONTROL test=2024-06-05")


def test_a_clinical_extra_shows_who_pays_and_why(table: DiagnosisTable) -> None:
    asked = travel("2024-06-27")._replace(category="repeat_abnormal")
    bare = a_test("b", "2024-06-26" + MORNING, reason_early=asked)
    both = a_test(
        "c",
        "2024-06-27" + MORNING,
        reason_early=asked,
        extra_order_signed_on=dt.date(2024, 6, 27),
        abn_signed_at=dt.datetime(2024, 6, 27, 14, tzinfo=dt.UTC),
    )
    lines = traced(table, [bare, both])
    assert lines["b"] == ["R11 EXTRA_CLINICAL test=2024-06-26 order=none notice=none liability=supplier"]
    signed = "order=2024-06-27 notice=2024-06-27T14:00:00+00:00"
    assert lines["c"] == [f"R11 EXTRA_CLINICAL test=2024-06-27 {signed} liability=patient"]
