"""The five APDUs by which an association begins and ends: request, response, release and its response, abort.

Source: IEEE 11073-20601, annex A (ASN.1 module of the association APDUs); layouts confirmed against the published
octets of the antidote project.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from drivers.protocols.ieee11073.attribute_list import Attribute, attribute_list, encode_attributes
from drivers.protocols.ieee11073.mder import PAIR, U16, U32, Reader, listing, sized

__all__ = [
    "PROTOCOL_20601",
    "Aare",
    "Aarq",
    "Abrt",
    "Association",
    "DataProtocol",
    "Rlre",
    "Rlrq",
    "read_aare",
    "read_aarq",
]

PROTOCOL_20601 = 20601

_ASSOCIATION = Struct(">IHIII")
_CONFIGURATION = Struct(">HHBB")


@dataclass(frozen=True, slots=True)
class Association:
    """What both ends tell of themselves when they associate (PhdAssociationInformation)."""

    protocol_version: int
    encoding_rules: int
    nomenclature_version: int
    functional_units: int
    system_type: int
    system_id: bytes
    config_id: int
    request_mode_flags: int
    agent_requests: int
    manager_requests: int
    options: tuple[Attribute, ...] = ()

    @classmethod
    def read(cls, reader: Reader) -> Association:
        """Read the whole of a reader."""
        version, rules, nomenclature, units, system = reader.unpack(_ASSOCIATION, "association information")
        system_id = reader.sized("system-id")
        config_id, flags, agents, managers = reader.unpack(_CONFIGURATION, "configuration and request modes")
        options = attribute_list(reader, "option list")
        reader.finish("association information")
        return cls(
            version, rules, nomenclature, units, system, system_id, config_id, flags, agents, managers, options
        )

    def encode(self) -> bytes:
        """Octets without the length in front."""
        return (
            _ASSOCIATION.pack(
                self.protocol_version,
                self.encoding_rules,
                self.nomenclature_version,
                self.functional_units,
                self.system_type,
            )
            + sized(self.system_id)
            + _CONFIGURATION.pack(
                self.config_id, self.request_mode_flags, self.agent_requests, self.manager_requests
            )
            + encode_attributes(self.options)
        )


@dataclass(frozen=True, slots=True)
class DataProtocol:
    """One data protocol an agent offers or a manager chose; only 20601 is understood."""

    id: int
    information: Association | bytes

    @classmethod
    def read(cls, reader: Reader) -> DataProtocol:
        """Read identifier and information."""
        identifier = reader.u16("data-proto-id")
        part = reader.part("data-proto-info")
        if identifier == PROTOCOL_20601 and part.left:
            return cls(identifier, Association.read(part))
        return cls(identifier, part.take(part.left, "data-proto-info"))

    def encode(self) -> bytes:
        """Octets of identifier and information."""
        information = self.information
        return U16.pack(self.id) + sized(information if isinstance(information, bytes) else information.encode())


@dataclass(frozen=True, slots=True)
class Aarq:
    """Association request."""

    version: int
    protocols: tuple[DataProtocol, ...]

    def encode(self) -> bytes:
        """The whole APDU."""
        return _apdu(0xE200, U32.pack(self.version) + listing(each.encode() for each in self.protocols))


@dataclass(frozen=True, slots=True)
class Aare:
    """Association response. Results: 0 accepted, 3 accepted with unknown configuration, others rejections."""

    result: int
    protocol: DataProtocol

    def encode(self) -> bytes:
        """The whole APDU."""
        return _apdu(0xE300, U16.pack(self.result) + self.protocol.encode())


@dataclass(frozen=True, slots=True)
class Rlrq:
    """Association release request."""

    reason: int = 0

    def encode(self) -> bytes:
        """The whole APDU."""
        return _apdu(0xE400, U16.pack(self.reason))


@dataclass(frozen=True, slots=True)
class Rlre:
    """Association release response."""

    reason: int = 0

    def encode(self) -> bytes:
        """The whole APDU."""
        return _apdu(0xE500, U16.pack(self.reason))


@dataclass(frozen=True, slots=True)
class Abrt:
    """Abort. Reasons: 0 undefined, 1 buffer overflow, 2 response timeout, 3 configuration timeout."""

    reason: int = 0

    def encode(self) -> bytes:
        """The whole APDU."""
        return _apdu(0xE600, U16.pack(self.reason))


def read_aarq(reader: Reader) -> Aarq:
    """What stands in an association request."""
    version = reader.u32("association version")
    count, part = reader.listing("data-proto-list")
    protocols = tuple(DataProtocol.read(part) for _ in range(count))
    part.finish("data-proto-list")
    return Aarq(version, protocols)


def read_aare(reader: Reader) -> Aare:
    """What stands in an association response."""
    return Aare(reader.u16("result"), DataProtocol.read(reader))


def _apdu(choice: int, body: bytes) -> bytes:
    return PAIR.pack(choice, len(body)) + body
