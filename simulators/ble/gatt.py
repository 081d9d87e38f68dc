"""What a GATT server shows: services, characteristics, errors, and what it wants to send.

UUIDs are written in full, in small letters, as they appear on D-Bus.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Literal

__all__ = [
    "AttError",
    "AttErrorCode",
    "Characteristic",
    "Descriptor",
    "Drop",
    "Pause",
    "Property",
    "Say",
    "Service",
    "Step",
    "short",
    "uuid16",
]

_BASE: Final = "-0000-1000-8000-00805f9b34fb"
Property = Literal["read", "write", "notify", "indicate"]


def uuid16(number: int) -> str:
    """A 16-bit UUID in full (Bluetooth Core, vol. 3, part B, 2.5.1)."""
    return f"0000{number:04x}{_BASE}"


def short(uuid: str) -> int | None:
    """The 16 bits of a UUID on the Bluetooth base, or None for another one."""
    return int(uuid[4:8], 16) if uuid.startswith("0000") and uuid.endswith(_BASE) else None


class AttErrorCode(IntEnum):
    """ATT error codes (Bluetooth Core, vol. 3, part F, 3.4.1.1; from 80 on: of the services)."""

    READ_NOT_PERMITTED = 0x02
    WRITE_NOT_PERMITTED = 0x03
    INSUFFICIENT_AUTHENTICATION = 0x05
    ATTRIBUTE_NOT_FOUND = 0x0A
    INVALID_LENGTH = 0x0D
    INSUFFICIENT_ENCRYPTION = 0x0F
    TIME_SOURCE_QUALITY_TOO_LOW = 0x80
    COMMAND_NOT_SUPPORTED = 0x81
    INCORRECT_TIME_FORMAT = 0x81
    CCCD_IMPROPERLY_CONFIGURED = 0xFD
    PROCEDURE_IN_PROGRESS = 0xFE
    OUT_OF_RANGE = 0xFF


class AttError(Exception):
    """The server answers a request with an error."""

    def __init__(self, code: AttErrorCode) -> None:
        super().__init__(f"ATT error 0x{code:02X}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A descriptor that is only read."""

    uuid: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Characteristic:
    """One characteristic."""

    uuid: str
    properties: tuple[Property, ...]
    descriptors: tuple[Descriptor, ...] = ()


@dataclass(frozen=True, slots=True)
class Service:
    """One primary service."""

    uuid: str
    characteristics: tuple[Characteristic, ...]


@dataclass(frozen=True, slots=True)
class Say:
    """A value leaves as an indication (the next step waits until the far stack has confirmed) or notification.

    Attributes:
        completes: ordinal of the test of which this was the last segment, or None.
    """

    uuid: str
    value: bytes
    is_indication: bool
    completes: int | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing leaves for a while."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Drop:
    """The meter lets the link go."""


Step = Say | Pause | Drop
