"""What a sheet about one result and one about a time have in common. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final, cast

from gateway.reporting.channels.document.contents import Banner, Fact, Mark, Point, Tile, Trend
from gateway.reporting.channels.document.times import day, local
from gateway.reporting.configuration import Supplier
from gateway.reporting.limits import Limits as StatedLimits
from gateway.reporting.limits import interpret
from gateway.reporting.reportable import Limits, Past
from gateway.reporting.summary import GAP_LIMIT_DAYS, Summary, percent, shown
from gateway.result import Quantity

__all__ = [
    "COLUMNS",
    "NO_ADVICE",
    "TEST",
    "codes",
    "figure",
    "limit_facts",
    "rows",
    "sender",
    "sex",
    "tiles",
    "trend",
    "value",
    "verdict",
]

NO_ADVICE: Final = "Results as the meter gave them; no dosing advice."
TEST: Final = Banner("TEST", "Not a patient's result. Do not file it in a chart.")
COLUMNS: Final = (
    ("Taken", 0.34),
    ("INR", 0.14),
    ("Against the target above", 0.24),
    ("Days since the one before", 0.28),
)
SEXES: Final = {"F": "female", "M": "male", "O": "other", "U": "not stated"}
SOURCES: Final = {
    "patient": "set for this patient",
    "provider": "the provider's standing range",
    "clinic": "the clinic's standing range",
}
VERDICTS: Final = {
    "LL": ("critically low", Mark.CRITICAL),
    "HH": ("critically high", Mark.CRITICAL),
    "L": ("below target", Mark.OUT),
    "H": ("above target", Mark.OUT),
    "N": ("in target", Mark.IN),
}
"""Of the codes of v3-ObservationInterpretation that compare with limits."""


def value(quantity: Quantity) -> str:
    """``2.50``, ``> 8.0``, or what the meter wrote where that is no number."""
    if quantity.value is None:
        return quantity.text
    return f"{quantity.comparator} {quantity.value}" if quantity.comparator else quantity.value


def figure(limit: Decimal) -> str:
    """A limit with one decimal at least, as limits are written: ``2.0``."""
    return f"{limit:.1f}" if limit == round(limit, 1) else str(limit)


def sex(code: str) -> str:
    """In words."""
    return SEXES.get(code, code)


def verdict(interpretation: Sequence[str]) -> tuple[str, Mark]:
    """Words and mark of a comparison; nothing without one."""
    return next((VERDICTS[code] for code in interpretation if code in VERDICTS), ("", Mark.NONE))


def codes(inr: Quantity, limits: Limits | None) -> tuple[str, ...]:
    """What comparing says, in codes of v3-ObservationInterpretation."""
    return interpret(inr, cast("StatedLimits | None", limits))  # whoever has the four numbers will do


def limit_facts(limits: Limits | None) -> list[Fact]:
    """The four numbers, or that there are none."""
    if limits is None:
        return [("Target range", "none on record; nothing is compared")]
    source = SOURCES.get(limits.source, limits.source)
    return [
        ("Target range", f"{figure(limits.target_low)} to {figure(limits.target_high)} ({source})"),
        ("Critical", f"below {figure(limits.critical_low)}; {figure(limits.critical_high)} and above"),
    ]


def sender(supplier: Supplier) -> list[str]:
    """Who reports."""
    return [supplier.name, *([f"NPI {supplier.npi}"] if supplier.npi else [])]


def trend(
    past: Sequence[Past], limits: Limits | None, *, since: datetime | None = None, this: str = ""
) -> Trend | None:
    """The picture of `past`, or None when there is no number to draw. `this`: id of the result to be ringed."""
    points = [
        Point(
            at=each.taken_at,
            value=Decimal(each.inr.value),
            comparator=each.inr.comparator or "",
            mark=verdict(codes(each.inr, limits))[1],
            this=each.result_id == this,
        )
        for each in past
        if each.inr.value is not None and (since is None or each.taken_at >= since)
    ]
    if not points:
        return None
    return Trend(points, None if limits is None else (limits.target_low, limits.target_high), GAP_LIMIT_DAYS)


def rows(
    past: Sequence[Past], limits: Limits | None, most: int, this: str = ""
) -> tuple[list[tuple[str, ...]], list[Mark]]:
    """The newest results, newest first, and how each is marked."""
    found: list[tuple[str, ...]] = []
    marks = []
    for at in range(len(past) - 1, max(-1, len(past) - 1 - most), -1):
        each = past[at]
        words, mark = verdict(codes(each.inr, limits))
        since = "" if at == 0 else str((each.taken_at.date() - past[at - 1].taken_at.date()).days)
        mine = " (this report)" if each.result_id == this else ""
        found.append((f"{local(each.taken_at)}{mine}", value(each.inr), words, since))
        marks.append(mark)
    return found, marks


def tiles(summary: object) -> list[Tile]:
    """The figures of a summary; none without one, or where no test gave a value."""
    if not isinstance(summary, Summary) or summary.first is None or summary.last is None:
        return []
    days = (summary.last - summary.first).days
    covered = (
        f"{_days(summary.in_range.covered)} of {days} days covered, {day(summary.first)} to {day(summary.last)}"
    )
    if summary.left_out:
        covered += f"; gaps over {summary.gap_limit_days} days and failed tests left out"
    inside, judged = summary.tests_in_range
    spread = f"{summary.intervals} intervals; standard deviation {shown(summary.deviation, 2)}"
    if summary.off_scale:
        spread += f"; {summary.off_scale} off the measuring range, taken at its end"
    return [
        Tile("Time in target range (Rosendaal)", percent(summary.in_range.share, 1), covered),
        Tile("Tests in target range", f"{inside} of {judged}", _share(inside, judged)),
        Tile("Variability (Fihn's sigma)", shown(summary.fihn_sigma, 2), spread),
    ]


def _days(length: Fraction) -> str:
    return shown(length, 0 if length.denominator == 1 else 1)


def _share(part: int, whole: int) -> str:
    return f"{percent(Fraction(part, whole), 1)}; the last test of each day" if whole else "no target on those days"
