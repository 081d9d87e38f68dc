"""What is stated for clinic, provider or patient: limits and contacts. Rows are added, never overwritten."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Mapping, Sequence

from gateway.clock import utc
from gateway.server.registry.kinds import Contact, Level, Limits
from gateway.server.registry.tables import Placed, Problem
from gateway.store import contacts, limits, registry

__all__ = ["disorder", "write_statement"]

Wrote = Sequence[tuple[Placed, Mapping[str, registry.Value]]]


def write_statement(database: sqlite3.Connection, row: Level, by: str, at: str) -> registry.Change:
    """Add what a row states; says whether that is something new."""
    of_id, day = row.id or "", row.from_.isoformat()
    if isinstance(row, Contact):
        contact = contacts.Contact(
            row.of,
            of_id,
            row.person,
            row.number,
            row.hours,
            row.zone,
            row.after_hours_person,
            row.after_hours_number,
        )
        return contacts.state(database, contact, day, by=by, at=at)
    if not isinstance(row, Limits):
        raise TypeError(f"no table for {type(row).__name__}")
    found = {
        limits.state(database, row.of, of_id, pair, day, None if values[0] == "inherit" else values, by=by, at=at)
        for pair, values in row.pairs.items()
    }
    return "changed" if "changed" in found else "new" if "new" in found else "unchanged"


def disorder(database: sqlite3.Connection, wrote: Wrote) -> list[Problem]:
    """Rows by which somebody's four numbers, stated here and there, would no longer stand in their order.

    Asked for the day from which each row holds, of the row itself and of every patient with numbers of their own.
    """
    problems = []
    own = limits.patients_with_own(database) if any(isinstance(placed.row, Limits) for placed, _ in wrote) else []
    for placed, _ in wrote:
        row = placed.row
        if not isinstance(row, Limits):
            continue
        noon = utc(dt.datetime.combine(row.from_, dt.time(12), dt.UTC))
        for patient in [row.id or ""] if row.of == "patient" else ["", *own]:
            provider = row.id if row.of == "provider" and not patient else None
            found = limits.numbers(database, patient, row.from_, noon, provider)
            wrong = limits.disorder(found.target, found.critical)
            if wrong is not None:
                whom = f" for patient {patient}" if patient and row.of != "patient" else ""
                remedy = "correct one of them; limits of one level can differ for a provider or a patient"
                problems.append(Problem(placed.place, None, f"{wrong}{whom}", remedy))
                break
    return problems
