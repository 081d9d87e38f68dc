"""When each hub was last heard, and whether it said that it is there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Heard", "heard", "home_hubs", "said"]


class Heard(NamedTuple):
    """A registered hub in a patient's home.

    Attributes:
        registered_at: when it last changed in the registry.
        online: what its last status said; None when none has come.
        since: since when its status has said that.
        heard_at: when a status or a reading of it last came; None: never.
    """

    hub: str
    registered_at: str
    online: bool | None
    since: str | None
    heard_at: str | None


def heard(database: sqlite3.Connection, hubs: Iterable[str], at: str) -> None:
    """Something came from these hubs."""
    database.executemany(
        "INSERT INTO hub_heard (hub, heard_at) VALUES (?, ?)"
        " ON CONFLICT (hub) DO UPDATE SET heard_at = max(heard_at, excluded.heard_at)",
        [(hub, at) for hub in hubs],
    )


def said(database: sqlite3.Connection, hub: str, *, online: bool, at: str, retained: bool) -> None:
    """A hub's status came, or its last will.

    A retained one that says nothing new proves nothing: it may have stood at the broker for weeks. A last will is
    no sign of life either.
    """
    row = database.execute("SELECT online FROM hub_heard WHERE hub = ?", (hub,)).fetchone()
    if row is None:
        database.execute(
            "INSERT INTO hub_heard (hub, online, since, heard_at) VALUES (?, ?, ?, ?)", (hub, int(online), at, at)
        )
        return
    if row["online"] != int(online):
        database.execute("UPDATE hub_heard SET online = ?, since = ? WHERE hub = ?", (int(online), at, hub))
    elif retained:
        return
    if online:
        heard(database, [hub], at)


def home_hubs(database: sqlite3.Connection, desk: str) -> list[Heard]:
    """Every registered hub in a home, but the desk's."""
    rows = database.execute(
        "SELECT h.id, h.updated_at, s.online, s.since, s.heard_at FROM hub h LEFT JOIN hub_heard s ON s.hub = h.id"
        " WHERE h.kind = 'home' AND h.id <> ? ORDER BY h.id",
        (desk,),
    )
    return [Heard(row[0], row[1], None if row[2] is None else bool(row[2]), row[3], row[4]) for row in rows]
