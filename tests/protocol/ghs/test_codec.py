"""Observations, time stamps, segments and control points: published octets, every field, and octets of an enemy."""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import DeviceTime
from drivers.errors import DriverError, FramingReason, ProtocolError, ProtocolReason
from drivers.protocols.ghs import racp
from drivers.protocols.ghs.features import ControlAnswer, Features, ServiceData, control_answer
from drivers.protocols.ghs.message import record_of
from drivers.protocols.ghs.observation import (
    Bundle,
    Component,
    Compound,
    Discrete,
    Events,
    Length,
    Numeric,
    Observation,
    Samples,
    States,
    Text,
    Tlv,
    Tlvs,
    fingerprint,
    read_observation,
)
from drivers.protocols.ghs.segments import MAX_SEGMENTS, Assembler, Broken, Whole, framed
from drivers.protocols.ghs.times import ElapsedTime, TimeStamp, setting
from drivers.protocols.ieee11073.mder import Special
from tests.protocol.ghs import peer as p


@pytest.fixture(scope="module")
def vectors(shared: Path) -> dict[str, dict[str, Any]]:
    told = json.loads((shared / "vectors" / "ble_ghs.json").read_text(encoding="utf-8"))
    return {each["name"]: each for each in told}


def observed(vectors: dict[str, dict[str, Any]], name: str) -> Observation:
    return read_observation(bytes.fromhex(vectors[name]["hex"]))


class TestPublishedOctets:
    """What ST's example sends, with the fields that are listed beside it."""

    def test_numeric(self, vectors: dict[str, dict[str, Any]]) -> None:
        found = observed(vectors, "NumericOxygenSaturation")
        assert (found.class_code, found.flags, found.length) == (1, 0x63, Length.REMAINDER)
        assert found.type == 150456
        assert found.stamp is not None
        assert (found.stamp.flags, found.stamp.count, found.stamp.source, found.stamp.quarters) == (
            0x22,
            690724210,
            6,
            0,
        )
        assert found.stamp.local == datetime(2021, 11, 20, 11, 50, 10)
        assert (found.patient, found.supplemental) == (1, (150588,))
        assert found.value == Numeric(0x0220, Decimal(98))

    def test_discrete(self, vectors: dict[str, dict[str, Any]]) -> None:
        found = observed(vectors, "SimpleDiscreteObservation")
        assert (found.flags, found.value) == (0x43, Discrete(98))

    def test_sample_array(self, vectors: dict[str, dict[str, Any]]) -> None:
        found = observed(vectors, "SampleArrayObservation").value
        octets = bytes.fromhex("f907fb07f507ff070c08")
        assert found == Samples(0x10B2, Decimal(0x64C), Decimal(0x800), Decimal("0.010"), 1, 1, 10, octets)

    def test_tlvs(self, vectors: dict[str, dict[str, Any]]) -> None:
        found = observed(vectors, "TLVEncodedObservation").value
        assert found == Tlvs(tuple(Tlv(150456, 4, bytes([value, 0, 0]), value) for value in (98, 99, 100)))

    def test_events(self, vectors: dict[str, dict[str, Any]]) -> None:
        found = observed(vectors, "CompoundDiscreteBloodPressureStatus")
        assert (found.type, found.derived_from) == (128 << 16 | 0x55F0, (123456,))
        assert found.value == Events((3 << 16 | 240, 3 << 16 | 430))

    def test_states(self, vectors: dict[str, dict[str, Any]]) -> None:
        found = observed(vectors, "CompoundDiscreteEvent").value
        assert found == States(b"\xff" * 4, b"\xff" * 4, struct.pack("<I", 3 << 16 | 240))

    def test_the_broken_one_is_rejected_with_its_offset(self, vectors: dict[str, dict[str, Any]]) -> None:
        with pytest.raises(ProtocolError, match="151 octets") as caught:
            observed(vectors, "SimpleArrayECGWaveform")
        assert caught.value.offset == 1

    def test_every_split_into_segments_gives_the_same_observation(self, vectors: dict[str, dict[str, Any]]) -> None:
        for name, vector in vectors.items():
            octets = bytes.fromhex(vector["hex"])
            if not vector["valid"]:
                continue
            for size in range(2, len(octets) + 2):
                (live,) = assembled(p.segments(octets, size, counter=60))
                (stored,) = assembled(p.stored(7, octets, size, counter=60))
                assert isinstance(live, Whole)
                assert isinstance(stored, Whole)
                assert record_of(stored) == (7, live.content)
                assert read_observation(live.content) == observed(vectors, name)

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_any_split(self, vectors: dict[str, dict[str, Any]], data: st.DataObject) -> None:
        valid = [bytes.fromhex(each["hex"]) for each in vectors.values() if each["valid"]]
        octets = data.draw(st.sampled_from(valid))
        places = sorted(data.draw(st.sets(st.integers(1, len(octets) - 1), max_size=8)))
        parts = [octets[a:b] for a, b in zip([0, *places], [*places, len(octets)], strict=True)]
        counter = data.draw(st.integers(0, 63))
        values = [
            bytes([(n == 0) | (n == len(parts) - 1) << 1 | ((counter + n) % 64) << 2]) + part
            for n, part in enumerate(parts)
        ]
        (whole,) = assembled(values)
        assert isinstance(whole, Whole)
        assert whole.content == octets


