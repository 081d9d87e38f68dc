"""Which patients are live: a named person has checked that somebody will be told when it matters."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

__all__ = ["Standing", "is_live", "listing", "record"]


class Standing(NamedTuple):
    """A patient and the newest word on them; `live` is None where nobody ever said anything."""

    patient_id: str
    live: bool | None
    at: str | None
    by_name: str | None
    note: str | None


def is_live(database: sqlite3.Connection, patient_id: str) -> bool:
    """Whether the newest word on a patient is that they are live."""
    row = database.execute(
        "SELECT live FROM live WHERE patient_id = ? ORDER BY id DESC LIMIT 1", (patient_id,)
    ).fetchone()
    return row is not None and bool(row[0])


def record(database: sqlite3.Connection, patient_id: str, *, live: bool, by: str, at: str, note: str = "") -> None:
    """Write down that a named person put a patient live, or took them out."""
    database.execute(
        "INSERT INTO live (patient_id, live, at, by_name, note) VALUES (?, ?, ?, ?, ?)",
        (patient_id, int(live), at, by, note),
    )


def listing(database: sqlite3.Connection) -> list[Standing]:
    """All patients, by id."""
    rows = database.execute(
        "SELECT p.id, l.live, l.at, l.by_name, l.note FROM patient p LEFT JOIN live l ON l.id ="
        " (SELECT max(n.id) FROM live n WHERE n.patient_id = p.id) ORDER BY p.id"
    )
    return [Standing(row[0], None if row[1] is None else bool(row[1]), *row[2:]) for row in rows]
