"""Where one day more or less decides: each limit from both sides, and the spans of eligible days one by one."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.reporting.units import errors, model
from gateway.reporting.units.attribution import (
    FreeAfterSevenDays,
    FreeInWindows,
    FreeWeeks,
    freeze,
    most_in_a_window,
)
from gateway.reporting.units.calendar import DAYS_PER_WEEK
from gateway.reporting.units.claim_text import ITEM_19_LIMIT, X12_LIMIT, narrative
from gateway.reporting.units.claims import check_claimed
from gateway.reporting.units.diagnoses import DiagnosisTable, diagnosis_table
from gateway.reporting.units.eligibility import Eligibility, end_of_service
from gateway.reporting.units.interval import off_interval
from gateway.reporting.units.tally import tally
from tests.unit.units.build import ENROLLED, a_test, policy, weekly

AS_OF = dt.date(2024, 8, 5)
MORNING = "T08:00:00-07:00"
START = dt.date(2024, 6, 2)
DAY = dt.timedelta(days=1)
ENDING = diagnosis_table(
    {
        "id": "for a summer",
        "covers": [
            {
                "group": "af",
                "from": dt.date(2024, 6, 10),
                "to": dt.date(2024, 7, 20),
                "codes": ["I48.20"],
                "source": "x",
            },
            {"group": "af", "from": dt.date(2024, 7, 21), "codes": ["I48.21"], "source": "x"},
        ],
        "valve_types": ["mechanical"],
        "porcine_valve_types": [],
        "porcine_codes": [],
    }
)


def run(
    table: DiagnosisTable,
    tests: list[model.Test],
    *events: model.Event,
    patient: model.Enrollment = ENROLLED,
    as_of: dt.date = AS_OF,
    **options: object,
) -> model.Statement:
    return tally(patient, tests, events, (), policy(table, **options), as_of)


def refused(statement: model.Statement) -> dict[str, str]:
    return {entry.test: entry.reason for entry in statement.not_covered}


def written(day: str, category: model.Category = "travel") -> model.EarlyReason:
    return model.EarlyReason(category, "away", dt.datetime.fromisoformat(day + MORNING), "RN")


class TestEligibleDays:
    offsets = st.integers(0, 80)

    @settings(max_examples=60, deadline=None)
    @given(
        trained=offsets,
        signed=st.lists(st.tuples(offsets, st.none() | st.integers(0, 40)), max_size=3),
        covered=st.none() | offsets,
        warfarin=st.integers(-120, 0),
        ended=st.none() | st.tuples(st.sampled_from(("death", "ma_transfer", "withdrawn")), offsets),
        codes=st.sampled_from((("I48.20",), ("I48.21",), ("I48.20", "I48.21"))),
        count_training_day=st.booleans(),
    )
    def test_the_spans_are_the_longest_runs_of_days_that_pass_every_gate(
        self,
        trained: int,
        signed: list[tuple[int, int | None]],
        covered: int | None,
        warfarin: int,
        ended: tuple[model.EventType, int] | None,
        codes: tuple[str, ...],
        count_training_day: bool,
    ) -> None:
        patient = replace(
            ENROLLED,
            diagnosis=codes,
            training_date=START + trained * DAY,
            warfarin_start=START + warfarin * DAY,
            covered_from=None if covered is None else START + covered * DAY,
            orders=tuple(
                model.Order(START + at * DAY, None if held is None else START + (at + held) * DAY)
                for at, held in signed
            ),
        )
        events = [] if ended is None else [model.Event(ended[0], START + ended[1] * DAY)]
        end = end_of_service(events, START.toordinal() + 200)
        eligibility = Eligibility(patient, policy(ENDING, count_training_day=count_training_day), end)
        first, last = START.toordinal() - 10, START.toordinal() + 150
        days = [day for day in range(first, last + 1) if eligibility.reason(day) is None]
        runs: list[tuple[int, int]] = []
        for day in days:
            if runs and runs[-1][1] == day - 1:
                runs[-1] = (runs[-1][0], day)
            else:
                runs.append((day, day))
        assert [(begin, min(over, last)) for begin, over in eligibility.spans] == runs
        for day in range(first, last + 1):
            following = [good for good in days if good >= day]
            assert eligibility.first_day_from(day) == (following[0] if following else None)

    def test_days_on_both_sides_of_a_new_code_are_one_span(self) -> None:
        orders = (
            model.Order(dt.date(2024, 6, 12), dt.date(2024, 6, 14)),
            model.Order(dt.date(2024, 7, 1), dt.date(2024, 8, 10)),
        )
        patient = replace(ENROLLED, diagnosis=("I48.20", "I48.21"), orders=orders)
        spans = Eligibility(patient, policy(ENDING), None).spans
        assert spans == [
            (order.signed_on.toordinal(), order.expires_on.toordinal()) for order in orders if order.expires_on
        ]

    def gate(self, day: dt.date, patient: model.Enrollment = ENROLLED, **options: object) -> str | None:
        table = always()
        return Eligibility(patient, policy(table, **options), None).reason(day.toordinal())

    def test_three_months_to_the_day(self) -> None:
        patient = replace(ENROLLED, warfarin_start=dt.date(2024, 2, 29))
        assert self.gate(dt.date(2024, 5, 28), patient) == "WARFARIN_LT_3_MONTHS"
        assert self.gate(dt.date(2024, 5, 29), patient) is None
        patient = replace(ENROLLED, warfarin_start=dt.date(2024, 3, 1))
        ninety = {"warfarin_3_months": "days90"}
        assert self.gate(dt.date(2024, 5, 29), patient, **ninety) == "WARFARIN_LT_3_MONTHS"
        assert self.gate(dt.date(2024, 5, 30), patient, **ninety) is None

    def test_orders_training_and_coverage_to_the_day(self) -> None:
        order = model.Order(dt.date(2024, 5, 10), dt.date(2024, 5, 20))
        patient = replace(ENROLLED, orders=(order,))
        days = [dt.date(2024, 5, 9), order.signed_on, dt.date(2024, 5, 20), dt.date(2024, 5, 21)]
        assert [self.gate(day, patient) for day in days] == ["NO_ACTIVE_ORDER", None, None, "NO_ACTIVE_ORDER"]
        days = [dt.date(2024, 4, 30), dt.date(2024, 5, 1), dt.date(2024, 5, 2)]
        assert [self.gate(day) for day in days] == ["BEFORE_TRAINING", "TRAINING_DAY", None]
        assert self.gate(days[1], count_training_day=True) is None
        patient = replace(ENROLLED, covered_from=dt.date(2024, 5, 10))
        assert self.gate(dt.date(2024, 5, 9), patient) == "BEFORE_COVERAGE"
        assert self.gate(dt.date(2024, 5, 10), patient) is None

    @pytest.mark.parametrize(
        ("drug", "reason"),
        [("warfarin", None), (" Warfarin ", None), ("xarelto", "NOT_ON_WARFARIN"), ("apixaban", "NOT_ON_WARFARIN")],
    )
    def test_only_warfarin_is_warfarin(self, drug: str, reason: str | None) -> None:
        assert self.gate(dt.date(2024, 6, 5), replace(ENROLLED, anticoagulant=drug)) == reason

    @pytest.mark.parametrize(
        ("kind", "reasons"),
        [
            ("death", [None, None, "AFTER_TERMINATION"]),
            ("withdrawn", [None, None, "AFTER_TERMINATION"]),
            ("ma_transfer", [None, "NOT_FFS", "NOT_FFS"]),
        ],
    )
    def test_the_end_to_the_day(self, kind: model.EventType, reasons: list[str | None]) -> None:
        end = end_of_service([model.Event(kind, AS_OF)], AS_OF.toordinal())
        eligibility = Eligibility(ENROLLED, policy(always()), end)
        assert [eligibility.reason(AS_OF.toordinal() + offset) for offset in (-1, 0, 1)] == reasons

    def test_an_order_may_expire_on_the_day_of_its_signature(self) -> None:
        day = dt.date(2024, 5, 10)
        assert self.gate(day, replace(ENROLLED, orders=(model.Order(day, day),))) is None


class TestTimesOnWarfarin:
    parts = st.lists(
        st.tuples(
            st.sampled_from(("warfarin", "warfarin", "apixaban", "xarelto")),
            st.sampled_from((1, 7, 89, 90, 91, 120)),
            st.sampled_from((0, 0, 1, 2, 30)),
        ),
        min_size=1,
        max_size=5,
    )

    @settings(max_examples=40, deadline=None)
    @given(parts=parts, goes_on=st.booleans(), backwards=st.booleans())
    @example(parts=[("warfarin", 100, 0)] * 2, goes_on=False, backwards=True)
    @example(parts=[("warfarin", 100, 1)] * 2, goes_on=False, backwards=False)
    @example(
        parts=[("warfarin", 91, 9), ("warfarin", 50, 0), ("warfarin", 50, 2), ("warfarin", 95, 0)],
        goes_on=False,
        backwards=False,
    )
    @example(parts=[("apixaban", 7, 0), ("warfarin", 95, 0), ("xarelto", 1, 0)], goes_on=False, backwards=False)
    @example(parts=[("warfarin", 95, 0), ("xarelto", 1, 0), ("warfarin", 91, 0)], goes_on=True, backwards=False)
    def test_three_months_begin_anew_after_any_day_without_it(
        self, parts: list[tuple[str, int, int]], goes_on: bool, backwards: bool
    ) -> None:
        therapies: list[model.Therapy] = []
        following = first = dt.date(2024, 1, 1)
        for drug, days, gap in parts:
            therapies.append(model.Therapy(drug, following, following + (days - 1) * DAY))
            following += (days + gap) * DAY
        if goes_on:
            therapies[-1] = therapies[-1]._replace(end=None)
        patient = replace(
            ENROLLED,
            training_date=dt.date(2023, 1, 1),
            orders=(model.Order(dt.date(2023, 1, 1)),),
            therapies=tuple(therapies[::-1] if backwards else therapies),
        )
        eligibility = Eligibility(patient, policy(always(), warfarin_3_months="days90"), None)
        unbroken = 0
        eligible: list[int] = []
        last = (following + 100 * DAY).toordinal()
        for day in range(first.toordinal() - 5, last + 1):
            date = dt.date.fromordinal(day)
            taken = [each.drug for each in therapies if each.start <= date and (not each.end or date <= each.end)]
            unbroken = unbroken + 1 if taken == ["warfarin"] else 0
            reason = "NOT_ON_WARFARIN" if not unbroken else "WARFARIN_LT_3_MONTHS" if unbroken <= 90 else None
            assert eligibility.reason(day) == reason
            eligible += [day] if reason is None else []
        assert [day for span in eligibility.spans for day in range(span[0], min(span[1], last) + 1)] == eligible


def always() -> DiagnosisTable:
    """A table that covers the plain patient for ever."""
    return diagnosis_table(
        {
            "id": "always",
            "covers": [{"group": "af", "from": dt.date(2002, 1, 1), "codes": ["I48.20"], "source": "x"}],
            "valve_types": ["mechanical"],
            "porcine_valve_types": [],
            "porcine_codes": [],
        }
    )


class TestTheEnd:
    def test_of_several_events_the_earliest_known_one_ends_it(self) -> None:
        def end(as_of: int, *events: tuple[model.EventType, int]) -> tuple[object, ...] | None:
            found = end_of_service([model.Event(kind, dt.date(2024, 6, day)) for kind, day in events], as_of)
            return None if found is None else (found.type, found.last_served - june, found.last_covered)

        june = dt.date(2024, 5, 31).toordinal()
        both: tuple[tuple[model.EventType, int], ...] = (("death", 20), ("withdrawn", 18))
        assert end(june + 30, *both) == end(june + 30, *both[::-1]) == ("withdrawn", 18, None)
        assert end(june + 17, *both) is None
        assert end(june + 18, *both) == ("withdrawn", 18, None)
        assert end(june + 30, ("death", 20)) == ("death", 20, june + 20)
        assert end(june + 30, ("withdrawn", 20), ("death", 20)) == ("death", 20, june + 20)
        assert end(june + 30, ("death", 20), ("ma_transfer", 20)) == ("ma_transfer", 19, june + 19)
        assert end(june + 30, ("hold", 1)) is None
        assert end(june + 30, ("hold", 1), ("death", 20)) == ("death", 20, june + 20)


class TestWhatIsFree:
    @pytest.mark.parametrize(
        ("day", "opens"), [(3, 3), (4, 17), (9, 17), (10, 17), (11, 17), (16, 17), (17, 17), (18, 18)]
    )
    def test_seven_days_before_and_after_a_counted_test(self, day: int, opens: int) -> None:
        assert FreeAfterSevenDays([10]).open_day(day) == opens

    def test_counted_tests_one_after_the_other(self) -> None:
        assert FreeAfterSevenDays([24, 10, 17]).open_day(12) == 31
        assert FreeAfterSevenDays([23, 10]).open_day(12) == 30
        assert FreeAfterSevenDays([24, 10]).open_day(12) == 17

    def test_a_counted_test_far_off_moves_nothing(self) -> None:
        assert FreeAfterSevenDays([10, 40]).open_day(12) == 17
        assert FreeAfterSevenDays([10, 40]).open_day(20) == 20

    def test_free_weeks(self) -> None:
        free = FreeWeeks({2, 3, 5})
        assert [free.open_day(day) for day in (13, 14, 20, 21, 28, 34, 35, 42)] == [13, 28, 28, 28, 28, 34, 42, 42]

    def test_windows_of_four_weeks(self) -> None:
        tests = Counter({10: 2, 12: 1, 13: 1, 17: 3})
        assert [most_in_a_window(tests, week) for week in range(6, 22)] == [0, 2, 2, 3, *[4] * 4, *[3] * 7, 0]
        free = FreeInWindows(tests, {20})
        assert free.open_day(9 * DAYS_PER_WEEK + 3) == 9 * DAYS_PER_WEEK + 3
        assert free.open_day(10 * DAYS_PER_WEEK + 3) == 14 * DAYS_PER_WEEK
        assert free.open_day(17 * DAYS_PER_WEEK + 3) == 18 * DAYS_PER_WEEK
        assert free.open_day(20 * DAYS_PER_WEEK) == 21 * DAYS_PER_WEEK


class TestTheNextTest:
    @pytest.mark.parametrize("ahead", [1, 2, 399, 400, 401, 800])
    def test_it_is_looked_for_400_days_ahead(self, ahead: int) -> None:
        day = AS_OF + ahead * DAY
        patient = replace(ENROLLED, orders=(model.Order(day),))
        statement = tally(patient, [], (), (), policy(always()), AS_OF)
        assert statement.next_eligible == (day if ahead <= 400 else None, None)

    def test_a_counted_test_of_a_claim_may_lie_ahead(self) -> None:
        claimed = [model.ClaimedUnit(("t1", "t2", "t3", "t4"), dt.date(2024, 6, 26))]
        statement = tally(ENROLLED, weekly(4), (), claimed, policy(always()), dt.date(2024, 6, 8))
        assert statement.next_eligible.test_from == dt.date(2024, 6, 30)

    def test_a_free_day_without_an_order_is_not_the_next(self) -> None:
        orders = (model.Order(dt.date(2024, 4, 25), dt.date(2024, 6, 15)), model.Order(dt.date(2024, 6, 20)))
        patient = replace(ENROLLED, orders=orders)
        statement = tally(patient, weekly(2)[1:], (), (), policy(always()), dt.date(2024, 6, 12))
        assert statement.next_eligible.test_from == dt.date(2024, 6, 20)

    def test_the_day_after_the_training(self) -> None:
        statement = tally(ENROLLED, [], (), (), policy(always()), dt.date(2024, 4, 30))
        assert statement.next_eligible.test_from == dt.date(2024, 5, 2)

    def test_no_date_of_service_is_next_without_a_spacing_or_after_the_end(self, table: DiagnosisTable) -> None:
        assert run(table, weekly(4)).next_eligible.dos_from == dt.date(2024, 7, 31)
        assert run(table, weekly(4), min_days_between_dos=0).next_eligible.dos_from is None
        ended = run(table, weekly(4), model.Event("withdrawn", dt.date(2024, 7, 31)))
        assert ended.next_eligible == (None, None)


class TestMissedWeeks:
    @pytest.mark.parametrize(("as_of", "missed"), [(21, ()), (22, (16,)), (28, (16,)), (29, (16, 23))])
    def test_a_week_is_missed_when_its_saturday_is_over(
        self, table: DiagnosisTable, as_of: int, missed: tuple[int, ...]
    ) -> None:
        statement = run(table, weekly(2), as_of=dt.date(2024, 6, as_of))
        assert statement.missed_weeks == tuple(dt.date(2024, 6, day) for day in missed)


class TestClaimedTests:
    def test_the_first_of_a_week_keeps_it_and_of_two_at_once_the_lower_id(self) -> None:
        four, five, six = (dt.datetime(2024, 6, day, tzinfo=dt.UTC) for day in (4, 5, 6))
        placed = freeze([("b", five, 70), ("a", five, 70), ("c", four, 63)])
        assert [(test.id, test.week) for test in placed] == [("c", 9), ("a", 10), ("b", 11)]
        placed = freeze([("a", six, 71), ("b", five, 70)])
        assert [(test.id, test.week) for test in placed] == [("b", 10), ("a", 11)]


class TestDatesOfService:
    def test_without_spacing_units_stand_in_the_order_of_their_dates(self, table: DiagnosisTable) -> None:
        tests = weekly(8)
        tests[0] = tests[0]._replace(acknowledged_at=dt.datetime(2024, 10, 1, 19, tzinfo=dt.UTC))
        units = run(table, tests, as_of=dt.date(2024, 11, 30), min_days_between_dos=0).units
        assert [(unit.tests[0], unit.billable_from) for unit in units] == [
            ("t5", dt.date(2024, 7, 31)),
            ("t1", dt.date(2024, 10, 1)),
        ]

    def test_a_partial_unit_lies_after_the_last_of_the_others(self, table: DiagnosisTable) -> None:
        tests = [test._replace(acknowledged_at=test.reported_at) for test in weekly(9)]
        units = run(table, tests, model.Event("withdrawn", dt.date(2024, 8, 1)), min_days_between_dos=35).units
        assert [unit.billable_from.isoformat() for unit in units] == ["2024-07-03", "2024-08-07", "2024-08-08"]
        assert units[2].modifiers == ("52",)
        assert units[2].review_flags == ("WITHIN_28_DAYS_OF_PREVIOUS_DOS",)

    def test_a_stand_in_is_provisional_until_its_week_is_over(self, table: DiagnosisTable) -> None:
        early = a_test("e", "2024-06-21" + MORNING, reason_early=written("2024-06-20"))
        for as_of, flags in (
            (dt.date(2024, 6, 28), ("EARLY_TEST", "PROVISIONAL")),
            (dt.date(2024, 6, 29), ("EARLY_TEST",)),
        ):
            (unit,) = run(table, [*weekly(3), early], as_of=as_of).units
            assert unit.review_flags == flags
            assert unit.status == "complete_waiting"

    @pytest.mark.parametrize(
        ("died", "served"), [("2024-06-29", 21), ("2024-06-30", 30), ("2024-07-01", 30), ("2024-07-05", 30)]
    )
    def test_a_stand_in_week_is_waited_for_where_the_service_outlives_it(
        self, table: DiagnosisTable, died: str, served: int
    ) -> None:
        early = a_test("e", "2024-06-21" + MORNING, reason_early=written("2024-06-20"))
        death = model.Event("death", dt.date.fromisoformat(died))
        (unit,) = run(table, [*weekly(3), early], death, min_days_first_test_to_dos=0).units
        assert (unit.billable_from, unit.review_flags) == (dt.date(2024, 6, served), ("EARLY_TEST",))

    def test_a_stand_in_week_is_waited_for_beside_a_flagged_test(self, table: DiagnosisTable) -> None:
        early = a_test("e", "2024-06-21" + MORNING, reason_early=written("2024-06-20"))
        by_hand = weekly(3)[0]._replace(source="manual", attested=True)
        (unit,) = run(table, [by_hand, *weekly(3)[1:], early], min_days_first_test_to_dos=0).units
        assert (unit.billable_from, unit.review_flags) == (dt.date(2024, 6, 30), ("EARLY_TEST", "MANUAL_ENTRY"))

    def test_no_week_is_waited_for_where_any_four_tests_count(self, table: DiagnosisTable) -> None:
        early = a_test("e", "2024-06-21" + MORNING, reason_early=written("2024-06-20"))
        any_four: dict[str, Any] = {"early_rule": "literal_any4", "min_days_first_test_to_dos": 0}
        (unit,) = run(table, [*weekly(3), early], as_of=dt.date(2024, 6, 21), **any_four).units
        assert (unit.billable_from, unit.review_flags) == (dt.date(2024, 6, 21), ("EARLY_TEST",))

    @pytest.mark.parametrize(("died", "flags"), [(2, ("PERIOD_LT_28_DAYS_TERMINATION",)), (3, ()), (4, ())])
    def test_a_unit_due_on_the_last_covered_day_is_not_pulled_back(
        self, table: DiagnosisTable, died: int, flags: tuple[str, ...]
    ) -> None:
        (unit,) = run(table, weekly(4), model.Event("death", dt.date(2024, 7, died))).units
        assert unit.billable_from == dt.date(2024, 7, min(died, 3))
        assert unit.review_flags == flags

    @pytest.mark.parametrize(("as_of", "status"), [(2, "complete_waiting"), (3, "billable"), (4, "billable")])
    def test_a_unit_is_billable_from_its_day_on(self, table: DiagnosisTable, as_of: int, status: str) -> None:
        (unit,) = run(table, weekly(4), as_of=dt.date(2024, 7, as_of)).units
        assert (unit.billable_from, unit.status) == (dt.date(2024, 7, 3), status)

    @pytest.mark.parametrize(
        ("claimed", "served"),
        [
            ("2024-07-03", "07-31"),
            ("2024-07-04", "08-01"),
            ("2024-08-27", "09-24"),
            ("2024-08-28", "07-31"),
            ("2024-12-01", "07-31"),
        ],
    )
    def test_a_unit_keeps_its_distance_from_a_claimed_one_on_either_side(
        self, table: DiagnosisTable, claimed: str, served: str
    ) -> None:
        units = [model.ClaimedUnit(("t1", "t2", "t3", "t4"), dt.date.fromisoformat(claimed))]
        statement = tally(ENROLLED, weekly(8), (), units, policy(table), AS_OF)
        assert statement.units[1].billable_from.isoformat() == f"2024-{served}"

    def test_a_unit_reported_late_pushes_the_next_one_behind_it(self, table: DiagnosisTable) -> None:
        tests = weekly(8)
        tests[0] = tests[0]._replace(acknowledged_at=dt.datetime(2024, 10, 1, 19, tzinfo=dt.UTC))
        units = run(table, tests, as_of=dt.date(2024, 11, 30)).units
        assert [(unit.tests[0], unit.billable_from) for unit in units] == [
            ("t1", dt.date(2024, 10, 1)),
            ("t5", dt.date(2024, 10, 29)),
        ]

    @pytest.mark.parametrize(
        ("died", "acknowledged", "flags"),
        [(30, 30, ()), (31, 31, ()), (31, 30, ()), (29, 29, ("near",)), (30, 29, ("near",))],
    )
    def test_a_partial_unit_four_weeks_after_the_last_is_not_near_it(
        self, table: DiagnosisTable, died: int, acknowledged: int, flags: tuple[str, ...]
    ) -> None:
        fifth = a_test(
            "t5", "2024-07-28" + MORNING, acknowledged_at=dt.datetime(2024, 7, acknowledged, 19, tzinfo=dt.UTC)
        )
        tests = weekly(4, "2024-06-04" + MORNING)
        units = run(table, [*tests, fifth], model.Event("death", dt.date(2024, 7, died))).units
        assert [unit.billable_from.isoformat() for unit in units] == ["2024-07-02", f"2024-07-{acknowledged}"]
        assert units[1].review_flags == (("WITHIN_28_DAYS_OF_PREVIOUS_DOS",) if flags else ())

    @pytest.mark.parametrize(("last", "flags"), [("2024-08-28", ()), ("2024-08-29", ("LONG_SPAN",))])
    def test_a_span_of_twelve_weeks(self, table: DiagnosisTable, last: str, flags: tuple[str, ...]) -> None:
        tests = [*weekly(3), a_test("t4", last + MORNING)]
        (unit,) = run(table, tests, as_of=dt.date(2024, 9, 30)).units
        assert unit.review_flags == flags
        assert (unit.first_test, unit.last_test) == (dt.date(2024, 6, 5), dt.date.fromisoformat(last))

    @pytest.mark.parametrize(("seen", "flags"), [(3, ()), (4, ("LATE_REPORT",))])
    def test_evidence_after_a_week(self, table: DiagnosisTable, seen: int, flags: tuple[str, ...]) -> None:
        tests = weekly(4)
        tests[3] = tests[3]._replace(acknowledged_at=dt.datetime(2024, 7, seen, 19, tzinfo=dt.UTC))
        assert run(table, tests).units[0].review_flags == flags

    @pytest.mark.parametrize(("day", "flags"), [("2024-06-28", ()), ("2024-06-29", ("REASON_DOCUMENTED_LATE",))])
    def test_a_reason_written_after_a_week(self, table: DiagnosisTable, day: str, flags: tuple[str, ...]) -> None:
        early = a_test("e", "2024-06-21" + MORNING, reason_early=written(day))
        assert run(table, [*weekly(3), early]).units[0].review_flags == ("EARLY_TEST", *flags)


class TestWhichTestIsMeant:
    def test_of_two_copies_the_first_acknowledged_one_stands(self, table: DiagnosisTable) -> None:
        record = {"device_serial": "SN1", "device_seq": 7}
        tests = [
            a_test("a", "2024-06-05" + MORNING, **record, acknowledged_at=None),
            a_test("b", "2024-06-05" + MORNING, **record, acknowledged_at=dt.datetime(2024, 6, 9, tzinfo=dt.UTC)),
            a_test("c", "2024-06-05" + MORNING, **record, acknowledged_at=dt.datetime(2024, 6, 7, tzinfo=dt.UTC)),
        ]
        assert run(table, tests).pending == ("c",)
        assert run(table, tests[:2]).pending == ("b",)
        assert run(table, tests[:2][::-1]).pending == ("b",)
        known_later = [tests[0], tests[1]._replace(acknowledged_at=dt.datetime(2024, 9, 9, tzinfo=dt.UTC))]
        assert refused(run(table, known_later)) == {"a": "NOT_ACKNOWLEDGED", "b": "DUPLICATE"}

    @pytest.mark.parametrize(("minutes", "same"), [(-121, False), (-120, True), (120, True), (121, False)])
    def test_a_manual_entry_within_two_hours_is_the_meters_test(
        self, table: DiagnosisTable, minutes: int, same: bool
    ) -> None:
        (kept,) = weekly(1)
        taken = kept.taken_at + dt.timedelta(minutes=minutes)
        entry = a_test("m", taken.isoformat(), source="manual", attested=True)
        assert (refused(run(table, [kept, entry])).get("m") == "DUPLICATE") is same

    def test_a_manual_entry_off_the_measuring_range_is_known_by_its_text(self, table: DiagnosisTable) -> None:
        kept = weekly(1)[0]._replace(inr=None, inr_text=">8.0")
        entry = kept._replace(id="z", source="manual", attested=True)
        assert refused(run(table, [kept, entry])) == {"z": "DUPLICATE"}
        assert refused(run(table, [kept, entry._replace(inr_text="<0.8")])) == {"z": "SAME_WEEK_NO_REASON"}
        empty = [test._replace(inr_text=None) for test in (kept, entry)]
        assert refused(run(table, empty)) == {"t1": "ERROR", "z": "ERROR"}

    def test_evidence_within_the_optional_limit_counts(self, table: DiagnosisTable) -> None:
        for limit in (0, 1, 30):
            assert run(table, weekly(1), late_report_limit_days=limit).pending == ("t1",)

    def test_the_patients_zone_holds_unless_the_policy_takes_the_suppliers(self, table: DiagnosisTable) -> None:
        tests = [a_test("a", "2024-06-08T23:30:00-07:00"), a_test("b", "2024-06-09T00:30:00-07:00")]
        assert run(table, tests, supplier_tz="America/New_York").pending == ("a", "b")
        assert run(table, tests, zone_basis="patient", supplier_tz="America/New_York").pending == ("a", "b")

    @pytest.mark.parametrize(
        ("others", "tests", "span"),
        [
            (("06-06", "06-13"), ("o0", "o1", "a", "b"), ("06-06", "06-21")),
            (("07-04", "07-10"), ("a", "b", "o0", "o1"), ("06-20", "07-10")),
        ],
    )
    def test_a_later_moment_may_have_an_earlier_date(
        self, table: DiagnosisTable, others: tuple[str, ...], tests: tuple[str, ...], span: tuple[str, str]
    ) -> None:
        """From UTC+14 to UTC-11: the evidence for a test, and the next test, lie on the date before it."""
        moved = (model.ZoneChange(dt.date(2024, 6, 20), "Pacific/Pago_Pago"),)
        patient = replace(ENROLLED, tz="Pacific/Kiritimati", tz_history=moved)
        known = [a_test(f"o{at}", f"2024-{day}T12:00:00") for at, day in enumerate(others)]
        known.append(a_test("a", "2024-06-20T10:30:00+00:00"))
        known.append(a_test("b", "2024-06-20T11:10:00+00:00", reason_early=written("2024-06-20")))
        (unit,) = run(table, known, patient=patient).units
        assert unit.tests == tests
        assert (unit.first_test.isoformat(), unit.last_test.isoformat()) == tuple(f"2024-{day}" for day in span)
        assert unit.review_flags == ("EARLY_TEST",)

    def test_a_meters_tests_without_record_numbers_are_no_copies_of_one_another(
        self, table: DiagnosisTable
    ) -> None:
        tests = [test._replace(device_serial="SN1") for test in weekly(2)]
        assert run(table, tests).pending == ("t1", "t2")
        tests = [test._replace(device_seq=7) for test in weekly(2)]
        assert run(table, tests).pending == ("t1", "t2")

    @pytest.mark.parametrize("stamp", ["reported_at", "acknowledged_at", "reviewed_at"])
    def test_no_test_is_taken_after_its_own_report(self, table: DiagnosisTable, stamp: str) -> None:
        taken = dt.datetime.fromisoformat("2024-06-05" + MORNING)
        at_once = a_test("t1", taken.isoformat(), **{stamp: taken})
        assert run(table, [at_once]).pending == ("t1",)
        before = a_test("t1", taken.isoformat(), **{stamp: taken - dt.timedelta(seconds=1)})
        assert refused(run(table, [before])) == {"t1": "FUTURE_DATED"}

    def test_a_manual_entry_that_names_its_record_is_that_record_or_none(self, table: DiagnosisTable) -> None:
        (kept,) = weekly(1)
        other = kept._replace(id="z", source="manual", attested=True, device_serial="SN1", device_seq=8)
        record = kept._replace(device_serial="SN1", device_seq=7)
        assert refused(run(table, [record, other])) == {"z": "SAME_WEEK_NO_REASON"}
        assert refused(run(table, [record, other._replace(device_seq=7)])) == {"z": "DUPLICATE"}
        without_serial = other._replace(device_serial=None)
        assert refused(run(table, [record, without_serial])) == {"z": "DUPLICATE"}
        elsewhere = other._replace(device_serial="SN2", device_seq=7)
        assert refused(run(table, [record, elsewhere])) == {"z": "DUPLICATE"}

    def test_ids_that_stand_twice_are_named_and_no_others(self, table: DiagnosisTable) -> None:
        with pytest.raises(errors.DuplicateTestError, match="stand twice: t1, t3; "):
            run(table, [*weekly(4), *weekly(3)[::2]])

    def test_a_correction_without_a_report_time_is_known_from_its_evidence(self, table: DiagnosisTable) -> None:
        right = a_test("r", "2024-06-05" + MORNING, corrects="t1", reported_at=None)
        assert refused(run(table, [*weekly(1), right])) == {"t1": "SUPERSEDED"}

    def test_a_clinical_extra_needs_no_date_to_be_one(self, table: DiagnosisTable) -> None:
        asked = written("2024-06-14", "repeat_abnormal")._replace(documented_at=None)
        extra = a_test("x", "2024-06-14" + MORNING, reason_early=asked)
        assert refused(run(table, [extra])) == {"x": "EXTRA_CLINICAL"}

    def test_a_notice_signed_after_the_test_is_none(self, table: DiagnosisTable) -> None:
        extra = a_test(
            "x",
            "2024-06-14" + MORNING,
            reason_early=written("2024-06-14", "provider_requested"),
            extra_order_signed_on=dt.date(2024, 6, 13),
            abn_signed_at=dt.datetime(2024, 6, 14, 15, 1, tzinfo=dt.UTC),
        )
        (entry,) = run(table, [extra]).not_covered
        assert (entry.liability, entry.modifier) == ("supplier", "GZ")

    def test_claims_of_the_other_code_stay_aside_whichever_is_tallied(self, table: DiagnosisTable) -> None:
        tests = [test._replace(reviewed_at=test.acknowledged_at) for test in weekly(4)]
        claimed = [model.ClaimedUnit(("t1", "t2", "t3", "t4"), dt.date(2024, 7, 3), "G0249")]
        house = replace(policy(table), service="G0250")
        statement = tally(ENROLLED, tests, (), claimed, house, AS_OF)
        assert [(unit.status, unit.code) for unit in statement.units] == [("billable", "G0250")]

    def test_a_claim_may_hold_a_single_test(self) -> None:
        check_claimed([model.ClaimedUnit(("t1",), dt.date(2024, 7, 3), "G0249", ("52",))], weekly(1))

    def test_a_claim_of_five_tests_is_refused(self) -> None:
        tests = weekly(5)
        ids = tuple(test.id for test in tests)
        with pytest.raises(errors.BadValueError, match="names 5 tests"):
            check_claimed([model.ClaimedUnit(ids, dt.date(2024, 7, 3))], tests)


class TestWords:
    def test_the_limits_of_the_forms(self) -> None:
        assert (X12_LIMIT, ITEM_19_LIMIT) == (80, 71)

    @pytest.mark.parametrize(
        ("limit", "text"),
        [(8, "AB CD EF"), (7, "AB CD"), (6, "AB CD"), (5, "AB CD"), (4, "AB"), (2, "AB"), (1, "A")],
    )
    def test_a_narrative_is_cut_at_a_word(self, limit: int, text: str) -> None:
        assert narrative("ab-cd ef", limit) == text

    def test_a_first_word_of_one_letter_is_a_word(self) -> None:
        assert narrative("a bcdef", 3) == "A"


class TestTheOrderedInterval:
    @pytest.mark.parametrize(("expires", "found"), [(11, 0), (12, 1), (13, 1)])
    def test_an_order_holds_until_it_expires(self, expires: int, found: int) -> None:
        orders = (model.Order(dt.date(2024, 4, 25), dt.date(2024, 6, expires), 14),)
        assert len(off_interval(replace(ENROLLED, orders=orders), weekly(2))) == found

    def test_the_order_last_signed_on_or_before_the_test_holds(self) -> None:
        orders = (model.Order(dt.date(2024, 4, 25), None, 14), model.Order(dt.date(2024, 6, 12), None, 7))
        assert [row.test for row in off_interval(replace(ENROLLED, orders=orders), weekly(3))] == []
        orders = (orders[0], orders[1]._replace(signed_on=dt.date(2024, 6, 13)))
        assert [row.test for row in off_interval(replace(ENROLLED, orders=orders), weekly(3))] == ["t2"]

    @pytest.mark.parametrize("longer_first", [False, True])
    def test_of_two_orders_alike_the_longer_interval_holds(self, longer_first: bool) -> None:
        signed = dt.date(2024, 4, 25)
        orders = (model.Order(signed, None, 7), model.Order(signed, None, 14))
        patient = replace(ENROLLED, orders=orders[::-1] if longer_first else orders)
        assert [row.ordered_days for row in off_interval(patient, weekly(2))] == [14]

    def test_a_single_day_is_a_difference_unless_it_is_tolerated(self) -> None:
        patient = replace(ENROLLED, orders=(model.Order(dt.date(2024, 4, 25), None, 6),))
        assert [row.days for row in off_interval(patient, weekly(2))] == [7]
        assert off_interval(patient, weekly(2), tolerance_days=1) == ()

    def test_void_and_corrected_tests_are_left_aside(self) -> None:
        patient = replace(ENROLLED, orders=(model.Order(dt.date(2024, 4, 25), None, 7),))
        void = a_test("v", "2024-06-08" + MORNING, voided=True)
        wrong = a_test("w", "2024-06-15" + MORNING)
        right = a_test("r", "2024-06-19T08:00:01-07:00", corrects="w")
        assert off_interval(patient, [*weekly(2), void, wrong, right]) == ()
        assert [(row.days, row.ordered_days) for row in off_interval(patient, weekly(3)[::2])] == [(14, 7)]


class TestTwoRecordsOfOneTest:
    @pytest.mark.parametrize(("inr", "text"), [("2.5", "2.5"), ("2.50", None), ("2.50", "2.50")])
    def test_equal_numbers_are_one_value_however_they_are_written(
        self, table: DiagnosisTable, inr: str, text: str | None
    ) -> None:
        entry = a_test("m", "2024-06-12T07:50:00-07:00", source="manual", attested=True, inr_text=None)
        upload = a_test("d", "2024-06-12T08:00:00-07:00", inr=Decimal(inr), inr_text=text)
        tests = [test for test in weekly(4) if test.id != "t2"]
        statement = tally(ENROLLED, [*tests, entry, upload], (), (), policy(table), dt.date(2024, 7, 5))
        assert [(each.test, each.reason) for each in statement.not_covered] == [("m", "DUPLICATE")]
        assert statement.units[0].tests == ("t1", "d", "t3", "t4")

    @pytest.mark.parametrize("inr", ["2.4", "2.6"])
    def test_another_number_is_another_test(self, table: DiagnosisTable, inr: str) -> None:
        entry = a_test("m", "2024-06-12T07:50:00-07:00", source="manual", attested=True)
        statement = run(table, [entry, a_test("d", "2024-06-12" + MORNING, inr=Decimal(inr))])
        assert refused(statement) == {"d": "SAME_WEEK_NO_REASON"}

    @pytest.mark.parametrize(("entered", "uploaded", "one"), [(">8", ">8", True), (">8", "<0.8", False)])
    def test_off_the_measuring_range_the_text_decides(
        self, table: DiagnosisTable, entered: str, uploaded: str, one: bool
    ) -> None:
        entry = a_test("m", "2024-06-12T07:50:00-07:00", source="manual", attested=True, inr=None, inr_text=entered)
        upload = a_test("d", "2024-06-12T08:00:00-07:00", inr=None, inr_text=uploaded)
        statement = tally(ENROLLED, [entry, upload], (), (), policy(table), dt.date(2024, 7, 5))
        assert ("m" in {each.test for each in statement.not_covered if each.reason == "DUPLICATE"}) is one


def test_where_no_advance_notice_is_accepted_the_supplier_pays_for_an_extra_test(table: DiagnosisTable) -> None:
    before = dt.datetime(2024, 6, 10, 12, tzinfo=dt.UTC)
    extra = a_test(
        "x",
        "2024-06-12" + MORNING,
        extra_order_signed_on=before.date(),
        abn_signed_at=before,
        reason_early=model.EarlyReason("provider_requested", "a second look", before, "RN"),
    )

    def said(**options: Any) -> tuple[str, str | None]:
        (out,) = tally(ENROLLED, [extra], (), (), policy(table, **options), dt.date(2024, 7, 5)).not_covered
        return out.liability, out.modifier

    assert said() == ("patient", "GA")
    assert said(abn="not_accepted") == ("supplier", None)
