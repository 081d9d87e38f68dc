"""What our figures are measured beside: the disk's own rate and a publisher that costs next to nothing."""

from __future__ import annotations

import os
import socket
import statistics
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Disk(NamedTuple):
    """fdatasyncs per second, one after the other, each after 4 KiB."""

    append: float
    """At the end of a growing file: what whoever keeps a record of each result asks of the disk."""
    overwrite: float
    """Over the same 4 KiB: the least a disk can be asked."""


def fdatasyncs_per_s(folder: Path, count: int = 300) -> Disk:
    """Measure both on the file system of a folder."""
    path = folder / "beside.bin"
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    block = os.urandom(4096)
    try:
        rates = []
        for growing in (True, False):
            began_s = time.perf_counter()
            for number in range(count):
                os.pwrite(file, block, number * len(block) if growing else 0)
                os.fdatasync(file)
            rates.append(count / (time.perf_counter() - began_s))
        return Disk(*rates)
    finally:
        os.close(file)
        path.unlink()


def _string(text: bytes) -> bytes:
    return struct.pack(">H", len(text)) + text


def _packet(kind: int, body: bytes) -> bytes:
    length, octets = len(body), bytearray([kind])
    while True:
        length, digit = divmod(length, 128)
        octets.append(digit | (128 if length else 0))
        if not length:
            return bytes(octets) + body


class RawPublisher:
    """MQTT 3.1.1 QoS 1 publications encoded beforehand and kept `window` deep in flight (OASIS MQTT 3.1.1, 3.3)."""

    def __init__(self, port: int, window: int = 100) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._window = window
        connect = _string(b"MQTT") + bytes([4, 2]) + struct.pack(">H", 600) + _string(b"raw-%d" % os.getpid())
        self._socket.sendall(_packet(0x10, connect))
        answer = self._socket.recv(4)
        assert answer[:1] == b"\x20", answer
        assert answer[3] == 0, answer

    @staticmethod
    def encode(messages: Sequence[tuple[str, bytes]]) -> list[bytes]:
        """PUBLISH packets, QoS 1, with packet identifiers that repeat only after 60000."""
        return [
            _packet(0x32, _string(topic.encode()) + struct.pack(">H", index % 60000 + 1) + payload)
            for index, (topic, payload) in enumerate(messages)
        ]

    def publish(self, packets: Sequence[bytes]) -> None:
        """Send all and return when each was acknowledged."""
        sent = acknowledged = 0
        rest = b""
        while acknowledged < len(packets):
            room = self._window - (sent - acknowledged)
            if room > 0 and sent < len(packets):
                self._socket.sendall(b"".join(packets[sent : sent + room]))
                sent += len(packets[sent : sent + room])
            octets = rest + self._socket.recv(65536)
            acknowledged += len(octets) // 4  # every PUBACK has four octets (3.4)
            rest = octets[len(octets) // 4 * 4 :]

    def close(self) -> None:
        self._socket.close()


def rss_mib(pid: int) -> float:
    """Resident memory of a process, as the kernel counts it."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"process {pid} has no VmRSS")


def median(values: Sequence[float]) -> float:
    return statistics.median(values)
