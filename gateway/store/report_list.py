"""Where every report is, and why some results have none: for people to look at."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from gateway.store.reports import COVERS, HELD, NEWEST

__all__ = ["Listed", "Unqueued", "listing", "unqueued"]


@dataclass(frozen=True, slots=True)
class Listed:
    """One report and where it is. `level` and `peer` are those of the best evidence, empty without any."""

    report_id: int
    patient_id: str
    result_key: str
    version: int
    status: str
    taken_at: str
    destination_id: str
    address: str
    control_id: str
    state: str
    level: str
    evidence_at: str
    peer: str
    attempts: int
    next_attempt_at: str
    last_error: str
    waits_for_version: int | None
    destination_error: str


def listing(database: sqlite3.Connection, patient_id: str | None = None) -> list[Listed]:
    """All reports, or those of one patient, in the order of the tests."""
    rows = database.execute(
        "SELECT r.id AS report_id, v.patient_id, k.key AS result_key, r.version, v.status, v.taken_at,"
        " r.destination_id, d.address, r.control_id, r.state,"
        " coalesce(e.level, '') AS level, coalesce(e.at, '') AS evidence_at, coalesce(e.peer, '') AS peer,"
        " r.attempts, r.next_attempt_at, r.last_error,"
        " (SELECT max(b.version) FROM report b WHERE b.result_id = r.result_id AND b.version < r.version"
        "   AND b.destination_id = r.destination_id AND b.state = 'waiting') AS waits_for_version,"
        " coalesce((SELECT h.last_error FROM report h WHERE h.state = 'waiting' AND r.state = 'waiting'"
        "   AND h.destination_id = r.destination_id ORDER BY h.id LIMIT 1), '') AS destination_error"
        "  FROM report r"
        "  JOIN version v ON v.result_id = r.result_id AND v.version = r.version"
        "  JOIN result k ON k.id = r.result_id"
        "  JOIN destination d ON d.id = r.destination_id"
        "  LEFT JOIN evidence e ON e.id = (SELECT x.id FROM evidence x WHERE x.report_id = r.id ORDER BY"
        "    CASE x.level WHEN 'seen' THEN 4 WHEN 'delivered' THEN 3 WHEN 'accepted' THEN 2 ELSE 1 END DESC,"
        "    x.id DESC LIMIT 1)"
        " WHERE :patient IS NULL OR v.patient_id = :patient"
        " ORDER BY v.taken_at, r.id",
        {"patient": patient_id},
    )
    return [Listed(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class Unqueued:
    """A patient's newest version of a result of which no report was made, and why."""

    patient_id: str
    result_key: str
    version: int
    taken_at: str
    origin: str
    held: bool
    treated: bool
    reachable: bool


def unqueued(database: sqlite3.Connection, patient_id: str | None = None) -> list[Unqueued]:
    """Patient results that are on no way to a provider."""
    rows = database.execute(
        "SELECT v.patient_id, k.key AS result_key, v.version, v.taken_at, v.origin,"
        f" EXISTS (SELECT 1 FROM quarantine q WHERE q.result_id = v.result_id AND {HELD}) AS held,"
        f" EXISTS (SELECT 1 FROM treatment t WHERE t.patient_id = v.patient_id AND {COVERS}) AS treated,"
        " EXISTS (SELECT 1 FROM treatment t JOIN destination d ON d.provider_id = t.provider_id"
        f"   WHERE t.patient_id = v.patient_id AND {COVERS}) AS reachable"
        "  FROM version v JOIN result k ON k.id = v.result_id"
        f" WHERE {NEWEST} AND k.kind = 'patient' AND v.status <> 'retracted'"
        "   AND (:patient IS NULL OR v.patient_id = :patient)"
        "   AND NOT EXISTS (SELECT 1 FROM report p WHERE p.result_id = v.result_id AND p.version = v.version)"
        " ORDER BY v.taken_at, v.result_id",
        {"patient": patient_id},
    )
    return [Unqueued(*row[:5], *(bool(fact) for fact in row[5:])) for row in rows]
