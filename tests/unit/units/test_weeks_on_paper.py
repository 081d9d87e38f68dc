"""Weeks, zones, early tests, evidence and claimed weeks, case by case: each outcome was worked out on paper first.

A case is written in short. Days are of 2024 unless a year is given, a bare day means 8 in the morning by the
patient's clock, accepted at 9. A line of a test is ``id taken [word=value ...]``; a statement reads

    t1+t2+t3+t4 on 07-03 FLAG | x REASON | pending t5 | next 07-06 / 07-31

with ``waits for`` instead of ``on`` while the date has not come, ``claimed on`` for what was submitted before, and
``next`` naming the next day on which a test would count and the next date of service.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from gateway.reporting.units import model
from gateway.reporting.units.cases import parse_case
from gateway.reporting.units.diagnoses import DiagnosisTable
from gateway.reporting.units.errors import UnknownZoneError
from gateway.reporting.units.interval import off_interval
from gateway.reporting.units.policy import policies
from gateway.reporting.units.tally import tally
from tests.unit.units.build import ENROLLED, a_test, policy, weekly

FOUR = "t1 06-05; t2 06-12; t3 06-19; t4 06-26"
PAID = "t1+t2+t3+t4 on 07-03 | next 07-06 / 07-31"
STATUS = {"billable": "on", "complete_waiting": "waits for", "claimed": "claimed on"}
LONG_ENROLLED = replace(
    ENROLLED,
    warfarin_start=dt.date(2022, 6, 1),
    training_date=dt.date(2022, 12, 1),
    orders=(model.Order(dt.date(2022, 11, 20)),),
)


class Case(NamedTuple):
    """One patient's tests, and what each of some policies makes of them."""

    words: str
    tests: str
    as_of: str
    outcomes: dict[str, str]
    zone: str = "America/Los_Angeles"
    moves: str = ""
    claimed: str = ""
    event: str = ""


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text if len(text) == len("2024-06-05") else f"2024-{text}")


def moment(text: str, clock: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text if "T" in text else f"{day(text)}T{clock}")


def known_tests(lines: str) -> Iterator[model.Test]:
    """The tests of a case. ``travel=06-14`` is an early reason and the day on which it was written."""
    for line in lines.split(";"):
        test_id, taken, *words = line.split()
        said = dict(word.split("=", 1) for word in words)
        changes: dict[str, Any] = {"inr_text": said.pop("text", None)}
        for name in ("kind", "source"):
            if name in said:
                changes[name] = said.pop(name)
        told = {"reported_at": said.pop("sent", ""), "acknowledged_at": said.pop("ack", "")}
        for stamp, clock in (("reported_at", "08:05"), ("acknowledged_at", "09:00")):
            when = told[stamp] or (None if "T" in taken else taken)
            if when is not None:
                changes[stamp] = None if when == "never" else moment(when, clock)
        if "corrects" in said:
            changes["corrects"] = said.pop("corrects")
        if "order" in said:
            changes["extra_order_signed_on"] = day(said.pop("order"))
        if "abn" in said:
            changes["abn_signed_at"] = moment(said.pop("abn"), "07:00")
        if "void" in said:
            changes["voided"] = said.pop("void") == "yes"
        for category, written in said.items():
            text = "the weekly test was moved"
            changes["reason_early"] = model.EarlyReason(category, text, moment(written, "12:00"), "RN")  # type: ignore[arg-type]  # a word of the case
        yield a_test(test_id, moment(taken, "08:00").isoformat(), attested=True, **changes)


def claimed_units(text: str) -> Iterator[model.ClaimedUnit]:
    for unit in filter(None, text.split(";")):
        names, _, dos = unit.strip().partition(" ")
        yield model.ClaimedUnit(tuple(names.split("+")), day(dos))


def in_short(statement: model.Statement) -> str:
    def short(date: dt.date | None) -> str:
        return "never" if date is None else date.isoformat().removeprefix("2024-")

    parts = [
        " ".join(
            [
                "+".join(unit.tests),
                STATUS[unit.status],
                short(unit.billable_from),
                *unit.modifiers,
                *unit.review_flags,
            ]
        )
        for unit in statement.units
    ]
    parts += [
        " ".join([out.test, out.reason, *([out.liability] if out.liability == "patient" else [])])
        + (f" {out.modifier}" if out.modifier else "")
        for out in statement.not_covered
    ]
    if statement.pending:
        parts.append("pending " + " ".join(statement.pending))
    following = statement.next_eligible
    return " | ".join([*parts, f"next {short(following.test_from)} / {short(following.dos_from)}"])


