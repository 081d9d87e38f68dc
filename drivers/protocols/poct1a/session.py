"""One connection with a meter that speaks POCT1-A2, host's side, without input or output of its own.

It joins the framing and the `Conversation` to the driver contract: HEL and DST come out as `Context`; each OBS
document, and each document that arrived whole but cannot be read, as one `Piece`, which is a whole message.

A meter that was told AA may never offer the result again (Coag-Sense PT2), so AA waits for the caller's commit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from drivers.contract import Context, Event, Finished, Piece, Rejected, Send, Session
from drivers.errors import DriverError, FramingError, FramingReason, TransportError, TransportReason
from drivers.protocols.poct1a.conversation import Conversation, Phase, SessionSettings
from drivers.protocols.poct1a.documents import Message, glance, guess, parse
from drivers.protocols.poct1a.framing import Damaged, Document, Framing
from drivers.protocols.poct1a.replies import AckDialect

__all__ = ["Poct1aSession", "SessionSettings"]

_SLICE: Final = 65_536
_ANSWERS_WITHIN: Final = 0.8
"""Part of the meter's timeout after which an acknowledgement that names no document comes too late."""
_CROSSING_S: Final = 2.0
"""A repetition this soon after the answer crossed it or was doubled by the line; later, the answer was lost."""
_CONTEXTS: Final = frozenset({"HEL.R01", "DST.R01"})
_ORDERLY: Final = frozenset({Phase.CONTINUOUS, Phase.LINGERING, Phase.ENDING})
"""Phases in which a meter may hang up."""


@dataclass(frozen=True, slots=True)
class _Pending:
    """A document that waits for its commit."""

    digest: bytes
    message: Message
    since_s: float


