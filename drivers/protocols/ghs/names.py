"""Identifiers and their names: characteristics, observation classes, flags, codes of the control points.

Source: Bluetooth assigned numbers; the bits of the measurement status and the codes of the control points as the
public implementations have them.
"""

from __future__ import annotations

from typing import Final

from drivers.protocols.gatt import expanded

__all__ = [
    "CHARACTERISTICS",
    "CLASSES",
    "FIELDS",
    "MEASUREMENT_STATUS",
    "SYNC_SOURCES",
    "TLV_FORMATS",
    "bit_names",
]

SERVICE: Final = expanded(0x1840)
INFORMATION_SERVICE: Final = expanded(0x180A)

LIVE: Final = expanded(0x2B8B)
STORED: Final = expanded(0x2BDD)
RACP: Final = expanded(0x2A52)
FEATURES: Final = expanded(0x2BF3)
CONTROL_POINT: Final = expanded(0x2BF4)
ELAPSED_TIME: Final = expanded(0x2BF2)

SYSTEM_ID: Final = expanded(0x2A23)
MODEL: Final = expanded(0x2A24)
SERIAL: Final = expanded(0x2A25)
FIRMWARE: Final = expanded(0x2A26)
MANUFACTURER: Final = expanded(0x2A29)
INFORMATION: Final = (MANUFACTURER, MODEL, SERIAL, FIRMWARE, SYSTEM_ID)
"""What is read of the Device Information service, and in which order."""

CHARACTERISTICS: Final[dict[str, str]] = {
    LIVE: "Live Health Observations",
    STORED: "Stored Health Observations",
    RACP: "Record Access Control Point",
    FEATURES: "Health Sensor Features",
    CONTROL_POINT: "GHS Control Point",
    ELAPSED_TIME: "Current Elapsed Time",
    expanded(0x2BF1): "Observation Schedule Changed",
    expanded(0x2BF5): "LE GATT Security Levels",
    SYSTEM_ID: "System ID",
    MODEL: "Model Number String",
    SERIAL: "Serial Number String",
    FIRMWARE: "Firmware Revision String",
    MANUFACTURER: "Manufacturer Name String",
    SERVICE: "Generic Health Sensor",
}

NUMERIC: Final = 1
DISCRETE: Final = 2
STRING: Final = 3
SAMPLE_ARRAY: Final = 4
EVENTS: Final = 5
STATES: Final = 6
COMPOUND: Final = 7
TLV: Final = 8
BUNDLE: Final = 0xFF

CLASSES: Final[dict[int, str]] = {
    NUMERIC: "numeric",
    DISCRETE: "simple-discrete",
    STRING: "string",
    SAMPLE_ARRAY: "sample-array",
    EVENTS: "compound-discrete-event",
    STATES: "compound-state",
    COMPOUND: "compound",
    TLV: "tlv-encoded",
    BUNDLE: "bundle",
}

FIELDS: Final = (
    "observation-type",
    "time-stamp",
    "measurement-duration",
    "measurement-status",
    "observation-id",
    "patient",
    "supplemental-information",
    "derived-from",
    "is-member-of",
    "tlvs",
)
"""Optional fields of an observation in their order; bit n of the flags announces field n."""

MEASUREMENT_STATUS: Final[dict[int, str]] = {
    0: "invalid",
    1: "questionable",
    2: "not-available",
    3: "calibrating",
    4: "test-data",
    5: "early-estimate",
    6: "manual",
    7: "setting",
    14: "threshold-error",
    15: "threshold-disabled",
}

TIME_FLAGS: Final[dict[int, str]] = {0: "tick-counter", 1: "utc", 4: "offset-used", 5: "current-timeline"}
SYNC_SOURCES: Final[dict[int, str]] = {
    0: "unknown",
    1: "ntp",
    2: "gps",
    3: "radio",
    4: "manual",
    5: "atomic",
    6: "cellular",
    7: "not-synchronised",
}

TLV_FORMATS: Final[dict[int, str]] = {
    0x01: "boolean",
    0x04: "uint8",
    0x06: "uint16",
    0x07: "uint24",
    0x08: "uint32",
    0x09: "uint48",
    0x0A: "uint64",
    0x0B: "uint128",
    0x0C: "sint8",
    0x0E: "sint16",
    0x0F: "sint24",
    0x10: "sint32",
    0x11: "sint48",
    0x12: "sint64",
    0x13: "sint128",
    0x16: "medfloat16",
    0x17: "medfloat32",
    0x19: "utf8s",
    0x1B: "struct",
}
"""GATT characteristic format types (assigned numbers), as far as sensors use them."""


def bit_names(bits: int, names: dict[int, str], width: int = 16) -> tuple[str, ...]:
    """Names of the bits that are set, least significant first; unnamed ones as ``bit-13``."""
    return tuple(names.get(place, f"bit-{place}") for place in range(width) if bits >> place & 1)
