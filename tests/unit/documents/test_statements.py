"""What documents do to a patient's statement; without a document of a kind the registry's row counts."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.database import transaction
from gateway.reporting.documents.coverage import Period, events_of, in_force, periods
from gateway.reporting.documents.enrollment import enrollment_of, warfarin_since
from gateway.reporting.documents.kinds import Anticoagulant, Coverage, Paper, Warfarin
from gateway.reporting.documents.papers import Papers
from gateway.reporting.documents.recording import supersede_document
from gateway.reporting.policies import shipped_policies
from gateway.reporting.statements import StatementError, inputs_of, periods_of, policies_for, statement_of
from gateway.reporting.units import Event, Order, UnitsError, tally
from gateway.reporting.units.calendar import add_months
from gateway.reporting.units.eligibility import Eligibility
from gateway.result import Kind
from tests.unit.documents.conftest import NOW, Desk

# Tuesdays, weekly; each week has its test.
WEEKLY = ("2026-02-03T07:30:00", "2026-02-10T07:30:00", "2026-02-17T07:30:00", "2026-02-24T07:30:00")


def weekly(desk: Desk, count: int = 4) -> list[int]:
    first = date(2026, 2, 3)
    return [desk.measured(f"{first + timedelta(weeks=week)}T07:30:00", f"2.{week}") for week in range(count)]


def test_without_documents_the_registry_counts(desk: Desk) -> None:
    tests = weekly(desk)
    (unit,) = desk.statement().units
    assert unit.tests == tuple(map(str, tests))
    found = desk.enrollment()
    assert found.orders == (Order(date(2025, 11, 20)),)
    assert (found.payer, found.covered_from) == ("medicare_ffs", None)


def test_a_document_of_a_kind_takes_the_place_of_the_registry_in_that_kind_alone(desk: Desk) -> None:
    test = desk.measured(WEEKLY[0])
    assert desk.why_not(test) is None
    order = desk.add("order", signed_on="2026-02-04", practitioner="V", interval_days="7")
    assert desk.why_not(test) == "NO_ACTIVE_ORDER"
    assert desk.enrollment().warfarin_start == date(2025, 6, 1)
    supersede_document(desk.database, order.id, {"signed_on": "2026-02-03"}, "Ada", NOW)
    assert desk.why_not(test) is None
    assert desk.enrollment().orders == (Order(date(2026, 2, 3), None, 7),)


@pytest.mark.parametrize(
    ("kind", "columns", "reason"),
    [
        ("diagnosis", {"codes": "Z79.01", "from": "2025-01-01", "evidence": "letter"}, "DIAGNOSIS_NOT_COVERED"),
        ("diagnosis", {"codes": "I48.20", "from": "2026-02-04", "evidence": "letter"}, "DIAGNOSIS_NOT_COVERED"),
        ("warfarin", {"start": "2025-12-01"}, "WARFARIN_LT_3_MONTHS"),
        ("warfarin", {"start": "2025-06-01", "end": "2026-02-02"}, "NOT_ON_WARFARIN"),
        ("warfarin", {"start": "2025-06-01", "end": "2026-02-03"}, None),
        ("anticoagulant", {"drug": "apixaban", "start": "2026-01-15"}, "NOT_ON_WARFARIN"),
        ("anticoagulant", {"drug": "enoxaparin", "start": "2026-01-15", "beside_warfarin": "true"}, None),
        ("anticoagulant", {"drug": "apixaban", "start": "2026-02-04"}, None),
        ("coverage", {"payer": "medicare_ffs", "mac": "noridian", "from": "2026-02-04"}, "BEFORE_COVERAGE"),
        ("event", {"type": "death", "date": "2026-02-02"}, "AFTER_TERMINATION"),
        ("event", {"type": "withdrawn", "date": "2026-02-03"}, None),
        ("event", {"type": "ma_transfer", "date": "2026-02-03"}, "NOT_FFS"),
        ("event", {"type": "hold", "date": "2026-02-01"}, None),
    ],
)
def test_one_document_and_the_reason_that_it_gives(
    desk: Desk, kind: str, columns: dict[str, str], reason: str | None
) -> None:
    test = desk.measured(WEEKLY[0])
    desk.add(kind, **columns)
    assert desk.why_not(test, date(2026, 2, 28)) == reason


@pytest.mark.parametrize(
    ("sessions", "reason"),
    [
        ([("2026-01-10", True, True)], None),
        ([("2026-02-03", True, True)], "TRAINING_DAY"),
        ([("2026-02-04", True, True)], "BEFORE_TRAINING"),
        ([("2026-01-10", True, False)], "TRAINING_NOT_DOCUMENTED"),
        ([("2026-01-10", True, False), ("2026-02-04", True, True)], "BEFORE_TRAINING"),
        ([("2026-01-10", False, True), ("2026-01-20", True, True)], None),
    ],
)
def test_training_counts_from_the_session_that_shows_both_abilities(
    desk: Desk, sessions: list[tuple[str, bool, bool]], reason: str | None
) -> None:
    test = desk.measured(WEEKLY[0])
    for day, can_test, can_report in sessions:
        desk.add("training", date=day, code="G0248", trainer="R", able_to_test=can_test, able_to_report=can_report)
    assert desk.why_not(test) == reason


def test_the_second_test_of_a_week_with_a_reason_stands_in_for_the_next_week(desk: Desk) -> None:
    desk.measured(WEEKLY[0])
    second = desk.measured("2026-02-06T08:00:00", "2.6")
    assert desk.why_not(second) == "SAME_WEEK_NO_REASON"
    reason = desk.add(
        "early_reason",
        result=second,
        category="travel",
        text="Away without the meter",
        author="R. Nurse",
        documented_at="2026-02-06T09:00",
    )
    assert desk.why_not(second) is None
    assert str(second) in desk.statement().pending
    supersede_document(desk.database, reason.id, {"category": "repeat_abnormal"}, "Ada", NOW)
    assert desk.why_not(second) == "EXTRA_CLINICAL"


def test_a_clinical_extra_is_the_patients_only_with_order_and_notice_before_the_test(desk: Desk) -> None:
    extra = desk.measured(WEEKLY[0])
    paper: dict[str, Any] = {"result": extra, "text": "recheck", "author": "R", "documented_at": "2026-02-03T07:00"}
    desk.add("early_reason", category="provider_requested", **paper)

    def who_pays() -> tuple[str, str | None]:
        (refused,) = desk.statement().not_covered
        return refused.liability, refused.modifier

    assert who_pays() == ("supplier", None)
    desk.add("extra_order", result=extra, signed_on="2026-02-03", practitioner="Dr. V")
    assert who_pays() == ("supplier", "GZ")
    abn = desk.add("abn", result=extra, signed_at="2026-02-03T07:31")
    assert who_pays() == ("supplier", "GZ")
    supersede_document(desk.database, abn.id, {"signed_at": "2026-02-03T07:00"}, "Ada", NOW)
    assert who_pays() == ("patient", "GA")


def test_reviews_are_the_evidence_of_the_physicians_side(desk: Desk) -> None:
    tests = weekly(desk)
    for number, test in enumerate(tests):
        desk.add("review", result=test, reviewed_at=f"2026-03-0{number + 1}T08:00", practitioner="Dr. V")
    inputs = inputs_of(desk.database, "pat", date(2026, 3, 20), "production")
    policy = policies_for(inputs, date(2026, 3, 20))[-1].for_service("G0250")
    (unit,) = tally(*inputs, policy, date(2026, 3, 20)).units
    assert (unit.code, unit.billable_from) == ("G0250", date(2026, 3, 4))


def test_heparin_gives_a_notice_and_nothing_more(desk: Desk) -> None:
    tests = weekly(desk)
    desk.add("infusion", start="2026-02-09", end="2026-02-11")
    statement = desk.statement()
    assert [unit.tests for unit in statement.units] == [tuple(map(str, tests))]
    assert f"tests of those days: {tests[1]}" in statement.notices[0]


@pytest.mark.parametrize("beside", ["true", "false"])
def test_heparin_as_a_drug_on_record_gives_the_notice_too(desk: Desk, beside: str) -> None:
    tests = weekly(desk)
    span = {"start": "2026-02-09", "end": "2026-02-11"}
    desk.add("anticoagulant", drug="heparin", beside_warfarin=beside, **span)
    statement = desk.statement()
    assert f"tests of those days: {tests[1]}" in statement.notices[0]
    assert (len(statement.units) == 1) == (beside == "true")


# ---------------------------------------------------------------- payers


def test_a_change_of_payer_closes_one_tally_and_opens_another(desk: Desk) -> None:
    tests = weekly(desk, 6)
    desk.add("coverage", payer="medicare_ffs", mac="noridian", from_="2025-01-01")
    desk.add("coverage", payer="ma_plan_ma05.016", from_="2026-02-22")
    before, now = periods_of(desk.database, "pat")
    closed = desk.statement(period=before)
    (partial,) = closed.units
    assert partial.modifiers == ("52",)
    assert partial.tests == tuple(map(str, tests[:3]))
    assert closed.policy.startswith("ncd-noridian")
    current = desk.statement()
    assert current == desk.statement(period=now)
    assert current.policy.startswith("ma05.016f")
    assert current.pending == tuple(map(str, tests[3:]))
    assert desk.statement(date(2026, 2, 20)).pending == tuple(map(str, tests[:3]))


def test_a_renewal_goes_on_with_the_tally_and_a_new_enrollment_does_not() -> None:
    def covered(first: str, last: str | None = None, payer: str = "a") -> Coverage:
        return Coverage.model_validate({"patient": "p", "payer": payer, "from": first, "to": last})

    years = [covered("2025-01-01", "2025-12-31"), covered("2026-01-01")]
    assert periods(years, ()) == [Period("a", "", date(2025, 1, 1), None)]
    left = Event("withdrawn", date(2025, 7, 1))
    assert [period.closed_on for period in periods(years, [left])] == [date(2026, 1, 1), None]
    gap = [covered("2025-01-01", "2025-11-30"), covered("2026-01-01")]
    assert len(periods(gap, ())) == 2
    assert in_force(periods(gap, ()), date(2025, 12, 15)).closed_on == date(2025, 12, 1)
    assert in_force(periods(gap, ()), date(2024, 1, 1)).covered_from == date(2025, 1, 1)


def test_an_event_belongs_to_the_period_that_it_ends() -> None:
    first, second = Period("a", "", date(2025, 1, 1), date(2026, 3, 1)), Period("b", "", date(2026, 3, 1))
    moved, died = Event("ma_transfer", date(2026, 3, 1)), Event("death", date(2026, 4, 1))
    assert events_of(first, [moved, died]) == (moved,)
    assert events_of(second, [moved, died]) == (died,)
    assert events_of(first, []) == (moved,)


@given(
    data=st.data(),
    starts=st.lists(st.dates(date(2024, 1, 1), date(2027, 1, 1)), min_size=1, max_size=5, unique=True),
)
def test_every_day_lies_in_at_most_one_period_and_in_the_coverage_that_says_so(
    data: st.DataObject, starts: list[date]
) -> None:
    ordered = sorted(starts)
    papers = []
    for at, start in enumerate(ordered):
        latest = ordered[at + 1] - timedelta(days=1) if at + 1 < len(ordered) else date(2027, 6, 1)
        end = data.draw(st.none() | st.dates(start, latest))
        payer = data.draw(st.sampled_from(["a", "b"]))
        papers.append(Coverage.model_validate({"patient": "p", "payer": payer, "from": start, "to": end}))
    found = periods(data.draw(st.permutations(papers)), ())
    day = data.draw(st.dates(date(2023, 12, 1), date(2027, 7, 1)))
    said = [paper for paper in papers if paper.from_ <= day][-1:]
    expected = [paper.payer for paper in said if paper.to is None or day <= paper.to]
    assert [period.payer for period in found if period.covers(day)] == expected


@given(
    spans=st.lists(
        st.tuples(st.integers(0, 60), st.integers(0, 20) | st.none()), max_size=5, unique_by=lambda span: span[0]
    ),
    on=st.integers(0, 100),
)
def test_the_unbroken_time_on_warfarin_is_what_a_walk_back_day_by_day_finds(
    spans: list[tuple[int, int | None]], on: int
) -> None:
    zero = date(2025, 1, 1)
    ordered = sorted(spans)
    days: set[int] = set()
    papers = []
    for at, (start, length) in enumerate(ordered):  # as the checks have it: no two overlap
        following = ordered[at + 1][0] if at + 1 < len(ordered) else None
        end = None if length is None else start + length
        if following is not None and (end is None or end >= following):
            end = following - 1
        days |= set(range(start, 101 if end is None else end + 1))
        last = None if end is None else zero + timedelta(days=end)
        papers.append(Warfarin(patient="p", start=zero + timedelta(days=start), end=last))
    expected: int | None = on if on in days else None
    while expected is not None and expected - 1 in days:
        expected -= 1
    found = warfarin_since(papers, zero + timedelta(days=on))
    assert found == (None if expected is None else zero + timedelta(days=expected))


# ---------------------------------------------------------------- results that changed


def versioned(database: sqlite3.Connection, result: int, status: str, patient: str = "pat") -> None:
    with transaction(database):
        database.execute(
            "INSERT INTO version SELECT result_id, version + 1, ?, body, origin, ?, taken_at, uncertainty_s,"
            " quality, zone, recorded_at, 'test', reading_id FROM version"
            " WHERE result_id = ? ORDER BY version DESC LIMIT 1",
            (status, patient, result),
        )


def test_a_retracted_result_is_void_and_a_corrected_one_waits_for_its_report(desk: Desk) -> None:
    test = desk.measured(WEEKLY[0])
    versioned(desk.database, test, "corrected")
    assert desk.why_not(test) == "NOT_ACKNOWLEDGED"
    desk.acknowledge(test)
    assert desk.why_not(test) is None
    versioned(desk.database, test, "retracted")
    versioned(desk.database, test, "final", patient="sam")
    assert desk.why_not(test) == "VOIDED"


def test_a_claimed_unit_is_tallied_with_its_own_payer_and_stays_known(desk: Desk) -> None:
    from gateway.store import claims

    tests = weekly(desk, 5)
    row: dict[str, Any] = dict.fromkeys(claims.ClaimRow._fields, "")
    row |= {"id": "c1", "patient_id": "pat", "code": "G0249", "frequency": 1, "follows": None, "dos": "2026-03-03"}
    row |= {"charge_cents": 1, "state": "exported", "content": "{}", "sign_off_id": None}
    row |= {"file_by": "2027-03-03", "content_sha256": "0" * 64, "exported_by": "Ada"}
    row |= {"exported_at": "2026-03-04T00:00:00.000Z"}
    taken = [(str(test), f"2026-02-0{at + 3}T15:30:00.000Z") for at, test in enumerate(tests[:4])]
    with transaction(desk.database):
        claims.freeze(desk.database, claims.ClaimRow(**row), taken, standing=True)
    assert [unit.status for unit in desk.statement().units] == ["claimed"]
    desk.add("coverage", payer="medicare_ffs", mac="noridian", from_="2025-01-01")
    desk.add("coverage", payer="ma_plan_ma05.016", from_="2026-03-01")
    assert desk.statement().units == ()
    before = periods_of(desk.database, "pat")[0]
    assert [unit.review_flags for unit in desk.statement(period=before).units] == [()]


# ---------------------------------------------------------------- what is missing


def test_what_is_missing_is_said(desk: Desk) -> None:
    with pytest.raises(StatementError, match="patient sam is not enrolled"):
        statement_of(desk.database, "sam", date(2026, 3, 1), "production")
    desk.add("coverage", patient="sam", payer="plan_without_policy", from_="2026-01-01")
    with pytest.raises(UnitsError, match="no policy is in force"):
        statement_of(desk.database, "sam", date(2026, 3, 1), "production")
    assert inputs_of(desk.database, "sam", date(2026, 3, 1), "production").enrollment.diagnosis == ()
    desk.database.execute("DELETE FROM patient_zone WHERE patient_id = 'sam'")
    with pytest.raises(StatementError, match="no zone of record"):
        statement_of(desk.database, "sam", date(2026, 3, 1), "production")


def test_controls_and_errors_stand_in_the_statement_and_use_strips(desk: Desk) -> None:
    from gateway.reporting.documents.supply import stock_of

    desk.add("supply_delivery", date="2026-01-20", strips="6", proof="carrier 1")
    desk.add("supply_delivery", date="2026-02-12", strips="4")
    desk.add("supply_delivery", date="2026-03-20", strips="6", proof="carrier 2")
    desk.add("supply_contact", date="2026-02-10")
    desk.add("supply_waste", date="2026-02-05", strips="1", reason="dropped")
    desk.add("order", signed_on="2026-01-10", interval_days="14", practitioner="Dr. V")
    tests = weekly(desk, 3)
    desk.measured("2026-02-04T09:00:00", "1.1", Kind.CONTROL)
    desk.measured("2026-02-05T09:00:00", "0", Kind.ERROR)
    versioned(desk.database, tests[0], "corrected")
    stock = stock_of(desk.database, "pat", date(2026, 2, 20), "production", shipping_days=2)
    assert (stock.supply.on_hand, stock.used, stock.wasted, stock.interval_days) == (4, 5, 1, 14)
    assert stock.supply.exhausted_on == date(2026, 2, 20) + timedelta(days=4 * 14 + 1)
    assert stock.supply.deliver_from == stock.supply.exhausted_on - timedelta(days=5)
    assert stock.supply.contact_from == stock.supply.deliver_from - timedelta(days=2 + 7)
    assert stock.supply.unproven == (date(2026, 2, 12),)
    assert stock.contacts == (date(2026, 2, 10),)
    assert stock_of(desk.database, "pat", date(2026, 2, 4), "production").supply.on_hand == 6 - 2


# ---------------------------------------------------------------- what was taken, and what was diagnosed, when


def test_a_break_of_warfarin_leaves_the_tests_before_it_alone(desk: Desk) -> None:
    desk.add("warfarin", start="2025-06-01", end="2026-02-12")
    desk.add("anticoagulant", drug="apixaban", start="2026-02-13", end="2026-02-18")
    desk.add("warfarin", start="2026-02-19")
    before, instead, again = (desk.measured(local) for local in (WEEKLY[0], WEEKLY[2], WEEKLY[3]))
    assert desk.why_not(before) is None
    assert desk.why_not(instead) == "NOT_ON_WARFARIN"
    assert desk.why_not(again) == "WARFARIN_LT_3_MONTHS"
    trace = desk.statement(trace=True).trace or ()
    said = {step.subject: dict(step.facts) for step in trace}
    assert said[str(instead)]["anticoagulant"] == "apixaban"
    assert said[str(again)]["warfarin since"] == "2026-02-19"
    assert said[str(again)]["three months on"] == "2026-05-19"


def test_a_drug_in_the_place_of_the_registrys_warfarin_breaks_it_too(desk: Desk) -> None:
    before, instead, again = (desk.measured(local) for local in (WEEKLY[0], WEEKLY[2], WEEKLY[3]))
    desk.add("anticoagulant", drug="apixaban", start="2026-02-15", end="2026-02-18")
    reasons = [desk.why_not(test) for test in (before, instead, again)]
    assert reasons == [None, "NOT_ON_WARFARIN", "WARFARIN_LT_3_MONTHS"]


def test_a_diagnosis_holds_from_its_day_also_when_it_is_written_down_later(desk: Desk) -> None:
    early, late = desk.measured(WEEKLY[0]), desk.measured(WEEKLY[3])
    desk.add("diagnosis", codes="Z79.01", from_="2025-01-01", evidence="letter")
    desk.add("diagnosis", codes="I48.20", from_="2026-02-20", evidence="letter")
    assert desk.why_not(early) == "DIAGNOSIS_NOT_COVERED"
    assert desk.why_not(late) is None


@given(
    spans=st.lists(
        st.tuples(st.integers(0, 300), st.integers(0, 200) | st.none(), st.booleans()),
        min_size=1,
        max_size=4,
    ),
    on=st.integers(0, 500),
)
def test_who_was_on_warfarin_for_three_months_is_what_a_walk_day_by_day_finds(
    spans: list[tuple[int, int | None, bool]], on: int
) -> None:
    zero, horizon = date(2025, 1, 1), 600
    papers: dict[type[Paper], list[tuple[int | None, Paper]]] = {}
    warfarin: set[int] = set()
    other: set[int] = set()
    for start, length, is_warfarin in spans:
        end = None if length is None else zero + timedelta(days=start + length)
        days = set(range(start, horizon if length is None else start + length + 1))
        first = zero + timedelta(days=start)
        paper: Paper
        if is_warfarin:
            warfarin |= days
            paper = Warfarin(patient="p", start=first, end=end)
        else:
            other |= days
            paper = Anticoagulant(patient="p", drug="apixaban", start=first, end=end)
        papers.setdefault(type(paper), []).append((None, paper))
    if not warfarin:
        return
    taken = warfarin - other
    enrollment = enrollment_of(
        Papers(papers), None, [("2020-01-01", "UTC")], Period("medicare_ffs", ""), zero + timedelta(days=on)
    )
    policy = next(each for each in shipped_policies() if "medicare_ffs" in each.payers)
    gates = Eligibility(
        replace(
            enrollment,
            diagnosis=("I48.20",),
            training_date=date(2020, 1, 1),
            training_documented=True,
            orders=(Order(date(2020, 1, 1)),),
        ),
        policy,
        None,
    )
    since = on
    while since - 1 in taken:
        since -= 1
    expected: str | None = None
    if on not in taken:
        expected = "NOT_ON_WARFARIN"
    elif zero + timedelta(days=on) < add_months(zero + timedelta(days=since), 3):
        expected = "WARFARIN_LT_3_MONTHS"
    assert gates.reason((zero + timedelta(days=on)).toordinal()) == expected
