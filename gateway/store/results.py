"""Results and their versions: one row for one test, however often it was read."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from gateway.store.rows import new_id

__all__ = [
    "Known",
    "NewVersion",
    "add_version",
    "attributed_versions",
    "by_id",
    "by_key",
    "contents",
    "describe",
    "insert",
    "is_reported",
    "last_standing",
    "latest_version",
    "merge",
    "move_readings",
    "same_message",
    "settle_readings",
    "splits",
    "told",
    "unclocked",
    "was_of",
]


class Known(NamedTuple):
    """A result that stands in the store.

    Attributes:
        settled_reading: contradictions among readings with an id up to this one have been decided.
    """

    id: int
    key: str
    recipe: int
    meter_key: str
    kind: str
    inr: str
    split_from: int | None
    settled_reading: int


class NewVersion(NamedTuple):
    """What is known of a result from now on. Instants and names as in the table; `version` counts from 1."""

    version: int
    status: str
    body: str
    origin: str
    patient_id: str
    taken_at: str
    uncertainty_s: float
    quality: str
    zone: str
    recorded_at: str
    why: str
    reading_id: int


_KNOWN = "id, key, recipe, meter_key, kind, inr, split_from, settled_reading"


def by_key(database: sqlite3.Connection, key: str) -> Known | None:
    """The result with this identity."""
    row = database.execute(f"SELECT {_KNOWN} FROM result WHERE key = ?", (key,)).fetchone()
    return None if row is None else Known(*row)


def by_id(database: sqlite3.Connection, identifier: int) -> Known | None:
    """The result with this number; if a person merged it into another, that one."""
    row = database.execute(f"SELECT {_KNOWN}, merged_into FROM result WHERE id = ?", (identifier,)).fetchone()
    if row is None:
        return None
    if row["merged_into"] is not None:
        return by_id(database, row["merged_into"])
    return Known(*tuple(row)[:-1])


def splits(database: sqlite3.Connection, identifier: int) -> list[Known]:
    """Results that a person found to be other tests with the same identity."""
    rows = database.execute(f"SELECT {_KNOWN} FROM result WHERE split_from = ? ORDER BY id", (identifier,))
    return [Known(*row) for row in rows]


def insert(
    database: sqlite3.Connection,
    *,
    key: str,
    recipe: int,
    meter_key: str,
    kind: str,
    inr: str,
    device_time: str,
    at: str,
    split_from: int | None = None,
) -> int:
    """Make a result and return its number."""
    inserted = database.execute(
        "INSERT INTO result (key, recipe, meter_key, kind, inr, device_time, created_at, split_from)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (key, recipe, meter_key, kind, inr, device_time, at, split_from),
    )
    return new_id(inserted)


def contents(database: sqlite3.Connection, identifier: int) -> dict[str, int]:
    """The distinct contents of a result's readings, each with the first reading that had it."""
    rows = database.execute(
        "SELECT content, MIN(id) FROM reading WHERE result_id = ? GROUP BY content ORDER BY 2", (identifier,)
    )
    return {row[0]: row[1] for row in rows}


def same_message(database: sqlite3.Connection, identifier: int, journal: str, message: int) -> list[sqlite3.Row]:
    """The result's readings that stood in one message of a journal: id, position, record."""
    return database.execute(
        "SELECT id, position, record FROM reading WHERE result_id = ? AND journal = ? AND message = ? ORDER BY id",
        (identifier, journal, message),
    ).fetchall()


def unclocked(database: sqlite3.Connection, meter_key: str, inr: str, journal: str) -> list[int]:
    """First readings, from other journals, of tests of this meter that have this INR and no usable time."""
    rows = database.execute(
        "SELECT MIN(reading.id) FROM result JOIN reading ON reading.result_id = result.id"
        " WHERE result.recipe = 0 AND result.meter_key = ? AND result.inr = ?"
        " GROUP BY result.id HAVING COUNT(*) FILTER (WHERE reading.journal = ?) = 0 ORDER BY 1",
        (meter_key, inr, journal),
    )
    return [row[0] for row in rows]


