"""A Bluetooth LE connection as two streams of octets: journalled, captured and replayed like any other.

Each direction is a row of frames::

    length u16 LE (of what follows) | kind u8 | uuid, 16 octets big-endian | value

A 16-bit UUID stands in its 128-bit form; where there is none, all octets are zero. The transport speaks first:
`Link`, then `Advertised` for each service whose data the meter advertised. The host sends one request (`Read` to
`Unsubscribe`) and waits for its answer (`ReadDone` to `Unsubscribed`, or `Failed`) before it sends the next;
`Notified` may come at any time. `Disconnect` is not answered. The format is this project's own; what the frames
stand for are the procedures of Bluetooth Core Vol 3 Part G (GATT) clause 4.
"""

from __future__ import annotations

import json
import uuid as uuids
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from drivers.errors import FramingError, FramingReason

__all__ = [
    "MAX_VALUE_OCTETS",
    "NO_UUID",
    "Advertised",
    "Characteristic",
    "Disconnect",
    "Failed",
    "Frame",
    "Link",
    "Notified",
    "Parser",
    "Read",
    "ReadDone",
    "Request",
    "Service",
    "Subscribe",
    "Subscribed",
    "Unsubscribe",
    "Unsubscribed",
    "Write",
    "WriteWithoutResponse",
    "Written",
    "encode",
    "expanded",
]

T = TypeVar("T")

MAX_VALUE_OCTETS: Final = 65_000
NO_UUID: Final = "00000000-0000-0000-0000-000000000000"
_BASE: Final = "-0000-1000-8000-00805f9b34fb"
"""Bluetooth base UUID without its first 32 bits (Core Vol 3 Part B clause 2.5.1)."""
_LENGTH_OCTETS: Final = 2
_HEAD_OCTETS: Final = 17
MAX_WAITING_OCTETS: Final = 1 << 20
"""Far more than a meter can send before the host has read it."""


def expanded(short: int) -> str:
    """A 16-bit or 32-bit UUID in its 128-bit form, as all frames write it."""
    return f"{short:08x}{_BASE}"


@dataclass(frozen=True, slots=True)
class Read:
    """Host: read a characteristic's value."""

    uuid: str


@dataclass(frozen=True, slots=True)
class Write:
    """Host: write a value and wait until the meter has it."""

    uuid: str
    value: bytes


