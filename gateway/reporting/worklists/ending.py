"""Services that have ended, and what is left to bill of them (rules R23 to R25)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from typing import NamedTuple

from gateway.reporting.claims.signing import flags_of
from gateway.reporting.claims.tallied import Tallied
from gateway.reporting.units import Unit
from gateway.reporting.units.claim_text import claim_text
from gateway.reporting.units.eligibility import EndOfService, end_of_service
from gateway.reporting.worklists.book import Entry

__all__ = ["Ending", "ending"]


class Ending(NamedTuple):
    """A service that has ended, and what is left to bill of it, in the words of each form.

    Attributes:
        words: item 19 of the CMS-1500, or that there are none.
        charge_cents: where a price table says so.
    """

    patient: str
    period: int
    event: str
    on: dt.date
    last_covered: dt.date | None
    unit: int | None
    tests: int
    modifiers: str
    date_of_service: dt.date | None
    file_by: dt.date | None
    flags: str
    words: str
    charge_cents: int | None
    sv101: str
    nte: str
    sv202: str
    block_80: str


def ending(
    book: Iterable[Entry], price: Callable[[str, str, dt.date], int | None], within_days: int
) -> list[Ending]:
    """Ended services: the units left, a partial one with its words, or that there is nothing to claim (R23–R25).

    What has nothing left comes last.

    Args:
        book: all patients.
        price: what a whole unit is charged at, by code, payer and day; None where nobody has said so.
        within_days: how long after its end a service with nothing left is listed.
    """
    found = []
    for entry in book:
        for tallied in entry.tallies:
            end = end_of_service(tallied.inputs.events, entry.as_of.toordinal())
            if end is None:
                continue
            units = [
                (number, unit) for number, unit in enumerate(tallied.statement.units, 1) if unit.status != "claimed"
            ]
            found += [_left(entry, tallied, end, number, unit, price) for number, unit in units]
            if not units and entry.as_of.toordinal() - end.on <= within_days:
                found.append(_nothing(entry, tallied, end))
    return sorted(found, key=lambda row: (row.unit is None, row.on, row.patient, row.unit or 0))


def _left(
    entry: Entry,
    tallied: Tallied,
    end: EndOfService,
    number: int,
    unit: Unit,
    price: Callable[[str, str, dt.date], int | None],
) -> Ending:
    full_cents = price(unit.code, tallied.period.payer, unit.billable_from)
    text = claim_text(unit, full_cents or 0, None if unit.is_full else end.type)
    return _nothing(entry, tallied, end)._replace(
        unit=number,
        tests=len(unit.tests),
        modifiers=" ".join(unit.modifiers),
        date_of_service=unit.billable_from,
        file_by=unit.file_by,
        flags=" ".join(flags_of(unit, entry.as_of)),
        words=text.item_19 or "a whole unit, without modifier 52",
        charge_cents=None if full_cents is None else text.charge_cents,
        sv101=text.sv101,
        nte=text.nte,
        sv202=text.sv202,
        block_80=text.block_80,
    )


def _nothing(entry: Entry, tallied: Tallied, end: EndOfService) -> Ending:
    return Ending(
        patient=entry.patient_id,
        period=tallied.number,
        event=end.type,
        on=dt.date.fromordinal(end.on),
        last_covered=None if end.last_covered is None else dt.date.fromordinal(end.last_covered),
        unit=None,
        tests=0,
        modifiers="",
        date_of_service=None,
        file_by=None,
        flags="",
        words="nothing is left to claim",
        charge_cents=None,
        sv101="",
        nte="",
        sv202="",
        block_80="",
    )
