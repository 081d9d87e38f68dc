"""A driver as a third party would write one, for a protocol made up for tests.

A message is lines that end in LF. ``H…`` begins it, ``L`` ends it, every line of it is a piece and is answered
``+`` or ``-``. ``!…`` is damaged, ``C…`` is context, ``.`` ends the conversation, ``#`` the connection too, ``?``
makes the session fail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from drivers.contract import (
    NO_MEMOS,
    ConfirmedBy,
    Context,
    Decoded,
    DeviceTime,
    Driver,
    Event,
    Finished,
    MeterClock,
    MeterIdentity,
    MeterRecord,
    Piece,
    Quantity,
    RecordKind,
    Rejected,
    Send,
    Session,
    Unreadable,
)
from drivers.errors import DriverError, FramingError, FramingReason, ProtocolError, ProtocolReason

OK, REFUSED = b"+\n", b"-\n"


class TinySession(Session):
    def __init__(self, unfinished: Sequence[bytes] = ()) -> None:
        self.last = unfinished[-1] if unfinished else None
        self.open = bool(unfinished) and unfinished[-1] != b"L\n"
        self.buffer = b""
        self.pending: bytes | None = None

    def opened(self, _now_s: float) -> list[Event]:
        return [Send(b"hello\n")]

    def receive(self, octets: bytes, _now_s: float) -> list[Event]:
        self.buffer += octets
        return self._advance()

    def _advance(self) -> list[Event]:
        events: list[Event] = []
        while self.pending is None and b"\n" in self.buffer:
            line, _, self.buffer = self.buffer.partition(b"\n")
            line += b"\n"
            match line[:1]:
                case b"?":
                    raise RuntimeError("a driver's bug that quotes 2.5")
                case b"!":
                    damage = FramingError("damaged, as the meter said", FramingReason.CHECKSUM)
                    events += [Rejected(line, damage), Send(REFUSED)]
                case b"C":
                    events += [Context(line), Send(OK)]
                case b"." | b"#":
                    events.append(Finished(close=line.startswith(b"#")))
                case _ if line == self.last and not line.startswith(b"H"):
                    events.append(Send(OK))
                case _:
                    self.pending = line
                    starts = line.startswith(b"H") or not self.open
                    events.append(Piece(line, starts_message=starts, ends_message=line.startswith(b"L")))
        return events

    def confirm(self, _now_s: float) -> list[Event]:
        assert self.pending is not None
        self.last, self.pending = self.pending, None
        self.open = not self.last.startswith(b"L")
        return [Send(OK), *self._advance()]

    def refuse(self, _now_s: float) -> list[Event]:
        assert self.pending is not None
        self.pending = None
        return [Send(REFUSED), *self._advance()]

    def tick(self, _now_s: float) -> list[Event]:
        return []

    @property
    def deadline_s(self) -> float | None:
        return None

    def lost(self, _now_s: float) -> list[Event]:
        return [Finished(None, close=True)]


class TinyDriver(Driver):
    name: ClassVar[str] = "tiny"
    summary: ClassVar[str] = "made up for tests"
    evidence: ClassVar[str] = "none"
    confirmed_by: ClassVar[ConfirmedBy] = ConfirmedBy.CALLER
    transports: ClassVar[frozenset[str]] = frozenset({"tcp", "serial"})

    def __init__(self, profile: Mapping[str, object]) -> None:
        self.profile = profile

    def session(self, unfinished: Sequence[bytes] = (), memos: Mapping[str, bytes] = NO_MEMOS) -> Session:
        return TinySession(unfinished)

    def decode(self, pieces: Sequence[bytes]) -> Decoded:
        lines = [piece.decode("latin-1").rstrip("\n").split("|") for piece in pieces]
        first = next((index for index, line in enumerate(lines) if line[0] == "H"), None)
        if first is None:
            raise ProtocolError("a message begins with H", ProtocolReason.NO_HEADER, offset=0)
        _, vendor, serial, clock = (*lines[first], "", "", "")[:4]
        items: list[MeterRecord | Unreadable] = []
        for piece, line in zip(pieces, lines, strict=True):
            if line[0] == "R":
                items.append(record(piece, *line[1:]))
            elif line[0] == "X":
                bad: DriverError = ProtocolError("X is no record", ProtocolReason.BAD_VALUE, offset=0)
                items.append(Unreadable(piece, bad))
            elif line[0] == "BOOM":
                raise ZeroDivisionError("a driver's bug that quotes 2.5")
        shown = MeterClock(device_time(clock), first) if clock else None
        return Decoded(MeterIdentity(vendor or None, serial or None), shown, tuple(items))


def device_time(text: str) -> DeviceTime:
    try:
        return DeviceTime(text, datetime.fromisoformat(text))
    except ValueError:
        return DeviceTime(text, None)


def record(octets: bytes, inr: str, time: str = "", number: str = "", note: str = "") -> MeterRecord:
    return MeterRecord(
        RecordKind.PATIENT,
        octets,
        device_time=device_time(time) if time else None,
        inr=Quantity(inr, Decimal(inr)),
        record_number=number or None,
        notes=(note,) if note else (),
    )
