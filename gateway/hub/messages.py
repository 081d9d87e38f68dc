"""Messages in the journal: begun, gone on with, concluded. All within a commit (`gateway.hub.commits`)."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from uuid import UUID

from gateway.hub import rows
from gateway.hub.commits import Last
from gateway.hub.conversations import Conversations
from gateway.hub.entries import Closing, Contexts, Line
from gateway.wire.reading import digest

__all__ = ["Messages"]


class Messages:
    """Gives numbers to messages, contexts and readings; a commit that fails takes them back.

    Args:
        uuid: the journal's identity.
        last: the greatest numbers given so far.
        conversations: which messages are gone on with now.
    """

    def __init__(self, database: sqlite3.Connection, uuid: UUID, last: Last, conversations: Conversations) -> None:
        self._database = database
        self._uuid = uuid
        self._last = last
        self._conversations = conversations

    def contexts(self, contexts: Contexts, first: int) -> list[int]:
        """Write those that are not there; ones before `first` may have been removed. Returns the ids of all."""
        ids = [] if contexts.ids and contexts.ids[0] < first else list(contexts.ids)
        for context in contexts.pieces[len(ids) :]:
            self._last.context += 1
            rows.insert_context(self._database, self._last.context, context)
            ids.append(self._last.context)
        return ids

    def begin(self, line: Line, state: str, at: str, contexts: Sequence[int]) -> int:
        """Begin a message behind contexts with these ids."""
        message = self._last.message + 1
        ids = " ".join(map(str, contexts))
        self._database.execute(
            "INSERT INTO message (id, port, line, driver, origin, state, touched_at, resumable, contexts) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?)",
            (message, line.port, line.name, line.driver, line.origin.value, state, at, ids),
        )
        self._last.message = message
        return message

    def go_on(self, line: Line, message: int, state: str, at: str) -> int:
        """Touch an open message. One that was given up meanwhile is begun again with all its pieces."""
        changed = self._database.execute(
            "UPDATE message SET touched_at = ?, state = ? WHERE id = ? AND state = 'open'", (at, state, message)
        ).rowcount
        if changed:
            return message
        again = self.begin(line, state, at, rows.contexts_of(self._database, message))
        rows.copy_pieces(self._database, message, again)
        return again

    def conclude(self, message: int, closing: Closing) -> None:
        """Write what a message came to; one that was concluded before is left as it is."""
        first = self._last.number + 1
        changed = self._database.execute(
            "UPDATE message SET state = ?, meter_key = ?, first_number = ?, readings = ? "
            "WHERE id = ? AND state IN ('open', 'whole')",
            (closing.state, closing.meter_key, first, len(closing.drafts), message),
        ).rowcount
        if not changed:
            return
        for position, draft in enumerate(closing.drafts):
            payload = draft.encode(self._uuid, first + position, message, position)
            self._database.execute(
                "INSERT INTO reading (number, message_id, position, sha256, payload) VALUES (?, ?, ?, ?, ?)",
                (first + position, message, position, digest(payload), payload),
            )
        self._last.number += len(closing.drafts)
        if closing.state == "decoded":
            self._close_repeated(message)

    def _close_repeated(self, message: int) -> None:
        """A message that broke off and now came whole is no loss: the whole one begins with all its octets."""
        others = self._database.execute(
            "SELECT id, resumable FROM message WHERE state = 'open' AND id < ?1 "
            "AND line = (SELECT line FROM message WHERE id = ?1)",
            (message,),
        ).fetchall()
        broken = [row["id"] for row in others if not (self._conversations.is_held(row["id"]) and row["resumable"])]
        if not broken:
            return
        whole = rows.octets_of(self._database, message)
        for other in broken:
            if whole.startswith(rows.octets_of(self._database, other)):
                self._database.execute("UPDATE message SET state = 'repeated' WHERE id = ?", (other,))
