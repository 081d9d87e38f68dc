"""Attribute values as JSON knows them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from drivers.protocols.ieee11073 import nomenclature as mdc
from drivers.protocols.ieee11073.apdu import Attribute
from drivers.protocols.ieee11073.attributes import read
from drivers.protocols.ieee11073.mder import AbsoluteTime, BaseOffsetTime, Special
from drivers.protocols.ieee11073.structures import StaticAttributes, Value

__all__ = ["attribute", "code", "number_or_text", "value"]

_TIME_BITS = {
    0: "real-time-clock",
    1: "set-clock",
    2: "relative-time",
    3: "high-res-relative-time",
    4: "sync-abs-time",
    5: "sync-rel-time",
    6: "sync-hi-res-relative-time",
    7: "bo-time",
    8: "abs-time-synced",
    9: "rel-time-synced",
    10: "hi-res-relative-time-synced",
    11: "mgr-set-time",
    12: "capab-sync-bo-time",
    13: "bo-time-synced",
    14: "bo-time-UTC-aligned",
    15: "dst-rules-enabled",
}
_PRODUCTION_KINDS = {
    0: "unspecified",
    1: "serial-number",
    2: "part-number",
    3: "hw-revision",
    4: "sw-revision",
    5: "fw-revision",
    6: "protocol-revision",
    7: "prod-spec-gmdn",
}
_CERTIFIED_CLASSES = {
    0x0012: "coagulation monitor",
    0x2012: "coagulation monitor, USB",
    0x201C: "coagulation monitor, USB (as the HL7 guide lists it)",
    0x4012: "coagulation monitor, Bluetooth HDP",
    0x6012: "coagulation monitor, ZigBee",
    0x8012: "coagulation monitor, Bluetooth LE",
}


def code(number: int, table: dict[int, str]) -> dict[str, Any]:
    """A code with its reference identifier, or None for one that stands in no table."""
    return {"code": number, "name": table.get(number)}


def attribute(told: Attribute, base: int = 0) -> dict[str, Any]:
    """An attribute with name, place and value.

    Raises:
        ProtocolError: its octets do not have the form of the attribute.
    """
    return {
        "id": f"{told.id:04X}",
        "name": mdc.ATTRIBUTES.get(told.id),
        "offset": base + told.at,
        "value": number_or_text(told.id, read(told)),
    }


def number_or_text(identifier: int, told: Value, type_code: int | None = None) -> Any:
    """A value by the meaning of its attribute; `type_code` is what the object measures, if known."""
    if identifier == 0x092F and isinstance(told, int):
        return code(told, mdc.TERMS)
    if identifier == 0x0996 and isinstance(told, int):
        return {"code": told, "name": mdc.UNITS.get(told, (None,))[0]}
    if identifier == 0x0947 and isinstance(told, int):
        return {"bits": f"{told:04X}", "set": mdc.bit_names(told, mdc.MEASUREMENT_STATUS)}
    if identifier in (0x0A65, 0x0A66) and isinstance(told, int):
        width = 32 if identifier == 0x0A65 else 16
        names = mdc.DEVICE_STATUS if type_code == mdc.DEVICE_STATUS_TYPE else {}
        return {"bits": f"{told:0{width // 4}X}", "set": mdc.bit_names(told, names, width)}
    if identifier in (0x0A49, 0x0A5F) and isinstance(told, int):
        partition = (type_code or 0) & 0xFFFF0000
        return {"code": told, "name": mdc.TERMS.get(partition | told)}
    if identifier in (0x0A44, 0x0A46, 0x0A4D) and isinstance(told, int):
        return f"{told:04X}"
    if identifier == 0x0A61 and isinstance(told, tuple):
        return [code(each, mdc.TERMS) for each in told if isinstance(each, int)]
    return value(told)


def value(told: object) -> Any:
    """A value by its form."""
    if isinstance(told, Decimal):
        return f"{told:f}"
    if isinstance(told, Special):
        return told.value
    if isinstance(told, bytes):
        return told.hex()
    if isinstance(told, AbsoluteTime | BaseOffsetTime):
        shown = {"raw": told.raw.hex(), "local": None if told.local is None else told.local.isoformat()}
        return shown if isinstance(told, AbsoluteTime) else {**shown, "offset-min": told.offset_min}
    if isinstance(told, StaticAttributes):
        listed = [attribute(each) for each in told.attributes]
        return {"class": told.object_class, "type": code(told.type, mdc.TERMS), "attributes": listed}
    if isinstance(told, tuple) and hasattr(told, "_asdict"):
        return {name.replace("_", "-"): _field(name, content) for name, content in told._asdict().items()}
    if isinstance(told, tuple):
        return [value(each) for each in told]
    return told


def _field(name: str, content: object) -> Any:
    """A field of a structured value, named where a table of names fits."""
    if isinstance(content, int):
        if name == "attribute":
            return code(content, mdc.ATTRIBUTES)
        if name == "kind":
            return code(content, _PRODUCTION_KINDS)
        if name == "object_class":
            return code(content, mdc.CLASSES)
        if name == "type":
            return code(content, mdc.TERMS if content > 0xFFFF else _PROFILES)
        if name == "bits":
            return {"bits": f"{content:04X}", "set": mdc.bit_names(content, _TIME_BITS)}
    if name == "classes" and isinstance(content, tuple):
        return [code(each, _CERTIFIED_CLASSES) for each in content]
    return value(content)


_PROFILES = {number & 0xFFFF: text for number, text in mdc.TERMS.items() if number >> 16 == 8}
