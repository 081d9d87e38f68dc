"""Readings: every octet string that came on a reading topic, and up to where each journal is here without a gap."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from typing import NamedTuple

from gateway.store.rows import new_id

__all__ = [
    "Arrived",
    "Member",
    "Named",
    "advance",
    "find",
    "hubs",
    "insert",
    "insert_stray",
    "marks",
    "members",
    "named",
    "place",
    "result_of",
    "stray",
]


class Named(NamedTuple):
    """A reading that came before under the same name."""

    id: int
    sha256: str
    verdict: str


class Arrived(NamedTuple):
    """A reading as it came. `payload` may be cut; `sha256` and `size` are those of what came.

    Attributes:
        content: digest of what two copies of one test must agree on; None when the payload could not be read.
        record: digest of the meter's own octets.
    """

    journal: str
    number: int
    sha256: str
    hub: str
    payload: bytes
    received_at: str
    size: int
    message: int | None = None
    position: int | None = None
    content: str | None = None
    record: str | None = None


class Member(NamedTuple):
    """One reading of a result."""

    id: int
    journal: str
    number: int
    hub: str
    payload: bytes
    received_at: str
    message: int
    position: int
    content: str
    record: str


_MEMBER = "id, journal, number, hub, payload, received_at, message, position, content, record"


def named(database: sqlite3.Connection, journal: str, number: int) -> list[Named]:
    """What came before under this name: nothing, one row, or several with other octets; oldest first."""
    rows = database.execute(
        "SELECT id, sha256, verdict FROM reading WHERE journal = ? AND number = ? ORDER BY id", (journal, number)
    )
    return [Named(*row) for row in rows]


def insert(database: sqlite3.Connection, arrived: Arrived, verdict: str, result_id: int | None) -> int:
    """Keep a reading; its octets never change."""
    inserted = database.execute(
        "INSERT INTO reading (journal, number, sha256, hub, payload, received_at, size, message, position, content,"
        " record, verdict, result_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*arrived, verdict, result_id),
    )
    return new_id(inserted)


def insert_stray(
    database: sqlite3.Connection, topic: str, sha256: str, payload: bytes, size: int, received_at: str
) -> int | None:
    """Keep what came on a topic that names no reading; None when the same came before."""
    row = database.execute(
        "INSERT INTO stray (topic, sha256, payload, size, received_at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (topic, sha256) DO NOTHING RETURNING id",
        (topic, sha256, payload, size, received_at),
    ).fetchone()
    return None if row is None else int(row[0])


def stray(database: sqlite3.Connection, identifier: int) -> sqlite3.Row:
    """Topic, payload, size, sha256, received_at of a stray message."""
    row: sqlite3.Row = database.execute(
        "SELECT topic, payload, size, sha256, received_at FROM stray WHERE id = ?", (identifier,)
    ).fetchone()
    return row


def find(database: sqlite3.Connection, identifier: int) -> sqlite3.Row | None:
    """A reading by the store's own number, with all its columns."""
    row: sqlite3.Row | None = database.execute("SELECT * FROM reading WHERE id = ?", (identifier,)).fetchone()
    return row


def place(
    database: sqlite3.Connection,
    identifier: int,
    result_id: int,
    *,
    message: int,
    position: int,
    content: str,
    record: str,
) -> None:
    """Say to which result a reading belongs, and what was understood of it; its octets stay as they are."""
    database.execute(
        "UPDATE reading SET result_id = ?, message = ?, position = ?, content = ?, record = ? WHERE id = ?",
        (result_id, message, position, content, record, identifier),
    )


def members(database: sqlite3.Connection, result_id: int) -> list[Member]:
    """The readings of a result in the order of arrival."""
    rows = database.execute(f"SELECT {_MEMBER} FROM reading WHERE result_id = ? ORDER BY id", (result_id,))
    return [Member(*row) for row in rows]


def result_of(database: sqlite3.Connection, journal: str, number: int) -> int | None:
    """The result to which the first reading of this name belongs, or None."""
    row = database.execute(
        "SELECT result_id FROM reading WHERE journal = ? AND number = ? ORDER BY id LIMIT 1", (journal, number)
    ).fetchone()
    return None if row is None else row[0]


# ---------------------------------------------------------------- high-water marks


def advance(database: sqlite3.Connection, journal: str, hub: str, arrived: Collection[int]) -> None:
    """Move the journal's mark over what has arrived, as far as there is no gap.

    Args:
        database: the store.
        journal: the journal's UUID.
        hub: by which hub it came last; the marks are announced to that one.
        arrived: the numbers that the transaction has added.
    """
    row = database.execute("SELECT number, hub FROM high_water WHERE journal = ?", (journal,)).fetchone()
    before = mark = 0 if row is None else row["number"]
    numbers = set(arrived)
    while mark + 1 in numbers:
        mark += 1
    if mark > before:  # what waited behind the gap that is filled now
        later = database.execute(
            "SELECT DISTINCT number FROM reading WHERE journal = ? AND number > ? ORDER BY number", (journal, mark)
        )
        for (number,) in later:
            if number != mark + 1:
                break
            mark = number
    if row is None or mark > before or row["hub"] != hub:
        database.execute(
            "INSERT INTO high_water (journal, hub, number) VALUES (?, ?, ?)"
            " ON CONFLICT (journal) DO UPDATE SET hub = excluded.hub, number = excluded.number",
            (journal, hub, mark),
        )


def marks(database: sqlite3.Connection, hub: str) -> list[tuple[str, int]]:
    """Journal and mark of every journal that came by this hub."""
    rows = database.execute("SELECT journal, number FROM high_water WHERE hub = ? ORDER BY journal", (hub,))
    return [(row["journal"], row["number"]) for row in rows]


def hubs(database: sqlite3.Connection) -> list[str]:
    """Every hub that is registered or has sent something."""
    rows = database.execute("SELECT id FROM hub UNION SELECT hub FROM high_water ORDER BY 1")
    return [row[0] for row in rows]
