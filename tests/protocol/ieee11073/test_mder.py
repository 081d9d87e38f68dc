"""Primitives: every special value, every digit, every wrong length."""

from __future__ import annotations

import decimal
from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import ProtocolError
from drivers.protocols.ieee11073.mder import (
    AbsoluteTime,
    BaseOffsetTime,
    Reader,
    Special,
    encode_float,
    encode_sfloat,
    float_value,
    sfloat_value,
)

SPECIALS = {
    Special.NAN: (0x07FF, 0x007FFFFF),
    Special.NRES: (0x0800, 0x00800000),
    Special.POSITIVE_INFINITY: (0x07FE, 0x007FFFFE),
    Special.NEGATIVE_INFINITY: (0x0802, 0x00800002),
    Special.RESERVED: (0x0801, 0x00800001),
}


@pytest.mark.parametrize("special", Special)
def test_every_special_value_reads_and_writes(special: Special) -> None:
    small, large = SPECIALS[special]
    assert sfloat_value(small) is special
    assert float_value(large) is special
    assert encode_sfloat(special) == small.to_bytes(2, "big")
    assert encode_float(special) == large.to_bytes(4, "big")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (0xF019, "2.5"),
        (0xF128, "29.6"),
        (0xE0FA, "2.50"),
        (0x0000, "0"),
        (0xF000, "0.0"),
        (0x1003, "30"),
        (0xFFE7, "-2.5"),
        (0x0062, "98"),
    ],
)
def test_sfloats_keep_their_digits(raw: int, text: str) -> None:
    value = sfloat_value(raw)
    assert isinstance(value, Decimal)
    assert f"{value:f}" == text


@pytest.mark.parametrize(("raw", "text"), [(0xFF000270, "62.4"), (0xFF000100, "25.6"), (0xFFFFFFE7, "-2.5")])
def test_floats_keep_their_digits(raw: int, text: str) -> None:
    assert float_value(raw) == Decimal(text)


@given(st.integers(-2045, 2045), st.integers(-8, 7))
def test_sfloats_are_exact(mantissa: int, exponent: int) -> None:
    number = Decimal(mantissa).scaleb(exponent)
    octets = encode_sfloat(number)
    assert sfloat_value(int.from_bytes(octets, "big")) == number
    assert str(sfloat_value(int.from_bytes(octets, "big"))) == str(number)


@given(st.integers(-8_388_605, 8_388_605), st.integers(-128, 127))
def test_floats_are_exact(mantissa: int, exponent: int) -> None:
    number = Decimal(mantissa).scaleb(exponent)
    assert float_value(int.from_bytes(encode_float(number), "big")) == number


def test_a_caller_that_rounds_does_not_round_meters() -> None:
    with decimal.localcontext() as context:
        context.prec = 2
        assert float_value(0xFB012345) == Decimal("0.74565")


@pytest.mark.parametrize("number", [Decimal("20.46"), Decimal("1e8"), Decimal("1e-9"), Decimal("Infinity")])
def test_what_does_not_fit_an_sfloat_is_refused(number: Decimal) -> None:
    with pytest.raises(ValueError, match="SFLOAT"):
        encode_sfloat(number)


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)))
def test_absolute_times_come_back_to_the_hundredth(moment: datetime) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 10_000 * 10_000)
    written = AbsoluteTime.at(moment)
    assert len(written.raw) == 8
    assert AbsoluteTime.of(written.raw).local == moment


@pytest.mark.parametrize("octets", ["0000000000000000", "ffffffffffffffff", "2026023012000000", "20260a0112000000"])
def test_a_time_that_is_none_is_kept_as_octets(octets: str) -> None:
    time = AbsoluteTime.of(bytes.fromhex(octets))
    assert time.local is None
    assert time.raw.hex() == octets


@given(st.binary(min_size=8, max_size=8))
def test_any_eight_octets_are_a_time_of_either_kind(octets: bytes) -> None:
    assert AbsoluteTime.of(octets).raw == octets
    assert BaseOffsetTime.of(octets).raw == octets


def test_base_offset_time_shows_what_the_display_shows() -> None:
    time = BaseOffsetTime.of(
        (1_773_487_805).to_bytes(4, "big") + b"\x80\x00" + (-240).to_bytes(2, "big", signed=True)
    )
    assert time.local == datetime(2026, 3, 14, 7, 30, 5, 500_000)
    assert time.offset_min == -240


def test_a_length_beyond_the_end_names_its_place() -> None:
    reader = Reader(b"\x00\x05ab", base=100)
    with pytest.raises(ProtocolError, match=r"octet 102: text says 5 octets, 2 are there") as caught:
        reader.sized("text")
    assert caught.value.offset == 102
