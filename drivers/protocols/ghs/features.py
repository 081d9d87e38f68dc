"""What a sensor says about itself: Health Sensor Features, advertised service data, and its control point."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from drivers.errors import ProtocolError, ProtocolReason
from drivers.protocols.ghs.octets import GattReader
from drivers.protocols.ieee11073.mder import malformed

__all__ = ["LIVE_START", "LIVE_STOP", "ControlAnswer", "Features", "ServiceData", "control_answer"]

LIVE_START: Final = b"\x01"
LIVE_STOP: Final = b"\x02"
_HAS_SPECIALIZATIONS: Final = 1


class ControlAnswer(IntEnum):
    """What the GHS control point indicates."""

    SUCCESS = 0x80
    BUSY = 0x81
    LIVE_ERROR = 0x82


def control_answer(value: bytes, base: int = 0) -> ControlAnswer:
    """Read an answer of the control point.

    Raises:
        ProtocolError: it is none.
    """
    try:
        (code,) = value
        return ControlAnswer(code)
    except ValueError:
        why = f"octet {base}: {value[:8].hex()} is no answer of the GHS control point (80, 81 or 82)"
        raise ProtocolError(why, ProtocolReason.BAD_VALUE, offset=base) from None


@dataclass(frozen=True, slots=True)
class Features:
    """Health Sensor Features (0x2BF3).

    Attributes:
        types: full codes of the observations that it makes.
        specializations: (term of partition 8, version) of the device specializations it follows.
    """

    flags: int
    types: tuple[int, ...]
    specializations: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, value: bytes, base: int = 0) -> Features:
        """Read the value.

        Raises:
            ProtocolError: a count does not fit.
        """
        reader = GattReader(value, base)
        flags = reader.u8("features flags")
        types = reader.codes("observation types")
        specializations: tuple[tuple[int, int], ...] = ()
        if flags & _HAS_SPECIALIZATIONS:
            count = reader.u8("count of specializations")
            specializations = tuple((reader.u16("specialization"), reader.u8("version")) for _ in range(count))
        reader.finish("Health Sensor Features")
        return cls(flags, types, specializations)


@dataclass(frozen=True, slots=True)
class ServiceData:
    """What is advertised beside the service's UUID.

    Attributes:
        specializations: terms of partition 8, for example 0x1012 for INR.
        users: the sensor's own numbers of users with new observations, as far as it lists them.
    """

    specializations: tuple[int, ...]
    users: bytes

    @classmethod
    def of(cls, value: bytes, base: int = 0) -> ServiceData:
        """Read the value.

        Raises:
            ProtocolError: the count does not fit.
        """
        reader = GattReader(value, base)
        count = reader.u8("count of specializations")
        if reader.left < 2 * count:
            raise malformed(f"{count} specializations need {2 * count} octets, {reader.left} are there", base)
        found = tuple(reader.u16("specialization") for _ in range(count))
        return cls(found, reader.take(reader.left, "users"))
