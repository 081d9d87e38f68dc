"""The whole summary of a time, and how its figures are shown."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction

from gateway.reporting.summary.points import Measured, Target, daily, target_on
from gateway.reporting.summary.rosendaal import GAP_LIMIT_DAYS, InRange, by_day, covered, in_range
from gateway.reporting.summary.variability import deviation, fihn, growth_rate

__all__ = ["Summary", "percent", "shown", "summarise"]


@dataclass(frozen=True, slots=True)
class Summary:
    """One patient over a time. Every figure is exact or has 34 digits; round it where it is shown.

    Attributes:
        first, last: local days of the first and the last test that gave a value; None without any.
        tests: days with a value: the last valid result of each.
        results: all valid results; the others of a day are kept, and do not move the curve.
        failed: tests that gave no value.
        off_scale: points that stand at the limit of the meter's measuring range.
        in_range: time in range by Rosendaal, in continuous time, and the covered days.
        by_day: the variant that counts days.
        tests_in_range: tests within the target of their day, and tests that had one.
        intervals: intervals between neighbouring tests that are used; `left_out` are not (a gap beyond the limit,
            or a failed test in between).
        gap_limit_days: a longer interval is left out.
        fihn_sigma, growth_rate, deviation: variability.
    """

    first: dt.date | None
    last: dt.date | None
    tests: int
    results: int
    failed: int
    off_scale: int
    in_range: InRange
    by_day: InRange
    tests_in_range: tuple[int, int]
    intervals: int
    left_out: int
    gap_limit_days: int
    fihn_sigma: Decimal | None
    growth_rate: Fraction | None
    deviation: Decimal | None


def summarise(
    tests: Iterable[Measured], targets: Sequence[Target], gap_limit_days: int = GAP_LIMIT_DAYS
) -> Summary:
    """Summarise the tests of one patient, in whatever order they come.

    Args:
        tests: all tests of the time, also those that gave no value.
        targets: the target ranges of the time, each from its day on.
        gap_limit_days: no line is drawn across a longer interval.

    Raises:
        ValueError: the gap limit is no positive number of days.
    """
    if gap_limit_days < 1:
        raise ValueError(f"gap_limit_days is {gap_limit_days}; give at least one day")
    given = list(tests)
    points = daily(given)
    ordered = sorted(targets)
    judged = [target.holds(point.inr) for point in points if (target := target_on(ordered, point.day)) is not None]
    intervals = sum(1 for _ in covered(points, gap_limit_days))
    return Summary(
        first=dt.date.fromordinal(int(points[0].day)) if points else None,
        last=dt.date.fromordinal(int(points[-1].day)) if points else None,
        tests=len(points),
        results=sum(test.inr is not None for test in given),
        failed=sum(test.inr is None for test in given),
        off_scale=sum(point.off_scale for point in points),
        in_range=in_range(points, ordered, gap_limit_days),
        by_day=by_day(points, ordered, gap_limit_days),
        tests_in_range=(sum(judged), len(judged)),
        intervals=intervals,
        left_out=max(0, len(points) - 1) - intervals,
        gap_limit_days=gap_limit_days,
        fihn_sigma=fihn(points, gap_limit_days),
        growth_rate=growth_rate(points, gap_limit_days),
        deviation=deviation(points),
    )


def percent(share: Fraction | None, places: int = 2) -> str:
    """``63.19 %``; a hyphen where there is no share."""
    return "-" if share is None else f"{shown(share * 100, places)} %"


def shown(figure: Fraction | Decimal | None, places: int = 4) -> str:
    """A figure rounded half up; a hyphen where there is none."""
    if figure is None:
        return "-"
    step = Decimal(1).scaleb(-places)
    if isinstance(figure, Fraction):  # exactly: a division first might round twice
        scaled = abs(figure) * 10**places
        whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
        return str((Decimal(whole) * step).copy_sign(Decimal(-1 if figure < 0 else 1)).quantize(step))
    return str(figure.quantize(step, ROUND_HALF_UP, Context(prec=60)))
