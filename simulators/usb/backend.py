"""A pyusb backend whose bus is in this process: unmodified pyusb sees the simulated devices as plugged in.

Use it as ``usb.core.find(..., backend=Bus(device))``. What libusb would do to a real device is done to the device
object: descriptors are read from it by control requests, transfers that it does not answer wait for their timeout.
"""

from __future__ import annotations

import errno
import struct
import threading
import time
from array import array
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import usb.backend
import usb.core

from simulators.usb.device import (
    CONFIGURATION,
    DEVICE,
    GET_DESCRIPTOR,
    SET_CONFIGURATION,
    SET_INTERFACE,
    Setup,
    StallError,
    UsbDevice,
)

__all__ = ["Bus"]

_DEVICE = (
    "<BBHBBBBHHHBBBB",
    "bLength bDescriptorType bcdUSB bDeviceClass bDeviceSubClass bDeviceProtocol bMaxPacketSize0 idVendor "
    "idProduct bcdDevice iManufacturer iProduct iSerialNumber bNumConfigurations",
)
_CONFIGURATION = (
    "<BBHBBBBB",
    "bLength bDescriptorType wTotalLength bNumInterfaces bConfigurationValue iConfiguration bmAttributes bMaxPower",
)
_INTERFACE = (
    "<BBBBBBBBB",
    "bLength bDescriptorType bInterfaceNumber bAlternateSetting bNumEndpoints bInterfaceClass bInterfaceSubClass "
    "bInterfaceProtocol iInterface",
)
_ENDPOINT = ("<BBBBHB", "bLength bDescriptorType bEndpointAddress bmAttributes wMaxPacketSize bInterval")
_IS_INTERFACE, _IS_ENDPOINT = 4, 5


class _Handle:
    def __init__(self, device: UsbDevice) -> None:
        self.device = device
        self.claimed: set[int] = set()


