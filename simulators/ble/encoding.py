"""Observations as the Generic Health Sensor service 1.0 writes them: little-endian, in segments.

The layouts follow three public servers (philips-labs, STM32WBA, Realtek), as the adopted text cannot be had. They
disagree whether the length of an observation counts what follows it or everything, hence `Length`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Final

__all__ = [
    "NAN",
    "Body",
    "Length",
    "ObservationClass",
    "Stamp",
    "StampFlag",
    "bundle",
    "component",
    "medfloat32",
    "numeric",
    "seconds_since_2000",
    "segments",
    "string",
    "tlv",
]

NAN: Final = 0x007FFFFF
_NRES, _PLUS_INFINITY, _MINUS_INFINITY = 0x00800000, 0x007FFFFE, 0x00800002
_EPOCH: Final = datetime(2000, 1, 1)
UTF8: Final = 0x19
"""GATT format type of a UTF-8 string (Bluetooth assigned numbers)."""


class ObservationClass(IntEnum):
    """First octet of an observation."""

    NUMERIC = 1
    DISCRETE = 2
    STRING = 3
    SAMPLE_ARRAY = 4
    COMPOUND_DISCRETE_EVENT = 5
    COMPOUND_STATE = 6
    COMPOUND = 7
    TLV = 8
    BUNDLE = 0xFF


class Length(StrEnum):
    """What the length of an observation counts."""

    REST = "rest"
    """What follows it, as the STM32WBA does."""
    TOTAL = "total"
    """Everything, class and length included, as philips-labs and Realtek do."""


class StampFlag(IntEnum):
    """Flags of a time stamp (Elapsed Time Service)."""

    TICKS = 0x01
    UTC = 0x02
    TENTHS = 0x04
    MILLISECONDS = 0x08
    HUNDRED_MICROSECONDS = 0x0C
    OFFSET = 0x10
    CURRENT = 0x20


def medfloat32(shown: str | None) -> bytes:
    """What a display shows as MEDFLOAT32: ``2.5``, ``>8.0``, ``<0.8``, or nothing (NaN).

    Raises:
        ValueError: it is no number, or does not fit.
    """
    if shown is None:
        return struct.pack("<I", NAN)
    if shown[:1] in ("<", ">"):
        return struct.pack("<I", _PLUS_INFINITY if shown[0] == ">" else _MINUS_INFINITY)
    try:
        number = Decimal(shown)
    except ArithmeticError:
        raise ValueError(f"{shown!r} is no number") from None
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"{shown!r} is no number")  # noqa: TRY004  # it is text of the wrong content
    mantissa = int(number.scaleb(-exponent))
    if not -0x7FFFFD <= mantissa <= 0x7FFFFD or not -128 <= exponent <= 127:
        raise ValueError(f"{shown} does not fit a MEDFLOAT32")
    return struct.pack("<I", (exponent & 0xFF) << 24 | mantissa & 0xFFFFFF)


@dataclass(frozen=True, slots=True)
class Stamp:
    """A time stamp, or the first nine octets of Current Elapsed Time.

    Attributes:
        count: seconds (or finer, by the flags) since 2000, or ticks.
        source: 0 unknown, 1 NTP, 2 GPS, 3 radio, 4 manual, 5 atomic, 6 cellular, 7 not synchronised.
        offset: quarters of an hour from UTC to local time.
    """

    flags: int
    count: int
    source: int = 0
    offset: int = 0

    def octets(self) -> bytes:
        """Nine octets."""
        count = struct.pack("<Q", self.count & 0xFFFF_FFFF_FFFF)[:6]
        return bytes([self.flags]) + count + struct.pack("<Bb", self.source, self.offset)

    @classmethod
    def of(cls, octets: bytes) -> Stamp:
        """Read nine octets.

        Raises:
            ValueError: these are not nine.
        """
        if len(octets) != 9:
            raise ValueError(f"a time stamp has 9 octets, not {len(octets)}")
        source, offset = struct.unpack_from("<Bb", octets, 7)
        return cls(octets[0], int.from_bytes(octets[1:7], "little"), source, offset)


def seconds_since_2000(wall: datetime) -> int:
    """Seconds from 2000-01-01 to a naive time of the same zone; negative before."""
    return int((wall - _EPOCH).total_seconds())


def numeric(unit: int, shown: str | None) -> bytes:
    """Value of a numeric observation."""
    return struct.pack("<H", unit) + medfloat32(shown)


def string(text: str) -> bytes:
    """Value of a string observation."""
    octets = text.encode()
    return struct.pack("<H", len(octets)) + octets


def component(kind: int, value_type: int, value: bytes) -> bytes:
    """One component of a compound: value type 1 numeric, 2 discrete, 3 string."""
    return struct.pack("<IB", kind, value_type) + value


def tlv(kind: int, octets: bytes, form: int = UTF8) -> bytes:
    """A further attribute: type, length of the value, GATT format of the value, value."""
    return struct.pack("<IHB", kind, len(octets), form) + octets


@dataclass(frozen=True, slots=True)
class Body:
    """One observation before it is written."""

    observation_class: ObservationClass
    value: bytes
    kind: int | None = None
    stamp: bytes | None = None
    duration_s: str | None = None
    status: int | None = None
    identifier: int | None = None
    patient: int | None = None
    supplemental: Sequence[int] = ()
    derived_from: Sequence[int] = ()
    member_of: Sequence[int] = ()
    tlvs: Sequence[bytes] = field(default=())

    def octets(self, length: Length) -> bytes:
        """Class, length, flags, what the flags announce, value."""
        fields = (
            None if self.kind is None else struct.pack("<I", self.kind),
            self.stamp,
            None if self.duration_s is None else medfloat32(self.duration_s),
            None if self.status is None else struct.pack("<H", self.status),
            None if self.identifier is None else struct.pack("<I", self.identifier),
            None if self.patient is None else bytes([self.patient]),
            _codes(self.supplemental),
            _codes(self.derived_from),
            _codes(self.member_of),
            bytes([len(self.tlvs)]) + b"".join(self.tlvs) if self.tlvs else None,
        )
        flags = sum(1 << bit for bit, value in enumerate(fields) if value is not None)
        rest = struct.pack("<H", flags) + b"".join(value for value in fields if value is not None) + self.value
        counted = len(rest) + (3 if length is Length.TOTAL else 0)
        return struct.pack("<BH", self.observation_class, counted) + rest


def _codes(numbers: Sequence[int]) -> bytes | None:
    return struct.pack(f"<B{len(numbers)}I", len(numbers), *numbers) if numbers else None


def bundle(members: Sequence[Body], length: Length, stamp: bytes | None = None) -> Body:
    """Several observations as one."""
    octets = bytes([len(members)]) + b"".join(member.octets(length) for member in members)
    return Body(ObservationClass.BUNDLE, octets, stamp=stamp)


def segments(octets: bytes, size: int, counter: int) -> list[bytes]:
    """An observation in segments.

    Args:
        octets: record number, where there is one, and observation.
        size: octets of a segment, its header included; at most ATT MTU - 3.
        counter: rolling counter of the first segment, 0 to 63.
    """
    pieces = [octets[start : start + size - 1] for start in range(0, len(octets), size - 1)]
    last = len(pieces) - 1
    return [
        bytes([(number == 0) | (number == last) << 1 | ((counter + number) & 0x3F) << 2]) + piece
        for number, piece in enumerate(pieces)
    ]
