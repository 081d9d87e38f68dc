"""The sending side of E1381 (CLSI LIS01-A2 sections 6.2 to 6.5) as a state machine without input or output.

idle ──offer──▶ enquiring ──ACK──▶ transferring ──ACK of the last frame──▶ delivered, EOT, idle
                 │  ▲                │  NAK: same frame again, six times in all, then EOT
                 ▼  │                └─ no reply in 15 s: EOT
                waiting (NAK: busy 10 s; ENQ: contention 1 s, the instrument wins)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from simulators.astm.dialect import Timers
from simulators.astm.frames import ACK, ENQ, EOT, NAK
from simulators.meter import Stored

__all__ = ["Abandoned", "Action", "Delivered", "Message", "Sender", "Transmit"]

TRIES = 6
"""A frame that was sent and refused this often ends the message (section 6.5.1)."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is offered as one: the tests it carries and the frames that say so."""

    tests: tuple[Stored, ...]
    frames: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Transmit:
    """Octets that leave now; `is_frame` tells a frame from a control character."""

    octets: bytes
    is_frame: bool = False


@dataclass(frozen=True, slots=True)
class Delivered:
    """The last frame was acknowledged: the meter has been told that the message was received."""

    message: Message


@dataclass(frozen=True, slots=True)
class Abandoned:
    """The message was not acknowledged in full and must be offered again."""

    message: Message
    reason: str


Action = Transmit | Delivered | Abandoned


class _State(Enum):
    IDLE = auto()
    ENQUIRING = auto()
    WAITING = auto()
    TRANSFERRING = auto()


class Sender:
    """Sends one message after another.

    Actions must be carried out in the order given: what `Delivered` says has to be remembered before the octets
    of a later `Transmit` leave.

    Args:
        timers: already scaled.
        establishment: False leaves out ENQ and EOT.
        resume: a message broken by a lost connection goes on with the frame after the last acknowledged one.
    """

    def __init__(self, timers: Timers, *, establishment: bool = True, resume: bool = False) -> None:
        self._timers = timers
        self._establishment = establishment
        self._resume = resume
        self._state = _State.IDLE
        self._message: Message | None = None
        self._position = 0
        self._tries = 0
        self._deadline_s: float | None = None

    @property
    def idle(self) -> bool:
        """Whether a message may be offered."""
        return self._state is _State.IDLE

    @property
    def unfinished(self) -> Message | None:
        """The message that a lost connection broke and that goes on when it is offered again."""
        return self._message if self.idle else None

    @property
    def deadline_s(self) -> float | None:
        """When `tick` has something to do, on the clock of the caller."""
        return self._deadline_s

    def offer(self, message: Message, now_s: float) -> list[Action]:
        """Begin to send a message.

        Raises:
            RuntimeError: another message is on its way.
        """
        if not self.idle:
            raise RuntimeError("a message is on its way; offer the next one when the sender is idle")
        if message is not self._message:
            self._message, self._position = message, 0
        self._tries = 0
        return self._enquire(now_s) if self._establishment else self._send_frame(message, now_s)

    def receive(self, octets: bytes, now_s: float) -> list[Action]:
        """Octets came from the host.

        What arrived together with a reply, after it, was sent before the frame that the reply releases and
        answers nothing: it is discarded, as an instrument does that empties its input before it sends.
        """
        for octet in octets:
            actions = self._reply(bytes([octet]), now_s)
            if actions is not None:
                return actions
        return []

    def tick(self, now_s: float) -> list[Action]:
        """Time passed. Does nothing before `deadline_s`."""
        if self._deadline_s is None or now_s < self._deadline_s or self._message is None:
            return []
        if self._state is _State.WAITING:
            return self._enquire(now_s)
        return self._abandon(self._message, f"no reply within {self._timers.reply_s:g} s")

    def postpone(self, seconds: float) -> None:
        """What was to leave now leaves that much later: waiting for its reply begins later, too."""
        if self._deadline_s is not None:
            self._deadline_s += seconds

    def lost(self) -> list[Action]:
        """The connection is gone."""
        message, state = self._message, self._state
        self._state, self._deadline_s = _State.IDLE, None
        if not self._resume:
            self._message = None
        return [] if message is None or state is _State.IDLE else [Abandoned(message, "connection lost")]

    def _reply(self, octet: bytes, now_s: float) -> list[Action] | None:
        """What one octet from the host leads to; None when it means nothing in this state."""
        message = self._message
        if self._state is _State.IDLE or message is None:
            return [Transmit(NAK)] if octet == ENQ else None  # this meter takes no orders: busy
        if self._state is _State.ENQUIRING:
            if octet == ACK:
                return self._send_frame(message, now_s)
            if octet in (NAK, ENQ):
                pause_s = self._timers.busy_s if octet == NAK else self._timers.contention_s
                self._state, self._deadline_s = _State.WAITING, now_s + pause_s
                return []
            return None
        if self._state is _State.WAITING:
            return None
        # Section 6.3.5: EOT instead of ACK acknowledges too and asks the sender to stop soon; it may go on.
        if octet in (ACK, EOT):
            return self._advance(message, now_s)
        # Section 6.3.4: anything else means that the frame was not received well.
        if self._tries >= TRIES:
            return self._abandon(message, f"frame {self._position + 1} refused {TRIES} times")
        return self._send_frame(message, now_s)

    def _enquire(self, now_s: float) -> list[Action]:
        self._state, self._deadline_s = _State.ENQUIRING, now_s + self._timers.reply_s
        return [Transmit(ENQ)]

    def _send_frame(self, message: Message, now_s: float) -> list[Action]:
        self._state, self._deadline_s = _State.TRANSFERRING, now_s + self._timers.reply_s
        self._tries += 1
        return [Transmit(message.frames[self._position], is_frame=True)]

    def _advance(self, message: Message, now_s: float) -> list[Action]:
        self._position += 1
        self._tries = 0
        if self._position < len(message.frames):
            return self._send_frame(message, now_s)
        return [Delivered(message), *self._end()]

    def _abandon(self, message: Message, reason: str) -> list[Action]:
        return [*self._end(), Abandoned(message, reason)]

    def _end(self) -> Sequence[Action]:
        self._state, self._message, self._deadline_s = _State.IDLE, None, None
        return [Transmit(EOT)] if self._establishment else []
