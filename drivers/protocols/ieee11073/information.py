"""What events and actions carry: configuration reports, scan reports, stored segments, data requests.

Source: IEEE 11073-20601, annex A (ConfigReport, ScanReportInfo…, SegmentDataEvent, DataRequest, SegmSelection) and
the clauses on the MDS, scanner and PM-store classes. Every class encodes itself again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from struct import Struct
from typing import NamedTuple, TypeVar

from drivers.protocols.ieee11073 import nomenclature as mdc
from drivers.protocols.ieee11073.apdu import (
    Action,
    ActionReply,
    Attribute,
    EventReply,
    EventReport,
    attribute_list,
    encode_attributes,
)
from drivers.protocols.ieee11073.mder import PAIR, U16, Reader, listing, malformed, sized

__all__ = [
    "ConfigObject",
    "ConfigReply",
    "ConfigReport",
    "DataReply",
    "DataRequest",
    "Form",
    "Information",
    "ScanReport",
    "SegmentData",
    "SegmentDetails",
    "SegmentList",
    "SegmentReply",
    "Selection",
    "SetTime",
    "Trigger",
    "TriggerReply",
    "read_action",
    "read_event",
]

FOUR = Struct(">HHHH")
SEGMENT = Struct(">HIIH")
REQUEST = Struct(">HHIHH")
DATA_REPLY = Struct(">IHH")

SEGMENT_FIRST = 0x8000
SEGMENT_LAST = 0x4000
SEGMENT_AGENT_ABORT = 0x0800
SEGMENT_CONFIRM = 0x0080
SEGMENT_MANAGER_ABORT = 0x0008


@dataclass(frozen=True, slots=True)
class ConfigObject:
    """One object of an agent's configuration."""

    object_class: int
    handle: int
    attributes: tuple[Attribute, ...]

    def encode(self) -> bytes:
        """Octets of the object."""
        return PAIR.pack(self.object_class, self.handle) + encode_attributes(self.attributes)


@dataclass(frozen=True, slots=True)
class ConfigReport:
    """The objects an agent has; empty when it expects the manager to know a standard configuration."""

    config_id: int
    objects: tuple[ConfigObject, ...]

    @classmethod
    def read(cls, reader: Reader) -> ConfigReport:
        """Read the whole of a reader."""
        config_id = reader.u16("config-report-id")
        count, part = reader.listing("config-obj-list")
        objects = []
        for _ in range(count):
            object_class, handle = part.unpack(PAIR, "object class and handle")
            objects.append(ConfigObject(object_class, handle, attribute_list(part)))
        part.finish("config-obj-list")
        return cls(config_id, tuple(objects))

    def encode(self) -> bytes:
        """Octets of the event information."""
        return U16.pack(self.config_id) + listing(each.encode() for each in self.objects)


@dataclass(frozen=True, slots=True)
class ConfigReply:
    """What a manager thinks of a configuration: 0 accepted, 1 unsupported, 2 standard configuration unknown."""

    config_id: int
    result: int

    def encode(self) -> bytes:
        """Octets of the reply information."""
        return PAIR.pack(self.config_id, self.result)


class Form(StrEnum):
    """How a scan report lays out its observations."""

    FIXED = "fixed"
    """By the attribute-value-map of each object."""
    VARIABLE = "variable"
    """Each attribute names itself."""
    GROUPED = "grouped"
    """By the handle-attribute-value-map of the scanner that reports."""


class Scan(NamedTuple):
    """What a scan report says of one object; `at` is where `octets` stood in the APDU.

    Attributes:
        person: the person identifier of a multi-person report (FFFF is unknown), else None.
        handle: the object, or None in a grouped report.
        octets: values without their attribute identifiers (fixed, grouped), or an attribute list (variable).
    """

    person: int | None
    handle: int | None
    octets: bytes
    at: int


