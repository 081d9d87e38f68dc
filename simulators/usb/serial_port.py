"""A USB serial port with a meter behind it: what adapters of any make have in common.

The meter is there for a host as long as the host raises DTR, which every driver does while a program has the port
open. Octets pass through a socket pair of their own for each such contact, so that a late octet of one cannot turn
up in the next.
"""

from __future__ import annotations

import contextlib
import socket
from threading import Event
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from simulators.mounts.link import SLICE_S, Link, discard_input
from simulators.part import Part
from simulators.usb.device import Descriptors, StallError, UsbDevice
from simulators.usb.vhci import Hub

__all__ = ["LineSettings", "SerialDevice", "SerialIdentity", "UsbMount"]

READY_S = 0.25
"""Between the opening of the port and the meter's first octet: hosts empty the input after they opened it."""

Code = Annotated[int, Field(ge=0, le=0xFFFF)]
Parity = Literal["N", "O", "E", "M", "S"]


class SerialIdentity(Part):
    """What the adapter calls itself on the bus; an empty serial number is none."""

    vendor_id: Code
    product_id: Code
    manufacturer: str
    product: str
    serial: str = "SN000123"


class LineSettings(NamedTuple):
    """How the host set the line."""

    baudrate: int = 9600
    bytesize: int = 8
    parity: Parity = "N"
    stopbits: float = 1


class SerialDevice(UsbDevice):
    """The adapter. Subclasses know how a host speaks to its kind.

    Args:
        out: address of the endpoint that takes octets for the meter.

    Attributes:
        line: as the host set it last.
        dtr, rts: the lines that the host drives.

    What a host sends while no meter listens is lost, as on any serial line.
    """

    def __init__(self, descriptors: Descriptors, out: int) -> None:
        super().__init__(descriptors)
        self._out = out
        self.line = LineSettings()
        self.dtr = self.rts = False
        self._ours: socket.socket | None = None
        self._meters: socket.socket | None = None

    def was_configured(self) -> None:
        """A host is there, but no program has opened the port."""
        self._set_lines(dtr=False, rts=False)

    def was_reset(self) -> None:
        """The cable was pulled, or the host starts anew."""
        self.configured = 0
        self._set_lines(dtr=False, rts=False)

    def halt_cleared(self, endpoint: int) -> None:
        """Nothing halts here."""

    def bulk_out(self, endpoint: int, octets: bytes) -> None:
        """Octets for the meter."""
        if endpoint != self._out or not self.configured:
            raise StallError
        if self._ours is not None:
            with contextlib.suppress(OSError):  # the meter does not listen
                self._ours.send(octets)

    def take_contact(self) -> socket.socket | None:
        """The meter's end of the line, once for each time that a host opened the port."""
        with self.changed:
            end, self._meters = self._meters, None
            return end

    def _set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        self.rts = self.rts if rts is None else rts
        if dtr is None or dtr == self.dtr:
            return
        self.dtr = dtr
        for end in (self._ours, self._meters):
            if end is not None:
                end.close()
        self._ours = self._meters = None
        if dtr:
            self._ours, self._meters = socket.socketpair()
            self._ours.setblocking(False)

    def _from_meter(self, max_octets: int) -> bytes:
        if self._ours is None:
            return b""
        try:
            return self._ours.recv(max_octets)
        except OSError:  # nothing there
            return b""


class UsbMount:
    """The meter's end of the adapter's cable (`simulators.mounts.link.Mount`).

    Args:
        hub: where the adapter is plugged in, and pulled when the meter's faults say so; None: somebody else does
            that, and a meter that hangs up stays plugged in.
    """

    def __init__(self, device: SerialDevice, hub: Hub | None = None, *, ready_s: float = READY_S) -> None:
        self._device = device
        self._hub = hub
        self._ready_s = ready_s
        self._plugged = False

    def plug_in(self) -> dict[str, str]:
        """Plug the adapter in, if that is ours to do."""
        if self._hub is not None and not self._plugged:
            self._plugged = True
            self._hub.plug(self._device)
        return {"usb": ":".join(self._device.descriptors.strings)}

    def wait(self, stop: Event) -> Link | None:
        """Wait until a program has opened the port and had time to configure it."""
        while not stop.is_set():
            end = self._device.take_contact()
            if end is None:
                stop.wait(SLICE_S / 2)
                continue
            stop.wait(self._ready_s)
            discard_input(end.fileno())
            return _Line(end, self._device)
        return None

    def unplug(self) -> None:
        """Pull the adapter, if that is ours to do."""
        if self._hub is not None and self._plugged:
            self._plugged = False
            self._hub.unplug(self._device)


class _Line(Link):
    """Tells the adapter of what the meter sent, so that it need not be polled."""

    def __init__(self, end: socket.socket, device: SerialDevice) -> None:
        super().__init__(end.fileno(), end.close)
        self._changed = device.changed

    def write(self, octets: bytes, stop: Event) -> None:
        """Send octets to the host."""
        super().write(octets, stop)
        with self._changed:
            self._changed.notify_all()
