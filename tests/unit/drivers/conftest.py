"""Far ends for transports: a pty's other side and plain sockets."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
import tty
from collections.abc import Callable, Iterator

import pytest

from drivers.errors import TransportError
from drivers.transports.serial_port import SerialTransport
from drivers.transports.tcp import TcpTransport


class Pty:
    """The meter's side of a serial cable: a real pseudo-terminal."""

    def __init__(self) -> None:
        self.far, self._near = os.openpty()
        tty.setraw(self._near)
        self.path = os.ttyname(self._near)
        self._open = True

    def send(self, octets: bytes) -> None:
        os.write(self.far, octets)

    def heard(self, count: int, timeout_s: float = 5.0) -> bytes:
        """So many octets from the host, or fewer when the time is over."""
        octets = b""
        deadline_s = time.monotonic() + timeout_s
        while len(octets) < count and (left_s := deadline_s - time.monotonic()) > 0:
            if select.select([self.far], [], [], left_s)[0]:
                octets += os.read(self.far, 4096)
        return octets

    def unplug(self) -> None:
        if self._open:
            self._open = False
            os.close(self._near)
            os.close(self.far)


@pytest.fixture
def pty() -> Iterator[Pty]:
    end = Pty()
    yield end
    end.unplug()


@pytest.fixture
def server() -> Iterator[tuple[str, Callable[[], socket.socket]]]:
    """A meter that waits to be dialled: its address, and a call that accepts."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(5)
    opened: list[socket.socket] = []

    def accept() -> socket.socket:
        opened.append(listening.accept()[0])
        opened[-1].settimeout(5)
        return opened[-1]

    yield f"tcp://127.0.0.1:{listening.getsockname()[1]}", accept
    for connection in (*opened, listening):
        connection.close()


def reasons_of_a_read_that_close_ends(transport: SerialTransport | TcpTransport) -> list[object]:
    """Why a read failed that waited in another thread when the transport was closed."""
    reasons: list[object] = []

    def read() -> None:
        try:
            transport.read(1, 30)
        except TransportError as error:
            reasons.append(error.reason)

    thread = threading.Thread(target=read)
    thread.start()
    while not transport._reading.locked():
        time.sleep(0.001)
    transport.close()
    thread.join(5)
    return reasons
