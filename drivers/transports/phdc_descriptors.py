"""Descriptors of the USB Personal Healthcare Device Class (PHDC) 1.0: which interface carries an 11073 meter.

Sources: the class definition as implementations print it (function, QoS and metadata descriptors), and the
descriptors of a shipping meter (Roche ACCU-CHEK Guide, VID 173A PID 21D5). Class descriptors follow the interface
descriptor and each endpoint descriptor; unknown ones are skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Endpoint", "PhdcInterface", "phdc_interfaces"]

PHDC_CLASS = 0x0F
FORMAT_20601 = 0x02
_FUNCTION, _SPECIALIZATIONS, _QOS, _METADATA = 0x20, 0x30, 0x21, 0x22
_QOS_NAMES = {
    0x01: "low.good",
    0x02: "medium.good",
    0x04: "medium.better",
    0x08: "medium.best",
    0x10: "high.best",
    0x20: "very-high.best",
}
_BULK, _INTERRUPT = 2, 3


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint of a PHDC interface.

    Attributes:
        qos: latency and reliability classes it offers.
        metadata: opaque data of its metadata descriptor.
    """

    address: int
    packet_octets: int
    qos: tuple[str, ...] = ()
    metadata: bytes = b""


@dataclass(frozen=True, slots=True)
class PhdcInterface:
    """A PHDC interface that speaks 20601.

    Attributes:
        specializations: device specializations it names, for example 0x1012 for INR; may be empty.
        has_preamble: it can put a metadata preamble before its data; never enabled here.
        interrupt_in: for data of low latency; most devices have none.
    """

    configuration: int
    number: int
    alternate: int
    specializations: tuple[int, ...]
    has_preamble: bool
    bulk_in: Endpoint
    bulk_out: Endpoint
    interrupt_in: Endpoint | None = None


def phdc_interfaces(device: Iterable[Any]) -> Iterator[PhdcInterface]:
    """The usable PHDC interfaces of a device as pyusb presents it: configurations of interfaces of endpoints."""
    for configuration in device:
        for interface in configuration:
            if interface.bInterfaceClass != PHDC_CLASS:
                continue
            found = _interface(configuration.bConfigurationValue, interface)
            if found is not None:
                yield found


def _interface(configuration: int, interface: Any) -> PhdcInterface | None:
    message_format, capabilities = 0, 0
    specializations: tuple[int, ...] = ()
    for kind, body in descriptors(interface.extra_descriptors):
        if kind == _FUNCTION and len(body) >= 2:
            message_format, capabilities = body[0], body[1]
        elif kind == _SPECIALIZATIONS and len(body) >= 2:
            codes = body[2 : 2 + 2 * body[1]]
            specializations = tuple(
                int.from_bytes(codes[place : place + 2], "little") for place in range(0, len(codes) - 1, 2)
            )
    bulk = [each for each in interface if each.bmAttributes & 3 == _BULK]
    inward = next((each for each in bulk if each.bEndpointAddress & 0x80), None)
    outward = next((each for each in bulk if not each.bEndpointAddress & 0x80), None)
    interrupts = (each for each in interface if each.bmAttributes & 3 == _INTERRUPT)
    prompt = next((each for each in interrupts if each.bEndpointAddress & 0x80), None)
    if message_format != FORMAT_20601 or inward is None or outward is None:
        return None
    return PhdcInterface(
        configuration,
        interface.bInterfaceNumber,
        interface.bAlternateSetting,
        specializations,
        bool(capabilities & 1),
        _endpoint(inward),
        _endpoint(outward),
        None if prompt is None else _endpoint(prompt),
    )


def _endpoint(endpoint: Any) -> Endpoint:
    qos: tuple[str, ...] = ()
    metadata = b""
    for kind, body in descriptors(endpoint.extra_descriptors):
        if kind == _QOS and len(body) >= 2 and body[0] == 1:
            qos = tuple(name for bit, name in _QOS_NAMES.items() if body[1] & bit)
        elif kind == _METADATA:
            metadata = body
    return Endpoint(endpoint.bEndpointAddress, endpoint.wMaxPacketSize & 0x07FF, qos, metadata)


def descriptors(extra: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """Type and body of each descriptor in a row of them; stops where a length makes no sense."""
    octets = bytes(extra)
    position = 0
    while position + 2 <= len(octets):
        length = octets[position]
        if length < 2 or position + length > len(octets):
            return
        yield octets[position + 1], octets[position + 2 : position + length]
        position += length
