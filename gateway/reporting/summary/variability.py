"""How much the INR moves about: Fihn's sigma, the variance growth rate, the plain standard deviation.

The variance growth rate (Fihn 1996, Cannegieter) sums, over the intervals between neighbouring results, the squared
difference divided by the length of the interval in weeks, and divides by their number. Sigma is its root.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal
from fractions import Fraction

from gateway.reporting.summary.points import Point
from gateway.reporting.summary.rosendaal import GAP_LIMIT_DAYS, covered

__all__ = ["deviation", "fihn", "growth_rate"]

_DIGITS = Context(prec=34)
DAYS_PER_WEEK = 7


def growth_rate(points: Sequence[Point], gap_limit_days: int = GAP_LIMIT_DAYS) -> Fraction | None:
    """Variance growth rate in INR squared per week; None without an interval that may be used."""
    terms = [
        (after.inr - before.inr) ** 2 / ((after.day - before.day) / DAYS_PER_WEEK)
        for before, after in covered(points, gap_limit_days)
    ]
    return sum(terms, Fraction(0)) / len(terms) if terms else None


def fihn(points: Sequence[Point], gap_limit_days: int = GAP_LIMIT_DAYS) -> Decimal | None:
    """Fihn's sigma, to 34 digits; None without an interval that may be used."""
    rate = growth_rate(points, gap_limit_days)
    return None if rate is None else _root(rate)


def deviation(points: Sequence[Point]) -> Decimal | None:
    """Standard deviation of the values (divisor n - 1), to 34 digits; None with fewer than two."""
    if len(points) < 2:
        return None
    mean = sum((point.inr for point in points), Fraction(0)) / len(points)
    return _root(sum(((point.inr - mean) ** 2 for point in points), Fraction(0)) / (len(points) - 1))


def _root(square: Fraction) -> Decimal:
    return _DIGITS.sqrt(_DIGITS.divide(Decimal(square.numerator), Decimal(square.denominator)))
