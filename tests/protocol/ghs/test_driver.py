"""What becomes of observations: records with everything the meter said, and nothing it did not say."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import Advertisement, Decoded, DeviceTime, MeterRecord, Quantity, RecordKind, Unreadable
from drivers.errors import DriverError, ProtocolReason
from drivers.meters.ble_ghs import BleGhsDriver
from gateway.result import Result, content_differs, identity
from tests.protocol.ghs import peer as p
from tests.protocol.ghs.peer import Peer, talk

CONTEXTS = [p.frame(0x82, p.VENDOR, b"Acme"), p.frame(0x82, p.SERIAL, b"SN123"), p.frame(0x82, p.ELAPSED, p.CLOCK)]
LIMITS = {"limits": {"above": "8.0", "below": "0.8", "source": "manual, page 3"}}
INFINITY, MINUS_INFINITY, NAN, NRES = 0x007FFFFE, 0x00800002, 0x007FFFFF, 0x00800000


Profile = Mapping[str, object]


def decode(
    body: bytes,
    profile: Profile | None = None,
    number: int | None = None,
    contexts: list[bytes] = CONTEXTS,
) -> Decoded:
    piece = (
        p.notified(p.LIVE, *p.segments(body))
        if number is None
        else p.notified(p.STORED, *p.stored(number, body, 23, counter=40))
    )
    return BleGhsDriver(profile or {}).decode([*contexts, piece])


def record(body: bytes, profile: Profile | None = None, number: int | None = None) -> MeterRecord:
    (item,) = decode(body, profile, number).items
    assert isinstance(item, MeterRecord), item
    alone = BleGhsDriver(profile or {}).decode([item.octets])
    assert alone.items == (item,)
    return item


def unreadable(body: bytes) -> Unreadable:
    (item,) = decode(body).items
    assert isinstance(item, Unreadable)
    return item


def numeric(raw: int, unit: int = 6608) -> bytes:
    return struct.pack("<HI", unit, raw)


def inr(raw: int, unit: int = 6608, status: int = 0, term: int = p.INR) -> bytes:
    more = {"_3": struct.pack("<H", status)} if status else {}
    return p.body(1, numeric(raw, unit), term, p.stamp(), total=False, **more)


def component(term: int, kind: int, value: bytes) -> bytes:
    return struct.pack("<IB", term, kind) + value


def compound(*components: bytes, **more: bytes) -> bytes:
    return p.body(7, bytes([len(components)]) + b"".join(components), p.INR, p.stamp(), total=False, **more)


def bundle(*members: bytes, total: bool = False, **more: bytes) -> bytes:
    return p.body(0xFF, bytes([len(members)]) + b"".join(members), None, None, total, **more)


WHOLE = (
    component(p.INR, 1, struct.pack("<H", 6608) + p.medfloat(25, -1)),
    component(p.PT, 1, struct.pack("<H", 2176) + p.medfloat(296, -1)),
    component(p.QUICK, 1, struct.pack("<H", 544) + p.medfloat(32)),
)


class TestResults:
    def test_the_published_example(self) -> None:
        found = record(bytes.fromhex("01150003000472020022FDCA473100000700D019190000FF"))
        assert found.kind is RecordKind.PATIENT
        assert found.inr == Quantity("2.5", Decimal("2.5"), None, "INR")
        assert found.device_time == DeviceTime("22fdca473100000700", datetime(2026, 3, 14, 7, 30, 5), 0)
        assert (found.record_number, found.flags, found.notes) == (None, (), ())

    def test_a_compound_with_everything(self) -> None:
        lot = p.LOT.to_bytes(4, "little") + b"\x05\x00\x19LOT42"
        found = record(
            compound(*WHOLE, _3=b"\x40\x00", _5=b"\x02", _6=b"\x01" + struct.pack("<I", 8417925), _9=b"\x01" + lot),
            number=17,
        )
        assert found.pt_seconds == Quantity("29.6", Decimal("29.6"), None, "s")
        assert found.quick_percent == Quantity("32", Decimal(32), None, "%")
        assert (found.record_number, found.strip_lot, found.patient_id) == ("17", "LOT42", "2")
        assert (found.flags, found.notes) == (("manual",), ("tester: self",))

    @pytest.mark.parametrize("total", [False, True])
    def test_a_bundle_is_one_test(self, total: bool) -> None:
        found = record(
            bundle(
                p.body(1, struct.pack("<H", 6608) + p.medfloat(25, -1), p.INR, total=total),
                p.body(1, struct.pack("<H", 2176) + p.medfloat(296, -1), p.PT, total=total),
                p.body(3, b"\x02\x00L7", p.LOT, total=total),
                total=total,
                _1=p.stamp(),
            )
        )
        assert found.inr is not None
        assert found.pt_seconds is not None
        assert (found.strip_lot, found.device_time) == ("L7", record(p.inr(25)).device_time)

    @pytest.mark.parametrize("number", [None, 9])
    def test_a_bundle_of_two_tests(self, number: int | None) -> None:
        two = bundle(
            p.inr(25),
            p.body(1, struct.pack("<H", 2176) + p.medfloat(296, -1), p.PT, p.stamp()),
            p.inr(31, p.T0 + 60),
            _5=b"\x01",
        )
        first, second = decode(two, number=number).items
        assert isinstance(first, MeterRecord)
        assert isinstance(second, MeterRecord)
        assert (first.inr, second.inr) == (
            Quantity("2.5", Decimal("2.5"), None, "INR"),
            Quantity("3.1", Decimal("3.1"), None, "INR"),
        )
        assert first.pt_seconds is not None
        assert second.pt_seconds is None
        for each in (first, second):
            assert BleGhsDriver({}).decode([each.octets]).items == (each,)

    def test_precision_is_kept(self) -> None:
        found = record(inr(0xFE00010E))
        assert found.inr == Quantity("2.70", Decimal("2.70"), None, "INR")
        assert str(found.inr.value) == "2.70"

    def test_an_unknown_user_is_nobody(self) -> None:
        assert record(p.inr(25, _5=b"\xff")).patient_id is None

    def test_without_time(self) -> None:
        assert record(p.body(1, numeric(0xFF000019))).device_time is None


class TestOffTheRange:
    @pytest.mark.parametrize(
        ("raw", "text", "comparator", "limit"),
        [(INFINITY, "+INFINITY", ">", "8.0"), (MINUS_INFINITY, "-INFINITY", "<", "0.8")],
    )
    def test_infinity(self, raw: int, text: str, comparator: str, limit: str) -> None:
        cases: list[tuple[Profile, Decimal | None]] = [({}, None), (LIMITS, Decimal(limit))]
        for profile, value in cases:
            found = record(inr(raw), profile)
            assert found.kind is RecordKind.PATIENT
            assert found.inr is not None
            assert (found.inr.text, found.inr.value, found.inr.comparator) == (text, value, comparator)

    def test_a_device_status_beside_it(self) -> None:
        status = component(p.STATUS, 2, struct.pack("<I", 0x0400))
        found = record(compound(component(p.INR, 1, numeric(NAN)), status), LIMITS)
        assert found.kind is RecordKind.PATIENT
        assert found.inr is not None
        assert (found.inr.value, found.inr.comparator, found.flags) == (Decimal("8.0"), ">", ("result-too-high",))

    def test_limits_need_a_source(self) -> None:
        with pytest.raises(ValueError, match="source"):
            BleGhsDriver({"limits": {"above": "8.0"}})


class TestNoResults:
    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (inr(NAN), "NaN"),
            (inr(NRES), "NaN"),
            (inr(0), "INR 0"),
            (inr(0xFF000019, status=0x0001), "invalid"),
            (inr(0xFF000019, status=0x0004), "not-available"),
            (p.body(2, struct.pack("<I", 0x2000), p.STATUS, p.stamp()), "sample-size-insufficient"),
        ],
    )
    def test_errors_have_no_value(self, body: bytes, code: str) -> None:
        found = record(body)
        assert (found.kind, found.inr, found.error_code) == (RecordKind.ERROR, None, code)

    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            (inr(0xFF000019, term=p.CONTROL_RESULT), RecordKind.CONTROL),
            (p.inr(25, _6=b"\x01" + struct.pack("<I", p.CONTROL_RESULT)), RecordKind.CONTROL),
            (inr(0xFF000019, term=p.CONTROL_RESULT, status=0x0010), RecordKind.CONTROL),
            (inr(0xFF000019, status=0x0010), RecordKind.TEST),
            (inr(0xFF000019, status=0x0008), RecordKind.CALIBRATION),
        ],
    )
    def test_controls_tests_and_calibrations_are_no_patients_results(self, body: bytes, kind: RecordKind) -> None:
        found = record(body)
        assert (found.kind, found.patient_id) == (kind, None)
        assert found.inr is not None

    def test_questionable_is_a_flag(self) -> None:
        assert record(inr(0xFF000019, status=0x4002)).flags == ("questionable", "threshold-error")

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            (inr(0xFF000019, status=0x0020), "early"),
            (inr(0xFF000019, status=0x0080), "setting"),
            (inr(0xFFFFFFE7), "none that a test can have"),
            (inr(0xFF000019, unit=2176), "unit s"),
            (p.body(2, struct.pack("<I", 25), p.INR, p.stamp()), "no number"),
            (compound(WHOLE[0], WHOLE[0]), "twice"),
            (p.body(1, numeric(98, 544), 150456, p.stamp()), "MDC_PULS_OXIM_SAT_O2 and no INR"),
            (
                p.body(8, b"\x01" + struct.pack("<IHB", p.INR, 4, 0x17) + p.medfloat(25, -1), None, p.stamp()),
                "as TLV",
            ),
            (b"\x01\x00\x00\x00\x00", "length"),
        ],
    )
    def test_what_cannot_be_used_says_why(self, body: bytes, why: str) -> None:
        item = unreadable(body)
        assert why in str(item.error)
        assert item.octets

    def test_a_status_without_a_bit_is_nothing(self) -> None:
        assert decode(p.body(2, bytes(4), p.STATUS)).items == ()


class TestTime:
    def test_an_old_timeline_is_no_time(self) -> None:
        body = p.inr(25, _1=p.stamp(flags=0x02))
        found = record(body)
        assert found.device_time == DeviceTime(p.stamp(flags=0x02).hex(), None)
        assert "it showed 2026-03-14T07:30:05" in found.notes[0]
        assert decode(body).clock is None
        believed = record(body, {"clock": {"old_timeline": "believed"}})
        assert believed.device_time is not None
        assert believed.device_time.local == datetime(2026, 3, 14, 7, 30, 5)

    def test_ticks_are_kept_raw(self) -> None:
        raw = p.stamp(flags=0x21)
        assert record(p.inr(25, _1=raw)).device_time == DeviceTime(raw.hex(), None)

    def test_the_meters_clock(self) -> None:
        clock = decode(p.inr(25)).clock
        assert clock is not None
        assert (clock.piece, clock.time.local) == (2, datetime(2026, 3, 14, 7, 30, 5))

    def test_a_clock_that_needs_to_be_set_is_noted(self) -> None:
        contexts = [*CONTEXTS[:2], p.frame(0x82, p.ELAPSED, p.stamp() + b"\x01\x00")]
        (item,) = decode(p.inr(25), contexts=contexts).items
        assert isinstance(item, MeterRecord)
        assert item.notes == ("the meter says that its clock needs to be set",)


class TestIdentity:
    @pytest.mark.parametrize(
        ("contexts", "vendor", "serial"),
        [
            (CONTEXTS, "Acme", "SN123"),
            ([p.frame(0x82, p.SYSTEM_ID, bytes(range(1, 9)))], "Maker", "0807060504030201"),
            ([p.link()], "Maker", "C0:11:22:33:44:55"),
            ([], "Maker", None),
        ],
    )
    def test_who_it_is(self, contexts: list[bytes], vendor: str, serial: str | None) -> None:
        meter = decode(p.inr(25), {"meter": {"vendor": "Maker"}}, contexts=contexts).meter
        assert (meter.vendor, meter.serial) == (vendor, serial)

    @pytest.mark.parametrize("flags", [0x22, 0x20, 0x32, 0x30, 0x2E])
    def test_live_and_stored_copies_are_one_result(self, flags: int) -> None:
        """A result arrives live; at the next contact its stored copy is read, with another segmentation."""
        octets = compound(*WHOLE, _5=b"\x01")
        test = octets.replace(p.stamp(), p.stamp(flags=flags, quarters=4))
        live = talk(BleGhsDriver({}).session(), Peer(live=[test]))
        later = talk(BleGhsDriver({}).session((), live.host.memos), Peer({9: test}))
        results = []
        for line in (live, later):
            (message,) = line.host.messages
            decoded = BleGhsDriver({}).decode(message)
            (item,) = decoded.items
            assert isinstance(item, MeterRecord)
            results.append(Result.from_record(decoded.meter, item))
        assert [result.record_number for result in results] == [None, "9"]
        assert identity(results[0]) == identity(results[1]) is not None
        assert content_differs(*results) == ()


class TestRecognising:
    GHS = "00001840-0000-1000-8000-00805f9b34fb"

    @pytest.mark.parametrize(
        ("data", "uuids", "is_one"),
        [
            ("011210", (GHS,), True),
            ("0207101210", (), True),
            ("010710", (GHS,), False),
            ("00", (GHS,), True),
            ("ff", (GHS,), True),
            (None, (GHS,), True),
            (None, ("0000180d-0000-1000-8000-00805f9b34fb",), False),
        ],
    )
    def test_by_its_advertisement(self, data: str | None, uuids: tuple[str, ...], is_one: bool) -> None:
        service_data = {} if data is None else {self.GHS: bytes.fromhex(data)}
        seen = Advertisement("C0:11:22:33:44:55", None, uuids, service_data, {}, -60)
        assert BleGhsDriver({}).recognises(seen) is is_one

    def test_security_comes_from_the_profile(self) -> None:
        assert BleGhsDriver({}).security == "encrypted"
        assert BleGhsDriver({"bluetooth": {"security": "authenticated"}}).security == "authenticated"

    @pytest.mark.parametrize(
        ("profile", "named"),
        [
            ({"clock": {"set": "always"}}, "zone"),
            ({"zone": "Mars/Base"}, "zone"),
            ({"conversation": {"live": False, "read_stored": False}}, "conversation"),
            ({"bluetooth": {"security": "some"}}, "bluetooth.security"),
            ({"conversatoin": {}}, "conversatoin"),
        ],
    )
    def test_an_unusable_profile_names_the_key(self, profile: dict[str, object], named: str) -> None:
        with pytest.raises(ValueError, match=named):
            BleGhsDriver(profile)


PIECES = [*CONTEXTS, p.notified(p.STORED, *p.stored(3, compound(*WHOLE)))]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 3), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=4))
def test_altered_messages_decode_or_are_refused(which: int, changes: list[tuple[int, int]]) -> None:
    pieces = list(PIECES)
    altered = bytearray(pieces[which])
    for place, value in changes:
        altered[place % len(altered)] = value
    pieces[which] = bytes(altered)
    try:
        decoded = BleGhsDriver({}).decode(pieces)
    except DriverError:
        return
    assert all(item.octets for item in decoded.items)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=4))
def test_any_octets_are_refused(pieces: list[bytes]) -> None:
    with pytest.raises(DriverError) as caught:
        BleGhsDriver({}).decode(pieces)
    assert caught.value.reason in {*ProtocolReason, "unexpected", "truncated", "too_long", "bad_sequence"}
