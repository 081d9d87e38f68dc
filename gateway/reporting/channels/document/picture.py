"""The trend picture: results over time, the target range as a band, marks that a fax keeps apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Final

from gateway.reporting.channels.document.contents import Mark, Point, Trend
from gateway.reporting.channels.document.parts import figure
from gateway.reporting.channels.document.pen import BLACK, BOLD, GREY, PLAIN, Pen
from gateway.reporting.channels.document.times import MONTHS

__all__ = ["draw"]

LEFT, RIGHT, TOP, BOTTOM = 26.0, 34.0, 17.0, 30.0
"""Room for the axes' labels, in points."""
BAND: Final = (0.86, 0.93, 0.88)
BAND_EDGE: Final = (0.25, 0.5, 0.33)
ALARM: Final = (0.72, 0.05, 0.05)
LABELLED_MOST = 16
"""With more points than this their values would overprint one another; the table has them."""
DAY_STEPS = (1, 2, 7, 14, 28, 56, 91, 182, 364)
DATES_MOST = 8


def draw(pen: Pen, trend: Trend, x: float, y: float, width: float, height: float) -> None:
    """Draw within the box whose lower left corner is (x, y)."""
    scale = _Scale(trend, x + LEFT, y + BOTTOM, width - LEFT - RIGHT, height - TOP - BOTTOM)
    _band(pen, trend, scale)
    _axes(pen, trend, scale)
    _line(pen, trend, scale)
    for point in trend.points:
        _point(pen, point, scale)
    if len(trend.points) <= LABELLED_MOST:
        _values(pen, trend.points, scale)
    _legend(pen, trend, x + LEFT, y)


class _Scale:
    """From days and INR to points on the page."""

    def __init__(self, trend: Trend, x: float, y: float, width: float, height: float) -> None:
        self.x, self.y, self.width, self.height = x, y, width, height
        values = [point.value for point in trend.points] + list(trend.target or ())
        self.step = Decimal("0.5") if max(values) - min(values) <= 3 else Decimal(1)
        low = math.floor((min(values) - Decimal("0.25")) / self.step) * self.step
        self.low = max(low, Decimal(0))
        self.high = math.ceil((max(values) + Decimal("0.25")) / self.step) * self.step
        self.first: date = trend.points[0].at.date()
        self.last: date = max(trend.points[-1].at.date(), self.first + timedelta(days=1))
        # A small margin, so that no point stands on the frame.
        margin = (self.last - self.first) * 0.03
        start = datetime.combine(self.first, datetime.min.time())
        end = datetime.combine(self.last, datetime.min.time()) + timedelta(days=1)
        self.start, self.end = start - margin, end + margin

    def across(self, at: datetime) -> float:
        """By local wall-clock time, as the dates of the axis are."""
        return self.x + self.width * ((at.replace(tzinfo=None) - self.start) / (self.end - self.start))

    def up(self, value: Decimal) -> float:
        return self.y + self.height * float((value - self.low) / (self.high - self.low))


def _band(pen: Pen, trend: Trend, scale: _Scale) -> None:
    if trend.target is None:
        return
    canvas = pen.canvas
    low, high = (scale.up(limit) for limit in trend.target)
    canvas.setFillColorRGB(*BAND)
    canvas.rect(scale.x, low, scale.width, high - low, stroke=0, fill=1)
    canvas.setStrokeColorRGB(*BAND_EDGE)
    canvas.setLineWidth(0.8)
    canvas.setDash(4, 2)
    for edge in (low, high):
        canvas.line(scale.x, edge, scale.x + scale.width, edge)
    canvas.setDash()
    beside, middle = scale.x + scale.width + 4, (low + high) / 2
    if high - low < 9:
        bounds = "-".join(figure(limit) for limit in trend.target)
        pen.write(beside, middle - 2.6, bounds, 7, font=BOLD, colour=BAND_EDGE)
        return
    for edge, limit in zip((low, high), trend.target, strict=True):
        pen.write(beside, edge - 2.6, figure(limit), 8, font=BOLD, colour=BAND_EDGE)
    if high - low > 24:
        pen.write(beside, middle - 2.4, "target", 6.5, colour=BAND_EDGE)


def _axes(pen: Pen, trend: Trend, scale: _Scale) -> None:
    canvas = pen.canvas
    canvas.setLineWidth(0.35)
    value = scale.low
    while value <= scale.high:
        height = scale.up(value)
        canvas.setStrokeColorRGB(0.82, 0.82, 0.82)
        if not (trend.target and value in trend.target):
            canvas.line(scale.x, height, scale.x + scale.width, height)
        pen.write(scale.x - 5, height - 2.6, f"{value:.1f}", 7.5, colour=GREY, align=1)
        value += scale.step
    canvas.setStrokeColorRGB(0.45, 0.45, 0.45)
    canvas.setLineWidth(0.6)
    canvas.rect(scale.x, scale.y, scale.width, scale.height, stroke=1, fill=0)
    pen.write(scale.x - LEFT, scale.y + scale.height + 8, "INR", 7.5, font=BOLD, colour=GREY)
    years = scale.first.year != scale.last.year
    for day in _dates(scale.first, scale.last):
        across = scale.across(datetime.combine(day, datetime.min.time()) + timedelta(hours=12))
        canvas.line(across, scale.y, across, scale.y - 3)
        text = f"{day.day} {MONTHS[day.month - 1]}" + (f" {day.year}" if years else "")
        pen.write(across, scale.y - 11, text, 7.5, colour=GREY, align=0.5)
    if not years:
        pen.write(scale.x + scale.width + RIGHT, scale.y - 11, f"{scale.last.year}", 7.5, colour=GREY, align=1)


