"""Plugs simulated devices into the running Linux kernel, through its virtual USB host controller (vhci_hcd).

Needs root and a kernel with CONFIG_USBIP_VHCI_HCD. No network and no program of the usbip package: the kernel is
handed one end of a socket pair, the device serves the other (Linux documentation, usb/usbip_protocol).
"""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Final, Protocol

from simulators.usb.device import UsbDevice
from simulators.usb.usbip import Server

__all__ = ["Hub", "Vhci", "VhciError"]

_FOLDER: Final = Path("/sys/devices/platform/vhci_hcd.0")
_FULL_SPEED: Final = 2
_FREE: Final = "004"
_DETACH_S: Final = 5.0


class VhciError(Exception):
    """The kernel cannot take a device; the message names the remedy."""


class Hub(Protocol):
    """Where devices can be plugged in: this kernel, or `simulators.usb.backend.Bus`."""

    def plug(self, device: UsbDevice) -> None:
        """Put the cable in."""

    def unplug(self, device: UsbDevice) -> None:
        """Pull it."""


class Vhci:
    """The virtual USB 2.0 hub of this kernel."""

    def __init__(self, folder: Path = _FOLDER) -> None:
        self._folder = folder
        self._plugged: dict[int, tuple[UsbDevice, Server]] = {}
        if not (folder / "attach").exists():
            raise VhciError(f"{folder}: this kernel has no virtual USB host controller; load the module vhci-hcd")

    def plug(self, device: UsbDevice) -> None:
        """Put the cable in; the kernel enumerates the device soon after.

        Raises:
            VhciError: every port is taken.
            OSError: not permitted.
        """
        port = next((port for port, state in self._ports() if state == _FREE), None)
        if port is None:
            raise VhciError(f"{self._folder}: every virtual port is taken; unplug a device")
        ours, kernels = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        server = Server(device, ours)
        with kernels:
            server.start()
            try:
                attach = f"{port} {kernels.fileno()} {1 << 16 | port + 1} {_FULL_SPEED}"
                (self._folder / "attach").write_text(attach)
            except OSError:
                server.close()
                raise
        self._plugged[port] = (device, server)

    def unplug(self, device: UsbDevice) -> None:
        """Pull the cable and wait until the kernel has noticed: it overlooks one that comes back at once.

        Does nothing when it is not plugged in.

        Raises:
            VhciError: the kernel does not let go of it.
        """
        for port, (plugged, server) in list(self._plugged.items()):
            if plugged is device:
                del self._plugged[port]
                (self._folder / "detach").write_text(str(port))
                server.close()
                self._wait_until_free(port)

    def close(self) -> None:
        """Pull every device."""
        for device, _ in list(self._plugged.values()):
            self.unplug(device)

    def _wait_until_free(self, port: int) -> None:
        ends_s = time.monotonic() + _DETACH_S
        while (port, _FREE) not in self._ports() or list(self._folder.glob(f"usb*/*-{port + 1}")):
            if time.monotonic() > ends_s:
                raise VhciError(f"{self._folder}: port {port} is not free {_DETACH_S:g} s after it was detached")
            time.sleep(0.01)

    def _ports(self) -> list[tuple[int, str]]:
        """Number and state of each port for USB 2.0 devices."""
        lines = (line.split() for line in (self._folder / "status").read_text().splitlines()[1:])
        return [(int(port), state) for speed, port, state, *_ in lines if speed == "hs"]
