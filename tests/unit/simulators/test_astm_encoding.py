"""Records and frames against octets written by hand, and against a reader that knows nothing of the writer."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.astm.dialect import Dialect, Framing
from simulators.astm.frames import ETB, ETX, checksum, frame, frames
from simulators.astm.records import records
from simulators.meter import Clock, ClockKind, Entry, Identity, Kind, Meter

from .host import read_frame

AT = datetime(2026, 3, 14, 11, 28, 0, tzinfo=UTC)  # 07:28:00 in New York
NOW = datetime(2026, 3, 14, 7, 30, 5)
PATIENT = Entry(at=AT, inr="2.5", pt_seconds="29.6", quick_percent="31", strip_lot="564636", operator_id="OP7")


def encode(*entries: Entry, dialect: Dialect | None = None, clock: Clock | None = None) -> list[bytes]:
    meter = Meter(Identity(), clock or Clock(), entries)
    return records(meter.identity, meter.memory, NOW, dialect or Dialect())


def test_a_patient_result_is_the_documented_layout() -> None:
    assert encode(PATIENT) == [
        b"H|\\^&|||ACME^HomeINR^SN000123^1.2|||||||P|LIS2-A2|20260314073005\r",
        b"P|1\r",
        b"O|1|1||^^^INR|R\r",
        b"R|1|^^^INR|2.5|INR||N||F||OP7||20260314072800\r",
        b"R|2|^^^PT|29.6|s||||F||||20260314072800\r",
        b"R|3|^^^QUICK|31|%||||F||||20260314072800\r",
        b"C|1|I|LOT^564636|G\r",
        b"L|1|N\r",
    ]


def test_a_control_is_marked_in_the_order_and_names_lot_and_level() -> None:
    control = Entry(kind=Kind.CONTROL, at=AT, inr="1.1", control_lot="7712", control_level="1", number="9")
    encoded = encode(control)
    assert b"O|1|9||^^^INR|R||||||Q\r" in encoded
    assert b"C|1|I|CTRL^7712^1|G\r" in encoded


def test_an_error_has_no_value_and_status_x() -> None:
    encoded = encode(Entry(kind=Kind.ERROR, at=AT, error_code="E-5", strip_lot="564636"))
    assert b"R|1|^^^INR||INR||||X||||20260314072800\r" in encoded
    assert b"C|2|I|ERR^E-5|G\r" in encoded


@pytest.mark.parametrize(("shown", "flag"), [(">8.0", b">"), ("<0.8", b"<")])
def test_a_reading_off_the_range_keeps_its_sign_in_value_and_flag(shown: str, flag: bytes) -> None:
    encoded = encode(Entry(at=AT, inr=shown))
    assert b"R|1|^^^INR|" + shown.encode() + b"|INR||" + flag + b"||F||||20260314072800\r" in encoded


def test_several_tests_share_one_header_and_one_end() -> None:
    encoded = encode(PATIENT, PATIENT)
    assert [record[:4].rstrip(b"\r") for record in encoded if record[:1] in b"HPOL"] == [
        b"H|\\^", b"P|1", b"O|1|", b"P|2", b"O|1|", b"L|1|",
    ]  # fmt: skip


def test_an_unset_clock_leaves_the_times_out_and_an_entry_may_send_a_time_that_is_none() -> None:
    unset = encode(Entry(at=AT, inr="2.5"), clock=Clock(kind=ClockKind.UNSET))
    assert b"R|1|^^^INR|2.5|INR||N||F\r" in unset
    odd = encode(Entry(at=AT, inr="2.5", device_time="20261340250000"))
    assert b"R|1|^^^INR|2.5|INR||N||F||||20261340250000\r" in odd


def test_the_header_may_leave_the_clock_out_and_mark_the_message_as_training() -> None:
    encoded = encode(dialect=Dialect(header_clock=False, processing_id="T"))
    assert encoded[0] == b"H|\\^&|||ACME^HomeINR^SN000123^1.2|||||||T|LIS2-A2\r"


def test_delimiters_within_data_are_escaped_and_controls_written_as_hexadecimal() -> None:
    encoded = encode(Entry(at=AT, inr="2.5", patient_id="a|b\\c^d&e\rf\x03\x7f\xff\xe9"))
    assert b"P|1||a&F&b&R&c&S&d&E&e&X0D&f&X03&&X7F&&XFF&\xe9\r" in encoded
    other = encode(Entry(at=AT, inr="2.5", patient_id="a|b!c"), dialect=Dialect(delimiters="!~$%"))
    assert other[0].startswith(b"H!~$%!!!ACME$HomeINR$")
    assert b"P!1!!a|b%F%c\r" in other


def test_a_frame_is_the_one_worked_out_by_hand() -> None:
    # 1=31 L=4C |=7C 1=31 |=7C N=4E CR=0D ETX=03: 31+4C+7C+31+7C+4E+0D+03 = 204, modulo 100 hexadecimal: 04
    assert frame(1, b"L|1|N\r", ETX) == b"\x021L|1|N\r\x0304\r\n"
    # The digit alone differs: 32 and 31+8-8=31 again, for frame 2 and frame 9.
    assert frame(2, b"L|1|N\r", ETX) == b"\x022L|1|N\r\x0305\r\n"
    assert frame(9, b"L|1|N\r", ETX) == frame(1, b"L|1|N\r", ETX)
    assert frame(8, b"L|1|N\r", ETX, "lf") == b"\x020L|1|N\r\x0303\n"


def test_a_long_record_is_continued_after_etb() -> None:
    # 31+50+7C+31+7C+17 = 1C1 and 32+41+42+43+0D+03 = 108
    assert frames([b"P|1|ABC\r"], Dialect(text_limit=4)) == (b"\x021P|1|\x17C1\r\n", b"\x022ABC\r\x0308\r\n")


def test_the_three_framings_cut_the_same_octets_differently() -> None:
    one, two = b"A" * 300 + b"\r", b"B\r"
    cut = {how: [read_frame(part) for part in frames([one, two], Dialect(framing=how))] for how in Framing}
    assert cut[Framing.RECORD] == [(1, one[:240], True), (2, one[240:], False), (3, two, False)]
    assert cut[Framing.STREAM] == [(1, one[:240], True), (2, one[240:] + two, False)]
    assert cut[Framing.MESSAGE] == [(1, one + two, False)]


def test_the_carriage_return_before_etx_may_be_left_out() -> None:
    assert read_frame(frames([b"L|1|N\r"], Dialect(carriage_return=False))[0]) == (1, b"L|1|N", False)


def test_the_checksum_is_that_of_a_real_analyser(shared: Path) -> None:
    octets = (shared / "vectors" / "astm" / "abbott_afinion2.astm.bin").read_bytes()
    found = re.search(rb"\x02(.*\x03)([0-9A-F]{2})", octets, re.DOTALL)
    assert found is not None
    assert checksum(found[1]) == found[2] == b"F2"


# --- any memory at all, read back by a reader that takes the delimiters from the H record as a host must

TEXT = st.text(st.characters(max_codepoint=255), max_size=12)
SHOWN = st.builds(
    "{}{}".format,
    st.sampled_from(["", "<", ">"]),
    st.decimals(0, 99, places=1, allow_nan=False, allow_infinity=False),
)
TESTED = st.datetimes(datetime(2009, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))
MAYBE = TEXT | st.none()
ENTRIES = st.one_of(
    st.builds(
        Entry,
        kind=st.sampled_from([Kind.PATIENT, Kind.CONTROL]),
        at=TESTED,
        inr=SHOWN,
        pt_seconds=MAYBE,
        quick_percent=MAYBE,
        strip_lot=MAYBE,
        control_lot=MAYBE,
        control_level=TEXT,
        operator_id=TEXT,
        patient_id=TEXT,
        number=MAYBE,
        device_time=MAYBE,
    ),
    st.builds(Entry, kind=st.just(Kind.ERROR), at=TESTED, error_code=TEXT, patient_id=TEXT),
)
DIALECTS = st.builds(
    Dialect, framing=st.sampled_from(Framing), text_limit=st.integers(1, 240), carriage_return=st.booleans(),
    trailer=st.sampled_from(["crlf", "lf"]), delimiters=st.sampled_from(["|\\^&", "!~$%", "^|&\\"]),
)  # fmt: skip


def read_back(message: list[bytes], *, one_record_per_frame: bool) -> list[list[list[str]]]:
    """The fields of each record, each a list of unescaped components."""
    texts, text, expected = [], b"", 1
    for octets in message:
        number, part, more = read_frame(octets)
        assert number == expected % 8
        expected += 1
        text += part
        if not more:
            texts.append(text)
            text = b""
    assert not text
    if one_record_per_frame:
        assert all(b"\r" not in text.removesuffix(b"\r") for text in texts)
    lines = [line for text in texts for line in text.decode("latin-1").removesuffix("\r").split("\r")]
    field, repeat, component, escape = tuple(lines[0][1:5])
    names = {"F": field, "S": component, "R": repeat, "E": escape}

    def plain(escaped: str) -> str:
        marked = re.escape(escape)
        return re.sub(
            f"{marked}([FSRE]|X[0-9A-F]{{2}}){marked}",
            lambda found: names.get(found[1]) or chr(int(found[1][1:], 16)),
            escaped,
        )

    return [[[plain(part) for part in one.split(component)] for one in line.split(field)] for line in lines]


def value(record: list[list[str]], place: int, component: int = 1) -> str:
    """Field `place` of a record (1 is its type letter) or empty, as trailing fields may be left out."""
    parts = record[place - 1] if len(record) >= place else []
    return parts[component - 1] if len(parts) >= component else ""


@given(st.lists(ENTRIES, max_size=5), DIALECTS)
def test_any_memory_reads_back_as_it_was_made(entries: list[Entry], dialect: Dialect) -> None:
    meter = Meter(Identity(), Clock(), entries)
    message = frames(records(meter.identity, meter.memory, NOW, dialect), dialect)
    if dialect.framing is not Framing.MESSAGE:
        assert all(len(octets) <= 240 + 7 for octets in message)
    lines = read_back(list(message), one_record_per_frame=dialect.framing is Framing.RECORD)
    assert (value(lines[0], 1), value(lines[-1], 1)) == ("H", "L")
    assert [value(lines[0], 5, n) for n in (1, 2, 3, 4)] == ["ACME", "HomeINR", "SN000123", "1.2"]
    groups: list[list[list[list[str]]]] = []
    for line in lines[1:-1]:
        if value(line, 1) == "P":
            groups.append([])
        groups[-1].append(line)
    assert len(groups) == len(entries)
    for test, group in zip(meter.memory, groups, strict=True):
        entry = test.entry
        patient, order, *rest = group
        assert value(patient, 4) == entry.patient_id
        assert value(order, 3) == test.number
        assert (value(order, 12) == "Q") == (entry.kind is Kind.CONTROL)
        results = {value(line, 3, 4): line for line in rest if value(line, 1) == "R"}
        assert value(results["INR"], 4) == (entry.inr or "")
        assert value(results["INR"], 9) == ("X" if entry.kind is Kind.ERROR else "F")
        assert value(results["INR"], 11) == entry.operator_id
        assert test.shown is not None
        shown = test.shown.strftime("%Y%m%d%H%M%S")
        assert value(results["INR"], 13) == (shown if entry.device_time is None else entry.device_time)
        assert value(results.get("PT", []), 4) == (entry.pt_seconds or "")
        assert value(results.get("QUICK", []), 4) == (entry.quick_percent or "")
        remarks = {value(line, 4, 1): line for line in rest if value(line, 1) == "C"}
        assert value(remarks.get("LOT", []), 4, 2) == (entry.strip_lot or "")
        assert value(remarks.get("CTRL", []), 4, 2) == (entry.control_lot or "")
        assert value(remarks.get("ERR", []), 4, 2) == (entry.error_code or "")


def test_etb_marks_every_part_but_the_last() -> None:
    parts = frames([b"x" * 10 + b"\r"], Dialect(text_limit=3))
    assert [ETB in part for part in parts] == [True, True, True, False]
