"""What a manager knows of an agent: its objects, its stored segments, who it is.

Source: IEEE 11073-20601, clauses on the MDS, metric, scanner, PM-store and PM-segment classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple, TypeVar

from drivers.errors import ProtocolReason
from drivers.protocols.ieee11073 import nomenclature as mdc
from drivers.protocols.ieee11073.apdu import Attribute, EventReport, attribute_list, decode
from drivers.protocols.ieee11073.attributes import read
from drivers.protocols.ieee11073.configuration import ConfigReport
from drivers.protocols.ieee11073.information import read_event
from drivers.protocols.ieee11073.mder import AbsoluteTime, BaseOffsetTime, Reader, malformed
from drivers.protocols.ieee11073.scans import Form, ScanReport
from drivers.protocols.ieee11073.segments import SegmentDetails
from drivers.protocols.ieee11073.structures import (
    HandleLayout,
    Layout,
    Model,
    ProductionEntry,
    SegmentMap,
    Slot,
    StaticAttributes,
    TimeInfo,
    TypeVersion,
    Value,
)

__all__ = ["Configuration", "KnownConfiguration", "Meter", "MeterObject", "Segment", "configuration_of"]

MAY_CHANGE = frozenset({0x092F, 0x0996, 0x0A55, 0x0A5F})
"""Type, unit, layout and metric of an object may be changed by a variable report and then hold for later ones."""

Wanted = TypeVar("Wanted")


def typed(values: Mapping[int, Value], identifier: int, kind: type[Wanted]) -> Wanted | None:
    """The value of an attribute if it is there and of its kind."""
    value = values.get(identifier)
    return value if isinstance(value, kind) else None


def read_all(attributes: Iterable[Attribute]) -> dict[int, Value]:
    """Values of attributes by identifier."""
    return {attribute.id: read(attribute) for attribute in attributes}


@dataclass(frozen=True, slots=True)
class MeterObject:
    """One object of a configuration.

    Attributes:
        type: full 32-bit code of what it measures or tells, or None.
        unit: unit code until an observation says otherwise.
        layout: attributes of a fixed report in order.
        scanned: for a scanner: handle and layout of each object in a grouped report.
    """

    object_class: int
    handle: int
    type: int | None = None
    unit: int | None = None
    layout: Layout = ()
    scanned: tuple[HandleLayout, ...] = ()

    def with_values(self, values: Mapping[int, Value]) -> MeterObject:
        """The object after some attributes were told; itself when nothing changes."""
        type_code = typed(values, 0x092F, int)
        partition_of = self.type if type_code is None else type_code
        metric = typed(values, 0x0A5F, int)
        if metric is not None and partition_of is not None:
            type_code = (partition_of & 0xFFFF0000) | metric
        unit = typed(values, 0x0996, int)
        changed = replace(
            self,
            type=self.type if type_code is None else type_code,
            unit=self.unit if unit is None else unit,
            layout=_only(values.get(0x0A55), Slot) or self.layout,
            scanned=_only(values.get(0x0A53), HandleLayout) or self.scanned,
        )
        return self if changed == self else changed


@dataclass(frozen=True)
class Configuration:
    """The objects of an agent, by handle."""

    config_id: int
    objects: Mapping[int, MeterObject]

    @classmethod
    def of(cls, report: ConfigReport) -> Configuration:
        """Understand a configuration report.

        Raises:
            ProtocolError: an attribute does not have its form, or two objects have one handle.
        """
        objects: dict[int, MeterObject] = {}
        for each in report.objects:
            values = read_all(each.attributes)
            if each.handle in objects:
                at = each.attributes[0].at if each.attributes else 0
                raise malformed(f"two objects have the handle {each.handle}", at, ProtocolReason.BAD_VALUE)
            objects[each.handle] = MeterObject(each.object_class, each.handle).with_values(values)
        return cls(report.config_id, objects)

    @property
    def stores(self) -> tuple[int, ...]:
        """Handles of the PM-stores."""
        return tuple(h for h, each in self.objects.items() if each.object_class == mdc.PM_STORE)

    @property
    def types(self) -> frozenset[int]:
        """What the objects measure or tell."""
        return frozenset(each.type for each in self.objects.values() if each.type is not None)

    def updated(self, report: ScanReport) -> Configuration:
        """The configuration after a variable report changed type, unit or layout of objects; else itself.

        Raises:
            ProtocolError: such an attribute does not have its form.
        """
        if report.form is not Form.VARIABLE:
            return self
        objects = dict(self.objects)
        for scan in report.scans:
            known = objects.get(scan.handle or 0)
            told = [each for each in attribute_list(Reader(scan.octets, scan.at)) if each.id in MAY_CHANGE]
            if known is not None and told:
                objects[known.handle] = known.with_values(read_all(told))
        return self if objects == self.objects else replace(self, objects=objects)


@lru_cache(maxsize=64)
def configuration_of(octets: bytes) -> Configuration:
    """Configuration from the octets of a whole configuration report APDU.

    Raises:
        ProtocolError: it is none, or some of it does not have its form.
    """
    apdu = decode(octets)
    report = read_event(apdu) if isinstance(apdu, EventReport) else None
    if not isinstance(report, ConfigReport):
        raise malformed("this APDU is no configuration report (event 0D1C)", 0, ProtocolReason.UNSUPPORTED)
    return Configuration.of(report)


class KnownConfiguration(NamedTuple):
    """A configuration that was accepted before.

    Attributes:
        octets: the APDU that told it.
        identity: a digest of what the agent that told it said of itself.
    """

    octets: bytes
    identity: bytes

    @property
    def configuration(self) -> Configuration:
        """Its objects."""
        return configuration_of(self.octets)


@dataclass(frozen=True, slots=True)
class Segment:
    """A stored segment as its attributes describe it.

    Attributes:
        person: person identifier, or None.
        map: how its entries are laid out; None when the agent did not say.
        fixed: attributes that hold for all its entries.
        entries: how many entries it holds, if told.
        transfer_timeout_s: how long the agent allows for its transfer, if told.
        adjusted: the agent says that its clock was changed since the entries were written.
    """

    instance: int
    person: int | None
    map: SegmentMap | None
    fixed: tuple[StaticAttributes, ...]
    entries: int | None
    transfer_timeout_s: float | None
    adjusted: bool

    @classmethod
    def of(cls, details: SegmentDetails) -> Segment:
        """Understand the attributes of a segment.

        Raises:
            ProtocolError: an attribute does not have its form.
        """
        values = read_all(details.attributes)
        timeout = typed(values, 0x0A64, int)
        adjustment = typed(values, 0x0A62, bytes)
        return cls(
            details.instance,
            typed(values, 0x0A4F, int),
            typed(values, 0x0A4E, SegmentMap),
            _only(values.get(0x0A52), StaticAttributes),
            typed(values, 0x097B, int),
            None if timeout is None else timeout * 0.000125,
            adjustment is not None and any(adjustment),
        )


@dataclass(frozen=True)
class Meter:
    """Who the agent is and what its clocks say, from the attributes of its MDS object.

    Attributes:
        serial: serial number of the whole device, from its production specification; may be empty.
        firmware: firmware revision, else software revision; may be empty.
        clock: absolute or base offset time at the moment of the answer; None when it has no such clock.
        ticks: relative time at that moment in units of 125 microseconds, or None.
    """

    manufacturer: str
    model: str
    serial: str
    firmware: str
    specializations: tuple[int, ...]
    time_info: TimeInfo | None
    clock: AbsoluteTime | BaseOffsetTime | None
    ticks: int | None

    @classmethod
    def of(cls, attributes: tuple[Attribute, ...]) -> Meter:
        """Understand the attributes of an MDS object.

        Raises:
            ProtocolError: an attribute does not have its form.
        """
        values = read_all(attributes)
        model = typed(values, 0x0928, Model)
        production = _only(values.get(0x092D), ProductionEntry)
        return cls(
            model.manufacturer if model else "",
            model.model if model else "",
            _production_text(production, 1),
            _production_text(production, 5) or _production_text(production, 4),
            tuple(each.type for each in _only(values.get(0x0A5A), TypeVersion)),
            typed(values, 0x0A45, TimeInfo),
            typed(values, 0x0987, AbsoluteTime) or typed(values, 0x0A81, BaseOffsetTime),
            typed(values, 0x098F, int),
        )

    @property
    def asks_for_time(self) -> bool:
        """The agent asks the manager to set its clock."""
        return self.time_info is not None and bool(self.time_info.bits & 0x0010)

    @property
    def can_be_set(self) -> bool:
        """The agent allows its clock to be set."""
        return self.time_info is not None and bool(self.time_info.bits & 0x4000)

    @property
    def base_is_utc(self) -> bool:
        """The base of its base offset time is UTC."""
        return self.time_info is not None and bool(self.time_info.bits & 0x0002)


def _only(value: Value | None, kind: type[Wanted]) -> tuple[Wanted, ...]:
    return tuple(each for each in value if isinstance(each, kind)) if isinstance(value, tuple) else ()


def _production_text(production: tuple[ProductionEntry, ...], kind: int) -> str:
    """Text of the first entry of a kind, for the whole device (component 0) before its parts."""
    entries = sorted((entry for entry in production if entry.kind == kind), key=lambda entry: entry.component)
    return next((entry.text for entry in entries if entry.text), "")
