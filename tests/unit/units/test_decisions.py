"""Single decisions that the worked cases leave open, each by its rule, and the words that explain them."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any, get_args

import pytest

from gateway.reporting.units import errors, model
from gateway.reporting.units.diagnoses import DiagnosisTable
from gateway.reporting.units.explain import explain
from gateway.reporting.units.interval import OffInterval, off_interval
from gateway.reporting.units.neighbours import Service, cautions
from gateway.reporting.units.policy import Policy, policies
from gateway.reporting.units.reasons import FLAG_WORDS, RULES, WORDS, Flag, Reason
from gateway.reporting.units.supplies import Delivery, supply
from gateway.reporting.units.tally import tally
from tests.unit.units.build import ENROLLED, a_test, policy, weekly

AS_OF = dt.date(2024, 7, 5)


def reason(category: model.Category, **changes: Any) -> model.EarlyReason:
    plain = model.EarlyReason(category, "away", dt.datetime(2024, 6, 14, 12, tzinfo=dt.UTC), "RN")
    return plain._replace(**changes)


def refused(statement: model.Statement) -> dict[str, str]:
    return {entry.test: entry.reason for entry in statement.not_covered}


def run(
    table: DiagnosisTable, tests: list[model.Test], *, as_of: dt.date = AS_OF, **options: object
) -> model.Statement:
    return tally(ENROLLED, tests, (), (), policy(table, **options), as_of)


def test_every_code_has_words_and_a_rule() -> None:
    assert set(WORDS) == set(RULES) == set(get_args(Reason))
    assert set(FLAG_WORDS) == set(get_args(Flag))


def test_a_correction_with_its_records_number_is_no_duplicate_of_it(table: DiagnosisTable) -> None:
    record = {"device_serial": "SN1", "device_seq": 7}
    tests = [
        a_test("t1", "2024-06-05T08:00:00-07:00", **record),
        a_test("t1c", "2024-06-05T08:00:00-07:00", corrects="t1", **record),
    ]
    statement = run(table, tests)
    assert refused(statement) == {"t1": "SUPERSEDED"}
    assert statement.pending == ("t1c",)


def test_a_correction_replaces_every_copy_of_its_record(table: DiagnosisTable) -> None:
    record = {"device_serial": "SN1", "device_seq": 7}
    tests = [
        a_test("a", "2024-06-05T08:00:00-07:00", **record),
        a_test("b", "2024-06-05T08:00:00-07:00", **record, acknowledged_at=dt.datetime(2024, 6, 9, tzinfo=dt.UTC)),
        a_test("c", "2024-06-12T08:00:00-07:00", corrects="b"),
    ]
    assert refused(run(table, tests)) == {"a": "SUPERSEDED", "b": "DUPLICATE"}


def test_the_same_record_number_of_another_meter_is_another_test(table: DiagnosisTable) -> None:
    tests = [
        a_test("a", "2024-06-05T08:00:00-07:00", device_serial="SN1", device_seq=7),
        a_test("b", "2024-06-12T08:00:00-07:00", device_serial="SN2", device_seq=7),
    ]
    assert run(table, tests).pending == ("a", "b")


def test_both_half_past_ones_of_the_fall_back_night_are_tests(table: DiagnosisTable) -> None:
    tests = [a_test("a", "2024-11-03T01:30:00-07:00"), a_test("b", "2024-11-03T01:30:00-08:00")]
    statement = run(table, tests, as_of=dt.date(2024, 11, 8))
    assert statement.pending == ("a",)
    assert refused(statement) == {"b": "SAME_WEEK_NO_REASON"}


@pytest.mark.parametrize(("moved", "expected"), [(None, {}), (True, {}), (False, {"t2": "EXTRA_CLINICAL"})])
def test_illness_is_an_early_reason_unless_the_weekly_test_was_not_moved(
    table: DiagnosisTable, moved: bool | None, expected: dict[str, str]
) -> None:
    tests = [
        a_test("t1", "2024-06-10T08:00:00-07:00"),
        a_test("t2", "2024-06-14T08:00:00-07:00", reason_early=reason("illness", weekly_test_moved=moved)),
    ]
    assert refused(run(table, tests)) == expected


@pytest.mark.parametrize("missing", [{"text": " "}, {"documented_by": ""}, {"documented_at": None}])
def test_an_incomplete_reason_is_no_reason(table: DiagnosisTable, missing: dict[str, object]) -> None:
    tests = [
        a_test("t1", "2024-06-10T08:00:00-07:00"),
        a_test("t2", "2024-06-14T08:00:00-07:00", reason_early=reason("travel", **missing)),
    ]
    assert refused(run(table, tests)) == {"t2": "SAME_WEEK_NO_REASON"}


def test_a_clinical_extra_is_the_patients_only_with_order_and_notice_before_it(table: DiagnosisTable) -> None:
    extra = a_test(
        "x",
        "2024-06-14T08:00:00-07:00",
        reason_early=reason("provider_requested"),
        extra_order_signed_on=dt.date(2024, 6, 14),
        abn_signed_at=dt.datetime(2024, 6, 14, 14, 59, tzinfo=dt.UTC),
    )
    (entry,) = run(table, [extra]).not_covered
    assert (entry.reason, entry.liability, entry.modifier) == ("EXTRA_CLINICAL", "patient", "GA")
    assert entry.words == "an additional test for a clinical reason"
    late_notice = extra._replace(abn_signed_at=extra.taken_at)
    (entry,) = run(table, [late_notice]).not_covered
    assert (entry.liability, entry.modifier) == ("supplier", "GZ")
    late_order = extra._replace(extra_order_signed_on=dt.date(2024, 6, 15))
    (entry,) = run(table, [late_order]).not_covered
    assert (entry.liability, entry.modifier) == ("supplier", None)


def test_an_optional_limit_on_late_reports(table: DiagnosisTable) -> None:
    late = a_test("t1", "2024-06-05T08:00:00-07:00", acknowledged_at=dt.datetime(2024, 6, 20, 12, tzinfo=dt.UTC))
    assert run(table, [late]).pending == ("t1",)
    assert refused(run(table, [late], late_report_limit_days=14)) == {"t1": "REPORTED_TOO_LATE"}
    assert run(table, [late], late_report_limit_days=15).pending == ("t1",)


def test_an_order_without_expiry_may_be_given_one_by_the_policy(table: DiagnosisTable) -> None:
    test = a_test("t1", "2024-06-05T08:00:00-07:00")
    assert run(table, [test], order_valid_months=2).not_covered == ()
    assert refused(run(table, [test], order_valid_months=1)) == {"t1": "NO_ACTIVE_ORDER"}


def test_the_suppliers_zone_where_the_policy_says_so(table: DiagnosisTable) -> None:
    tests = [a_test("a", "2024-06-08T23:30:00-07:00"), a_test("b", "2024-06-09T00:30:00-07:00")]
    assert len(run(table, tests).pending) == 2
    assert len(run(table, tests, zone_basis="supplier", supplier_tz="America/New_York").pending) == 1


def test_a_plans_tally_begins_with_its_coverage(table: DiagnosisTable) -> None:
    patient = replace(ENROLLED, covered_from=dt.date(2024, 6, 12))
    statement = tally(patient, weekly(2), (), (), policy(table), AS_OF)
    assert refused(statement) == {"t1": "BEFORE_COVERAGE"}
    assert statement.pending == ("t2",)


def test_a_held_unit_may_be_dated_before_one_already_claimed(table: DiagnosisTable) -> None:
    """R15 asks for a distance from every unit, so a gap of four weeks before a claim may be used."""
    tests = weekly(8)
    claimed = [model.ClaimedUnit(("t5", "t6", "t7", "t8"), dt.date(2024, 7, 31))]
    statement = tally(ENROLLED, tests, (), claimed, policy(table), dt.date(2024, 8, 2))
    assert [unit.billable_from for unit in statement.units] == [dt.date(2024, 7, 31), dt.date(2024, 7, 3)]
    claimed = [claimed[0]._replace(dos=dt.date(2024, 7, 30))]
    statement = tally(ENROLLED, tests, (), claimed, policy(table), dt.date(2024, 8, 2))
    assert statement.units[1].billable_from == dt.date(2024, 8, 27)


def test_claims_of_the_other_code_are_left_aside(table: DiagnosisTable) -> None:
    claimed = [model.ClaimedUnit(("t1", "t2", "t3", "t4"), dt.date(2024, 6, 26), "G0250")]
    statement = tally(ENROLLED, weekly(4), (), claimed, policy(table), AS_OF)
    assert [(unit.status, unit.code) for unit in statement.units] == [("billable", "G0249")]


def test_a_death_after_a_withdrawal_brings_a_notice(table: DiagnosisTable) -> None:
    tests = [
        a_test("t1", "2024-06-05T08:00:00-07:00"),
        a_test("t2", "2024-06-12T08:00:00-07:00", acknowledged_at=dt.datetime(2024, 6, 28, 12, tzinfo=dt.UTC)),
    ]
    events = [model.Event("withdrawn", dt.date(2024, 6, 20)), model.Event("death", dt.date(2024, 6, 25))]
    statement = tally(ENROLLED, tests, events, (), policy(table), AS_OF)
    assert statement.units[0].billable_from == dt.date(2024, 6, 28)
    assert statement.notices == (
        "The date of service 2024-06-28 lies after the death on 2024-06-25: it will deny.",
    )
    assert tally(ENROLLED, tests, events, (), policy(table), dt.date(2024, 6, 24)).notices == ()


def test_heparin_brings_a_notice_and_nothing_more(table: DiagnosisTable) -> None:
    infused = replace(ENROLLED, heparin=((dt.date(2024, 6, 10), dt.date(2024, 6, 14)),))
    statement = tally(infused, weekly(4), (), (), policy(table), AS_OF)
    assert statement.units[0].status == "billable"
    assert "heparin, which can disturb the INR (tests of those days: t2)" in statement.notices[0]
    alone = replace(ENROLLED, anticoagulant="heparin")
    assert set(refused(tally(alone, weekly(4), (), (), policy(table), AS_OF)).values()) == {"NOT_ON_WARFARIN"}


class TestExplain:
    def test_a_unit_in_words(self, table: DiagnosisTable, policy_files: list[dict[str, Any]]) -> None:
        book: list[Policy] = [found for file in policy_files for found in policies(file, {table.id: table})]
        noridian = next(found for found in book if found.id.startswith("ncd-noridian"))
        statement = tally(ENROLLED, weekly(5), (), (), noridian, AS_OF, trace=True)
        lines = explain(statement, "unit 1", noridian)
        assert "t1, t2, t3, t4" in lines[0]
        assert "[R1: Noridian A55756, paragraph 4, contractor]" in lines[0]
        assert any("asks for 2024-07-03 or later" in line for line in lines)
        assert lines[-1].startswith("Earliest date of service: 2024-07-03.")
        assert explain(statement, "t2")[-1] == "It is in unit 1, date of service 2024-07-03 (billable)."
        assert explain(statement, "t5")[-1] == "It is pending: 1 of 4 tests for the next unit."

    def test_each_reason_in_words(self, table: DiagnosisTable) -> None:
        tests = [
            a_test("t1", "2024-06-10T08:00:00-07:00"),
            a_test("t2", "2024-06-12T08:00:00-07:00"),
            a_test("t3", "2024-06-14T08:00:00-07:00", reason_early=reason("travel")),
            a_test("t4", "2024-06-15T08:00:00-07:00", reason_early=reason("travel")),
            a_test("t5", "2024-04-26T08:00:00-07:00"),
            a_test("t6", "2024-06-20T08:00:00-07:00", acknowledged_at=None),
        ]
        statement = tally(ENROLLED, tests, (), (), policy(table), AS_OF, trace=True)
        assert "second test of its week, without a reason in the record" in explain(statement, "t2")[1]
        assert "stands in for the week of Sunday 2024-06-16" in explain(statement, "t3")[1]
        assert "already has its test" in explain(statement, "t4")[1]
        assert explain(statement, "t5") == [
            "Does not count: taken before the training (test 2024-04-26, training 2024-05-01). [R27]"
        ]
        assert "no evidence yet" in explain(statement, "t6")[0]

    @pytest.mark.parametrize("kind", ["withdrawn", "death", "ma_transfer"])
    def test_a_partial_unit_and_a_claim_in_words(self, table: DiagnosisTable, kind: model.EventType) -> None:
        claimed = [model.ClaimedUnit(("t1", "t2", "t3", "t4"), dt.date(2024, 7, 3))]
        tests = [*weekly(6)[:1], weekly(2)[1]._replace(voided=True), *weekly(6)[2:]]
        events = [model.Event(kind, dt.date(2024, 7, 12))]
        statement = tally(ENROLLED, tests, events, claimed, policy(table), dt.date(2024, 7, 20), trace=True)
        assert any("frozen" in line for line in explain(statement, "unit 1"))
        assert any("Its test t2 no longer counts" in line for line in explain(statement, "unit 1"))
        lines = explain(statement, "unit 2")
        assert any("2024-07-12" in line and "modifier 52" in line for line in lines)
        assert any("less than 28 days after the previous unit" in line for line in lines)

    def test_what_cannot_be_explained_is_refused(self, table: DiagnosisTable) -> None:
        house = policy(table)
        with pytest.raises(errors.BadValueError, match="without a trace"):
            explain(tally(ENROLLED, weekly(1), (), (), house, AS_OF), "t1")
        with pytest.raises(errors.BadValueError, match="nothing was decided about 't9'"):
            explain(tally(ENROLLED, weekly(1), (), (), house, AS_OF, trace=True), "t9")


class TestBesideTheTally:
    def test_neighbouring_codes(self, table: DiagnosisTable) -> None:
        units = [tally(ENROLLED, weekly(4), (), (), policy(table), AS_OF).units[0]._replace(code="G0250")]
        day = dt.date(2024, 5, 1)
        services = [
            Service("G0248", day),
            Service("G0248", dt.date(2024, 5, 9)),
            Service("93792", day, units=2),
            Service("93793", dt.date(2024, 6, 5), test="t1", same_day_visit=True),
            Service("93793", dt.date(2024, 6, 5)),
            Service("S9336", dt.date(2024, 6, 6)),
        ]
        found = cautions(services, units)
        assert [(caution.rule, caution.date.isoformat()) for caution in found] == [
            ("R32", "2024-06-05"),
            ("R32", "2024-06-05"),
            ("R32", "2024-06-05"),
            ("R33", "2024-05-01"),
            ("R33", "2024-05-01"),
            ("R33", "2024-05-09"),
            ("R36", "2024-06-06"),
        ]
        assert cautions([Service("G0248", day), Service("93793", day, test="t1")]) == ()
        with pytest.raises(errors.BadCodeError):
            cautions([Service("99999", day)])  # type: ignore[arg-type]  # on purpose

    def test_strips(self) -> None:
        tests = [
            *weekly(3),
            a_test("e", "2024-06-05T07:55:00-07:00", kind="error"),
            a_test("c", "2024-06-05T07:50:00-07:00", kind="control"),
            a_test("m", "2024-06-12T09:00:00-07:00", source="manual"),
            a_test("v", "2024-06-13T09:00:00-07:00", kind="clinic"),
            a_test("d1", "2024-06-20T08:00:00-07:00", device_serial="S", device_seq=1),
            a_test("d2", "2024-06-20T08:00:00-07:00", device_serial="S", device_seq=1),
        ]
        deliveries = [
            Delivery(dt.date(2024, 5, 1), 6, "signed"),
            Delivery(dt.date(2024, 6, 1), 4),
            Delivery(dt.date(2024, 8, 1), 9),
        ]
        stock = supply(deliveries, tests, 1, AS_OF)
        assert stock.on_hand == 10 - 6 - 1
        assert stock.exhausted_on == AS_OF + dt.timedelta(days=22)
        assert (stock.exhausted_on - stock.deliver_from).days == 5
        assert (stock.deliver_from - stock.contact_from).days == 7
        assert stock.unproven == (dt.date(2024, 6, 1),)
        with pytest.raises(errors.BadValueError):
            supply(deliveries, tests, -1, AS_OF)
        with pytest.raises(errors.BadValueError):
            supply(deliveries, tests, 0, AS_OF, interval_days=0)

    def test_tests_off_the_ordered_interval(self) -> None:
        ordered = replace(ENROLLED, orders=(model.Order(dt.date(2024, 4, 25), None, 7),))
        tests = [
            *weekly(3),
            a_test("t4", "2024-06-29T08:00:00-07:00"),
            a_test("q", "2024-06-21T08:00:00-07:00", kind="control"),
        ]
        assert off_interval(ordered, tests) == (OffInterval("t4", dt.date(2024, 6, 29), 10, 7),)
        assert off_interval(ordered, tests, tolerance_days=3) == ()
        assert off_interval(ENROLLED, tests) == ()
