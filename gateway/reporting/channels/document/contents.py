"""What a sheet says, in words and numbers that are ready to be drawn. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum

__all__ = ["Banner", "Fact", "Headline", "Mark", "Point", "Sheet", "Tile", "Trend"]

Fact = tuple[str, str]
"""A label and what stands behind it."""


class Mark(Enum):
    """How strongly a value is marked. Every mark differs in shape, so that a fax shows it too."""

    NONE = "none"
    """No limits are known: the value stands alone."""
    IN = "in"
    OUT = "out"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Banner:
    """A box across the sheet that cannot be overlooked."""

    headline: str
    text: str


@dataclass(frozen=True, slots=True)
class Headline:
    """The value that the sheet is about.

    Attributes:
        value: with comparator, as the meter gave it.
        verdict: the value against the limits in words; empty without limits.
        struck: it was withdrawn; drawn crossed out.
    """

    label: str
    value: str
    verdict: str
    mark: Mark
    note: str
    struck: bool


@dataclass(frozen=True, slots=True)
class Point:
    """One result in the picture, at local time.

    Attributes:
        comparator: ``>`` or ``<`` where `value` is the end of the measuring range.
        this: the one that the sheet is about.
    """

    at: datetime
    value: Decimal
    comparator: str
    mark: Mark
    this: bool


@dataclass(frozen=True, slots=True)
class Trend:
    """The picture: results over time, with the target range as a band.

    Attributes:
        points: oldest first, at least one.
        gap_days: neighbours further apart are not joined by a line.
    """

    points: Sequence[Point]
    target: tuple[Decimal, Decimal] | None
    gap_days: int


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure with what it is and what it rests on."""

    label: str
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """A whole report.

    Attributes:
        recipient: what they are to the patient, and their lines.
        columns: heading and share of the line of each column of the table.
        rows: newest first.
        marks: of each row.
    """

    title: str
    supplier: Sequence[str]
    banners: Sequence[Banner]
    patient: str
    patient_facts: Sequence[Fact]
    recipient: tuple[str, Sequence[str]]
    headline: Headline | None
    facts: Sequence[Fact]
    trend: Trend | None
    tiles: Sequence[Tile]
    table_title: str
    columns: Sequence[tuple[str, float]]
    rows: Sequence[Sequence[str]]
    marks: Sequence[Mark]
    foot: str
