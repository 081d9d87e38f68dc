"""The day that a packet is made for. It is that of the facts: waiting changes no packet, news do."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator

from gateway.clock import moment
from gateway.reporting.claims.signing import unit_numbered
from gateway.reporting.claims.tallied import Tallied, tallied
from gateway.reporting.facts import facts_of
from gateway.reporting.units import Unit
from gateway.store import claims, documents
from gateway.store.opening import Role

__all__ = ["settled"]


def settled(database: sqlite3.Connection, known: Tallied, number: int, role: Role) -> tuple[Tallied, int]:
    """The tally, with its trace, of the last day on which something happened or became known about the patient.

    Args:
        database: the store.
        known: the tally of today.
        number: of a unit in it, from 1.
        role: of the store.

    Returns:
        That tally, and the number of the same unit in it; where that day knew no such unit, what was given.

    Raises:
        ClaimError: there is no such unit.
    """
    unit, today = unit_numbered(known, number), known.statement.as_of
    day = max((each for each in _days(database, known, unit) if each <= today), default=today)
    service = known.policy.service
    facts = facts_of(database, known.patient_id)
    before = tallied(facts, day, role, period=known.period, service=service, trace=True)
    for at, each in enumerate(before.statement.units, 1):
        if each._replace(status=unit.status) == unit:
            return before, at
    return known, number


def _days(database: sqlite3.Connection, known: Tallied, unit: Unit) -> Iterator[dt.date]:
    """Local days on which something about the patient happened or was written down."""
    yield unit.billable_from
    for test in known.inputs.tests:
        for at in (test.taken_at, test.reported_at, test.acknowledged_at, test.reviewed_at):
            if at is not None:
                yield known.day_of(at)
    for event in known.inputs.events:
        yield event.date
    for document in documents.listing(database, known.patient_id, superseded=True):
        yield known.day_of(moment(document.recorded_at))
    holder = claims.held_by(database, known.patient_id, unit.code, unit.tests) if unit.status == "claimed" else None
    if holder is not None:
        for happened in claims.events(database, holder.id):
            yield known.day_of(moment(happened["at"]))
