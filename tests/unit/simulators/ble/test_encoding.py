"""The encoder against published observations, octet for octet, and its own rules for any input."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.ble.encoding import (
    Body,
    Length,
    ObservationClass,
    Stamp,
    StampFlag,
    bundle,
    component,
    medfloat32,
    numeric,
    segments,
    string,
    tlv,
)

SPO2, SPOT, STATUS = 150456, 150588, 0x8055F0
PERCENT, MILLIVOLT = 0x0220, 0x10B2
AT = Stamp(StampFlag.UTC | StampFlag.CURRENT, 0x292B9D72, 6).octets()


@pytest.fixture(scope="module")
def vectors(shared: Path) -> dict[str, Any]:
    listed = json.loads((shared / "vectors" / "ble_ghs.json").read_text())
    return {vector["name"]: bytes.fromhex(vector["hex"]) for vector in listed}


def _samples() -> bytes:
    scale, offset, period = b"\x4c\x06\0\0", b"\0\x08\0\0", medfloat32("0.010")
    samples = bytes.fromhex("f907fb07f507ff070c08")
    return struct.pack("<H", MILLIVOLT) + scale + offset + period + struct.pack("<BBI", 1, 1, 10) + samples


PUBLISHED = {
    "NumericOxygenSaturation": Body(
        ObservationClass.NUMERIC, numeric(PERCENT, "98"), SPO2, AT, patient=1, supplemental=(SPOT,)
    ),
    "SimpleDiscreteObservation": Body(
        ObservationClass.DISCRETE, struct.pack("<I", 98), SPO2, AT, supplemental=(SPOT,)
    ),
    "SampleArrayObservation": Body(ObservationClass.SAMPLE_ARRAY, _samples()),
    "TLVEncodedObservation": Body(
        ObservationClass.TLV, b"\x03" + b"".join(tlv(SPO2, bytes([number, 0, 0]), 4) for number in (98, 99, 100))
    ),
    "CompoundDiscreteBloodPressureStatus": Body(
        ObservationClass.COMPOUND_DISCRETE_EVENT,
        b"\x02" + struct.pack("<II", 3 << 16 | 240, 3 << 16 | 430),
        STATUS,
        derived_from=(123456,),
    ),
    "CompoundDiscreteEvent": Body(
        ObservationClass.COMPOUND_STATE,
        b"\x04" + b"\xff" * 8 + struct.pack("<I", 3 << 16 | 240),
        STATUS,
        derived_from=(123456,),
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_observations_come_out_octet_for_octet(name: str, vectors: dict[str, bytes]) -> None:
    assert PUBLISHED[name].octets(Length.REST).hex() == vectors[name].hex()


def test_every_valid_published_observation_is_compared(shared: Path) -> None:
    listed = json.loads((shared / "vectors" / "ble_ghs.json").read_text())
    assert {vector["name"] for vector in listed if vector["valid"]} == set(PUBLISHED)


def test_an_inr_as_the_specification_has_it() -> None:
    stamp = Stamp(0x22, 0x3147CAFD, 7).octets()
    body = Body(ObservationClass.NUMERIC, numeric(6608, "2.5"), 160260, stamp)
    assert body.octets(Length.REST).hex() == "01150003000472020022fdca473100000700d019190000ff"
    assert body.octets(Length.TOTAL).hex() == "01180003000472020022fdca473100000700d019190000ff"


@pytest.mark.parametrize(
    ("shown", "octets"),
    [
        ("2.5", "190000ff"),
        ("98", "62000000"),
        ("29.60", "900b00fe"),
        ("-1.2", "f4ffffff"),
        (">8.0", "feff7f00"),
        ("<0.8", "02008000"),
        (None, "ffff7f00"),
    ],
)
def test_numbers_keep_the_digits_of_the_display(shown: str | None, octets: str) -> None:
    assert medfloat32(shown).hex() == octets


@pytest.mark.parametrize("shown", ["two", "NaN", "8388606", "1e200", ""])
def test_what_is_no_number_is_refused(shown: str) -> None:
    with pytest.raises(ValueError, match=r"no number|does not fit"):
        medfloat32(shown)


def test_every_optional_field_is_announced_in_its_place() -> None:
    body = Body(
        ObservationClass.STRING,
        string("é"),
        kind=1,
        stamp=b"T" * 9,
        duration_s="3",
        status=0x10,
        identifier=7,
        patient=2,
        supplemental=(3,),
        derived_from=(4, 5),
        member_of=(6,),
        tlvs=(tlv(9, b"lot"),),
    )
    told = (
        "ff03" "01000000" + "54" * 9 + "03000000" "1000" "07000000" "02" "0103000000" "020400000005000000"
        "0106000000" "01" "09000000" "0300" "19" "6c6f74" "0200" "c3a9"
    )  # fmt: skip
    assert body.octets(Length.REST).hex() == f"03{len(told) // 2:02x}00{told}"


def test_a_bundle_counts_its_members_and_each_has_a_length_of_the_same_kind() -> None:
    member = Body(ObservationClass.NUMERIC, numeric(6608, "2.5"), 160260)
    assert bundle([member, member], Length.TOTAL).octets(Length.TOTAL) == (
        b"\xff\x24\0\0\0\x02" + 2 * bytes.fromhex("010f0001000472020" + "0d019190000ff")
    )


def test_a_component_has_its_term_and_kind_of_value() -> None:
    assert component(160264, 1, numeric(2176, "29.6")).hex() == "08720200018008280100ff"


@given(octets=st.binary(min_size=1, max_size=700), size=st.integers(2, 244), counter=st.integers(0, 63))
def test_segments_carry_everything_once_and_count_on(octets: bytes, size: int, counter: int) -> None:
    made = segments(octets, size, counter)
    assert b"".join(segment[1:] for segment in made) == octets
    assert all(2 <= len(segment) <= size for segment in made)
    assert [segment[0] >> 2 for segment in made] == [(counter + n) % 64 for n in range(len(made))]
    assert [bool(segment[0] & 1) for segment in made] == [n == 0 for n in range(len(made))]
    assert [bool(segment[0] & 2) for segment in made] == [n == len(made) - 1 for n in range(len(made))]


@given(
    flags=st.integers(0, 255),
    count=st.integers(0, 2**48 - 1),
    source=st.integers(0, 255),
    offset=st.integers(-128, 127),
)
def test_a_stamp_is_read_back_the_same(flags: int, count: int, source: int, offset: int) -> None:
    stamp = Stamp(flags, count, source, offset)
    assert Stamp.of(stamp.octets()) == stamp
