"""The store's epochs: a store restored from a backup has a new one, and delivers nothing until a person agrees."""

from __future__ import annotations

import secrets
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from gateway.clock import utc
from gateway.store import decisions

__all__ = ["EpochRow", "begin", "current", "may_deliver", "reconcile"]


@dataclass(frozen=True, slots=True)
class EpochRow:
    """One epoch. `reconciled_at` is None while nothing may be delivered or exported."""

    id: str
    began_at: str
    reason: str
    reconciled_by: str | None
    reconciled_at: str | None


def begin(database: sqlite3.Connection, at: datetime, reason: Literal["created", "restored"]) -> str:
    """Begin a new epoch and return its id. A new store has nothing to reconcile; a restored one has.

    The id holds time and chance: a counter would come again after the next restore, and a hub that has left an
    epoch never goes back to it.
    """
    identifier = f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(6)}"
    reconciled = (None, None) if reason == "restored" else ("new store", utc(at))
    database.execute(
        "INSERT INTO epoch (id, began_at, reason, reconciled_by, reconciled_at) VALUES (?, ?, ?, ?, ?)",
        (identifier, utc(at), reason, *reconciled),
    )
    return identifier


def current(database: sqlite3.Connection) -> EpochRow:
    """The epoch in force."""
    row = database.execute(
        "SELECT id, began_at, reason, reconciled_by, reconciled_at FROM epoch ORDER BY sequence DESC LIMIT 1"
    ).fetchone()
    return EpochRow(*row)


def may_deliver(database: sqlite3.Connection) -> bool:
    """Whether reports may leave and units be exported: no after a restore, until `reconcile`."""
    return current(database).reconciled_at is not None


def reconcile(database: sqlite3.Connection, by: str, at: datetime, note: str = "") -> bool:
    """A named person states that the hubs have filled the gap. False when there was nothing to reconcile."""
    epoch = current(database)
    if epoch.reconciled_at is not None:
        return False
    database.execute("UPDATE epoch SET reconciled_by = ?, reconciled_at = ? WHERE id = ?", (by, utc(at), epoch.id))
    decisions.record(database, at, by, "reconcile", f"epoch {epoch.id}", note)
    return True
