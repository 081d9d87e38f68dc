"""Finds whole documents in a stream of octets, whatever the chunking.

POCT1-A2 sends one XML document after another. Two transport habits exist and may alternate on one line: the bare
document, which ends with the close of its root element, and the document between VT (0B) and FS CR (1C 0D), the
minimal lower layer protocol of HL7. Between documents there may be blanks, LF or CR LF.

Nothing is parsed here: a document whose inside is damaged is still found whole, so that it can be kept and
answered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from drivers.errors import FramingError, FramingReason

__all__ = ["MAX_DOCUMENT_OCTETS", "Damaged", "Document", "Framing"]

MAX_DOCUMENT_OCTETS: Final = 262_144
"""Default limit. Meters announce at most 32768 octets (DSC.max_message_sz in public vendor specifications)."""
_KEPT_RUBBISH: Final = 4096
"""Of octets between documents only so many are kept to be shown."""

_BLANK: Final = b" \t\r\n\x1c"  # an FS between documents belongs to one that was already found
_BOM: Final = b"\xef\xbb\xbf"
_NAME: Final = rb"[A-Za-z_][\w.:-]{0,127}(?=[\s/>\[])"
_MESSAGE: Final = rb"<[A-Z]{3}\.R[0-9]{2}(?=[\s/>])"
"""Start tag of a POCT1-A message; it stands nowhere else than at the root."""
_LONGEST_TOKEN: Final = 160
"""Every token below is shorter, so that one cut in two is found when its second half arrives."""
_DECLARATION: Final = rb"<\?xml\s"
_START: Final = re.compile(_DECLARATION + rb"|<!--|<!DOCTYPE\s|<" + _NAME + rb"|\x0b")
_PROLOG: Final = re.compile(
    _DECLARATION + rb"|<\?(?=[^x])|<!--|<!DOCTYPE\s{1,16}(" + _NAME + rb")|<(" + _NAME + rb")|\x0b"
)
_PLAIN: Final = re.compile(rb"[ \t\r\n]*((?:" + _DECLARATION + rb"[^<>]*\?>[ \t\r\n]*)?<([A-Z]{3}\.R[0-9]{2})>)")
_NOT_PLAIN: Final = re.compile(rb"<(?:[!?]|[A-Z]{3}\.R[0-9]{2}[\s/>])")
_UNTIL: Final = {b"<?": b"?>", b"<!--": b"-->", b"<![CDATA[": b"]]>"}
_END_OF_WRAPPER: Final = re.compile(rb"[\x0b\x1c]")
_INTERRUPTED: Final = "another document begins before this one has ended: the meter was interrupted, and repeats it"


@dataclass(frozen=True, slots=True)
class Document:
    """Octets of one document that arrived whole; without the VT and FS CR around it."""

    octets: bytes
    offset: int
    """Octets of the stream before it."""
    wrapped: bool
    """It came between VT and FS."""


@dataclass(frozen=True, slots=True)
class Damaged:
    """Octets that are no whole document.

    Attributes:
        octets: the first of them, up to the limit.
        is_document: a document began with them but did not fit or did not end.
    """

    octets: bytes
    error: FramingError
    is_document: bool


class _Where(Enum):
    BETWEEN = auto()
    PROLOG = auto()
    SKIPPING = auto()
    OPENING = auto()
    BODY = auto()
    CLOSING = auto()
    WRAPPED = auto()


class Framing:
    """A stream of octets, from which documents are taken one by one.

    What was fed and not yet taken is held; the caller bounds it by taking before it feeds more. While a document
    is incomplete, at most the limit is held, however long it grows.

    Args:
        max_document_octets: a longer document is discarded up to its end and reported with its first octets.
    """

    def __init__(self, max_document_octets: int = MAX_DOCUMENT_OCTETS) -> None:
        self._limit = max_document_octets
        self._buffer = bytearray()
        self._offset = 0  # octets of the stream before the buffer
        self._reset()
        self._rubbish = bytearray()
        self._rubbish_octets = 0
        self._rubbish_offset = 0

    @property
    def held_octets(self) -> int:
        """How much was fed and not yet taken."""
        return len(self._buffer)

    @property
    def inside_document(self) -> bool:
        """Whether a document has begun and not yet ended."""
        return self._where is not _Where.BETWEEN

    def feed(self, octets: bytes) -> None:
        """Octets arrived."""
        self._buffer += octets

    def take(self) -> Document | Damaged | None:
        """The next document or damage, or None when more octets are needed."""
        if not self._buffer:
            return None
        if self._where is _Where.BETWEEN and (plain := self._plain()) is not None:
            return plain
        while True:
            before = (self._where, self._at, self._offset)
            found = self._step()
            if found is not None:
                return found
            if (self._where, self._at, self._offset) == before:
                return None

    def finish(self) -> list[Damaged]:
        """The stream ended: what is left over, as damage. Afterwards a new stream may begin."""
        left: list[Damaged] = []
        if self.inside_document:
            left.append(self._broken(len(self._buffer), "the stream ended inside a document; the meter repeats it"))
        self._set_aside(len(self._buffer))
        rubbish = self._take_rubbish()
        return left if rubbish is None else [*left, rubbish]

    def _reset(self) -> None:
        """Between documents. A document always begins at the start of the buffer."""
        self._where = _Where.BETWEEN
        self._at = 0  # what is before was looked at
        self._terminator = b""
        self._then = _Where.PROLOG
        self._announced = b""  # start tag of the root element that a document type promises
        self._body = _START
        self._long: bytes | None = None
        self._dropped = 0  # octets of a too long document that are no longer in the buffer

    def _plain(self) -> Document | None:
        """A whole document as nearly all are, with nothing in it that could deceive: found in less time."""
        front = None if self._rubbish_octets else _PLAIN.match(self._buffer)
        if front is None:
            return None
        start, inside, closing = front.start(1), front.end(), b"</" + front[2] + b">"
        del front  # while it is there, the buffer cannot be moved
        end = self._buffer.find(closing, inside) + len(closing)
        if end < len(closing) or end - start > self._limit or self._buffer.find(b"\x0b", inside, end) >= 0:
            return None
        if _NOT_PLAIN.search(self._buffer, inside, end):
            return None
        octets, offset = bytes(self._buffer[start:end]), self._offset + start
        while end < len(self._buffer) and self._buffer[end] in b"\r\n":
            end += 1
        self._drop(end)
        return Document(octets, offset, wrapped=False)

    def _step(self) -> Document | Damaged | None:
        match self._where:
            case _Where.BETWEEN:
                return self._between()
            case _Where.PROLOG:
                return self._prolog()
            case _Where.SKIPPING:
                return self._skip()
            case _Where.OPENING:
                return self._opening()
            case _Where.BODY:
                return self._in_body()
            case _Where.CLOSING:
                return self._closing()
            case _Where.WRAPPED:
                return self._in_wrapper()

    def _between(self) -> Damaged | None:
        match = _START.search(self._buffer)
        if match is None:
            maybe = self._buffer.find(b"<", max(0, len(self._buffer) - _LONGEST_TOKEN))
            self._set_aside(len(self._buffer) if maybe < 0 else maybe)
            return None
        is_wrapper = match[0] == b"\x0b"  # asked before the buffer moves: a match reads from it when it is asked
        self._set_aside(match.start())
        rubbish = self._take_rubbish()
        if rubbish is not None:
            return rubbish
        if is_wrapper:
            self._drop(1)
            self._where = _Where.WRAPPED
        else:
            self._where = _Where.PROLOG
        return None

    def _prolog(self) -> Damaged | None:
        match = _PROLOG.search(self._buffer, self._at)
        if match is None:
            self._wait(_LONGEST_TOKEN)
            return None
        token = match[0]
        if token == b"\x0b" or (token.startswith(b"<?xml") and match.start() + self._dropped > 0):
            return self._broken(match.start(), _INTERRUPTED)
        if token in _UNTIL or token.startswith(b"<?"):
            self._begin_skip(token[:2] if token.startswith(b"<?") else token, match.end(), _Where.PROLOG)
            return None
        # A document type names its root element. It is refused when it is parsed; here only its end matters.
        root: bytes = match[1] or match[2]
        self._announced = b"<" + root if match[1] else b""
        end = rb"</" + re.escape(root) + rb"(?=[\s>])"
        others = rb"|<!--|<!\[CDATA\[|<\?(?=[^x])|\x0b|" + _DECLARATION + rb"|" + _MESSAGE
        self._body = re.compile(end + others)
        self._at = match.end()
        self._where = _Where.BODY if match[1] else _Where.OPENING
        return None

    def _skip(self) -> Damaged | None:
        end = self._buffer.find(self._terminator, self._at)
        if end < 0:
            self._wait(len(self._terminator) - 1)
            return None
        self._at = end + len(self._terminator)
        self._where = self._then
        return None

    def _opening(self) -> Document | Damaged | None:
        """Inside the start tag of the root element."""
        end = self._buffer.find(b">", self._at)
        again = self._buffer.find(b"<", self._at, end if end >= 0 else len(self._buffer))
        if again >= 0:
            return self._broken(again, "the start tag of the root element is not closed")
        if end < 0:
            self._wait(1)
            return None
        self._at = end + 1
        if self._buffer[end - 1] == ord("/"):
            return self._whole(end + 1)
        self._where = _Where.BODY
        return None

    def _in_body(self) -> Damaged | None:
        match = self._body.search(self._buffer, self._at)
        if match is None:
            self._wait(_LONGEST_TOKEN)
            return None
        token = match[0]
        if token in _UNTIL:
            self._begin_skip(token, match.end(), _Where.BODY)
            return None
        if token.startswith(b"</"):
            self._where = _Where.CLOSING
        elif token != self._announced:
            return self._broken(match.start(), _INTERRUPTED)
        self._announced = b""
        self._at = match.end()
        return None

    def _closing(self) -> Document | Damaged | None:
        end = self._buffer.find(b">", self._at)
        if end >= 0:
            return self._whole(end + 1)
        self._wait(0)
        return None

    def _in_wrapper(self) -> Document | Damaged | None:
        match = _END_OF_WRAPPER.search(self._buffer, self._at)
        if match is None:
            self._wait(0)
            return None
        if match[0] == b"\x0b" and match.start() + self._dropped > 0:
            return self._broken(match.start(), _INTERRUPTED)
        return self._whole(match.start(), wrapped=True)

    def _begin_skip(self, token: bytes, at: int, then: _Where) -> None:
        self._terminator = _UNTIL[token]
        self._at = at
        self._then = then
        self._where = _Where.SKIPPING

    def _wait(self, may_belong_together: int) -> None:
        """No more to see until more arrives; the last octets may be the beginning of what is looked for."""
        self._at = max(self._at, len(self._buffer) - may_belong_together)
        if self._long is None and len(self._buffer) > self._limit:
            self._long = bytes(self._buffer[: self._limit])
        if self._long is not None:
            self._dropped += self._at
            self._drop(self._at)

    def _whole(self, end: int, *, wrapped: bool = False) -> Document | Damaged | None:
        length = self._dropped + end
        if length > self._limit:
            return self._broken(
                end,
                f"a document of {length} octets is longer than the limit of {self._limit}; if it is genuine, raise "
                "max_document_octets in the meter's profile",
                FramingReason.TOO_LONG,
            )
        octets, offset = bytes(self._buffer[:end]), self._offset
        self._drop(end)
        self._reset()
        if wrapped and not octets.strip(_BLANK):
            return None
        return Document(octets, offset, wrapped)

    def _broken(self, end: int, why: str, reason: FramingReason = FramingReason.TRUNCATED) -> Damaged:
        """The document that has begun ends here, damaged."""
        kept = min(self._dropped + end, self._limit)
        octets = bytes(self._buffer[:kept]) if self._long is None else self._long[:kept]
        offset = self._offset - self._dropped
        self._drop(end)
        self._reset()
        return Damaged(octets, FramingError(f"octet {offset}: {why}", reason, offset=offset), is_document=True)

    def _set_aside(self, end: int) -> None:
        """What stands before `end` is no document: blanks are forgotten, the first octets of anything else kept."""
        octets = bytes(self._buffer[:end])
        if not self._rubbish_octets:
            octets = octets.lstrip(_BLANK)
            self._rubbish_offset = self._offset + end - len(octets)
        self._rubbish += octets[: _KEPT_RUBBISH - len(self._rubbish)]
        self._rubbish_octets += len(octets)
        self._drop(end)

    def _take_rubbish(self) -> Damaged | None:
        octets, length = bytes(self._rubbish), self._rubbish_octets
        self._rubbish.clear()
        self._rubbish_octets = 0
        return None if not octets or octets == _BOM else self._no_document(octets, self._rubbish_offset, length)

    @staticmethod
    def _no_document(octets: bytes, offset: int, length: int) -> Damaged:
        why = (
            f"octet {offset}: {length} octets stand between documents and belong to none; look at the meter's line"
        )
        return Damaged(octets, FramingError(why, FramingReason.UNEXPECTED, offset=offset), is_document=False)

    def _drop(self, length: int) -> None:
        del self._buffer[:length]
        self._offset += length
        self._at = max(0, self._at - length)
