"""A Generic Health Sensor that answers GATT requests by a script, written from the layouts without our encoders."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

from drivers.conformance import Host
from drivers.contract import Session
from drivers.errors import DriverError

LIVE, STORED, RACP, FEATURES, CONTROL, ELAPSED = 0x2B8B, 0x2BDD, 0x2A52, 0x2BF3, 0x2BF4, 0x2BF2
SERIAL, VENDOR, MODEL, FIRMWARE, SYSTEM_ID = 0x2A25, 0x2A29, 0x2A24, 0x2A26, 0x2A23
READ, WRITE, SUBSCRIBE, DISCONNECT = 1, 2, 4, 6
INR, PT, QUICK, CONTROL_RESULT, LOT, STATUS = 160260, 160264, 160268, 160276, 8417908, 8417909
CLOCK = bytes.fromhex("22fdca47310000070003")[:9] + b"\x00\x00"
T0 = 0x3147CAFD
"""2026-03-14 07:30:05 in seconds since 2000."""


def uuid(short: int) -> bytes:
    return struct.pack(">I", short) + bytes.fromhex("00001000800000805f9b34fb")


def frame(kind: int, short: int, value: bytes = b"") -> bytes:
    return struct.pack("<HB", 17 + len(value), kind) + uuid(short) + value


def requests(octets: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Kind, characteristic and value of what the host asks."""
    place = 0
    while place < len(octets):
        (length,) = struct.unpack_from("<H", octets, place)
        kind, short = octets[place + 2], int.from_bytes(octets[place + 3 : place + 7], "big")
        yield kind, short, octets[place + 19 : place + 2 + length]
        place += 2 + length


def stamp(seconds: int = T0, flags: int = 0x22, source: int = 7, quarters: int = 0) -> bytes:
    return bytes([flags]) + seconds.to_bytes(6, "little") + struct.pack("<Bb", source, quarters)


def medfloat(mantissa: int, exponent: int = 0) -> bytes:
    return struct.pack("<I", (exponent & 0xFF) << 24 | mantissa & 0xFFFFFF)


def body(
    kind: int, value: bytes, term: int | None = INR, at: bytes | None = None, total: bool = False, **more: bytes
) -> bytes:
    """An observation. Args: more: fields by the number of their flag, as ``_3=...``."""
    fields = {int(name[1:]): octets for name, octets in more.items()}
    if term is not None:
        fields[0] = struct.pack("<I", term)
    if at is not None:
        fields[1] = at
    flags = sum(1 << bit for bit in fields)
    rest = struct.pack("<H", flags) + b"".join(fields[bit] for bit in sorted(fields)) + value
    return struct.pack("<BH", kind, len(rest) + (3 if total else 0)) + rest


def inr(tenths: int, seconds: int = T0, *, total: bool = False, **more: bytes) -> bytes:
    fields = {"_1": stamp(seconds), **more}
    return body(1, struct.pack("<H", 6608) + medfloat(tenths, -1), INR, None, total, **fields)


def segments(content: bytes, size: int = 20, counter: int = 0) -> list[bytes]:
    parts = [content[start : start + size - 1] for start in range(0, len(content), size - 1)]
    return [
        bytes([(n == 0) | (n == len(parts) - 1) << 1 | ((counter + n) % 64) << 2]) + part
        for n, part in enumerate(parts)
    ]


def stored(number: int, content: bytes, size: int = 20, counter: int = 0) -> list[bytes]:
    return segments(struct.pack("<I", number) + content, size, counter)


def link(*without: int, bonded: bool = True) -> bytes:
    known = (LIVE, STORED, RACP, FEATURES, CONTROL, ELAPSED, SERIAL, VENDOR, MODEL, FIRMWARE, SYSTEM_ID)
    offered = [f"{short:08x}-0000-1000-8000-00805f9b34fb" for short in known if short not in without]
    each = [{"uuid": name, "properties": []} for name in offered]
    described = {
        "address": "C0:11:22:33:44:55",
        "name": None,
        "bonded": bonded,
        "mtu": 23,
        "services": [{"uuid": "00001840-0000-1000-8000-00805f9b34fb", "characteristics": each}],
    }
    value = json.dumps(described).encode()
    return struct.pack("<HB", 17 + len(value), 0x81) + bytes(16) + value


def notified(short: int, *values: bytes) -> bytes:
    return b"".join(frame(0x86, short, value) for value in values)


Spoil = Callable[[int, list[bytes]], list[bytes]]
"""Number of the report and segments of one record: what leaves instead."""


