"""A patient's earlier results, for reports that show them."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from gateway.store.opening import Role
from gateway.store.reports import HELD, NEWEST

__all__ = ["Earlier", "earlier"]


class Earlier(NamedTuple):
    """One result. `body`: the canonical result, JSON; `taken_at`: instant in UTC."""

    result_key: str
    taken_at: str
    zone: str
    body: str


def earlier(database: sqlite3.Connection, role: Role, patient_id: str, since: str, before: str) -> list[Earlier]:
    """Results of tests in [since, before) that hold and wait for nobody, oldest first.

    Args:
        database: the store.
        role: of the store; simulated and replayed results count on a rig only.
        patient_id: whose.
        since: instant in UTC.
        before: likewise.
    """
    rows = database.execute(
        "SELECT r.key, v.taken_at, v.zone, v.body FROM version v JOIN result r ON r.id = v.result_id"
        " WHERE v.patient_id = :patient AND v.taken_at >= :since AND v.taken_at < :before"
        "   AND r.kind = 'patient' AND r.merged_into IS NULL AND v.status <> 'retracted'"
        f"  AND (:rig OR v.origin NOT IN ('simulator', 'replay')) AND {NEWEST}"
        f"  AND NOT EXISTS (SELECT 1 FROM quarantine q WHERE q.result_id = v.result_id AND {HELD})"
        " ORDER BY v.taken_at, r.id",
        {"patient": patient_id, "since": since, "before": before, "rig": role == "rig"},
    )
    return [Earlier(*row) for row in rows]
