"""What the values of attributes are made of.

Source: IEEE 11073-20601, annex A.
"""

from __future__ import annotations

from typing import NamedTuple

from drivers.protocols.ieee11073.apdu import Attribute
from drivers.protocols.ieee11073.mder import AbsoluteTime, BaseOffsetTime, Number

__all__ = [
    "Certification",
    "CompoundValue",
    "Enumerated",
    "HandleLayout",
    "Layout",
    "Model",
    "ProductionEntry",
    "SegmentElement",
    "SegmentMap",
    "Slot",
    "StaticAttributes",
    "Structure",
    "TimeInfo",
    "TypeVersion",
    "Value",
]


class Model(NamedTuple):
    """Manufacturer and model number."""

    manufacturer: str
    model: str


class ProductionEntry(NamedTuple):
    """One line of the production specification.

    Kinds: 0 unspecified, 1 serial number, 2 part number, 3 hardware, 4 software, 5 firmware revision, 6 protocol
    revision, 7 GMDN code.
    """

    kind: int
    component: int
    text: str


class TypeVersion(NamedTuple):
    """A device specialization (partition 8) and the version of it."""

    type: int
    version: int


class TimeInfo(NamedTuple):
    """What the agent's clocks can do and how they are (MdsTimeInfo)."""

    bits: int
    protocol: int
    accuracy: int
    resolution_absolute: int
    resolution_relative: int
    resolution_high: int


class Certification(NamedTuple):
    """One entry of the regulation data.

    Authority 2 is Continua: structure 1 holds a guideline version and certified device classes, structure 2 whether
    the device is regulated. `classes` and `version` are empty for anything else.
    """

    authority: int
    structure: int
    octets: bytes
    version: str
    classes: tuple[int, ...]


class Slot(NamedTuple):
    """An attribute and how many octets its value takes where the value stands without identifier and length."""

    attribute: int
    length: int


Layout = tuple[Slot, ...]


class HandleLayout(NamedTuple):
    """How a scanner lays out one object in its grouped reports."""

    handle: int
    layout: Layout


class SegmentElement(NamedTuple):
    """What one element of a stored entry belongs to and how it is laid out."""

    object_class: int
    type: int
    handle: int
    layout: Layout


class SegmentMap(NamedTuple):
    """How the entries of a stored segment are laid out: header bits 8000 absolute, 4000 relative, 2000 high."""

    header: int
    elements: tuple[SegmentElement, ...]


class CompoundValue(NamedTuple):
    """One part of a numeric observation that names its own metric, state and unit (NuObsValue)."""

    metric: int
    status: int
    unit: int
    value: Number


class Enumerated(NamedTuple):
    """An enumeration observation that names its own metric and state (EnumObsValue)."""

    metric: int
    status: int
    value: int | str


class StaticAttributes(NamedTuple):
    """Attributes that hold for every entry of a stored segment, by class and type of the element."""

    object_class: int
    type: int
    attributes: tuple[Attribute, ...]


class Structure(NamedTuple):
    """Metric structure: 0 simple, 1 compound, 3 compound of fixed order; and how many components."""

    structure: int
    components: int


Value = (
    int
    | str
    | bytes
    | Number
    | AbsoluteTime
    | BaseOffsetTime
    | Model
    | TimeInfo
    | Structure
    | SegmentMap
    | Enumerated
    | CompoundValue
    | tuple[int, ...]
    | tuple[Number, ...]
    | tuple[ProductionEntry, ...]
    | tuple[TypeVersion, ...]
    | tuple[Certification, ...]
    | tuple[CompoundValue, ...]
    | tuple[StaticAttributes, ...]
    | Layout
    | tuple[HandleLayout, ...]
)
