"""The ASTM driver: what a meter's octets mean, to the last digit, and what never becomes a patient's result."""

from __future__ import annotations

import re
import time
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import (
    ConfirmedBy,
    Decoded,
    DeviceTime,
    MeterIdentity,
    MeterRecord,
    Quantity,
    RecordKind,
    Unreadable,
)
from drivers.errors import DriverError, ProtocolError, ProtocolReason
from drivers.meters.astm import AstmDriver
from tests.protocol.astm.framer import ENQ, EOT, MESSAGE, Caller, bare, cut_frames, frames, one_frame, sysmex_frames

PROFILES = Path(__file__).resolve().parents[3] / "config/profiles"


def profile(name: str) -> dict[str, Any]:
    return tomllib.loads((PROFILES / f"{name}.toml").read_text())


HOME = AstmDriver(profile("home_inr_astm"))


def text(*records: bytes) -> bytes:
    return b"".join(record + b"\r" for record in records)


def home(
    *, header: bytes = MESSAGE[0], patient: bytes = MESSAGE[1], order: bytes = MESSAGE[2], rest: Sequence[bytes]
) -> Decoded:
    return HOME.decode([text(header, patient, order, *rest, b"L|1|N")])


def only(decoded: Decoded) -> MeterRecord:
    (item,) = decoded.items
    assert isinstance(item, MeterRecord)
    return item


def refused(decoded: Decoded) -> Unreadable:
    (item,) = decoded.items
    assert isinstance(item, Unreadable)
    return item


class TestCapturedOctets:
    def test_the_sysmex_message(self, shared: Path) -> None:
        driver = AstmDriver(profile("sysmex_cs"))
        caller = Caller(driver.session()).feed(ENQ + b"".join(sysmex_frames(shared)) + EOT)
        decoded = driver.decode(caller.pieces)
        assert decoded.meter == MeterIdentity("Sysmex", "21768", "CS-2500", "01-70")
        assert decoded.clock is None
        record = only(decoded)
        assert record.kind is RecordKind.PATIENT
        assert record.inr == Quantity("0.93", Decimal("0.93"))
        assert record.pt_seconds == Quantity("10.6", Decimal("10.6"), None, "sec")
        assert record.quick_percent == Quantity("117.2", Decimal("117.2"), None, "%")
        assert record.strip_lot == "564636"
        assert record.device_time == DeviceTime("20240919152929", datetime(2024, 9, 19, 15, 29, 29))
        assert record.flags == ("N",)
        assert {note for note in record.notes if note.startswith("not read")} == {
            "not read: test ^^^044^DFbg INN~g_L^100.00^A^^^",
            "not read: test ^^^051^APTT FS~sec^100.00^A^^^",
        }
        lines = (shared / "vectors/astm/sysmex_cs2500_frames.txt").read_bytes().splitlines()
        assert record.octets == b"".join(line[1:] + b"\r" for line in lines[:-1])

    def test_the_sysmex_message_cut_by_etb_says_the_same(self, shared: Path) -> None:
        driver = AstmDriver(profile("sysmex_cs"))
        lines = (shared / "vectors/astm/sysmex_cs2500_frames.txt").read_bytes().splitlines()
        records = [line[1:] for line in lines]
        whole = driver.decode([text(*records)])
        for size in (1, 13, 64, 240, 2000):
            caller = Caller(driver.session()).feed(ENQ + b"".join(cut_frames(records, size)) + EOT)
            assert driver.decode(caller.pieces) == whole

    def test_the_afinion_message_is_another_analyte_and_is_shown(self, shared: Path) -> None:
        octets = (shared / "vectors/astm/abbott_afinion2.astm.bin").read_bytes()
        caller = Caller(HOME.session()).feed(octets).after(1)
        decoded = HOME.decode(caller.pieces)
        assert decoded.meter.serial == "AF20052397"
        assert decoded.clock is not None
        assert decoded.clock.time == DeviceTime("20241206141235", datetime(2024, 12, 6, 14, 12, 35))
        assert decoded.clock.piece == 0
        item = refused(decoded)
        assert item.error.reason is ProtocolReason.UNSUPPORTED
        assert "HbA1c" in str(item.error)
        assert item.octets == octets[2 : octets.index(b"L|1|N")]

    def test_the_afinion_message_decodes_with_a_profile_that_takes_hba1c_for_inr(self, shared: Path) -> None:
        octets = (shared / "vectors/astm/abbott_afinion2.astm.bin").read_bytes()
        driver = AstmDriver(
            {"tests": {"inr": "R.3.4=HbA1c"}, "meter": {"serial": "H.5.3"}, "record": {"number": "O.4"}}
        )
        record = only(driver.decode([bare(octets)]))
        assert record.inr == Quantity("5.9", Decimal("5.9"), None, "%")
        assert (record.record_number, record.patient_id, record.operator_id) == ("5", "3643", "3643")
        assert record.device_time == DeviceTime("20241206140615", datetime(2024, 12, 6, 14, 6, 15))


