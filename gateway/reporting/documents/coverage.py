"""Who pays when: each payer's time has a tally of its own (rule R37)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from gateway.reporting.documents.kinds import Coverage
from gateway.reporting.units.model import Event

__all__ = ["Period", "events_of", "in_force", "periods"]

ENDING = ("withdrawn", "death", "ma_transfer")


class Period(NamedTuple):
    """A time with one payer, and so with one tally.

    Attributes:
        covered_from: first covered day; None: from ever.
        closed_on: first day no longer covered; None: it goes on.
    """

    payer: str
    mac: str
    covered_from: dt.date | None = None
    closed_on: dt.date | None = None

    def covers(self, day: dt.date) -> bool:
        """Whether a day lies in it."""
        return (self.covered_from is None or self.covered_from <= day) and (
            self.closed_on is None or day < self.closed_on
        )


def periods(coverages: Iterable[Coverage], events: Sequence[Event]) -> list[Period]:
    """A patient's periods, oldest first.

    A coverage without an end ends where the next begins. Two that follow one another without a gap under the same
    payer are one period, so that a renewal does not close a tally; unless the service ended in the first: then the
    second is a new enrollment.
    """
    rows = [
        Period(paper.payer, paper.mac, paper.from_, None if paper.to is None else paper.to + dt.timedelta(days=1))
        for paper in sorted(coverages, key=lambda paper: paper.from_)
    ]
    ended = [
        earlier if earlier.closed_on is not None else earlier._replace(closed_on=later.covered_from)
        for earlier, later in pairwise(rows)
    ]
    found: list[Period] = []
    for period in [*ended, *rows[-1:]]:
        before = found[-1] if found else None
        if (
            before is not None
            and (before.payer, before.mac, before.closed_on) == (period.payer, period.mac, period.covered_from)
            and not any(event.type in ENDING for event in events_of(before, events, recorded_only=True))
        ):
            found[-1] = before._replace(closed_on=period.closed_on)
        else:
            found.append(period)
    return found


def in_force(found: Sequence[Period], day: dt.date) -> Period:
    """The period that a day lies in; else the last one before it; else the first."""
    begun = [period for period in found if period.covered_from is None or period.covered_from <= day]
    return begun[-1] if begun else found[0]


def events_of(period: Period, events: Iterable[Event], *, recorded_only: bool = False) -> tuple[Event, ...]:
    """The events that belong to a period's tally.

    An ``ma_transfer`` is dated on its first day and ends the coverage of the day before. Where a period is closed,
    its tally ends there as by such a transfer, unless something recorded ended it first.
    """
    found = []
    for event in events:
        last_day = event.date - dt.timedelta(days=1) if event.type == "ma_transfer" else event.date
        if period.covers(last_day):
            found.append(event)
    if period.closed_on is not None and not recorded_only:
        closing = Event("ma_transfer", period.closed_on)
        if closing not in found:
            found.append(closing)
    return tuple(found)
