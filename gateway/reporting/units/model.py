"""What goes into a tally and what comes out: plain immutable values.

Instants are datetimes; one without an offset is read in the patient's zone of record on that date (rule R5).
Dates in a statement are local to the patient.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, NamedTuple

from gateway.reporting.units.reasons import LIABILITY, WORDS, Liability, Reason

Kind = Literal["patient", "control", "error", "clinic"]
Source = Literal["device", "manual"]
Code = Literal["G0249", "G0250"]
Status = Literal["claimed", "billable", "complete_waiting"]
EventType = Literal["withdrawn", "death", "ma_transfer", "hold"]
Category = Literal[
    "travel",
    "personal",
    "holiday",
    "illness",
    "procedure_scheduled",
    "inadvertent",
    "repeat_abnormal",
    "provider_requested",
]

TESTS_PER_UNIT = 4
"""Four completed and reported tests make one unit (rule R1)."""


class ZoneChange(NamedTuple):
    """From 00:00 of `start`, in its own zone, the patient's zone of record is `tz` (an IANA name)."""

    start: dt.date
    tz: str


class Order(NamedTuple):
    """A practitioner's order for home testing (rule R29).

    Attributes:
        signed_on: date of the signature; the order never reaches back behind it.
        expires_on: last day on which it holds, or None.
        interval_days: days between tests as ordered, or None where the order names none (rule R18).
    """

    signed_on: dt.date
    expires_on: dt.date | None = None
    interval_days: int | None = None


class Therapy(NamedTuple):
    """A time on one anticoagulant, both days included; without an end it goes on."""

    drug: str
    start: dt.date
    end: dt.date | None = None


@dataclass(frozen=True, slots=True)
class Enrollment:
    """The facts about one patient that decide whether a test may count.

    Attributes:
        tz: IANA name of the patient's zone; holds before the first entry of `tz_history` or where that is empty.
        payer: the payer's id as the policies name it.
        diagnosis: ICD-10-CM codes.
        valve_type: ``mechanical``, ``bioprosthetic`` ... or None where no document says so.
        anticoagulant: ``warfarin`` or another drug.
        warfarin_start: first day on warfarin.
        therapies: what was taken when, of which no two overlap; where given, they decide instead of the two before.
        known_from: diagnoses that hold only from a day on, each with its first day.
        training_date: day of the face-to-face training.
        training_documented: whether the record of it is on file, with the ability to test and to report.
        orders: signed orders.
        covered_from: first day with this payer; tests before it belong to another tally (rule R37). None: no limit.
        mac: the Medicare contractor of the claim's jurisdiction.
        heparin: first and last days on heparin, infused at home (S9336) or as a drug, beside warfarin or instead: a
            notice, nothing more (rule R36).
    """

    tz: str
    payer: str
    diagnosis: tuple[str, ...]
    valve_type: str | None = None
    anticoagulant: str | None = "warfarin"
    warfarin_start: dt.date | None = None
    training_date: dt.date | None = None
    training_documented: bool = False
    orders: tuple[Order, ...] = ()
    tz_history: tuple[ZoneChange, ...] = ()
    covered_from: dt.date | None = None
    mac: str | None = None
    heparin: tuple[tuple[dt.date, dt.date | None], ...] = ()
    therapies: tuple[Therapy, ...] = ()
    known_from: tuple[tuple[str, dt.date], ...] = ()


class EarlyReason(NamedTuple):
    """Why a test was taken before its week, as the clinical record says (rules R7, R11).

    Attributes:
        category: one of the six accepted categories, or one of the two that make it a clinical extra.
        documented_at: when it was written; later than the as-of date it does not exist yet.
        weekly_test_moved: for illness and procedures, whether the text says that the weekly test was moved; False
            makes the test a clinical extra, None leaves the question to the person who reviews the unit.
    """

    category: Category
    text: str
    documented_at: dt.datetime | None
    documented_by: str
    weekly_test_moved: bool | None = None