class TestHomeMeter:
    def test_every_field(self) -> None:
        decoded = HOME.decode([bare(one_frame())])
        assert decoded.meter == MeterIdentity("ACME", "SN000123", "HomeINR", "1.2")
        assert decoded.clock is not None
        assert decoded.clock.time == DeviceTime("20260314073005", datetime(2026, 3, 14, 7, 30, 5))
        assert only(decoded) == MeterRecord(
            kind=RecordKind.PATIENT,
            octets=text(*MESSAGE[:-1]),
            device_time=DeviceTime("20260314072800", datetime(2026, 3, 14, 7, 28)),
            inr=Quantity("2.5", Decimal("2.5"), None, "INR"),
            pt_seconds=Quantity("29.6", Decimal("29.6"), None, "s"),
            quick_percent=Quantity("31", Decimal("31"), None, "%"),
            record_number="17",
            strip_lot="564636",
            operator_id="OP1",
            patient_id="PATIENT-7",
            flags=("N",),
        )

    def test_a_whole_memory_in_one_message(self) -> None:
        groups = [text(*MESSAGE[1:-1]).replace(b"|17|", b"|%d|" % number) for number in range(300)]
        decoded = HOME.decode([MESSAGE[0] + b"\r" + b"".join(groups) + b"L|1|N\r"])
        numbers = [item.record_number for item in decoded.items if isinstance(item, MeterRecord)]
        assert numbers == [str(number) for number in range(300)]

    def test_trailing_zeros_stay(self) -> None:
        record = only(home(rest=[b"R|1|^^^INR|2.50|INR||N||F||||20260314072800"]))
        assert record.inr is not None
        assert str(record.inr.value) == "2.50"

    @pytest.mark.parametrize(
        ("value", "flag", "expected"),
        [
            (b">8.0", b">", (">", "8.0")),
            (b">8.0", b"", (">", "8.0")),
            (b"> 8.0", b"H", (">", "8.0")),
            (b"<0.8", b"<", ("<", "0.8")),
            (b"8.0", b">", (">", "8.0")),
            (b"0.8", b"L\\<", ("<", "0.8")),
            (b"2.5", b"H", (None, "2.5")),
        ],
    )
    def test_beyond_the_measuring_range(self, value: bytes, flag: bytes, expected: tuple[str | None, str]) -> None:
        record = only(home(rest=[b"R|1|^^^INR|" + value + b"|INR||" + flag + b"||F||||20260314072800"]))
        assert record.kind is RecordKind.PATIENT
        assert record.inr is not None
        assert (record.inr.comparator, str(record.inr.value)) == expected
        assert record.inr.text == value.decode()

    @pytest.mark.parametrize(
        "value", [b"----", b"HIGH", b"2,5", b"-2.5", b"1e1", b">=8.0", b"", b"<", b"2.5 INR", b"\xff", b"nan"]
    )
    def test_an_inr_that_is_no_number_is_shown_and_never_passed_on(self, value: bytes) -> None:
        item = refused(home(rest=[b"R|1|^^^INR|" + value + b"|INR||N||F||||20260314072800"]))
        assert item.error.reason is ProtocolReason.BAD_VALUE
        assert value == b"" or value.decode("latin-1") not in str(item.error).replace("INR", "")
        assert item.octets[item.error.offset or 0 :].startswith(b"R|1|")

    def test_value_and_flag_that_contradict_each_other_are_shown(self) -> None:
        refused(home(rest=[b"R|1|^^^INR|<0.8|INR||>||F||||20260314072800"]))

    def test_a_prothrombin_time_that_is_no_number_keeps_its_text(self) -> None:
        rest = [b"R|1|^^^INR|2.5|INR||N||F", b"R|2|^^^PT|*****|s", b"R|3|^^^QUICK||%"]
        record = only(home(rest=rest))
        assert record.pt_seconds == Quantity("*****", None, None, "s")
        assert record.quick_percent is None

    @pytest.mark.parametrize("value", [b"0", b"0.0", b"0.00"])
    def test_zero_is_an_error(self, value: bytes) -> None:
        record = only(home(rest=[b"R|1|^^^INR|" + value + b"|INR||N||F||||20260314072800"]))
        assert (record.kind, record.inr) == (RecordKind.ERROR, None)
        assert record.notes == ("INR 0: no result",)

    @pytest.mark.parametrize("status", [b"X", b"F"])
    def test_an_error_with_its_code(self, status: bytes) -> None:
        rest = [b"R|1|^^^INR||INR||||" + status + b"||||20260314072800", b"C|1|I|ERR^E-5^strip|G"]
        record = only(home(rest=rest))
        assert (record.kind, record.inr, record.error_code) == (RecordKind.ERROR, None, "E-5")
        assert record.device_time is not None

    def test_a_value_marked_as_failed_is_an_error_without_values(self) -> None:
        rest = [b"R|1|^^^INR|2.5|INR||||X||||20260314072800", b"R|2|^^^PT|29.6|s"]
        record = only(home(rest=rest))
        assert (record.kind, record.inr, record.pt_seconds, record.flags) == (
            RecordKind.ERROR,
            None,
            None,
            ("status X",),
        )

    def test_a_value_beside_an_error_code_needs_a_person(self) -> None:
        refused(home(rest=[b"R|1|^^^INR|2.5|INR||N||F||||20260314072800", b"C|1|I|ERR^E-5^strip|G"]))

    def test_a_control_with_lot_and_level(self) -> None:
        rest = [b"R|1|^^^INR|2.5|INR||N||F||||20260314072800", b"C|1|I|LOT^564636|G", b"C|2|I|CTRL^7712^1|G"]
        record = only(home(order=b"O|1|17||^^^INR|R||||||Q", rest=rest))
        assert record.kind is RecordKind.CONTROL
        assert (record.strip_lot, record.control_lot, record.control_level) == ("564636", "7712", "1")

    @pytest.mark.parametrize(
        ("processing", "kind"), [("Q", "control"), ("T", "test"), ("D", "test"), ("P", "patient"), ("", "patient")]
    )
    def test_what_the_header_says_of_processing(self, processing: str, kind: str) -> None:
        header = MESSAGE[0].replace(b"|P|LIS2", b"|" + processing.encode() + b"|LIS2")
        assert only(home(header=header, rest=MESSAGE[3:-1])).kind == kind

    def test_processing_that_nobody_knows_needs_a_person(self) -> None:
        item = refused(home(header=MESSAGE[0].replace(b"|P|LIS2", b"|Z|LIS2"), rest=MESSAGE[3:-1]))
        assert "H.12" in str(item.error)

    def test_comments_and_other_tests_are_noted(self) -> None:
        rest = [*MESSAGE[3:-1], b"C|2|I|low battery|G", b"R|4|^^^HCT|41|%", b"C|3|I|" + b"x" * 1000]
        notes = only(home(rest=rest)).notes
        assert notes[0] == "low battery"
        assert "".join(notes[1:4]) == "x" * 1000
        assert notes[4] == "not read: test ^^^HCT"
        assert max(map(len, notes)) <= 500

    def test_two_inr_in_one_order_need_a_person(self) -> None:
        assert "twice" in str(refused(home(rest=[MESSAGE[3], MESSAGE[3]])).error)

    def test_an_order_without_results_is_shown(self) -> None:
        assert refused(home(rest=[])).error.reason is ProtocolReason.UNSUPPORTED

    def test_a_query_is_shown(self) -> None:
        item = refused(HOME.decode([text(MESSAGE[0], b"Q|1|ALL", b"L|1|N")]))
        assert item.error.reason is ProtocolReason.UNSUPPORTED

    def test_a_message_without_tests_is_no_error(self) -> None:
        assert HOME.decode([text(MESSAGE[0], MESSAGE[1], b"L|1|N")]).items == ()

    def test_one_unreadable_test_does_not_hide_the_others(self) -> None:
        bad = text(*MESSAGE[1:-1]).replace(b"|2.5|", b"|bad|")
        good = text(*MESSAGE[1:-1])
        items = HOME.decode([MESSAGE[0] + b"\r" + good + bad + b"Z|?\r" + good + b"L|1\r"]).items
        assert [type(item) for item in items] == [MeterRecord, Unreadable, Unreadable, MeterRecord]

    def test_a_second_meter_in_one_message_needs_a_person(self) -> None:
        other = (MESSAGE[0].replace(b"SN000123", b"SN999"), *MESSAGE[1:])
        decoded = HOME.decode([text(*MESSAGE, *other)])
        assert [type(item) for item in decoded.items] == [MeterRecord, Unreadable]

    def test_a_meter_without_identity_or_clock(self) -> None:
        decoded = HOME.decode([text(b"H|\\^&", *MESSAGE[2:])])
        assert decoded.meter == MeterIdentity(None, None)
        assert decoded.clock is None