@dataclass(frozen=True, slots=True)
class ScanReport:
    """Observations, whichever of the sixteen scan events brought them."""

    form: Form
    by_person: bool
    request_id: int
    number: int
    scans: tuple[Scan, ...]
    persons: tuple[int, ...] = field(default=(), repr=False)

    @classmethod
    def read(cls, event: int, reader: Reader) -> ScanReport:
        """Read the whole of a reader."""
        form, by_person = SCAN_EVENTS[event]
        request_id, number, count, length = reader.unpack(FOUR, "scan report")
        if length != reader.left:
            raise malformed(f"observations say {length} octets, {reader.left} are there", reader.at - 2)
        scans: list[Scan] = []
        persons = []
        if not by_person:
            _read_scans(form, None, count, reader, scans)
        elif form is Form.GROUPED:
            for _ in range(count):
                persons.append(person := reader.u16("person-id"))
                _read_scans(form, person, 1, reader, scans)
        else:
            for _ in range(count):
                persons.append(person := reader.u16("person-id"))
                inner, part = reader.listing("observations of one person")
                _read_scans(form, person, inner, part, scans)
                part.finish("observations of one person")
        reader.finish("scan report")
        return cls(form, by_person, request_id, number, tuple(scans), tuple(persons))

    def encode(self) -> bytes:
        """Octets of the event information."""
        front = PAIR.pack(self.request_id, self.number)
        if not self.by_person:
            return front + listing(self._scan(scan) for scan in self.scans)
        if self.form is Form.GROUPED:
            return front + listing(U16.pack(scan.person or 0) + self._scan(scan) for scan in self.scans)
        return front + listing(
            U16.pack(person) + listing(self._scan(scan) for scan in self.scans if scan.person == person)
            for person in self.persons
        )

    def _scan(self, scan: Scan) -> bytes:
        if self.form is Form.GROUPED:
            return sized(scan.octets)
        if self.form is Form.FIXED:
            return U16.pack(scan.handle or 0) + sized(scan.octets)
        return U16.pack(scan.handle or 0) + scan.octets


def _read_scans(form: Form, person: int | None, count: int, reader: Reader, scans: list[Scan]) -> None:
    for _ in range(count):
        if form is Form.FIXED:
            handle, length = reader.unpack(PAIR, "handle and length of an observation")
            at = reader.base + reader.position
            scans.append(Scan(person, handle, reader.take(length, "observation"), at))
        elif form is Form.GROUPED:
            length = reader.u16("length of a grouped observation")
            at = reader.at
            scans.append(Scan(person, None, reader.take(length, "grouped observation"), at))
        else:
            handle = reader.u16("handle of an observation")
            at, start = reader.at, reader.position
            attribute_list(reader, "observation")
            scans.append(Scan(person, handle, reader.octets[start : reader.position], at))


SCAN_EVENTS: dict[int, tuple[Form, bool]] = {
    0x0D1D: (Form.FIXED, False),
    0x0D1E: (Form.VARIABLE, False),
    0x0D1F: (Form.FIXED, True),
    0x0D20: (Form.VARIABLE, True),
    0x0D22: (Form.VARIABLE, False),
    0x0D23: (Form.FIXED, False),
    0x0D24: (Form.GROUPED, False),
    0x0D25: (Form.VARIABLE, True),
    0x0D26: (Form.FIXED, True),
    0x0D27: (Form.GROUPED, True),
    0x0D28: (Form.VARIABLE, False),
    0x0D29: (Form.FIXED, False),
    0x0D2A: (Form.GROUPED, False),
    0x0D2B: (Form.VARIABLE, True),
    0x0D2C: (Form.FIXED, True),
    0x0D2D: (Form.GROUPED, True),
}
"""Form and whether observations stand under a person; scanners use the unbuffered and buffered events."""


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

    def reply(self) -> SegmentReply:
        """The manager's confirmation of these entries."""
        return SegmentReply(self.instance, self.index, self.count, SEGMENT_CONFIRM)


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
class DataRequest:
    """A manager's wish for measurements.

    Bits of `mode`: 8000 start, 0800 all objects, 0400 of one class, 0200 by handle, 0080 a single response.
    """

    request_id: int
    mode: int
    time: int
    person: int
    object_class: int
    handles: tuple[int, ...] = ()

    @classmethod
    def read(cls, reader: Reader) -> DataRequest:
        """Read the whole of a reader."""
        request_id, mode, time, person, object_class = reader.unpack(REQUEST, "data request")
        count, part = reader.listing("handle list")
        handles = tuple(part.u16("handle") for _ in range(count))
        part.finish("handle list")
        reader.finish("data request")
        return cls(request_id, mode, time, person, object_class, handles)

    def encode(self) -> bytes:
        """Octets of the action information."""
        fields = REQUEST.pack(self.request_id, self.mode, self.time, self.person, self.object_class)
        return fields + listing(U16.pack(handle) for handle in self.handles)


