"""A terminal server (RFC 2217) with a serial port that exists only in memory."""

from __future__ import annotations

import queue
import socket
import threading
import time
from types import TracebackType
from typing import Any, Self, cast

from serial.rfc2217 import PortManager


class Uart:
    """What `PortManager` drives: a port's parameters and modem lines."""

    def __init__(self) -> None:
        self.baudrate, self.bytesize, self.parity, self.stopbits = 9600, 8, "N", 1
        self.xonxoff = self.rtscts = self.dsrdtr = False
        self.dtr = self.rts = True
        self.break_condition = False
        self.cts = self.dsr = self.cd = True
        self.ri = False

    def reset_input_buffer(self) -> None: ...
    def reset_output_buffer(self) -> None: ...


class Rfc2217Server:
    """Accepts one client."""

    def __init__(self) -> None:
        self.uart = Uart()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"rfc2217://127.0.0.1:{self._listening.getsockname()[1]}"
        self._connected = threading.Event()
        self._heard: queue.Queue[bytes] = queue.Queue()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.close()
        self._thread.join(5)

    def send(self, octets: bytes) -> None:
        assert self._connected.wait(5)
        self._socket.sendall(b"".join(self._manager.escape(octets)))

    def heard(self, count: int) -> bytes:
        octets = b""
        deadline_s = time.monotonic() + 5
        while len(octets) < count:
            octets += self._heard.get(timeout=deadline_s - time.monotonic())
        return octets

    def write(self, octets: bytes) -> None:
        """Called by `PortManager` with its own answers."""
        self._socket.sendall(octets)

    def _serve(self) -> None:
        self._socket = self._listening.accept()[0]
        self._manager = PortManager(cast(Any, self.uart), cast(Any, self))
        self._connected.set()
        with self._socket:
            while octets := self._socket.recv(1024):
                data = b"".join(self._manager.filter(octets))
                if data:
                    self._heard.put(data)
