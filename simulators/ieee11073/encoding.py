"""MDER, writing and the little reading an agent needs (IEEE 11073-20601, annex F)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

__all__ = [
    "NAN_FLOAT",
    "NAN_SFLOAT",
    "absolute_time",
    "apdu",
    "attribute",
    "attributes",
    "base_offset_time",
    "data_apdu",
    "float_of",
    "octet_string",
    "sequence",
    "sfloat_of",
    "text",
    "u16",
    "u32",
]

NAN_SFLOAT, NAN_FLOAT = 0x07FF, 0x007FFFFF
_PLUS_SFLOAT, _PLUS_FLOAT = 0x07FE, 0x007FFFFE
_MINUS_SFLOAT, _MINUS_FLOAT = 0x0802, 0x00800002


def u16(*numbers: int) -> bytes:
    """Numbers of 16 bits."""
    return struct.pack(f">{len(numbers)}H", *numbers)


def u32(number: int) -> bytes:
    """A number of 32 bits."""
    return struct.pack(">I", number)


def octet_string(octets: bytes) -> bytes:
    """Length, octets."""
    return u16(len(octets)) + octets


def text(characters: str) -> bytes:
    """An octet string padded with NUL to an even length, as agents do."""
    octets = characters.encode()
    return octet_string(octets + b"\0" * (len(octets) % 2))


def sequence(elements: Iterable[bytes]) -> bytes:
    """Count, length in octets, elements."""
    listed = list(elements)
    return u16(len(listed), sum(map(len, listed))) + b"".join(listed)


def attribute(identifier: int, value: bytes) -> bytes:
    """Attribute value assertion."""
    return u16(identifier) + octet_string(value)


def attributes(pairs: Iterable[tuple[int, bytes]]) -> bytes:
    """Attribute list."""
    return sequence(attribute(identifier, value) for identifier, value in pairs)


def sfloat_of(shown: str | None) -> bytes:
    """What a display shows as SFLOAT: ``2.5``, ``>8.0``, ``<0.8``, or nothing (NaN)."""
    if shown is None:
        return u16(NAN_SFLOAT)
    if shown[:1] in "<>":
        return u16(_PLUS_SFLOAT if shown[0] == ">" else _MINUS_SFLOAT)
    mantissa, exponent = _parts(shown)
    if not -2045 <= mantissa <= 2045 or not -8 <= exponent <= 7:
        raise ValueError(f"{shown} does not fit an SFLOAT; use numbers = 'float' in the dialect")
    return u16((exponent & 0xF) << 12 | mantissa & 0xFFF)


def float_of(shown: str | None) -> bytes:
    """The same as FLOAT."""
    if shown is None:
        return u32(NAN_FLOAT)
    if shown[:1] in "<>":
        return u32(_PLUS_FLOAT if shown[0] == ">" else _MINUS_FLOAT)
    mantissa, exponent = _parts(shown)
    return u32((exponent & 0xFF) << 24 | mantissa & 0xFFFFFF)


def _parts(shown: str) -> tuple[int, int]:
    number = Decimal(shown)
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"{shown!r} is no number")  # noqa: TRY004  # it is text of the wrong content
    return int(number.scaleb(-exponent)), exponent


def absolute_time(shown: datetime | None) -> bytes:
    """Eight octets of packed digits; zeros for a clock that was never set."""
    if shown is None:
        return bytes(8)
    return bytes.fromhex(f"{shown:%Y%m%d%H%M%S}{shown.microsecond // 10_000:02d}")


def base_offset_time(shown: datetime | None, offset_min: int) -> bytes:
    """Seconds of the base since 1970, fraction, and the offset at which the display stands from it."""
    if shown is None:
        return bytes(6) + struct.pack(">h", offset_min)
    base = shown.replace(tzinfo=UTC) - timedelta(minutes=offset_min)
    return u32(int(base.timestamp())) + struct.pack(">Hh", base.microsecond * 65536 // 1_000_000, offset_min)


def apdu(choice: int, body: bytes) -> bytes:
    """An APDU: choice, length, body."""
    return u16(choice, len(body)) + body


def data_apdu(invoke_id: int, choice: int, body: bytes) -> bytes:
    """A presentation APDU with one operation in it."""
    return apdu(0xE700, octet_string(u16(invoke_id, choice, len(body)) + body))
