"""Copies, corrections, ends of service, gates, the physician's side and what stands beside a unit.

Each outcome was worked out on paper before anything was run. Days are of 2024; a bare day means 8 in the morning by
the patient's clock in Los Angeles, reported after five minutes, accepted after an hour. A statement reads

    t1+t2+t3+t4 on 07-03 FLAG | x REASON | pending t5 | next 07-06 / 07-31

``waits for`` stands for ``on`` while the date has not come, ``claimed on`` for what was submitted before, ``52``
for the modifier; after an end of service both next dates are ``never``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from gateway.reporting.units import errors, model
from gateway.reporting.units.cases import evaluate
from gateway.reporting.units.claim_text import claim_text
from gateway.reporting.units.diagnoses import DiagnosisTable
from gateway.reporting.units.explain import explain
from gateway.reporting.units.neighbours import Caution, Service, cautions
from gateway.reporting.units.policy import Policy
from gateway.reporting.units.reasons import FLAG_RULES, Flag
from gateway.reporting.units.supplies import Delivery, supply
from gateway.reporting.units.tally import tally
from tests.unit.units.build import ENROLLED, a_test, policy, weekly

AS_OF = dt.date(2024, 7, 5)
STATUS = {"billable": "on", "complete_waiting": "waits for", "claimed": "claimed on"}
WHOLE = "t1+t2+t3+t4 on 07-03"
NEXT = "next 07-06 / 07-31"
ENDED = "next never / never"
RECORD: dict[str, Any] = {"device_serial": "SN1", "device_seq": 7}
MANUAL: dict[str, Any] = {"source": "manual", "attested": True}


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text if len(text) == len("2024-06-05") else f"2024-{text}")


def at(text: str) -> dt.datetime:
    """``06-05`` (8 o'clock), ``06-05T09:30`` by the patient's clock, or a moment of its own."""
    if len(text) <= len("06-05T09:30"):
        text = f"2024-{text if 'T' in text else text + 'T08:00'}:00-07:00"
    return dt.datetime.fromisoformat(text)


def one(test_id: str, taken: str, *, sent: str = "", ack: str | None = "", **changes: Any) -> model.Test:
    """A test; ``ack=None``: never accepted."""
    if sent:
        changes["reported_at"] = at(sent)
    if ack != "":
        changes["acknowledged_at"] = None if ack is None else at(ack)
    return a_test(test_id, at(taken).isoformat(), **changes)


def early(written: str, category: model.Category = "travel") -> model.EarlyReason:
    return model.EarlyReason(category, "see note", at(written), "RN")


def with_changes(tests: Sequence[model.Test], **changes: model.Test | Sequence[model.Test]) -> list[model.Test]:
    """The tests with some of them replaced by others, in their places."""
    found: list[model.Test] = []
    for test in tests:
        new = changes.get(test.id, test)
        found += [new] if isinstance(new, model.Test) else list(new)
    return found


def reviewed(tests: Sequence[model.Test], **moments: str | None) -> list[model.Test]:
    """The tests as a physician saw them: two hours after each, or when `moments` say (None: never)."""
    usual = dt.timedelta(hours=2)
    found = []
    for test in tests:
        when = moments.get(test.id, "")
        seen = test.taken_at + usual if when == "" else None if when is None else at(when)
        found.append(test._replace(reviewed_at=seen))
    return found


def in_short(statement: model.Statement) -> str:
    def short(date: dt.date | None) -> str:
        return "never" if date is None else date.isoformat().removeprefix("2024-")

    parts = [
        " ".join(
            ["+".join(u.tests), STATUS[u.status], short(u.billable_from), *u.modifiers, *u.review_flags],
        )
        for u in statement.units
    ]
    parts += [f"{out.test} {out.reason}" for out in statement.not_covered]
    if statement.pending:
        parts.append("pending " + " ".join(statement.pending))
    following = statement.next_eligible
    return " | ".join([*parts, f"next {short(following.test_from)} / {short(following.dos_from)}"])


class Case(NamedTuple):
    """One patient's tests, and what each of some policies makes of them (by option=value, empty: the house's)."""

    words: str
    tests: Sequence[model.Test]
    outcomes: dict[str, str]
    as_of: str = "07-05"
    events: str = ""
    claimed: str = ""
    service: model.Code = "G0249"
    enrolled: model.Enrollment = ENROLLED


def options(text: str) -> dict[str, object]:
    found: dict[str, object] = {}
    for word in text.split():
        name, value = word.split("=")
        found[name] = int(value) if value.isdigit() else {"yes": True}.get(value, value)
    return found


def judge(case: Case, house: Policy) -> str:
    events = [
        model.Event(kind, day(on))  # type: ignore[arg-type]  # a word of the case
        for kind, on in (event.split() for event in filter(None, case.events.split(";")))
    ]
    claimed = []
    for unit in filter(None, case.claimed.split(";")):
        names, dos, *modifiers = unit.split()
        claimed.append(model.ClaimedUnit(tuple(names.split("+")), day(dos), case.service, tuple(modifiers)))
    found = [
        in_short(tally(case.enrolled, tests, events[::step], claimed, house, day(case.as_of)))
        for tests, step in ((case.tests, 1), (case.tests, -1))
    ]
    assert found[0] == found[1], "the order of the events has changed the answer"
    return found[0]


W = weekly(4)
FALL_BACK = [one("a", "10-16"), one("b", "10-23"), one("c", "10-30")]

COPIES = [
    Case(
        "control, error and clinic test leave a week to the early test before it",
        [
            *weekly(2),
            one("e", "06-15", reason_early=early("06-14")),
            one("c", "06-17", kind="control"),
            one("x", "06-18", kind="error", inr=None, ack=None),
            one("k", "06-19", kind="clinic"),
            one("t4", "06-26"),
        ],
        {
            "": f"t1+t2+e+t4 on 07-03 EARLY_TEST | c CONTROL | x ERROR | k CLINIC_TEST | {NEXT}",
            "early_rule=never": "e EARLY_NOT_ALLOWED | c CONTROL | x ERROR | k CLINIC_TEST | pending t1 t2 t4"
            " | next 07-06 / never",
        },
    ),
    Case(
        "what is against a test first",
        [
            one("v", "06-05", kind="control", voided=True),
            one("f", "07-30", kind="control", ack=None, reported_at=None),
            one("k", "06-12", kind="clinic"),
            one("p", "06-19"),
        ],
        {"": "v VOIDED | f CONTROL | k CLINIC_TEST | p NOT_ON_WARFARIN | next never / never"},
        enrolled=replace(ENROLLED, anticoagulant="apixaban"),
    ),
    Case(
        "acceptances after the as-of date are unknown when copies are compared",
        with_changes(W, t2=[one("x1", "06-12", ack="07-09", **RECORD), one("x2", "06-12", ack="07-08", **RECORD)]),
        {"": "x1 NOT_ACKNOWLEDGED | x2 DUPLICATE | pending t1 t3 t4 | next 07-06 / never"},
    ),
    Case(
        "record number 0 is a number",
        with_changes(
            W,
            t2=one("t2", "06-12", device_serial="S", device_seq=0),
            t3=one("t3", "06-19", device_serial="S", device_seq=0),
        ),
        {"": "t3 DUPLICATE | pending t1 t2 t4 | next 07-06 / never"},
    ),
    Case(
        "two hours are time that passed: over the change of the clocks exactly two",
        [
            *FALL_BACK,
            one("m", "2024-11-03T01:30:00-07:00", **MANUAL),
            one("d", "2024-11-03T02:30:00-08:00"),
        ],
        {"": "a+b+c+d on 11-13 | m DUPLICATE | next 11-15 / 12-11"},
        as_of="11-14",
    ),
    Case(
        "and a second more",
        [
            *FALL_BACK,
            one("m", "2024-11-03T01:30:00-07:00", **MANUAL),
            one("d", "2024-11-03T02:30:01-08:00"),
        ],
        {"": "a+b+c+m on 11-13 MANUAL_ENTRY | d SAME_WEEK_NO_REASON | next 11-15 / 12-11"},
        as_of="11-14",
    ),
    Case(
        "a phoned-in value stands until there is evidence for the meter's record",
        with_changes(W, t2=[one("m", "06-12T08:20", **MANUAL), one("d", "06-12", ack="07-06")]),
        {
            "": f"t1+m+t3+t4 on 07-03 MANUAL_ENTRY | d NOT_ACKNOWLEDGED | {NEXT}",
            "report_evidence=transmitted": f"t1+d+t3+t4 on 07-03 | m DUPLICATE | {NEXT}",
            "manual_entry=exclude": "m MANUAL_UNVERIFIED | d NOT_ACKNOWLEDGED | pending t1 t3 t4"
            " | next 07-06 / never",
        },
    ),
    Case(
        "a copy on the other side of Saturday's midnight keeps the week of the meter's record",
        with_changes(W, t2=[one("d", "06-15T23:30"), one("m", "06-16T00:30", **MANUAL)]),
        {"": f"t1+d+t3+t4 on 07-03 | m DUPLICATE | {NEXT}"},
    ),
    Case(
        "a control of the same value is no upload of the phoned-in test",
        with_changes(W, t2=[one("c", "06-12", kind="control"), one("m", "06-12T08:20", **MANUAL)]),
        {"": f"t1+m+t3+t4 on 07-03 MANUAL_ENTRY | c CONTROL | {NEXT}"},
    ),
    Case(
        "without attestation nothing else is asked",
        [
            one("x", "06-05", source="manual", reason_early=early("06-04", "repeat_abnormal")),
            one("y", "06-12", source="manual", ack=None),
            one("z", "06-19", **MANUAL, reason_early=early("06-18", "provider_requested"), ack=None),
            one("w", "06-26", **MANUAL, ack=None),
        ],
        {
            "": "x MANUAL_UNVERIFIED | y MANUAL_UNVERIFIED | z EXTRA_CLINICAL | w NOT_ACKNOWLEDGED"
            " | next 07-06 / never",
        },
    ),
]

CORRECTIONS = [
    Case(
        "a chain of three versions",
        with_changes(
            W,
            t3=[
                one("t3", "06-19"),
                one("b", "06-19", sent="06-20", ack="06-20", corrects="t3"),
                one("c", "06-19", sent="06-21", ack=None, corrects="b"),
            ],
        ),
        {
            "": "t3 SUPERSEDED | b SUPERSEDED | c NOT_ACKNOWLEDGED | pending t1 t2 t4 | next 07-06 / never",
            "report_evidence=transmitted": "t1+t2+c+t4 on 07-03 CORRECTED_RESULT | t3 SUPERSEDED | b SUPERSEDED"
            f" | {NEXT}",
        },
    ),
    Case(
        "a correction of the last minute is known",
        with_changes(W, t3=[one("t3", "06-19"), one("b", "06-19", sent="07-05T23:59", ack=None, corrects="t3")]),
        {"": "t3 SUPERSEDED | b NOT_ACKNOWLEDGED | pending t1 t2 t4 | next 07-06 / never"},
    ),
    Case(
        "one of the next day is not",
        with_changes(W, t3=[one("t3", "06-19"), one("b", "06-19", sent="07-06T00:00", ack=None, corrects="t3")]),
        {"": f"{WHOLE} | b NOT_ACKNOWLEDGED | {NEXT}"},
    ),
    Case(
        "a void correction does not bring the original back",
        with_changes(
            W,
            t3=[
                one("t3", "06-19"),
                one("b", "06-19", sent="06-20", ack="06-20", corrects="t3", voided=True),
            ],
        ),
        {"": "t3 SUPERSEDED | b VOIDED | pending t1 t2 t4 | next 07-06 / never"},
    ),
    Case(
        "corrected to a control",
        with_changes(
            W,
            t3=[
                one("t3", "06-19"),
                one("b", "06-19", sent="06-20", ack="06-20", corrects="t3", kind="control"),
            ],
        ),
        {"": "t3 SUPERSEDED | b CONTROL | pending t1 t2 t4 | next 07-06 / never"},
    ),
    Case(
        "corrected by hand",
        with_changes(
            W,
            t3=[
                one("t3", "06-19"),
                one("b", "06-19", sent="06-20", ack="06-20", corrects="t3", inr=Decimal("2.7"), **MANUAL),
            ],
        ),
        {"": f"t1+t2+b+t4 on 07-03 CORRECTED_RESULT MANUAL_ENTRY | t3 SUPERSEDED | {NEXT}"},
    ),
    Case(
        "a void before the claim frees the week, a void after it does not",
        with_changes(W, t2=[one("t2", "06-10", voided=True), one("b", "06-12")]),
        {"": f"t1+b+t3+t4 on 07-03 | t2 VOIDED | {NEXT}"},
    ),
    Case(
        "a void after it",
        with_changes(W, t2=[one("t2", "06-10", voided=True), one("b", "06-12")]),
        {
            "": "t1+t2+t3+t4 claimed on 07-03 CLAIMED_TEST_INVALIDATED | t2 VOIDED | b SAME_WEEK_NO_REASON"
            f" | {NEXT}",
        },
        claimed="t1+t2+t3+t4 07-03",
    ),
    Case(
        "a claimed unit without record of the training: each of its tests is listed",
        W,
        {
            "": "t1+t2+t3+t4 claimed on 07-03 CLAIMED_TEST_INVALIDATED"
            + "".join(f" | t{n} TRAINING_NOT_DOCUMENTED" for n in range(1, 5))
            + " | next never / 07-31",
        },
        claimed="t1+t2+t3+t4 07-03",
        enrolled=replace(ENROLLED, training_documented=False),
    ),
    Case(
        "a claimed test accepted after a death that was not known then",
        with_changes(W, t4=one("t4", "06-26", ack="06-29")),
        {
            "": f"t1+t2+t3+t4 claimed on 07-03 CLAIMED_TEST_INVALIDATED | t4 ACK_AFTER_END | {ENDED}",
            "ack_after_end=count_clamp": f"t1+t2+t3+t4 claimed on 07-03 | {ENDED}",
        },
        claimed="t1+t2+t3+t4 07-03",
        events="death 06-27",
    ),
]

ENDS = [
    Case(
        "a fifth test is a quarter on the day after the whole unit",
        weekly(5),
        {
            "": f"{WHOLE} | t5 on 07-04 52 WITHIN_28_DAYS_OF_PREVIOUS_DOS | {ENDED}",
            "min_days_between_dos=29": f"{WHOLE} | t5 on 07-04 52 WITHIN_28_DAYS_OF_PREVIOUS_DOS | {ENDED}",
            "min_days_first_test_to_dos=0": "t1+t2+t3+t4 on 06-26 | t5 on 07-03 52"
            f" WITHIN_28_DAYS_OF_PREVIOUS_DOS | {ENDED}",
        },
        events="withdrawn 07-05",
        as_of="07-10",
    ),
    Case(
        "27 days after the whole unit is near whatever the spacing",
        [*W, one("t5", "07-30")],
        {
            "": f"{WHOLE} | t5 on 07-30 52 WITHIN_28_DAYS_OF_PREVIOUS_DOS | {ENDED}",
            "min_days_between_dos=0": f"{WHOLE} | t5 on 07-30 52 WITHIN_28_DAYS_OF_PREVIOUS_DOS | {ENDED}",
        },
        events="withdrawn 08-01",
        as_of="08-02",
    ),
    Case(
        "28 days are not",
        [*W, one("t5", "07-31")],
        {
            "": f"{WHOLE} | t5 on 07-31 52 | {ENDED}",
            "min_days_between_dos=29": f"{WHOLE} | t5 on 07-31 52 | {ENDED}",
        },
        events="withdrawn 08-01",
        as_of="08-02",
    ),
    Case(
        "after a claim the partial unit looks at the claimed date",
        weekly(5),
        {"": f"t1+t2+t3+t4 claimed on 07-08 | t5 on 07-09 52 WITHIN_28_DAYS_OF_PREVIOUS_DOS | {ENDED}"},
        events="withdrawn 07-18",
        claimed="t1+t2+t3+t4 07-08",
        as_of="07-20",
    ),
    Case(
        "one last covered day for the whole unit and the partial one",
        [*W, one("t5", "06-30")],
        {
            "": "t1+t2+t3+t4 on 07-01 PERIOD_LT_28_DAYS_TERMINATION | t5 on 07-01 52"
            f" WITHIN_28_DAYS_OF_PREVIOUS_DOS | {ENDED}",
        },
        events="death 07-01",
    ),
    Case(
        "the plan's first day is not covered, the day before is",
        [one("t1", "06-05"), one("t2", "06-11T20:00"), one("t3", "06-12T00:00"), one("t4", "06-19", ack=None)],
        {"": f"t1+t2 on 06-11 52 | t3 NOT_FFS | t4 NOT_FFS | {ENDED}"},
        events="ma_transfer 06-12",
    ),
    Case(
        "a plan that begins on the date pulls it back a day, unless the 28th day is counted",
        W,
        {
            "": f"t1+t2+t3+t4 on 07-02 PERIOD_LT_28_DAYS_TERMINATION | {ENDED}",
            "min_days_first_test_to_dos=27": f"t1+t2+t3+t4 on 07-02 | {ENDED}",
        },
        events="ma_transfer 07-03",
    ),
    Case(
        "the spacing runs beyond the death",
        weekly(8),
        {"": f"{WHOLE} | t5+t6+t7+t8 on 07-26 PERIOD_LT_28_DAYS_TERMINATION | {ENDED}"},
        events="death 07-26",
        as_of="08-05",
    ),
    Case(
        "of two ends the earlier rules, in whatever order they are told",
        [*weekly(3), one("t4", "07-02")],
        {"": f"t1+t2+t3 on 06-19 52 | t4 AFTER_TERMINATION | {ENDED}"},
        events="ma_transfer 07-01;death 06-25",
    ),
    Case(
        "a withdrawal before a death sets no last day",
        [*weekly(2), one("t3", "06-19", ack="06-24")],
        {"": f"t1+t2+t3 on 06-24 52 | {ENDED}"},
        events="death 06-22;withdrawn 06-20",
    ),
    Case(
        "the fourth accepted after the death, in every reading",
        with_changes(W, t4=one("t4", "06-26", ack="07-08")),
        {
            "": f"t1+t2+t3 on 06-19 52 | t4 ACK_AFTER_END | {ENDED}",
            "ack_after_end=count_clamp": "t1+t2+t3+t4 on 07-05 ACK_AFTER_END LATE_REPORT"
            f" PERIOD_LT_28_DAYS_TERMINATION | {ENDED}",
            "report_evidence=transmitted": f"{WHOLE} | {ENDED}",
        },
        events="death 07-05",
        as_of="07-20",
    ),
    Case(
        "accepted in the last second of the day of death",
        [*weekly(2), one("t3", "06-19", ack="2024-06-20T23:59:59-07:00")],
        {"": f"t1+t2+t3 on 06-20 52 | {ENDED}"},
        events="death 06-20",
    ),
    Case(
        "accepted at the midnight after it",
        [*weekly(2), one("t3", "06-19", ack="2024-06-21T00:00:00-07:00")],
        {
            "": f"t1+t2 on 06-12 52 | t3 ACK_AFTER_END | {ENDED}",
            "ack_after_end=count_clamp": f"t1+t2+t3 on 06-20 52 ACK_AFTER_END | {ENDED}",
        },
        events="death 06-20",
    ),
    Case(
        "a hold changes nothing, neither before a gap nor before a withdrawal",
        weekly(3),
        {"": "pending t1 t2 t3 | next 08-31 / never"},
        events="hold 06-20",
        as_of="08-30",
    ),
    Case(
        "a clinical extra after the end is after the end",
        [*weekly(1), one("x", "06-22", reason_early=early("06-21", "repeat_abnormal"))],
        {"": f"t1 on 06-05 52 | x AFTER_TERMINATION | {ENDED}"},
        events="withdrawn 06-20",
    ),
    Case(
        "the fifth in four weeks, at a death",
        [*W, one("t5", "06-29", reason_early=early("06-28"))],
        {
            "": "t1+t2+t3+t4 on 06-30 PERIOD_LT_28_DAYS_TERMINATION | t5 on 06-30 52 EARLY_TEST"
            f" FIVE_TAKEN_IN_FOUR_WEEKS WITHIN_28_DAYS_OF_PREVIOUS_DOS | {ENDED}",
            "early_rule=literal_any4": "t1+t2+t3+t4 on 06-30 PERIOD_LT_28_DAYS_TERMINATION"
            f" | t5 FOUR_IN_FOUR_WEEKS | {ENDED}",
        },
        events="death 06-30",
    ),
]

GATES = [
    Case(
        "the evening of the training day in local time, and the night before",
        [one("t0", "06-04T23:30"), one("t1", "06-05T23:30"), *weekly(4)[1:]],
        {
            "": "t0 BEFORE_TRAINING | t1 TRAINING_DAY | pending t2 t3 t4 | next 07-06 / never",
            "count_training_day=yes": f"{WHOLE} | t0 BEFORE_TRAINING | {NEXT}",
        },
        enrolled=replace(ENROLLED, training_date=day("06-05")),
    ),
    Case(
        "training before warfarin before the order before the end",
        [one("t1", "06-04"), one("t2", "06-05"), one("t3", "06-06"), one("t4", "06-08")],
        {"": f"t1 BEFORE_TRAINING | t2 TRAINING_DAY | t3 WARFARIN_LT_3_MONTHS | t4 NO_ACTIVE_ORDER | {ENDED}"},
        events="withdrawn 06-03",
        enrolled=replace(
            ENROLLED, training_date=day("06-05"), warfarin_start=day("03-08"), orders=(model.Order(day("06-20")),)
        ),
    ),
    *(
        Case(
            f"warfarin since {start}: {by_months} by months, {by_days} by days",
            W,
            {
                "": f"{WHOLE} | {NEXT}"
                if by_months == "enough"
                else "t1 WARFARIN_LT_3_MONTHS | pending t2 t3 t4 | next 07-06 / never",
                "warfarin_3_months=days90": f"{WHOLE} | {NEXT}"
                if by_days == "enough"
                else "t1 WARFARIN_LT_3_MONTHS | pending t2 t3 t4 | next 07-06 / never",
            },
            enrolled=replace(ENROLLED, warfarin_start=day(start)),
        )
        for start, by_months, by_days in (
            ("03-05", "enough", "enough"),
            ("03-06", "too short", "enough"),
            ("03-07", "too short", "enough"),
            ("03-08", "too short", "too short"),
        )
    ),
    Case(
        "31 January: the last day of April, or the 90th day",
        (),
        {"": "next 2023-04-30 / never", "warfarin_3_months=days90": "next 2023-05-01 / never"},
        as_of="2023-04-01",
        enrolled=replace(
            ENROLLED,
            warfarin_start=dt.date(2023, 1, 31),
            training_date=dt.date(2022, 1, 1),
            orders=(model.Order(dt.date(2022, 1, 1)),),
        ),
    ),
    Case(
        "one order after the other, told in any order, with a gap",
        W,
        {"": "t2 NO_ACTIVE_ORDER | pending t1 t3 t4 | next 07-10 / never"},
        as_of="06-30",
        enrolled=replace(
            ENROLLED,
            orders=(
                model.Order(day("06-19"), day("06-29")),
                model.Order(day("06-01"), day("06-11")),
                model.Order(day("07-10"), day("07-10")),
            ),
        ),
    ),
    Case(
        "the last day of an order is the last next day",
        weekly(1),
        {"": "pending t1 | next 06-09 / never"},
        as_of="06-07",
        enrolled=replace(ENROLLED, orders=(model.Order(day("06-01"), day("06-09")),)),
    ),
    Case(
        "an order that ends before the next free Sunday leaves none",
        weekly(1),
        {"": "pending t1 | next never / never"},
        as_of="06-07",
        enrolled=replace(ENROLLED, orders=(model.Order(day("06-01"), day("06-08")),)),
    ),
    Case(
        "a plan that will begin tomorrow closes nothing today",
        weekly(1),
        {"": "pending t1 | next 06-09 / never"},
        as_of="06-07",
        events="ma_transfer 06-08",
    ),
]

PHYSICIAN = [
    Case(
        "reviewed is enough, acknowledged is nothing",
        [
            *reviewed([one("t1", "06-05", ack=None, reported_at=None), one("t2", "06-12")], t2=None),
            *reviewed(weekly(5)[2:]),
        ],
        {
            "": "t1+t3+t4+t5 on 07-03 | t2 NOT_REVIEWED | next 07-07 / 07-31",
            "report_evidence=transmitted": "t1+t3+t4+t5 on 07-03 | t2 NOT_REVIEWED | next 07-07 / 07-31",
        },
        service="G0250",
    ),
    Case(
        "dated on the fourth review; seven days are not late",
        reviewed(W, t1="06-12", t4="07-03"),
        {"": f"{WHOLE} | {NEXT}"},
        service="G0250",
    ),
    Case(
        "eight are",
        reviewed(W, t4="07-04"),
        {"": "t1+t2+t3+t4 on 07-04 LATE_REPORT | next 07-06 / 08-01"},
        service="G0250",
    ),
    Case(
        "the distance is kept from claims of the same code",
        reviewed(weekly(8)),
        {
            "": "t1+t2+t3+t4 claimed on 06-28 | t5+t6+t7+t8 on 07-26 | next 07-28 / 08-23",
            "min_days_between_dos=29": "t1+t2+t3+t4 claimed on 06-28 | t5+t6+t7+t8 waits for 07-27"
            " | next 07-28 / 08-25",
            "min_days_first_test_to_dos=28": "t1+t2+t3+t4 claimed on 06-28 | t5+t6+t7+t8 waits for 07-31"
            " | next 07-28 / 08-28",
            "min_days_between_dos=0": "t1+t2+t3+t4 claimed on 06-28 | t5+t6+t7+t8 on 07-24 | next 07-28 / never",
        },
        claimed="t1+t2+t3+t4 06-28",
        service="G0250",
        as_of="07-26",
    ),
    Case(
        "the week that an early test stands in for is waited for here too",
        reviewed([*weekly(3), one("e", "06-22", reason_early=early("06-21"))]),
        {
            "": "t1+t2+t3+e waits for 06-30 EARLY_TEST PROVISIONAL | next 06-30 / 07-28",
            "early_rule=never": "e EARLY_NOT_ALLOWED | pending t1 t2 t3 | next 06-25 / never",
            "early_rule=literal_any4": "t1+t2+t3+e on 06-22 EARLY_TEST | next 06-30 / 07-20",
        },
        service="G0250",
        as_of="06-24",
    ),
    Case(
        "reviewed after the death",
        reviewed(W, t4="07-02"),
        {
            "": f"t4 ACK_AFTER_END | pending t1 t2 t3 | {ENDED}",
            "ack_after_end=count_clamp": "t1+t2+t3+t4 on 06-28 ACK_AFTER_END PERIOD_LT_28_DAYS_TERMINATION"
            f" | {ENDED}",
        },
        events="death 06-28",
        service="G0250",
    ),
    Case(
        "six reviews and a plan: one unit, one test left, none in part",
        reviewed(weekly(6)),
        {"": f"t1+t2+t3+t4 on 06-26 | t6 NOT_FFS | pending t5 | {ENDED}"},
        events="ma_transfer 07-10",
        service="G0250",
        as_of="07-12",
    ),
    Case(
        "a phoned-in value stands until the meter's record is reviewed",
        reviewed(
            with_changes(W, t2=[one("m", "06-12T08:20", **MANUAL), one("d", "06-12")]),
            d=None,
        ),
        {"": "t1+m+t3+t4 on 06-26 MANUAL_ENTRY | d NOT_REVIEWED | next 07-06 / 07-24"},
        service="G0250",
    ),
]


@pytest.mark.parametrize("case", [*COPIES, *CORRECTIONS, *ENDS, *GATES, *PHYSICIAN], ids=lambda case: case.words)
def test_what_was_worked_out_on_paper(table: DiagnosisTable, case: Case) -> None:
    usual = {"min_days_first_test_to_dos": 0} if case.service == "G0250" else {}
    for said, outcome in case.outcomes.items():
        house = policy(table, **{**usual, **options(said)})
        assert judge(case, replace(house, service=case.service)) == outcome, said or "the house's policy"


@pytest.mark.parametrize(
    ("codes", "valve", "outcomes"),
    [
        ("Z95.2", "mechanical", "yes"),
        ("Z95.2", None, "no"),
        ("Z95.2", "bioprosthetic", "no"),
        ("Z95.2 I48.20", None, "yes"),
        ("Z79.01", None, "no"),
        ("", "mechanical", "no"),
        ("Z95.3", None, "no"),
        ("Z95.3 I48.20", "bioprosthetic", "review"),
        ("I48.20", "porcine", "review"),
        ("Z95.3 I82.511", None, "review"),
        ("Z95.3 I48.91", None, "no"),
        ("I48.91", None, "if included"),
        ("I48.91 I48.0", None, "yes"),
        ("i4820 z7901", None, "yes"),
        *((code, None, "yes") for code in ("I48.0", "I48.11", "I48.19", "I48.21", "I26.93", "I27.82", "I82.401")),
        *(
            (code, None, "yes")
            for code in ("I82.819", "Z86.718", "D68.51", "I80.211", "T82.817A", "O22.51", "I67.6")
        ),
        *((code, None, "no") for code in ("I48.3", "I48.4", "I48.92", "I48.2", "I10", "I63.9")),
    ],
)
def test_each_class_of_diagnoses(table: DiagnosisTable, codes: str, valve: str | None, outcomes: str) -> None:
    patient = replace(ENROLLED, diagnosis=tuple(codes.split()), valve_type=valve)

    def made(**said: object) -> str:
        return in_short(tally(patient, W, (), (), policy(table, **said), AS_OF)).split(" | ")[0]

    flagged = f"{WHOLE} PORCINE_WITH_OTHER_INDICATION"
    refused = "t1 DIAGNOSIS_NOT_COVERED"
    assert made() == {"yes": WHOLE, "review": flagged}.get(outcomes, refused)
    assert made(porcine_with_other_indication="exclude") == (WHOLE if outcomes == "yes" else refused)
    if "I48.91" in codes:
        review = "Z95.3" in codes
        assert made(dx_unspecified_af="include") == (flagged if review else WHOLE)


def test_forms_that_a_case_may_have(table: DiagnosisTable) -> None:
    """Nulls for what is elsewhere absent, times of every spelling, and words that nobody asks for."""
    enrolled: dict[str, object] = {
        "tz": "America/Los_Angeles",
        "payer": "medicare_advantage",
        "diagnosis": ["I48.20"],
        "anticoagulant": "Warfarin",
        "warfarin_start": "2024-01-02",
        "training_date": "2024-05-01",
        "training_documented": True,
        "orders": [{"signed_on": "2024-04-25"}],
        "policy": None,
        "tz_history": None,
    }
    plain: dict[str, object] = {
        "kind": "patient",
        "source": "device",
        "inr": 3,
        "acknowledged_at": "2024-06-27T09:00",
    }
    nothing = dict.fromkeys(
        ["inr_text", "device_serial", "device_seq", "attested", "corrects", "voided", "reason_early", "abn"]
    )
    taken = ["2024-06-05T08:00", "2024-06-12T15:00:00.250Z", "2024-06-19 08:00:00-07:00", "2024-06-26T08:00:00"]
    case = {
        "id": "K",
        "enrollment": enrolled,
        "tests": [
            {**plain, **(nothing if n % 2 else {}), "id": f"t{n}", "taken_at": when} for n, when in enumerate(taken)
        ],
        "events": None,
        "claimed": None,
        "policy_variants": None,
        "as_of": "2024-07-05",
        "expected": {"units": [{"tests": ["t0", "t1", "t2", "t3"], "billable_from": "2024-07-03"}]},
    }
    (found,) = evaluate({"cases": [case]}, table)
    # Only these two fields of the unit are compared.
    assert found.differences == ()


class TestBesideTheUnits:
    @pytest.mark.parametrize(
        ("flag", "tests", "said"),
        [
            ("LATE_REPORT", with_changes(W, t4=one("t4", "06-26", ack="07-05")), {}),
            ("MANUAL_ENTRY", with_changes(W, t2=one("t2", "06-12", **MANUAL)), {}),
            ("LONG_SPAN", [one("t1", "04-02"), *weekly(4)[1:]], {}),
            ("EARLY_TEST", [*weekly(3), one("e", "06-22", reason_early=early("06-21"))], {}),
        ],
    )
    def test_a_flag_is_told_with_its_own_rule(
        self, table: DiagnosisTable, flag: Flag, tests: list[model.Test], said: dict[str, object]
    ) -> None:
        trained = replace(ENROLLED, training_date=day("03-01"), orders=(model.Order(day("03-01")),))
        trained = replace(trained, warfarin_start=dt.date(2023, 6, 1))
        statement = tally(trained, tests, (), (), policy(table, **said), AS_OF, trace=True)
        held = [line for line in explain(statement, "unit 1") if line.startswith("Held for review")]
        assert [line.rsplit(" ", 1)[1] for line in held] == [f"[{FLAG_RULES[flag]}]"]
        assert statement.units[0].review_flags == (flag,)

    def test_the_training_code_of_the_visit_is_paid_once_a_day(self) -> None:
        visit = Service("93792", day("05-01"))
        words = "93792 is limited to 1 unit a day; 2 are named."
        assert cautions([visit, visit]) == (Caution("R33", day("05-01"), words),)
        assert cautions([visit._replace(units=2)]) == (Caution("R33", day("05-01"), words),)
        assert cautions([visit, visit._replace(date=day("05-02"))]) == ()

    def test_two_units_of_the_training_code_are_one_too_many(self) -> None:
        twice = Service("G0248", day("05-01"), units=2)
        assert [(found.rule, found.date) for found in cautions([twice])] == [("R33", day("05-01"))]
        assert cautions([twice._replace(units=1)]) == ()

    def test_a_test_read_from_the_display_used_a_strip_too(self) -> None:
        phoned = [test._replace(**MANUAL) for test in weekly(3)]
        delivered = [Delivery(day("05-01"), 6, "signed")]

        def left(tests: Sequence[model.Test]) -> int:
            return supply(delivered, tests, 0, AS_OF).on_hand

        assert left(phoned) == 3
        uploaded = one("d", "06-12T10:00")
        assert left([*phoned, uploaded]) == 3
        assert left([*phoned, uploaded._replace(taken_at=at("06-12T10:01"))]) == 2
        assert left([*phoned, uploaded._replace(inr=None, inr_text=">8.0")]) == 2
        named = phoned[1]._replace(**RECORD)
        assert left([named, uploaded._replace(**{**RECORD, "taken_at": at("06-14")})]) == 5
        assert left([phoned[0]._replace(voided=True)]) == 6
        assert left([weekly(1)[0]._replace(voided=True)]) == 5
        assert left([one("k", "06-05", kind="clinic", **MANUAL)]) == 6
        here = phoned[0]._replace(taken_at=dt.datetime(2024, 6, 5, 8))
        assert left([here, weekly(1)[0]]) == 5

    def test_a_correction_stands_for_the_strip_of_an_original_that_is_not_listed(self) -> None:
        right = one("r", "06-05", corrects="t1")
        delivered = [Delivery(day("05-01"), 6, "signed")]
        assert supply(delivered, [right], 0, AS_OF).on_hand == 5
        assert supply(delivered, [*weekly(1), right], 0, AS_OF).on_hand == 5
        again = right._replace(id="s", corrects="r")
        assert supply(delivered, [*weekly(1), right, again], 0, AS_OF).on_hand == 5

    def test_heparin_of_any_record_up_to_the_day(self, table: DiagnosisTable) -> None:
        def told(patient: model.Enrollment) -> tuple[str, ...]:
            return tally(patient, W, (), (), policy(table), AS_OF).notices

        later = replace(ENROLLED, heparin=((day("07-06"), None),))
        assert told(later) == ()
        today = replace(ENROLLED, heparin=((AS_OF, None),))
        assert len(told(today)) == 1
        bridged = replace(
            ENROLLED,
            therapies=(
                model.Therapy("heparin", day("01-01"), day("01-31")),
                model.Therapy("warfarin", day("02-01")),
            ),
        )
        (words,) = told(bridged)
        assert "heparin, which can disturb the INR." in words
        assert told(replace(bridged, therapies=bridged.therapies[1:])) == ()

    def test_modifier_52_is_for_one_to_three_tests_of_the_suppliers_code(self) -> None:
        whole = model.Unit(
            ("a", "b", "c", "d"), day("06-05"), day("06-26"), day("07-03"), "G0249", ("52",), "billable", (), AS_OF
        )
        with pytest.raises(errors.BadValueError, match="four tests with modifier 52"):
            claim_text(whole, 12000, "death")
        part = whole._replace(tests=("a", "b", "c"))
        assert claim_text(part, 12000, "death").charge_cents == 9000
        with pytest.raises(errors.BadValueError, match="G0250 knows no partial unit"):
            claim_text(part._replace(code="G0250"), 12000, "death")