OPTIONS: dict[str, dict[str, object]] = {
    "": {},
    "rolling": {"week_basis": "rolling7"},
    "never": {"early_rule": "never"},
    "literal": {"early_rule": "literal_any4"},
    "sent": {"report_evidence": "transmitted"},
    "day 22": {"min_days_first_test_to_dos": 0},
    "day 22, literal": {"min_days_first_test_to_dos": 0, "early_rule": "literal_any4"},
    "day 28": {"min_days_first_test_to_dos": 27},
    "29 apart": {"min_days_between_dos": 29},
    "not apart": {"min_days_between_dos": 0},
}

ZONES = [
    Case(
        "Arizona keeps its hour when its neighbours move theirs",
        "a 2024-03-10T06:30Z ack=2024-03-10T07:00Z; b 2024-03-10T07:00Z; c 2024-03-17T06:59:59Z;"
        "d 2024-03-17T07:00Z; e 2024-03-24T15:00Z",
        "04-06",
        {"": "a+b+d+e on 04-06 | c SAME_WEEK_NO_REASON | next 04-07 / 05-04"},
        "America/Phoenix",
    ),
    Case(
        "in Guam the week turns at 14:00 of UTC's Saturday",
        "a 2024-06-08T13:59:59Z; b 2024-06-08T14:00Z; c 2024-06-15T13:30Z; d 06-19; e 06-26",
        "07-05",
        {"": "a+b+d+e waits for 07-06 | c SAME_WEEK_NO_REASON | next 07-06 / 08-03"},
        "Pacific/Guam",
    ),
    Case(
        "in Guam the as-of day ends at 14:00 of UTC",
        "a 2024-07-05T13:59:59Z sent=2024-07-05T13:59:59Z ack=2024-07-05T13:59:59Z;"
        "b 06-26 ack=2024-07-05T14:00Z; c 2024-07-05T14:00Z",
        "07-05",
        {"": "b NOT_ACKNOWLEDGED | c FUTURE_DATED | pending a | next 07-07 / never"},
        "Pacific/Guam",
    ),
    Case(
        "in American Samoa the as-of day goes on into UTC's next",
        "a 06-12; b 06-19; c 06-26; d 2024-07-06T20:00 ack=2024-07-07T10:59:59Z",
        "07-06",
        {"": "a+b+c+d waits for 07-10 | next 07-07 / 08-07", "day 22": "a+b+c+d on 07-06 | next 07-07 / 08-03"},
        "Pacific/Pago_Pago",
    ),
    Case(
        "Alaska skips an hour on a Sunday: that week is an hour shorter",
        "a 2024-03-10T08:59:59Z; b 2024-03-10T09:00Z; c 2024-03-17T07:59:59Z; d 2024-03-17T08:00Z; e 03-24",
        "04-05",
        {"": "a+b+d+e waits for 04-06 | c SAME_WEEK_NO_REASON | next 04-06 / 05-04"},
        "America/Anchorage",
    ),
    Case(
        "a clock reading that spring skips is a time of that day",
        "a 03-06; b 2024-03-10T02:30 sent=2024-03-10T04:00 ack=2024-03-10T05:00; c 03-20; d 03-27",
        "04-05",
        {"": "a+b+c+d on 04-03 | next 04-06 / 05-01"},
        "America/New_York",
    ),
    Case(
        "in the repeated hour the earlier instant is the earlier test, not the earlier clock reading",
        "a 10-30; second 2024-11-03T01:10-05:00; first 2024-11-03T01:30-04:00; c 11-13; d 11-20",
        "11-27",
        {"": "a+first+c+d on 11-27 | second SAME_WEEK_NO_REASON | next 11-28 / 12-25"},
        "America/New_York",
    ),
    Case(
        "moving west in mid-week: a week of one zone's Sunday and the other's Saturday",
        "a 06-05; b 06-12; c 2024-06-16T04:30Z; d 2024-06-23T06:30Z; e 2024-06-23T07:00Z",
        "07-05",
        {"": "a+b+c+e on 07-03 | d SAME_WEEK_NO_REASON | next 07-06 / 07-31"},
        moves="America/New_York 2024-01-01; America/Los_Angeles 2024-06-19",
    ),
    Case(
        "moving west on a Sunday: the old zone rules until the new zone's midnight",
        "a 06-05; b 06-12; c 2024-06-16T05:00Z; d 06-26",
        "07-05",
        {"": "a+b+c+d on 07-03 | next 07-06 / 07-31"},
        moves="America/Los_Angeles 2024-06-16; America/New_York 2024-01-01",
    ),
    Case(
        "moving east on a Sunday: the last second before the new zone's midnight and the first after",
        "a 06-05; b 06-12; c 2024-06-16T03:59:59Z; d 2024-06-16T04:00Z; e 06-26",
        "07-05",
        {"": "a+b+d+e on 07-03 | c SAME_WEEK_NO_REASON | next 07-06 / 07-31"},
        "America/New_York",
        "America/Los_Angeles 2024-04-01; America/New_York 2024-06-16",
    ),
    Case(
        "moving over the date line lives one date twice: still one week",
        "a 2024-06-12T08:00+10:00; b 2024-06-12T08:00-10:00",
        "06-14",
        {"": "b SAME_WEEK_NO_REASON | pending a | next 06-16 / never"},
        "Pacific/Honolulu",
        "Pacific/Guam 2024-01-01; Pacific/Honolulu 2024-06-12",
    ),
    Case(
        "the turn of the year turns no week, in Guam where UTC still has the old year",
        "a 12-18; b 2024-12-28T13:59Z; c 2024-12-28T14:01Z; d 2024-12-31T20:00Z; e 2025-01-05",
        "2025-01-15",
        {"": "a+b+c+e on 2025-01-15 | d SAME_WEEK_NO_REASON | next 2025-01-16 / 2025-02-12"},
        "Pacific/Guam",
    ),
    Case(
        "a week from New Year's Eve to 6 January",
        "a 2023-12-27; b 2023-12-31; c 01-06; d 01-07; e 01-14",
        "01-23",
        {"": "a+b+d+e waits for 01-24 | c SAME_WEEK_NO_REASON | next 01-24 / 02-21"},
    ),
]

