"""The gates a patient must have passed on the day of a test (rules R26–R29) and the end of the service (R23, R25).

All gates are piecewise constant in the local date, so the spans of eligible days are computed once per patient.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from itertools import pairwise
from operator import attrgetter
from typing import Final, NamedTuple

from gateway.reporting.units.calendar import add_months
from gateway.reporting.units.diagnoses import coverage
from gateway.reporting.units.errors import BadCodeError, DateOrderError
from gateway.reporting.units.model import Enrollment, Event, EventType
from gateway.reporting.units.policy import Policy
from gateway.reporting.units.reasons import Reason

WARFARIN: Final = "warfarin"
WARFARIN_MONTHS: Final = 3
WARFARIN_DAYS: Final = 90
_NEVER: Final = dt.date.max.toordinal()
_ALWAYS: Final = 1

_ENDING: Final[tuple[EventType, ...]] = ("ma_transfer", "death", "withdrawn")
"""Events that end the service; of two on one day the one that covers least rules."""


class EndOfService(NamedTuple):
    """How the service ended (all days are ordinals of local dates).

    Attributes:
        type: withdrawal, death, or a move to Medicare Advantage.
        on: the event's date.
        last_served: last day on which a test can count.
        last_covered: last possible date of service; None after a withdrawal, which sets no such limit.
    """

    type: EventType
    on: int
    last_served: int
    last_covered: int | None


def end_of_service(events: Iterable[Event], as_of: int) -> EndOfService | None:
    """The earliest ending event dated on or before `as_of`; a hold ends nothing.

    Raises:
        BadCodeError: an event of unknown type.
    """
    found: tuple[int, int, EventType] | None = None
    for event in events:
        if event.type == "hold":
            continue
        if event.type not in _ENDING:
            raise BadCodeError("events", f"unknown code {event.type!r}", f"use one of: hold, {', '.join(_ENDING)}")
        on = event.date.toordinal()
        if on <= as_of:
            candidate = (on, _ENDING.index(event.type), event.type)
            found = candidate if found is None else min(found, candidate)
    if found is None:
        return None
    on, _, kind = found
    if kind == "ma_transfer":
        return EndOfService(kind, on, on - 1, on - 1)
    return EndOfService(kind, on, on, on if kind == "death" else None)


class Spell(NamedTuple):
    """An unbroken time on warfarin (all days are ordinals).

    Attributes:
        first: first day, and `last` the last, on which it is known to be taken.
        since: when it began, None where nobody stated it.
        three_months_on: first day with three months behind it (R28).
    """

    first: int
    last: int
    since: int | None
    three_months_on: int


class Eligibility:
    """Whether a test on a local day may count, and if not, why.

    Attributes:
        spans: first and last ordinal of every span of eligible days, ascending.
        porcine: whether eligible units need a review for a porcine valve beside another indication.
    """

    __slots__ = (
        "_count_training_day",
        "_coverage",
        "_covered_from",
        "_end",
        "_orders",
        "_spells",
        "_trained",
        "enrollment",
        "porcine",
        "spans",
    )

    def __init__(self, enrollment: Enrollment, policy: Policy, end: EndOfService | None) -> None:
        """Args: enrollment: the facts; policy: the options; end: the end of the service, if known.

        Raises:
            BadCodeError: a malformed diagnosis or unknown valve type.
            DateOrderError: an order that expires before it was signed.
        """
        self.enrollment = enrollment
        self._end = end
        self._count_training_day = policy.count_training_day
        self._coverage = coverage(
            policy.diagnoses,
            enrollment.diagnosis,
            enrollment.valve_type,
            known_from=enrollment.known_from,
            include_unspecified_af=policy.dx_unspecified_af == "include",
            count_porcine=policy.porcine_with_other_indication == "count_with_review",
        )
        self.porcine = self._coverage.porcine
        self._trained = enrollment.training_date.toordinal() if enrollment.training_date else None
        self._covered_from = enrollment.covered_from.toordinal() if enrollment.covered_from else _ALWAYS
        self._spells = _spells(enrollment, policy)
        self._orders = [_order_span(at, enrollment, policy) for at in range(len(enrollment.orders))]
        self.spans = self._eligible_spans()

    def first_day_from(self, day: int) -> int | None:
        """The first eligible day on or after `day`."""
        for first, last in self.spans:
            if day <= last:
                return max(day, first)
        return None

    def reason(self, day: int) -> Reason | None:
        """The first gate that a test on `day` does not pass, in the order of the rules; None when it passes all."""
        if self._coverage.verdict(day) == "not_covered":
            return "DIAGNOSIS_NOT_COVERED"
        spell = self._spell(day)
        if spell is None:
            return "NOT_ON_WARFARIN"
        if self._trained is None or not self.enrollment.training_documented:
            return "TRAINING_NOT_DOCUMENTED"
        if day < self._trained:
            return "BEFORE_TRAINING"
        if day == self._trained and not self._count_training_day:
            return "TRAINING_DAY"
        if day < spell.three_months_on:
            return "WARFARIN_LT_3_MONTHS"
        if not any(first <= day <= last for first, last in self._orders):
            return "NO_ACTIVE_ORDER"
        if day < self._covered_from:
            return "BEFORE_COVERAGE"
        if self._end is not None and day > self._end.last_served:
            return "NOT_FFS" if self._end.type == "ma_transfer" else "AFTER_TERMINATION"
        return None

    def _spell(self, day: int) -> Spell | None:
        for spell in self._spells:
            if spell.first <= day <= spell.last:
                return spell
        return None

    def facts(self, reason: Reason, day: int) -> tuple[tuple[str, str], ...]:
        """The facts behind the `reason` given for `day`, for a trace."""
        enrollment = self.enrollment
        match reason:
            case "DIAGNOSIS_NOT_COVERED":
                return (
                    ("diagnosis", ", ".join(enrollment.diagnosis)),
                    ("valve", enrollment.valve_type or "not stated"),
                )
            case "NOT_ON_WARFARIN":
                return (("anticoagulant", _drug_on(enrollment, day)),)
            case "BEFORE_TRAINING" | "TRAINING_DAY":
                return (("training", _iso(self._trained)),)
            case "WARFARIN_LT_3_MONTHS":
                spell = self._spell(day)
                return (
                    ("warfarin since", _iso(spell.since if spell else None)),
                    ("three months on", _iso(spell.three_months_on if spell else None)),
                )
            case "NO_ACTIVE_ORDER":
                spans = ", ".join(f"{_iso(first)} to {_iso(last)}" for first, last in self._orders)
                return (("orders", spans or "none"),)
            case "BEFORE_COVERAGE":
                return (("covered from", _iso(self._covered_from)),)
            case "NOT_FFS" | "AFTER_TERMINATION":
                end = self._end
                return ((end.type, _iso(end.on)),) if end else ()
            case _:
                return ()

    def _eligible_spans(self) -> list[tuple[int, int]]:
        edges = {self._covered_from}
        for spell in self._spells:
            edges |= {spell.first, spell.three_months_on, spell.last + 1}
        if self._trained is not None:
            edges |= {self._trained, self._trained + 1}
        for first, last in self._orders:
            edges |= {first, last + 1}
        for _, first, last in self._coverage.spans:
            edges |= {first, last + 1}
        if self._end is not None:
            edges.add(self._end.last_served + 1)
        spans: list[tuple[int, int]] = []
        # The last edge is the day after a covered span, or after the calendar: no test can count on it.
        for first, following in pairwise(sorted(edges)):
            if self.reason(first) is None:
                if spans and spans[-1][1] == first - 1:
                    first = spans.pop()[0]
                spans.append((first, following - 1))
        return spans


def _spells(enrollment: Enrollment, policy: Policy) -> list[Spell]:
    """The patient's times on warfarin. One that begins on the day after another has ended goes on with it."""
    if not enrollment.therapies:
        start = enrollment.warfarin_start
        if (enrollment.anticoagulant or "").strip().lower() != WARFARIN:
            return []
        since = None if start is None else start.toordinal()
        return [Spell(_ALWAYS, _NEVER, since, _three_months(start, policy))]
    found: list[Spell] = []
    for therapy in sorted(enrollment.therapies, key=attrgetter("start")):
        if therapy.drug.strip().lower() != WARFARIN:
            continue
        first, last = therapy.start.toordinal(), _NEVER if therapy.end is None else therapy.end.toordinal()
        if found and first <= found[-1].last + 1:
            found[-1] = found[-1]._replace(last=max(last, found[-1].last))
        else:
            found.append(Spell(first, last, first, _three_months(therapy.start, policy)))
    return found


