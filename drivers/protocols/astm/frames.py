"""E1381 frames: octets in any chunking become frames, marks and damage, in bounded memory.

A frame is ``STX number text [CR] ETX|ETB checksum [CR] [LF]`` (E1381 6.3.1; LIS01-A 8.3.1). A receiver may ignore
what stands between frames; here it is collected, so that a wrong baud rate does not look like silence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from drivers.errors import FramingError, FramingReason

__all__ = [
    "ACK",
    "ENQ",
    "EOT",
    "NAK",
    "Damage",
    "Frame",
    "FrameScanner",
    "Mark",
    "Token",
    "checksum",
    "parse_frame",
]

STX: Final = 0x02
ETX: Final = 0x03
EOT: Final = 0x04
ENQ: Final = 0x05
ACK: Final = 0x06
NAK: Final = 0x15
ETB: Final = 0x17
CR: Final = 0x0D
LF: Final = 0x0A

DEFAULT_MAX_FRAME_OCTETS = 65_536
"""The standard allows 240 characters of text (6.3.1); real devices send a whole memory in one frame."""
NOISE_OCTETS = 1024
"""How much of a run of octets outside frames is kept to be shown."""

_FRAME_END = re.compile(rb"[\x02\x03\x04\x05\x17]")
_FRAME_CLOSE = re.compile(rb"[^\r\n\x02\x04\x05]{0,2}([\r\n\x02\x04\x05])", re.DOTALL)
"""What follows a real ETX or ETB: at most two octets of checksum, then the trailer or the next transmission."""
_HEX = frozenset(b"0123456789ABCDEFabcdef")
_DIGITS = frozenset(b"01234567")


class Mark(Enum):
    """What is neither a frame nor damage."""

    ENQ = "enq"
    EOT = "eot"
    TRAILER = "trailer"
    """The line feed that ends a frame, damaged or not."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame whose checksum is right.

    Attributes:
        offset: octets from the start of the stream to its STX.
        octets: STX to checksum; the CR LF after it carries nothing and is left out.
        number: 0 to 7.
        text: what stands between number and ETX or ETB.
        last: True for ETX; False for ETB, after which the text goes on in the next frame.
    """

    offset: int
    octets: bytes
    number: int
    text: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class Damage:
    """Octets that are no frame.

    Attributes:
        offset: octets from the start of the stream to the first of `octets`.
        error: its own offset counts within `octets`.
        ended: the end of a frame was seen, so the sender now waits for an answer.
        framed: a frame's STX was seen; without it the octets may be noise on an idle line.
    """

    offset: int
    octets: bytes
    error: FramingError
    ended: bool
    framed: bool = True


Token = Frame | Damage | Mark


def checksum(octets: bytes | bytearray | memoryview) -> int:
    """Sum modulo 256 of the octets after STX up to and including ETX or ETB (E1381 6.3.3)."""
    return sum(octets) & 0xFF


def parse_frame(octets: bytes) -> Frame:
    """Parse the octets of one frame, as `Frame.octets` holds them.

    Raises:
        FramingError: they are not exactly one good frame.
    """
    # An unpadded checksum was accepted by the profile when the frame arrived.
    scanner = FrameScanner(max_frame_octets=len(octets), unpadded_checksum=True)
    scanner.feed(octets + b"\r\n")
    token = scanner.next()
    if isinstance(token, Damage):
        raise token.error
    if not isinstance(token, Frame) or len(token.octets) != len(octets):
        raise FramingError("these octets are not exactly one E1381 frame", FramingReason.UNEXPECTED, offset=0)
    return token


class FrameScanner:
    """Cuts a stream into tokens.

    Octets that form no token yet stay inside; what an unfinished frame and a run of noise may occupy is limited,
    what a caller feeds without fetching tokens is not.

    Args:
        max_frame_octets: longest text of a frame; a longer frame is damage, and its rest is skipped.
        unpadded_checksum: accept a checksum below 10h written with one digit.
        ignored: octets that may stand between frames without being noise.
    """

    def __init__(
        self,
        *,
        max_frame_octets: int = DEFAULT_MAX_FRAME_OCTETS,
        unpadded_checksum: bool = False,
        ignored: bytes = b"\r\n\x00",
    ) -> None:
        self._limit = max_frame_octets + 2  # STX and number
        self._unpadded = unpadded_checksum
        self._ignored = ignored
        self._buffer = bytearray()
        self._start = 0  # stream offset of the buffer's first octet
        self._searched = 1  # up to here the buffer holds no end of a frame
        self._skipping = False  # within a frame that is too long and was reported
        self._noise = bytearray()
        self._noise_start = 0
        self._trailer = 0  # 2: CR or LF may follow, 1: LF may follow

    def feed(self, octets: bytes) -> None:
        """Append octets of the stream; then call `next` until it gives None."""
        self._buffer += octets

    @property
    def in_frame(self) -> bool:
        """Whether an unfinished frame is inside."""
        return bool(self._buffer) and self._buffer[0] == STX

    @property
    def in_noise(self) -> bool:
        """Whether octets outside a frame are inside that were not reported yet."""
        return bool(self._noise)

    @property
    def held_octets(self) -> int:
        """Octets inside that no token covered yet."""
        return len(self._buffer)

    def next(self) -> Token | None:
        """The next token, or None when more octets are needed."""
        while self._buffer:
            first = self._buffer[0]
            if self._trailer:
                if first == CR and self._trailer == 2:
                    self._trailer = 1
                    self._drop(1)
                    continue
                self._trailer = 0
                if first == LF:
                    self._drop(1)
                    return Mark.TRAILER
            if first in (STX, ENQ, EOT):
                if self._noise:
                    return self._report_noise(ended=False)
                if first == STX:
                    token, complete = self._frame()
                    if token is not None or not complete:
                        return token
                    continue
                self._drop(1)
                return Mark.ENQ if first == ENQ else Mark.EOT
            token, complete = self._collect_noise()
            if token is not None or not complete:
                return token
        return None

    @property
    def at_frame_end(self) -> bool:
        """Whether a frame is inside that is complete unless more of it follows its checksum."""
        return self.in_frame and len(self._buffer) == self._searched + 3 and self._buffer[-3] in (ETX, ETB)

    def settle(self) -> Token | None:
        """Nothing follows for now: a frame without any trailer is complete."""
        if not self.at_frame_end:
            return None
        self._trailer = 2
        return self._close_frame(self._searched, 2)

    def abandon(self) -> list[Damage]:
        """Give up what is unfinished inside; afterwards the scanner is empty."""
        left = [self._report_noise(ended=False)] if self._noise else []
        octets = self._drop(len(self._buffer))
        if octets and not self._skipping and octets.strip(self._ignored):
            left.append(
                Damage(
                    self._start - len(octets),
                    octets,
                    FramingError("the frame never ended", FramingReason.TRUNCATED, offset=len(octets)),
                    ended=False,
                    framed=octets[0] == STX,
                )
            )
        self._skipping = False
        self._trailer = 0
        return left

    def _drop(self, count: int) -> bytes:
        octets = bytes(self._buffer[:count])
        del self._buffer[:count]
        self._start += count
        self._searched = 1
        return octets

    def _frame(self) -> tuple[Token | None, bool]:
        """The frame at the start of the buffer. The second value is False when more octets are needed."""
        buffer = self._buffer
        while True:
            found = _FRAME_END.search(buffer, self._searched)
            end = found.start() if found else len(buffer)
            if end > self._limit and not self._skipping:
                return self._begin_skipping(), True
            if self._skipping:
                del buffer[1:end]
                self._start += end - 1
                end = 1
            self._searched = end
            if found is None:
                return None, False
            if buffer[end] not in (ETX, ETB):  # STX, ENQ or EOT: the sender began anew
                return self._broken_off(end), True
            after = _FRAME_CLOSE.match(buffer, end + 1)
            if after is not None:
                self._trailer = 2
                return self._close_frame(end, after.start(1) - end - 1), True
            if len(buffer) < end + 4:
                return None, False
            self._searched = end + 1  # a damaged octet of the text

    def _begin_skipping(self) -> Damage:
        self._skipping = True
        limit = self._limit
        damage = Damage(
            self._start,
            bytes(self._buffer[:limit]),
            FramingError(
                f"the frame is longer than {limit - 2} octets and was not read; if the meter really sends "
                "such frames, raise max_frame_octets in the profile",
                FramingReason.TOO_LONG,
                offset=limit,
            ),
            ended=False,
        )
        del self._buffer[1:limit]
        self._start += limit - 1
        self._searched = 1
        return damage

    def _broken_off(self, end: int) -> Damage | None:
        octets = self._drop(end)
        if self._skipping:
            self._skipping = False
            return None
        error = FramingError("the sender began anew before the frame ended", FramingReason.TRUNCATED, offset=end)
        return Damage(self._start - end, octets, error, ended=False)

    def _close_frame(self, end: int, size: int) -> Token:
        """The frame whose ETX or ETB stands at `end`, with a checksum of `size` octets."""
        offset = self._start
        octets = self._drop(end + 1 + size)
        if self._skipping:
            self._skipping = False
            error = FramingError("end of the frame that was too long", FramingReason.TOO_LONG, offset=0)
            return Damage(offset, b"", error, ended=True)
        expected = checksum(memoryview(octets)[1 : end + 1])
        digits = octets[end + 1 :]
        readable = _HEX.issuperset(digits) and (size == 2 or (size == 1 and self._unpadded))
        if not readable or int(digits, 16) != expected:
            text = f"the octets give the checksum {expected:02X}, which is not what the frame says"
            if size == 1 and not self._unpadded:
                text += "; if the meter writes 5 for 05, set checksum = 'unpadded' in the profile"
            error = FramingError(text, FramingReason.CHECKSUM, offset=end + 1)
            return Damage(offset, octets, error, ended=True)
        nul = octets.find(b"\x00")
        if nul >= 0:  # a break on the line; the checksum cannot see it, and E1394 (5.1) allows it nowhere
            error = FramingError("the frame holds a NUL octet", FramingReason.UNEXPECTED, offset=nul)
            return Damage(offset, octets, error, ended=True)
        if octets[1] not in _DIGITS:
            error = FramingError("the frame number is no digit from 0 to 7", FramingReason.UNEXPECTED, offset=1)
            return Damage(offset, octets, error, ended=True)
        return Frame(offset, octets, octets[1] - 0x30, octets[2:end], octets[end] == ETX)

    def _collect_noise(self) -> tuple[Token | None, bool]:
        """Octets outside a frame. An ETX and a checksum among them are the end of a frame that lost its STX."""
        buffer = self._buffer
        found = _FRAME_END.search(buffer)
        end = found.start() if found else len(buffer)
        if end:
            self._add_noise(end)
            return None, True
        if len(buffer) < 3 and all(octet in _HEX for octet in buffer[1:]):
            return None, False
        if buffer[1] in _HEX and buffer[2] in _HEX:
            self._add_noise(3)
            self._trailer = 2
            return self._report_noise(ended=True), True
        self._add_noise(1)
        return None, True

    def _add_noise(self, count: int) -> None:
        octets = self._drop(count)
        if not self._noise:
            kept = octets.lstrip(self._ignored)
            self._noise_start = self._start - len(kept)
            octets = kept
        self._noise += octets[: NOISE_OCTETS - len(self._noise)]

    def _report_noise(self, *, ended: bool) -> Damage:
        octets = bytes(self._noise).rstrip(self._ignored)
        self._noise.clear()
        error = FramingError(
            "octets outside any frame; if there are many, compare baud rate and parity with the meter's",
            FramingReason.UNEXPECTED,
            offset=0,
        )
        return Damage(self._noise_start, octets, error, ended=ended, framed=False)
