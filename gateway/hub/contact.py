"""One conversation with one meter: octets in, journal, acknowledgement out. One blocking transport, one thread."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from drivers.contract import Context, Event, Finished, Memo, Piece, Rejected, Send, Session
from drivers.errors import DriverError, ProtocolError, ProtocolReason, TransportError

__all__ = ["Contact", "Taker", "Transport"]

READ_OCTETS = 65_536
LONGEST_WAIT_S = 0.5
"""How soon a conversation notices that the hub stops."""

_log = logging.getLogger(__name__)


class Transport(Protocol):
    """What a conversation needs of a transport; `drivers.registry` opens them."""

    @property
    def peer(self) -> str:
        """Who is at the other end, for people."""

    def read(self, max_octets: int, timeout_s: float, /) -> bytes:
        """Up to so many octets; none when nothing came in time. Raises TransportError when the far end is gone."""

    def write(self, octets: bytes, /) -> None:
        """Send all of them. Raises TransportError."""

    def close(self) -> None:
        """Release it; may be called twice."""


class Taker(Protocol):
    """What a conversation brings goes there: the hub's `gateway.hub.intake.Intake`, or a terminal."""

    def note(self, context: Context, /) -> None:
        """Keep what later messages need."""

    def remember(self, memo: Memo, /) -> None:
        """Keep something for later conversations."""

    def take(self, piece: Piece, /) -> bool:
        """Have a piece on disk; False when it is not and must not be acknowledged."""

    def reject(self, rejected: Rejected, /) -> None:
        """Keep damaged octets."""

    def tally(self) -> int:
        """Whole messages since the last call, for the log."""

    def settle(self) -> None:
        """The conversation ended in order."""

    def close(self) -> None:
        """The connection is over."""


class Contact:
    """Moves octets between a transport and a session, and keeps one order: disk first, then the acknowledgement."""

    def __init__(
        self,
        name: str,
        transport: Transport,
        session: Session,
        intake: Taker,
        *,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args: name: of the port, for the log."""
        self._name = name
        self._transport = transport
        self._session = session
        self._intake = intake
        self._now_s = now_s
        self._over = False
        self._done = False

    def run(self, stopping: threading.Event) -> bool:
        """Converse until the connection ends, the session wants it closed, or the hub stops.

        Returns:
            Whether the session itself brought the conversation to an orderly end: everything was read.
        """
        try:
            self._follow(self._session.opened(self._now_s()))
            while not (self._over or stopping.is_set()):
                octets = self._transport.read(READ_OCTETS, self._patience_s())
                if octets:
                    self._received(octets)
                else:
                    self._tick()
        except TransportError as error:
            _log.info("port %s: connection ended: %s", self._name, error)
            self._lost()
        finally:
            self._tell()
            self._intake.close()
        return self._done

    def _tick(self) -> None:
        """Nothing came for a while."""
        self._tell()
        deadline_s = self._session.deadline_s
        if deadline_s is not None and self._now_s() >= deadline_s:
            self._follow(self._session.tick(self._now_s()))

    def _patience_s(self) -> float:
        deadline_s = self._session.deadline_s
        if deadline_s is None:
            return LONGEST_WAIT_S
        return min(max(deadline_s - self._now_s(), 0.0), LONGEST_WAIT_S)

    def _received(self, octets: bytes) -> None:
        try:
            events = self._session.receive(octets, self._now_s())
        except TransportError:
            raise
        except Exception as error:  # a session must not raise; if one does, its connection goes, the octets stay
            _log.error("port %s: the session failed: %s", self._name, type(error).__name__)
            if not isinstance(error, DriverError):
                place = f"the session failed with {type(error).__name__}"
                error = ProtocolError(place, ProtocolReason.UNSUPPORTED)
            self._intake.reject(Rejected(octets, error))
            self._over = True
            return
        self._follow(events)

    def _follow(self, events: list[Event]) -> None:
        todo = deque(events)
        while todo:
            event = todo.popleft()
            match event:
                case Send():
                    self._transport.write(event.octets)
                case Context():
                    self._intake.note(event)
                case Piece():
                    taken = self._intake.take(event)
                    answer = self._session.confirm if taken else self._session.refuse
                    todo.extendleft(reversed(answer(self._now_s())))
                case Memo():
                    self._intake.remember(event)
                case Rejected():
                    self._intake.reject(event)
                case Finished():
                    self._finished(event)
                    if event.error is None:
                        self._intake.settle()
                        self._done = event.close

    def _lost(self) -> None:
        for event in self._session.lost(self._now_s()):
            if isinstance(event, Rejected):
                self._intake.reject(event)
            elif isinstance(event, Finished):  # nothing is settled: the last acknowledgement may not have arrived
                self._finished(event)

    def _tell(self) -> None:
        """Log how much came; not while it comes, because a meter that waits for its acknowledgement goes first."""
        messages = self._intake.tally()
        if messages:
            _log.info("port %s: %d messages taken", self._name, messages)

    def _finished(self, event: Finished) -> None:
        if event.error is not None:
            _log.warning("port %s: the conversation ended badly: %s", self._name, event.error)
        self._over = self._over or event.close
