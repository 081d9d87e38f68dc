"""The device's side of USB/IP after the import: the kernel, or any other client, sends it the transfers of a host.

Messages as in the Linux documentation, usb/usbip_protocol: 48 octets in network order, then the data. A transfer to
the host that the device cannot answer yet waits here, as a real one is polled by the bus; the host may unlink it.

    USBIP_CMD_SUBMIT ──▶ device ──▶ USBIP_RET_SUBMIT      USBIP_CMD_UNLINK ──▶ USBIP_RET_UNLINK
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import threading
from collections.abc import Callable
from typing import NamedTuple

from simulators.usb.device import Setup, StallError, UsbDevice

__all__ = ["Server"]

CMD_SUBMIT, CMD_UNLINK, RET_SUBMIT, RET_UNLINK = 1, 2, 3, 4
IN = 0x80
_HEADER = struct.Struct("!5I28s")
_SUBMIT = struct.Struct("!IiIII8s")
_RETURN = struct.Struct("!5Iii20x")
_SHORT_IS_ERROR = 0x0001
"""URB_SHORT_NOT_OK: the host asked for exactly so much, and stops where it gets less."""
_POLL_S = 0.02
"""How often a device is asked again that did not announce data, because its own timers may have run out."""
_ENUMERATION_OCTETS = 64
"""USB/IP carries no bus reset. Linux asks for this much of the device descriptor right after one, and only then."""


class _Waiting(NamedTuple):
    sequence: int
    endpoint: int
    length: int
    flags: int


class Server:
    """Gives one device to the host at the other end of a stream socket.

    Two threads: one takes the host's messages, one brings what the device has for the host. Every call of the
    device is made under its `changed`.

    Args:
        connection: connected to the client; closed with the server.
        on_end: called once when the host is gone, whoever ended it.
    """

    def __init__(
        self, device: UsbDevice, connection: socket.socket, on_end: Callable[[], None] = lambda: None
    ) -> None:
        self._device = device
        self._connection = connection
        self._on_end = on_end
        self._waiting: list[_Waiting] = []
        self._over = False
        self._threads = [
            threading.Thread(target=work, name=f"usbip-{work.__name__}", daemon=True)
            for work in (self._take, self._bring)
        ]

    def start(self) -> None:
        """Serve; returns at once."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End the connection and wait for both threads."""
        with contextlib.suppress(OSError):  # the host may have been faster
            self._connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(5)

    def _take(self) -> None:
        try:
            while True:
                command, sequence, _, direction, endpoint, rest = _HEADER.unpack(self._exactly(_HEADER.size))
                if command == CMD_SUBMIT:
                    self._submit(sequence, IN if direction else 0, endpoint, rest)
                elif command == CMD_UNLINK:
                    self._unlink(sequence, int.from_bytes(rest[:4], "big"))
                else:
                    raise ValueError(f"USB/IP has no command {command}")
        except (EOFError, OSError):
            return
        finally:
            with self._device.changed:
                self._over = True
                self._device.was_reset()
                self._device.changed.notify_all()
            self._connection.close()
            self._on_end()

    def _exactly(self, count: int) -> bytes:
        octets = bytearray()
        while len(octets) < count:
            part = self._connection.recv(count - len(octets))
            if not part:
                raise EOFError
            octets += part
        return bytes(octets)

    def _submit(self, sequence: int, direction: int, endpoint: int, rest: bytes) -> None:
        flags, length, _, _, _, setup = _SUBMIT.unpack(rest)
        data = self._exactly(length) if not direction else b""
        device = self._device
        with device.changed:
            if endpoint and direction:
                self._waiting.append(_Waiting(sequence, endpoint | IN, length, flags))
                device.changed.notify_all()
                return
            try:
                if endpoint:
                    device.bulk_out(endpoint, data)
                    answer = b""
                else:
                    answer = self._control(Setup.of(setup), data)
            except StallError:
                self._return(RET_SUBMIT, sequence, -errno.EPIPE)
            else:
                self._return(RET_SUBMIT, sequence, 0, answer, taken=len(data))

    def _control(self, setup: Setup, data: bytes) -> bytes:
        if setup == Setup(0x80, 6, 1 << 8, 0, _ENUMERATION_OCTETS):
            self._device.was_reset()
        return self._device.control(setup, data)

    def _unlink(self, sequence: int, unwanted: int) -> None:
        with self._device.changed:
            left = [each for each in self._waiting if each.sequence != unwanted]
            was_there = len(left) < len(self._waiting)
            self._waiting = left
            self._return(RET_UNLINK, sequence, -errno.ECONNRESET if was_there else 0)

    def _bring(self) -> None:
        device = self._device
        with device.changed, contextlib.suppress(OSError):  # a host that is gone is noticed by the other thread
            while not self._over:
                if not self._served():
                    device.changed.wait(_POLL_S if self._waiting else None)

    def _served(self) -> bool:
        """Answer what can be answered; of each endpoint the oldest transfer first."""
        asked: set[int] = set()
        served = False
        for each in list(self._waiting):
            if each.endpoint in asked:
                continue
            try:
                octets = self._device.bulk_in(each.endpoint)
                status = 0
            except StallError:
                octets, status = b"", -errno.EPIPE
            if octets is None:
                asked.add(each.endpoint)
                continue
            if len(octets) > each.length:
                octets, status = octets[: each.length], -errno.EOVERFLOW
            elif status == 0 and len(octets) < each.length and each.flags & _SHORT_IS_ERROR:
                status = -errno.EREMOTEIO
            self._waiting.remove(each)
            self._return(RET_SUBMIT, each.sequence, status, octets)
            served = True
        return served

    def _return(self, kind: int, sequence: int, status: int, octets: bytes = b"", *, taken: int = 0) -> None:
        self._connection.sendall(_RETURN.pack(kind, sequence, 0, 0, 0, status, len(octets) or taken) + octets)
