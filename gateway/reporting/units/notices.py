"""Remarks beside a statement: they change nothing and hold nothing, but a person should read them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

from gateway.reporting.units.calendar import Zones
from gateway.reporting.units.model import Enrollment, Event, Test, Unit
from gateway.reporting.units.policy import Policy

HEPARIN = "heparin"


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
    if spans or (enrollment.anticoagulant or "").strip().lower() == HEPARIN:
        found.append(_heparin(spans, local, tests))
    for unit in units:
        if unit.status != "claimed" and not policy.in_force(unit.billable_from):
            found.append(
                f"The date of service {unit.billable_from} lies outside the period of {policy.id}: "
                "tally it under the version in force on that date."
            )
        if events:
            found += _after_another_end(unit, events, as_of)
    return tuple(found)


def _heparin_spans(enrollment: Enrollment, as_of: dt.date) -> list[tuple[dt.date, dt.date | None]]:
    """First and last days on heparin that had begun by `as_of`."""
    if not enrollment.heparin_infusions and not enrollment.therapies:
        return []
    spans = list(enrollment.heparin_infusions)
    spans += [(therapy.start, therapy.end) for therapy in enrollment.therapies if therapy.drug == HEPARIN]
    return [span for span in spans if span[0] <= as_of]


def _heparin(spans: Sequence[tuple[dt.date, dt.date | None]], local: Zones, tests: Sequence[Test]) -> str:
    """Home heparin infusion (S9336) is no part of this service; heparin can disturb the INR (R36)."""
    within = [
        test.id
        for test in tests
        if test.kind == "patient"
        and any(_covers(span, dt.date.fromordinal(local.day_of(test.taken_at))) for span in spans)
    ]
    during = f" (tests during an infusion: {', '.join(within)})" if within else ""
    return (
        f"The patient is or was on heparin, which can disturb the INR{during}. Heparin alone gives no eligibility."
    )


def _covers(span: tuple[dt.date, dt.date | None], day: dt.date) -> bool:
    return span[0] <= day and (span[1] is None or day <= span[1])


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
