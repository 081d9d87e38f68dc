"""A broker that says what the test wants, octet by octet; written from the MQTT standards, without any library."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple, Self

CONNACK_5 = b"\x20\x03\x00\x00\x00"
"""Accepted, no session, no properties (MQTT 5, 3.2)."""
CONNACK_3 = b"\x20\x02\x00\x00"
REFUSED_VERSION = b"\x20\x02\x00\x01"
"""Unacceptable protocol version, as MQTT 3.1.1 says it (3.2.2.3)."""


class Packet(NamedTuple):
    """A control packet. `kind` is the upper half of its first octet."""

    kind: int
    flags: int
    body: bytes


CONNECT, PUBLISH, PUBACK, SUBSCRIBE, DISCONNECT = 1, 3, 4, 8, 14


class Peer:
    """One client's connection, seen from the broker."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        connection.settimeout(10)

    def receive(self) -> Packet:
        head = self._exactly(1)[0]
        length = shift = 0
        while True:
            octet = self._exactly(1)[0]
            length |= (octet & 0x7F) << shift
            shift += 7
            if not octet & 0x80:
                return Packet(head >> 4, head & 0x0F, self._exactly(length))

    def send(self, octets: bytes) -> None:
        self._connection.sendall(octets)

    def publish(self, topic: str, payload: bytes, mid: int, *, v5: bool = True) -> None:
        name = topic.encode()
        body = struct.pack("!H", len(name)) + name + struct.pack("!H", mid) + (b"\x00" if v5 else b"") + payload
        assert len(body) < 128
        self.send(bytes([0x32, len(body)]) + body)

    def puback(self, mid: int) -> None:
        self.send(b"\x40\x02" + struct.pack("!H", mid))

    def quiet(self, seconds: float) -> bool:
        """Whether the client says nothing for so long."""
        self._connection.settimeout(seconds)
        try:
            return self._connection.recv(1, socket.MSG_PEEK) == b""
        except TimeoutError:
            return True
        finally:
            self._connection.settimeout(10)

    def _exactly(self, count: int) -> bytes:
        octets = b""
        while len(octets) < count:
            part = self._connection.recv(count - len(octets))
            if not part:
                raise EOFError
            octets += part
        return octets


def mid_of(packet: Packet) -> int:
    """Packet identifier of a PUBLISH with QoS 1, a PUBACK or a SUBSCRIBE."""
    at = 0
    if packet.kind == PUBLISH:
        at = 2 + struct.unpack("!H", packet.body[:2])[0]
    return int(struct.unpack("!H", packet.body[at : at + 2])[0])


class ScriptedBroker:
    """Accepts one connection after the other and plays one script on each; the last one for all further ones."""

    def __init__(self, *scripts: Callable[[Peer], object]) -> None:
        self._scripts = list(scripts)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connects: list[tuple[float, Packet]] = []
        """When each CONNECT came, and the packet."""
        self.problems: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        if error is None and self.problems:
            raise self.problems[0]

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                peer = Peer(connection)
                try:
                    self.connects.append((time.monotonic(), peer.receive()))
                    script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
                    script(peer)
                except (EOFError, ConnectionError, TimeoutError):
                    pass
                except BaseException as problem:
                    self.problems.append(problem)
