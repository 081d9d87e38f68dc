"""Observations out of the segments that notifications carry.

One octet before each: bit 0 first segment, bit 1 last, bits 2 to 7 a counter that goes on by one with each segment
and from 63 to 0. A jump inside an observation means that a segment is missing: the observation is dropped and must
be read again. Between observations a jump says nothing: some sensors begin anew with each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from drivers.errors import FramingError, FramingReason
from drivers.protocols.gatt import Notified, encode
from drivers.protocols.ghs import names

__all__ = ["MAX_OBSERVATION_OCTETS", "Assembler", "Broken", "Whole", "framed"]

MAX_OBSERVATION_OCTETS: Final = 4 + 3 + 0xFFFF
"""Record number, class and length, and what a length can count."""
MAX_SEGMENTS: Final = 4096
"""As many as the largest observation needs with the smallest ATT MTU, and some more."""
_FIRST: Final = 1
_LAST: Final = 2
_COUNTERS: Final = 64
_FRAMED_OCTETS: Final = 60_000


@dataclass(frozen=True, slots=True)
class Whole:
    """All segments of one observation, as they came."""

    segments: tuple[bytes, ...]

    @property
    def content(self) -> bytes:
        """What they carry together."""
        return b"".join(segment[1:] for segment in self.segments)


@dataclass(frozen=True, slots=True)
class Broken:
    """Segments that make no observation.

    Attributes:
        segments: what came of it; when the first of them is the observation's first, it may tell the record number.
    """

    segments: tuple[bytes, ...]
    error: FramingError


class Assembler:
    """Puts the segments of one characteristic together. Holds one observation at most."""

    def __init__(self) -> None:
        self._segments: list[bytes] = []
        self._octets = 0
        self._error: FramingError | None = None
        self._previous = b""
        self._last_whole: tuple[bytes, ...] = ()

    def reset(self) -> None:
        """A new report begins: what is the same as before it is no repetition by the radio."""
        self._previous, self._last_whole = b"", ()

    @property
    def is_partial(self) -> bool:
        """Some of an observation has come, and the rest has not."""
        return bool(self._segments)

    def feed(self, segment: bytes) -> list[Whole | Broken]:
        """A segment arrived. One that only repeats the one before is passed over."""
        if segment and segment == self._previous:
            return []
        self._previous = segment
        found: list[Whole | Broken] = []
        is_first, is_last = bool(segment[:1]) and bool(segment[0] & _FIRST), bool(segment) and segment[0] & _LAST
        if is_first and self._segments:
            self._fail("the observation before ended without its last segment", FramingReason.TRUNCATED)
            found.extend(self.rest())
        if not segment:
            self._fail("a segment without its header", FramingReason.TRUNCATED)
        elif not is_first:
            self._check(segment)
        if self._octets <= MAX_OBSERVATION_OCTETS and len(self._segments) < MAX_SEGMENTS:
            self._segments.append(segment)
            self._octets += len(segment) - 1
        else:
            self._octets = MAX_OBSERVATION_OCTETS + 1
        if self._octets > MAX_OBSERVATION_OCTETS:
            self._fail(f"an observation of more than {MAX_OBSERVATION_OCTETS} octets", FramingReason.TOO_LONG)
        if not is_last:
            return found
        if self._error is not None:
            return [*found, *self.rest()]
        whole, self._segments, self._octets = tuple(self._segments), [], 0
        if whole == self._last_whole:
            return found
        self._last_whole = whole
        return [*found, Whole(whole)]

    def rest(self) -> list[Broken]:
        """Segments of an observation that will not become whole; they are forgotten."""
        if not self._segments:
            return []
        error = self._error or FramingError(
            "an observation ended without its last segment", FramingReason.TRUNCATED, offset=self._octets
        )
        broken = Broken(tuple(self._segments), error)
        self._segments, self._octets, self._error = [], 0, None
        return [broken]

    def _check(self, segment: bytes) -> None:
        if self._error is not None:
            return
        if not self._segments:
            self._fail("an observation begins in its middle", FramingReason.BAD_SEQUENCE)
            return
        counter, expected = segment[0] >> 2, ((self._segments[-1][0] >> 2) + 1) % _COUNTERS
        if counter != expected:
            self._fail(f"segment {counter} came where {expected} should", FramingReason.BAD_SEQUENCE)

    def _fail(self, why: str, reason: FramingReason) -> None:
        if self._error is None:
            message = f"octet {self._octets} of an observation: {why}; it is dropped and read again"
            self._error = FramingError(message, reason, offset=self._octets)


def framed(uuid: str, content: bytes) -> bytes:
    """GATT frames that carry an observation's content whole, in as few segments as possible."""
    parts = [content[start : start + _FRAMED_OCTETS] for start in range(0, len(content), _FRAMED_OCTETS)] or [b""]
    last = len(parts) - 1
    return b"".join(
        encode(Notified(uuid, bytes([(place == 0) | (place == last) << 1 | place << 2]) + part))
        for place, part in enumerate(parts)
    )


OBSERVATIONS: Final = frozenset({names.LIVE, names.STORED})
"""Characteristics whose values are segments."""
