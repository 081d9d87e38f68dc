"""Stored segments of a PM-store: choosing them, asking for one, and its entries on their way.

Source: IEEE 11073-20601, annex A (SegmSelection, SegmentInfoList, TrigSegmDataXferReq, SegmentDataEvent) and the
clause on the PM-store class.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct
from typing import NamedTuple

from drivers.protocols.ieee11073.apdu import Attribute, attribute_list, encode_attributes
from drivers.protocols.ieee11073.mder import PAIR, U16, Reader, listing, sized

__all__ = [
    "SEGMENT",
    "SEGMENT_AGENT_ABORT",
    "SEGMENT_CONFIRM",
    "SEGMENT_FIRST",
    "SEGMENT_LAST",
    "SegmentData",
    "SegmentDetails",
    "SegmentList",
    "SegmentReply",
    "Selection",
    "Trigger",
    "TriggerReply",
]

SEGMENT = Struct(">HIIH")
SEGMENT_FIRST = 0x8000
SEGMENT_LAST = 0x4000
SEGMENT_AGENT_ABORT = 0x0800
SEGMENT_CONFIRM = 0x0080


@dataclass(frozen=True, slots=True)
class SegmentData:
    """Entries of a stored segment on their way."""

    instance: int
    index: int
    count: int
    status: int
    entries: bytes
    at: int = field(default=0, compare=False)

    @classmethod
    def read(cls, reader: Reader) -> SegmentData:
        """Read the whole of a reader."""
        instance, index, count, status = reader.unpack(SEGMENT, "segment data event")
        length = reader.u16("length of the segment entries")
        at = reader.at
        entries = reader.take(length, "segment entries")
        reader.finish("segment data event")
        return cls(instance, index, count, status, entries, at)

    def encode(self) -> bytes:
        """Octets of the event information."""
        return SEGMENT.pack(self.instance, self.index, self.count, self.status) + sized(self.entries)


@dataclass(frozen=True, slots=True)
class SegmentReply:
    """A manager's answer to a segment data event."""

    instance: int
    index: int
    count: int
    status: int

    def encode(self) -> bytes:
        """Octets of the reply information."""
        return SEGMENT.pack(self.instance, self.index, self.count, self.status)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which segments: 1 all, 2 those of a list of instance numbers, 3 those within a range of absolute times."""

    choice: int
    value: bytes

    @classmethod
    def all(cls) -> Selection:
        """Every segment."""
        return cls(1, bytes(2))

    @classmethod
    def instances(cls, numbers: tuple[int, ...]) -> Selection:
        """Some segments by instance number."""
        return cls(2, listing(U16.pack(number) for number in numbers))

    @classmethod
    def read(cls, reader: Reader) -> Selection:
        """Read the whole of a reader."""
        selection = cls(reader.u16("segment selection"), reader.sized("segment selection"))
        reader.finish("segment selection")
        return selection

    def encode(self) -> bytes:
        """Octets of the action information."""
        return U16.pack(self.choice) + sized(self.value)


class SegmentDetails(NamedTuple):
    """Attributes of one stored segment."""

    instance: int
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class SegmentList:
    """The segments of a store."""

    segments: tuple[SegmentDetails, ...]

    @classmethod
    def read(cls, reader: Reader) -> SegmentList:
        """Read the whole of a reader."""
        count, part = reader.listing("segment-info-list")
        segments = tuple(SegmentDetails(part.u16("instance"), attribute_list(part)) for _ in range(count))
        part.finish("segment-info-list")
        reader.finish("segment information")
        return cls(segments)

    def encode(self) -> bytes:
        """Octets of the action information."""
        return listing(U16.pack(each.instance) + encode_attributes(each.attributes) for each in self.segments)


@dataclass(frozen=True, slots=True)
class Trigger:
    """An order to send one segment."""

    instance: int

    def encode(self) -> bytes:
        """Octets of the action information."""
        return U16.pack(self.instance)


@dataclass(frozen=True, slots=True)
class TriggerReply:
    """Whether a segment comes: 0 yes, 1 no such segment, 2 try later, 3 it is empty, 512 another failure."""

    instance: int
    result: int

    def encode(self) -> bytes:
        """Octets of the action information."""
        return PAIR.pack(self.instance, self.result)