DATES = [
    Case(
        "the day before 28 days are over",
        FOUR,
        "07-02",
        {
            "": "t1+t2+t3+t4 waits for 07-03 | next 07-03 / 07-31",
            "day 28": "t1+t2+t3+t4 on 07-02 | next 07-03 / 07-30",
            "day 22": "t1+t2+t3+t4 on 06-26 | next 07-03 / 07-24",
        },
    ),
    Case(
        "eight tests of which the first two lie a day apart: the spacing decides",
        "a 06-08; b 06-09; c 06-16; d 06-23; e 06-30; f 07-07; g 07-14; h 07-21",
        "08-03",
        {
            "": "a+b+c+d on 07-06 | e+f+g+h on 08-03 | next 08-04 / 08-31",
            "29 apart": "a+b+c+d on 07-06 | e+f+g+h waits for 08-04 | next 08-04 / 09-02",
            "not apart": "a+b+c+d on 07-06 | e+f+g+h on 07-28 | next 08-04 / never",
            "day 22": "a+b+c+d on 06-23 | e+f+g+h on 07-21 | next 08-04 / 08-18",
            "rolling": "a+c+d+e on 07-06 | b LT_7_DAYS | pending f g h | next 08-04 / 08-03",
        },
    ),
    Case(
        "accepted in the last second of the as-of day",
        "t1 06-05; t2 06-12; t3 06-19; t4 06-26 ack=2024-07-03T23:59:59",
        "07-03",
        {"": "t1+t2+t3+t4 on 07-03 | next 07-04 / 07-31"},
    ),
    Case(
        "accepted a second later",
        "t1 06-05; t2 06-12; t3 06-19; t4 06-26 ack=2024-07-04T00:00:00",
        "07-03",
        {
            "": "t4 NOT_ACKNOWLEDGED | pending t1 t2 t3 | next 07-04 / never",
            "sent": "t1+t2+t3+t4 on 07-03 | next 07-04 / 07-31",
        },
    ),
    Case(
        "seven dates and almost a day more are not late",
        "t1 06-05; t2 06-12; t3 06-19; t4 2024-06-26T00:05 ack=2024-07-03T23:55",
        "07-05",
        {"": PAID},
    ),
    Case(
        "eight dates are late, though only seven days and ten minutes",
        "t1 06-05; t2 06-12; t3 06-19; t4 2024-06-26T23:55 ack=2024-07-04T00:05",
        "07-05",
        {"": "t1+t2+t3+t4 on 07-04 LATE_REPORT | next 07-06 / 08-01"},
    ),
    Case(
        "sent on the seventh day, accepted on the sixteenth",
        "t1 06-05; t2 06-12; t3 06-19; t4 06-26 sent=07-03 ack=07-12",
        "07-12",
        {
            "": "t1+t2+t3+t4 on 07-12 LATE_REPORT | next 07-13 / 08-09",
            "sent": "t1+t2+t3+t4 on 07-03 | next 07-13 / 07-31",
        },
    ),
    Case(
        "all four accepted in one batch",
        "t1 06-05 ack=06-27; t2 06-12 ack=06-27; t3 06-19 ack=06-27; t4 06-26 ack=06-27",
        "07-05",
        {
            "": "t1+t2+t3+t4 on 07-03 LATE_REPORT | next 07-06 / 07-31",
            "day 22": "t1+t2+t3+t4 on 06-27 LATE_REPORT | next 07-06 / 07-25",
        },
    ),
    Case(
        "eighty-five days between the first and the last",
        "a 06-04; b 07-03; c 07-31; d 08-28",
        "08-28",
        {"": "a+b+c+d on 08-28 LONG_SPAN | next 09-01 / 09-25"},
    ),
]

