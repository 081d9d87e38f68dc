"""Lists of attributes as they stand in APDUs: an identifier and an undecoded value each.

Source: IEEE 11073-20601, annex A (AttributeList, AVA-Type). What the values mean is read by `attributes`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from drivers.protocols.ieee11073.mder import PAIR, U16, Reader, listing, sized

__all__ = ["Attribute", "attribute_list", "encode_attributes"]


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute identifier with its undecoded value; `at` is where the value stood in the APDU."""

    id: int
    value: bytes
    at: int = field(default=0, compare=False)

    def encode(self) -> bytes:
        """Octets of the attribute value assertion."""
        return U16.pack(self.id) + sized(self.value)


def attribute_list(reader: Reader, what: str = "attribute list") -> tuple[Attribute, ...]:
    """Read an attribute list."""
    count, part = reader.listing(what)
    attributes = []
    for _ in range(count):
        identifier, length = part.unpack(PAIR, f"an attribute of the {what}")
        at = part.at
        attributes.append(Attribute(identifier, part.take(length, f"attribute 0x{identifier:04X}"), at))
    part.finish(what)
    return tuple(attributes)


def encode_attributes(attributes: tuple[Attribute, ...]) -> bytes:
    """Octets of an attribute list."""
    return listing(attribute.encode() for attribute in attributes)