LOT_TLV = p.LOT.to_bytes(4, "little") + b"\x02\x00\x19L7"


def assembled(values: list[bytes]) -> list[Whole | Broken]:
    assembler = Assembler()
    return [each for value in values for each in assembler.feed(value)]


class TestObservations:
    @pytest.mark.parametrize("total", [False, True])
    def test_both_conventions_of_the_length(self, total: bool) -> None:
        member = p.body(1, struct.pack("<H", 2176) + p.medfloat(296, -1), term=p.PT, total=total)
        text = p.body(3, b"\x02\x00L7", term=p.LOT, total=total)
        octets = p.body(0xFF, bytes([2]) + member + text, term=None, at=p.stamp(), total=total)
        found = read_observation(octets)
        assert found.length is (Length.TOTAL if total else Length.REMAINDER)
        assert isinstance(found.value, Bundle)
        first, second = found.value.members
        assert first.value == Numeric(2176, Decimal("29.6"))
        assert (second.value, second.octets) == (Text("L7"), text)

    def test_all_fields(self) -> None:
        octets = p.inr(
            25,
            _2=p.medfloat(60),
            _3=b"\x40\x40",
            _4=struct.pack("<I", 77),
            _5=b"\x03",
            _6=b"\x01" + struct.pack("<I", 8417925),
            _7=b"\x01" + struct.pack("<I", 5),
            _8=b"\x01" + struct.pack("<I", 6),
            _9=b"\x02"
            + p.LOT.to_bytes(4, "little")
            + b"\x02\x00\x19L7"
            + p.LOT.to_bytes(4, "little")
            + b"\x00\x00\x1b",
        )
        found = read_observation(octets)
        assert (found.duration, found.status, found.identifier, found.patient) == (Decimal(60), 0x4040, 77, 3)
        assert (found.supplemental, found.derived_from, found.member_of) == ((8417925,), (5,), (6,))
        assert found.tlvs == (Tlv(p.LOT, 0x19, b"L7", "L7"), Tlv(p.LOT, 0x1B, b"", None))
        assert found.value == Numeric(6608, Decimal("2.5"))

    def test_compound_with_every_kind_of_component(self) -> None:
        parts = [
            struct.pack("<IB", p.INR, 1) + struct.pack("<H", 6608) + p.medfloat(25, -1),
            struct.pack("<IB", p.STATUS, 2) + struct.pack("<I", 0x0400),
            struct.pack("<IB", p.LOT, 3) + b"\x03\x00L\xc3\xa9",
            struct.pack("<IB", 1, 4)
            + struct.pack("<H", 1)
            + p.medfloat(1) * 3
            + b"\x01\x02\x01\x00\x00\x00\x07\x00",
            struct.pack("<IB", 2, 5) + b"\x01" + struct.pack("<I", 9),
            struct.pack("<IB", 3, 6) + b"\x02\xff\xff\x00\x00\x01\x00",
        ]
        found = read_observation(p.body(7, bytes([len(parts)]) + b"".join(parts), at=p.stamp())).value
        assert isinstance(found, Compound)
        assert [component.value for component in found.components] == [
            Numeric(6608, Decimal("2.5")),
            Discrete(0x0400),
            Text("Lé"),
            Samples(1, Decimal(1), Decimal(1), Decimal(1), 1, 2, 1, b"\x07\x00"),
            Events((9,)),
            States(b"\xff\xff", b"\x00\x00", b"\x01\x00"),
        ]
        assert found.components[0] == Component(p.INR, 1, Numeric(6608, Decimal("2.5")))

    @pytest.mark.parametrize(
        ("raw", "value"),
        [
            (0x007FFFFF, Special.NAN),
            (0x00800000, Special.NRES),
            (0x007FFFFE, Special.POSITIVE_INFINITY),
            (0x00800002, Special.NEGATIVE_INFINITY),
            (0x00800001, Special.RESERVED),
            (0xFF00001B, Decimal("2.7")),
            (0xFE00010E, Decimal("2.70")),
            (0xFFFFFFE7, Decimal("-2.5")),
        ],
    )
    def test_numbers(self, raw: int, value: Decimal | Special) -> None:
        found = read_observation(p.body(1, struct.pack("<HI", 6608, raw))).value
        assert found == Numeric(6608, value)
        assert isinstance(found, Numeric)
        assert str(found.number) == str(value)  # 2.70 stays 2.70

    def test_a_tlv_whose_length_counts_its_format(self) -> None:
        octets = p.inr(25, _9=b"\x01" + p.LOT.to_bytes(4, "little") + b"\x03\x00\x19L7")
        assert read_observation(octets).tlvs == (Tlv(p.LOT, 0x19, b"L7", "L7"),)

    @pytest.mark.parametrize(
        ("form", "octets", "value"),
        [
            (0x06, b"\x01\x02", 0x0201),
            (0x0C, b"\xff", -1),
            (0x16, b"\x19\xf0", Decimal("2.5")),
            (0x17, p.medfloat(25, -1), Decimal("2.5")),
            (0x19, b"\xff", None),
            (0x77, b"\x01", None),
        ],
    )
    def test_formats_of_tlvs(self, form: int, octets: bytes, value: object) -> None:
        tlv = p.LOT.to_bytes(4, "little") + struct.pack("<HB", len(octets), form) + octets
        assert read_observation(p.inr(25, _9=b"\x01" + tlv)).tlvs[0].value == value

    @pytest.mark.parametrize(
        ("octets", "offset", "reason"),
        [
            (b"", 0, ProtocolReason.BAD_STRUCTURE),
            (b"\x01\x05\x00\x00", 0, ProtocolReason.BAD_STRUCTURE),
            (p.inr(25)[:-1], 1, ProtocolReason.BAD_STRUCTURE),
            (p.inr(25) + b"\0", 1, ProtocolReason.BAD_STRUCTURE),
            (b"\x09" + p.inr(25)[1:], 0, ProtocolReason.UNSUPPORTED),
            (p.body(1, b"\0" * 6, _10=b""), 3, ProtocolReason.UNSUPPORTED),
            (p.body(1, b"\0" * 7), 15, ProtocolReason.BAD_STRUCTURE),
            (p.body(3, b"\x02\x00a\xff", term=None), 8, ProtocolReason.BAD_VALUE),
            (p.body(7, b"\x01" + struct.pack("<IB", p.INR, 7), term=None), 10, ProtocolReason.UNSUPPORTED),
            (p.body(0xFF, b"\x01" + p.body(0xFF, b"\x00", term=None), term=None), 6, ProtocolReason.UNSUPPORTED),
            (p.body(0xFF, b"\x01" + p.inr(25, total=True), term=None), 7, ProtocolReason.BAD_STRUCTURE),
            (p.body(4, bytes(14) + b"\x01\x04" + b"\xff" * 4, term=None), 25, ProtocolReason.BAD_STRUCTURE),
        ],
    )
    def test_what_is_wrong_is_named_with_its_place(
        self, octets: bytes, offset: int, reason: ProtocolReason
    ) -> None:
        with pytest.raises(ProtocolError, match=f"octet {offset}: ") as caught:
            read_observation(octets)
        assert (caught.value.offset, caught.value.reason) == (offset, reason)
        with pytest.raises(ProtocolError) as moved:
            read_observation(octets, base=100)
        assert moved.value.offset == offset + 100

    def test_a_record_is_known_again_after_the_clock_was_changed(self) -> None:
        current = p.inr(25)
        old = current.replace(p.stamp(), p.stamp(flags=0x02))
        assert old != current
        assert fingerprint(old) == fingerprint(current) != fingerprint(p.inr(26))
        assert fingerprint(b"no observation") != fingerprint(b"another")