ROLLING = [
    Case(
        "seven dates in fewer than 168 hours are enough, six are not",
        "a 2024-06-05T20:00; b 2024-06-12T06:00; c 06-18; d 06-19; e 06-26",
        "07-05",
        {
            "": "a+b+c+e on 07-03 | d SAME_WEEK_NO_REASON | next 07-06 / 07-31",
            "rolling": "a+b+d+e on 07-03 | c LT_7_DAYS | next 07-06 / 07-31",
        },
    ),
    Case(
        "the days run from the last counted test, not from a refused one",
        "a 06-05; b 06-10; c 06-15; d 06-20",
        "06-21",
        {
            "": "c SAME_WEEK_NO_REASON | pending a b d | next 06-23 / never",
            "rolling": "b LT_7_DAYS | d LT_7_DAYS | pending a c | next 06-22 / never",
        },
    ),
    Case(
        "a test without evidence bars nothing",
        "a 06-05; b 06-12 ack=never; c 06-14",
        "06-14",
        {"rolling": "b NOT_ACKNOWLEDGED | pending a c | next 06-21 / never"},
    ),
    Case(
        "days run from claimed tests too",
        f"{FOUR}; t5 07-02; t6 07-09",
        "07-12",
        {"rolling": "t1+t2+t3+t4 claimed on 07-03 | t5 LT_7_DAYS | pending t6 | next 07-16 / 07-31"},
        claimed="t1+t2+t3+t4 07-03",
    ),
    Case(
        "a documented early test has no exception there",
        "a 06-05; b 06-12; c 06-13 travel=06-12",
        "06-13",
        {
            "": "pending a b c | next 06-23 / never",
            "rolling": "c LT_7_DAYS | pending a b | next 06-19 / never",
            "never": "c EARLY_NOT_ALLOWED | pending a b | next 06-16 / never",
            "literal": "pending a b c | next 06-16 / never",
        },
    ),
]

