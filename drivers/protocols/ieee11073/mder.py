"""Medical device encoding rules (MDER): the primitives that everything else is made of.

Big-endian, no padding, lists as count and length in octets. Source: IEEE 11073-20601, annex F; the special values
of SFLOAT and FLOAT as in its clause on data types, checked against published octets of shipping meters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Context, Decimal
from enum import StrEnum
from functools import lru_cache
from struct import Struct
from typing import Any

from drivers.errors import ProtocolError, ProtocolReason

__all__ = [
    "AbsoluteTime",
    "BaseOffsetTime",
    "Number",
    "Reader",
    "Special",
    "encode_float",
    "encode_sfloat",
    "float_value",
    "listing",
    "malformed",
    "sfloat_value",
    "sized",
]

U16 = Struct(">H")
PAIR = Struct(">HH")
U32 = Struct(">I")

_EXACT = Context(prec=200, Emin=-99999, Emax=99999)
"""The calling thread's own decimal context may round; this one cannot for the 24 bits of a FLOAT."""


class Special(StrEnum):
    """What an SFLOAT or FLOAT says instead of a number."""

    NAN = "NaN"
    NRES = "NRes"
    """Not at this resolution."""
    POSITIVE_INFINITY = "+INFINITY"
    NEGATIVE_INFINITY = "-INFINITY"
    RESERVED = "reserved"


Number = Decimal | Special

_SPECIAL_STEPS = {
    -2: Special.POSITIVE_INFINITY,
    -1: Special.NAN,
    0: Special.NRES,
    1: Special.RESERVED,
    2: Special.NEGATIVE_INFINITY,
}
"""Distance of the raw value from the most negative mantissa (0x0800, 0x00800000)."""


def malformed(message: str, offset: int, reason: ProtocolReason = ProtocolReason.BAD_STRUCTURE) -> ProtocolError:
    """An error about octets that are not what they ought to be, with the place in the message as well."""
    return ProtocolError(f"octet {offset}: {message}", reason, offset=offset)


@lru_cache(maxsize=4096)
def sfloat_value(raw: int) -> Number:
    """Value of a 16-bit SFLOAT: signed 4-bit exponent, signed 12-bit mantissa, base 10.

    >>> sfloat_value(0xF019), sfloat_value(0x07FE)
    (Decimal('2.5'), <Special.POSITIVE_INFINITY: '+INFINITY'>)
    """
    special = _SPECIAL_STEPS.get(raw - 0x0800)
    if special is not None:
        return special
    exponent = (raw >> 12) - (16 if raw & 0x8000 else 0)
    mantissa = (raw & 0x0FFF) - (0x1000 if raw & 0x0800 else 0)
    return _EXACT.scaleb(Decimal(mantissa), exponent)


@lru_cache(maxsize=4096)
def float_value(raw: int) -> Number:
    """Value of a 32-bit FLOAT: signed 8-bit exponent, signed 24-bit mantissa, base 10."""
    special = _SPECIAL_STEPS.get(raw - 0x00800000)
    if special is not None:
        return special
    exponent = (raw >> 24) - (0x100 if raw & 0x80000000 else 0)
    mantissa = (raw & 0xFFFFFF) - (0x1000000 if raw & 0x800000 else 0)
    return _EXACT.scaleb(Decimal(mantissa), exponent)


def encode_sfloat(number: Number) -> bytes:
    """Octets of an SFLOAT with the number's own precision.

    Raises:
        ValueError: more digits or a larger exponent than an SFLOAT holds.
    """
    return U16.pack(_packed(number, mantissa_bits=12, exponent_bits=4))


def encode_float(number: Number) -> bytes:
    """Octets of a FLOAT; see `encode_sfloat`."""
    return U32.pack(_packed(number, mantissa_bits=24, exponent_bits=8))


def _packed(number: Number, *, mantissa_bits: int, exponent_bits: int) -> int:
    middle = 1 << (mantissa_bits - 1)
    if isinstance(number, Special):
        return middle + next(step for step, special in _SPECIAL_STEPS.items() if special is number)
    sign, digits, exponent = number.as_tuple()
    size = int("".join(map(str, digits)))
    mantissa = -size if sign else size
    reach = 1 << (exponent_bits - 1)
    if not isinstance(exponent, int) or not -reach <= exponent < reach or not 3 - middle <= mantissa <= middle - 3:
        kind = "SFLOAT" if mantissa_bits == 12 else "FLOAT"
        raise ValueError(f"{number} does not fit an {kind}; round it first")
    return ((exponent & (2 * reach - 1)) << mantissa_bits) | (mantissa & (2 * middle - 1))


_TWO_DIGITS = [high * 10 + low if low < 10 and high < 10 else -1 for high in range(16) for low in range(16)]
"""Value of one octet of packed decimal digits, or -1."""