@dataclass(frozen=True, slots=True)
class DataReply:
    """An agent's answer to a data request: result 0 is no error; a single response carries its report inside."""

    time: int
    result: int
    event: int
    info: bytes
    at: int = field(default=0, compare=False)

    @classmethod
    def read(cls, reader: Reader) -> DataReply:
        """Read the whole of a reader."""
        time, result, event = reader.unpack(DATA_REPLY, "data response")
        length = reader.u16("length of event-info")
        at = reader.at
        info = reader.take(length, "event-info")
        reader.finish("data response")
        return cls(time, result, event, info, at)

    def encode(self) -> bytes:
        """Octets of the action information."""
        return DATA_REPLY.pack(self.time, self.result, self.event) + sized(self.info)

    def report(self) -> ScanReport | None:
        """The scan report inside, if there is one."""
        return ScanReport.read(self.event, Reader(self.info, self.at)) if self.event in SCAN_EVENTS else None


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


@dataclass(frozen=True, slots=True)
class SetTime:
    """A new time for the agent's clock: eight octets and, for an absolute time, the accuracy as FLOAT."""

    time: bytes
    accuracy: int | None = None

    def encode(self) -> bytes:
        """Octets of the action information."""
        return self.time if self.accuracy is None else self.time + self.accuracy.to_bytes(4, "big")


Information = (
    ConfigReport
    | ConfigReply
    | ScanReport
    | SegmentData
    | SegmentReply
    | DataRequest
    | DataReply
    | Selection
    | SegmentList
    | Trigger
    | TriggerReply
    | SetTime
)

Read = TypeVar("Read", bound=Information)


def read_event(apdu: EventReport | EventReply) -> Information | None:
    """What an event report or its reply carries; None for nothing or an event that is not known.

    Raises:
        ProtocolError: some length inside does not fit.
    """
    reader = Reader(apdu.info, apdu.at)
    if isinstance(apdu, EventReport):
        if apdu.event in SCAN_EVENTS:
            return ScanReport.read(apdu.event, reader)
        if apdu.event == mdc.CONFIG_REPORT:
            return ConfigReport.read(reader)
        return SegmentData.read(reader) if apdu.event == mdc.SEGMENT_DATA else None
    if apdu.event == mdc.CONFIG_REPORT:
        return _whole(ConfigReply(*reader.unpack(PAIR, "configuration reply")), reader)
    if apdu.event == mdc.SEGMENT_DATA:
        return _whole(SegmentReply(*reader.unpack(SEGMENT, "segment data reply")), reader)
    return None


def read_action(apdu: Action | ActionReply) -> Information | None:
    """What an action or its reply carries; None for nothing or an action that is not known.

    Raises:
        ProtocolError: some length inside does not fit.
    """
    reader = Reader(apdu.info, apdu.at)
    is_order = isinstance(apdu, Action)
    if apdu.action == mdc.DATA_REQUEST:
        return DataRequest.read(reader) if is_order else DataReply.read(reader)
    if apdu.action == mdc.SEG_GET_INFO:
        return Selection.read(reader) if is_order else SegmentList.read(reader)
    if apdu.action == mdc.SEG_TRIG_XFER:
        if is_order:
            return _whole(Trigger(reader.u16("segment instance")), reader)
        return _whole(TriggerReply(*reader.unpack(PAIR, "segment transfer reply")), reader)
    if apdu.action == mdc.SEG_CLR and is_order:
        return Selection.read(reader)
    if apdu.action == mdc.SET_TIME and is_order:
        return _whole(SetTime(reader.take(8, "time"), reader.u32("accuracy")), reader)
    if apdu.action == mdc.SET_BO_TIME and is_order:
        return _whole(SetTime(reader.take(8, "time")), reader)
    return None


def _whole(read: Read, reader: Reader) -> Read:
    reader.finish("information")
    return read