STAND_IN = "t1 06-05; t2 06-12; t3 06-19; t4 06-22 travel=06-21"
LATE_STAND_IN = "t1 06-05; t2 06-12; t3 07-24; t4 07-26 travel=07-25"
EARLY = [
    Case(
        "a reason written a second after the as-of day does not exist",
        "a 06-05; b 06-12; c 06-15 travel=2024-06-29T00:00; d 06-26",
        "06-28",
        dict.fromkeys(("", "never", "literal"), "c SAME_WEEK_NO_REASON | pending a b d | next 06-30 / never")
        | {"rolling": "c LT_7_DAYS | pending a b d | next 07-03 / never"},
    ),
    Case(
        "a day later it does, and is late",
        "a 06-05; b 06-12; c 06-15 travel=2024-06-29T00:00; d 06-26",
        "06-29",
        {
            "": "a+b+c+d waits for 07-03 EARLY_TEST REASON_DOCUMENTED_LATE | next 06-30 / 07-31",
            "never": "c EARLY_NOT_ALLOWED | pending a b d | next 06-30 / never",
        },
    ),
    Case(
        "written on the seventh day",
        "a 06-05; b 06-12; c 06-15 holiday=2024-06-22T23:59; d 06-26",
        "07-05",
        {"": "a+b+c+d on 07-03 EARLY_TEST | next 07-06 / 07-31"},
    ),
    Case(
        "written on the eighth",
        "a 06-05; b 06-12; c 06-15 holiday=2024-06-23T00:00; d 06-26",
        "07-05",
        dict.fromkeys(("", "literal"), "a+b+c+d on 07-03 EARLY_TEST REASON_DOCUMENTED_LATE | next 07-06 / 07-31"),
    ),
    Case(
        "while the stand-in's week runs, and another test in it would only take its place",
        STAND_IN,
        "06-28",
        {
            "": "t1+t2+t3+t4 waits for 07-03 EARLY_TEST PROVISIONAL | next 06-30 / 07-31",
            "day 22": "t1+t2+t3+t4 waits for 06-30 EARLY_TEST PROVISIONAL | next 06-30 / 07-28",
            "day 22, literal": "t1+t2+t3+t4 on 06-22 EARLY_TEST | next 06-30 / 07-20",
        },
    ),
    Case(
        "at the end of its Saturday the week is over; the date stays on Sunday",
        LATE_STAND_IN,
        "08-03",
        {
            "": "t1+t2+t3+t4 waits for 08-04 EARLY_TEST | next 08-04 / 09-01",
            "literal": "t1+t2+t3+t4 on 07-26 EARLY_TEST | next 08-04 / 08-23",
        },
    ),
    Case(
        "after a withdrawal in the stand-in's week nothing is provisional",
        STAND_IN,
        "06-25",
        {"": "t1+t2+t3+t4 waits for 07-03 EARLY_TEST | next never / never"},
        event="withdrawn 06-24",
    ),
    Case(
        "an own test pushes a stand-in out; its own surplus stands in for the week after",
        "a 06-05; b 06-10; c 06-12 travel=06-12; d 06-17; e 06-20 holiday=06-20",
        "07-05",
        {
            "": "a+b+d+e on 07-03 EARLY_TEST | c NEXT_WEEK_USED | next 07-06 / 07-31",
            "literal": "a+b+c+d on 07-03 EARLY_TEST | e FOUR_IN_FOUR_WEEKS | next 07-06 / 07-31",
        },
    ),
    Case(
        "only the reason of the second test matters, not that of the first",
        "a 06-05; b 06-10 travel=06-09; c 06-12; d 06-26",
        "07-05",
        dict.fromkeys(("", "literal", "never"), "c SAME_WEEK_NO_REASON | pending a b d | next 07-06 / never"),
    ),
    Case(
        "a second test without a reason does not stand in a third one's way",
        "a 06-05; b 06-10; c 06-12; d 06-14 personal=06-14; e 06-26",
        "07-05",
        {"": "a+b+d+e on 07-03 EARLY_TEST | c SAME_WEEK_NO_REASON | next 07-06 / 07-31"},
    ),
    Case(
        "an own test that nobody has accepted pushes nothing out",
        "a 06-05; b 06-12; c 06-15 travel=06-14; o 06-19 ack=07-06; d 06-26",
        "07-05",
        {"": "a+b+c+d on 07-03 EARLY_TEST | o NOT_ACKNOWLEDGED | next 07-06 / 07-31"},
    ),
    Case(
        "once it is accepted it does",
        "a 06-05; b 06-12; c 06-15 travel=06-14; o 06-19 ack=07-06; d 06-26",
        "07-06",
        {"": "a+b+o+d on 07-06 LATE_REPORT | c NEXT_WEEK_USED | next 07-07 / 08-03"},
    ),
    Case(
        "early each week: only the last one finds its week empty",
        "a 06-05; a2 06-07 personal=06-07; b 06-12; b2 06-14 personal=06-14; c 06-19; c2 06-21 personal=06-21",
        "06-22",
        {
            "": "a+b+c+c2 waits for 07-03 EARLY_TEST PROVISIONAL | a2 NEXT_WEEK_USED | b2 NEXT_WEEK_USED"
            " | next 06-30 / 07-31",
            "literal": "a+a2+b+b2 waits for 07-03 EARLY_TEST | c FOUR_IN_FOUR_WEEKS | c2 FOUR_IN_FOUR_WEEKS"
            " | next 06-30 / 07-31",
        },
    ),
    Case(
        "by the literal reading a week's only test can be the fifth, and the next date waits for the window",
        "a 06-05; b 06-12; c 06-14 travel=06-13; d 06-19; e 06-26; f 07-03",
        "07-05",
        {
            "": "a+b+d+e on 07-03 | c NEXT_WEEK_USED | pending f | next 07-07 / 07-31",
            "literal": "a+b+c+d on 07-03 EARLY_TEST | e FOUR_IN_FOUR_WEEKS | pending f | next 07-07 / 07-31",
        },
    ),
    Case(
        "four of the five in four weeks may be claimed already",
        f"{FOUR}; e 06-29 travel=06-28; f 07-10; g 07-17; h 07-24",
        "08-01",
        {
            "": "t1+t2+t3+t4 claimed on 07-03 | e+f+g+h on 07-31 EARLY_TEST FIVE_TAKEN_IN_FOUR_WEEKS"
            " | next 08-02 / 08-28",
            "literal": "t1+t2+t3+t4 claimed on 07-03 | e FOUR_IN_FOUR_WEEKS | pending f g h | next 08-02 / 07-31",
        },
        claimed="t1+t2+t3+t4 07-03",
    ),
    Case(
        "extras: who pays hangs on an order and a notice, each before the test; none uses up the week",
        f"{FOUR}; a 06-10 provider_requested=06-10 order=06-10 abn=2024-06-10T07:59:59;"
        "b 06-11 provider_requested=06-10 order=06-10 abn=2024-06-11T08:00;"
        "c 06-13 provider_requested=06-10 order=06-14 abn=06-12; d 06-14 repeat_abnormal=06-10;"
        "e 2024-06-14T23:30 provider_requested=06-10 order=06-14 abn=2024-06-15T06:29Z;"
        "f 06-15 repeat_abnormal=06-10 order=06-10 ack=never",
        "07-05",
        dict.fromkeys(
            ("", "never", "literal", "rolling"),
            "t1+t2+t3+t4 on 07-03 | a EXTRA_CLINICAL patient GA | b EXTRA_CLINICAL GZ | c EXTRA_CLINICAL"
            " | d EXTRA_CLINICAL | e EXTRA_CLINICAL patient GA | f EXTRA_CLINICAL GZ | next 07-06 / 07-31",
        ),
    ),
]

