"""Addresses of ports, as they stand in configuration.

=========================  =============================================================================
``usb:VID:PID[:SERIAL]``   serial port of a USB device, wherever it is plugged in (hexadecimal ids)
``/dev/serial/by-id/...``  a device path that stays the same; ttyUSB0 and ttyACM0 are refused, they do not
``rfc2217://host:port``    any URL that pyserial knows; also ``socket://``, ``loop://``, ``spy://``
``phdc:``                  USB Personal Healthcare Device, or ``phdc:VID:PID[:SERIAL]`` for a certain one
``tcp://host:port``        dial a meter
``tcp-listen://host:port`` wait for meters; without host on 127.0.0.1, with port 0 on any free one
``replay:PATH``            a capture instead of a meter
=========================  =============================================================================
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
    if scheme == "tcp-listen":
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
        "tcp://host:port or tcp-listen://:port",
        _MISCONFIGURED,
    )


def listens(address: str) -> bool:
    """Whether meters connect to this address by themselves, so that `listen` is to be called for it."""
    return address.startswith("tcp-listen:")


def listen(address: str, **parameters: Any) -> Listener:
    """Wait for meters at an address of the kind ``tcp-listen://``.

    Args:
        address: where.
        parameters: ``max_connections``, ``write_timeout_s``, ``idle_timeout_s``.

    Raises:
        TransportError: another program listens there, or the address is none.
    """
    if not listens(address):
        raise TransportError(
            f"{address}: this is no address to listen at; write tcp-listen://host:port", _MISCONFIGURED
        )
    from drivers.transports.tcp import TcpListener

    return TcpListener(address, **parameters)


_MISCONFIGURED = TransportReason.MISCONFIGURED
_NOT_SERIAL = ("connect_timeout_s", "idle_timeout_s", "specializations")
