"""Addresses of ports, as they stand in configuration.

=========================  =============================================================================
``usb:VID:PID[:SERIAL]``   serial port of a USB device, wherever it is plugged in (hexadecimal ids)
``/dev/serial/by-id/...``  a device path that stays the same; ttyUSB0 and ttyACM0 are refused, they do not
``rfc2217://host:port``    any URL that pyserial knows; also ``socket://``, ``loop://``, ``spy://``
``phdc:``                  USB Personal Healthcare Device, or ``phdc:VID:PID[:SERIAL]`` for a certain one
``tcp://host:port``        dial a meter
``tcp-listen://host:port`` wait for meters; without host on 127.0.0.1, with port 0 on any free one
``ble:WORD``               wait for Bluetooth LE meters of the driver's kind; ``ble:AA:BB:...`` for a certain one
``replay:PATH``            a capture instead of a meter
=========================  =============================================================================
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from drivers.errors import TransportError, TransportReason
from drivers.transports.base import Listener, Transport

__all__ = ["listen", "listens", "open_transport"]


def open_transport(address: str, **parameters: Any) -> Transport:
    """Open a port. Libraries are imported when the first port of their kind is opened.

    Args:
        address: see the table above.
        parameters: for serial ports what `drivers.contract.Driver.serial_parameters` gives, and
            ``write_timeout_s``; for ``tcp://`` ``connect_timeout_s``, ``write_timeout_s`` and ``idle_timeout_s``.
            Serial parameters are ignored by other kinds of port.

    Raises:
        TransportError: the port cannot be opened; the message names it and the remedy.
    """
    scheme, colon, rest = address.partition(":")
    if listens(address):
        raise TransportError(f"{address}: meters connect to this address; it cannot be dialled", _MISCONFIGURED)
    if scheme == "replay" and colon:
        from drivers.transports.replay import ReplayTransport

        return ReplayTransport(Path(rest))
    if scheme == "phdc" and colon:
        from drivers.transports.phdc import open_phdc

        wanted = {name: value for name, value in parameters.items() if name == "specializations"}
        return open_phdc(address, **wanted)
    if scheme == "tcp" and colon:
        from drivers.transports.tcp import TIMEOUTS, dial

        return dial(address, **{name: value for name, value in parameters.items() if name in TIMEOUTS})
    if address.startswith("/") or scheme == "usb" or "://" in address:
        from drivers.transports.serial_port import SerialTransport

        known = {name: value for name, value in parameters.items() if name not in _NOT_SERIAL}
        return SerialTransport(address, **known)
    raise TransportError(
        f"{address!r} is no address of a port; write one like usb:0403:6001:SERIAL, /dev/serial/by-id/..., "
        "tcp://host:port, tcp-listen://:port or ble:ghs",
        _MISCONFIGURED,
    )


def listens(address: str) -> bool:
    """Whether meters connect to this address by themselves, so that `listen` is to be called for it."""
    return address.startswith(("tcp-listen:", "ble:"))


def listen(address: str, **parameters: Any) -> Listener:
    """Wait for meters at an address of the kind ``tcp-listen://`` or ``ble:``.

    Args:
        address: where.
        parameters: ``max_connections``; for ``tcp-listen://`` also ``write_timeout_s`` and ``idle_timeout_s``; for
            ``ble:`` also ``recognises`` and ``security`` of the driver, ``bonds`` and ``again_after_s`` (see
            `drivers.transports.ble.listener.BleListener`). Parameters of the other kind are ignored.

    Raises:
        TransportError: another program listens there, the address is none, or a library is missing.
    """
    if address.startswith("ble:"):
        from drivers.transports.ble.listener import BleListener

        return BleListener(address, **{name: value for name, value in parameters.items() if name not in _NOT_BLE})
    if not listens(address):
        raise TransportError(
            f"{address}: this is no address to listen at; write tcp-listen://host:port or ble:ghs", _MISCONFIGURED
        )
    from drivers.transports.tcp import TcpListener

    return TcpListener(address, **{name: value for name, value in parameters.items() if name not in _ONLY_BLE})


_MISCONFIGURED = TransportReason.MISCONFIGURED
_NOT_BLE: Final = ("write_timeout_s", "idle_timeout_s")
_ONLY_BLE: Final = ("recognises", "security", "bonds", "again_after_s")
_NOT_SERIAL = ("connect_timeout_s", "idle_timeout_s", "specializations")
