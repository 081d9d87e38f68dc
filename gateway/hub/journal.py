"""The journal: what a meter was told we have stands here, on disk, until the server's store is known to have it.

One SQLite file (WAL, ``synchronous=FULL``). Every method that writes returns after the commit, except `credit`,
`put_down`, `note_rejected` and `note_memo`: what they take is of no promise to anybody and goes with the next
commit, or with `flush`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

from gateway.clock import utc
from gateway.database import transaction
from gateway.hub import rows
from gateway.hub.commits import Commits, JournalError, Last
from gateway.hub.conversations import Conversations
from gateway.hub.entries import Closing, Contexts, Counts, Line, PastMessage, StoredPiece, Waiting
from gateway.hub.messages import Messages
from gateway.hub.rows import REJECTED_PER_LINE

__all__ = ["MIGRATIONS", "Journal", "JournalError"]

MIGRATIONS = "gateway.hub.migrations"
REJECTED_OCTETS = 65_536
"""Longest damaged octets kept of one rejection."""
MEMO_CHARACTERS, MEMO_OCTETS = 200, 65_536
"""Longest key and content of a memo (`drivers.contract.Memo`)."""
PRUNE_AT_ONCE = 200

_NO_CONTEXTS = Contexts()
_WAITING = "NOT EXISTS (SELECT 1 FROM receipt WHERE receipt.number = reading.number)"


class Journal:
    """Safe for use by several threads; one process at a time (`gateway.hub.opening` sees to it).

    Attributes:
        uuid: the journal's identity, part of every reading's name.
    """

    def __init__(self, database: sqlite3.Connection, path: Path, now: datetime) -> None:
        """Args: database: opened and migrated. path: its file. now: when an identity is made for a new one."""
        self._database = database
        self._conversations = Conversations()
        row = database.execute("SELECT uuid FROM journal").fetchone()
        if row is None:
            with transaction(database):
                database.execute(
                    "INSERT INTO journal (id, uuid, created_at) VALUES (1, ?, ?)", (str(uuid4()), utc(now))
                )
            row = database.execute("SELECT uuid FROM journal").fetchone()
        self.uuid = UUID(row["uuid"])
        row = database.execute("SELECT id FROM epoch ORDER BY sequence DESC LIMIT 1").fetchone()
        self._epoch: str | None = row["id"] if row else None
        recently = utc(now - timedelta(days=1))
        for id_, line, at in database.execute(
            "SELECT id, line, touched_at FROM message WHERE resumable = 1 AND touched_at >= ?", (recently,)
        ):
            self._conversations.broke_off(id_, line, at)
        row = database.execute(
            "SELECT max(last_message, coalesce((SELECT max(id) FROM message), 0)), "
            "max(last_number, coalesce((SELECT max(number) FROM reading), 0)), "
            f"(SELECT min(number) FROM reading WHERE {_WAITING}), "
            "(SELECT coalesce(max(id), 0) FROM context) FROM journal"
        ).fetchone()
        self._commits = Commits(database, path, Last(row[0], row[1], row[3]))
        self._last = self._commits.last
        self._messages = Messages(database, self.uuid, self._last, self._conversations)
        self._all_receipted: int = row[1] if row[2] is None else row[2] - 1
        """Up to here no reading waits for a receipt: a search need not look there."""
        self._first_context = 0
        """Contexts before this one may have been removed."""

    @property
    def damaged(self) -> bool:
        """SQLite found the file broken; it must be closed and set aside."""
        return self._commits.damaged

    def close(self) -> None:
        """Write what waits and close the file."""
        self._commits.close()

    # ---------------------------------------------------------------- messages and pieces

    def take_up(self, line: Line, since: datetime) -> tuple[int, tuple[bytes, ...]] | None:
        """The message that was broken off on this line, with its pieces; nobody else gets it until `put_down`.

        A whole message counts too while its conversation has not ended in order: the meter may have missed its last
        acknowledgement. None when there is none that was touched since then, or when there are several: behind one
        host there may be several meters, and nobody knows which one this is.
        """
        with self._commits.reading() as database:
            message = self._conversations.only_loose(line.name, utc(since))
            if message is None:
                return None
            pieces = tuple(piece.octets for piece in rows.own_pieces_of(database, message))
            self._conversations.take_up(message)
            return message, pieces

    def put_down(self, message: int, *, settled: bool) -> None:
        """The conversation is over.

        Args:
            message: its last message.
            settled: it ended in order, so nothing of the message will come again. Written with the next commit.
        """
        with self._commits.noting() as noted:
            self._conversations.let_go(message)
            if settled:
                noted.settled.append((message,))
                return
            with suppress(sqlite3.Error):  # then it is not gone on with; the meter sends it from its beginning
                for id_, line, at in self._database.execute(
                    "SELECT id, line, touched_at FROM message WHERE id = ?", (message,)
                ):
                    self._conversations.broke_off(id_, line, at)

    def pieces(self, message: int) -> list[StoredPiece]:
        """What a message consists of, in order."""
        with self._commits.reading() as database:
            return rows.pieces_of(database, message)

    def add_piece(
        self,
        line: Line,
        piece: StoredPiece,
        *,
        message: int | None,
        previous: int | None = None,
        contexts: Contexts = _NO_CONTEXTS,
        ends: bool = False,
    ) -> int:
        """Commit a piece. This stands between a meter and its acknowledgement, so it does no more than it must.

        Args:
            line: where it came from.
            piece: exactly what arrived.
            message: the message it goes on with; None for a new one, which is then held for the caller.
            previous: the conversation's message before a new one; nothing of it will come any more.
            contexts: what stands before the pieces of a new message; takes note of what is in the journal then.
            ends: the message is whole with this piece.

        Returns:
            The message it was put into.

        Raises:
            JournalError: nothing is on disk; do not acknowledge.
        """
        ids: list[int] | None = None
        with self._commits.writing() as database:
            at = utc(piece.stamp.received_at)
            state = "whole" if ends else "open"
            if previous is not None:
                database.execute("UPDATE message SET resumable = 0 WHERE id = ?", (previous,))
            if message is not None:
                message = self._messages.go_on(line, message, state, at)
                rows.append_piece(database, message, piece, at)
            else:
                ids = self._messages.contexts(contexts, self._first_context)
                message = self._messages.begin(line, state, at, ids)
                rows.insert_piece(database, message, piece, at)
        with self._commits.noting():
            if ids is not None:
                contexts.ids[:] = ids
            self._conversations.hold(message)
            if previous is not None:
                self._conversations.let_go(previous)
        return message

    def undecoded(self) -> list[tuple[int, Line]]:
        """Messages that are whole and whose readings are not yet written, oldest first."""
        with self._commits.reading() as database:
            return rows.lines_of(database, "state = 'whole'")

    def conclude(self, outcomes: Sequence[tuple[int, Closing]]) -> range:
        """Write what messages came to, in one commit. One that was concluded before is left as it is.

        Returns:
            The numbers of the new readings.

        Raises:
            JournalError: nothing of it is written.
        """
        with self._commits.writing():
            first = self._last.number + 1
            for message, closing in outcomes:
                self._messages.conclude(message, closing)
            return range(first, self._last.number + 1)

    def open_messages(self, untouched_since: datetime) -> list[tuple[int, Line]]:
        """Messages that wait for their end and got no piece since then."""
        with self._commits.reading() as database:
            return rows.lines_of(database, "state = 'open' AND touched_at < ?", utc(untouched_since))

    def note_rejected(
        self, line: Line, message: int | None, octets: bytes, reason: str, detail: str, at: datetime
    ) -> None:
        """Keep damaged octets beside their message; they were not acknowledged, and go with the next commit."""
        row = (message, line.name, octets[:REJECTED_OCTETS], reason, detail[:500], utc(at))
        with self._commits.noting() as noted:
            noted.rejected.append(row)
            del noted.rejected[:-REJECTED_PER_LINE]

    def rejected(self, message: int) -> list[bytes]:
        """Damaged octets kept beside a message, oldest first."""
        with self._commits.reading() as database:
            found = database.execute(
                "SELECT octets FROM rejected WHERE message_id = ? ORDER BY id", (message,)
            ).fetchall()
            written = [bytes(row["octets"]) for row in found]
            return written + [row[2] for row in self._commits.noted.rejected if row[0] == message]

    def note_memo(self, line: Line, key: str, octets: bytes, at: datetime) -> None:
        """Keep what a later conversation on this line should know; it goes with the next commit."""
        if len(key) <= MEMO_CHARACTERS and len(octets) <= MEMO_OCTETS:
            with self._commits.noting() as noted:
                noted.memos[line.name, key] = (line.name, key, octets, utc(at))

    def memos(self, line: Line) -> dict[str, bytes]:
        """What earlier conversations on this line left, by key."""
        with self._commits.reading() as database:
            unwritten = {key: row[2] for (name, key), row in self._commits.noted.memos.items() if name == line.name}
            return rows.memos_of(database, line.name) | unwritten

    def last_messages(self, meter_key: str, limit: int) -> list[PastMessage]:
        """The last messages of a meter that held readings, newest first."""
        with self._commits.reading() as database:
            found = database.execute(
                "SELECT id FROM message WHERE meter_key = ? AND readings > 0 ORDER BY id DESC LIMIT ?",
                (meter_key, limit),
            ).fetchall()
            return [PastMessage(id_, rows.readings_of(database, id_)) for (id_,) in found]

    # ---------------------------------------------------------------- readings and receipts

    def waiting(self, after: int, limit: int) -> list[Waiting]:
        """The next readings without a receipt whose number is greater than `after`, in order."""
        with self._commits.reading() as database:
            found = database.execute(
                f"SELECT number, payload, sha256 FROM reading WHERE number > ? AND {_WAITING} "
                "ORDER BY number LIMIT ?",
                (max(after, self._all_receipted), limit),
            ).fetchall()
        return [Waiting(*row) for row in found]

    def unreceipted(self, port: str) -> int:
        """How much that came through a port the server is not known to have: messages not decoded, readings."""
        with self._commits.reading() as database:
            row = database.execute(
                "SELECT coalesce(sum(state IN ('open', 'whole')), 0) + coalesce(sum(readings), 0) - "
                "(SELECT count(*) FROM receipt JOIN reading USING (number) JOIN message ON message.id = message_id "
                "WHERE port = ?1) FROM message WHERE port = ?1",
                (port,),
            ).fetchone()
        return int(row[0])

    def digest(self, number: int) -> str | None:
        """SHA-256 of a reading's payload; None when there is no such reading (any more)."""
        with self._commits.reading() as database:
            row = database.execute("SELECT sha256 FROM reading WHERE number = ?", (number,)).fetchone()
        return row["sha256"] if row else None

    def payload(self, number: int) -> Waiting | None:
        """One reading, receipted or not."""
        with self._commits.reading() as database:
            row = database.execute(
                "SELECT number, payload, sha256 FROM reading WHERE number = ?", (number,)
            ).fetchone()
        return Waiting(*row) if row else None

    def credit(self, number: int, verdict: str, epoch: str, at: datetime) -> None:
        """Note a receipt; it is written with the next commit. The caller has compared digest and epoch."""
        with self._commits.noting() as noted:
            noted.receipts.append((number, verdict, epoch, utc(at)))

    @property
    def unwritten(self) -> bool:
        """Whether something waits for the next commit that should not wait for long."""
        return self._commits.noted.is_awaited

    def flush(self) -> None:
        """Write what goes with the next commit, if there is any.

        Raises:
            JournalError: it stays noted and goes with a later commit.
        """
        if self.unwritten:
            with self._commits.writing():
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
        with self._commits.writing() as database:
            known = database.execute("SELECT 1 FROM epoch WHERE id = ?", (epoch,)).fetchone()
            if known is None:
                database.execute(
                    "INSERT INTO epoch (id, mark, adopted_at) VALUES (?, ?, ?)", (epoch, mark, utc(at))
                )
                database.execute("DELETE FROM receipt WHERE number > ?", (mark,))
        if known is None:
            self._epoch = epoch
            self._all_receipted = min(self._all_receipted, mark)
        return known is None

    # ---------------------------------------------------------------- keeping house

    def prune(self, before: datetime) -> int:
        """Delete messages whose every reading got its receipt before then. Returns how many; call until 0."""
        with self._commits.writing() as database:
            database.execute(
                "UPDATE journal SET last_message = ?, last_number = ?", (self._last.message, self._last.number)
            )
            removed, self._first_context = rows.remove_messages(database, utc(before), PRUNE_AT_ONCE)
            return removed

    def try_commit(self) -> None:
        """Commit something that changes nothing.

        Raises:
            JournalError: the disk is still full, read-only or failing.
        """
        with self._commits.writing() as database:
            database.execute("UPDATE journal SET created_at = created_at")

    def counts(self) -> Counts:
        """How much is in here."""
        with self._commits.reading() as database:
            row = database.execute(
                "SELECT coalesce(sum(readings), 0), coalesce(sum(readings), 0) - (SELECT count(*) FROM receipt), "
                "coalesce(sum(state = 'open'), 0), (SELECT count(*) FROM rejected) FROM message"
            ).fetchone()
        return Counts(*row)
