"""Where every report is, and why some results have none: for people to look at."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from gateway.store.reports import COVERS, HELD, NEWEST

__all__ = ["Listed", "Traffic", "Unqueued", "listing", "traffic", "unqueued"]


_OF_RESULT = """(:result IS NULL OR k.key = :result
                OR (:result NOT GLOB '*[^0-9]*' AND k.id = CAST(:result AS INTEGER)))"""


@dataclass(frozen=True, slots=True)
class Listed:
    """One report and where it is. Instants are texts, None or empty where there is none.

    Attributes:
        level, evidence_at, peer, certificate, message_sha256, software: of the best evidence, empty without any.
        not_before: the hour of its batch.
        fall_back_at: when the next rank gets it too, unless it is delivered; `next_rank`: who that is.
        fell_back_at: since when the next rank has it too.
        receipt_at: when its receipt is looked for next.
        breaker: state of the destination's breaker; `breaker_why` and `trial_at` belong to it.
    """

    report_id: int
    patient_id: str
    result_id: int
    result_key: str
    version: int
    status: str
    taken_at: str
    destination_id: str
    channel: str
    address: str
    rank: int
    live: bool
    control_id: str
    created_at: str
    state: str
    level: str
    evidence_at: str
    peer: str
    certificate: str
    message_sha256: str
    software: str
    attempts: int
    next_attempt_at: str
    not_before: str | None
    fall_back_at: str | None
    fell_back_at: str | None
    next_rank: str
    receipt_at: str | None
    last_error: str
    waits_for_version: int | None
    destination_error: str
    breaker: str
    breaker_why: str
    trial_at: str | None


def listing(database: sqlite3.Connection, patient_id: str | None = None, result: str | None = None) -> list[Listed]:
    """All reports, or those of one patient or one result (its key or its number), in the order of the tests."""
    rows = database.execute(
        "SELECT r.id AS report_id, v.patient_id, k.id AS result_id, k.key AS result_key, r.version, v.status,"
        " v.taken_at, r.destination_id, d.channel, d.address, d.rank, d.live, r.control_id, r.created_at, r.state,"
        " coalesce(e.level, '') AS level, coalesce(e.at, '') AS evidence_at, coalesce(e.peer, '') AS peer,"
        " coalesce(e.certificate, ''), coalesce(e.message_sha256, ''), coalesce(e.software, ''),"
        " r.attempts, r.next_attempt_at, r.not_before, r.fall_back_at, r.fell_back_at,"
        " coalesce((SELECT group_concat(n.id, ', ') FROM destination n WHERE n.provider_id = d.provider_id"
        "   AND n.live AND n.rank = (SELECT min(m.rank) FROM destination m WHERE m.provider_id = d.provider_id"
        "                            AND m.live AND m.rank > d.rank)), '') AS next_rank,"
        " r.receipt_at, r.last_error,"
        " (SELECT max(b.version) FROM report b WHERE b.result_id = r.result_id AND b.version < r.version"
        "   AND b.destination_id = r.destination_id AND b.state = 'waiting') AS waits_for_version,"
        " coalesce((SELECT h.last_error FROM report h WHERE h.state = 'waiting' AND r.state = 'waiting'"
        "   AND h.destination_id = r.destination_id ORDER BY h.id LIMIT 1), '') AS destination_error,"
        " coalesce(w.state, 'closed') AS breaker, coalesce(w.why, '') AS breaker_why, w.trial_at"
        "  FROM report r"
        "  JOIN version v ON v.result_id = r.result_id AND v.version = r.version"
        "  JOIN result k ON k.id = r.result_id"
        "  JOIN destination d ON d.id = r.destination_id"
        "  LEFT JOIN breaker w ON w.destination_id = d.id"
        "  LEFT JOIN evidence e ON e.id = (SELECT x.id FROM evidence x WHERE x.report_id = r.id ORDER BY"
        "    CASE x.level WHEN 'seen' THEN 4 WHEN 'delivered' THEN 3 WHEN 'accepted' THEN 2 ELSE 1 END DESC,"
        "    x.id DESC LIMIT 1)"
        " WHERE (:patient IS NULL OR v.patient_id = :patient)"
        f"  AND {_OF_RESULT}"
        " ORDER BY v.taken_at, r.id",
        {"patient": patient_id, "result": result},
    )
    return [Listed(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class Unqueued:
    """A patient's newest version of a result of which no report was made, and why.

    Attributes:
        reachable: the treating provider has a destination; `live`: one to which results go.
    """

    patient_id: str
    result_key: str
    version: int
    taken_at: str
    origin: str
    held: bool
    treated: bool
    reachable: bool
    live: bool


def unqueued(
    database: sqlite3.Connection, patient_id: str | None = None, result: str | None = None
) -> list[Unqueued]:
    """Patient results that are on no way to a provider; the arguments as in `listing`."""
    destination = (
        " EXISTS (SELECT 1 FROM treatment t JOIN destination d ON d.provider_id = t.provider_id"
        f"   WHERE t.patient_id = v.patient_id AND {COVERS}"
    )
    rows = database.execute(
        "SELECT v.patient_id, k.key AS result_key, v.version, v.taken_at, v.origin,"
        f" EXISTS (SELECT 1 FROM quarantine q WHERE q.result_id = v.result_id AND {HELD}) AS held,"
        f" EXISTS (SELECT 1 FROM treatment t WHERE t.patient_id = v.patient_id AND {COVERS}) AS treated,"
        f" {destination}) AS reachable, {destination} AND d.live) AS live"
        "  FROM version v JOIN result k ON k.id = v.result_id"
        f" WHERE {NEWEST} AND k.kind = 'patient' AND v.status <> 'retracted'"
        "   AND (:patient IS NULL OR v.patient_id = :patient)"
        f"  AND {_OF_RESULT}"
        "   AND NOT EXISTS (SELECT 1 FROM report p WHERE p.result_id = v.result_id AND p.version = v.version)"
        " ORDER BY v.taken_at, v.result_id",
        {"patient": patient_id, "result": result},
    )
    return [Unqueued(*row[:5], *(bool(fact) for fact in row[5:])) for row in rows]


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one destination has before it and behind it. Instants are texts."""

    destination_id: str
    waiting: int
    held_for_batch: int
    accepted: int
    refused: int
    delivered: int
    oldest_waiting: str
    last_delivered: str


def traffic(database: sqlite3.Connection, now: str) -> dict[str, Traffic]:
    """Of each destination the number of its reports by state, the oldest that waits, and the last that arrived.

    Args:
        database: the store.
        now: a report that waits for the hour of its batch after this instant is counted apart.
    """
    rows = database.execute(
        "SELECT r.destination_id,"
        " sum(r.state = 'waiting' AND coalesce(r.not_before, '') <= :now),"
        " sum(r.state = 'waiting' AND coalesce(r.not_before, '') > :now),"
        " sum(r.state = 'accepted'), sum(r.state = 'refused'), sum(r.state = 'delivered'),"
        " coalesce(min(CASE r.state WHEN 'waiting' THEN coalesce(r.not_before, r.created_at) END), ''),"
        " coalesce((SELECT max(e.at) FROM evidence e JOIN report p ON p.id = e.report_id"
        "           WHERE p.destination_id = r.destination_id AND e.level = 'delivered'), '')"
        "  FROM report r GROUP BY r.destination_id",
        {"now": now},
    )
    return {row[0]: Traffic(*row) for row in rows}
