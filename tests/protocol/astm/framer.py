"""An E1381 sender's octets and a caller of a session, written for tests from the standard."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from drivers.contract import Event, Finished, Piece, Rejected, Send, Session

ENQ, EOT, ACK, NAK = b"\x05", b"\x04", b"\x06", b"\x15"

MESSAGE = (
    b"H|\\^&|||ACME^HomeINR^SN000123^1.2|||||||P|LIS2-A2|20260314073005",
    b"P|1||PATIENT-7",
    b"O|1|17||^^^INR|R||||||",
    b"R|1|^^^INR|2.5|INR||N||F||OP1||20260314072800",
    b"R|2|^^^PT|29.6|s||||F||||20260314072800",
    b"R|3|^^^QUICK|31|%||||F||||20260314072800",
    b"C|1|I|LOT^564636|G",
    b"L|1|N",
)
"""A result in the layout of the profile home_inr_astm, record by record."""


def frame(number: int, text: bytes, *, end: bytes = b"\x03", trailer: bytes = b"\r\n") -> bytes:
    """STX, number, text, ETX or ETB, checksum, trailer (E1381 6.3.1)."""
    summed = b"%d" % (number % 8) + text + end
    return b"\x02" + summed + b"%02X" % (sum(summed) % 256) + trailer


def frames(records: Iterable[bytes], *, first: int = 1, trailer: bytes = b"\r\n", cr: bytes = b"\r") -> list[bytes]:
    """One record in each frame."""
    return [frame(number, record + cr, trailer=trailer) for number, record in enumerate(records, first)]


def one_frame(records: Sequence[bytes] = MESSAGE, number: int = 1, trailer: bytes = b"\r\n") -> bytes:
    """The whole message in one frame."""
    return frame(number, b"".join(record + b"\r" for record in records), trailer=trailer)


def cut_frames(records: Sequence[bytes], size: int) -> list[bytes]:
    """The message's text cut every `size` octets without regard to records, with ETB where it goes on."""
    text = b"".join(record + b"\r" for record in records)
    parts = [text[start : start + size] for start in range(0, len(text), size)]
    ends = [b"\x17"] * (len(parts) - 1) + [b"\x03"]
    return [frame(number, part, end=end) for number, (part, end) in enumerate(zip(parts, ends, strict=True), 1)]


def bare(framed: bytes) -> bytes:
    """A frame as a `Piece` holds it: without its trailer."""
    return framed.rstrip(b"\r\n")


def sysmex_frames(shared: Path, **how: bytes) -> list[bytes]:
    """The captured Sysmex message: each line is a frame's number and text."""
    lines = (shared / "vectors/astm/sysmex_cs2500_frames.txt").read_bytes().splitlines()
    return [frame(int(line[:1]), line[1:] + b"\r", **how) for line in lines]


class Caller:
    """Commits every piece at once and keeps all events in order.

    `quiet` lets time pass until nothing is left to do, as a hub does between octets of a meter that waits.
    """

    def __init__(self, session: Session, *, refuse: Iterable[int] = ()) -> None:
        self.session = session
        self.now_s = 100.0
        self.events: list[Event] = []
        self._refuse = set(refuse)
        self._pieces = 0
        self._take(session.opened(self.now_s))

    def feed(self, octets: bytes, *chunks: int) -> Caller:
        """Feed octets whole, or in chunks that end at these places."""
        for start, stop in zip((0, *chunks), (*chunks, len(octets)), strict=True):
            self._take(self.session.receive(octets[start:stop], self.now_s))
        return self

    def after(self, seconds: float) -> Caller:
        """Let time pass, with every tick that is due."""
        end_s = self.now_s + seconds
        while (due_s := self.session.deadline_s) is not None and due_s <= end_s:
            self.now_s = max(self.now_s, due_s)
            self._take(self.session.tick(self.now_s))
        self.now_s = end_s
        return self

    def lost(self) -> Caller:
        self._take(self.session.lost(self.now_s))
        return self

    @property
    def sent(self) -> bytes:
        return b"".join(event.octets for event in self.events if isinstance(event, Send))

    @property
    def pieces(self) -> list[bytes]:
        return [event.octets for event in self.events if isinstance(event, Piece)]

    @property
    def rejected(self) -> list[Rejected]:
        return [event for event in self.events if isinstance(event, Rejected)]

    @property
    def finished(self) -> list[Finished]:
        return [event for event in self.events if isinstance(event, Finished)]

    @property
    def plain(self) -> list[tuple[object, ...]]:
        """Events in a form that can be compared; errors by what they say."""
        found: list[tuple[object, ...]] = []
        for event in self.events:
            match event:
                case Send(octets):
                    found.append(("send", octets))
                case Piece(octets, starts, ends):
                    found.append(("piece", octets, starts, ends))
                case Rejected(octets, error):
                    found.append(("rejected", octets, str(error), error.reason, error.offset))
                case Finished(error, close):
                    found.append(("finished", str(error), close))
        return found

    def _take(self, events: Sequence[Event]) -> None:
        todo = list(events)
        while todo:
            event = todo.pop(0)
            self.events.append(event)
            if isinstance(event, Piece):
                self._pieces += 1
                answer = self.session.refuse if self._pieces in self._refuse else self.session.confirm
                todo = answer(self.now_s) + todo