class TestTimeStamps:
    @pytest.mark.parametrize(
        ("flags", "count", "quarters", "local", "offset_min"),
        [
            (0x22, p.T0, 0, datetime(2026, 3, 14, 7, 30, 5), 0),
            (0x20, p.T0, 4, datetime(2026, 3, 14, 7, 30, 5), None),
            (0x32, p.T0, 4, datetime(2026, 3, 14, 8, 30, 5), 60),
            (0x30, p.T0, -20, datetime(2026, 3, 14, 7, 30, 5), -300),
            (0x26, p.T0 * 10 + 7, 0, datetime(2026, 3, 14, 7, 30, 5, 700_000), 0),
            (0x2A, p.T0 * 1000 + 7, 0, datetime(2026, 3, 14, 7, 30, 5, 7000), 0),
            (0x2E, p.T0 * 10_000 + 7, 0, datetime(2026, 3, 14, 7, 30, 5, 700), 0),
            (0x21, p.T0, 0, None, None),  # ticks
            (0x02, p.T0, 0, None, None),  # old timeline
            (0x32, p.T0, 57, None, None),  # no such offset
            (0x22, (1 << 48) - 1, 0, None, None),  # beyond the calendar
            (0x22, 0, 0, datetime(2000, 1, 1), 0),
        ],
    )
    def test_flags(
        self, flags: int, count: int, quarters: int, local: datetime | None, offset_min: int | None
    ) -> None:
        raw = p.stamp(count, flags, quarters=quarters)
        assert TimeStamp.of(raw).device_time() == DeviceTime(raw.hex(), local, offset_min)

    def test_an_old_timeline_may_be_believed(self) -> None:
        told = TimeStamp.of(p.stamp(flags=0x02)).device_time(old_is_believed=True)
        assert told.local == datetime(2026, 3, 14, 7, 30, 5)

    def test_elapsed_time(self) -> None:
        told = ElapsedTime.of(p.stamp() + b"\x01\x03")
        assert (told.stamp.raw, told.needs_set, told.capabilities) == (p.stamp(), True, 3)
        with pytest.raises(ProtocolError, match="11 octets"):
            ElapsedTime.of(p.stamp())

    @pytest.mark.parametrize(
        ("flags", "written"),
        [
            (0x22, p.stamp(p.T0, 0x22, 1)),
            (0x20, p.stamp(p.T0 + 3600, 0x20, 1)),
            (0x32, p.stamp(p.T0, 0x32, 1, 4)),
            (0x30, p.stamp(p.T0 + 3600, 0x30, 1, 4)),
            (0x26, p.stamp(p.T0 * 10 + 2, 0x26, 1)),
        ],
    )
    def test_setting(self, flags: int, written: bytes) -> None:
        now = datetime(2026, 3, 14, 7, 30, 5, 250_000, tzinfo=UTC).astimezone(timezone(timedelta(hours=1)))
        assert setting(now, TimeStamp.of(p.stamp(0, flags)), 1) == written

    def test_what_cannot_be_set(self) -> None:
        with pytest.raises(ValueError, match="ticks"):
            setting(datetime(2026, 1, 1, tzinfo=UTC), TimeStamp.of(p.stamp(flags=0x21)), 1)
        with pytest.raises(ValueError, match="1999"):
            setting(datetime(1999, 1, 1, tzinfo=UTC), TimeStamp.of(p.stamp()), 1)


