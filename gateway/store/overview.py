"""Looking at the store: counts, and where each result is and why it waits."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from gateway.store import epochs
from gateway.store.opening import Role, role_of

__all__ = ["Listed", "Overview", "Sent", "listed", "overview"]


@dataclass(frozen=True, slots=True)
class Overview:
    """What a store holds.

    Attributes:
        waiting: open quarantine rows by reason.
        urgent: of them those with a value beyond the safety limits.
        reports: by state.
        marks: of each journal: hub, journal, high-water mark, highest number that has come.
    """

    role: Role | None
    epoch: epochs.EpochRow
    readings: int
    strays: int
    results: dict[str, int]
    attributed: int
    waiting: dict[str, int]
    urgent: int
    reports: dict[str, int]
    marks: list[tuple[str, str, int, int]]


def overview(database: sqlite3.Connection) -> Overview:
    """Count everything."""
    waiting = "SELECT reason, COUNT(*) FROM quarantine WHERE closed_at IS NULL GROUP BY reason"
    return Overview(
        role=role_of(database),
        epoch=epochs.current(database),
        readings=_count(database, "SELECT COUNT(*) FROM reading"),
        strays=_count(database, "SELECT COUNT(*) FROM stray"),
        results=_counts(database, "SELECT kind, COUNT(*) FROM result WHERE merged_into IS NULL GROUP BY kind"),
        attributed=_count(database, "SELECT COUNT(DISTINCT result_id) FROM version"),
        waiting=_counts(database, waiting),
        urgent=_count(database, "SELECT COUNT(*) FROM quarantine WHERE closed_at IS NULL AND urgent = 1"),
        reports=_counts(database, "SELECT state, COUNT(*) FROM report GROUP BY state"),
        marks=[
            (row[0], row[1], row[2], row[3])
            for row in database.execute(
                "SELECT hub, journal, number,"
                " (SELECT MAX(number) FROM reading WHERE reading.journal = high_water.journal)"
                " FROM high_water ORDER BY hub, journal"
            )
        ],
    )


@dataclass(frozen=True, slots=True)
class Sent:
    """One report of a result. `evidence` is the highest level reached: sent, accepted, delivered, seen, or None."""

    report: int
    version: int
    destination: str
    state: str
    evidence: str | None
    last_error: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A result and where it is.

    Attributes:
        inr: as the meter displayed it; without a version normalised (``>8``).
        readings: as ``hub/journal/number``, in the order of arrival.
        version, status, patient, taken_at, uncertainty_s, quality, origin: of the version that holds; None without.
        waits: open quarantine rows as (number, reason, detail).
        dismissed: why it will never count, if a person said so.
    """

    id: int
    kind: str
    meter: str
    device_time: str
    inr: str
    readings: list[str]
    version: int | None
    status: str | None
    patient: str | None
    taken_at: str | None
    uncertainty_s: float | None
    quality: str | None
    origin: str | None
    reports: list[Sent]
    waits: list[tuple[int, str, str]]
    dismissed: str | None


def listed(database: sqlite3.Connection, *, patient: str | None = None, result: int | None = None) -> list[Listed]:
    """Results in the order of their tests, as far as that is known; of one patient, one result, or all."""
    rows = database.execute(
        "SELECT result.id, kind, meter_key, device_time,"
        " COALESCE(json_extract(body, '$.inr.text'), inr) AS inr, version, status, patient_id, taken_at,"
        " uncertainty_s, quality, origin"
        " FROM result LEFT JOIN version ON version.result_id = result.id AND version.version ="
        " (SELECT MAX(version) FROM version AS newer WHERE newer.result_id = result.id)"
        " WHERE merged_into IS NULL AND (? IS NULL OR patient_id = ?) AND (? IS NULL OR result.id = ?)"
        " ORDER BY COALESCE(taken_at, device_time), result.id",
        (patient, patient, result, result),
    ).fetchall()
    return [
        Listed(
            id=row["id"],
            kind=row["kind"],
            meter=row["meter_key"],
            device_time=row["device_time"],
            inr=row["inr"],
            readings=_readings(database, row["id"]),
            version=row["version"],
            status=row["status"],
            patient=row["patient_id"],
            taken_at=row["taken_at"],
            uncertainty_s=row["uncertainty_s"],
            quality=row["quality"],
            origin=row["origin"],
            reports=_reports(database, row["id"]),
            waits=_waits(database, row["id"]),
            dismissed=_dismissed(database, row["id"]),
        )
        for row in rows
    ]


def _readings(database: sqlite3.Connection, result_id: int) -> list[str]:
    rows = database.execute(
        "SELECT hub, journal, number FROM reading WHERE result_id = ? ORDER BY id", (result_id,)
    )
    return [f"{row['hub']}/{row['journal']}/{row['number']}" for row in rows]


def _reports(database: sqlite3.Connection, result_id: int) -> list[Sent]:
    rows = database.execute(
        "SELECT id, version, destination_id, state,"
        " (SELECT level FROM evidence WHERE evidence.report_id = report.id ORDER BY"
        "  CASE level WHEN 'sent' THEN 1 WHEN 'accepted' THEN 2 WHEN 'delivered' THEN 3 ELSE 4 END DESC LIMIT 1),"
        " last_error FROM report WHERE result_id = ? ORDER BY version, destination_id",
        (result_id,),
    )
    return [Sent(*row) for row in rows]


def _waits(database: sqlite3.Connection, result_id: int) -> list[tuple[int, str, str]]:
    rows = database.execute(
        "SELECT id, reason, detail FROM quarantine WHERE result_id = ? AND closed_at IS NULL ORDER BY id",
        (result_id,),
    )
    return [(row[0], row[1], row[2]) for row in rows]


def _dismissed(database: sqlite3.Connection, result_id: int) -> str | None:
    row = database.execute(
        "SELECT reason FROM quarantine WHERE result_id = ? AND action = 'dismissed' LIMIT 1", (result_id,)
    ).fetchone()
    return None if row is None else row[0]


def _count(database: sqlite3.Connection, query: str) -> int:
    return int(database.execute(query).fetchone()[0])


def _counts(database: sqlite3.Connection, query: str) -> dict[str, int]:
    return {row[0]: row[1] for row in database.execute(query)}
