"""Who is told of a critical result: stated for the clinic, a provider or a patient, like limits."""

from __future__ import annotations

import datetime as dt
import sqlite3
from typing import Literal, NamedTuple

from gateway.store.limits import Level, treating

__all__ = ["Contact", "in_force", "state"]


class Contact(NamedTuple):
    """Whom to call, and when.

    Attributes:
        level, of_id: for whom it was stated; `of_id` is empty for the clinic.
        hours: when `number` answers, like ``Mon-Fri 08:00-17:00`` in `zone`; empty: at any time.
    """

    level: Level
    of_id: str
    person: str
    number: str
    hours: str
    zone: str
    after_hours_person: str
    after_hours_number: str


_COLUMNS = ", ".join(Contact._fields)


def state(
    database: sqlite3.Connection, contact: Contact, from_date: str, *, by: str, at: str
) -> Literal["new", "changed", "unchanged"]:
    """Add a statement, unless the one of that day says the same. Earlier ones stay."""
    found = database.execute(
        f"SELECT {_COLUMNS} FROM contact WHERE level = ? AND of_id = ? AND from_date = ? ORDER BY id DESC LIMIT 1",
        (contact.level, contact.of_id, from_date),
    ).fetchone()
    if found is not None and Contact(*found) == contact:
        return "unchanged"
    database.execute(
        f"INSERT INTO contact ({_COLUMNS}, from_date, stated_by, recorded_at) VALUES"
        " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*contact, from_date, by, at),
    )
    return "new" if found is None else "changed"


def in_force(database: sqlite3.Connection, patient_id: str | None, day: dt.date, at: str) -> list[Contact]:
    """Who is to be told on a day: the patient's own contact, else each treating provider's, else the clinic's.

    Args:
        database: the store.
        patient_id: whose result it is; None: nobody knows yet, and the clinic's contact has to find out.
        day: the patient's local day.
        at: the instant, which says who treats the patient then.
    """
    ways: list[list[tuple[Level, str]]] = [[("clinic", "")]]
    if patient_id is not None:
        ways.insert(0, [("provider", provider) for provider in treating(database, patient_id, at)])
        ways.insert(0, [("patient", patient_id)])
    for way in ways:
        found = [contact for level, of_id in way if (contact := _newest(database, level, of_id, day)) is not None]
        if found:
            return found
    return []


def _newest(database: sqlite3.Connection, level: Level, of_id: str, day: dt.date) -> Contact | None:
    row = database.execute(
        f"SELECT {_COLUMNS} FROM contact WHERE level = ? AND of_id = ? AND from_date <= ?"
        " ORDER BY from_date DESC, id DESC LIMIT 1",
        (level, of_id, day.isoformat()),
    ).fetchone()
    return None if row is None else Contact(*row)