STAND_IN_CLAIMED = "t1 06-05; t2 06-12; t3 06-15; t4 06-26"
CLAIMED = [
    Case(
        "an own test of a week that a claimed stand-in holds comes too late",
        f"{STAND_IN_CLAIMED}; o 06-19 ack=07-06",
        "07-12",
        {"": "t1+t2+t3+t4 claimed on 07-03 | o SAME_WEEK_NO_REASON | next 07-13 / 07-31"},
        claimed="t4+t1+t3+t2 07-03",
    ),
    Case(
        "with a reason it asks for the week after, which is claimed as well",
        f"{STAND_IN_CLAIMED}; o 06-19 ack=07-06 travel=06-18",
        "07-12",
        {"": "t1+t2+t3+t4 claimed on 07-03 | o NEXT_WEEK_USED | next 07-13 / 07-31"},
        claimed="t1+t2+t3+t4 07-03",
    ),
    Case(
        "or finds it free, and is all that a withdrawal leaves to bill",
        "t1 06-05; t2 06-12; t3 06-15; o 06-19 ack=07-06 travel=06-18; t4 07-03",
        "07-12",
        {
            "": "t1+t2+t3+t4 claimed on 07-10"
            " | o on 07-11 52 EARLY_TEST LATE_REPORT WITHIN_28_DAYS_OF_PREVIOUS_DOS | next never / never",
        },
        claimed="t1+t2+t3+t4 07-10",
        event="withdrawn 07-11",
    ),
    Case(
        "beside a claimed test both the earlier and the later are second tests of the week",
        "t1 06-05; a 06-09 ack=07-11; b 06-12; c 06-14 ack=07-11 travel=06-13; t3 06-26; t4 07-03",
        "07-12",
        {"": "t1+b+t3+t4 claimed on 07-10 | a SAME_WEEK_NO_REASON | pending c | next 07-13 / 08-07"},
        claimed="t1+b+t3+t4 07-10",
    ),
    Case(
        "a corrected claimed test keeps its week from its own correction",
        f"{FOUR}; x 06-12 sent=07-08 ack=07-08 corrects=t2",
        "07-12",
        {
            "": "t1+t2+t3+t4 claimed on 07-03 CLAIMED_TEST_INVALIDATED | t2 SUPERSEDED | x SAME_WEEK_NO_REASON"
            " | next 07-13 / 07-31"
        },
        claimed="t1+t2+t3+t4 07-03",
    ),
    Case(
        "a correction into a free week counts there",
        f"{FOUR}; x 07-03 sent=07-08 ack=07-08 corrects=t2",
        "07-12",
        {
            "": "t1+t2+t3+t4 claimed on 07-03 CLAIMED_TEST_INVALIDATED | t2 SUPERSEDED | pending x"
            " | next 07-13 / 07-31"
        },
        claimed="t1+t2+t3+t4 07-03",
    ),
    Case(
        "a correction reported tomorrow is unknown",
        f"{FOUR}; x 06-12 sent=07-13 ack=07-13 corrects=t2",
        "07-12",
        {"": "t1+t2+t3+t4 claimed on 07-03 | x NOT_ACKNOWLEDGED | next 07-13 / 07-31"},
        claimed="t1+t2+t3+t4 07-03",
    ),
    Case(
        "a void claimed test holds its week until the claim is put right",
        "t1 06-05; t2 06-12 void=yes; x 06-13 ack=07-08; t3 06-19; t4 06-26",
        "07-12",
        {
            "": "t1+t2+t3+t4 claimed on 07-03 CLAIMED_TEST_INVALIDATED | t2 VOIDED | x SAME_WEEK_NO_REASON"
            " | next 07-13 / 07-31"
        },
        claimed="t1+t2+t3+t4 07-03",
    ),
    Case(
        "what would be flagged in an open unit is not flagged in a claimed one",
        "t1 06-05; t2 06-12 ack=07-02; t3 06-15 source=manual travel=07-01; t4 06-26",
        "07-12",
        {"": "t1+t2+t3+t4 claimed on 07-03 | next 07-13 / 07-31"},
        claimed="t1+t2+t3+t4 07-03",
    ),
    Case(
        "a late first test leads the next unit, which keeps its distance from the claimed one",
        "t1 06-05 ack=07-10; t2 06-12; t3 06-19; t4 06-26; t5 07-03; t6 07-10; t7 07-17; t8 07-24",
        "08-07",
        {
            "": "t2+t3+t4+t5 claimed on 07-10 | t1+t6+t7+t8 on 08-07 LATE_REPORT | next 08-08 / 09-04",
            "29 apart": "t2+t3+t4+t5 claimed on 07-10 | t1+t6+t7+t8 waits for 08-08 LATE_REPORT"
            " | next 08-08 / 09-06",
            "not apart": "t2+t3+t4+t5 claimed on 07-10 | t1+t6+t7+t8 on 07-24 LATE_REPORT | next 08-08 / never",
        },
        claimed="t2+t3+t4+t5 07-10",
    ),
]

