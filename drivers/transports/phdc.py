"""USB meters of the Personal Healthcare Device Class, through pyusb.

An address is ``phdc:`` (the only such meter that is plugged in) or ``phdc:VID:PID[:SERIAL]`` with hexadecimal ids.
A meter is recognised by its interface (class 0F, data format 20601) and the device specialization it names.

USB moves APDUs in packets of 64 octets or so; what belongs together is told by the APDU's own length, so the octets
are passed on as they come. Where a meter has an interrupt endpoint as well, both are read (`phdc_pipes`). The
metadata preamble is never switched on. Sources: PHDC 1.0 as implementations print it; what goes wrong with shipping
meters as the drivers of antidote, Tidepool and emogenet/accuchek handle it.
"""

from __future__ import annotations

import errno
import re
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple

from drivers.errors import TransportError, TransportReason
from drivers.transports.base import Transport
from drivers.transports.phdc_descriptors import Endpoint, PhdcInterface, phdc_interfaces
from drivers.transports.phdc_pipes import Pipes

__all__ = ["INR_SPECIALIZATION", "PhdcTransport", "open_phdc"]

INR_SPECIALIZATION = 0x1012
SLICE_S = 0.25
"""The longest that a transfer may keep `close` waiting."""
MIN_READ_OCTETS = 1024
"""A transfer that is longer than what is asked for is lost (babble), so at least this much is asked for."""
WRITE_S = 5.0
_ADDRESS = re.compile(r"phdc:(?:([0-9A-Fa-f]{1,4}):([0-9A-Fa-f]{1,4})(?::(.+))?)?")
_REPLUG = "Unplug the meter, wait until its display is off, and connect it again"


class _Found(NamedTuple):
    device: Any
    interface: PhdcInterface
    serial: str


def open_phdc(
    address: str,
    *,
    specializations: Iterable[int] = (INR_SPECIALIZATION,),
    reset: bool = True,
    backend: Any = None,
) -> PhdcTransport:
    """Find a meter and open it.

    Args:
        address: see the module.
        specializations: device specializations that count as a meter; an interface that names none counts too when
            the address has ids.
        reset: reset the device first, so that a meter that still believes in an earlier association starts anew.
        backend: pyusb backend; default the one that pyusb finds.

    Raises:
        TransportError: NOT_FOUND, BUSY, NOT_PERMITTED, MISCONFIGURED or MISSING_LIBRARY.
    """
    wanted = _ADDRESS.fullmatch(address)
    if wanted is None:
        raise TransportError(
            f"{address}: write phdc: or phdc:VID:PID[:SERIAL] with hexadecimal ids", TransportReason.MISCONFIGURED
        )
    try:
        import usb.core
    except ImportError as error:
        raise TransportError(
            f"{address}: pyusb is not installed; install inr-gateway[usb]", TransportReason.MISSING_LIBRARY
        ) from error
    vendor, product, serial = wanted.groups()
    ids = {} if vendor is None else {"idVendor": int(vendor, 16), "idProduct": int(product, 16)}
    try:
        devices = list(usb.core.find(find_all=True, backend=backend, **ids))
        found = [
            candidate
            for device in devices
            if (candidate := _examined(device, frozenset(specializations), serial, named=bool(ids))) is not None
        ]
    except usb.core.NoBackendError as error:
        raise TransportError(
            f"{address}: libusb is not installed on this machine; install the package libusb-1.0-0",
            TransportReason.MISSING_LIBRARY,
        ) from error
    except usb.core.USBError as error:
        raise _opening_error(address, error) from error
    if not found:
        raise TransportError(
            f"{address}: no such meter is plugged in (USB class 0F with one of the specializations "
            f"{', '.join(f'0x{code:04X}' for code in specializations)})",
            TransportReason.NOT_FOUND,
        )
    if len(found) > 1:
        names = ", ".join(_name(each) for each in found)
        raise TransportError(
            f"{address}: several meters are plugged in; name one of {names}", TransportReason.MISCONFIGURED
        )
    return PhdcTransport(found[0], reset=reset)


