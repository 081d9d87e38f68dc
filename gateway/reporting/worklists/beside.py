"""Services beside the units that a person should look at: G0248, 93792, 93793, home heparin (R32, R33, R36)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gateway.reporting.claims.beside import beside_physician
from gateway.reporting.claims.tallied import Tallied
from gateway.reporting.documents.kinds import BilledService
from gateway.reporting.units.neighbours import Caution
from gateway.reporting.worklists.book import Entry

__all__ = ["Beside", "beside", "paid_beside"]


class Beside(NamedTuple):
    """One caution. `test` is the number of the result that it speaks of, where it speaks of one."""

    patient: str
    date: dt.date
    rule: str
    test: str | None
    words: str


def beside(book: Iterable[Entry]) -> list[Beside]:
    """Cautions about every patient, the newest first. They hold nothing: a person decides.

    Args:
        book: all patients, tallied for G0250.
    """
    found = [
        Beside(entry.patient_id, each.date, each.rule, each.test, each.words)
        for entry in book
        for each in beside_physician(entry.papers, entry.tallies, entry.as_of)
    ]
    return sorted(found, key=lambda row: (-row.date.toordinal(), row.patient, row.words))


def paid_beside(entry: Entry, tallied: Tallied) -> Iterator[tuple[int, Caution]]:
    """Numbers of the physician's units with an INR that 93793 pays too, until they are claimed or signed (R32).

    A person should look at each: signing one is not refused, but no list offers it among many.
    """
    if tallied.policy.service != "G0250" or not entry.papers.of(BilledService):
        return
    for caution in beside_physician(entry.papers, (tallied,), entry.as_of):
        for number, unit in enumerate(tallied.statement.units, 1):
            if unit.status != "claimed" and caution.test in unit.tests and not entry.signer(tallied, unit):
                yield number, caution