class TestTimes:
    @pytest.mark.parametrize(
        ("raw", "local", "offset_min"),
        [
            ("20260314072800", datetime(2026, 3, 14, 7, 28), None),
            ("202603140728", datetime(2026, 3, 14, 7, 28), None),
            ("20260314072800+0130", datetime(2026, 3, 14, 7, 28), 90),
            ("20260314072800-0500", datetime(2026, 3, 14, 7, 28), -300),
            ("20260314", None, None),
            ("20260014072800", None, None),
            ("20260230072800", None, None),
            ("00000000000000", None, None),
            ("20260314072860", None, None),
            ("20260314250000", None, None),
            ("20260314072800+9900", None, None),
            ("14.03.2026 07:28", None, None),
            ("x" * 300, None, None),
        ],
    )
    def test_a_time_is_kept_as_written_and_read_when_it_is_one(
        self, raw: str, local: datetime | None, offset_min: int | None
    ) -> None:
        record = only(home(rest=[b"R|1|^^^INR|2.5|INR||N||F||||" + raw.encode()]))
        assert record.device_time == DeviceTime(raw, local, offset_min)

    def test_no_time_at_all(self) -> None:
        assert only(home(rest=[b"R|1|^^^INR|2.5|INR||N||F"])).device_time is None


class TestOctets:
    """A record's octets are all that is needed to decode it again, in ten years."""

    @given(
        st.lists(
            st.sampled_from(
                [
                    *MESSAGE[1:],
                    b"H|\\^&|||OTHER^X^1",
                    b"O|2|18||^^^INR|R||||||Q",
                    b"R|1|^^^INR||INR||||X",
                    b"R|1|^^^INR|>8.0|INR||>||F||||bad",
                    b"R|9|^^^HCT|\xe4\xff|%",
                    b"C|1|I|ERR^E-5^strip|G",
                    b"C|1|I|\xc3\xa4|G",
                    b"Q|1",
                    b"?",
                ]
            ),
            max_size=25,
        )
    )
    @settings(max_examples=300)
    def test_each_item_decodes_alone_to_itself(self, records: list[bytes]) -> None:
        decoded = HOME.decode([text(MESSAGE[0], *records)])
        for item in decoded.items:
            if isinstance(item, MeterRecord):
                again = HOME.decode([item.octets])
                assert again.items == (item,)
                assert again.meter == decoded.meter
            elif "another meter" not in str(item.error) and "after the last" not in str(item.error):
                (alone,) = HOME.decode([item.octets]).items
                assert isinstance(alone, Unreadable)
                assert (alone.octets, str(alone.error), alone.error.offset) == (
                    item.octets,
                    str(item.error),
                    item.error.offset,
                )

    @given(st.lists(st.binary(max_size=60), max_size=6))
    @settings(max_examples=300)
    def test_hostile_pieces_raise_nothing_but_driver_errors(self, pieces: list[bytes]) -> None:
        for prefix in (b"", MESSAGE[0] + b"\r", text(*MESSAGE[:3])):
            with suppress(DriverError):
                assert HOME.decode([prefix, *pieces]).items is not None

    @given(st.integers(0, len(text(*MESSAGE)) - 1), st.integers(0, 255))
    @settings(max_examples=500)
    def test_one_altered_octet_raises_nothing_but_driver_errors(self, place: int, octet: int) -> None:
        octets = text(*MESSAGE)
        try:
            decoded = HOME.decode([octets[:place] + bytes([octet]) + octets[place + 1 :]])
        except DriverError:
            return
        for item in decoded.items:
            assert item.octets

    def test_a_large_hostile_message_is_bounded(self) -> None:
        started_s = time.monotonic()
        with pytest.raises(ProtocolError):
            HOME.decode([MESSAGE[0] + b"\r" + b"C|1|I|" + b"x" * 4000 + b"\r" + b"O|1\r" * 1_000_000])
        assert time.monotonic() - started_s < 10

    def test_frames_and_text_say_the_same(self) -> None:
        framed = HOME.decode([bare(one) for one in frames(MESSAGE)])
        assert framed == HOME.decode([text(*MESSAGE)])


