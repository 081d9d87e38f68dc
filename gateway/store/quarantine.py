"""Quarantine: what waits for a named person, with its octets and its reason."""

from __future__ import annotations

import sqlite3
from typing import Literal, NamedTuple

from gateway.store.rows import new_id

__all__ = [
    "Entry",
    "add",
    "close",
    "dismissed",
    "entry",
    "is_waiting",
    "lift",
    "open_entries",
    "open_of_result",
    "unseen",
]

Action = Literal["released", "dismissed"]


class Entry(NamedTuple):
    """One row. Open while `closed_at` is None. `urgent`: an INR beyond the configured safety limits waits here."""

    id: int
    stray_id: int | None
    reading_id: int | None
    result_id: int | None
    reason: str
    detail: str
    urgent: int
    opened_at: str
    closed_at: str | None
    closed_by: str | None
    action: Action | None


_ENTRY = ", ".join(Entry._fields)


def add(
    database: sqlite3.Connection,
    reason: str,
    detail: str,
    at: str,
    *,
    stray_id: int | None = None,
    reading_id: int | None = None,
    result_id: int | None = None,
    urgent: bool = False,
) -> int:
    """Open a row and return its number."""
    inserted = database.execute(
        "INSERT INTO quarantine (stray_id, reading_id, result_id, reason, detail, urgent, opened_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (stray_id, reading_id, result_id, reason, detail, int(urgent), at),
    )
    return new_id(inserted)


def close(database: sqlite3.Connection, identifier: int, at: str, by: str, action: Action) -> None:
    """Close a row. It stays."""
    database.execute(
        "UPDATE quarantine SET closed_at = ?, closed_by = ?, action = ? WHERE id = ? AND closed_at IS NULL",
        (at, by, action, identifier),
    )


def entry(database: sqlite3.Connection, identifier: int) -> Entry | None:
    """A row, open or closed."""
    row = database.execute(f"SELECT {_ENTRY} FROM quarantine WHERE id = ?", (identifier,)).fetchone()
    return None if row is None else Entry(*row)


def open_entries(database: sqlite3.Connection, reason: str | None = None, *, closed: bool = False) -> list[Entry]:
    """What waits, urgent first, then oldest first; with `closed` also what was decided."""
    rows = database.execute(
        f"SELECT {_ENTRY} FROM quarantine WHERE (closed_at IS NULL OR ?) AND (? IS NULL OR reason = ?)"
        " ORDER BY closed_at IS NOT NULL, urgent DESC, id",
        (closed, reason, reason),
    )
    return [Entry(*row) for row in rows]


def open_of_result(database: sqlite3.Connection, result_id: int) -> list[Entry]:
    """What holds a result back."""
    rows = database.execute(
        f"SELECT {_ENTRY} FROM quarantine WHERE result_id = ? AND closed_at IS NULL ORDER BY id", (result_id,)
    )
    return [Entry(*row) for row in rows]


def is_waiting(database: sqlite3.Connection, result_id: int) -> bool:
    """Whether a result waits for a person; it is then neither reported nor counted."""
    row = database.execute(
        "SELECT 1 FROM quarantine WHERE result_id = ? AND closed_at IS NULL LIMIT 1", (result_id,)
    ).fetchone()
    return row is not None


def dismissed(database: sqlite3.Connection, result_id: int) -> bool:
    """Whether a named person said that a result shall not be used."""
    row = database.execute(
        "SELECT 1 FROM quarantine WHERE result_id = ? AND action = 'dismissed' LIMIT 1", (result_id,)
    ).fetchone()
    return row is not None


def lift(database: sqlite3.Connection, result_id: int, at: str, by: str) -> list[int]:
    """A named person says that a result shall be used after all; returns the rows that were dismissed."""
    rows = database.execute(
        "UPDATE quarantine SET action = 'released', closed_at = ?, closed_by = ?"
        " WHERE result_id = ? AND action = 'dismissed' RETURNING id",
        (at, by, result_id),
    ).fetchall()
    return sorted(row[0] for row in rows)


def unseen(database: sqlite3.Connection, journal: str, reason: str) -> list[Entry]:
    """Open rows with this reason about readings of one journal."""
    columns = ", ".join(f"quarantine.{name}" for name in Entry._fields)
    rows = database.execute(
        f"SELECT {columns} FROM quarantine JOIN reading ON reading.id = quarantine.reading_id"
        " WHERE quarantine.closed_at IS NULL AND quarantine.reason = ? AND reading.journal = ? ORDER BY reading.id",
        (reason, journal),
    )
    return [Entry(*row) for row in rows]
