"""Standard descriptors, octet for octet (USB 2.0, section 9.6)."""

from __future__ import annotations

import struct

__all__ = ["BULK", "INTERRUPT", "configuration", "device", "endpoint", "interface"]

BULK, INTERRUPT = 2, 3


def device(vendor_id: int, product_id: int, *, device_class: int = 0, release: int = 0x0100) -> bytes:
    """A full-speed device with one configuration whose strings are 1 manufacturer, 2 product, 3 serial number."""
    ids = (vendor_id, product_id, release, 1, 2, 3, 1)
    return struct.pack("<BBHBBBBHHHBBBB", 18, 1, 0x0200, device_class, 0, 0, 64, *ids)


def configuration(body: bytes, interfaces: int, *, attributes: int = 0x80, milliamperes: int = 100) -> bytes:
    """The configuration descriptor in front of everything that belongs to it."""
    return struct.pack("<BBHBBBBB", 9, 2, 9 + len(body), interfaces, 1, 0, attributes, milliamperes // 2) + body


def interface(number: int, endpoints: int, kind: tuple[int, int, int], *, name: int = 0) -> bytes:
    """An interface. Args: kind: class, subclass, protocol. name: index of its string."""
    return bytes([9, 4, number, 0, endpoints, *kind, name])


def endpoint(address: int, packet: int, *, transfer: int = BULK, interval_ms: int = 0) -> bytes:
    """An endpoint with its largest packet in octets."""
    return struct.pack("<BBBBHB", 7, 5, address, transfer, packet, interval_ms)
