"""An FTDI FT232R USB-serial adapter, as far as a host's driver asks.

Source: FTDI application notes AN232B-05 (divisors) and AN232B-04 (latency timer, status octets), and the requests
that Linux's ftdi_sio and libftdi send. Every packet to the host begins with two status octets; where the meter is
silent the adapter sends them alone whenever its latency timer has run out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import IntEnum
from typing import Final

from simulators.usb import descriptors
from simulators.usb.device import Descriptors, Setup, StallError
from simulators.usb.serial_port import LineSettings, Parity, SerialDevice, SerialIdentity

__all__ = ["FTDI", "FtdiAdapter"]

FTDI: Final = SerialIdentity(vendor_id=0x0403, product_id=0x6001, manufacturer="FTDI", product="FT232R USB UART")
IN, OUT, PACKET = 0x81, 0x02, 64


class _Request(IntEnum):
    RESET = 0
    MODEM_CONTROL = 1
    FLOW_CONTROL = 2
    BAUDRATE = 3
    FORMAT = 4
    MODEM_STATUS = 5
    EVENT_CHARACTER = 6
    ERROR_CHARACTER = 7
    SET_LATENCY = 9
    GET_LATENCY = 10
    READ_EEPROM = 0x90


_STATUS: Final = bytes([0x01 | 0x10 | 0x20 | 0x80, 0x20 | 0x40])
"""CTS, DSR and DCD raised; the transmitter is empty."""
_BLANK_EEPROM: Final = b"\xff\xff"
_CLOCK_HZ: Final = 3_000_000
_EIGHTHS: Final = (0, 4, 2, 1, 3, 5, 6, 7)
_PARITIES: Final[tuple[Parity, ...]] = ("N", "O", "E", "M", "S")
_STOPBITS: Final = (1, 1.5, 2)


class FtdiAdapter(SerialDevice):
    """The adapter."""

    def __init__(self, identity: SerialIdentity = FTDI, *, now_s: Callable[[], float] = time.monotonic) -> None:
        body = descriptors.interface(0, 2, (0xFF, 0xFF, 0xFF), name=2)
        body += descriptors.endpoint(IN, PACKET) + descriptors.endpoint(OUT, PACKET)
        super().__init__(
            Descriptors(
                descriptors.device(identity.vendor_id, identity.product_id, release=0x0600),
                descriptors.configuration(body, 1, attributes=0xA0, milliamperes=90),
                (identity.manufacturer, identity.product, identity.serial),
            ),
            OUT,
        )
        self.latency_ms = 16
        self._now_s = now_s
        self._told_s = 0.0

    def class_request(self, setup: Setup, data: bytes) -> bytes:
        """FTDI's own requests."""
        value = setup.value
        match setup.request:
            case _ if data:
                raise StallError
            case _Request.RESET | _Request.FLOW_CONTROL | _Request.EVENT_CHARACTER | _Request.ERROR_CHARACTER:
                return b""
            case _Request.MODEM_CONTROL:
                dtr = bool(value & 1) if value & 0x100 else None
                rts = bool(value & 2) if value & 0x200 else None
                self._set_lines(dtr=dtr, rts=rts)
            case _Request.BAUDRATE:
                self.line = self.line._replace(baudrate=_baudrate(value | (setup.target & 1) << 16))
            case _Request.FORMAT:
                if value >> 8 & 7 > 4 or value >> 11 & 3 > 2:
                    raise StallError
                parity, stopbits = _PARITIES[value >> 8 & 7], _STOPBITS[value >> 11 & 3]
                self.line = LineSettings(self.line.baudrate, value & 0xFF, parity, stopbits)
            case _Request.MODEM_STATUS:
                return _STATUS
            case _Request.SET_LATENCY:
                self.latency_ms = value & 0xFF
            case _Request.GET_LATENCY:
                return bytes([self.latency_ms])
            case _Request.READ_EEPROM:
                return _BLANK_EEPROM
            case _:
                raise StallError
        return b""

    def bulk_in(self, endpoint: int) -> bytes | None:
        """Octets of the meter behind the status, or the status alone when it is due."""
        if endpoint != IN or not self.configured:
            raise StallError
        octets = self._from_meter(PACKET - len(_STATUS))
        now_s = self._now_s()
        if not octets and now_s < self._told_s + self.latency_ms / 1000:
            return None
        self._told_s = now_s
        return _STATUS + octets


def _baudrate(divisor: int) -> int:
    """What a divisor means: 14 bits and an eighth in three bits; 0 and 1 are special."""
    if divisor in (0, 1):
        return (_CLOCK_HZ, 2_000_000)[divisor]
    return round(_CLOCK_HZ / ((divisor & 0x3FFF) + _EIGHTHS[divisor >> 14 & 7] / 8))
