"""Who decided what: one row for every act of a named person."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from gateway.clock import utc

__all__ = ["about", "record"]


def record(database: sqlite3.Connection, at: datetime, by: str, act: str, subject: str, note: str = "") -> None:
    """Write down an act, for example ``release`` of ``quarantine 12``."""
    database.execute(
        "INSERT INTO decision (at, by_name, act, subject, note) VALUES (?, ?, ?, ?, ?)",
        (utc(at), by, act, subject, note),
    )


def about(database: sqlite3.Connection, subject: str) -> list[sqlite3.Row]:
    """All acts on one subject, oldest first: at, by_name, act, note."""
    return database.execute(
        "SELECT at, by_name, act, note FROM decision WHERE subject = ? ORDER BY id", (subject,)
    ).fetchall()
