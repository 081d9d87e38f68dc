"""The services of the sensor and what stands in them that never changes."""

from __future__ import annotations

import struct
from typing import Final

from simulators.ble.dialect import Dialect, Radio
from simulators.ble.encoding import medfloat32
from simulators.ble.gatt import Characteristic, Descriptor, Property, Service, uuid16
from simulators.ble.observations import INR, SPECIALIZATION, TYPES, UNIT_INR
from simulators.meter import Identity

__all__ = [
    "CONTROL_POINT",
    "ELAPSED_TIME",
    "FEATURES",
    "GHS",
    "LIVE",
    "RACP",
    "SECURITY_LEVELS",
    "STORED",
    "advertised",
    "information",
    "services_of",
]

GHS: Final = uuid16(0x1840)
LIVE, STORED, RACP = uuid16(0x2B8B), uuid16(0x2BDD), uuid16(0x2A52)
FEATURES, CONTROL_POINT, SECURITY_LEVELS = uuid16(0x2BF3), uuid16(0x2BF4), uuid16(0x2BF5)
ELAPSED_TIME_SERVICE, ELAPSED_TIME = uuid16(0x183F), uuid16(0x2BF2)
INFORMATION_SERVICE = uuid16(0x180A)
_VALID_RANGE = uuid16(0x2911)


def services_of(identity: Identity, dialect: Dialect) -> tuple[Service, ...]:
    """What a client discovers."""
    tells: Property = "indicate" if dialect.indicates else "notify"
    # Valid Range and Accuracy: type, unit, lower and upper limit.
    valid = struct.pack("<IH", INR, UNIT_INR) + medfloat32("0.8") + medfloat32("8.0")
    return (
        Service(
            GHS,
            (
                Characteristic(FEATURES, ("read", "indicate"), (Descriptor(_VALID_RANGE, valid),)),
                Characteristic(LIVE, (tells,)),
                Characteristic(STORED, (tells,)),
                Characteristic(RACP, ("write", "indicate")),
                Characteristic(CONTROL_POINT, ("write", "indicate")),
                Characteristic(SECURITY_LEVELS, ("read",)),
            ),
        ),
        Service(ELAPSED_TIME_SERVICE, (Characteristic(ELAPSED_TIME, ("read", "write", "indicate")),)),
        Service(INFORMATION_SERVICE, tuple(Characteristic(uuid, ("read",)) for uuid in information(identity))),
    )


def information(identity: Identity) -> dict[str, bytes]:
    """Device Information service: manufacturer, model, serial number, firmware."""
    texts = {0x2A29: identity.vendor, 0x2A24: identity.model, 0x2A25: identity.serial, 0x2A26: identity.firmware}
    return {uuid16(number): text.encode() for number, text in texts.items()}


def features(dialect: Dialect) -> bytes:
    """Health Sensor Features: flags, observation types, specializations with their version."""
    types = struct.pack(f"<BB{len(TYPES)}I", 0x01, len(TYPES), *TYPES)
    return types + struct.pack("<BHB", 1, SPECIALIZATION, dialect.version)


def advertised(radio: Radio, dialect: Dialect) -> dict[str, bytes]:
    """Service data: how many specializations, which, and for which user there is something."""
    if not radio.announces:
        return {}
    data = struct.pack(f"<B{len(radio.announces)}H", len(radio.announces), *radio.announces)
    return {GHS: data + (b"" if dialect.user is None else bytes([dialect.user]))}
