"""Who is expected to test, what has not been delivered, what waits for a person: asked by the rules of alerts."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

__all__ = ["Overdue", "Stuck", "Tester", "held", "stuck", "with_a_meter"]


class Tester(NamedTuple):
    """A patient who has a meter now.

    Attributes:
        since: when the present assignment began.
        last_taken_at: of the latest test, or None.
        interval_days: between tests as the newest order states it, or None.
        ended: the newest document says that the service has ended or is on hold.
    """

    patient_id: str
    since: str
    last_taken_at: str | None
    interval_days: int | None
    ended_on: str | None


class Stuck(NamedTuple):
    """A destination with reports that it should have acknowledged."""

    destination_id: str
    reports: int
    oldest: str


class Overdue(NamedTuple):
    """Rows that wait in quarantine: how many, and since when the oldest does."""

    rows: int
    oldest: str


_TESTERS = """
SELECT a.patient_id, max(a.from_at),
       (SELECT v.taken_at FROM version v WHERE v.patient_id = a.patient_id AND v.status <> 'retracted'
          AND v.version = (SELECT max(w.version) FROM version w WHERE w.result_id = v.result_id)
        ORDER BY v.taken_at DESC LIMIT 1),
       (SELECT json_extract(d.body, '$.interval_days') FROM document d WHERE d.patient_id = a.patient_id
          AND d.kind = 'order' AND d.voids = 0 AND NOT EXISTS (SELECT 1 FROM document n WHERE n.supersedes = d.id)
        ORDER BY json_extract(d.body, '$.signed_on') DESC, d.id DESC LIMIT 1),
       (SELECT min(json_extract(d.body, '$.date')) FROM document d WHERE d.patient_id = a.patient_id
          AND d.kind = 'event' AND d.voids = 0 AND NOT EXISTS (SELECT 1 FROM document n WHERE n.supersedes = d.id)
          AND json_extract(d.body, '$.date') >= substr(a.from_at, 1, 10))
  FROM assignment a
 WHERE a.from_at <= :now AND (a.to_at IS NULL OR a.to_at > :now) {one}
 GROUP BY a.patient_id ORDER BY a.patient_id
"""


def with_a_meter(database: sqlite3.Connection, now: str, patient_id: str | None = None) -> list[Tester]:
    """Everybody who has a meter now, or one of them."""
    chosen = "" if patient_id is None else "AND a.patient_id = :patient"
    rows = database.execute(_TESTERS.format(one=chosen), {"now": now, "patient": patient_id})
    return [Tester(*row) for row in rows]


def stuck(database: sqlite3.Connection, before: str) -> list[Stuck]:
    """Destinations with reports that were due before an instant and are not acknowledged.

    A batch is due at its hour. What was refused counts until a later version, or another destination of the same
    provider, has been acknowledged in its place.
    """
    rows = database.execute(
        "SELECT r.destination_id, count(*), min(coalesce(r.not_before, r.created_at)) FROM report r"
        " WHERE r.state IN ('waiting', 'refused') AND coalesce(r.not_before, r.created_at) <= ?"
        " AND (r.state = 'waiting' OR NOT EXISTS (SELECT 1 FROM report o"
        "   JOIN destination d ON d.id = o.destination_id"
        "   JOIN destination m ON m.id = r.destination_id AND m.provider_id = d.provider_id"
        "   WHERE o.result_id = r.result_id AND o.version >= r.version AND o.id <> r.id"
        "   AND o.state IN ('accepted', 'delivered')))"
        " GROUP BY r.destination_id ORDER BY r.destination_id",
        (before,),
    )
    return [Stuck(*row) for row in rows]


def held(database: sqlite3.Connection, before: str, but: str) -> Overdue | None:
    """What has waited in quarantine since before an instant, for whatever reason but one."""
    row = database.execute(
        "SELECT count(*), min(opened_at) FROM quarantine"
        " WHERE closed_at IS NULL AND opened_at <= ? AND reason <> ?",
        (before, but),
    ).fetchone()
    return Overdue(*row) if row[0] else None
