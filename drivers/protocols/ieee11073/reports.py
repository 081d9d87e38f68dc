"""Observations: what scan reports and stored segments say, resolved by the agent's configuration.

Source: IEEE 11073-20601, clauses on scan reports (fixed, variable, grouped; single and multi-person) and on the
PM-segment's entries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from drivers.errors import ProtocolError, ProtocolReason
from drivers.protocols.ieee11073 import nomenclature as mdc
from drivers.protocols.ieee11073.apdu import EventReport, attribute_list
from drivers.protocols.ieee11073.attributes import read_value
from drivers.protocols.ieee11073.information import read_event
from drivers.protocols.ieee11073.mder import Reader, malformed
from drivers.protocols.ieee11073.objects import Configuration, MeterObject, Segment, read_all, typed
from drivers.protocols.ieee11073.scans import SCAN_EVENTS, Form, Scan, ScanReport
from drivers.protocols.ieee11073.segments import SegmentData
from drivers.protocols.ieee11073.structures import Layout, Value

__all__ = ["Entry", "Observation", "fits", "is_measurement_alone", "observations", "segment_entries"]

_HEADER = ((0x8000, 0x0990, 8), (0x4000, 0x0991, 4), (0x2000, 0x09E9, 8))
"""Bits of a segment's entry header in the order their times stand, the time stamp they are, and its length."""


class Observation(NamedTuple):
    """What was observed of one object.

    Attributes:
        type: full 32-bit code, or None when the object's configuration does not say.
        unit: unit code in force for this observation, or None.
        values: attribute values by identifier.
    """

    handle: int
    type: int | None
    unit: int | None
    person: int | None
    values: Mapping[int, Value]


class Entry(NamedTuple):
    """One entry of a stored segment with the octets it was read from."""

    observations: tuple[Observation, ...]
    octets: bytes


def observations(report: ScanReport, scan: Scan, configuration: Configuration, scanner: int) -> list[Observation]:
    """What one part of a scan report says.

    Args:
        report: the report that `scan` is a part of.
        scan: the part.
        configuration: the agent's objects.
        scanner: handle of the object that sent the report; lays out grouped reports.

    Raises:
        ProtocolError: the part does not fit the configuration.
    """
    if report.form is Form.VARIABLE:
        attributes = attribute_list(Reader(scan.octets, scan.at), "observation")
        return [_observation(configuration.objects.get(scan.handle or 0), scan, read_all(attributes))]
    if report.form is Form.FIXED:
        known = _known(configuration, scan)
        values, used = _laid_out(known.layout, scan.octets, 0, scan.at)
        _used_up(scan.octets, used, scan.at)
        return [_observation(known, scan, values)]
    reporting = configuration.objects.get(scanner)
    if reporting is None or not reporting.scanned:
        raise malformed(f"no layout is known for grouped reports of object {scanner}", scan.at, _UNSUPPORTED)
    found = []
    position = 0
    for handle, layout in reporting.scanned:
        of_object = scan._replace(handle=handle)
        values, position = _laid_out(layout, scan.octets, position, scan.at)
        found.append(_observation(configuration.objects.get(handle), of_object, values))
    _used_up(scan.octets, position, scan.at)
    return found


def is_measurement_alone(apdu: EventReport) -> bool:
    """Whether nothing can follow from a report for what comes after it: no new layout, no end of a segment."""
    form, _ = SCAN_EVENTS.get(apdu.event, (None, False))
    return form in (Form.FIXED, Form.GROUPED)


def fits(apdu: EventReport, configuration: Configuration) -> bool:
    """Whether the observations of a scan report are of objects that a configuration has, and as long as it says.

    A report that does not even have its own form says nothing about a configuration.
    """
    try:
        report = read_event(apdu)
    except ProtocolError:
        return True
    if not isinstance(report, ScanReport):
        return True
    if report.form is Form.GROUPED:
        scanner = configuration.objects.get(apdu.handle)
        octets = sum(_octets(layout) for _, layout in scanner.scanned) if scanner is not None else 0
        return all(len(scan.octets) == octets for scan in report.scans)
    for scan in report.scans:
        known = configuration.objects.get(scan.handle or 0)
        if known is None or (report.form is Form.FIXED and len(scan.octets) != _octets(known.layout)):
            return False
    return True


