"""Remarks beside a statement: they change nothing and hold nothing, but a person should read them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from gateway.reporting.units.calendar import Zones
from gateway.reporting.units.model import TESTS_PER_UNIT, Enrollment, Event, Test, Unit
from gateway.reporting.units.policy import Policy

REDUCED: Final = "52"
"""Modifier of a partial unit (rule R24)."""
HEPARIN: Final = "heparin"
_TESTS: Final = ("no test", "one test", "two tests", "three tests", "four tests")


def notices_of(
    enrollment: Enrollment,
    events: Sequence[Event],
    units: Iterable[Unit],
    policy: Policy,
    local: Zones,
    tests: Sequence[Test],
    as_of: dt.date,
) -> tuple[str, ...]:
    """All remarks on a statement.

    Args:
        enrollment: the facts about the patient.
        events: what ended the service.
        units: the units of the statement.
        policy: the policy it was made under.
        local: makes local dates.
        tests: the tests it was made from.
        as_of: what is dated later is unknown.
    """
    found: list[str] = []
    spans = _heparin_spans(enrollment, as_of)
    if spans or is_heparin(enrollment.anticoagulant):
        found.append(_heparin(spans, local, tests))
    for unit in units:
        if unit.status == "claimed":
            found += _contradictions(unit)
        elif not policy.in_force(unit.billable_from):
            found.append(
                f"The date of service {unit.billable_from} lies outside the period of {policy.id}: "
                "tally it under the version in force on that date."
            )
        if events:
            found += _after_another_end(unit, events, as_of)
    return tuple(found)


def is_heparin(drug: str | None) -> bool:
    """Whether a drug is a heparin by its name, whatever its salt or weight."""
    return drug is not None and HEPARIN in drug.lower()


def _heparin_spans(enrollment: Enrollment, as_of: dt.date) -> list[tuple[dt.date, dt.date | None]]:
    """First and last days on heparin that had begun by `as_of`."""
    if not enrollment.heparin and not enrollment.therapies:
        return []
    spans = list(enrollment.heparin)
    spans += [(therapy.start, therapy.end) for therapy in enrollment.therapies if is_heparin(therapy.drug)]
    return [span for span in spans if span[0] <= as_of]


def _heparin(spans: Sequence[tuple[dt.date, dt.date | None]], local: Zones, tests: Sequence[Test]) -> str:
    """Heparin can disturb the INR; a home infusion of it (S9336) is no part of this service (R36)."""
    within = [
        test.id
        for test in tests
        if test.kind == "patient"
        and any(_covers(span, dt.date.fromordinal(local.day_of(test.taken_at))) for span in spans)
    ]
    during = f" (tests of those days: {', '.join(within)})" if within else ""
    return (
        f"The patient is or was on heparin, which can disturb the INR{during}. Heparin alone gives no eligibility."
    )


def _covers(span: tuple[dt.date, dt.date | None], day: dt.date) -> bool:
    return span[0] <= day and (span[1] is None or day <= span[1])


def _contradictions(unit: Unit) -> Iterator[str]:
    """What a claim says against itself. It was submitted so, and is frozen (R13): a person voids or replaces it."""
    count, reduced = len(unit.tests), REDUCED in unit.modifiers
    claim = f"The {unit.code} claimed for {unit.billable_from}"
    remedy = "correct that claim"
    if unit.billable_from < unit.last_test:
        yield (
            f"{claim}: its date of service {unit.billable_from} lies before its last test, on {unit.last_test}; "
            f"{remedy}."
        )
    if unit.code == "G0250" and count < TESTS_PER_UNIT:
        yield f"{claim} holds {_TESTS[count]}, and G0250 knows no partial unit (R32); {remedy}."
    elif count < TESTS_PER_UNIT and not reduced:
        yield f"{claim} holds {_TESTS[count]} without modifier 52 (R24); {remedy}."
    elif count == TESTS_PER_UNIT and reduced:
        yield f"{claim} holds {_TESTS[count]} and carries modifier 52, that of fewer (R24); {remedy}."


def _after_another_end(unit: Unit, events: Sequence[Event], as_of: dt.date) -> list[str]:
    """A death or Medicare Advantage start denies later dates of service, whatever ended it before (R25)."""
    found: list[str] = []
    for event in events:
        if event.date > as_of:
            continue
        if event.type == "death" and unit.billable_from > event.date:
            found.append(
                f"The date of service {unit.billable_from} lies after the death on {event.date}: it will deny."
            )
        if event.type == "ma_transfer" and unit.billable_from >= event.date:
            found.append(
                f"The date of service {unit.billable_from} lies within Medicare Advantage, which began "
                f"on {event.date}: it will be returned."
            )
    return found