@dataclass(frozen=True, slots=True)
class WriteWithoutResponse:
    """Host: write a value; `Written` says only that it was handed to the radio."""

    uuid: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Host: have notifications or indications of a characteristic, whichever it offers."""

    uuid: str


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Host: have no more of them."""

    uuid: str


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Host: end the connection."""


@dataclass(frozen=True, slots=True)
class Characteristic:
    """One characteristic; its properties in BlueZ's words: ``read``, ``write``, ``notify``, ``indicate`` ..."""

    uuid: str
    properties: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Service:
    """One primary service."""

    uuid: str
    characteristics: tuple[Characteristic, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """Transport: the connection is there, encrypted where that was asked for, and its services are known.

    Attributes:
        address: the meter's identity address, or the operating system's own identifier for it.
        name: what it calls itself, or None.
        bonded: keys of an earlier pairing are in use.
        mtu: most octets of one ATT packet; a value in a notification is three octets shorter.
        services: in the order of the meter's attribute table.
    """

    address: str
    name: str | None
    bonded: bool
    mtu: int
    services: tuple[Service, ...]

    def has(self, uuid: str) -> bool:
        """Whether the meter has a characteristic of this UUID."""
        return any(each.uuid == uuid for service in self.services for each in service.characteristics)


@dataclass(frozen=True, slots=True)
class ReadDone:
    """Transport: the value that was read."""

    uuid: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Written:
    """Transport: the write is done."""

    uuid: str


@dataclass(frozen=True, slots=True)
class Subscribed:
    """Transport: notifications come from now on; some may have come before this frame."""

    uuid: str


@dataclass(frozen=True, slots=True)
class Unsubscribed:
    """Transport: none come any more."""

    uuid: str


@dataclass(frozen=True, slots=True)
class Notified:
    """Transport: a notification or an indication. The radio stack has confirmed it already."""

    uuid: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """Transport: the request that waits for its answer failed; the connection stands.

    Attributes:
        code: ATT error code 1 to 255 (Core Vol 3 Part F clause 3.4.1.1), or 0 when the system gave none.
        text: kind of the request and why.
    """

    uuid: str
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Advertised:
    """Transport: what the meter advertised for a service before it was connected to.

    Attributes:
        uuid: the service.
        value: its service data.
    """

    uuid: str
    value: bytes


Request = Read | Write | WriteWithoutResponse | Subscribe | Unsubscribe
Frame = (
    Request | Disconnect | Link | ReadDone | Written | Subscribed | Unsubscribed | Notified | Failed | Advertised
)

_WITHOUT_VALUE: Final[dict[int, type[Read | Subscribe | Unsubscribe | Written | Subscribed | Unsubscribed]]] = {
    0x01: Read,
    0x04: Subscribe,
    0x05: Unsubscribe,
    0x83: Written,
    0x84: Subscribed,
    0x85: Unsubscribed,
}
_WITH_VALUE: Final[dict[int, type[Write | WriteWithoutResponse | ReadDone | Notified | Advertised]]] = {
    0x02: Write,
    0x03: WriteWithoutResponse,
    0x82: ReadDone,
    0x86: Notified,
    0x88: Advertised,
}
_DISCONNECT: Final = 0x06
_LINK: Final = 0x81
_FAILED: Final = 0x87
_KINDS: Final = {_DISCONNECT, _LINK, _FAILED, *_WITHOUT_VALUE, *_WITH_VALUE}
_NUMBERS: Final[dict[type, int]] = {
    Disconnect: _DISCONNECT,
    Link: _LINK,
    Failed: _FAILED,
    **{kind: number for number, kind in _WITHOUT_VALUE.items()},
    **{kind: number for number, kind in _WITH_VALUE.items()},
}


def encode(frame: Frame) -> bytes:
    """A frame's octets.

    Raises:
        ValueError: the UUID is none, or the value is longer than `MAX_VALUE_OCTETS`.
    """
    match frame:
        case Disconnect():
            uuid, value = NO_UUID, b""
        case Link():
            uuid, value = NO_UUID, _link_json(frame)
        case Failed():
            uuid, value = frame.uuid, bytes([frame.code]) + frame.text.encode()
        case Write() | WriteWithoutResponse() | ReadDone() | Notified() | Advertised():
            uuid, value = frame.uuid, frame.value
        case _:
            uuid, value = frame.uuid, b""
    if len(value) > MAX_VALUE_OCTETS:
        raise ValueError(f"a value of {len(value)} octets; no frame holds more than {MAX_VALUE_OCTETS}")
    head = bytes([_NUMBERS[type(frame)]]) + uuids.UUID(uuid).bytes
    return (len(head) + len(value)).to_bytes(_LENGTH_OCTETS, "little") + head + value


class Parser:
    """Puts frames together from any chunking; of no more use after an error, for there is nothing to resume at."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._passed = 0
        self.octets = b""
        """The octets of the frame that `next` gave last."""

    def feed(self, octets: bytes) -> None:
        """Octets arrived.

        Raises:
            FramingError: far more has arrived than can be left waiting.
        """
        self._waiting += octets
        if len(self._waiting) > MAX_WAITING_OCTETS:
            raise self._error(f"more than {MAX_WAITING_OCTETS} octets wait unread", FramingReason.TOO_LONG)

    def next(self) -> Frame | None:
        """The next whole frame, or None.

        Raises:
            FramingError: what stands there is no frame.
        """
        waiting = self._waiting
        if len(waiting) < _LENGTH_OCTETS:
            return None
        length = int.from_bytes(waiting[:_LENGTH_OCTETS], "little")
        if not _HEAD_OCTETS <= length <= _HEAD_OCTETS + MAX_VALUE_OCTETS:
            raise self._error(
                f"a frame of {length} octets; frames have {_HEAD_OCTETS} to {_HEAD_OCTETS + MAX_VALUE_OCTETS}",
                FramingReason.UNEXPECTED,
            )
        if len(waiting) > _LENGTH_OCTETS and waiting[_LENGTH_OCTETS] not in _KINDS:
            raise self._error(f"no frame is of kind 0x{waiting[_LENGTH_OCTETS]:02X}", FramingReason.UNEXPECTED)
        size = _LENGTH_OCTETS + length
        if len(waiting) < size:
            return None
        self.octets = bytes(waiting[:size])
        try:
            frame = _frame(self.octets[_LENGTH_OCTETS:])
        except ValueError as error:
            raise self._error(str(error), FramingReason.UNEXPECTED) from error
        del waiting[:size]
        self._passed += size
        return frame

    def rest(self) -> bytes:
        """What has arrived of a frame that is not whole; it is forgotten."""
        rest = bytes(self._waiting)
        self._waiting.clear()
        return rest

    def _error(self, text: str, reason: FramingReason) -> FramingError:
        return FramingError(
            f"octet {self._passed}: {text}; octets of the capture or connection were lost or altered",
            reason,
            offset=self._passed,
        )


def _frame(octets: bytes) -> Frame:
    kind = octets[0]
    uuid = str(uuids.UUID(bytes=octets[1:_HEAD_OCTETS]))
    value = octets[_HEAD_OCTETS:]
    if (with_value := _WITH_VALUE.get(kind)) is not None:
        return with_value(uuid, value)
    if kind == _FAILED:
        return _failed(uuid, value)
    if kind == _LINK:
        return _link(value)
    if value:
        raise ValueError(f"a frame of kind 0x{kind:02X} carries {len(value)} octets of value and may not")
    return Disconnect() if kind == _DISCONNECT else _WITHOUT_VALUE[kind](uuid)


def _failed(uuid: str, value: bytes) -> Failed:
    if not value:
        raise ValueError("a failure without its error code")
    try:
        return Failed(uuid, value[0], value[1:].decode())
    except UnicodeDecodeError as error:
        raise ValueError("a failure whose text is no UTF-8") from error


def _link_json(link: Link) -> bytes:
    described = {
        "address": link.address,
        "name": link.name,
        "bonded": link.bonded,
        "mtu": link.mtu,
        "services": [
            {
                "uuid": service.uuid,
                "characteristics": [
                    {"uuid": each.uuid, "properties": list(each.properties)} for each in service.characteristics
                ],
            }
            for service in link.services
        ],
    }
    return json.dumps(described, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _link(value: bytes) -> Link:
    try:
        described = json.loads(value)
        name = described["name"]
        return Link(
            address=_typed(described["address"], str),
            name=None if name is None else _typed(name, str),
            bonded=_typed(described["bonded"], bool),
            mtu=_typed(described["mtu"], int),
            services=tuple(_service(each) for each in _typed(described["services"], list)),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"a link whose description cannot be read ({type(error).__name__})") from error


def _service(described: Any) -> Service:
    characteristics = tuple(
        Characteristic(_uuid(each["uuid"]), tuple(_typed(word, str) for word in _typed(each["properties"], list)))
        for each in _typed(described["characteristics"], list)
    )
    return Service(_uuid(described["uuid"]), characteristics)


def _uuid(text: Any) -> str:
    return str(uuids.UUID(_typed(text, str)))


def _typed(value: Any, kind: type[T]) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value