class TestSegments:
    def test_a_gap_drops_the_observation_and_not_the_next(self) -> None:
        first, second = p.segments(p.inr(25), 10), p.segments(p.inr(26), 10, counter=3)
        broken, whole = assembled([first[0], first[2], *second])
        assert isinstance(broken, Broken)
        assert broken.error.reason is FramingReason.BAD_SEQUENCE
        assert broken.segments == (first[0], first[2])
        assert whole == Whole(tuple(second))

    @pytest.mark.parametrize("wrong", ["order", "counter", "no first", "no last", "empty"])
    def test_what_else_goes_wrong(self, wrong: str) -> None:
        values = p.segments(p.inr(25), 10)
        values = {
            "order": [values[1], values[0], values[2]],
            "counter": [values[0], bytes([values[1][0] + 8]) + values[1][1:], values[2]],
            "no first": values[1:],
            "no last": values[:-1],
            "empty": [values[0], b"", *values[1:]],
        }[wrong]
        after = p.segments(p.inr(26), 10)
        found = assembled([*values, *after])
        assert [type(each) for each in found][-1] is Whole
        assert all(isinstance(each, Broken) for each in found[:-1])
        assert found[:-1]
        assert found[-1] == Whole(tuple(after))

    def test_a_repetition_by_the_radio_is_passed_over(self) -> None:
        values = p.segments(p.inr(25), 10)
        doubled = [value for value in values for _ in range(2)]
        assert assembled([*doubled, *doubled]) == [Whole(tuple(values))]

    def test_an_observation_without_end(self) -> None:
        assembler = Assembler()
        found = assembler.feed(b"\x01" + bytes(500))
        for number in range(1, 2 * MAX_SEGMENTS):
            found += assembler.feed(bytes([(number % 64) << 2]) + bytes(number % 3 * 100))
        assert not found
        (broken,) = assembler.rest()
        assert broken.error.reason is FramingReason.TOO_LONG
        assert sum(map(len, broken.segments)) < 80_000

    def test_the_number_may_stand_in_each_segment(self) -> None:
        values = [value[:1] + struct.pack("<I", 9) + value[1:] for value in p.segments(p.inr(25), 10)]
        (whole,) = assembled(values)
        assert isinstance(whole, Whole)
        assert record_of(whole) == (9, p.inr(25))

    def test_framed_observations_are_read_again(self) -> None:
        content = bytes(range(256)) * 250
        live = "00002b8b-0000-1000-8000-00805f9b34fb"
        assert framed(live, content[:3]) == p.notified(p.LIVE, b"\x03" + content[:3])
        frames = framed(live, content)
        (whole,) = assembled([value for _, _, value in p.requests(frames)])
        assert isinstance(whole, Whole)
        assert whole.content == content