@dataclass(frozen=True, slots=True)
class AbsoluteTime:
    """A wall time without zone: century, year, month, day, hour, minute, second, 1/100 s as packed digits.

    Attributes:
        raw: the eight octets.
        local: the same as a naive datetime, or None when it is no date (unset clocks send zeros or FF).
    """

    raw: bytes
    local: datetime | None

    @classmethod
    @lru_cache(maxsize=256)  # the observations of one test share their stamp
    def of(cls, raw: bytes) -> AbsoluteTime:
        """Read eight octets; any octets are accepted, because an unset clock is no damaged message."""
        digits = [_TWO_DIGITS[octet] for octet in raw]
        if min(digits) < 0:
            return cls(raw, None)
        century, year, month, day, hour, minute, second, hundredths = digits
        try:
            local = datetime(century * 100 + year, month, day, hour, minute, second, hundredths * 10_000)
        except ValueError:
            return cls(raw, None)
        return cls(raw, local)

    @classmethod
    def at(cls, local: datetime) -> AbsoluteTime:
        """Write a naive datetime; what is finer than 1/100 s is cut off."""
        text = f"{local:%Y%m%d%H%M%S}{local.microsecond // 10_000:02d}"
        return cls.of(bytes.fromhex(text.zfill(16)))


_BASE_OFFSET = Struct(">IHh")
_EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class BaseOffsetTime:
    """Seconds since 1970-01-01 with the meter's own offset from that base (20601-2014).

    Attributes:
        raw: the eight octets.
        local: base plus offset, as the display shows it; None when the base was never set (zero).
        offset_min: minutes east; it says UTC only when the meter claims that its base is aligned with UTC.
    """

    raw: bytes
    local: datetime | None
    offset_min: int

    @classmethod
    def of(cls, raw: bytes) -> BaseOffsetTime:
        """Read eight octets."""
        seconds, fraction, offset_min = _BASE_OFFSET.unpack(raw)
        if not seconds:
            return cls(raw, None, offset_min)
        microseconds = fraction * 1_000_000 // 65_536
        local = _EPOCH + timedelta(seconds=seconds, microseconds=microseconds, minutes=offset_min)
        return cls(raw, local, offset_min)


class Reader:
    """Reads forward through a part of some octets; every error names the place in the whole.

    Args:
        octets: what is read.
        base: where `octets` begin in the message that came, for error messages.

    Raises:
        ProtocolError: what is asked for does not lie inside the part.
    """

    __slots__ = ("base", "end", "octets", "position")

    def __init__(self, octets: bytes, base: int = 0, position: int = 0, end: int | None = None) -> None:
        self.octets = octets
        self.base = base
        self.position = position
        self.end = len(octets) if end is None else end

    @property
    def at(self) -> int:
        """Where the next octet stands in the message that came."""
        return self.base + self.position

    @property
    def left(self) -> int:
        """How many octets are left."""
        return self.end - self.position

    def unpack(self, layout: Struct, what: str) -> tuple[Any, ...]:
        """Fields of a fixed layout."""
        position = self.position
        after = position + layout.size
        if after > self.end:
            raise malformed(f"{what} needs {layout.size} octets, {self.end - position} are there", self.at)
        self.position = after
        return layout.unpack_from(self.octets, position)

    def u16(self, what: str) -> int:
        """An unsigned 16-bit number."""
        value: int = self.unpack(U16, what)[0]
        return value

    def u32(self, what: str) -> int:
        """An unsigned 32-bit number."""
        value: int = self.unpack(U32, what)[0]
        return value

    def take(self, length: int, what: str) -> bytes:
        """So many octets."""
        position = self.position
        after = position + length
        if after > self.end:
            raise malformed(f"{what} says {length} octets, {self.end - position} are there", self.at)
        self.position = after
        return self.octets[position:after]

    def sized(self, what: str) -> bytes:
        """An octet string: length and octets."""
        return self.take(self.u16(f"length of {what}"), what)

    def part(self, what: str) -> Reader:
        """A reader of what a length in front announces."""
        length = self.u16(f"length of {what}")
        position = self.position
        self.take(length, what)
        return Reader(self.octets, self.base, position, position + length)

    def listing(self, what: str) -> tuple[int, Reader]:
        """Count and a reader of a list's elements. The caller calls `finish` after the last."""
        count = self.u16(f"count of {what}")
        return count, self.part(what)

    def finish(self, what: str) -> None:
        """Nothing may be left."""
        if self.position != self.end:
            raise malformed(f"{self.left} octets too many in {what}", self.at)


def sized(octets: bytes) -> bytes:
    """An octet string: length and octets."""
    return U16.pack(len(octets)) + octets


def listing(elements: Iterable[bytes]) -> bytes:
    """A list: count, length in octets, elements."""
    parts = list(elements)
    octets = b"".join(parts)
    return PAIR.pack(len(parts), len(octets)) + octets
