"""The number of a row just inserted."""

from __future__ import annotations

import sqlite3

__all__ = ["new_id"]


def new_id(inserted: sqlite3.Cursor) -> int:
    """The id that an INSERT gave. In SQLite asking afterwards costs nothing, RETURNING a third of the insert."""
    if inserted.lastrowid is None:
        raise ValueError("new_id needs the cursor of an INSERT")
    return inserted.lastrowid