def latest_version(database: sqlite3.Connection, identifier: int) -> sqlite3.Row | None:
    """The version that holds, with all its columns."""
    row: sqlite3.Row | None = database.execute(
        "SELECT * FROM version WHERE result_id = ? ORDER BY version DESC LIMIT 1", (identifier,)
    ).fetchone()
    return row


def last_standing(database: sqlite3.Connection, identifier: int) -> sqlite3.Row | None:
    """The last version that took nothing back, with all its columns: what was known before a retraction."""
    row: sqlite3.Row | None = database.execute(
        "SELECT * FROM version WHERE result_id = ? AND status <> 'retracted' ORDER BY version DESC LIMIT 1",
        (identifier,),
    ).fetchone()
    return row


def was_of(database: sqlite3.Connection, identifier: int, patient_id: str) -> bool:
    """Whether any version of a result is of this patient."""
    row = database.execute(
        "SELECT 1 FROM version WHERE result_id = ? AND patient_id = ? LIMIT 1", (identifier, patient_id)
    ).fetchone()
    return row is not None


def told(database: sqlite3.Connection, identifier: int, patient_id: str) -> list[str]:
    """The destinations for which a report of this result as this patient's was made, by id."""
    rows = database.execute(
        "SELECT DISTINCT r.destination_id FROM report r"
        " JOIN version v ON v.result_id = r.result_id AND v.version = r.version"
        " WHERE r.result_id = ? AND v.patient_id = ? ORDER BY 1",
        (identifier, patient_id),
    )
    return [row[0] for row in rows]


def add_version(database: sqlite3.Connection, identifier: int, new: NewVersion) -> None:
    """Add a version of a result."""
    database.execute(
        "INSERT INTO version (result_id, version, status, body, origin, patient_id, taken_at, uncertainty_s,"
        " quality, zone, recorded_at, why, reading_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (identifier, *new),
    )


def is_reported(database: sqlite3.Connection, identifier: int) -> bool:
    """Whether a report of a result has been made, sent or not."""
    return database.execute("SELECT 1 FROM report WHERE result_id = ?", (identifier,)).fetchone() is not None


def attributed_versions(
    database: sqlite3.Connection, *, meter_key: str | None = None, patient_id: str | None = None
) -> list[sqlite3.Row]:
    """The versions that hold, not retracted, of one meter's or one patient's results, with all their columns."""
    return database.execute(
        "SELECT version.* FROM version JOIN result ON result.id = version.result_id"
        " WHERE version.status <> 'retracted' AND version.version ="
        " (SELECT MAX(newer.version) FROM version AS newer WHERE newer.result_id = version.result_id)"
        " AND (? IS NULL OR result.meter_key = ?) AND (? IS NULL OR version.patient_id = ?) ORDER BY result_id",
        (meter_key, meter_key, patient_id, patient_id),
    ).fetchall()


# ---------------------------------------------------------------- acts of a named person


def describe(
    database: sqlite3.Connection,
    identifier: int,
    kind: str,
    inr: str,
    device_time: str,
    *,
    meter_key: str | None = None,
) -> None:
    """Say what a result is, after its copies disagreed; None: the meter is the one that was known."""
    database.execute(
        "UPDATE result SET kind = ?, inr = ?, device_time = ?, meter_key = coalesce(?, meter_key) WHERE id = ?",
        (kind, inr, device_time, meter_key, identifier),
    )


def settle_readings(database: sqlite3.Connection, identifier: int) -> None:
    """Contradictions among the readings that the result has now are decided."""
    database.execute(
        "UPDATE result SET settled_reading ="
        " (SELECT COALESCE(MAX(id), 0) FROM reading WHERE result_id = result.id) WHERE id = ?",
        (identifier,),
    )


def move_readings(database: sqlite3.Connection, readings: list[int], to: int) -> None:
    """Move readings to another result."""
    database.executemany("UPDATE reading SET result_id = ? WHERE id = ?", [(to, reading) for reading in readings])


def merge(database: sqlite3.Connection, identifier: int, into: int) -> None:
    """All readings of a result turn out to be of another one's test; its row stays and points there."""
    database.execute("UPDATE reading SET result_id = ? WHERE result_id = ?", (into, identifier))
    database.execute("UPDATE result SET merged_into = ? WHERE id = ?", (into, identifier))
