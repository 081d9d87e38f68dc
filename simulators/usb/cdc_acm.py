"""A meter with a USB serial port of its own: Communications Device Class, Abstract Control Model (PSTN 1.2)."""

from __future__ import annotations

import struct
from typing import Final

from simulators.usb import descriptors
from simulators.usb.device import Descriptors, Setup, StallError
from simulators.usb.serial_port import LineSettings, Parity, SerialDevice, SerialIdentity

__all__ = ["CDC_ACM", "CdcAcmDevice"]

CDC_ACM: Final = SerialIdentity(vendor_id=0x0483, product_id=0x5740, manufacturer="ACME", product="HomeINR")
NOTIFY, IN, OUT, PACKET = 0x82, 0x81, 0x01, 64
_LINE_CODING: Final = struct.Struct("<IBBB")
_PARITIES: Final[tuple[Parity, ...]] = ("N", "O", "E", "M", "S")
_STOPBITS: Final = (1, 1.5, 2)
_FUNCTIONS: Final = (
    bytes([5, 0x24, 0x00, 0x10, 0x01])  # header: CDC 1.10
    + bytes([5, 0x24, 0x01, 0x00, 1])  # call management: none
    + bytes([4, 0x24, 0x02, 0x02])  # ACM: line coding, control line state
    + bytes([5, 0x24, 0x06, 0, 1])  # union: interface 1 carries the data
)


class CdcAcmDevice(SerialDevice):
    """The device."""

    def __init__(self, identity: SerialIdentity = CDC_ACM) -> None:
        control = descriptors.interface(0, 1, (0x02, 0x02, 0x01)) + _FUNCTIONS
        control += descriptors.endpoint(NOTIFY, 8, transfer=descriptors.INTERRUPT, interval_ms=16)
        data = descriptors.interface(1, 2, (0x0A, 0, 0))
        data += descriptors.endpoint(IN, PACKET) + descriptors.endpoint(OUT, PACKET)
        super().__init__(
            Descriptors(
                descriptors.device(identity.vendor_id, identity.product_id, device_class=0x02),
                descriptors.configuration(control + data, 2),
                (identity.manufacturer, identity.product, identity.serial),
            ),
            OUT,
        )

    def class_request(self, setup: Setup, data: bytes) -> bytes:
        """SET_LINE_CODING, GET_LINE_CODING, SET_CONTROL_LINE_STATE, SEND_BREAK."""
        match setup.request:
            case 0x20:
                if len(data) != _LINE_CODING.size:
                    raise StallError
                baudrate, stopbits, parity, bytesize = _LINE_CODING.unpack(data)
                if stopbits > 2 or parity > 4:
                    raise StallError
                self.line = LineSettings(baudrate, bytesize, _PARITIES[parity], _STOPBITS[stopbits])
            case 0x21:
                line = self.line
                codes = (_STOPBITS.index(line.stopbits), _PARITIES.index(line.parity), line.bytesize)
                return _LINE_CODING.pack(line.baudrate, *codes)
            case 0x22:
                self._set_lines(dtr=bool(setup.value & 1), rts=bool(setup.value & 2))
            case 0x23:
                return b""
            case _:
                raise StallError
        return b""

    def bulk_in(self, endpoint: int) -> bytes | None:
        """Octets of the meter; there is never a notification."""
        if endpoint not in (IN, NOTIFY) or not self.configured:
            raise StallError
        return self._from_meter(PACKET) or None if endpoint == IN else None
