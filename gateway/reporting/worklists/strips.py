"""Strips on hand, and when a refill may be asked for and delivered (rule R30)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import NamedTuple

from gateway.reporting.documents.kinds import SupplyDelivery
from gateway.reporting.documents.supply import Stock, stock
from gateway.reporting.worklists.book import Entry
from gateway.reporting.worklists.tested import ended

__all__ = ["Supplies", "supplies"]


class Supplies(NamedTuple):
    """One patient's strips; `unproven` are the days of deliveries without proof."""

    patient: str
    on_hand: int
    exhausted_on: dt.date
    contact_from: dt.date
    deliver_from: dt.date
    last_contact: dt.date | None
    unproven: str
    words: str


def supplies(book: Iterable[Entry], shipping_days: int = 0) -> list[Supplies]:
    """Strips of every patient of whom a delivery is on record, the scarcest first; a parcel takes so many days."""
    found = []
    for entry in book:
        tallied = entry.current
        if tallied is None or ended(entry, tallied) or not entry.papers.of(SupplyDelivery):
            continue
        held = stock(tallied.inputs, entry.papers, entry.as_of, shipping_days=shipping_days)
        found.append(
            Supplies(
                entry.patient_id,
                held.supply.on_hand,
                held.supply.exhausted_on,
                held.supply.contact_from,
                held.supply.deliver_from,
                max(held.contacts, default=None),
                " ".join(map(str, held.supply.unproven)),
                _words(held, entry.as_of),
            )
        )
    return sorted(found, key=lambda row: (row.exhausted_on, row.on_hand, row.patient))


def _words(held: Stock, as_of: dt.date) -> str:
    if held.supply.on_hand < 0:
        return "a delivery is missing from the record"
    if as_of >= held.supply.deliver_from:
        return "deliver now"
    return "ask about a refill" if as_of >= held.supply.contact_from else "enough"
