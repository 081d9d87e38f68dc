r"""Fingertip meters, which do not exist: the example of docs/drivers.md.

The meter speaks first, in lines ``TEXT*HH\r\n``; HH is the XOR of the octets of TEXT in hexadecimal. It waits for
``+`` (received) or ``-`` (damaged, or not stored) after each line, and repeats a line that got none in 5 s::

    M;FT-200;0012345;2026-03-14 07:30:05       model, serial number, what its clock shows
    R;17;2026-03-14 07:28:00;2.5;564636        number, time, INR (or >8.0), strip lot
    Q;18;2026-03-14 07:29:10;1.1;564636        a control
    X;19;2026-03-14 07:29:40;E-5;564636        an error
    Z                                          that was all

Checklist: everything is made up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from drivers.contract import (
    NO_MEMOS,
    Comparator,
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
from drivers.errors import (
    DeviceError,
    DeviceReason,
    FramingError,
    FramingReason,
    ProtocolError,
    ProtocolReason,
)

__all__ = ["FingertipDriver"]

LONGEST_LINE = 200
MOST_WAITING = 10_000
SILENCE_S = 60.0
ANSWER_WITHIN_S = 4.0
"""The meter repeats a line after 5 s."""
_NUMBER = re.compile(r"([<>]?)(\d{1,3}\.\d{1,2})")
_KINDS = {"R": RecordKind.PATIENT, "Q": RecordKind.CONTROL, "X": RecordKind.ERROR}


class FingertipSession(Session):
    """One connection. A line with a result is a piece, and a whole message; the line M is context."""

    def __init__(self, unfinished: Sequence[bytes]) -> None:
        self._last = unfinished[-1] if unfinished else b""
        self._waiting = b""
        self._piece: bytes | None = None
        self._heard_s: float | None = None
        self._mute_until_s = 0.0
        self._is_over = False

    def opened(self, now_s: float) -> list[Event]:
        self._heard_s = now_s
        return []

    def receive(self, octets: bytes, now_s: float) -> list[Event]:
        self._heard_s = now_s
        events: list[Event] = []
        # In slices: whatever arrives in one go, no more than a little is ever held.
        for start in range(0, len(octets), MOST_WAITING):
            self._waiting += octets[start : start + MOST_WAITING]
            events += self._go_on()
            if len(self._waiting) > 2 * MOST_WAITING:  # a piece waits, and the meter does not
                return [*events, *self._finish(_gave_up("it sends without waiting for answers"))]
        return events

    def confirm(self, now_s: float) -> list[Event]:
        if self._heard_s is not None and now_s - self._heard_s > ANSWER_WITHIN_S:
            # The meter has repeated the line meanwhile. Of two answers it would take the second for the answer to
            # its next line, so it gets none for what came until now; it will repeat once more.
            self._mute_until_s = now_s + ANSWER_WITHIN_S / 2
        self._heard_s = now_s
        if self._piece is not None:
            self._last, self._piece = self._piece, None
        return [*self._answer(), *self._go_on()]

    def refuse(self, now_s: float) -> list[Event]:
        self._heard_s = now_s
        self._piece = None
        return [Send(b"-"), *self._go_on()]

    def tick(self, now_s: float) -> list[Event]:
        due_s = self.deadline_s
        if due_s is None or now_s < due_s:
            return []
        return self._finish(_gave_up(f"it was silent for {SILENCE_S:g} s"))

    @property
    def deadline_s(self) -> float | None:
        if self._is_over or self._piece is not None or self._heard_s is None:
            return None
        return self._heard_s + SILENCE_S

    def lost(self, now_s: float) -> list[Event]:
        return self._finish(_gave_up("the connection ended"))

    def _go_on(self) -> list[Event]:
        events: list[Event] = []
        while self._piece is None and not self._is_over:
            line, end, rest = self._waiting.partition(b"\r\n")
            if end and len(line) <= LONGEST_LINE:
                self._waiting = rest
                events += self._line(line + end)
            elif len(self._waiting) > LONGEST_LINE:
                # The first octet of a pair may stand at the end, so the last one stays.
                damaged = line + end if end else line[:-1]
                self._waiting = self._waiting[len(damaged) :]
                events += _damaged(damaged, FramingReason.TOO_LONG)
            else:
                break
        return events

    def _line(self, line: bytes) -> list[Event]:
        if _text(line) is None:
            return _damaged(line, FramingReason.CHECKSUM)
        if line.startswith(b"M;"):
            return [Context(line), Send(b"+")]
        if line.startswith(b"Z*"):
            return [Send(b"+"), *self._finish(None)]
        if line == self._last:  # our answer was lost
            return self._answer()
        self._piece = line
        return [Piece(line, starts_message=True, ends_message=True)]

    def _answer(self) -> list[Event]:
        return [] if self._heard_s is not None and self._heard_s < self._mute_until_s else [Send(b"+")]

    def _finish(self, error: DeviceError | None) -> list[Event]:
        if self._is_over:
            return []
        self._is_over = True
        return [Finished(error, close=True)]


class FingertipDriver(Driver):
    """Profile: ``vendor`` (text) in place of "Fingertip", for meters sold under another name."""

    name: ClassVar[str] = "fingertip"
    summary: ClassVar[str] = "Fingertip FT-200 over its USB serial cable (an example)"
    evidence: ClassVar[str] = "made up for the documentation"
    confirmed_by: ClassVar[ConfirmedBy] = ConfirmedBy.CALLER
    transports: ClassVar[frozenset[str]] = frozenset({"serial", "tcp"})

    def __init__(self, profile: Mapping[str, object]) -> None:
        vendor = profile.get("vendor", "Fingertip")
        if not isinstance(vendor, str) or not vendor:
            raise ValueError('vendor: a text is needed, for example vendor = "Acme"')
        self._vendor = vendor

    def session(self, unfinished: Sequence[bytes] = (), memos: Mapping[str, bytes] = NO_MEMOS) -> Session:
        return FingertipSession(unfinished)

    def serial_parameters(self) -> Mapping[str, object]:
        return {"baudrate": 19200}

    def decode(self, pieces: Sequence[bytes]) -> Decoded:
        """The line with the result is the last; what stands before it is the meter's line M."""
        # A record's own octets hold both lines, so a piece may be more than one line.
        lines = [(number, line) for number, piece in enumerate(pieces) for line in piece.splitlines(keepends=True)]
        meter, clock = MeterIdentity(self._vendor, None), None
        for number, line in lines[:-1]:
            fields = _fields(line)
            if fields[0] == "M" and len(fields) == 4:
                meter = MeterIdentity(self._vendor, fields[2], fields[1])
                clock = MeterClock(_time(fields[3]), number)
        if not lines:
            raise ProtocolError("octet 0: no line", ProtocolReason.NO_HEADER, offset=0)
        octets = b"".join(line for _, line in lines)
        try:
            return Decoded(meter, clock, (_record(_fields(lines[-1][1]), octets),))
        except ProtocolError as error:
            return Decoded(meter, clock, (Unreadable(octets, error),))


