"""A Fingertip meter that does not exist, written from its description and not from the driver."""

from __future__ import annotations

from datetime import datetime

from drivers.conformance import SimulatedMeter, StoredTest
from drivers.contract import RecordKind

LETTER = {RecordKind.PATIENT: "R", RecordKind.CONTROL: "Q", RecordKind.ERROR: "X"}


class SimulatedFingertip(SimulatedMeter):
    def connected(self, now_s: float) -> bytes:
        hello = line(f"M;FT-200;0012345;{time(self.shows)}")
        tests = [(line(f"{LETTER[test.kind]};{of(test)}"), test) for test in self.unsent]
        self.waiting: list[tuple[bytes, StoredTest | None]] = [(hello, None), *tests, (line("Z"), None)]
        return self.say(now_s)

    def receive(self, octets: bytes, now_s: float) -> bytes:
        for _ in octets[: len(self.waiting)].replace(b"-", b""):
            _, test = self.waiting.pop(0)
            self.told |= {test} if test else set()
        self.has_hung_up = not self.waiting
        return self.say(now_s)

    def tick(self, now_s: float) -> bytes:
        return self.say(now_s)

    def say(self, now_s: float) -> bytes:
        self.deadline_s = now_s + 5 if self.waiting else None
        return self.waiting[0][0] if self.waiting else b""


def of(test: StoredTest) -> str:
    return f"{test.number};{time(test.shown)};{test.inr or 'E-5'};564636"


def time(shown: datetime | None) -> str:
    return "0000-00-00 00:00:00" if shown is None else f"{shown:%Y-%m-%d %H:%M:%S}"


def line(text: str) -> bytes:
    checksum = 0
    for octet in text.encode():
        checksum ^= octet
    return f"{text}*{checksum:02X}\r\n".encode()