@dataclass
class Peer:
    """The sensor's side.

    Attributes:
        memory: bodies by record number.
        refuses: ATT error of a request: (kind, characteristic) -> code.
        racp: answers to the first requests instead of what is right; None: no answer; "go on": the right one.
        operators: known ones.
        spoil: what becomes of a record's segments on their way.
        claims: how many records more it says it sent.
        meanwhile: records that are made when it is told to start live observations, before it does.
        live_racp: as `racp`, for the requests while it is live; a number: the ATT error.
    """

    memory: dict[int, bytes] = field(default_factory=dict)
    live: list[bytes] = field(default_factory=list)
    values: dict[int, bytes] = field(
        default_factory=lambda: {
            SERIAL: b"SN123\0",
            VENDOR: b"Acme",
            MODEL: b"INR 1",
            FIRMWARE: b"1.0",
            FEATURES: b"\x00\x01" + struct.pack("<I", INR),
            ELAPSED: stamp() + b"\x00\x00",
        }
    )
    without: tuple[int, ...] = ()
    bonded: bool = True
    refuses: dict[tuple[int, int], int] = field(default_factory=dict)
    racp: list[bytes | str | None] = field(default_factory=list)
    opcodes: tuple[int, ...] = (1, 2, 3, 4, 7)
    operators: tuple[int, ...] = (1, 2, 3, 4, 5, 6)
    spoil: Spoil = field(default=lambda _report, values: values)
    claims: int = 0
    meanwhile: dict[int, bytes] = field(default_factory=dict)
    live_racp: list[bytes | str | int | None] = field(default_factory=list)
    asked: list[tuple[int, int, bytes]] = field(default_factory=list)
    reports: int = 0
    is_live: bool = False
    is_over: bool = False

    def __post_init__(self) -> None:
        self.counter = count()

    def connected(self) -> bytes:
        return link(*self.without, bonded=self.bonded)

    def hears(self, octets: bytes) -> bytes:
        return b"".join(self._answer(*request) for request in requests(octets))

    @property
    def racp_requests(self) -> list[str]:
        return [value.hex() for kind, short, value in self.asked if short == RACP and kind == WRITE]

    def _answer(self, kind: int, short: int, value: bytes) -> bytes:
        if kind == DISCONNECT:
            self.is_over = True
            return b""
        self.asked.append((kind, short, value))
        code = self.refuses.get((kind, short))
        if code is not None:
            return frame(0x87, short, bytes([code]) + b"refused")
        if kind == READ:
            told = self.values.get(short)
            return frame(0x87, short, b"\x0aread: not found") if told is None else frame(0x82, short, told)
        if kind == SUBSCRIBE:
            return frame(0x84, short)
        assert kind == WRITE
        written = frame(0x83, short)
        if short == RACP and self.is_live and self.live_racp:
            instead = self.live_racp.pop(0)
            if isinstance(instead, int):
                return frame(0x87, short, bytes([instead]) + b"not now")
            return written + self._report(value, instead)
        if short == RACP:
            return written + self._report(value, self.racp.pop(0) if self.racp else "go on")
        if short == CONTROL:
            self.is_live = value == b"\x01"
            self.memory |= self.meanwhile
            self.meanwhile = {}
            more = b"".join(notified(LIVE, *segments(each, counter=next(self.counter))) for each in self.live)
            return written + notified(CONTROL, b"\x80") + (more if value == b"\x01" else b"")
        if short == ELAPSED:
            self.values[ELAPSED] = value + b"\x00\x00"
        return written

    def _report(self, request: bytes, instead: bytes | str | None) -> bytes:
        if instead is None:
            return b""
        if isinstance(instead, bytes):
            return notified(RACP, instead)
        opcode, operator = request[:2]
        if opcode not in self.opcodes:
            return notified(RACP, bytes([6, 0, opcode, 2]))
        if opcode == 3:
            return notified(RACP, bytes([6, 0, 3, 1]))
        if operator not in self.operators:
            return notified(RACP, bytes([6, 0, opcode, 4]))
        low, high = 0, 0xFFFFFFFF
        if operator in (2, 3, 4):
            assert request[2] == 1
            limits = struct.unpack(f"<{len(request[3:]) // 4}I", request[3:])
            low, high = (0, limits[0]) if operator == 2 else (limits[0], limits[1] if operator == 4 else high)
        chosen = [number for number in self.memory if low <= number <= high]
        chosen = chosen[-1:] if operator == 6 else chosen
        if not chosen:
            return notified(RACP, bytes([6, 0, opcode, 6]))
        if opcode == 2:
            self.memory = {number: self.memory[number] for number in self.memory if number not in chosen}
            return notified(RACP, bytes([6, 0, 2, 1]))
        self.reports += 1
        said = b""
        for number in chosen:
            values = stored(number, self.memory[number], counter=next(self.counter) * 3)
            said += notified(STORED, *self.spoil(self.reports, values))
        told = bytes([6, 0, 1, 1]) if opcode == 1 else b"\x08\x00" + struct.pack("<I", len(chosen) + self.claims)
        return said + notified(RACP, told)


@dataclass
class Line:
    """A host and a peer that talk until neither has anything to say."""

    host: Host
    peer: Peer
    seen: int = 0

    @property
    def error(self) -> DriverError | None:
        """With what the conversation ended; it must have."""
        (finished,) = self.host.finished
        assert finished.close
        return finished.error

    def begin(self) -> Line:
        self.host.opened()
        return self.says(self.peer.connected())

    def says(self, octets: bytes) -> Line:
        """The peer says this; then both talk on until they wait for time to pass."""
        while octets:
            self.host.receive(octets)
            octets = self.heard()
        return self

    def wait(self, seconds: float) -> Line:
        """Time passes, and they go on talking."""
        end_s = self.host.now_s + seconds
        while not self.host.is_closed and self.host.now_s < end_s:
            said = self.host.said
            self.host.wait(end_s - self.host.now_s, until_said=True)
            if self.host.said == said:
                self.host.now_s = end_s
            self.says(self.heard())
        return self

    def heard(self) -> bytes:
        """What the peer answers to what the host has said since the last call."""
        sent = [octets for name, octets in self.host.log if name == "Send"][self.seen :]
        self.seen += len(sent)
        return b"".join(self.peer.hears(octets) for octets in sent)


def talk(session: Session, peer: Peer) -> Line:
    """Connect and talk."""
    return Line(Host(session), peer).begin()