def _drug_on(enrollment: Enrollment, day: int) -> str:
    """What was taken on `day`, for a person."""
    if not enrollment.therapies:
        return enrollment.anticoagulant or "not stated"
    for therapy in enrollment.therapies:
        if therapy.start.toordinal() <= day <= (_NEVER if therapy.end is None else therapy.end.toordinal()):
            return therapy.drug
    return "none on record"


def _three_months(start: dt.date | None, policy: Policy) -> int:
    """First day with three months of warfarin behind it (R28)."""
    if start is None:
        return _NEVER
    if policy.warfarin_3_months == "days90":
        return start.toordinal() + WARFARIN_DAYS
    return add_months(start, WARFARIN_MONTHS).toordinal()


def _order_span(at: int, enrollment: Enrollment, policy: Policy) -> tuple[int, int]:
    """First and last day of the order at index `at` (R29); orders are not retroactive."""
    order = enrollment.orders[at]
    expires = order.expires_on
    if expires is None:
        if policy.order_valid_months is None:
            return order.signed_on.toordinal(), _NEVER
        expires = add_months(order.signed_on, policy.order_valid_months)
    elif expires < order.signed_on:
        raise DateOrderError(
            f"orders[{at}].expires_on",
            f"{expires} lies before the signature on {order.signed_on}",
            "correct the date",
        )
    return order.signed_on.toordinal(), expires.toordinal()


def _iso(day: int | None) -> str:
    if day is None:
        return "not stated"
    return "no end" if day == _NEVER else dt.date.fromordinal(day).isoformat()