class Poct1aSession(Session):
    """Host's side of a conversation with one meter.

    Args:
        settings: the meter family's habits.
        wall_clock: the hub's present, with any zone; written into the host's documents.
        committed: the last document of this meter that is on disk: if the meter missed its acknowledgement and
            repeats it, it gets another.
    """

    def __init__(
        self, settings: SessionSettings, wall_clock: Callable[[], datetime], committed: bytes | None = None
    ) -> None:
        self._settings = settings
        self._framing = Framing(settings.max_document_octets)
        self._conversation = Conversation(settings, wall_clock)
        self._wrapped = False
        self._pending: _Pending | None = None
        self._answered: tuple[bytes, float] | None = None
        self._confirmed = b"" if committed is None else hashlib.sha256(committed).digest()
        self._heard_s = 0.0
        self._heard = False
        self._over = False

    def opened(self, now_s: float) -> list[Event]:
        """Nothing: the meter speaks first."""
        self._heard_s = now_s
        return []

    def receive(self, octets: bytes, now_s: float) -> list[Event]:
        """Octets from the meter, in any chunking."""
        if self._over or not octets:
            return []
        self._heard_s, self._heard = now_s, True
        if self._pending is not None and self._framing.held_octets > 4 * self._settings.max_document_octets:
            why = "the meter goes on sending without waiting for an answer, faster than its results are committed"
            return self._finish(FramingError(why, FramingReason.TOO_LONG, offset=0))
        events: list[Event] = []
        for start in range(0, len(octets), _SLICE):  # so that what is too long is skipped in bounded memory
            self._framing.feed(octets[start : start + _SLICE])
            self._advance(events, now_s)
        return events

    def confirm(self, now_s: float) -> list[Event]:
        """The document last yielded is on disk."""
        pending, self._pending = self._pending, None
        if pending is None or self._over:
            return []
        self._heard_s = now_s
        self._confirmed = pending.digest
        late_s = self._conversation.timeout_s * _ANSWERS_WITHIN
        if self._settings.ack is AckDialect.NONE and now_s - pending.since_s > late_s:
            # The meter may have repeated the document; a second answer without a name would be taken for the
            # answer to the next one, which nobody has committed.
            return self._finish(_timed_out(f"the commit took longer than {late_s:g} s; the meter begins anew"))
        events: list[Event] = []
        self._hear(pending.message, pending.digest, events, now_s)
        self._advance(events, now_s)
        return events

    def refuse(self, now_s: float) -> list[Event]:
        """The document last yielded could not be committed: AE, and the conversation is over."""
        pending, self._pending = self._pending, None
        if pending is None or self._over:
            return []
        self._heard_s = now_s
        return [*self._sends(self._conversation.refuse(pending.message)), *self._finish(None)]

    def tick(self, now_s: float) -> list[Event]:
        """Time passed."""
        deadline_s = self.deadline_s
        if deadline_s is None or now_s < deadline_s:
            return []
        if self._conversation.phase is Phase.LINGERING:
            self._heard_s = now_s
            return self._sends(self._conversation.end())
        if self._conversation.phase is Phase.ENDING:
            return self._finish(self._conversation.refused)
        silent_s = now_s - self._heard_s
        why = f"the meter was silent for {silent_s:.0f} s while {self._conversation.phase.value}"
        return self._finish(_timed_out(why))

    @property
    def deadline_s(self) -> float | None:
        """When the meter's silence becomes too long, or the host wants to end."""
        if self._over or self._pending is not None:
            return None
        if self._heard:
            return self._heard_s + self._conversation.patience_s
        return self._heard_s + self._settings.hello_timeout_s if self._settings.hello_timeout_s else None

    def lost(self, now_s: float) -> list[Event]:  # noqa: ARG002 - the contract gives it
        """The connection is gone. In continuous mode and after the last topic that is an orderly end."""
        if self._over:
            return []
        phase = self._conversation.phase
        is_orderly = (phase in _ORDERLY or not self._heard) and not self._framing.inside_document
        if is_orderly and self._pending is None:
            return self._finish(self._conversation.refused)
        why = f"the meter closed the connection while {phase.value}; it offers again what was not acknowledged"
        return self._finish(TransportError(why, TransportReason.CLOSED))

    def _advance(self, events: list[Event], now_s: float) -> None:
        while self._pending is None and not self._over:
            found = self._framing.take()
            if found is None:
                return
            if isinstance(found, Damaged):
                self._damaged(found, events)
            else:
                self._document(found, events, now_s)

    def _damaged(self, damaged: Damaged, events: list[Event]) -> None:
        events.append(Rejected(damaged.octets, damaged.error))
        if damaged.error.reason is FramingReason.TOO_LONG:
            # It is not kept whole, so it is never accepted; but the meter waits, and what follows must not stall.
            events += self._sends(self._conversation.reject(guess(damaged.octets).control_id))

    def _document(self, document: Document, events: list[Event], now_s: float) -> None:
        self._wrapped = document.wrapped
        digest = hashlib.sha256(document.octets).digest()
        if self._has_its_answer(digest, now_s):
            return
        try:
            message = glance(document.octets) or parse(document.octets)
            is_kept = message.name.startswith("OBS.")
        except DriverError:
            message, is_kept = guess(document.octets), True
        if is_kept:
            if digest != self._confirmed:
                self._pending = _Pending(digest, message, now_s)
                events.append(Piece(document.octets, starts_message=True, ends_message=True))
                return
            # What was confirmed last and comes again lost its answer.
        elif message.name in _CONTEXTS:
            events.append(Context(document.octets))
        self._hear(message, digest, events, now_s)

    def _has_its_answer(self, digest: bytes, now_s: float) -> bool:
        """Whether this repeats what was just answered, and a second answer would be taken for the next document's.

        A meter that knows answers by name is in no danger, and is answered again.
        """
        if self._settings.ack is not AckDialect.NONE or self._answered is None:
            return False
        answered, at_s = self._answered
        return digest == answered and now_s - at_s < _CROSSING_S

    def _hear(self, message: Message, digest: bytes, events: list[Event], now_s: float) -> None:
        events += self._sends(self._conversation.hear(message))
        self._answered = (digest, now_s)
        if self._conversation.phase is Phase.OVER:
            events += self._finish(self._conversation.refused)

    def _sends(self, documents: list[bytes]) -> list[Event]:
        return [Send(b"\x0b" + document + b"\x1c\r" if self._wrapped else document) for document in documents]

    def _finish(self, error: DriverError | None) -> list[Event]:
        self._over = True
        left: list[Event] = []
        if self._pending is None:
            left += [Rejected(damaged.octets, damaged.error) for damaged in self._framing.finish()]
        return [*left, Finished(error, close=True)]


def _timed_out(why: str) -> TransportError:
    return TransportError(why, TransportReason.TIMED_OUT)