class Bus(usb.backend.IBackend):  # type: ignore[misc]  # pyusb has no types
    """A bus with some devices on it.

    Args:
        devices: what is plugged in at first.
        permitted: False refuses to open devices, as a missing udev rule does.
    """

    def __init__(self, *devices: UsbDevice, permitted: bool = True) -> None:
        super().__init__()
        self.permitted = permitted
        self._plugged = list(devices)
        self._claims: dict[tuple[int, int], _Handle] = {}
        self._transfer = threading.Lock()

    def plug(self, device: UsbDevice) -> None:
        """Put a device on the bus."""
        self._plugged.append(device)

    def unplug(self, device: UsbDevice) -> None:
        """Pull a device; transfers under way fail."""
        self._plugged.remove(device)
        self._claims = {key: handle for key, handle in self._claims.items() if handle.device is not device}
        with device.changed:
            device.was_reset()
            device.changed.notify_all()

    # pyusb asks: what is there --------------------------------------------------------------------------------

    def enumerate_devices(self) -> Iterator[UsbDevice]:
        """Every device."""
        return iter(list(self._plugged))

    def get_device_descriptor(self, device: UsbDevice) -> SimpleNamespace:
        """The device descriptor, with the place on the bus."""
        parsed = _parsed(_DEVICE, self._asked(device, DEVICE))
        place = self._plugged.index(device) + 1
        parsed.bus, parsed.address, parsed.port_number, parsed.port_numbers = 1, place + 1, place, (place,)
        parsed.speed = 2
        return parsed

    def get_configuration_descriptor(self, device: UsbDevice, config: int) -> SimpleNamespace:
        """The configuration descriptor."""
        if config:
            raise IndexError(config)
        return self._configuration(device)

    def get_interface_descriptor(self, device: UsbDevice, intf: int, alt: int, _config: int) -> SimpleNamespace:
        """One alternate setting of one interface."""
        interfaces = self._configuration(device).interfaces
        numbers = sorted({each.bInterfaceNumber for each in interfaces})
        chosen: SimpleNamespace = [each for each in interfaces if each.bInterfaceNumber == numbers[intf]][alt]
        return chosen

    def get_endpoint_descriptor(
        self, device: UsbDevice, ep: int, intf: int, alt: int, config: int
    ) -> SimpleNamespace:
        """One endpoint of an interface."""
        endpoint: SimpleNamespace = self.get_interface_descriptor(device, intf, alt, config).endpoints[ep]
        return endpoint

    # pyusb opens and claims -----------------------------------------------------------------------------------

    def open_device(self, device: UsbDevice) -> _Handle:
        """Open a device."""
        self._present(device)
        if not self.permitted:
            raise usb.core.USBError("Access denied (insufficient permissions)", -3, errno.EACCES)
        return _Handle(device)

    def close_device(self, handle: _Handle) -> None:
        """Close it; its claims end."""
        for interface in list(handle.claimed):
            self.release_interface(handle, interface)

    def set_configuration(self, handle: _Handle, value: int) -> None:
        """Choose a configuration."""
        self._control(handle.device, Setup(0x00, SET_CONFIGURATION, value, 0, 0))

    def get_configuration(self, handle: _Handle) -> int:
        """Which configuration is chosen."""
        self._present(handle.device)
        return handle.device.configured

    def set_interface_altsetting(self, handle: _Handle, intf: int, alt: int) -> None:
        """Choose an alternate setting."""
        self._control(handle.device, Setup(0x01, SET_INTERFACE, alt, intf, 0))

    def claim_interface(self, handle: _Handle, intf: int) -> None:
        """Take an interface for oneself."""
        self._present(handle.device)
        if self._claims.setdefault((id(handle.device), intf), handle) is not handle:
            raise usb.core.USBError("Resource busy", -6, errno.EBUSY)
        handle.claimed.add(intf)

    def release_interface(self, handle: _Handle, intf: int) -> None:
        """Give it back."""
        self._claims.pop((id(handle.device), intf), None)
        handle.claimed.discard(intf)

    def is_kernel_driver_active(self, handle: _Handle, _intf: int) -> bool:
        """No kernel is involved."""
        self._present(handle.device)
        return False

    def reset_device(self, handle: _Handle) -> None:
        """Reset it."""
        self._present(handle.device)
        handle.device.was_reset()

    # pyusb moves octets ---------------------------------------------------------------------------------------

    def bulk_write(self, handle: _Handle, ep: int, _intf: int, data: array[int], _timeout: int) -> int:
        """Octets to the device."""
        self._present(handle.device)
        octets = bytes(data)
        with self._transfer:
            try:
                handle.device.bulk_out(ep, octets)
            except StallError:
                raise usb.core.USBError("Pipe error", -9, errno.EPIPE) from None
        return len(octets)

    def bulk_read(self, handle: _Handle, ep: int, _intf: int, buff: array[int], timeout: int) -> int:
        """Octets from the device, waiting for them."""
        device, ends_s = handle.device, time.monotonic() + timeout / 1000
        while True:
            self._present(device)
            with self._transfer:
                try:
                    octets = device.bulk_in(ep)
                except StallError:
                    raise usb.core.USBError("Pipe error", -9, errno.EPIPE) from None
            if octets is not None:
                break
            left_s = ends_s - time.monotonic()
            if left_s <= 0:
                raise usb.core.USBTimeoutError("Operation timed out", -7, errno.ETIMEDOUT)
            with device.changed:
                device.changed.wait(min(left_s, 0.02))
        if len(octets) > len(buff):
            raise usb.core.USBError("Overflow", -8, errno.EOVERFLOW)
        buff[: len(octets)] = array("B", octets)
        return len(octets)

    intr_read = bulk_read
    """The device does not mind by which kind of transfer it is asked."""

    def ctrl_transfer(
        self, handle: _Handle, kind: int, request: int, value: int, index: int, data: array[int], _timeout: int
    ) -> int:
        """A control request."""
        setup = Setup(kind, request, value, index, len(data))
        if not kind & 0x80:
            self._control(handle.device, setup, bytes(data))
            return len(data)
        octets = self._control(handle.device, setup)
        data[: len(octets)] = array("B", octets)
        return len(octets)

    def clear_halt(self, handle: _Handle, ep: int) -> None:
        """End the halt of an endpoint."""
        self._control(handle.device, Setup(0x02, 1, 0, ep, 0))

    # ----------------------------------------------------------------------------------------------------------

    def _present(self, device: UsbDevice) -> None:
        if not any(each is device for each in self._plugged):
            raise usb.core.USBError("No such device (it may have been disconnected)", -4, errno.ENODEV)

    def _control(self, device: UsbDevice, setup: Setup, data: bytes = b"") -> bytes:
        self._present(device)
        with self._transfer:
            try:
                return device.control(setup, data)
            except StallError:
                raise usb.core.USBError("Pipe error", -9, errno.EPIPE) from None

    def _asked(self, device: UsbDevice, kind: int) -> bytes:
        return self._control(device, Setup(0x80, GET_DESCRIPTOR, kind << 8, 0, 4096))

    def _configuration(self, device: UsbDevice) -> SimpleNamespace:
        octets = self._asked(device, CONFIGURATION)
        parsed = _parsed(_CONFIGURATION, octets)
        parsed.interfaces = []
        latest: Any = parsed
        position = parsed.bLength
        while position < len(octets):
            part = octets[position : position + octets[position]]
            position += len(part)
            if part[1] == _IS_INTERFACE:
                latest = _parsed(_INTERFACE, part)
                latest.endpoints = []
                parsed.interfaces.append(latest)
            elif part[1] == _IS_ENDPOINT:
                latest = _parsed(_ENDPOINT, part)
                latest.bRefresh = latest.bSynchAddress = 0
                parsed.interfaces[-1].endpoints.append(latest)
            else:
                latest.extra_descriptors.extend(part)
        return parsed


def _parsed(layout: tuple[str, str], octets: bytes) -> SimpleNamespace:
    values = struct.unpack_from(layout[0], octets)
    return SimpleNamespace(**dict(zip(layout[1].split(), values, strict=True)), extra_descriptors=[])
