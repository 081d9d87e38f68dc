"""The desk's journal: the identity under which readings that a person entered stand in the store.

A hub's readings are named (journal, number); so are those of the desk, and nothing after the store's door needs to
know the difference. A restored store begins another journal, so that a number is never given twice.
"""

from __future__ import annotations

import sqlite3
from typing import Final
from uuid import UUID, uuid4

from gateway.store import epochs, people, registry

__all__ = ["DESK", "next_name"]

DESK: Final = "desk"
"""Id of the desk where a reading names its hub."""


def next_name(database: sqlite3.Connection, at: str) -> tuple[UUID, int]:
    """A name for one more reading: journal and number. To be called inside a transaction of its own.

    A number that is given and then not used leaves a gap, which harms nobody.
    """
    if people.hub_kind(database, DESK) is None:
        registry.upsert(database, "hubs", {"id": DESK, "kind": "home"}, at)
    row = database.execute(
        "INSERT INTO desk (epoch, journal, last_number) VALUES (?, ?, 1)"
        " ON CONFLICT (epoch) DO UPDATE SET last_number = last_number + 1 RETURNING journal, last_number",
        (epochs.current(database).id, str(uuid4())),
    ).fetchone()
    return UUID(row[0]), int(row[1])
