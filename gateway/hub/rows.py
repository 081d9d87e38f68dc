"""The longer statements of the journal. No lock and no transaction here: `gateway.hub.journal` has both."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from gateway.clock import moment, utc
from gateway.hub.entries import Line, StoredPiece
from gateway.hub.surroundings import Stamp
from gateway.wire.reading import Origin

__all__ = [
    "MEMOS_PER_LINE",
    "REJECTED_PER_LINE",
    "Memo",
    "Rejection",
    "insert_memos",
    "insert_piece",
    "insert_receipts",
    "insert_rejections",
    "lines_of",
    "memos_of",
    "octets_of",
    "pieces_of",
    "readings_of",
    "remove_messages",
]

REJECTED_PER_LINE = 100
MEMOS_PER_LINE = 100

Memo = tuple[str, str, bytes, str]
"""Line, key, octets, instant."""

Rejection = tuple[int | None, str, bytes, str, str, str]
"""Message, line, octets, reason, detail, instant."""


def insert_piece(database: sqlite3.Connection, message: int, piece: StoredPiece) -> None:
    """Append a piece to a message."""
    stamp = piece.stamp
    database.execute(
        "INSERT INTO piece VALUES (?1, (SELECT count(*) FROM piece WHERE message_id = ?1), ?2, ?3, ?4, ?5, ?6, ?7)",
        (
            message,
            piece.octets,
            piece.context,
            utc(stamp.received_at),
            stamp.synchronised,
            stamp.boot_id,
            stamp.monotonic_s,
        ),
    )


def pieces_of(database: sqlite3.Connection, message: int) -> list[StoredPiece]:
    """What a message consists of, in order."""
    rows = database.execute(
        "SELECT octets, context, received_at, synchronised, boot_id, monotonic_s FROM piece "
        "WHERE message_id = ? ORDER BY position",
        (message,),
    )
    found = []
    for octets, context, at, synchronised, boot, monotonic_s in rows:
        stamp = Stamp(moment(at), None if synchronised is None else bool(synchronised), boot, monotonic_s)
        found.append(StoredPiece(bytes(octets), stamp, context=bool(context)))
    return found


def octets_of(database: sqlite3.Connection, message: int) -> bytes:
    """All octets of a message without its contexts."""
    return b"".join(piece.octets for piece in pieces_of(database, message) if not piece.context)


def lines_of(database: sqlite3.Connection, condition: str, *arguments: str) -> list[tuple[int, Line]]:
    """Messages that fulfil a condition, oldest first, and where they came from."""
    found = database.execute(
        f"SELECT id, port, line, driver, origin FROM message WHERE {condition} ORDER BY id", arguments
    )
    return [(id_, Line(port, line, driver, Origin(origin))) for id_, port, line, driver, origin in found]


def readings_of(database: sqlite3.Connection, message: int) -> tuple[tuple[int, bytes], ...]:
    """Numbers and payloads of a message's readings."""
    rows = database.execute(
        "SELECT number, payload FROM reading, message WHERE id = ? "
        "AND number BETWEEN first_number AND first_number + readings - 1 ORDER BY number",
        (message,),
    )
    return tuple((number, bytes(payload)) for number, payload in rows)


def insert_receipts(database: sqlite3.Connection, receipts: Sequence[tuple[int, str, str, str]]) -> None:
    """Write receipts: number, verdict, epoch, instant. One that comes again replaces the earlier one."""
    database.executemany(
        "INSERT OR REPLACE INTO receipt SELECT ?1, ?2, ?3, ?4 WHERE EXISTS "
        "(SELECT 1 FROM reading WHERE number = ?1)",
        receipts,
    )


def insert_rejections(database: sqlite3.Connection, rejections: Sequence[Rejection]) -> None:
    """Write damaged octets; of each line only the last ones stay."""
    for row in rejections:
        database.execute(
            "INSERT INTO rejected (message_id, line, octets, reason, detail, received_at) VALUES (?,?,?,?,?,?)", row
        )
        database.execute(
            "DELETE FROM rejected WHERE line = ?1 AND id <= (SELECT id FROM rejected WHERE line = ?1 "
            "ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            (row[1], REJECTED_PER_LINE),
        )


def memos_of(database: sqlite3.Connection, line: str) -> dict[str, bytes]:
    """What conversations on a line left for later ones, by key."""
    return {
        key: bytes(octets)
        for key, octets in database.execute("SELECT key, octets FROM memo WHERE line = ?", (line,))
    }


def insert_memos(database: sqlite3.Connection, memos: Sequence[Memo]) -> None:
    """Write memos, each in the place of its predecessor; of each line only those touched last stay."""
    database.executemany("INSERT OR REPLACE INTO memo (line, key, octets, touched_at) VALUES (?, ?, ?, ?)", memos)
    for line in {row[0] for row in memos}:
        database.execute(
            "DELETE FROM memo WHERE line = ?1 AND key IN "
            "(SELECT key FROM memo WHERE line = ?1 ORDER BY touched_at DESC, key LIMIT -1 OFFSET ?2)",
            (line, MEMOS_PER_LINE),
        )


def remove_messages(database: sqlite3.Connection, before: str, limit: int) -> int:
    """Remove closed messages whose every reading has a receipt from before then, with all that belongs to them."""
    rows = database.execute(
        "SELECT id, first_number, first_number + readings - 1 FROM message "
        "WHERE state NOT IN ('open', 'whole') AND touched_at < ?1 AND readings = (SELECT count(*) FROM receipt "
        "WHERE number BETWEEN first_number AND first_number + readings - 1 AND at < ?1) LIMIT ?2",
        (before, limit),
    ).fetchall()
    for message, first, last in rows:
        for table in ("piece", "rejected"):
            database.execute(f"DELETE FROM {table} WHERE message_id = ?", (message,))
        for table in ("reading", "receipt"):
            database.execute(f"DELETE FROM {table} WHERE number BETWEEN ? AND ?", (first, last))
        database.execute("DELETE FROM message WHERE id = ?", (message,))
    return len(rows)
