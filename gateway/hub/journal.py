"""The journal: what a meter was told we have stands here, on disk, until the server's store is known to have it.

One SQLite file (WAL, ``synchronous=FULL``). Every method that writes returns after the commit, except `credit` and
`note_rejected`: what they take is of no promise to anybody and goes with the next commit, or with `flush`.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid4

from gateway.clock import moment, utc
from gateway.database import transaction
from gateway.hub.entries import Closing, Counts, Draft, Entry, Line, PastMessage, StoredPiece, Waiting
from gateway.hub.surroundings import Stamp
from gateway.wire.reading import digest

__all__ = ["MIGRATIONS", "Journal", "JournalError"]

MIGRATIONS = "gateway.hub.migrations"
REJECTED_PER_LINE = 100
REJECTED_OCTETS = 65_536
"""Longest damaged octets kept of one rejection."""
PRUNE_AT_ONCE = 200

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class JournalError(Exception):
    """The journal could not commit; nothing of the attempt is on disk."""


@dataclass(slots=True)
class _Unwritten:
    """What goes with the next commit."""

    receipts: list[tuple[str, str, str, int]] = field(default_factory=list)
    settled: list[tuple[int]] = field(default_factory=list)
    rejected: list[tuple[int | None, str, bytes, str, str, str]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.receipts or self.settled or self.rejected)


class Journal:
    """Safe for use by several threads; one process at a time (`gateway.hub.opening` sees to it).

    Attributes:
        uuid: the journal's identity, part of every reading's name.
        damaged: SQLite found the file broken; it must be closed and set aside.
    """

    def __init__(self, database: sqlite3.Connection, path: Path, now: datetime) -> None:
        """Args: database: opened and migrated. path: its file. now: when an identity is made for a new one."""
        self.path = path
        self.damaged = False
        self._database = database
        self._lock = threading.Lock()
        self._unwritten = _Unwritten()
        self._held: set[int] = set()
        row = database.execute("SELECT uuid FROM journal").fetchone()
        if row is None:
            with transaction(database):
                database.execute("INSERT INTO journal VALUES (1, ?, ?)", (str(uuid4()), utc(now)))
            row = database.execute("SELECT uuid FROM journal").fetchone()
        self.uuid = UUID(row["uuid"])
        row = database.execute("SELECT id FROM epoch ORDER BY sequence DESC LIMIT 1").fetchone()
        self._epoch: str | None = row["id"] if row else None
        row = database.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = 'reading'").fetchone()
        self._last_number: int = row[0] or 0

    def close(self) -> None:
        """Write what waits and close the file."""
        with self._lock:
            try:
                if self._unwritten:
                    with transaction(self._database):
                        self._write_unwritten()
            finally:
                self._database.close()

    # ---------------------------------------------------------------- messages and pieces

    def take_up(self, line: Line, since: datetime) -> tuple[int, tuple[bytes, ...]] | None:
        """The message that was broken off on this line, with its pieces; nobody else gets it until `put_down`.

        A whole message counts too while its conversation has not ended in order: the meter may have missed its last
        acknowledgement. None when there is none that was touched since then, or when there are several: behind one
        host there may be several meters, and nobody knows which one this is.
        """
        with self._reading() as database:
            rows = database.execute(
                "SELECT id FROM message WHERE line = ? AND resumable = 1 AND touched_at >= ?",
                (line.name, utc(since)),
            ).fetchall()
            taken = self._held.union(message for (message,) in self._unwritten.settled)
            free = [row["id"] for row in rows if row["id"] not in taken]
            if len(free) != 1:
                return None
            self._held.add(free[0])
            return free[0], tuple(piece.octets for piece in self._pieces(free[0]) if not piece.context)

    def put_down(self, message: int, *, settled: bool) -> None:
        """The conversation is over.

        Args:
            message: its last message.
            settled: it ended in order, so nothing of the message will come again. Written with the next commit.
        """
        with self._lock:
            self._held.discard(message)
            if settled:
                self._unwritten.settled.append((message,))

    def pieces(self, message: int) -> list[StoredPiece]:
        """What a message consists of, in order."""
        with self._reading():
            return self._pieces(message)

    def add_piece(
        self,
        line: Line,
        piece: StoredPiece,
        *,
        message: int | None,
        previous: int | None = None,
        contexts: Sequence[StoredPiece] = (),
        closing: Closing | None = None,
    ) -> Entry:
        """Commit a piece; with `closing`, also what its message came to, in the same commit.

        Args:
            line: where it came from.
            piece: exactly what arrived.
            message: the message it goes on with; None for a new one, which is then held for the caller.
            previous: the conversation's message before a new one; nothing of it will come any more.
            contexts: what stands before the pieces of a new message.
            closing: the piece ends its message.

        Raises:
            JournalError: nothing is on disk; do not acknowledge.
        """
        with self._writing() as database:
            at = utc(piece.stamp.received_at)
            if previous is not None:
                database.execute("UPDATE message SET resumable = 0 WHERE id = ?", (previous,))
            state = "open" if closing is None else closing.state
            meter_key = None if closing is None else closing.meter_key
            if message is not None:
                message = self._go_on(line, message, state, meter_key, at)
            else:
                message = self._begin(line, state, meter_key, at)
                for context in contexts:
                    self._add_octets(message, context)
            self._add_octets(message, piece)
            drafts: Sequence[Draft] = ()
            if closing is not None:
                drafts = closing.drafts
                if closing.state == "decoded":
                    self._close_repeated(line, message)
            numbers = self._add_readings(message, drafts)
        with self._lock:
            self._held.add(message)
            if previous is not None:
                self._held.discard(previous)
        return Entry(message, numbers)

    def close_message(self, message: int, closing: Closing) -> range:
        """Close a message that never got its end. Returns the numbers of its readings; empty if it was closed."""
        with self._writing() as database:
            changed = database.execute(
                "UPDATE message SET state = ?, meter_key = ? WHERE id = ? AND state = 'open'",
                (closing.state, closing.meter_key, message),
            ).rowcount
            return self._add_readings(message, closing.drafts if changed else ())

    def open_messages(self, untouched_since: datetime) -> list[tuple[int, Line]]:
        """Messages that wait for their end and got no piece since then."""
        with self._reading() as database:
            rows = database.execute(
                "SELECT id, port, line, driver FROM message WHERE state = 'open' AND touched_at < ? ORDER BY id",
                (utc(untouched_since),),
            ).fetchall()
        return [(row["id"], Line(row["port"], row["line"], row["driver"])) for row in rows]

    def note_rejected(
        self, line: Line, message: int | None, octets: bytes, reason: str, detail: str, at: datetime
    ) -> None:
        """Keep damaged octets beside their message; they were not acknowledged, and go with the next commit."""
        row = (message, line.name, octets[:REJECTED_OCTETS], reason, detail[:500], utc(at))
        with self._lock:
            self._unwritten.rejected.append(row)
            del self._unwritten.rejected[:-REJECTED_PER_LINE]

    def rejected(self, message: int) -> list[bytes]:
        """Damaged octets kept beside a message, oldest first."""
        with self._reading() as database:
            rows = database.execute(
                "SELECT octets FROM rejected WHERE message_id = ? ORDER BY id", (message,)
            ).fetchall()
            written = [bytes(row["octets"]) for row in rows]
            return written + [row[2] for row in self._unwritten.rejected if row[0] == message]

    def last_messages(self, meter_key: str, limit: int) -> list[PastMessage]:
        """The last messages of a meter that held readings, newest first."""
        with self._reading() as database:
            rows = database.execute(
                "SELECT id FROM message WHERE meter_key = ? AND state = 'decoded' ORDER BY id DESC LIMIT ?",
                (meter_key, limit),
            ).fetchall()
            return [PastMessage(row["id"], self._readings(row["id"])) for row in rows]

    # ---------------------------------------------------------------- readings and receipts

    def waiting(self, after: int, limit: int) -> list[Waiting]:
        """The next readings without a receipt whose number is greater than `after`, in order."""
        with self._reading() as database:
            rows = database.execute(
                "SELECT number, payload, sha256 FROM reading WHERE receipt_at IS NULL AND number > ? "
                "ORDER BY number LIMIT ?",
                (after, limit),
            ).fetchall()
        return [Waiting(*row) for row in rows]

    def digest(self, number: int) -> str | None:
        """SHA-256 of a reading's payload; None when there is no such reading (any more)."""
        with self._reading() as database:
            row = database.execute("SELECT sha256 FROM reading WHERE number = ?", (number,)).fetchone()
        return row["sha256"] if row else None

    def payload(self, number: int) -> Waiting | None:
        """One reading, receipted or not."""
        with self._reading() as database:
            row = database.execute(
                "SELECT number, payload, sha256 FROM reading WHERE number = ?", (number,)
            ).fetchone()
        return Waiting(*row) if row else None

    def credit(self, number: int, verdict: str, epoch: str, at: datetime) -> None:
        """Note a receipt; it is written with the next commit. The caller has compared digest and epoch."""
        with self._lock:
            self._unwritten.receipts.append((verdict, epoch, utc(at), number))

    @property
    def unwritten(self) -> bool:
        """Whether something waits for the next commit that should not wait for long."""
        return bool(self._unwritten.receipts or self._unwritten.rejected)

    def flush(self) -> None:
        """Write what goes with the next commit, if there is any.

        Raises:
            JournalError: it stays noted and goes with a later commit.
        """
        if self.unwritten:
            with self._writing():
                pass

    @property
    def epoch(self) -> str | None:
        """The adopted epoch of the server's store."""
        return self._epoch

    def adopt(self, epoch: str, mark: int, at: datetime) -> bool:
        """Adopt an epoch that was never seen before: readings above `mark` lose their receipts.

        Returns:
            Whether it was adopted; False for one that was left before, and for the present one.
        """
        with self._writing() as database:
            known = database.execute("SELECT 1 FROM epoch WHERE id = ?", (epoch,)).fetchone()
            if known is None:
                database.execute(
                    "INSERT INTO epoch (id, mark, adopted_at) VALUES (?, ?, ?)", (epoch, mark, utc(at))
                )
                database.execute(
                    "UPDATE reading SET verdict = NULL, receipt_epoch = NULL, receipt_at = NULL "
                    "WHERE number > ? AND receipt_at IS NOT NULL",
                    (mark,),
                )
        if known is None:
            self._epoch = epoch
        return known is None

    # ---------------------------------------------------------------- keeping house

    def prune(self, before: datetime) -> int:
        """Delete messages whose every reading got its receipt before then. Returns how many; call until 0."""
        with self._writing() as database:
            return database.execute(
                "DELETE FROM message WHERE id IN (SELECT id FROM message m WHERE state <> 'open' "
                "AND touched_at < ?1 AND NOT EXISTS (SELECT 1 FROM reading WHERE message_id = m.id "
                "AND (receipt_at IS NULL OR receipt_at >= ?1)) LIMIT ?2)",
                (utc(before), PRUNE_AT_ONCE),
            ).rowcount

    def try_commit(self) -> None:
        """Commit something that changes nothing.

        Raises:
            JournalError: the disk is still full, read-only or failing.
        """
        with self._writing() as database:
            database.execute("UPDATE journal SET created_at = created_at")

    def counts(self) -> Counts:
        """How much is in here."""
        with self._reading() as database:
            row = database.execute(
                "SELECT (SELECT count(*) FROM reading), (SELECT count(*) FROM reading WHERE receipt_at IS NULL), "
                "(SELECT count(*) FROM message WHERE state = 'open'), "
                "(SELECT count(*) FROM message WHERE state = 'undecodable'), (SELECT count(*) FROM rejected)"
            ).fetchone()
        return Counts(*row)

    # ---------------------------------------------------------------- inside

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._database
            except sqlite3.Error as error:
                raise self._broken(error, "read") from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One commit; takes along what is unwritten. The lock is held until the octets are on disk."""
        with self._lock:
            last_number = self._last_number
            try:
                with transaction(self._database) as database:
                    if self._unwritten:
                        self._write_unwritten()
                    yield database
            except BaseException as error:
                self._last_number = last_number
                if isinstance(error, sqlite3.Error):
                    raise self._broken(error, "commit") from error
                raise
            if self._unwritten:
                self._unwritten = _Unwritten()

    def _write_unwritten(self) -> None:
        if self._unwritten.settled:
            self._database.executemany("UPDATE message SET resumable = 0 WHERE id = ?", self._unwritten.settled)
        if self._unwritten.receipts:
            self._database.executemany(
                "UPDATE reading SET verdict = ?, receipt_epoch = ?, receipt_at = ? WHERE number = ?",
                self._unwritten.receipts,
            )
        for row in self._unwritten.rejected:
            self._database.execute(
                "INSERT INTO rejected (message_id, line, octets, reason, detail, received_at) VALUES (?,?,?,?,?,?)",
                row,
            )
            self._database.execute(
                "DELETE FROM rejected WHERE line = ?1 AND id <= (SELECT id FROM rejected WHERE line = ?1 "
                "ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                (row[1], REJECTED_PER_LINE),
            )

    def _begin(self, line: Line, state: str, meter_key: str | None, at: str) -> int:
        cursor = self._database.execute(
            "INSERT INTO message (port, line, driver, state, meter_key, touched_at) VALUES (?, ?, ?, ?, ?, ?)",
            (line.port, line.name, line.driver, state, meter_key, at),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def _go_on(self, line: Line, message: int, state: str, meter_key: str | None, at: str) -> int:
        """Touch an open message. One that was given up meanwhile is begun again with all its pieces."""
        changed = self._database.execute(
            "UPDATE message SET state = ?, meter_key = ?, touched_at = ? WHERE id = ? AND state = 'open'",
            (state, meter_key, at, message),
        ).rowcount
        if changed:
            return message
        again = self._begin(line, state, meter_key, at)
        self._database.execute(
            "INSERT INTO piece SELECT ?, position, octets, context, received_at, synchronised, boot_id, "
            "monotonic_s FROM piece WHERE message_id = ?",
            (again, message),
        )
        return again

    def _add_octets(self, message: int, piece: StoredPiece) -> None:
        stamp = piece.stamp
        self._database.execute(
            "INSERT INTO piece "
            "VALUES (?1, (SELECT count(*) FROM piece WHERE message_id = ?1), ?2, ?3, ?4, ?5, ?6, ?7)",
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

    def _close_repeated(self, line: Line, message: int) -> None:
        """A message that broke off and now came whole is no loss: the whole one begins with all its octets."""
        others = self._database.execute(
            "SELECT id, resumable FROM message WHERE line = ? AND state = 'open' AND id < ?", (line.name, message)
        ).fetchall()
        broken = [row["id"] for row in others if not (row["id"] in self._held and row["resumable"])]
        if not broken:
            return
        whole = self._octets(message)
        for other in broken:
            if whole.startswith(self._octets(other)):
                self._database.execute("UPDATE message SET state = 'repeated' WHERE id = ?", (other,))

    def _octets(self, message: int) -> bytes:
        return b"".join(piece.octets for piece in self._pieces(message) if not piece.context)

    def _add_readings(self, message: int, drafts: Sequence[Draft]) -> range:
        first = self._last_number + 1
        for position, draft in enumerate(drafts):
            number = first + position
            payload = draft.encode(self.uuid, number, message, position)
            self._database.execute(
                "INSERT INTO reading (number, message_id, position, payload, sha256) VALUES (?, ?, ?, ?, ?)",
                (number, message, position, payload, digest(payload)),
            )
        self._last_number = first + len(drafts) - 1  # `_writing` takes it back if the commit fails
        return range(first, first + len(drafts))

    def _pieces(self, message: int) -> list[StoredPiece]:
        rows = self._database.execute(
            "SELECT octets, context, received_at, synchronised, boot_id, monotonic_s FROM piece "
            "WHERE message_id = ? ORDER BY position",
            (message,),
        ).fetchall()
        found = []
        for octets, context, at, synchronised, boot, monotonic_s in rows:
            stamp = Stamp(moment(at), None if synchronised is None else bool(synchronised), boot, monotonic_s)
            found.append(StoredPiece(bytes(octets), stamp, context=bool(context)))
        return found

    def _readings(self, message: int) -> tuple[tuple[int, bytes], ...]:
        rows = self._database.execute(
            "SELECT number, payload FROM reading WHERE message_id = ? ORDER BY position", (message,)
        ).fetchall()
        return tuple((number, bytes(payload)) for number, payload in rows)

    def _broken(self, error: sqlite3.Error, what: str) -> JournalError:
        code = getattr(error, "sqlite_errorcode", 0) or 0
        self.damaged = self.damaged or code & 0xFF in _DAMAGED
        return JournalError(f"{self.path}: cannot {what}: {error}")