RULED = [
    (case, name, expected)
    for case in (*ZONES, *DATES, *ROLLING, *EARLY, *CLAIMED)
    for name, expected in case.outcomes.items()
]


def patient_of(case: Case) -> model.Enrollment:
    moves = [move.split() for move in filter(None, case.moves.split(";"))]
    history = tuple(model.ZoneChange(dt.date.fromisoformat(start), name) for name, start in moves)
    return replace(LONG_ENROLLED, tz=case.zone, tz_history=history)


@pytest.mark.parametrize(("case", "name", "expected"), RULED, ids=[f"{c.words} ({n})" for c, n, _ in RULED])
def test_what_becomes_of_these_tests(table: DiagnosisTable, case: Case, name: str, expected: str) -> None:
    tests = list(known_tests(case.tests))
    kind, _, date = case.event.partition(" ")
    events = [model.Event(kind, day(date))] if kind else []  # type: ignore[arg-type]  # a word of the case
    claimed = list(claimed_units(case.claimed))
    rules = policy(table, **OPTIONS[name])
    forwards = tally(patient_of(case), tests, events, claimed, rules, day(case.as_of))
    backwards = tally(patient_of(case), tests[::-1], events, claimed[::-1], rules, day(case.as_of))
    assert in_short(forwards) == expected
    assert replace(backwards, not_covered=forwards.not_covered) == forwards
    assert sorted(backwards.not_covered) == sorted(forwards.not_covered)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ncd-noridian", "a+b+c+d on 07-05 EARLY_TEST | s NEXT_WEEK_USED | next 07-07 / 08-02"),
        ("ma05.016f", "s EARLY_NOT_ALLOWED | d EARLY_NOT_ALLOWED | pending a b c | next 07-07 / never"),
        ("once-a-week-rolling7", "s LT_7_DAYS | b LT_7_DAYS | d LT_7_DAYS | pending a c | next 07-07 / never"),
    ],
)
def test_the_policies_that_ship_differ_on_the_same_tests(
    table: DiagnosisTable, policy_files: Sequence[dict[str, Any]], name: str, expected: str
) -> None:
    """Friday, a documented Saturday, the Thursday after, then after a pause one week with an early test."""
    (file,) = (file for file in policy_files if file["id"] == name)
    rules = policies(file, {table.id: table})[-1]
    tests = "a 06-07; s 06-08 travel=06-07; b 06-13; c 06-20; d 06-22 travel=06-21"
    statement = tally(LONG_ENROLLED, list(known_tests(tests)), (), (), rules, day("07-06"))
    assert in_short(statement) == expected


