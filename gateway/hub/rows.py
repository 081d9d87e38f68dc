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
    "append_piece",
    "contexts_of",
    "copy_pieces",
    "insert_context",
    "insert_memos",
    "insert_piece",
    "insert_receipts",
    "insert_rejections",
    "lines_of",
    "memos_of",
    "octets_of",
    "own_pieces_of",
    "pieces_of",
    "readings_of",
    "remove_messages",
]

REJECTED_PER_LINE = 100
MEMOS_PER_LINE = 100
PLACES = 1 << 20
"""So many ids of pieces belong to each message."""

Memo = tuple[str, str, bytes, str]
"""Line, key, octets, instant."""

Rejection = tuple[int | None, str, bytes, str, str, str]
"""Message, line, octets, reason, detail, instant."""


def insert_piece(database: sqlite3.Connection, message: int, piece: StoredPiece, at: str) -> None:
    """Write the first piece of a message. Args: at: its stamp's instant as text."""
    stamp = piece.stamp
    database.execute(
        "INSERT INTO piece VALUES (?, ?, ?, ?, ?, ?)",
        (message * PLACES, piece.octets, at, stamp.synchronised, stamp.boot_id, stamp.monotonic_s),
    )


def append_piece(database: sqlite3.Connection, message: int, piece: StoredPiece, at: str) -> None:
    """Write a further piece of a message.

    Raises:
        sqlite3.IntegrityError: it has more pieces than any meter sends.
    """
    stamp = piece.stamp
    appended = database.execute(
        "INSERT INTO piece SELECT next, ?2, ?3, ?4, ?5, ?6 FROM "
        "(SELECT max(id) + 1 AS next FROM piece WHERE id >= ?1 AND id < ?1 + ?7) WHERE next < ?1 + ?7",
        (message * PLACES, piece.octets, at, stamp.synchronised, stamp.boot_id, stamp.monotonic_s, PLACES),
    ).rowcount
    if not appended:
        raise sqlite3.IntegrityError(f"message {message} has {PLACES} pieces and goes on")


def insert_context(database: sqlite3.Connection, id_: int, context: StoredPiece) -> None:
    """Write what messages of a conversation need to be decoded."""
    stamp = context.stamp
    database.execute(
        "INSERT INTO context VALUES (?, ?, ?, ?, ?, ?)",
        (id_, context.octets, utc(stamp.received_at), stamp.synchronised, stamp.boot_id, stamp.monotonic_s),
    )


def copy_pieces(database: sqlite3.Connection, message: int, other: int) -> None:
    """Begin a message with all pieces of another."""
    database.execute(
        "INSERT INTO piece SELECT id + ?, octets, received_at, synchronised, boot_id, monotonic_s FROM piece "
        "WHERE id >= ? AND id < ?",
        ((other - message) * PLACES, message * PLACES, (message + 1) * PLACES),
    )


def contexts_of(database: sqlite3.Connection, message: int) -> list[int]:
    """Ids of the contexts before a message's pieces."""
    row = database.execute("SELECT contexts FROM message WHERE id = ?", (message,)).fetchone()
    return [] if row is None else [int(id_) for id_ in row[0].split()]


def pieces_of(database: sqlite3.Connection, message: int) -> list[StoredPiece]:
    """What a message consists of, in order: the contexts of its conversation, then its own pieces."""
    found = []
    for id_ in contexts_of(database, message):
        rows = database.execute(f"SELECT {_STORED} FROM context WHERE id = ?", (id_,))
        found += [_stored(row, context=True) for row in rows]
    return found + own_pieces_of(database, message)


def own_pieces_of(database: sqlite3.Connection, message: int) -> list[StoredPiece]:
    """The pieces of a message without its contexts."""
    rows = database.execute(
        f"SELECT {_STORED} FROM piece WHERE id >= ? AND id < ? ORDER BY id",
        (message * PLACES, (message + 1) * PLACES),
    )
    return [_stored(row, context=False) for row in rows]


_STORED = "octets, received_at, synchronised, boot_id, monotonic_s"


def _stored(row: sqlite3.Row, *, context: bool) -> StoredPiece:
    octets, at, synchronised, boot, monotonic_s = row
    stamp = Stamp(moment(at), None if synchronised is None else bool(synchronised), boot, monotonic_s)
    return StoredPiece(bytes(octets), stamp, context=context)


def octets_of(database: sqlite3.Connection, message: int) -> bytes:
    """All octets of a message without its contexts."""
    return b"".join(piece.octets for piece in own_pieces_of(database, message))


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


def remove_messages(database: sqlite3.Connection, before: str, limit: int) -> tuple[int, int]:
    """Remove closed messages whose every reading has a receipt from before then, with all that belongs to them.

    Returns:
        How many, and the id of the first context that is still there for certain.
    """
    rows = database.execute(
        "SELECT id, first_number, first_number + readings - 1 FROM message "
        "WHERE state NOT IN ('open', 'whole') AND touched_at < ?1 AND readings = (SELECT count(*) FROM receipt "
        "WHERE number BETWEEN first_number AND first_number + readings - 1 AND at < ?1) LIMIT ?2",
        (before, limit),
    ).fetchall()
    for message, first, last in rows:
        database.execute("DELETE FROM rejected WHERE message_id = ?", (message,))
        database.execute("DELETE FROM piece WHERE id >= ? AND id < ?", (message * PLACES, (message + 1) * PLACES))
        for table in ("reading", "receipt"):
            database.execute(f"DELETE FROM {table} WHERE number BETWEEN ? AND ?", (first, last))
        database.execute("DELETE FROM message WHERE id = ?", (message,))
    # The ids of a message's contexts ascend, and the first of them is what the text is as a number.
    (first_context,) = database.execute(
        "SELECT coalesce(min(CAST(contexts AS INTEGER)), (SELECT coalesce(max(id), 0) + 1 FROM context)) "
        "FROM message WHERE contexts != ''"
    ).fetchone()
    database.execute("DELETE FROM context WHERE id < ?", (first_context,))
    return len(rows), first_context
