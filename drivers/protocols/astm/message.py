"""From the pieces of a message to its records and their hierarchy: header, patient, order, results, comments.

A message is ``H {P {O {R}}} L``; C and M records belong to the record they follow (LIS02-A 5.3). Everything
that one order holds is one `Group`, because one order of an INR meter is one test.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from drivers.errors import FramingError, FramingReason, ProtocolError, ProtocolReason
from drivers.protocols.astm.frames import parse_frame
from drivers.protocols.astm.records import Delimiters, Record, text_of

__all__ = ["Group", "Message", "Stray", "assemble", "structure"]

MAX_RECORDS = 100_000
MAX_ITEMS = 10_000
"""The largest memories known hold 2500 tests."""
MAX_SHARED_OCTETS = 4096
"""Header and patient records are repeated in the octets of each of their groups, so their length is limited."""

_RECORD = re.compile(rb"[^\r\n]+")


@dataclass(slots=True)
class Group:
    """One test: an order with its results and comments, under its patient and header.

    Attributes:
        order: the O record; None when results stand directly under a patient or header.
        shared: header and patient with the comments that follow them.
        own: the order and everything under it.
    """

    header: Record
    patient: Record | None
    order: Record | None
    shared: tuple[Record, ...]
    own: list[Record] = field(default_factory=list)

    @property
    def octets(self) -> bytes:
        """The records of this test, each ended by CR: a message text that decodes to this test alone."""
        return b"".join([part for record in (*self.shared, *self.own) for part in (record.octets, b"\r")])

    def offset_of(self, record: Record) -> int:
        """Where a record of this test begins within `octets`."""
        offset = 0
        for other in (*self.shared, *self.own):
            if other is record:
                break
            offset += len(other.octets) + 1
        return offset

    def of_type(self, record_type: str) -> list[Record]:
        """All records of a type, in order."""
        return [record for record in (*self.shared, *self.own) if record.type == record_type]


@dataclass(frozen=True, slots=True)
class Stray:
    """A record that cannot stand where it stands, with the header of its message."""

    header: Record
    record: Record

    @property
    def octets(self) -> bytes:
        """Header and record, each ended by CR."""
        return self.header.octets + b"\r" + self.record.octets + b"\r"


@dataclass(frozen=True, slots=True)
class Message:
    """A message's records in their hierarchy.

    Attributes:
        header: the first header.
        header_piece: index of the piece that carried it.
        items: tests and stray records in the order of the message.
    """

    header: Record
    header_piece: int
    items: tuple[Group | Stray, ...]


def assemble(pieces: Sequence[bytes]) -> tuple[bytes, list[int], bool]:
    """Join the texts of frames; pieces without STX are taken as message text itself.

    Returns:
        The text, the offset within it at which each piece begins, and whether it came in frames.

    Raises:
        FramingError: a piece is a damaged frame; its offset counts from the start of the first piece.
    """
    texts: list[bytes] = []
    starts: list[int] = []
    length = offset = 0
    framed = False
    for piece in pieces:
        text = piece
        if piece[:1] == b"\x02":
            framed = True
            try:
                frame = parse_frame(piece)
            except FramingError as error:
                reason = FramingReason(error.reason)
                raise FramingError(str(error), reason, offset=offset + (error.offset or 0)) from None
            text = frame.text
            if frame.last and not text.endswith(b"\r"):
                text += b"\r"
        starts.append(length)
        texts.append(text)
        length += len(text)
        offset += len(piece)
    return b"".join(texts), starts, framed


def structure(pieces: Sequence[bytes]) -> Message:
    """Put the records of one message into their hierarchy.

    Raises:
        FramingError: a piece is a damaged frame.
        ProtocolError: no header, no last record (of a framed message), or more records than any meter holds.
    """
    text, starts, framed = assemble(pieces)
    found = list(_RECORD.finditer(text))
    if len(found) > MAX_RECORDS:
        raise ProtocolError(
            f"the message has {len(found)} records; more than {MAX_RECORDS} are not decoded",
            ProtocolReason.BAD_STRUCTURE,
        )
    builder: _Builder | None = None
    for match in found:
        octets, offset = match.group(), match.start()
        if octets[:1] == b"H" and not octets[1:2].isalnum():
            delimiters = Delimiters(text_of(octets), offset)
            header = Record(octets, offset, text_of(octets).split(delimiters.field), delimiters)
            if builder is None:
                builder = _Builder(header, header)
            else:
                builder.begin(header)
        elif builder is None:
            raise ProtocolError(
                "the message does not begin with a header record (H); its delimiters are unknown",
                ProtocolReason.NO_HEADER,
                offset=offset,
            )
        else:
            builder.add(Record.parse(octets, offset, builder.header.delimiters))
    if builder is None:
        raise ProtocolError("the message has no records", ProtocolReason.NO_HEADER, offset=0)
    if framed and not builder.ended:
        raise ProtocolError("the message has no last record (L)", ProtocolReason.NO_END, offset=len(text))
    return Message(builder.first, bisect_right(starts, builder.first.offset) - 1, tuple(builder.items))


class _Builder:
    """Adds records one by one to the place where they belong."""

    def __init__(self, first: Record, header: Record) -> None:
        self.first = first
        self.items: list[Group | Stray] = []
        self.begin(header)

    def begin(self, header: Record) -> None:
        """A header: a message in its own right, possibly in the same frame as the one before."""
        if len(header.octets) > MAX_SHARED_OCTETS:
            raise ProtocolError(
                f"the header record is longer than {MAX_SHARED_OCTETS} octets",
                ProtocolReason.BAD_STRUCTURE,
                offset=header.offset,
            )
        self.header = header
        self.ended = False
        self._patient: Record | None = None
        self._of_header = [header]
        self._of_patient: list[Record] = []
        self._group: Group | None = None

    def add(self, record: Record) -> None:
        """Any record but a header."""
        kind = record.type
        if self.ended:
            self._append(Stray(self.header, record))
        elif kind == "O":
            self._open(record)
        elif kind == "R":
            (self._group or self._open(None)).own.append(record)
        elif kind in ("C", "M", "S"):
            if self._group is not None:
                self._group.own.append(record)
            else:
                (self._of_patient or self._of_header).append(record)
        elif kind == "P":
            self._patient, self._of_patient, self._group = record, [record], None
        elif kind == "L":
            self.ended = True
            self._group = None
        else:
            self._append(Stray(self.header, record))

    def _open(self, order: Record | None) -> Group:
        shared = (*self._of_header, *self._of_patient)
        if sum(len(record.octets) for record in shared) > MAX_SHARED_OCTETS:
            raise ProtocolError(
                f"header and patient records are longer than {MAX_SHARED_OCTETS} octets together",
                ProtocolReason.BAD_STRUCTURE,
                offset=shared[-1].offset,
            )
        self._group = Group(self.header, self._patient, order, shared, [order] if order is not None else [])
        self._append(self._group)
        return self._group

    def _append(self, item: Group | Stray) -> None:
        if len(self.items) == MAX_ITEMS:
            raise ProtocolError(f"the message has more than {MAX_ITEMS} tests", ProtocolReason.BAD_STRUCTURE)
        self.items.append(item)
