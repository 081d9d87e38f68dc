"""Observations on their way: scan reports, and the data requests that may ask for them.

Source: IEEE 11073-20601, annex A (ScanReportInfo…, DataRequest, DataResponse) and the clauses on the MDS and the
scanner classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from struct import Struct
from typing import NamedTuple

from drivers.protocols.ieee11073.apdu import attribute_list
from drivers.protocols.ieee11073.mder import PAIR, U16, Reader, listing, malformed, sized

__all__ = ["SCAN_EVENTS", "DataReply", "DataRequest", "Form", "Scan", "ScanReport"]

FOUR = Struct(">HHHH")
REQUEST = Struct(">HHIHH")
DATA_REPLY = Struct(">IHH")


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
