"""Takes what one conversation brings into the journal: pieces, their contexts, damaged octets."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import timedelta

from drivers.contract import Context, Memo, Piece, Rejected
from gateway.hub.alarms import Alarm, Alarms
from gateway.hub.entries import Contexts, Line, StoredPiece
from gateway.hub.journal import Journal, JournalError
from gateway.hub.surroundings import Stamper

__all__ = ["Intake"]

_log = logging.getLogger(__name__)


class Intake:
    """The journal as one conversation sees it. Used by one thread."""

    def __init__(
        self,
        journal: Journal,
        line: Line,
        stamper: Stamper,
        alarms: Alarms,
        on_message: Callable[[int, Line], None],
        resume_within_s: float,
    ) -> None:
        """Make the intake of one connection.

        Args:
            journal: where everything goes.
            line: where everything comes from.
            stamper: the hub's clock.
            alarms: told when the journal cannot commit.
            on_message: called after a message was committed whole; must return at once.
            resume_within_s: a message that was broken off longer ago is not gone on with.
        """
        self._journal = journal
        self._line = line
        self._stamper = stamper
        self._alarms = alarms
        self._on_message = on_message
        self._resume_within_s = resume_within_s
        self._contexts = Contexts()
        self._message: int | None = None
        self._messages = 0

    def unfinished(self) -> tuple[bytes, ...]:
        """Take up the message that was broken off on this line; its committed pieces, oldest first.

        Raises:
            JournalError: the journal cannot be read.
        """
        since = self._stamper.stamp().received_at - timedelta(seconds=self._resume_within_s)
        found = self._journal.take_up(self._line, since)
        if found is None:
            return ()
        self._message, pieces = found
        _log.info("port %s: message %d was broken off and may go on", self._line.name, self._message)
        return pieces

    def memos(self) -> Mapping[str, bytes]:
        """What earlier conversations on this line left for this one.

        Raises:
            JournalError: the journal cannot be read.
        """
        return self._journal.memos(self._line)

    def remember(self, memo: Memo) -> None:
        """Keep something for later conversations; it goes to disk with the next commit."""
        self._journal.note_memo(self._line, memo.key, memo.octets, self._stamper.stamp().received_at)

    def note(self, context: Context) -> None:
        """Keep what the conversation's later messages need; it goes to disk with the first of them."""
        self._contexts.pieces.append(StoredPiece(context.octets, self._stamper.stamp(), context=True))

    def take(self, piece: Piece) -> bool:
        """Commit a piece. What a message that is whole says is decoded later, from the journal.

        Returns:
            True when it is on disk and may be acknowledged; False when nothing is.
        """
        goes_on = None if piece.starts_message else self._message
        try:
            self._message = self._journal.add_piece(
                self._line,
                StoredPiece(piece.octets, self._stamper.stamp()),
                message=goes_on,
                previous=self._message if goes_on is None else None,
                contexts=self._contexts,
                ends=piece.ends_message,
            )
        except JournalError as error:
            self._alarms.raise_(Alarm.JOURNAL_CANNOT_COMMIT, f"{error}; meters get no acknowledgement")
            return False
        self._alarms.clear(Alarm.JOURNAL_CANNOT_COMMIT)
        if piece.ends_message:
            self._messages += 1
            self._on_message(self._message, self._line)
        return True

    def reject(self, rejected: Rejected) -> None:
        """Keep damaged octets; the meter was not told that they arrived."""
        self._journal.note_rejected(
            self._line,
            self._message,
            rejected.octets,
            str(rejected.error.reason),
            str(rejected.error),
            self._stamper.stamp().received_at,
        )
        _log.info("port %s: %d damaged octets: %s", self._line.name, len(rejected.octets), rejected.error)

    def tally(self) -> int:
        """How many whole messages since the last call."""
        count, self._messages = self._messages, 0
        return count

    def settle(self) -> None:
        """The meter ended the conversation in order: it has all its acknowledgements."""
        self._put_down(settled=True)
        self._contexts.clear()

    def close(self) -> None:
        """The connection is over; a message whose end, or whose acknowledgement, is missing waits for the next."""
        self._put_down(settled=False)

    def _put_down(self, *, settled: bool) -> None:
        if self._message is not None:
            self._journal.put_down(self._message, settled=settled)
            self._message = None