def _text(line: bytes) -> str | None:
    """What a line says; None if its checksum is not that of its text, or it is none."""
    text, star, end = line.partition(b"*")
    checksum = 0
    for octet in text:
        checksum ^= octet
    return text.decode("latin-1") if star and end == b"%02X\r\n" % checksum else None


def _fields(line: bytes) -> list[str]:
    text = _text(line)
    if text is None:
        raise ProtocolError("octet 0: not a whole line", ProtocolReason.BAD_STRUCTURE, offset=0)
    return text.split(";")


def _record(fields: list[str], octets: bytes) -> MeterRecord:
    kind = _KINDS.get(fields[0])
    if kind is None or len(fields) != 5:
        raise ProtocolError(f"a line of kind {fields[0][:10]!r} is not known", ProtocolReason.UNSUPPORTED, offset=0)
    _, number, time, value, lot = fields
    is_error = kind is RecordKind.ERROR
    return MeterRecord(
        kind,
        octets,
        device_time=_time(time),
        inr=None if is_error else _inr(value),
        record_number=number or None,
        strip_lot=lot or None,
        error_code=value if is_error else None,
    )


def _inr(text: str) -> Quantity:
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise ProtocolError("the INR is no number", ProtocolReason.BAD_VALUE)
    comparators: dict[str, Comparator] = {"<": "<", ">": ">"}
    return Quantity(text, Decimal(found.group(2)), comparators.get(found.group(1)), "INR")


def _time(text: str) -> DeviceTime:
    try:
        return DeviceTime(text, datetime.strptime(text, "%Y-%m-%d %H:%M:%S"))
    except ValueError:
        return DeviceTime(text, None)


def _damaged(octets: bytes, reason: FramingReason) -> list[Event]:
    return [Rejected(octets, FramingError("a damaged line; the meter is asked again", reason)), Send(b"-")]


def _gave_up(why: str) -> DeviceError:
    return DeviceError(f"{why} before the meter said that it was all; connect it again", DeviceReason.GAVE_UP)
