"""The kit itself: it finds every fault that it promises to find, and its door says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import pytest

from drivers.conformance import BrokenPromiseError, Conversation, DriverConformance
from drivers.conformance.__main__ import main
from drivers.contract import (
    NO_MEMOS,
    ConfirmedBy,
    Context,
    Decoded,
    Driver,
    Event,
    Finished,
    MeterIdentity,
    MeterRecord,
    Piece,
    Quantity,
    RecordKind,
    Rejected,
    Send,
    Session,
)
from drivers.errors import DeviceError, DeviceReason, FramingError, FramingReason, ProtocolError, ProtocolReason

LINES = Conversation(b"H\n", b"2.5\n", b"3.6\n", b".\n")
SILENCE_S = 30.0


class LineSession(Session):
    """``H`` greets, a number is a result and gets ``+``, ``.`` ends. Keeps every promise, unless a subclass breaks
    one."""

    def __init__(self, unfinished: Sequence[bytes] = ()) -> None:
        self.last = unfinished[-1] if unfinished else b""
        self.buffer = b""
        self.pending = b""
        self.heard_s = 0.0
        self.over = False

    def opened(self, now_s: float) -> list[Event]:
        self.heard_s = now_s
        return []

    def receive(self, octets: bytes, now_s: float) -> list[Event]:
        self.heard_s = now_s
        self.buffer += octets
        return self.go_on()

    def go_on(self) -> list[Event]:
        events: list[Event] = []
        while not (self.pending or self.over) and b"\n" in self.buffer:
            line, _, self.buffer = self.buffer.partition(b"\n")
            events += self.line(line) if line else []
        if len(self.buffer) > 1000:
            self.buffer = b""
            events.append(Rejected(b"", FramingError("too long", FramingReason.TOO_LONG)))
        return events

    def line(self, line: bytes) -> list[Event]:
        if line == b"H":
            return [Context(b"H\n"), Send(b"hello\n")]
        if line == b".":
            self.over = True
            return [Finished(None, close=True)]
        if line == self.last:
            return [Send(b"+\n")]
        self.pending = line
        return [Piece(line, starts_message=True, ends_message=True)]

    def confirm(self, now_s: float) -> list[Event]:
        self.heard_s = now_s
        self.last, self.pending = self.pending, b""
        return [Send(b"+\n"), *self.go_on()]

    def refuse(self, now_s: float) -> list[Event]:
        self.heard_s = now_s
        self.pending = b""
        return [Send(b"-\n"), *self.go_on()]

    def tick(self, now_s: float) -> list[Event]:
        if self.deadline_s is None or now_s < self.deadline_s:
            return []
        return self.lost(now_s)

    @property
    def deadline_s(self) -> float | None:
        return None if self.over or self.pending else self.heard_s + SILENCE_S

    def lost(self, now_s: float) -> list[Event]:
        if self.over:
            return []
        self.over = True
        error = DeviceError("silent", DeviceReason.GAVE_UP) if self.buffer else None
        return [Finished(error, close=True)]


class LineDriver(Driver):
    name: ClassVar[str] = "line"
    summary: ClassVar[str] = "made up"
    evidence: ClassVar[str] = "none"
    confirmed_by: ClassVar[ConfirmedBy] = ConfirmedBy.CALLER
    transports: ClassVar[frozenset[str]] = frozenset({"tcp"})
    kind_of_session: ClassVar[Callable[[Sequence[bytes]], Session]] = LineSession

    def __init__(self, profile: object) -> None: ...

    def session(self, unfinished: Sequence[bytes] = (), memos: Mapping[str, bytes] = NO_MEMOS) -> Session:
        return type(self).kind_of_session(unfinished)

    def decode(self, pieces: Sequence[bytes]) -> Decoded:
        return Decoded(MeterIdentity("Line", None), None, (self.record(pieces[-1]),))

    def record(self, piece: bytes) -> MeterRecord:
        text = piece.decode("ascii", "replace")
        if not text.replace(".", "", 1).isdecimal() or not text.isascii():
            raise ProtocolError("octet 0: no number", ProtocolReason.BAD_VALUE, offset=0)
        return MeterRecord(RecordKind.PATIENT, piece, inr=Quantity(text, Decimal(text)))


class Quick(DriverConformance):
    conversation = LINES
    examples = 40
    most_held_octets = 100_000


class TestKeepsEveryPromise(Quick):
    driver = LineDriver


class OneRead(LineSession):
    def receive(self, octets: bytes, now_s: float) -> list[Event]:
        self.heard_s = now_s
        self.buffer = octets  # takes one read for one line
        return self.go_on()


class AcknowledgesFirst(LineSession):
    def line(self, line: bytes) -> list[Event]:
        events = super().line(line)
        return [Send(b"+\n"), *events] if isinstance(events[-1], Piece) else events

    def confirm(self, now_s: float) -> list[Event]:
        return super().confirm(now_s)[1:]


class GoesOnWhilePending(LineSession):
    def receive(self, octets: bytes, now_s: float) -> list[Event]:
        return [Send(b"+\n")] if self.pending else super().receive(octets, now_s)


class RefusesAsIfConfirmed(LineSession):
    def refuse(self, now_s: float) -> list[Event]:
        return self.confirm(now_s)


class ForgetsWhatWasLast(LineSession):
    def confirm(self, now_s: float) -> list[Event]:
        events = super().confirm(now_s)
        self.last = b""
        return events


class WaitsForEver(LineSession):
    @property
    def deadline_s(self) -> float | None:
        return None


class Spins(LineSession):
    def tick(self, now_s: float) -> list[Event]:
        return []


class ReadsEverything(LineSession):
    def go_on(self) -> list[Event]:
        if b"\n" in self.buffer:
            return super().go_on()
        return []


class SaysGoodbyeTooLate(LineSession):
    def lost(self, now_s: float) -> list[Event]:
        return [Send(b"bye\n"), *super().lost(now_s)]


class NeverEnds(LineSession):
    def lost(self, now_s: float) -> list[Event]:
        return []


class Crashes(LineSession):
    def line(self, line: bytes) -> list[Event]:
        line.decode("ascii")
        return super().line(line)


class LosesTheSecond(LineSession):
    def confirm(self, now_s: float) -> list[Event]:
        events = super().confirm(now_s)
        self.last = b"3.6"  # believes to have it already
        return events


@pytest.mark.parametrize(
    ("session", "check"),
    [
        (OneRead, "any_chunking_gives_the_same_events"),
        (AcknowledgesFirst, "every_confirmed_piece_is_answered"),
        (GoesOnWhilePending, "nothing_is_acknowledged_before_confirm"),
        (RefusesAsIfConfirmed, "refuse_acknowledges_nothing_and_loses_nothing"),
        (ForgetsWhatWasLast, "a_repetition_is_acknowledged_again_and_not_new"),
        (WaitsForEver, "a_meter_that_falls_silent_is_given_up"),
        (Spins, "a_meter_that_falls_silent_is_given_up"),
        (ReadsEverything, "floods_fill_no_memory"),
        (SaysGoodbyeTooLate, "nothing_is_lost_wherever_the_connection_breaks"),
        (NeverEnds, "nothing_is_lost_wherever_the_connection_breaks"),
    ],
)
def test_a_broken_promise_is_found(session: type[Session], check: str) -> None:
    class Bad(LineDriver):
        kind_of_session = session

    class Suite(Quick):
        driver = Bad

    with pytest.raises(BrokenPromiseError):
        getattr(Suite(), f"test_{check}")()


def test_what_is_raised_is_shown_as_it_is() -> None:
    class Bad(LineDriver):
        kind_of_session = Crashes

    class Suite(Quick):
        driver = Bad
        examples = 300

    with pytest.raises((UnicodeDecodeError, ExceptionGroup)):
        Suite().test_hostile_octets_do_no_harm()


def test_a_record_that_was_expected_and_is_missing() -> None:
    class Bad(LineDriver):
        kind_of_session = LosesTheSecond

    class Suite(Quick):
        driver = Bad
        expected: ClassVar[dict[RecordKind, int]] = {RecordKind.PATIENT: 2}

    with pytest.raises(BrokenPromiseError, match="expected 2 patient; decoded 1 patient"):
        Suite().test_the_conversation_is_read_in_order()


def test_records_that_contradict_themselves() -> None:
    class Above(LineDriver):
        def record(self, piece: bytes) -> MeterRecord:
            return MeterRecord(RecordKind.PATIENT, piece, inr=Quantity(">8.0", Decimal("8.0")))

    class Remembers(LineDriver):
        def __init__(self, profile: object) -> None:
            super().__init__(profile)
            self.calls = 0

        def record(self, piece: bytes) -> MeterRecord:
            self.calls += 1
            return MeterRecord(RecordKind.PATIENT, piece, record_number=str(self.calls))

    class Suite(Quick):
        driver = Above

    class Other(Quick):
        driver = Remembers

    with pytest.raises(BrokenPromiseError, match="comparator"):
        Suite().test_records_say_what_they_may_say()
    with pytest.raises(BrokenPromiseError, match="other records"):
        Other().test_decode_is_a_pure_function()
    with pytest.raises(BrokenPromiseError, match="own octets"):
        Other().test_each_record_is_decoded_from_its_own_octets()


class TestDoor:
    CAPTURE = (
        "# inr-gateway capture 1\n2026-03-14T07:30:05Z ! open tcp://meter\n"
        "2026-03-14T07:30:05Z < 480a\n2026-03-14T07:30:05Z > 68656c6c6f0a\n"
        "2026-03-14T07:30:06Z < 322e\n2026-03-14T07:30:06Z < 350a\n2026-03-14T07:30:06Z > 2b0a\n"
        "2026-03-14T07:30:07Z < 2e0a\n2026-03-14T07:30:07Z ! close\n"
    )

    def test_turns_of_a_capture(self, tmp_path: Path) -> None:
        path = tmp_path / "meter.capture"
        path.write_text(self.CAPTURE)
        assert Conversation.from_capture(path).turns == (b"H\n", b"2.5\n", b".\n")
        with pytest.raises(ValueError, match="1 connections"):
            Conversation.from_capture(path, 2)

    def test_each_promise_is_printed(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "meter.capture"
        path.write_text(self.CAPTURE)
        assert main(["--driver", f"{__name__}:LineDriver", str(path)]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == len([name for name in vars(DriverConformance) if name.startswith("test_")])
        assert all(line.startswith("kept ") for line in lines)

    def test_a_broken_one_is_named(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "meter.capture"
        path.write_text(self.CAPTURE.replace(" < 2e0a", " < 2a2a"))
        assert main(["--driver", f"{__name__}:LineDriver", str(path)]) == 1
        assert "BROKEN   the conversation is read in order: the conversation ends with an error" in (
            capsys.readouterr().out
        )

    @pytest.mark.parametrize(
        "words",
        [
            ["--driver", "none", "none.capture"],
            ["--driver", "none:None", "none.capture"],
            ["--driver", "json:loads", "none.capture"],
            ["--driver", "astm", "none.capture"],
            ["--driver", "astm", "--profile", "none.toml", "none.capture"],
        ],
    )
    def test_what_cannot_be_used(self, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        assert main(words) == 2
        assert capsys.readouterr().err.startswith("python -m drivers.conformance: ")
