"""Decoding behind the meter's back: in order, in few commits, and never held up by one bad message."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from drivers.contract import Decoded, Piece
from gateway.hub import decoder as decoder_module
from gateway.hub.alarms import Alarm
from gateway.hub.decoder import AT_ONCE, Decoder
from gateway.hub.entries import Line
from gateway.hub.journal import JournalError
from tests.unit.hub.conftest import Bench


def until(condition: Callable[[], object], within_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.005)


def take(bench: Bench, *messages: bytes) -> None:
    intake = bench.intake()
    for message in messages:
        lines = message.splitlines(keepends=True)
        for index, line in enumerate(lines):
            assert intake.take(Piece(line, starts_message=index == 0, ends_message=index == len(lines) - 1))


def message(number: int, body: bytes = b"") -> bytes:
    return b"H|Acme|1\n" + (body or b"R|2.5|2026-03-13T08:00:00|%d\n" % number) + b"L\n"


def numbers(bench: Bench) -> list[str | None]:
    return [reading.result.record_number if reading.result else None for reading in bench.readings]


def test_messages_are_decoded_in_their_order(bench: Bench) -> None:
    take(bench, *(message(number) for number in range(1, 3 * AT_ONCE)))
    assert bench.journal.waiting(0, 10) == []
    assert bench.decoder.work() == AT_ONCE
    assert numbers(bench) == [str(number) for number in range(1, 3 * AT_ONCE)]


def test_what_an_earlier_run_left_is_decoded_first(bench: Bench) -> None:
    take(bench, message(1), message(2))
    bench.again()
    take(bench, message(3))
    assert numbers(bench) == ["1", "2", "3"]


def test_one_failing_message_holds_up_no_other(bench: Bench) -> None:
    """Not the driver fails here, which `Interpreter` takes care of, but what comes after it."""
    decode = bench.driver.decode

    def sabotage(pieces: Sequence[bytes]) -> Decoded:
        decoded = decode(pieces)
        if any(b"|2\n" in piece for piece in pieces):
            return Decoded(decoded.meter, decoded.clock, (Unencodable(),))  # type: ignore[arg-type]  # on purpose
        return decoded

    bench.driver.decode = sabotage  # type: ignore[method-assign]  # on purpose
    take(bench, message(1), message(2), message(3))
    found = bench.readings
    assert [reading.result.record_number if reading.result else None for reading in found] == ["1", None, "3"]
    fault = found[1].fault
    assert fault is not None
    assert fault.reason == "driver_fault"
    assert found[1].octets == message(2)
    assert Alarm.DRIVER_FAULT in bench.alarms


class Unencodable:
    """No record at all."""

    def __getattr__(self, name: str) -> Any:
        raise ZeroDivisionError(name)


def test_a_failing_commit_keeps_the_queue(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    take(bench, message(1), message(2))

    def refuse(_outcomes: object) -> range:
        raise JournalError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(bench.journal, "conclude", refuse)
        with pytest.raises(JournalError):
            bench.decoder.work()
    assert numbers(bench) == ["1", "2"]


def test_a_port_that_is_not_configured_any_more_keeps_its_messages(bench: Bench) -> None:
    take(bench, message(1))
    decoder = Decoder(bench.journal, lambda _line, _history: None, bench.alarms, lambda: None)
    assert decoder.work() == 1
    assert decoder.work() == 0
    assert bench.alarms.words == ("driver_fault",)
    bench.again()
    assert numbers(bench) == ["1"]


def test_within_one_commit_earlier_messages_are_history(bench: Bench) -> None:
    memory = b"R|2.1|0000\nR|2.2|0000\nR|2.3|0000\n"
    take(bench, message(1, memory), message(2, memory))
    repetitions = [reading.repetition for reading in bench.readings]
    assert [found.of for found in repetitions if found] == [None, None, None, 1, 2, 3]


def test_the_thread_decodes_what_is_put_and_stops(bench: Bench) -> None:
    told = threading.Event()
    decoder = Decoder(bench.journal, bench.interpreter_for, bench.alarms, told.set)
    bench.decoder = decoder
    decoder.start()
    take(bench, message(1))
    assert told.wait(5)
    until(lambda: len(bench.journal.waiting(0, 10)) == 1)
    began_s = time.monotonic()
    decoder.stop(5)
    assert time.monotonic() - began_s < 1


def test_nothing_is_decoded_while_messages_come_one_after_another(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_module, "QUIET_S", 60.0)
    monkeypatch.setattr(decoder_module, "LONGEST_LAG_S", 60.0)
    bench.decoder = Decoder(bench.journal, bench.interpreter_for, bench.alarms, lambda: None)
    bench.decoder.start()
    take(bench, *(message(number) for number in range(1, 10)))
    assert bench.journal.waiting(0, 100) == []
    monkeypatch.setattr(decoder_module, "QUIET_S", 0.0)
    take(bench, message(10))
    bench.decoder.stop(5)  # it does not wait to be stopped, either
    bench.again()
    assert numbers(bench) == [str(number) for number in range(1, 11)]


def test_a_meter_that_never_pauses_is_decoded_all_the_same(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_module, "QUIET_S", 60.0)
    monkeypatch.setattr(decoder_module, "LONGEST_LAG_S", 0.05)
    bench.decoder = Decoder(bench.journal, bench.interpreter_for, bench.alarms, lambda: None)
    bench.decoder.start()
    take(bench, message(1), message(2))
    until(lambda: len(bench.journal.waiting(0, 10)) == 2)
    bench.decoder.stop(5)


def test_the_thread_outlives_a_journal_that_cannot_commit(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = 0
    conclude = bench.journal.conclude

    def refuse_once(outcomes: Any) -> range:
        nonlocal failures
        failures += 1
        if failures == 1:
            raise JournalError("the disk is full")
        return conclude(outcomes)

    monkeypatch.setattr(bench.journal, "conclude", refuse_once)
    decoder = Decoder(bench.journal, bench.interpreter_for, bench.alarms, lambda: None)
    bench.decoder = decoder
    decoder.start()
    take(bench, message(1))
    until(lambda: bench.journal.waiting(0, 10))
    decoder.stop(5)
    assert Alarm.JOURNAL_CANNOT_COMMIT in bench.alarms


def test_what_nobody_declared_is_never_reported() -> None:
    line = Line("meter", "meter", "tiny")
    assert line.origin.value == "simulator"
