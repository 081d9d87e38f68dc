"""A policy that changed: each unit is judged by the version in force on its date of service.

The versions are tallied one after the other, the oldest first. What a version dates within its own time is settled:
the next one finds those tests taken, as if they were claimed, and judges only what is left.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from gateway.reporting.units.model import ClaimedUnit, Enrollment, Event, Statement, Step, Test, Unit
from gateway.reporting.units.policy import Policy, choose, standing
from gateway.reporting.units.tally import tally


def earlier_versions(
    book: Sequence[Policy], last: Policy, payer: str, mac: str | None, since: dt.date
) -> list[Policy]:
    """What was in force for a payer before `last`, without a gap, back to the day `since`; oldest first.

    Raises:
        NoPolicyError: more than one of equal rank was in force on a day.
    """
    found = [last]
    while found[0].effective_from > since:
        before = found[0].effective_from - dt.timedelta(days=1)
        if not standing(book, payer, before, mac):
            break
        found.insert(0, choose(book, payer, before, mac))
    return found[:-1]


class _Settled(NamedTuple):
    """A unit as an earlier version made it, its number there, and the statement it stands in."""

    unit: Unit
    number: int
    statement: Statement


def tally_versions(
    enrollment: Enrollment,
    tests: Sequence[Test],
    events: Sequence[Event],
    claimed: Sequence[ClaimedUnit],
    versions: Sequence[Policy],
    as_of: dt.date,
    *,
    trace: bool = False,
) -> Statement:
    """`tally` under a policy that changed.

    Args:
        enrollment: the facts about the patient.
        tests: all tests ever known.
        events: what ended the service.
        claimed: units already submitted.
        versions: all for one service, oldest first; the last one is in force on the as-of date.
        as_of: local date of the patient.
        trace: whether every decision is to be noted.

    Returns:
        The statement of the last version. Claimed units, and those that an earlier version dated, come first, in
        the order of their dates, each as the version of its date made it. Weeks missed and the next eligible dates
        are the last version's.

    Raises:
        UnitsError: an input was refused.
    """
    settled: dict[tuple[str, ...], _Settled] = {}
    taken = list(claimed)
    for policy in versions[:-1]:
        made = tally(enrollment, tests, events, taken, policy, as_of, trace=trace)
        for number, unit in enumerate(made.units, 1):
            key = tuple(sorted(unit.tests))
            if key not in settled and policy.in_force(unit.billable_from):
                settled[key] = _Settled(unit, number, made)
                if unit.status != "claimed":
                    taken.append(ClaimedUnit(unit.tests, unit.billable_from, unit.code, unit.modifiers))
    made = tally(enrollment, tests, events, taken, versions[-1], as_of, trace=trace)
    if not settled:
        return made
    places = [settled.get(tuple(sorted(unit.tests))) for unit in made.units]
    known = {test for place in places if place is not None for test in place.unit.tests}
    out = {each.test: each for each in made.not_covered if each.test not in known}
    for place in settled.values():
        out |= {each.test: each for each in place.statement.not_covered if each.test in place.unit.tests}
    return replace(
        made,
        units=tuple(unit if place is None else place.unit for unit, place in zip(made.units, places, strict=True)),
        not_covered=tuple(out[test.id] for test in tests if test.id in out),
        trace=None if made.trace is None else tuple(_trace(made.trace, places)),
    )


def _trace(steps: Iterable[Step], places: Sequence[_Settled | None]) -> Iterable[Step]:
    """The last version's decisions; about settled units and their tests those of the version that settled them."""
    said: set[str] = set()
    for number, place in enumerate(places, 1):
        if place is None:
            continue
        before = f"unit {place.number}"
        said |= {f"unit {number}", *place.unit.tests}
        for step in place.statement.trace or ():
            if step.subject == before:
                yield step._replace(subject=f"unit {number}")
            elif step.subject in place.unit.tests:
                yield step
    yield from (step for step in steps if step.subject not in said)
