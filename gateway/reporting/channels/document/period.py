"""From a patient's results of a time to a sheet about them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from gateway.reporting.channels.document import parts
from gateway.reporting.channels.document.contents import Headline, Sheet
from gateway.reporting.channels.document.times import day, instant, local, zone
from gateway.reporting.configuration import Supplier
from gateway.reporting.reportable import Limits, Past

__all__ = ["Period", "of_period"]


@dataclass(frozen=True, slots=True)
class Period:
    """One patient from one local day to another.

    Attributes:
        name: ``family, given``.
        results: of that time, oldest first, each at its local time.
        limits: that held on the last day; None: nothing is compared.
        summary: the figures of that time, or None.
        providers: who treats the patient on the last day: name, and the provider's own patient id.
        test: of a rig: no patient is behind it.
    """

    patient_id: str
    name: str
    birth_date: date
    sex: str
    first: date
    last: date
    results: Sequence[Past]
    limits: Limits | None
    summary: object | None
    providers: Sequence[tuple[str, str]]
    supplier: Supplier
    made_at: datetime
    test: bool


def of_period(period: Period) -> Sheet:
    """The sheet about a time."""
    newest = period.results[-1] if period.results else None
    rows, marks = parts.rows(period.results, period.limits, len(period.results))
    facts = [
        ("From, to", f"{day(period.first)} to {day(period.last)}, both included"),
        ("Results", str(len(period.results))),
        *parts.limit_facts(period.limits),
    ]
    headline = None
    if newest is not None:
        words, mark = parts.verdict(parts.codes(newest.inr, period.limits))
        taken = f"{local(newest.taken_at)} {zone(newest.taken_at)}"
        headline = Headline(
            "Newest INR (no unit)", parts.value(newest.inr), words.upper(), mark, taken, struck=False
        )
    return Sheet(
        title="Home INR summary",
        supplier=parts.sender(period.supplier),
        banners=[parts.TEST] if period.test else [],
        patient=period.name,
        patient_facts=(
            ("Born", day(period.birth_date)),
            ("Sex", parts.sex(period.sex)),
            ("Patient id", period.patient_id),
        ),
        recipient=("Treated by", [f"{name}, patient id there {known}" for name, known in period.providers]),
        headline=headline,
        facts=facts,
        trend=parts.trend(period.results, period.limits),
        tiles=parts.tiles(period.summary),
        table_title="Results" if rows else "No result in this time",
        columns=parts.COLUMNS,
        rows=rows,
        marks=marks,
        foot=f"Made {instant(period.made_at)} for whoever treats the patient. {parts.NO_ADVICE}",
    )
