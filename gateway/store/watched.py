"""What the watch has yet to judge, and what it asks about versions, readings and quarantine rows.

The rows of `watched` are written by triggers in the commit that stores a version or quarantines a value, so nothing
is stored that the watch will not see, whenever the process ends.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

__all__ = [
    "Due",
    "Judged",
    "Waiting",
    "done",
    "due",
    "newest",
    "quarantined",
    "reading_of",
    "tidy",
    "unjudged",
    "unreported",
    "version",
]


class Due(NamedTuple):
    """One row to judge: a version, or a quarantine row."""

    sequence: int
    result_id: int | None
    version: int | None
    quarantine_id: int | None


class Judged(NamedTuple):
    """A version with what judging it needs. `kind` is the result's own, as it is known now."""

    result_id: int
    version: int
    status: str
    kind: str
    body: str
    patient_id: str
    taken_at: str
    zone: str
    reading_id: int | None
    meter_key: str


class Waiting(NamedTuple):
    """A quarantine row with the reading that brought it up, and the patient of its result if that is known."""

    id: int
    result_id: int | None
    reason: str
    urgent: bool
    closed_by: str | None
    action: str | None
    reading_id: int | None
    payload: bytes | None
    patient_id: str | None


def due(database: sqlite3.Connection, most: int) -> list[Due]:
    """The oldest rows that have not been judged."""
    rows = database.execute(
        "SELECT sequence, result_id, version, quarantine_id FROM watched WHERE judged = 0"
        " ORDER BY sequence LIMIT ?",
        (most,),
    )
    return [Due(*row) for row in rows]


def unjudged(database: sqlite3.Connection) -> int:
    """How many rows wait to be judged."""
    return int(database.execute("SELECT count(*) FROM watched WHERE judged = 0").fetchone()[0])


def done(database: sqlite3.Connection, up_to: int) -> None:
    """Everything up to this sequence has been judged. Versions stay until a report of them has been made."""
    database.execute(
        "DELETE FROM watched WHERE judged = 0 AND sequence <= ? AND (result_id IS NULL OR EXISTS"
        " (SELECT 1 FROM report r WHERE r.result_id = watched.result_id AND r.version = watched.version))",
        (up_to,),
    )
    database.execute("UPDATE watched SET judged = 1 WHERE judged = 0 AND sequence <= ?", (up_to,))


def version(database: sqlite3.Connection, result_id: int, number: int) -> Judged | None:
    """A version of a result."""
    row = database.execute(
        "SELECT v.result_id, v.version, v.status, r.kind, v.body, v.patient_id, v.taken_at, v.zone, v.reading_id,"
        " r.meter_key FROM version v JOIN result r ON r.id = v.result_id WHERE v.result_id = ? AND v.version = ?",
        (result_id, number),
    ).fetchone()
    return None if row is None else Judged(*row)


def newest(database: sqlite3.Connection, patient_id: str) -> Judged | None:
    """The version that holds of a patient's latest test; what waits for a person is left aside."""
    row = database.execute(
        "SELECT v.result_id, v.version, v.status, r.kind, v.body, v.patient_id, v.taken_at, v.zone, v.reading_id,"
        " r.meter_key FROM version v JOIN result r ON r.id = v.result_id"
        " WHERE v.patient_id = ? AND v.status <> 'retracted' AND r.kind = 'patient' AND r.merged_into IS NULL"
        " AND v.version = (SELECT max(w.version) FROM version w WHERE w.result_id = v.result_id)"
        " AND NOT EXISTS (SELECT 1 FROM quarantine q WHERE q.result_id = v.result_id"
        "                 AND (q.closed_at IS NULL OR q.action = 'dismissed'))"
        " ORDER BY v.taken_at DESC, v.result_id DESC LIMIT 1",
        (patient_id,),
    ).fetchone()
    return None if row is None else Judged(*row)


def reading_of(database: sqlite3.Connection, reading_id: int) -> bytes | None:
    """The octets of a reading's payload."""
    row = database.execute("SELECT payload FROM reading WHERE id = ?", (reading_id,)).fetchone()
    return None if row is None else bytes(row[0])


def quarantined(database: sqlite3.Connection, quarantine_id: int) -> Waiting | None:
    """A quarantine row."""
    row = database.execute(
        "SELECT q.id, coalesce(q.result_id, g.result_id), q.reason, q.urgent, q.closed_by, q.action, g.id,"
        " g.payload,"
        " (SELECT v.patient_id FROM version v WHERE v.result_id = coalesce(q.result_id, g.result_id)"
        "   ORDER BY v.version DESC LIMIT 1)"
        " FROM quarantine q LEFT JOIN reading g ON g.id = q.reading_id WHERE q.id = ?",
        (quarantine_id,),
    ).fetchone()
    return None if row is None else Waiting(*row)._replace(urgent=bool(row[3]))


# ---------------------------------------------------------------- versions without a report


def tidy(database: sqlite3.Connection) -> None:
    """Forget judged versions of which nothing is left to report: it has been made, or another version holds."""
    database.execute(
        "DELETE FROM watched WHERE judged = 1 AND ("
        " EXISTS (SELECT 1 FROM report r WHERE r.result_id = watched.result_id AND r.version = watched.version)"
        " OR EXISTS (SELECT 1 FROM version v JOIN result k ON k.id = v.result_id"
        "     WHERE v.result_id = watched.result_id AND v.version = watched.version"
        "     AND (v.status = 'retracted' OR k.kind <> 'patient' OR k.merged_into IS NOT NULL OR EXISTS"
        "          (SELECT 1 FROM version n WHERE n.result_id = v.result_id AND n.version > v.version"
        "            AND n.patient_id = v.patient_id)))"
        " OR EXISTS (SELECT 1 FROM quarantine q WHERE q.result_id = watched.result_id AND q.action = 'dismissed'))"
    )


def unreported(database: sqlite3.Connection, before: str) -> list[tuple[str, int, str]]:
    """Patients with versions from before an instant that no report tells of: patient, how many, the oldest."""
    rows = database.execute(
        "SELECT v.patient_id, count(*), min(v.recorded_at) FROM watched w"
        " JOIN version v ON v.result_id = w.result_id AND v.version = w.version"
        " WHERE w.judged = 1 AND v.recorded_at <= ? AND NOT EXISTS"
        " (SELECT 1 FROM report r WHERE r.result_id = w.result_id AND r.version = w.version)"
        " GROUP BY v.patient_id ORDER BY v.patient_id",
        (before,),
    )
    return [(row[0], row[1], row[2]) for row in rows]
