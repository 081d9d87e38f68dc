"""From octets to readings: nothing that arrived falls out, and what is wrong says why without quoting a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.contract import Decoded, MeterIdentity, Piece, Unreadable
from drivers.errors import ProtocolError, ProtocolReason
from gateway.hub.decoding import RAW_PART_OCTETS
from gateway.hub.entries import Closing, PastMessage, StoredPiece
from gateway.hub.journal import JournalError
from gateway.hub.surroundings import Stamp
from gateway.wire.reading import MAX_PAYLOAD_OCTETS, Origin, Reading, Repetition
from tests.unit.hub.conftest import NOW, Bench
from tests.unit.hub.tiny import record

HEADER = b"H|Acme|1|2026-03-14T07:59:58\n"


def pieces(*lines: bytes, synchronised: bool | None = True) -> list[StoredPiece]:
    return [
        StoredPiece(line, Stamp(NOW + timedelta(seconds=index), synchronised, "boot", float(index)))
        for index, line in enumerate(lines)
    ]


def readings(closing: Closing) -> list[Reading]:
    return [
        Reading.model_validate_json(draft.encode(UUID(int=7), 10 + position, 5, position))
        for position, draft in enumerate(closing.drafts)
    ]


def test_a_record_becomes_a_reading_with_all_that_surrounds_it(bench: Bench) -> None:
    lines = pieces(HEADER, b"R|2.70|2026-03-13T08:00:00|17\n", b"L\n")
    closing = bench.interpreter().whole(lines)
    assert (closing.state, closing.meter_key) == ("decoded", "acme/1")
    (reading,) = readings(closing)
    assert (reading.number, reading.message, reading.position) == (10, 5, 0)
    assert reading.journal == UUID(int=7)
    assert (reading.hub, reading.port, reading.driver, reading.origin) == (
        "hub-1",
        "meter",
        "tiny",
        Origin.SIMULATOR,
    )
    assert reading.read_at == NOW + timedelta(seconds=2)
    assert reading.hub_clock.monotonic_s == 2.0
    assert reading.meter_clock is not None
    assert reading.meter_clock.hub_time == NOW
    assert reading.meter_clock.device_time.raw == "2026-03-14T07:59:58"
    assert reading.octets == b"R|2.70|2026-03-13T08:00:00|17\n"
    assert reading.result is not None
    assert reading.result.inr is not None
    assert reading.result.inr.value == "2.70"
    assert reading.fault is None
    assert reading.repetition is None


def test_the_clock_counts_as_it_was_when_the_meters_clock_came(bench: Bench) -> None:
    lines = pieces(HEADER, b"R|2.5|2026-03-13T08:00:00\n", b"L\n", synchronised=False)
    lines[0] = StoredPiece(lines[0].octets, Stamp(NOW, True, "boot", 0.0))
    (reading,) = readings(bench.interpreter().whole(lines))
    assert reading.hub_clock.synchronised is True


def test_what_cannot_be_read_stands_among_the_others(bench: Bench) -> None:
    lines = pieces(HEADER, b"R|2.5|2026-03-13T08:00:00\n", b"X|what\n", b"R|2.6|2026-03-13T09:00:00\n", b"L\n")
    first, fault, last = readings(bench.interpreter().whole(lines))
    assert first.result is not None
    assert last.result is not None
    assert fault.fault is not None
    assert (fault.fault.reason, fault.octets) == ("bad_value", b"X|what\n")
    assert fault.meter == first.meter


def test_a_record_that_cannot_be_normalised_names_the_field_and_no_value(bench: Bench) -> None:
    lines = pieces(HEADER, b"R|2.5|2026-03-13T08:00:00||" + b"n" * 501 + b"\n", b"L\n")
    (reading,) = readings(bench.interpreter().whole(lines))
    assert reading.fault is not None
    assert reading.fault.reason == "not_normalisable"
    assert "notes" in reading.fault.detail
    assert "nnn" not in reading.fault.detail
    assert reading.octets == lines[1].octets


def test_a_message_that_is_none_goes_to_quarantine_whole(bench: Bench) -> None:
    lines = pieces(b"R|2.5\n", b"L\n")
    closing = bench.interpreter().whole(lines)
    (reading,) = readings(closing)
    assert closing.state == "undecodable"
    assert reading.fault is not None
    assert (reading.fault.reason, reading.fault.offset) == ("no_header", 0)
    assert reading.octets == b"R|2.5\nL\n"
    assert reading.meter is None


def test_a_drivers_bug_costs_no_octet_and_tells_no_value(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    closing = bench.interpreter().whole(pieces(HEADER, b"BOOM|2.5\n", b"L\n"))
    (reading,) = readings(closing)
    assert reading.fault is not None
    assert reading.fault.reason == "driver_fault"
    assert "ZeroDivisionError at tests.unit.hub.tiny:" in reading.fault.detail
    assert reading.octets == HEADER + b"BOOM|2.5\nL\n"
    assert "2.5" not in caplog.text + reading.fault.detail


def test_a_journal_that_cannot_be_read_is_no_fault_of_the_message(bench: Bench) -> None:
    def broken(_pieces: Sequence[bytes]) -> Decoded:
        raise JournalError("the disk")

    with pytest.raises(JournalError):
        bench.interpreter(broken).whole(pieces(HEADER, b"L\n"))


def test_a_message_without_end_keeps_the_damaged_octets_too(bench: Bench) -> None:
    closing = bench.interpreter().broken(pieces(HEADER, b"R|2.5\n"), [b"!bad\n"])
    (reading,) = readings(closing)
    assert closing.state == "undecodable"
    assert reading.octets == HEADER + b"R|2.5\n!bad\n"
    assert reading.fault is not None
    assert reading.fault.reason == "no_end"
    assert reading.fault.offset == len(HEADER + b"R|2.5\n")


@pytest.mark.parametrize("size", [RAW_PART_OCTETS, RAW_PART_OCTETS + 1, 3 * RAW_PART_OCTETS + 7])
def test_octets_that_fit_into_no_payload_travel_in_parts(bench: Bench, size: int) -> None:
    octets = bytes(index % 251 for index in range(size))
    closing = bench.interpreter().whole(pieces(octets))
    payloads = [draft.encode(UUID(int=7), 10**17, 10**17, 3) for draft in closing.drafts]
    assert all(len(payload) <= MAX_PAYLOAD_OCTETS for payload in payloads)
    assert b"".join(reading.octets for reading in readings(closing)) == octets


def test_a_result_that_fits_into_no_payload_travels_in_parts(bench: Bench) -> None:
    octets = b"R|2.5" + b"\x00" * 300_000

    def decode(_pieces: Sequence[bytes]) -> Decoded:
        return Decoded(MeterIdentity("Acme", "1"), None, (record(octets, "2.5", "2026-03-13T08:00:00"),))

    found = readings(bench.interpreter(decode).whole(pieces(HEADER)))
    assert b"".join(reading.octets for reading in found) == octets
    assert {reading.fault.reason for reading in found if reading.fault} == {"too_large"}
    assert len(found) == 3


def test_a_meter_without_a_running_clock_is_recognised_by_order(bench: Bench) -> None:
    intake = bench.intake()
    first = [HEADER.replace(b"2026-03-14T07:59:58", b""), b"R|2.1|0000\n", b"R|2.2|0000\n", b"R|2.3|0000\n", b"L\n"]
    second = [*first[:4], b"R|2.4|0000\n", b"L\n"]
    for message in (first, second):
        for line in message:
            assert intake.take(_piece(line))
    said = [reading.repetition for reading in bench.readings]
    new = Repetition()
    assert said == [new, new, new, Repetition(of=1), Repetition(of=2), Repetition(of=3), new]


def test_repetitions_of_repetitions_name_the_first(bench: Bench) -> None:
    intake = bench.intake()
    for _ in range(3):
        for line in (b"H|Acme|1\n", b"R|2.1|0000\n", b"R|2.2|0000\n", b"R|2.3|0000\n", b"L\n"):
            intake.take(_piece(line))
    assert [reading.repetition.of for reading in bench.readings[6:] if reading.repetition] == [1, 2, 3]


def test_a_meter_without_a_serial_is_compared_with_none(bench: Bench) -> None:
    def never(_key: str) -> Sequence[PastMessage]:
        raise AssertionError("a meter that cannot be told apart must not be compared")

    interpreter = replace(bench.interpreter(), last_messages=never)
    (reading,) = readings(interpreter.whole(pieces(b"H|Acme|\n", b"R|2.5|0000\n", b"L\n")))
    assert reading.result is not None
    assert reading.repetition is None


lines = st.sampled_from(
    [HEADER, b"R|2.5|2026-03-13T08:00:00\n", b"R|9|\n", b"X\n", b"BOOM\n", b"junk\xff\n", b"L\n"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(lines, min_size=1, max_size=8))
def test_every_message_comes_to_something_that_holds_its_records(bench: Bench, message: list[bytes]) -> None:
    closing = bench.interpreter().whole(pieces(*message))
    carried = b"".join(reading.octets for reading in readings(closing))
    if closing.state == "undecodable":
        assert carried == b"".join(message)
    else:
        assert carried == b"".join(line for line in message if line[:1] in b"RX")


def test_the_same_octets_give_the_same_payload(bench: Bench) -> None:
    message = pieces(HEADER, b"R|2.5|2026-03-13T08:00:00\n", b"L\n")
    (once,) = bench.interpreter().whole(message).drafts
    (again,) = bench.interpreter().whole(message).drafts
    assert once.encode(UUID(int=1), 1, 1, 0) == again.encode(UUID(int=1), 1, 1, 0)


def test_unreadable_details_are_cut_to_what_fits(bench: Bench) -> None:
    def decode(_pieces: Sequence[bytes]) -> Decoded:
        error = ProtocolError("x" * 10_000, ProtocolReason.BAD_VALUE)
        return Decoded(MeterIdentity("Acme", "1"), None, (Unreadable(b"X", error),))

    (reading,) = readings(bench.interpreter(decode).whole(pieces(HEADER)))
    assert reading.fault is not None
    assert len(reading.fault.detail) == 500


def _piece(line: bytes) -> Piece:
    return Piece(line, starts_message=line.startswith(b"H"), ends_message=line.startswith(b"L"))
