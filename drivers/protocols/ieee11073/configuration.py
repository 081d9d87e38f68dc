"""Configuration reports: what an agent says that it consists of, and what a manager thinks of it.

Source: IEEE 11073-20601, annex A (ConfigReport, ConfigObjectList, ConfigReportRsp).
"""

from __future__ import annotations

from dataclasses import dataclass

from drivers.protocols.ieee11073.apdu import Attribute, attribute_list, encode_attributes
from drivers.protocols.ieee11073.mder import PAIR, U16, Reader, listing

__all__ = ["ConfigObject", "ConfigReply", "ConfigReport"]


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