@pytest.mark.parametrize(
    ("start", "expires", "options", "expected"),
    [
        ("2024-05-20", None, {}, "2024-08-20"),
        ("2024-05-20", None, {"warfarin_3_months": "days90"}, "2024-08-18"),
        ("2024-05-20", "2024-08-19", {}, None),
        ("2024-05-20", "2024-08-19", {"warfarin_3_months": "days90"}, "2024-08-18"),
        ("2025-05-09", None, {}, "2025-08-09"),
        ("2025-05-10", None, {}, None),
    ],
    ids=["months", "days", "order ends before", "order ends after", "in 400 days", "in 401 days"],
)
def test_the_first_day_that_would_count_looks_at_what_is_known_today(
    table: DiagnosisTable, start: str, expires: str | None, options: dict[str, object], expected: str | None
) -> None:
    order = model.Order(dt.date(2024, 4, 25), None if expires is None else dt.date.fromisoformat(expires))
    patient = replace(ENROLLED, warfarin_start=dt.date.fromisoformat(start), orders=(order,))
    statement = tally(patient, (), (), (), policy(table, **options), day("07-05"))
    assert statement.next_eligible.test_from == (None if expected is None else dt.date.fromisoformat(expected))


class TestTheOrderedInterval:
    @pytest.mark.parametrize(
        "orders",
        [
            (model.Order(day("04-25"), None, 7), model.Order(day("04-25"), day("12-31"), 7)),
            (model.Order(day("04-25"), day("12-31"), 7), model.Order(day("04-25"), day("12-31"), None)),
        ],
        ids=["one without an end", "one without an interval"],
    )
    def test_two_orders_of_one_day_say_what_one_of_them_says(self, orders: tuple[model.Order, ...]) -> None:
        patient = replace(ENROLLED, orders=orders)
        backwards = replace(ENROLLED, orders=orders[::-1])
        late = [*weekly(2), a_test("late", "2024-06-22T08:00:00-07:00")]
        assert [row.test for row in off_interval(patient, late)] == ["late"]
        assert off_interval(backwards, late) == off_interval(patient, late)

    def test_tests_may_come_one_by_one(self) -> None:
        patient = replace(ENROLLED, orders=(model.Order(day("04-25"), None, 14),))
        assert off_interval(patient, iter(weekly(2))) == off_interval(patient, weekly(2)) != ()


def test_an_unknown_zone_is_named_where_it_stands_in_the_history(table: DiagnosisTable) -> None:
    history = (model.ZoneChange(day("06-15"), "America/New_York"), model.ZoneChange(day("04-01"), "Nowhere"))
    with pytest.raises(UnknownZoneError, match=r"tz_history\[1\]"):
        tally(replace(ENROLLED, tz_history=history), (), (), (), policy(table), day("07-05"))


def test_a_time_in_utc_may_end_in_a_small_letter(table: DiagnosisTable) -> None:
    """RFC 3339, section 5.6, allows both."""
    test = {"id": "t", "kind": "patient", "source": "device", "inr": 2.5, "taken_at": "2024-06-09T10:30:00z"}
    enrolled = {"tz": "Pacific/Pago_Pago", "payer": "medicare_ffs"}
    inputs = parse_case({"id": "z", "enrollment": enrolled, "tests": [test], "as_of": "2024-07-05"}, table)
    assert inputs.tests[0].taken_at == dt.datetime(2024, 6, 9, 10, 30, tzinfo=dt.UTC)
