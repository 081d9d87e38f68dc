"""Where a message stands between its frames: has it begun, is it whole, which frame may come next.

Only the start of a record that a frame left unfinished is remembered, never the text, so that an endless message
cannot fill the memory.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from drivers.errors import FramingError, FramingReason
from drivers.protocols.astm.frames import Frame, parse_frame

__all__ = ["Progress", "Step", "resume"]

_BOUNDS = re.compile(rb"(?:\A|[\r\n])([HL])(?![0-9A-Za-z])")
"""Where a header or last record begins in a text. A record's type is one letter and a delimiter (E1394 6)."""
_HEADER = re.compile(rb"[\r\n]*H[^0-9A-Za-z\s]")
_WHOLE_HEADER = re.compile(rb"[\r\n]*H([^0-9A-Za-z\s])[^0-9A-Za-z\s]{2,4}\1")


@dataclass(frozen=True, slots=True)
class Progress:
    """State after the last committed frame.

    Attributes:
        number: number of that frame; None before the first.
        body: that frame without trailer, to know its repetition.
        open: a message has begun and its L record has not come.
        carry: first octets of a record that goes on in the next frame (after ETB).
        message_octets: octets of the open message so far.
    """

    number: int | None = None
    body: bytes = b""
    open: bool = False
    carry: bytes = b""
    message_octets: int = 0

    def repeats(self, frame: Frame, *, fresh: bool) -> bool:
        """Whether a frame is the last committed one again (E1381 6.5.1: acknowledged and ignored).

        Args:
            frame: what arrived.
            fresh: a link was just established. There a header that equals that of a finished message opens a new
                message: a meter without a clock may have measured the same again.
        """
        if frame.number != self.number or frame.octets != self.body:
            return False
        return self.open or not fresh or _HEADER.match(frame.text) is None

    def step(self, frame: Frame, *, fresh: bool) -> Step:
        """What a frame would make of this state.

        After a link was established the number must be 1 (6.3.2), or go on with the message that was left open:
        a sender may do so after a broken connection. A header is accepted with any number, because it begins a new
        message in any case.

        Raises:
            FramingError: the number neither follows the last one nor begins a message.
        """
        follows = self.number is not None and frame.number == (self.number + 1) % 8
        begins = _HEADER.match(frame.text) is not None
        if begins and follows and self.carry:
            # Text that goes on may look like a header; after a new link a complete one is a header.
            begins = fresh and _WHOLE_HEADER.match(frame.text) is not None
        goes_on = follows and (self.open or not fresh) and not begins
        if not begins and not goes_on and not (frame.number == 1 and (fresh or not self.open)):
            expected = "1" if self.number is None else f"{(self.number + 1) % 8}"
            raise FramingError(
                f"the frame has number {frame.number} where {expected} was due; "
                "the meter is asked to repeat and will begin its message anew if it cannot",
                FramingReason.BAD_SEQUENCE,
                offset=1,
            )
        starts = begins or not goes_on or not self.open
        carry = b"" if starts else self.carry
        is_open, carry = _scan(carry + frame.text, whole=frame.last)
        octets = len(frame.octets) + (0 if starts else self.message_octets)
        return Step(starts, not is_open, Progress(frame.number, frame.octets, is_open, carry, octets))


@dataclass(frozen=True, slots=True)
class Step:
    """A frame's effect: does it start or end a message, and the state once it is committed."""

    starts: bool
    ends: bool
    after: Progress


def resume(pieces: Sequence[bytes]) -> Progress:
    """The state that committed pieces left, oldest first. Pieces that are no frames leave none."""
    state = Progress()
    for piece in pieces:
        try:
            state = state.step(parse_frame(piece), fresh=state.number is None).after
        except FramingError:
            return Progress()
    return state


def _scan(text: bytes, *, whole: bool) -> tuple[bool, bytes]:
    """Whether a message is open after `text`, and the start of the record that is unfinished at its end."""
    unfinished = len(text) if whole else max(text.rfind(b"\r"), text.rfind(b"\n")) + 1
    is_open = True
    for found in _BOUNDS.finditer(text):
        if found.group(1) == b"H":
            is_open = True
        elif found.start(1) < unfinished:
            is_open = False
    return is_open, text[unfinished : unfinished + 2]
