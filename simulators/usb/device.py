"""What a USB device is to whatever it is plugged into (USB 2.0, chapter 9).

A device never waits: a transfer that has to wait is answered with None (NAK) and tried again by the mount. Octets
of one bulk transfer stay together as long as the host asks for enough; the rest is a babble.
"""

from __future__ import annotations

import struct
import threading
from abc import ABC, abstractmethod
from typing import NamedTuple

__all__ = ["Descriptors", "Setup", "StallError", "UsbDevice"]

GET_STATUS, CLEAR_FEATURE, SET_FEATURE, GET_DESCRIPTOR = 0, 1, 3, 6
GET_CONFIGURATION, SET_CONFIGURATION, GET_INTERFACE, SET_INTERFACE = 8, 9, 10, 11
DEVICE, CONFIGURATION, STRING = 1, 2, 3
_ENGLISH = 0x0409


class StallError(Exception):
    """The device refuses a request or has halted an endpoint."""


class Setup(NamedTuple):
    """The eight octets of a control request; `target` is wIndex."""

    request_type: int
    request: int
    value: int
    target: int
    length: int

    @classmethod
    def of(cls, octets: bytes) -> Setup:
        """Read them."""
        return cls(*struct.unpack("<BBHHH", octets))


class Descriptors(NamedTuple):
    """What a device says of itself: device descriptor, one configuration with everything in it, strings from 1."""

    device: bytes
    configuration: bytes
    strings: tuple[str, ...]


class UsbDevice(ABC):
    """A device with one configuration. Calls come from one thread at a time; `changed` tells of new data."""

    def __init__(self, descriptors: Descriptors) -> None:
        self.descriptors = descriptors
        self.configured = 0
        self.changed = threading.Condition()

    def control(self, setup: Setup, data: bytes = b"") -> bytes:
        """Answer a control request.

        Raises:
            StallError: the request is not known.
        """
        if setup.request_type & 0x60:
            return self.class_request(setup, data)[: setup.length]
        return self._standard(setup)[: setup.length]

    def _standard(self, setup: Setup) -> bytes:
        request = setup.request
        if request == GET_DESCRIPTOR:
            return self._descriptor(setup.value >> 8, setup.value & 0xFF)
        if request == SET_CONFIGURATION:
            self.configured = setup.value & 0xFF
            self.was_configured()
            return b""
        if request == GET_CONFIGURATION:
            return bytes([self.configured])
        if request == GET_STATUS:
            return b"\0\0"
        if request == CLEAR_FEATURE and setup.request_type == 0x02:
            self.halt_cleared(setup.target)
            return b""
        if request in (SET_INTERFACE, GET_INTERFACE):
            return b"" if request == SET_INTERFACE else b"\0"
        raise StallError

    def _descriptor(self, kind: int, index: int) -> bytes:
        if kind == DEVICE:
            return self.descriptors.device
        if kind == CONFIGURATION and index == 0:
            return self.descriptors.configuration
        if kind == STRING and index <= len(self.descriptors.strings):
            body = struct.pack("<H", _ENGLISH)
            if index:
                body = self.descriptors.strings[index - 1].encode("utf-16-le")
            return bytes([2 + len(body), STRING]) + body
        raise StallError

    @abstractmethod
    def class_request(self, setup: Setup, data: bytes) -> bytes:
        """Answer a request of the device's class."""

    @abstractmethod
    def was_configured(self) -> None:
        """A host chose the configuration: it is there."""

    @abstractmethod
    def halt_cleared(self, endpoint: int) -> None:
        """A host cleared the halt of an endpoint."""

    @abstractmethod
    def was_reset(self) -> None:
        """A host reset the device, or it was unplugged."""

    @abstractmethod
    def bulk_out(self, endpoint: int, octets: bytes) -> None:
        """Octets from the host.

        Raises:
            StallError: the endpoint is halted or not there.
        """

    @abstractmethod
    def bulk_in(self, endpoint: int) -> bytes | None:
        """The next transfer for the host, or None when there is none yet.

        Raises:
            StallError: the endpoint is halted or not there.
        """