class Test(NamedTuple):
    """One test as known: what was measured, when, and what evidence there is that it was reported.

    Attributes:
        kind: only ``patient`` can count (rules R3, R19).
        source: ``device`` (from a meter's memory) or ``manual`` (phoned in or read from the display, rule R21).
        reported_at: when it was sent to the treating provider.
        acknowledged_at: when the provider's side accepted it.
        reviewed_at: when the physician reviewed it (G0250).
        inr: the value; None for a reading off the measuring range, whose text (``>8.0``) stands in `inr_text`.
        corrects: id of the test that this one corrects.
        extra_order_signed_on: date of the written order for an additional test (rule R12).
        abn_signed_at: when the patient signed the advance notice (ABN) for it.
    """

    id: str
    kind: Kind
    source: Source
    taken_at: dt.datetime
    reported_at: dt.datetime | None = None
    acknowledged_at: dt.datetime | None = None
    reviewed_at: dt.datetime | None = None
    inr: Decimal | None = None
    inr_text: str | None = None
    device_serial: str | None = None
    device_seq: int | None = None
    attested: bool = False
    corrects: str | None = None
    voided: bool = False
    reason_early: EarlyReason | None = None
    extra_order_signed_on: dt.date | None = None
    abn_signed_at: dt.datetime | None = None


Test.__test__ = False  # type: ignore[attr-defined]  # pytest must not take the class for a test of its own


class Event(NamedTuple):
    """Something that ends or pauses the service (rules R23, R25); ``ma_transfer`` is dated on its first day."""

    type: EventType
    date: dt.date


class ClaimedUnit(NamedTuple):
    """A unit already submitted. It is frozen: its tests keep their weeks whatever becomes known later (R13)."""

    tests: tuple[str, ...]
    dos: dt.date
    code: Code = "G0249"
    modifiers: tuple[str, ...] = ()


class Unit(NamedTuple):
    """One unit of service.

    Attributes:
        tests: ids by attributed week, then test time.
        first_test: smallest local test date; `last_test` the largest.
        billable_from: earliest allowed date of service (claimed: the date of service).
        status: speaks of the date alone; a unit with review flags is on hold until a named person signs.
        review_flags: in alphabetical order.
        file_by: last day for the claim (rule R31).
    """

    tests: tuple[str, ...]
    first_test: dt.date
    last_test: dt.date
    billable_from: dt.date
    code: Code
    modifiers: tuple[str, ...]
    status: Status
    review_flags: tuple[str, ...]
    file_by: dt.date

    @property
    def fraction(self) -> float:
        """Number of tests divided by four."""
        return len(self.tests) / TESTS_PER_UNIT

    @property
    def is_full(self) -> bool:
        """Whether it is a whole unit: four tests and no modifier 52."""
        return len(self.tests) == TESTS_PER_UNIT and "52" not in self.modifiers

    @property
    def held(self) -> bool:
        """Whether a person must look at it before it is exported."""
        return bool(self.review_flags)


class NotCovered(NamedTuple):
    """A test in no unit and not pending, and why. `modifier` is what a claim for it would carry (rule R12)."""

    test: str
    reason: Reason
    liability: Liability
    modifier: Literal["GA", "GZ"] | None

    @property
    def words(self) -> str:
        """The reason in plain words."""
        return WORDS[self.reason]

    @classmethod
    def plain(cls, test: str, reason: Reason) -> NotCovered:
        """Made for a reason whose liability follows from the reason alone."""
        return cls(test, reason, LIABILITY.get(reason, "none"), None)


class NextEligible(NamedTuple):
    """First local date after the as-of date on which one more test would count, and the next date of service."""

    test_from: dt.date | None
    dos_from: dt.date | None


class Step(NamedTuple):
    """One decision of a tally: about what, by which rule, what was found, and the facts it rests on.

    Attributes:
        subject: a test's id, or ``unit N`` with N counted from 1 in the order of the statement.
        rule: number of the rule, for example ``R6``.
        finding: a code that `explain` turns into words.
        facts: names and values, dates in ISO form.
    """

    subject: str
    rule: str
    finding: str
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Statement:
    """The tally of one patient on one date under one policy.

    Attributes:
        units: claimed units first, then full units in date order, then at most one partial unit.
        not_covered: in the order of the tests given.
        pending: ids of counted tests that are in no unit yet, by attributed week, then test time.
        missed_weeks: Sundays of finished weeks, from the week of the first counted test on, without a counted test.
        notices: remarks that change nothing, in plain words.
        trace: every decision, where it was asked for; otherwise None. No part of the comparison of statements.
    """

    as_of: dt.date
    service: Code
    policy: str
    units: tuple[Unit, ...]
    not_covered: tuple[NotCovered, ...]
    pending: tuple[str, ...]
    next_eligible: NextEligible
    missed_weeks: tuple[dt.date, ...]
    notices: tuple[str, ...] = ()
    trace: tuple[Step, ...] | None = field(default=None, compare=False)

    @property
    def review_flags(self) -> tuple[str, ...]:
        """All review flags of all units, once each, in alphabetical order."""
        return tuple(sorted({flag for unit in self.units for flag in unit.review_flags}))
