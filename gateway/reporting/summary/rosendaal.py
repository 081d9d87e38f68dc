"""Time in therapeutic range by linear interpolation, in continuous time.

F. R. Rosendaal, S. C. Cannegieter, F. J. M. van der Meer, E. Briët: A method to determine the optimal intensity of
oral anticoagulant therapy, Thromb Haemost 69 (1993) 236. Between two neighbouring results the INR is taken to move
on a straight line; what counts is the share of the time during which that line lies inside the target. LOINC
72281-9 leaves out intervals of more than 56 days.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from gateway.reporting.summary.points import Point, Target, target_on

__all__ = ["GAP_LIMIT_DAYS", "InRange", "by_day", "covered", "in_range"]

GAP_LIMIT_DAYS = 56
"""An interval of exactly so many days is kept, a longer one is left out."""


class InRange(NamedTuple):
    """Time in range and the time it was taken from, in days."""

    inside: Fraction
    covered: Fraction

    @property
    def share(self) -> Fraction | None:
        """The share of the covered time; None when no time is covered."""
        return self.inside / self.covered if self.covered else None


def covered(points: Sequence[Point], gap_limit_days: int = GAP_LIMIT_DAYS) -> Iterator[tuple[Point, Point]]:
    """The neighbouring points between which a line may be drawn.

    Left out: a gap beyond the limit, and an interval in which a test gave no result. Nothing is drawn before the
    first point or after the last.
    """
    for before, after in pairwise(points):
        if not after.broken and after.day - before.day <= gap_limit_days:
            yield before, after


def in_range(points: Sequence[Point], targets: Sequence[Target], gap_limit_days: int = GAP_LIMIT_DAYS) -> InRange:
    """Rosendaal's time in range.

    Args:
        points: by day.
        targets: by day; time before the first of them is not covered. Where the target changes, the line is cut.
        gap_limit_days: longer intervals are left out.
    """
    inside = total = Fraction(0)
    for before, after in covered(points, gap_limit_days):
        for start, end in _pieces(before, after, targets):
            target = target_on(targets, start.day)
            if target is not None:
                total += end.day - start.day
                inside += _inside(start, end, target)
    return InRange(inside, total)


def by_day(points: Sequence[Point], targets: Sequence[Target], gap_limit_days: int = GAP_LIMIT_DAYS) -> InRange:
    """The variant that counts days: the value of the line on each day, the first and the last day included.

    It gives other figures than `in_range` for the same tests; a report must say which one it shows.
    """
    values: dict[int, Fraction] = {}
    for before, after in covered(points, gap_limit_days):
        for day in range(math.ceil(before.day), math.floor(after.day) + 1):
            values[day] = _on(before, after, Fraction(day))
    judged = [
        target.holds(inr)
        for day, inr in values.items()
        if (target := target_on(targets, Fraction(day))) is not None
    ]
    return InRange(Fraction(sum(judged)), Fraction(len(judged)))


def _pieces(before: Point, after: Point, targets: Sequence[Target]) -> Iterator[tuple[Point, Point]]:
    """The line between two points, cut where the target changes."""
    cuts = [Fraction(each.from_day) for each in targets if before.day < each.from_day < after.day]
    ends = [before, *(Point(cut, _on(before, after, cut)) for cut in sorted(set(cuts))), after]
    yield from pairwise(ends)


def _on(before: Point, after: Point, day: Fraction) -> Fraction:
    return before.inr + (after.inr - before.inr) * (day - before.day) / (after.day - before.day)


def _inside(start: Point, end: Point, target: Target) -> Fraction:
    """How long a straight line lies within the target."""
    low, high = Fraction(target.low), Fraction(target.high)
    length = end.day - start.day
    least, most = min(start.inr, end.inr), max(start.inr, end.inr)
    if least == most:
        return length if low <= least <= high else Fraction(0)
    overlap = min(most, high) - max(least, low)
    return length * max(Fraction(0), overlap) / (most - least)