class TestDriver:
    def test_what_it_says_of_itself(self) -> None:
        assert AstmDriver.confirmed_by is ConfirmedBy.CALLER
        assert AstmDriver.transports == {"serial", "tcp"}

    @pytest.mark.parametrize("name", sorted(path.stem for path in PROFILES.glob("*.toml")))
    def test_shipped_profiles_are_usable(self, name: str) -> None:
        content = profile(name)
        if content["driver"] == "astm":
            driver = AstmDriver(content)
            assert driver.serial_parameters()["baudrate"] == 9600

    def test_a_single_frame_message_is_fast(self) -> None:
        """A hub does this once for each result; the disk should be what it waits for."""
        octets = ENQ + one_frame() + EOT
        session = HOME.session()
        fastest_s = min(self._once(session, octets) for _ in range(500))
        assert fastest_s < 0.001

    @staticmethod
    def _once(session: Any, octets: bytes) -> float:
        started_s = time.perf_counter()
        piece = session.receive(octets, 0.0)[1]
        session.confirm(0.0)
        HOME.decode([piece.octets])
        return time.perf_counter() - started_s


class TestProfile:
    MINIMAL: ClassVar[dict[str, Any]] = {"tests": {"inr": "R.3.4=INR"}}

    def test_a_minimal_one_suffices(self) -> None:
        record = only(AstmDriver(self.MINIMAL).decode([text(*MESSAGE)]))
        assert record.inr == Quantity("2.5", Decimal("2.5"), None, "INR")

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            ({}, "tests"),
            ({"tests": {}}, "tests.inr"),
            ({"tests": {"inr": []}}, "tests.inr"),
            ({"tests": {"inr": 7}}, "tests.inr"),
            ({"tests": {"inr": "INR"}}, "write one like"),
            ({"tests": {"inr": "H.5=INR"}}, "R.3.4=INR"),
            ({"tests": {"inr": "R.3.4=INR", "ptt": "R.3.4=PT"}}, "tests.ptt"),
            ({**MINIMAL, "driver": "poct1a"}, "driver"),
            ({**MINIMAL, "zone": "Mars/Olympus"}, "Europe/Berlin"),
            ({**MINIMAL, "zone": 7}, "zone"),
            ({**MINIMAL, "meter": {"serial": "R.14"}}, "meter.serial"),
            ({**MINIMAL, "meter": {"serial": "5.3"}}, "meter.serial"),
            ({**MINIMAL, "record": {"strip_lot": "C.4 where O.1=x"}}, "record.strip_lot"),
            ({**MINIMAL, "record": {"lot": "C.4"}}, "record.lot"),
            ({**MINIMAL, "kind": {"control": "O.12"}}, "kind.control"),
            ({**MINIMAL, "kind": {"patient_processing": ["P", "Q"]}}, "never a patient"),
            ({**MINIMAL, "link": {"checksum": "none"}}, "link.checksum"),
            ({**MINIMAL, "link": {"max_frame_octets": 10}}, "link.max_frame_octets"),
            ({**MINIMAL, "link": {"max_frame_octets": True}}, "link.max_frame_octets"),
            ({**MINIMAL, "serial": {"parity": "X"}}, "serial.parity"),
            ({**MINIMAL, "serial": {"baudrate": "9600"}}, "serial.baudrate"),
            ({**MINIMAL, "serial": {"baud": 9600}}, "serial.baud"),
            ({**MINIMAL, "serial": 9600}, "serial"),
            ({**MINIMAL, "colour": "red"}, "colour"),
        ],
    )
    def test_an_unusable_one_names_the_key(self, content: dict[str, Any], says: str) -> None:
        with pytest.raises(ValueError, match=re.escape(says)):
            AstmDriver(content)

    def test_every_mistake_is_named_at_once(self) -> None:
        with pytest.raises(ValueError, match=r"serial\.parity.*colour|colour.*serial\.parity"):
            AstmDriver({**self.MINIMAL, "serial": {"parity": "X"}, "colour": "red"})

    @pytest.mark.parametrize(
        ("kind", "records", "expected"),
        [
            ({"control": "P.4=QC*"}, (b"P|1||QC-LOW", *MESSAGE[2:]), RecordKind.CONTROL),
            ({"calibration": "C.4.1=LOT"}, MESSAGE[1:], RecordKind.CALIBRATION),
            ({"test": ["P.4=DEMO", "P.4=PATIENT-7"]}, MESSAGE[1:], RecordKind.TEST),
            ({"error": "R.5=INR"}, MESSAGE[1:], RecordKind.ERROR),
            ({"control": "P.4=QC*"}, (b"O|1|17||^^^INR|R||||||Q", *MESSAGE[3:]), RecordKind.CONTROL),
            ({"error": "R.5=ERR"}, (MESSAGE[2], b"R|1|^^^INR|2.5|INR||||X"), RecordKind.ERROR),
            ({"patient_processing": ["P", "", "A"]}, MESSAGE[1:], RecordKind.PATIENT),
        ],
    )
    def test_marks_add_to_those_of_the_standard(
        self, kind: dict[str, Any], records: Sequence[bytes], expected: RecordKind
    ) -> None:
        driver = AstmDriver({**self.MINIMAL, "kind": kind})
        assert only(driver.decode([text(MESSAGE[0], *records)])).kind is expected

    def test_link_settings_reach_the_session(self) -> None:
        driver = AstmDriver({**self.MINIMAL, "link": {"max_frame_octets": 240, "receiver_timeout_s": 5}})
        caller = Caller(driver.session()).feed(ENQ + one_frame())
        assert caller.pieces == []
        assert caller.rejected
        assert caller.after(5.1).finished

    def test_serial_parameters_and_zone(self) -> None:
        driver = AstmDriver({**self.MINIMAL, "serial": {"baudrate": 19200, "parity": "E"}, "zone": "Europe/Berlin"})
        assert driver.serial_parameters() == {
            "baudrate": 19200,
            "bytesize": 8,
            "parity": "E",
            "stopbits": 1,
            "xonxoff": False,
            "rtscts": False,
            "dsrdtr": False,
        }
        assert driver.zone == "Europe/Berlin"
