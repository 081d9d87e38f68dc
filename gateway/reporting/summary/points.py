"""From tests to the points of a curve: one a day, exact, and broken where a test gave no value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

__all__ = ["Measured", "Point", "Target", "daily"]


class Measured(NamedTuple):
    """One test.

    Attributes:
        day: the patient's local date as a proleptic ordinal.
        order: orders the tests of one day: any comparable text, for example the instant in UTC.
        inr: the value, or the limit of the measuring range; None for a test that gave no result.
        off_scale: the value is the limit of the measuring range; the true one lies beyond it.
    """

    day: int
    order: str
    inr: Decimal | None
    off_scale: bool = False


class Point(NamedTuple):
    """The value that counts on a day.

    Attributes:
        day: position in days; whole for local dates, any fraction for a point between them.
        inr: exact.
        off_scale: stands at the limit of the measuring range.
        broken: after the point before it, and before this one, a test gave no result.
    """

    day: Fraction
    inr: Fraction
    off_scale: bool = False
    broken: bool = False


class Target(NamedTuple):
    """A target range, both ends included, from a day on until the next one; unless `stated`, there is none."""

    from_day: int
    low: Decimal
    high: Decimal
    stated: bool = True

    def holds(self, inr: Fraction) -> bool:
        """Whether a value lies in it."""
        return Fraction(self.low) <= inr <= Fraction(self.high)


def daily(tests: Iterable[Measured]) -> list[Point]:
    """The last valid result of each day, by day.

    A day on which every test failed gives no point, and nothing may be drawn across it: what the value was then,
    nobody knows. A test that failed on a day with a valid result is only a repeated test.
    """
    last: dict[int, Measured] = {}
    failed: set[int] = set()
    for test in sorted(tests, key=_in_order):
        if test.inr is None:
            failed.add(test.day)
        else:
            last[test.day] = test
    breaks = sorted(failed - last.keys())
    points: list[Point] = []
    for day in sorted(last):
        broken = bool(points) and any(points[-1].day < each < day for each in breaks)
        test = last[day]
        points.append(Point(Fraction(day), Fraction(test.inr or 0), test.off_scale, broken))
    return points


def _in_order(test: Measured) -> tuple[int, str, Decimal, bool]:
    # Two tests of one instant: the higher value counts, whichever was read first.
    return (test.day, test.order, test.inr if test.inr is not None else Decimal(-1), test.off_scale)


def target_on(targets: Sequence[Target], day: Fraction) -> Target | None:
    """The target in force on a day, or None. `targets` in the order of their days."""
    found = None
    for each in targets:
        if each.from_day <= day:
            found = each
    return found if found is not None and found.stated else None