def _dates(first: date, last: date) -> list[date]:
    """Evenly spaced days, the last one among them."""
    days = (last - first).days
    step = next((step for step in DAY_STEPS if days // step < DATES_MOST), days)
    found = []
    day = last
    while day >= first:
        found.append(day)
        day -= timedelta(days=step)
    return found


def _line(pen: Pen, trend: Trend, scale: _Scale) -> None:
    pen.canvas.setStrokeColorRGB(*BLACK)
    pen.canvas.setLineWidth(1.1)
    for one, two in pairwise(trend.points):
        if two.at - one.at <= timedelta(days=trend.gap_days):
            pen.canvas.line(scale.across(one.at), scale.up(one.value), scale.across(two.at), scale.up(two.value))


def _point(pen: Pen, point: Point, scale: _Scale) -> None:
    x, y = scale.across(point.at), scale.up(point.value)
    if point.this:
        pen.canvas.setStrokeColorRGB(*BLACK)
        pen.canvas.setLineWidth(0.9)
        pen.canvas.circle(x, y, 6.2, stroke=1, fill=0)
    _mark(pen, x, y, point.mark, point.comparator)


def _mark(pen: Pen, x: float, y: float, mark: Mark, comparator: str) -> None:
    canvas = pen.canvas
    alarming = mark in (Mark.OUT, Mark.CRITICAL)
    canvas.setFillColorRGB(*(ALARM if alarming else BLACK))
    canvas.setStrokeColorRGB(*(ALARM if alarming else BLACK))
    canvas.setLineWidth(1)
    if comparator:
        tip = 3.8 if comparator == ">" else -3.8
        _shape(pen, [(x - 3.6, y - tip * 0.7), (x + 3.6, y - tip * 0.7), (x, y + tip)])
    elif mark is Mark.CRITICAL:
        _shape(pen, [(x - 3, y - 3), (x + 3, y - 3), (x + 3, y + 3), (x - 3, y + 3)])
    elif mark is Mark.OUT:
        _shape(pen, [(x - 3.7, y), (x, y - 3.7), (x + 3.7, y), (x, y + 3.7)])
    else:
        canvas.circle(x, y, 2.6, stroke=0, fill=1)


def _shape(pen: Pen, corners: Sequence[tuple[float, float]]) -> None:
    path = pen.canvas.beginPath()
    path.moveTo(*corners[0])
    for corner in corners[1:]:
        path.lineTo(*corner)
    path.close()
    pen.canvas.drawPath(path, stroke=0, fill=1)


def _values(pen: Pen, points: Sequence[Point], scale: _Scale) -> None:
    """Each value where the line leaves room: below a valley, beside a slope, above everything else."""
    for at, point in enumerate(points):
        before = points[at - 1].value - point.value if at else None
        after = points[at + 1].value - point.value if at + 1 < len(points) else None
        x, y = scale.across(point.at), scale.up(point.value)
        align, up = 0.5, 8.0
        if (before is None or before > 0) and (after is None or after > 0) and y - 14 > scale.y:
            up = -13.5
        elif after is not None and after > 0:  # the line rises to the right
            x, align, up = x - 1, 0.85, 6.5
        elif before is not None and before > 0:
            x, align, up = x + 1, 0.15, 6.5
        font = BOLD if point.this else PLAIN
        pen.write(
            x,
            y + up + (2 if point.this and up > 0 else 0),
            f"{point.comparator}{point.value}",
            7.5,
            font=font,
            align=align,
        )


def _legend(pen: Pen, trend: Trend, x: float, y: float) -> None:
    y += 4
    for mark, words in (
        (Mark.IN, "in target range"),
        (Mark.NONE, "result"),
        (Mark.OUT, "outside target range"),
        (Mark.CRITICAL, "critical"),
    ):
        if any(point.mark is mark and not point.comparator for point in trend.points):
            x = _entry(pen, x, y, words, mark, "")
    for comparator, words in ((">", "above the measuring range"), ("<", "below the measuring range")):
        off = next((point for point in trend.points if point.comparator == comparator), None)
        if off is not None:
            x = _entry(pen, x, y, f"{words}, drawn at its end", off.mark, comparator)
    if any(point.this for point in trend.points):
        pen.canvas.setStrokeColorRGB(*BLACK)
        pen.canvas.setLineWidth(0.9)
        pen.canvas.circle(x + 4, y + 2.4, 4.6, stroke=1, fill=0)
        x += 12 + pen.write(x + 12, y, "this result", 7, colour=GREY) + 12
    if any(
        two.at - one.at > timedelta(days=trend.gap_days)
        for one, two in zip(trend.points, trend.points[1:], strict=False)
    ):
        pen.write(x, y, f"no line across more than {trend.gap_days} days", 7, colour=GREY)


def _entry(pen: Pen, x: float, y: float, words: str, mark: Mark, comparator: str) -> float:
    _mark(pen, x + 4, y + 2.4, mark, comparator)
    return x + 11 + pen.write(x + 11, y, words, 7, colour=GREY) + 12