def _octets(layout: Layout) -> int:
    return sum(length for _, length in layout)


def segment_entries(event: SegmentData, segment: Segment, configuration: Configuration) -> Iterator[Entry]:
    """The entries that one segment data event carries.

    Raises:
        ProtocolError: the entries do not fit the segment's map.
    """
    if segment.map is None:
        raise malformed(f"no map is known for the entries of segment {segment.instance}", event.at, _UNSUPPORTED)
    octets, at = event.entries, event.at
    position = 0
    for number in range(event.count):
        start = position
        header: dict[int, Value] = {}
        for bit, stamp, length in _HEADER:
            if segment.map.header & bit:
                header[stamp] = read_value(stamp, _cut(octets, position, length, at), at + position)
                position += length
        found = []
        for element in segment.map.elements:
            values, position = _laid_out(element.layout, octets, position, at)
            for fixed in segment.fixed:
                if (fixed.object_class, fixed.type) == (element.object_class, element.type):
                    values = read_all(fixed.attributes) | values
            known = configuration.objects.get(element.handle)
            code = element.type or (known.type if known else None)
            unit = typed(values, 0x0996, int) or (known.unit if known else None)
            found.append(Observation(element.handle, code, unit, segment.person, header | values))
        if position == start:
            raise malformed(f"the map of segment {segment.instance} describes empty entries", at, _UNSUPPORTED)
        yield Entry(tuple(found), octets[start:position])
        if position == len(octets) and number + 1 != event.count:
            raise malformed(f"segment says {event.count} entries, {number + 1} are there", at + position)
    _used_up(octets, position, at)


_UNSUPPORTED = ProtocolReason.UNSUPPORTED


def _known(configuration: Configuration, scan: Scan) -> MeterObject:
    known = configuration.objects.get(scan.handle or 0)
    if known is None:
        raise malformed(f"object {scan.handle} stands in no configuration report", scan.at, _UNSUPPORTED)
    if not known.layout:
        raise malformed(f"object {scan.handle} has no attribute-value-map", scan.at, _UNSUPPORTED)
    return known


def _laid_out(layout: Layout, octets: bytes, position: int, at: int) -> tuple[dict[int, Value], int]:
    values: dict[int, Value] = {}
    for identifier, length in layout:
        part = octets[position : position + length]
        if len(part) != length:
            part = _cut(octets, position, length, at)
        values[identifier] = read_value(identifier, part, at + position)
        position += length
    return values, position


def _cut(octets: bytes, position: int, length: int, at: int) -> bytes:
    if position + length > len(octets):
        left = len(octets) - position
        raise malformed(f"the layout needs {length} octets, {left} are there", at + position)
    return octets[position : position + length]


def _used_up(octets: bytes, position: int, at: int) -> None:
    if position != len(octets):
        raise malformed(f"{len(octets) - position} octets more than the layout describes", at + position)


def _observation(known: MeterObject | None, scan: Scan, values: Mapping[int, Value]) -> Observation:
    handle = scan.handle or 0
    if known is None:
        known = MeterObject(0, handle)
    if 0x092F in values or 0x0A5F in values or 0x0996 in values:
        known = known.with_values(values)
    return Observation(handle, known.type, known.unit, scan.person, values)


def stamp(observation: Observation) -> Value | None:
    """The time stamp of an observation: absolute, else base offset, else relative."""
    values = observation.values
    for identifier in (0x0990, 0x0A82, 0x0991, 0x09E9):
        if identifier in values:
            return values[identifier]
    return None


def type_name(code: int | None) -> str:
    """Reference identifier of a full code, or partition and term."""
    if code is None:
        return "unknown"
    return mdc.TERMS.get(code) or f"{code >> 16}:{code & 0xFFFF}"
