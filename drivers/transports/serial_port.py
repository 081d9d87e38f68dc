"""Serial ports through pyserial: local devices, USB adapters by their own identity, and pyserial's URLs."""

from __future__ import annotations

import errno
import os
import re
import select
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import serial
from serial.tools.list_ports_common import ListPortInfo

from drivers.errors import TransportError, TransportReason
from drivers.transports.base import Transport

__all__ = ["PortEnumerator", "SerialTransport", "resolve_usb"]

PortEnumerator = Callable[[], Iterable[ListPortInfo]]
"""Lists the serial ports that are there now."""

_USB = re.compile(r"usb:([0-9A-Fa-f]{4}):([0-9A-Fa-f]{4})(?::(.+))?")
_UNSTABLE = re.compile(r"/dev/tty(USB|ACM)\d+")
_SLICE_S = 0.05
"""How long one read blocks on ports that have no file descriptor to wait on (rfc2217)."""


def _comports() -> Iterable[ListPortInfo]:
    from serial.tools.list_ports import comports

    return comports()


class SerialTransport(Transport):
    """A serial port, opened for this process alone.

    Args:
        address: ``usb:VID:PID[:SERIAL]``, a device path, or any URL pyserial knows.
        enumerate_ports: lists the ports among which a USB identity is looked for.
        write_timeout_s: how long a write may wait for flow control.
        parameters: baudrate, bytesize, parity, stopbits, xonxoff, rtscts, dsrdtr.

    Raises:
        TransportError: NOT_FOUND, BUSY, NOT_PERMITTED or MISCONFIGURED.
    """

    kind = "serial"

    def __init__(
        self,
        address: str,
        *,
        enumerate_ports: PortEnumerator = _comports,
        write_timeout_s: float = 10.0,
        **parameters: Any,
    ) -> None:
        self.peer = address
        device = resolve_usb(address, enumerate_ports) if address.startswith("usb:") else address
        if _UNSTABLE.fullmatch(address):
            raise TransportError(_unstable(address, enumerate_ports), TransportReason.MISCONFIGURED)
        try:
            # timeout 0: reads return what is there; waiting is done by `read`, because changing a port's
            # timeout reconfigures the whole port.
            self._port: serial.Serial = serial.serial_for_url(device, timeout=0, exclusive=True, **parameters)
        except (serial.SerialException, OSError) as error:
            raise _refused(address, device, error) from error
        except (ValueError, TypeError) as error:
            raise TransportError(f"{address}: {error}", TransportReason.MISCONFIGURED) from error
        try:
            self._descriptor: int | None = self._port.fileno()
            self._port.write_timeout = write_timeout_s
        except OSError:  # io.UnsupportedOperation; such ports have no write timeout either (rfc2217)
            self._descriptor = None
            self._port.timeout = _SLICE_S
        self._closed = False
        self._closing = threading.Lock()
        self._reading = threading.Lock()
        self._woken, self._wake = os.pipe()

    def read(self, max_octets: int, timeout_s: float) -> bytes:
        """Wait for octets."""
        with self._reading:
            if self._closed:
                raise self._was_closed()
            try:
                if self._descriptor is None:
                    return self._read_sliced(max_octets, timeout_s)
                ready, _, _ = select.select([self._descriptor, self._woken], [], [], max(0.0, timeout_s))
                if self._woken in ready:
                    raise self._was_closed()
                return self._port.read(max_octets) if ready else b""
            except OSError as error:
                raise self._gone(error) from error

    def write(self, octets: bytes) -> None:
        """Send octets."""
        try:
            self._port.write(octets)
        except serial.SerialTimeoutException as error:
            raise TransportError(
                f"{self.peer}: the meter takes no octets; compare flow control (rtscts, xonxoff) with the meter's",
                TransportReason.TIMED_OUT,
            ) from error
        except OSError as error:
            raise self._gone(error) from error

    def close(self) -> None:
        """Close the port."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        os.write(self._wake, b"\x00")
        # Not before a read in another thread has ended: its descriptor may already be another file's.
        with self._reading:
            with suppress(OSError):  # a port that is gone may complain
                self._port.close()
            os.close(self._woken)
            os.close(self._wake)

    def _read_sliced(self, max_octets: int, timeout_s: float) -> bytes:
        deadline_s = time.monotonic() + timeout_s
        while True:
            if self._closed:
                raise self._was_closed()
            octets = self._port.read(1)
            if octets:
                waiting = min(self._port.in_waiting, max_octets - 1)
                return octets + self._port.read(waiting) if waiting else octets
            if time.monotonic() >= deadline_s:
                return b""

    def _gone(self, error: Exception) -> TransportError:
        if self._closed:
            return self._was_closed()
        return TransportError(
            f"{self.peer}: the port went away ({error}); plug the meter in again", TransportReason.UNPLUGGED
        )

    def _was_closed(self) -> TransportError:
        return TransportError(f"{self.peer}: the port was closed", TransportReason.CLOSED)


def resolve_usb(address: str, enumerate_ports: PortEnumerator = _comports) -> str:
    """The device path behind ``usb:VID:PID[:SERIAL]`` right now; it may be another after the next plugging.

    Raises:
        TransportError: no such device, several, or no such address.
    """
    found = _USB.fullmatch(address)
    if found is None:
        raise TransportError(
            f"{address}: write a USB device as usb:VID:PID:SERIAL, VID and PID with four hexadecimal digits each",
            TransportReason.MISCONFIGURED,
        )
    vendor, product, number = int(found.group(1), 16), int(found.group(2), 16), found.group(3)
    ports = [port for port in enumerate_ports() if port.vid is not None]
    matching = [
        port
        for port in ports
        if port.vid == vendor and port.pid == product and (number is None or port.serial_number == number)
    ]
    if not matching:
        there = ", ".join(sorted(_identity(port) for port in ports)) or "none"
        raise TransportError(
            f"{address}: this USB device is not plugged in; USB serial ports there are: {there}",
            TransportReason.NOT_FOUND,
        )
    if len(matching) > 1:
        names = ", ".join(sorted(_identity(port) for port in matching))
        raise TransportError(
            f"{address}: several such devices are plugged in ({names}); add the serial number, or if they have "
            "none use a path from /dev/serial/by-path",
            TransportReason.MISCONFIGURED,
        )
    return matching[0].device


def _identity(port: ListPortInfo) -> str:
    number = f":{port.serial_number}" if port.serial_number else ""
    return f"usb:{port.vid:04x}:{port.pid:04x}{number}"


def _unstable(address: str, enumerate_ports: PortEnumerator) -> str:
    same = [_identity(port) for port in enumerate_ports() if port.device == address and port.vid is not None]
    instead = same[0] if same else "usb:VID:PID:SERIAL or a path from /dev/serial/by-id"
    return f"{address}: this name changes with every plugging and may become another device's; write {instead}"


def _refused(address: str, device: str, error: Exception) -> TransportError:
    code = getattr(error, "errno", None)
    name = address if address == device else f"{address} ({device})"
    if code in (errno.EACCES, errno.EPERM):
        return TransportError(
            f"{name}: the operating system does not permit it; add this user to the port's group (usually dialout) "
            "or install the udev rule",
            TransportReason.NOT_PERMITTED,
        )
    if code in (errno.EBUSY, errno.EAGAIN):
        return TransportError(
            f"{name}: another program holds the port; end it (fuser -v {device} names it)", TransportReason.BUSY
        )
    if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return TransportError(f"{name}: there is no such port; is the meter plugged in?", TransportReason.NOT_FOUND)
    return TransportError(f"{name}: cannot be opened: {error}", TransportReason.NOT_FOUND)
