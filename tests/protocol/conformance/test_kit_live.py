"""The kit with a simulated meter: every check of it finds a driver or session that is deliberately bad."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar
from unittest import SkipTest
from zoneinfo import ZoneInfo

import pytest

from drivers.conformance import (
    BrokenPromiseError,
    CannotError,
    Host,
    SimulatedMeter,
    SimulatorConformance,
    StoredTest,
    recorded,
)
from drivers.conformance.__main__ import main
from drivers.conformance.memories import PRESENT, TWO
from drivers.contract import (
    NO_MEMOS,
    Decoded,
    DeviceTime,
    Event,
    Finished,
    Memo,
    MeterRecord,
    Piece,
    RecordKind,
    Rejected,
    Send,
    Session,
)
from drivers.errors import DeviceError, DeviceReason
from tests.examples.third_party_driver.inr_fingertip import FingertipDriver, FingertipSession
from tests.examples.third_party_driver.simulated_fingertip import SimulatedFingertip, line

NEW_YORK = ZoneInfo("America/New_York")


class Remembering(FingertipSession):
    """A session with memos; keeps every promise, unless a subclass breaks one."""

    def __init__(self, unfinished: Sequence[bytes], memos: Mapping[str, bytes]) -> None:
        super().__init__(unfinished)
        self.memos = memos

    def fields(self, line: bytes) -> list[str]:
        return line.decode("ascii", "replace").partition("*")[0].split(";")

    def taken(self, line: bytes) -> list[Event]:
        """The line is taken for known: it is acknowledged without being kept."""
        return [Send(b"+")]

    def is_known(self, line: bytes) -> bool:
        return False

    def _line(self, line: bytes) -> list[Event]:
        is_result = line[:1] in (b"R", b"Q", b"X") and line != self._last
        return self.taken(line) if is_result and self.is_known(line) else super()._line(line)


class Bad(FingertipDriver):
    """The example with another session."""

    kind_of_session: ClassVar[type[Remembering]] = Remembering

    def session(self, unfinished: Sequence[bytes] = (), memos: Mapping[str, bytes] = NO_MEMOS) -> Session:
        return self.kind_of_session(unfinished, memos)


# Sessions --------------------------------------------------------------------------------------------------------


class KnowsByChecksum(Remembering):
    """Takes a line for known whose checksum it has seen: no matter in a short memory."""

    def __init__(self, unfinished: Sequence[bytes], memos: Mapping[str, bytes]) -> None:
        super().__init__(unfinished, memos)
        self.seen: set[bytes] = set()

    def is_known(self, line: bytes) -> bool:
        checksum = line[-4:]
        is_known = checksum in self.seen
        self.seen.add(checksum)
        return is_known and len(self.seen) > 20


class KnowsByNumber(Remembering):
    """Numbers only grow, it believes."""

    def __init__(self, unfinished: Sequence[bytes], memos: Mapping[str, bytes]) -> None:
        super().__init__(unfinished, memos)
        self.highest = 0

    def is_known(self, line: bytes) -> bool:
        number = int(self.fields(line)[1] or 0)
        is_known = number < self.highest
        self.highest = max(number, self.highest)
        return is_known


class KnowsEachNumber(Remembering):
    """A number is there once only, it believes."""

    def __init__(self, unfinished: Sequence[bytes], memos: Mapping[str, bytes]) -> None:
        super().__init__(unfinished, memos)
        self.seen: set[str] = set()

    def is_known(self, line: bytes) -> bool:
        number = self.fields(line)[1]
        is_known = number in self.seen
        self.seen.add(number)
        return is_known


class LeavesMemos(Remembering):
    """Leaves a field of the last line that was confirmed."""

    field: ClassVar[int] = 1

    @property
    def last(self) -> str:
        return self.memos.get("last 0012345", b"").decode("ascii", "replace")

    def confirm(self, now_s: float) -> list[Event]:
        line = self._piece
        events = super().confirm(now_s)
        assert line is not None
        return [Memo("last 0012345", self.fields(line)[self.field].encode()), *events]


class ReadsFromTheLastNumber(LeavesMemos):
    def is_known(self, line: bytes) -> bool:
        return self.last.isdecimal() and int(self.fields(line)[1] or 0) <= int(self.last)


class ReadsFromTheLastTime(LeavesMemos):
    field = 2

    def is_known(self, line: bytes) -> bool:
        return self.fields(line)[2] <= self.last


class WaitsForTheLastRecord(LeavesMemos):
    """Takes for new what stands behind the last record it knows, and waits for that for ever."""

    def __init__(self, unfinished: Sequence[bytes], memos: Mapping[str, bytes]) -> None:
        super().__init__(unfinished, memos)
        self.is_waiting = bool(memos)

    def is_known(self, line: bytes) -> bool:
        was_waiting = self.is_waiting
        self.is_waiting = was_waiting and self.fields(line)[1] != self.last
        return was_waiting


class ReadsOnce(LeavesMemos):
    """What was read once is read, it believes."""

    def is_known(self, line: bytes) -> bool:
        return bool(self.last)


class HangsUpOnWhatItKnows(LeavesMemos):
    def is_known(self, line: bytes) -> bool:
        return self.fields(line)[1] == self.last

    def taken(self, line: bytes) -> list[Event]:
        return self._finish(DeviceError("nothing new", DeviceReason.GAVE_UP))


class ForgetsWhatWasLast(Remembering):
    def confirm(self, now_s: float) -> list[Event]:
        events = super().confirm(now_s)
        self._last = b""
        return events


class TakesTheFirstForTheLast(Remembering):
    """After a break it takes whatever comes first for the repetition of what came last."""

    def __init__(self, unfinished: Sequence[bytes], memos: Mapping[str, bytes]) -> None:
        super().__init__(unfinished, memos)
        self.is_resumed = bool(unfinished)

    def is_known(self, line: bytes) -> bool:
        was_resumed, self.is_resumed = self.is_resumed, False
        return was_resumed


class IntroducesItselfOnce(Remembering):
    """After a break it does not keep again who the meter is."""

    def __init__(self, unfinished: Sequence[bytes], memos: Mapping[str, bytes]) -> None:
        super().__init__(unfinished, memos)
        self.is_resumed = bool(unfinished)

    def _line(self, line: bytes) -> list[Event]:
        return [Send(b"+")] if self.is_resumed and line.startswith(b"M;") else super()._line(line)


class AcknowledgesDamage(Remembering):
    def _line(self, line: bytes) -> list[Event]:
        return [Send(b"+") if isinstance(event, Send) else event for event in super()._line(line)]


class AcknowledgesFirst(Remembering):
    def _line(self, line: bytes) -> list[Event]:
        events = super()._line(line)
        return [Send(b"+"), *events] if isinstance(events[-1], Piece) else events

    def confirm(self, now_s: float) -> list[Event]:
        return super().confirm(now_s)[1:]


class AnswersLate(Remembering):
    """Each of the lines that were repeated meanwhile gets its answer, and the meter counts answers."""

    def _answer(self) -> list[Event]:
        return [Send(b"+")]


class LosesPatience(Remembering):
    @property
    def deadline_s(self) -> float | None:
        due_s = super().deadline_s
        return None if due_s is None else due_s - 59.8


class NeverGivesUp(Remembering):
    """Waits for ever, and has heard who the meter is."""

    is_greeted = False

    @property
    def deadline_s(self) -> float | None:
        return None

    def _line(self, line: bytes) -> list[Event]:
        if line.startswith(b"M;") and self.is_greeted:
            return [Rejected(line, DeviceError("it has said so", DeviceReason.REFUSED))]
        self.is_greeted = True
        return super()._line(line)


class EndsBadly(Remembering):
    def _line(self, line: bytes) -> list[Event]:
        events = super()._line(line)
        error = DeviceError("that was short", DeviceReason.GAVE_UP)
        return [Finished(error, close=True) if isinstance(event, Finished) else event for event in events]


@pytest.mark.parametrize(
    ("session", "check", "words"),
    [
        (EndsBadly, "the_memory_is_read_as_it_is", "ends with an error"),
        (KnowsByChecksum, "a_long_memory_is_read_whole", "lost or altered"),
        (ReadsFromTheLastTime, "a_clock_that_was_changed_between_sessions", "lost or altered"),
        (KnowsByNumber, "records_out_of_order", "lost or altered"),
        (ReadsFromTheLastNumber, "records_numbered_from_one_again", "lost or altered"),
        (WaitsForTheLastRecord, "the_oldest_records_are_overwritten", "lost or altered"),
        (KnowsEachNumber, "numbers_that_repeat_or_are_missing", "lost or altered"),
        (ReadsOnce, "new_results_come_in_the_next_session", "lost or altered"),
        (HangsUpOnWhatItKnows, "a_memory_that_is_offered_again", "was never told"),
        (ForgetsWhatWasLast, "an_answer_that_is_lost", "reported as new"),
        (IntroducesItselfOnce, "an_answer_that_is_lost_with_the_connection", "name different meters"),
        (
            TakesTheFirstForTheLast,
            "cut_anywhere_and_resumed",
            "lost or altered: 2.5 of .* told that it is received",
        ),
        (AcknowledgesDamage, "noise_between_messages", "lost or altered"),
        (AcknowledgesFirst, "the_meter_is_told_only_of_what_is_committed", "piece 1 was never committed: lost"),
        (AnswersLate, "a_slow_disk", "before it was committed"),
        (LosesPatience, "a_slow_meter", "lost"),
        (NeverGivesUp, "a_meter_that_dies_and_is_switched_on_a_day_later", "lost"),
        (ReadsFromTheLastNumber, "memos_that_are_lost_old_or_damaged", "lost or altered"),
    ],
)
def test_a_bad_session_is_found(session: type[Remembering], check: str, words: str) -> None:
    class OfBad(Bad):
        kind_of_session = session

    class Suite(SimulatorConformance):
        driver = OfBad
        simulator = SimulatedFingertip

    with pytest.raises(BrokenPromiseError, match=words):
        getattr(Suite(), f"test_live_{check}")()


class TestRememberingKeepsEveryPromise(SimulatorConformance):
    """So what is found above is what the subclasses break."""

    driver = Bad
    simulator = SimulatedFingertip
    examples = 10


# Decoders --------------------------------------------------------------------------------------------------------

Alter = Callable[[Decoded, MeterRecord], MeterRecord | None]


def time_of(record: MeterRecord, change: Callable[[datetime | None], datetime | None]) -> MeterRecord:
    assert record.device_time is not None
    return replace(record, device_time=DeviceTime(record.device_time.raw, change(record.device_time.local)))


def clock_of(decoded: Decoded) -> datetime | None:
    return None if decoded.clock is None else decoded.clock.time.local


def without_error(_: Decoded, record: MeterRecord) -> MeterRecord | None:
    return None if record.kind is RecordKind.ERROR else record


def without_sign(_: Decoded, record: MeterRecord) -> MeterRecord:
    return record if record.inr is None else replace(record, inr=replace(record.inr, comparator=None))


def without_limit(_: Decoded, record: MeterRecord) -> MeterRecord | None:
    return None if record.inr is not None and record.inr.comparator else record


def control_as_patient(_: Decoded, record: MeterRecord) -> MeterRecord:
    return replace(record, kind=RecordKind.PATIENT) if record.kind is RecordKind.CONTROL else record


def with_made_up_time(_: Decoded, record: MeterRecord) -> MeterRecord:
    return time_of(record, lambda local: local or PRESENT)


def with_time_of_clock(decoded: Decoded, record: MeterRecord) -> MeterRecord:
    return time_of(record, lambda local: local or clock_of(decoded))


def corrected(decoded: Decoded, record: MeterRecord) -> MeterRecord:
    clock = clock_of(decoded)
    wrong = PRESENT - clock if clock is not None else timedelta(0)
    return time_of(record, lambda local: None if local is None else local + wrong)


def only_plausible(_: Decoded, record: MeterRecord) -> MeterRecord | None:
    local = None if record.device_time is None else record.device_time.local
    return record if local is None or PRESENT - timedelta(days=400) < local <= PRESENT else None


def through_utc(_: Decoded, record: MeterRecord) -> MeterRecord:
    def there_and_back(local: datetime | None) -> datetime | None:
        if local is None:
            return None
        return local.replace(tzinfo=NEW_YORK).astimezone(UTC).astimezone(NEW_YORK).replace(tzinfo=None)

    return time_of(record, there_and_back)


def twice(_: Decoded, record: MeterRecord) -> MeterRecord:
    return replace(record, notes=("again",))


@pytest.mark.parametrize(
    ("alter", "check", "words"),
    [
        (without_error, "the_memory_is_read_as_it_is", "lost or altered"),
        (without_sign, "values_off_the_range_keep_their_sign", "instead came patient 8.0"),
        (without_limit, "values_off_the_range_keep_their_sign", "lost or altered"),
        (control_as_patient, "controls_and_errors_are_no_results", "lost or altered"),
        (with_made_up_time, "a_clock_that_was_never_set", "lost or altered"),
        (corrected, "a_clock_that_is_wrong", "lost or altered"),
        (only_plausible, "a_clock_that_is_wrong", "lost or altered"),
        (with_time_of_clock, "a_clock_that_was_set_between_two_tests", "remembers no such test"),
        (through_utc, "times_around_the_change_to_summer_time", "lost or altered"),
    ],
)
def test_a_bad_decoder_is_found(alter: Alter, check: str, words: str) -> None:
    class OfBad(FingertipDriver):
        def decode(self, pieces: Sequence[bytes]) -> Decoded:
            decoded = super().decode(pieces)
            altered = [alter(decoded, item) if isinstance(item, MeterRecord) else item for item in decoded.items]
            return replace(decoded, items=tuple(item for item in altered if item is not None))

    class Suite(SimulatorConformance):
        driver = OfBad
        simulator = SimulatedFingertip

    with pytest.raises(BrokenPromiseError, match=words):
        getattr(Suite(), f"test_live_{check}")()


# The kit's own words ---------------------------------------------------------------------------------------------


class WithoutNumbers(SimulatedFingertip):
    def connected(self, now_s: float) -> bytes:
        if any(not test.number for test in self.memory):
            raise CannotError("its records always have a number")
        return super().connected(now_s)


class WithoutClock(SimulatedFingertip):
    clock_step_s = None


class ToTheMinute(SimulatedFingertip):
    clock_step_s = 60


class Stuck(SimulatedFingertip):
    def tick(self, now_s: float) -> bytes:
        return b""


class Chatters(SimulatedFingertip):
    """It never ends."""

    def receive(self, octets: bytes, now_s: float) -> bytes:
        return line("M;FT-200;0012345;2026-03-14 12:00:05")


def suite(of: type[SimulatedMeter]) -> SimulatorConformance:
    class Suite(SimulatorConformance):
        driver = FingertipDriver
        simulator = of

    return Suite()


def test_what_a_meter_cannot_be_is_skipped_with_its_words() -> None:
    with pytest.raises(SkipTest, match="its records always have a number"):
        suite(WithoutNumbers).test_live_numbers_that_repeat_or_are_missing()
    with pytest.raises(SkipTest, match="no clock"):
        suite(WithoutClock).test_live_a_clock_that_is_wrong()


def test_stamps_are_those_that_the_meter_can_write() -> None:
    suite(WithoutClock).test_live_the_memory_is_read_as_it_is()
    suite(ToTheMinute).test_live_the_memory_is_read_as_it_is()
    meter = suite(ToTheMinute)._meter([StoredTest(RecordKind.PATIENT, datetime(2026, 3, 14, 7, 30, 59), "2.5", "")])
    assert meter.memory[0].shown == datetime(2026, 3, 14, 7, 30)


def test_a_meter_whose_timer_does_not_go_on() -> None:
    with pytest.raises(RuntimeError, match="leaves deadline_s as it is"):
        suite(Stuck).test_live_an_answer_that_is_lost()


def test_a_conversation_without_end() -> None:
    with pytest.raises(BrokenPromiseError, match="still talk"):
        suite(Chatters).test_live_the_memory_is_read_as_it_is()


def test_a_recording_of_a_simulated_meter() -> None:
    meter = SimulatedFingertip(TWO, PRESENT)
    conversation = recorded(Host(FingertipDriver({}).session()), meter)
    assert [turn[:2] for turn in conversation.turns] == [b"M;", b"R;", b"R;", b"Z*"]
    assert meter.told == set(TWO)
    assert meter.has_hung_up


@pytest.mark.parametrize(
    "words",
    [
        ["--simulator", "simulated:Nothing"],
        ["--simulator", "drivers.conformance:SimulatedMeter"],
        ["--simulator", "json:loads"],
    ],
)
def test_no_simulated_meter(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    driver = "tests.examples.third_party_driver.inr_fingertip:FingertipDriver"
    assert main(["--driver", driver, *words]) == 2
    assert capsys.readouterr().err.startswith("python -m drivers.conformance: ")
    with pytest.raises(SystemExit):
        main(["--driver", driver])