class TestControlPoints:
    @pytest.mark.parametrize(
        ("selection", "octets"),
        [
            (racp.ALL, "0701"),
            (racp.Selection(at_least=8), "07030108000000"),
            (racp.Selection(at_most=8), "07020108000000"),
            (racp.Selection(3, 3), "0704010300000003000000"),
        ],
    )
    def test_requests(self, selection: racp.Selection, octets: str) -> None:
        assert racp.request(racp.Opcode.REPORT_COMBINED, selection).hex() == octets

    def test_an_abort_selects_nothing(self) -> None:
        assert racp.request(racp.Opcode.ABORT) == b"\x03\x00"

    @pytest.mark.parametrize(
        ("octets", "answer"),
        [
            ("050007000000", racp.Counted(7)),
            ("080007000000", racp.Combined(7)),
            ("08000700", racp.Combined(7)),
            *((f"060007{code:02x}", racp.Response(7, code)) for code in (*range(1, 11), 99)),
        ],
    )
    def test_answers(self, octets: str, answer: racp.Answer) -> None:
        assert racp.decode(bytes.fromhex(octets)) == answer

    def test_codes_in_words(self) -> None:
        assert racp.Response(7, 10).why == "busy"
        assert racp.Response(7, 99).why == "response code 99"

    @pytest.mark.parametrize("octets", ["", "05", "0700", "050100000000", "06000701ff", "0800070000"])
    def test_what_is_no_answer(self, octets: str) -> None:
        with pytest.raises(ProtocolError):
            racp.decode(bytes.fromhex(octets))

    def test_features(self) -> None:
        octets = b"\x01\x02" + struct.pack("<II", p.INR, p.PT) + b"\x01\x12\x10\x02"
        assert Features.of(octets) == Features(1, (p.INR, p.PT), ((0x1012, 2),))
        for cut in range(len(octets)):
            with pytest.raises(ProtocolError):
                Features.of(octets[:cut])

    def test_advertised_service_data(self) -> None:
        assert ServiceData.of(bytes.fromhex("0112100102")) == ServiceData((0x1012,), b"\x01\x02")
        with pytest.raises(ProtocolError):
            ServiceData.of(b"\x02\x12\x10")

    def test_control_point(self) -> None:
        assert control_answer(b"\x81") is ControlAnswer.BUSY
        for octets in (b"", b"\x01", b"\x80\x80"):
            with pytest.raises(ProtocolError):
                control_answer(octets)


