"""Values of object attributes, by attribute identifier.

Source: IEEE 11073-20601, the attribute tables of the MDS, metric, numeric, enumeration, PM-store, PM-segment and
scanner classes, and annex A for the types. An attribute that stands in no table is kept as octets.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from drivers.protocols.ieee11073.apdu import Attribute, attribute_list
from drivers.protocols.ieee11073.mder import (
    PAIR,
    AbsoluteTime,
    BaseOffsetTime,
    Number,
    Reader,
    float_value,
    malformed,
    sfloat_value,
)
from drivers.protocols.ieee11073.structures import (
    Certification,
    CompoundValue,
    Enumerated,
    HandleLayout,
    Layout,
    Model,
    ProductionEntry,
    SegmentElement,
    SegmentMap,
    Slot,
    StaticAttributes,
    Structure,
    TimeInfo,
    TypeVersion,
    Value,
)

__all__ = ["read", "read_value"]

_TIME_INFO = Struct(">HHIHHI")
_NU_OBS = Struct(">HHHI")
_PRODUCTION = Struct(">HH")
_ELEMENT = Struct(">HIH")
_STATIC = Struct(">HI")
_CERTIFICATION = Struct(">BB")


def read(attribute: Attribute) -> Value:
    """Value of an attribute.

    Raises:
        ProtocolError: its octets do not have the form of the attribute.
    """
    return read_value(attribute.id, attribute.value, attribute.at)


def read_value(identifier: int, octets: bytes, at: int) -> Value:
    """Value of an attribute that stood at `at`; octets as they are when the attribute is not known."""
    fixed = _FIXED.get(identifier)
    if fixed is not None:
        if len(octets) != fixed[0]:
            message = f"attribute 0x{identifier:04X} has {len(octets)} octets instead of {fixed[0]}"
            raise malformed(message, at)
        return fixed[1](octets)
    reading = _STRUCTURED.get(identifier)
    if reading is None:
        return octets
    reader = Reader(octets, at)
    value = reading(reader)
    reader.finish(f"attribute 0x{identifier:04X}")
    return value


def _text(octets: bytes) -> str:
    """Printable characters of an octet string; agents pad with NUL or blanks to an even length."""
    return octets.decode("utf-8", "replace").rstrip("\0 ")


def _unsigned(octets: bytes) -> int:
    return int.from_bytes(octets, "big")


def _sfloat(octets: bytes) -> Number:
    return sfloat_value(int.from_bytes(octets, "big"))


def _float(octets: bytes) -> Number:
    return float_value(int.from_bytes(octets, "big"))


def _string(reader: Reader) -> str:
    return _text(reader.sized("text"))


def _octet_string(reader: Reader) -> bytes:
    return reader.sized("octet string")


def _codes(reader: Reader) -> tuple[int, ...]:
    count, part = reader.listing("list of codes")
    codes = tuple(part.u16("code") for _ in range(count))
    part.finish("list of codes")
    return codes


def _types(reader: Reader) -> tuple[int, ...]:
    count, part = reader.listing("list of types")
    codes = tuple(part.u32("type") for _ in range(count))
    part.finish("list of types")
    return codes


def _handles(reader: Reader) -> tuple[int, ...]:
    """One handle, or a list of handles; the attribute is used with both."""
    if reader.left == 2:
        return (reader.u16("handle"),)
    return _codes(reader)


def _model(reader: Reader) -> Model:
    return Model(_text(reader.sized("manufacturer")), _text(reader.sized("model-number")))


def _production(reader: Reader) -> tuple[ProductionEntry, ...]:
    count, part = reader.listing("production specification")
    entries = []
    for _ in range(count):
        kind, component = part.unpack(_PRODUCTION, "production specification entry")
        entries.append(ProductionEntry(kind, component, _text(part.sized("prod-spec"))))
    part.finish("production specification")
    return tuple(entries)


def _specializations(reader: Reader) -> tuple[TypeVersion, ...]:
    count, part = reader.listing("system type specializations")
    entries = tuple(TypeVersion(*part.unpack(PAIR, "specialization and version")) for _ in range(count))
    part.finish("system type specializations")
    return entries


def _time_info(reader: Reader) -> TimeInfo:
    return TimeInfo(*reader.unpack(_TIME_INFO, "time information"))


def _certifications(reader: Reader) -> tuple[Certification, ...]:
    count, part = reader.listing("regulation data")
    entries = []
    for _ in range(count):
        authority, structure = part.unpack(_CERTIFICATION, "authority and structure")
        at = part.at + 2
        octets = part.sized("regulation data entry")
        version, classes = "", tuple[int, ...]()
        if (authority, structure) == (2, 1):
            entry = Reader(octets, at)
            major, minor = entry.unpack(_CERTIFICATION, "guideline version")
            version, classes = f"{major}.{minor}", _codes(entry)
            entry.finish("regulation data entry")
        entries.append(Certification(authority, structure, octets, version, classes))
    part.finish("regulation data")
    return tuple(entries)


def _layout(reader: Reader) -> Layout:
    count, part = reader.listing("attribute-value-map")
    slots = tuple(Slot(*part.unpack(PAIR, "map entry")) for _ in range(count))
    part.finish("attribute-value-map")
    return slots


def _handle_layouts(reader: Reader) -> tuple[HandleLayout, ...]:
    count, part = reader.listing("handle-attribute-value-map")
    maps = tuple(HandleLayout(part.u16("handle"), _layout(part)) for _ in range(count))
    part.finish("handle-attribute-value-map")
    return maps


def _segment_map(reader: Reader) -> SegmentMap:
    header = reader.u16("segment entry header")
    count, part = reader.listing("segment elements")
    elements = []
    for _ in range(count):
        object_class, code, handle = part.unpack(_ELEMENT, "segment element")
        elements.append(SegmentElement(object_class, code, handle, _layout(part)))
    part.finish("segment elements")
    return SegmentMap(header, tuple(elements))


def _static_attributes(reader: Reader) -> tuple[StaticAttributes, ...]:
    count, part = reader.listing("static attributes")
    entries = []
    for _ in range(count):
        object_class, code = part.unpack(_STATIC, "class and type")
        entries.append(StaticAttributes(object_class, code, attribute_list(part)))
    part.finish("static attributes")
    return tuple(entries)


def _structure(reader: Reader) -> Structure:
    return Structure(*reader.unpack(_CERTIFICATION, "metric structure"))


def _nu_obs(reader: Reader) -> CompoundValue:
    metric, status, unit, raw = reader.unpack(_NU_OBS, "numeric observation")
    return CompoundValue(metric, status, unit, float_value(raw))


def _nu_obs_list(reader: Reader) -> tuple[CompoundValue, ...]:
    count, part = reader.listing("numeric observations")
    values = tuple(_nu_obs(part) for _ in range(count))
    part.finish("numeric observations")
    return values


def _sfloats(reader: Reader) -> tuple[Number, ...]:
    count, part = reader.listing("values")
    values = tuple(sfloat_value(part.u16("SFLOAT")) for _ in range(count))
    part.finish("values")
    return values


def _floats(reader: Reader) -> tuple[Number, ...]:
    count, part = reader.listing("values")
    values = tuple(float_value(part.u32("FLOAT")) for _ in range(count))
    part.finish("values")
    return values


def _enum_obs(reader: Reader) -> Enumerated:
    metric, status = reader.unpack(PAIR, "enumeration observation")
    choice = reader.u16("choice of the enumeration value")
    part = reader.part("enumeration value")
    value: int | str
    if choice == 2:
        value = _string(part)
    elif choice == 1:
        value = part.u16("code")
    else:
        value = part.u32("bits")
    part.finish("enumeration value")
    return Enumerated(metric, status, value)


_U16, _U32, _U64 = (2, _unsigned), (4, _unsigned), (8, _unsigned)
_SFLOAT, _FLOAT = (2, _sfloat), (4, _float)
_ABSOLUTE, _BASE_OFFSET = (8, AbsoluteTime.of), (8, BaseOffsetTime.of)

_FIXED: dict[int, tuple[int, Callable[[bytes], Value]]] = {
    0x0913: _U16,
    0x0914: _U32,
    0x0921: _U16,
    0x0922: _U16,
    0x092B: _U16,
    0x092F: _U32,
    0x0941: _U32,
    0x0943: _U16,
    0x0944: _U32,
    0x0947: _U16,
    0x094A: _FLOAT,
    0x0951: _U16,
    0x0953: _U16,
    0x0955: _U16,
    0x097B: _U32,
    0x0986: _U32,
    0x0987: _ABSOLUTE,
    0x098A: _ABSOLUTE,
    0x098D: _U32,
    0x098F: _U32,
    0x0990: _ABSOLUTE,
    0x0991: _U32,
    0x0992: _ABSOLUTE,
    0x0995: _U16,
    0x0996: _U16,
    0x099C: _U16,
    0x09E8: _U64,
    0x09E9: _U64,
    0x0A44: _U16,
    0x0A46: _U16,
    0x0A49: _U16,
    0x0A4C: _SFLOAT,
    0x0A4D: _U16,
    0x0A4F: _U16,
    0x0A54: _U32,
    0x0A56: _FLOAT,
    0x0A59: _FLOAT,
    0x0A5F: _U16,
    0x0A60: _U16,
    0x0A63: _U32,
    0x0A64: _U32,
    0x0A65: _U32,
    0x0A66: _U16,
    0x0A81: _BASE_OFFSET,
    0x0A82: _BASE_OFFSET,
    0x0A83: _BASE_OFFSET,
    0x0A84: _BASE_OFFSET,
}
"""Values of one size: how many octets, and what they say."""

_STRUCTURED: dict[int, Callable[[Reader], Value]] = {
    0x0927: _string,
    0x0928: _model,
    0x092D: _production,
    0x094B: _nu_obs_list,
    0x0950: _nu_obs,
    0x0984: _octet_string,
    0x0999: _string,
    0x099E: _enum_obs,
    0x0A45: _time_info,
    0x0A47: _handles,
    0x0A48: _octet_string,
    0x0A4A: _string,
    0x0A4B: _certifications,
    0x0A4E: _segment_map,
    0x0A51: _octet_string,
    0x0A52: _static_attributes,
    0x0A53: _handle_layouts,
    0x0A55: _layout,
    0x0A57: _string,
    0x0A58: _string,
    0x0A5A: _specializations,
    0x0A61: _types,
    0x0A73: _structure,
    0x0A74: _floats,
    0x0A75: _sfloats,
    0x0A76: _codes,
    0x0A77: _codes,
}
