"""The receiving end of an E1381 link (LIS01-A), as a sans-IO session.

Clauses are those of E1381; LIS01-A has them as section 8. The gateway only listens, so it never bids for the
line and gives way in every contention (6.2): it never sends an ENQ, and answers one with ACK.

============  =====================================  ====================================================
state         what comes                             what is done
============  =====================================  ====================================================
neutral       ENQ (6.2)                              ACK; transfer; the next frame is the first
neutral       frame without ENQ (seen over TCP)      as in transfer
transfer      good frame, next number (6.3.4)        `Piece`; ACK after `confirm`, NAK after `refuse`
transfer      the last frame again (6.5.1)           ACK; ignored
transfer      damaged or unexpected frame (6.5.1)    `Rejected`; NAK
transfer      EOT (6.4)                              `Finished`; neutral
transfer      nothing for 30 s (6.5.2)               `Finished` with an error if a message is open; neutral
transfer      ENQ                                    ignored
any           other octets                           `Rejected`; no answer
============  =====================================  ====================================================

`Finished` without `close` ends one transfer; the session goes on to listen for the next.

A sender that reads an answer too many takes it for the answer to its *next* frame, which would then be lost if
it was damaged. Three rules keep answers and frames in step:

* A frame ends only where a trailer, the next transmission or a short silence follows its checksum, and an answer
  waits for the line feed in the same way. So a damaged octet that looks like the end of a frame does not draw an
  answer in the middle of it.
* An ENQ within a transfer is ignored: it may be an octet that the line doubled or made up, or a damaged one of a
  frame. A sender that really began anew gets no answer, sends EOT (6.5.2) and is heard.
* After `reply_within_s` an answer is withheld: the sender's timer (15 s, 6.5.2) may have run out, and what it
  sends next gets an answer of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from drivers.contract import Event, Finished, Piece, Rejected, Send, Session
from drivers.errors import DeviceError, DeviceReason, FramingError, FramingReason
from drivers.protocols.astm.frames import (
    ACK,
    DEFAULT_MAX_FRAME_OCTETS,
    ENQ,
    NAK,
    Damage,
    Frame,
    FrameScanner,
    Mark,
    Token,
)
from drivers.protocols.astm.progress import Step, resume

__all__ = ["AstmLink", "LinkSettings"]

NOISE_QUIET_S = 1.0
_SLICE = 65_536
_ENQ: Final = bytes([ENQ])
_ACK: Final = Send(bytes([ACK]))
_NAK: Final = Send(bytes([NAK]))


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """How a meter keeps to E1381.

    Attributes:
        max_frame_octets: longest text of a frame.
        max_message_octets: longest message; frames beyond it are refused.
        unpadded_checksum: accept a checksum below 10h written with one digit.
        receiver_timeout_s: silence after which a transfer is over (30 s by 6.5.2).
        trailer_wait_s: silence after which a frame's line feed is not expected any more.
        reply_within_s: age of a frame after which its sender no longer waits for an answer; a little less than
            the sender's own timer, which is 15 s by 6.5.2.
    """

    max_frame_octets: int = DEFAULT_MAX_FRAME_OCTETS
    max_message_octets: int = 4_194_304
    unpadded_checksum: bool = False
    receiver_timeout_s: float = 30.0
    trailer_wait_s: float = 0.05
    reply_within_s: float = 12.0


class AstmLink(Session):
    """Receives E1381 frames; every good new frame is a `Piece` of ``STX number text ETX|ETB checksum``.

    Args:
        settings: the meter's dialect.
        unfinished: committed pieces of the message that this meter left open, oldest first. Pieces of a message
            that is whole only serve to know a repetition of its last piece.
    """

    def __init__(self, settings: LinkSettings | None = None, unfinished: Sequence[bytes] = ()) -> None:
        self._settings = settings or LinkSettings()
        self._scanner = FrameScanner(
            max_frame_octets=self._settings.max_frame_octets, unpadded_checksum=self._settings.unpadded_checksum
        )
        self._progress = resume(unfinished)
        self._transfer = False
        self._fresh = True  # a link was established, and no frame came since
        self._pending: Step | None = None
        self._owed: Send | None = None  # an answer that waits for the end of what the sender is sending
        self._frame_at_s = 0.0  # when the frame arrived that the answer is for
        self._received_s = 0.0  # when the last octet arrived
        self._active_s = 0.0  # when the last octet arrived that was no ENQ
        self._gone = False

    def opened(self, now_s: float) -> list[Event]:
        """Nothing: the meter speaks first."""
        self._received_s = now_s
        return []

    def receive(self, octets: bytes, now_s: float) -> list[Event]:
        """Octets from the meter, in any chunking."""
        events: list[Event] = []
        if not octets:
            return events
        self._received_s = now_s
        if octets.strip(_ENQ) or not self._transfer:
            self._active_s = now_s
        if self._holding and self._scanner.held_octets > 2 * self._settings.max_frame_octets:
            error = FramingError(
                "the meter goes on sending without waiting for an answer, faster than its frames are committed",
                FramingReason.TOO_LONG,
                offset=0,
            )
            return [Rejected(octets, error)]
        # In slices, so that a frame of any length is skipped in bounded memory.
        for start in range(0, len(octets), _SLICE):
            self._scanner.feed(octets[start : start + _SLICE])
            self._advance(events, now_s)
        return events

    def confirm(self, now_s: float) -> list[Event]:
        """The piece last yielded is on disk."""
        self._progress = self._take_pending().after
        return self._answer(_ACK, now_s)

    def refuse(self, now_s: float) -> list[Event]:
        """The piece last yielded could not be committed."""
        self._take_pending()
        return self._answer(_NAK, now_s)

    def tick(self, now_s: float) -> list[Event]:
        """Time passed."""
        events: list[Event] = []
        if not self._holding and self._scanner.at_frame_end and now_s >= self._quiet_s:
            token = self._scanner.settle()
            if token is not None:
                self._handle(token, events, now_s)
        if not self._holding:
            self._expire(events, now_s)
        return events

    @property
    def deadline_s(self) -> float | None:
        """When `tick` has something to do."""
        if self._holding or self._gone:
            return None
        if self._owed is not None or self._scanner.at_frame_end:
            return self._quiet_s
        if self._scanner.in_noise:
            return self._received_s + NOISE_QUIET_S
        return self._active_s + self._settings.receiver_timeout_s if self._busy else None

    def lost(self, now_s: float) -> list[Event]:  # noqa: ARG002 - the contract's signature
        """The connection is gone."""
        events: list[Event] = []
        self._gone = True
        self._owed = None
        self._report(self._scanner.abandon(), events)
        self._finish(events, "the connection ended", close=True)
        return events

    @property
    def _quiet_s(self) -> float:
        return self._received_s + self._settings.trailer_wait_s

    @property
    def _holding(self) -> bool:
        return self._pending is not None

    @property
    def _busy(self) -> bool:
        return self._transfer or self._scanner.in_frame

    def _expire(self, events: list[Event], now_s: float) -> None:
        # The same sums as in `deadline_s`, so that at the deadline itself there is something to do.
        if self._owed is not None and now_s >= self._quiet_s:
            self._pay(events, now_s)
        if self._scanner.in_noise and now_s >= self._received_s + NOISE_QUIET_S:
            self._report(self._scanner.abandon(), events)
        if self._busy and now_s >= self._active_s + self._settings.receiver_timeout_s:
            self._report(self._scanner.abandon(), events)
            self._finish(events, f"the meter sent nothing for {self._settings.receiver_timeout_s:g} s")

    def _take_pending(self) -> Step:
        if self._pending is None:
            raise RuntimeError("there is no piece to confirm or refuse")
        step, self._pending = self._pending, None
        return step

    def _answer(self, answer: Send, now_s: float) -> list[Event]:
        events: list[Event] = []
        self._owed = answer
        self._advance(events, now_s)
        return events

    def _advance(self, events: list[Event], now_s: float) -> None:
        while not self._holding:
            token = self._scanner.next()
            if token is None:
                return
            self._handle(token, events, now_s)

    def _handle(self, token: Token, events: list[Event], now_s: float) -> None:
        if isinstance(token, Damage):
            self._handle_damage(token, events, now_s)
        elif token is Mark.TRAILER:
            self._pay(events, now_s)
        elif token is not Mark.ENQ or not self._transfer:
            if self._owed is _ACK:
                self._pay(events, now_s)
            self._owed = None  # a refusal is void when the sender went on without it
            if isinstance(token, Frame):
                self._handle_frame(token, events)
            elif not self._transfer:
                self._begin(token, events)
            else:
                self._finish(events, "the meter ended the transfer")

    def _begin(self, token: Mark, events: list[Event]) -> None:
        if token is Mark.ENQ:  # an EOT on a neutral line says nothing
            self._transfer = self._fresh = True
            events.append(_ACK)

    def _handle_frame(self, frame: Frame, events: list[Event]) -> None:
        self._transfer = True
        self._frame_at_s = self._received_s
        if self._progress.repeats(frame, fresh=self._fresh):
            self._fresh = False
            self._owed = _ACK
            return
        try:
            step = self._progress.step(frame, fresh=self._fresh)
            if step.after.message_octets > self._settings.max_message_octets:
                raise FramingError(
                    f"the message is longer than {self._settings.max_message_octets} octets; if the meter really "
                    "sends such messages, raise max_message_octets in the profile",
                    FramingReason.TOO_LONG,
                    offset=0,
                )
        except FramingError as error:
            events.append(Rejected(frame.octets, error))
            self._owed = _NAK
            return
        self._fresh = False
        self._pending = step
        events.append(Piece(frame.octets, starts_message=step.starts, ends_message=step.ends))

    def _handle_damage(self, damage: Damage, events: list[Event], now_s: float) -> None:
        # From here an ENQ may be an octet of that frame, so it is not answered.
        self._transfer = self._transfer or damage.framed
        if self._owed is _ACK:
            self._pay(events, now_s)
        self._report([damage], events)
        if damage.ended and self._transfer:
            self._frame_at_s = self._received_s
            self._owed = _NAK

    def _pay(self, events: list[Event], now_s: float) -> None:
        answer, self._owed = self._owed, None
        if answer is not None and not self._gone and now_s - self._frame_at_s <= self._settings.reply_within_s:
            events.append(answer)

    def _finish(self, events: list[Event], cause: str, *, close: bool = False) -> None:
        error = None
        if self._progress.open:
            error = DeviceError(
                f"{cause} before the message had its L record; it stays open, and the meter may go on with it",
                DeviceReason.GAVE_UP,
            )
        self._transfer = False
        self._fresh = True
        self._owed = None
        events.append(Finished(error, close=close))

    @staticmethod
    def _report(damages: list[Damage], events: list[Event]) -> None:
        events.extend(Rejected(damage.octets, damage.error) for damage in damages if damage.octets)