class PhdcTransport(Transport):
    """An open PHDC interface."""

    kind = "usb"

    def __init__(self, found: _Found, *, reset: bool) -> None:
        import usb.core
        import usb.util

        self.peer = _name(found)
        self.interface = found.interface
        self._usb = usb
        self._device = found.device
        self._waiting = bytearray()
        self._reading = threading.Lock()
        self._closed = False
        try:
            self._take_over(reset=reset)
        except usb.core.USBError as error:
            usb.util.dispose_resources(self._device)
            raise _opening_error(self.peer, error) from error
        prompt = found.interface.interrupt_in
        self._pipes: Pipes | None = None
        if prompt is not None:
            self._pipes = Pipes(self._transfer, (found.interface.bulk_in, prompt), SLICE_S, self.peer)

    def _take_over(self, *, reset: bool) -> None:
        device, interface = self._device, self.interface
        if reset:
            device.reset()
        with suppress(NotImplementedError):  # only Linux has kernel drivers to detach
            if device.is_kernel_driver_active(interface.number):
                device.detach_kernel_driver(interface.number)
        # Always, even when it is active already: it is what tells a meter that a host is there.
        device.set_configuration(interface.configuration)
        self._usb.util.claim_interface(device, interface.number)
        if interface.alternate:
            device.set_interface_altsetting(interface.number, interface.alternate)
        with suppress(self._usb.core.USBError):  # GET_STATUS of the device wakes meters that sleep
            device.ctrl_transfer(0x80, 0x00, 0, 0, 2)

    def endpoints_with_data(self) -> int:
        """The class request GET_STATUS: a bit for each endpoint that has data waiting.

        Raises:
            TransportError: the meter does not answer it.
        """
        try:
            answer = self._device.ctrl_transfer(0xA1, 0x00, 0, self.interface.number, 2)
        except self._usb.core.USBError as error:
            raise self._gone(error) from error
        return int.from_bytes(bytes(answer), "little")

    def read(self, max_octets: int, timeout_s: float) -> bytes:
        """Wait for octets."""
        deadline_s = time.monotonic() + timeout_s
        with self._reading:
            while not self._waiting:
                if self._closed:
                    raise TransportError(f"{self.peer}: the connection was closed", TransportReason.CLOSED)
                left_s = deadline_s - time.monotonic()
                wait_s = min(max(left_s, 0.001), SLICE_S)
                if self._pipes is not None:
                    self._waiting += self._pipes.take(wait_s)
                else:
                    self._waiting += self._transfer(self.interface.bulk_in, wait_s, max_octets)
                if left_s <= SLICE_S:
                    break
            octets = bytes(self._waiting[:max_octets])
            del self._waiting[:max_octets]
            return octets

    def _transfer(self, endpoint: Endpoint, timeout_s: float, max_octets: int = MIN_READ_OCTETS) -> bytes:
        packet = max(endpoint.packet_octets, 1)
        size = -(-max(max_octets, MIN_READ_OCTETS) // packet) * packet
        try:
            return bytes(self._device.read(endpoint.address, size, max(1, round(timeout_s * 1000))))
        except self._usb.core.USBTimeoutError:
            return b""
        except self._usb.core.USBError as error:
            if error.errno == errno.EPIPE:
                self._clear_halt(endpoint.address)
                return b""
            raise self._gone(error) from error

    def _clear_halt(self, endpoint: int) -> None:
        try:
            self._device.clear_halt(endpoint)
        except self._usb.core.USBError as error:
            raise self._gone(error) from error

    def write(self, octets: bytes) -> None:
        """Send octets."""
        endpoint = self.interface.bulk_out
        try:
            sent = self._device.write(endpoint.address, octets, round(WRITE_S * 1000))
        except self._usb.core.USBTimeoutError as error:
            raise TransportError(
                f"{self.peer}: the meter took nothing for {WRITE_S:g} s. {_REPLUG}", TransportReason.TIMED_OUT
            ) from error
        except self._usb.core.USBError as error:
            raise self._gone(error) from error
        if sent != len(octets):
            message = f"{self.peer}: the meter took {sent} of {len(octets)} octets. {_REPLUG}"
            raise TransportError(message, TransportReason.CLOSED)

    def close(self) -> None:
        """Give the interface back."""
        if self._closed:
            return
        self._closed = True
        with self._reading:  # a transfer under way ends within `SLICE_S`
            if self._pipes is not None:
                self._pipes.close()
            with suppress(self._usb.core.USBError):
                self._usb.util.release_interface(self._device, self.interface.number)
            with suppress(self._usb.core.USBError):
                self._usb.util.dispose_resources(self._device)

    def _gone(self, error: Any) -> TransportError:
        if error.errno == errno.EOVERFLOW:
            return TransportError(
                f"{self.peer}: the meter sent more than fits (babble), as meters do that were left plugged in. "
                f"{_REPLUG}",
                TransportReason.CLOSED,
            )
        if error.errno in (errno.ENODEV, errno.ENOENT, errno.ESHUTDOWN, errno.EPROTO, errno.EIO):
            return TransportError(f"{self.peer}: the meter was unplugged", TransportReason.UNPLUGGED)
        return TransportError(f"{self.peer}: {error}. {_REPLUG}", TransportReason.CLOSED)


def _examined(device: Any, specializations: frozenset[int], serial: str | None, *, named: bool) -> _Found | None:
    for interface in phdc_interfaces(device):
        fits = specializations & set(interface.specializations)
        if not (fits or (named and not interface.specializations)):
            continue
        own = _serial_of(device) if device.iSerialNumber else ""
        if serial is None or own == serial:
            return _Found(device, interface, own)
    return None


def _serial_of(device: Any) -> str:
    import usb.util

    try:
        return str(usb.util.get_string(device, device.iSerialNumber) or "")
    except ValueError:  # a device without languages has no strings that can be asked for
        return ""


def _name(found: _Found) -> str:
    name = f"phdc:{found.device.idVendor:04X}:{found.device.idProduct:04X}"
    return f"{name}:{found.serial}" if found.serial else name


def _opening_error(place: str, error: Any) -> TransportError:
    if error.errno in (errno.EACCES, errno.EPERM):
        message = f"{place}: not permitted; install config/udev/60-inr-phdc.rules and connect the meter again"
        return TransportError(message, TransportReason.NOT_PERMITTED)
    if error.errno == errno.EBUSY:
        message = f"{place}: another program holds the meter; end it and connect the meter again"
        return TransportError(message, TransportReason.BUSY)
    if error.errno in (errno.ENODEV, errno.ENOENT):
        return TransportError(f"{place}: the meter was unplugged while it was opened", TransportReason.NOT_FOUND)
    return TransportError(f"{place}: cannot be opened ({error}). {_REPLUG}", TransportReason.CLOSED)
