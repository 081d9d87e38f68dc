"""The driver passes the kit that third parties get: its memory, and live results."""

from __future__ import annotations

import struct
from typing import ClassVar

from drivers.conformance import Conversation, DriverConformance, Host
from drivers.contract import RecordKind
from drivers.meters.ble_ghs import BleGhsDriver
from drivers.meters.coag_sense_pt2_ble import CoagSensePt2BleDriver
from tests.protocol.ghs import peer as p
from tests.protocol.ghs.peer import Line, Peer

TESTS = [
    p.inr(25),
    p.body(1, struct.pack("<HI", 6608, 0x007FFFFE), p.INR, p.stamp(p.T0 + 60)),
    p.body(1, struct.pack("<H", 6608) + p.medfloat(31, -1), p.CONTROL_RESULT, p.stamp(p.T0 + 120)),
    p.body(2, struct.pack("<I", 0x2000), p.STATUS, p.stamp(p.T0 + 180)),
]
EXPECTED = {RecordKind.PATIENT: 2, RecordKind.CONTROL: 1, RecordKind.ERROR: 1}


def recorded(peer: Peer) -> tuple[bytes, ...]:
    """What the sensor says, cut where it waits for the host."""
    line = Line(Host(BleGhsDriver({}).session()), peer)
    line.host.opened()
    turns, said = [], peer.connected()
    while said:
        turns.append(said)
        line.host.receive(said)
        said = line.heard()
    return tuple(turns)


class Ghs(DriverConformance):
    driver = BleGhsDriver
    expected = EXPECTED
    acknowledges = False
    examples = 25
    most_cuts = 400

    def repeats(self, turn: bytes) -> bool:
        return turn[2] == 0x86  # an answer to a request is not sent again


class TestMemory(Ghs):
    conversation = Conversation(*recorded(Peer(dict(enumerate(TESTS, 1)))))


class TestLive(Ghs):
    conversation = Conversation(
        *recorded(Peer()),
        *(p.notified(p.LIVE, *p.segments(test, counter=number * 3)) for number, test in enumerate(TESTS)),
    )


PT2 = bytes.fromhex("194f9cb1364b4a0084a15e30b969ba23")


def frame(kind: int, value: bytes = b"") -> bytes:
    return struct.pack("<HB", 17 + len(value), kind) + PT2 + value


class TestPt2Captured(DriverConformance):
    """Everything it says is kept and none of it is a result."""

    driver = CoagSensePt2BleDriver
    profile: ClassVar[dict[str, object]] = {"capture": True}
    conversation = Conversation(p.link(), frame(0x84), frame(0x84), frame(0x86, b"<HEL.R01>"), frame(0x86, b"?"))
    expected: ClassVar[dict[None, int]] = {None: 2}
    acknowledges = False
    examples = 25

    def repeats(self, turn: bytes) -> bool:
        return False  # what a repetition would look like is not known