SEEDS = [
    p.inr(25),
    p.inr(25, _9=b"\x01" + p.LOT.to_bytes(4, "little") + b"\x02\x00\x19L7"),
    p.body(0xFF, b"\x02" + p.body(1, bytes(6)) + p.body(3, b"\x01\x00x"), term=None, at=p.stamp(), total=True),
    p.body(7, b"\x01" + struct.pack("<IB", p.INR, 1) + bytes(6)),
    p.body(4, bytes(14) + b"\x01\x01\x02\x00\x00\x00ab"),
    p.body(6, b"\x01abc"),
]


def altered(seed: bytes, changes: list[tuple[int, int]]) -> bytes:
    octets = bytearray(seed)
    for place, value in changes:
        octets[place % len(octets)] = value
    return bytes(octets)


CHANGES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 255)), max_size=4)
ALTERED = st.builds(altered, st.sampled_from(SEEDS), CHANGES)


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.binary(max_size=80), ALTERED))
def test_any_octets_are_a_value_or_an_error_with_a_place(octets: bytes) -> None:
    for read in (read_observation, ElapsedTime.of, Features.of, ServiceData.of, racp.decode, control_answer):
        offset = 0
        try:
            read(octets)
        except DriverError as error:
            offset = -1 if error.offset is None else error.offset
        assert 0 <= offset <= len(octets)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=30), max_size=30))
def test_any_segments_are_told_apart(values: list[bytes]) -> None:
    assembler = Assembler()
    found = [each for value in values for each in assembler.feed(value)] + assembler.rest()
    kept = [segment for each in found for segment in each.segments]
    remaining = iter(values)
    assert all(segment in remaining for segment in kept)  # in order, none invented
