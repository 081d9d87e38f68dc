"""The operations inside a presentation APDU: event reports, GET, SET, actions, their answers, errors, rejects.

Source: IEEE 11073-20601, annex A (ASN.1 module of the data APDUs). What events and actions carry stays octets here
and is read by `information`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct

from drivers.protocols.ieee11073.attribute_list import Attribute, encode_attributes
from drivers.protocols.ieee11073.mder import PAIR, U16, listing, sized

__all__ = [
    "ACTION",
    "DATA",
    "EVENT",
    "Action",
    "ActionReply",
    "EventReply",
    "EventReport",
    "Get",
    "GetReply",
    "OperationError",
    "OperationReject",
    "Set",
    "SetReply",
]

EVENT = Struct(">HIHH")
ACTION = Struct(">HHH")
DATA = Struct(">HHH")


@dataclass(frozen=True, slots=True)
class EventReport:
    """An event that an agent reports; `info` is read by `information.read_event`."""

    invoke_id: int
    confirmed: bool
    handle: int
    time: int
    event: int
    info: bytes
    at: int = field(default=0, compare=False)

    def encode(self) -> bytes:
        """The whole APDU."""
        body = EVENT.pack(self.handle, self.time, self.event, len(self.info)) + self.info
        return _presentation(self.invoke_id, 0x0101 if self.confirmed else 0x0100, body)


@dataclass(frozen=True, slots=True)
class EventReply:
    """The confirmation of an event report."""

    invoke_id: int
    handle: int
    time: int
    event: int
    info: bytes = b""
    at: int = field(default=0, compare=False)

    def encode(self) -> bytes:
        """The whole APDU."""
        body = EVENT.pack(self.handle, self.time, self.event, len(self.info)) + self.info
        return _presentation(self.invoke_id, 0x0201, body)


@dataclass(frozen=True, slots=True)
class Get:
    """A request for attributes; none named means all."""

    invoke_id: int
    handle: int
    attributes: tuple[int, ...] = ()

    def encode(self) -> bytes:
        """The whole APDU."""
        body = U16.pack(self.handle) + listing(U16.pack(each) for each in self.attributes)
        return _presentation(self.invoke_id, 0x0103, body)


@dataclass(frozen=True, slots=True)
class GetReply:
    """Attributes that were asked for."""

    invoke_id: int
    handle: int
    attributes: tuple[Attribute, ...]

    def encode(self) -> bytes:
        """The whole APDU."""
        return _presentation(self.invoke_id, 0x0203, U16.pack(self.handle) + encode_attributes(self.attributes))


@dataclass(frozen=True, slots=True)
class Set:
    """A request to change attributes: (operator, attribute) each, operator 0 replaces."""

    invoke_id: int
    confirmed: bool
    handle: int
    changes: tuple[tuple[int, Attribute], ...]

    def encode(self) -> bytes:
        """The whole APDU."""
        changes = listing(U16.pack(operator) + attribute.encode() for operator, attribute in self.changes)
        return _presentation(self.invoke_id, 0x0105 if self.confirmed else 0x0104, U16.pack(self.handle) + changes)


@dataclass(frozen=True, slots=True)
class SetReply:
    """Attributes as they are after a change."""

    invoke_id: int
    handle: int
    attributes: tuple[Attribute, ...]

    def encode(self) -> bytes:
        """The whole APDU."""
        return _presentation(self.invoke_id, 0x0205, U16.pack(self.handle) + encode_attributes(self.attributes))


@dataclass(frozen=True, slots=True)
class Action:
    """An order to an object; `info` is read by `information.read_action`."""

    invoke_id: int
    confirmed: bool
    handle: int
    action: int
    info: bytes
    at: int = field(default=0, compare=False)

    def encode(self) -> bytes:
        """The whole APDU."""
        body = ACTION.pack(self.handle, self.action, len(self.info)) + self.info
        return _presentation(self.invoke_id, 0x0107 if self.confirmed else 0x0106, body)


@dataclass(frozen=True, slots=True)
class ActionReply:
    """What came of an order."""

    invoke_id: int
    handle: int
    action: int
    info: bytes
    at: int = field(default=0, compare=False)

    def encode(self) -> bytes:
        """The whole APDU."""
        body = ACTION.pack(self.handle, self.action, len(self.info)) + self.info
        return _presentation(self.invoke_id, 0x0207, body)


@dataclass(frozen=True, slots=True)
class OperationError:
    """An operation was understood and failed (``roer``)."""

    invoke_id: int
    value: int
    parameter: bytes = b""

    def encode(self) -> bytes:
        """The whole APDU."""
        return _presentation(self.invoke_id, 0x0300, U16.pack(self.value) + sized(self.parameter))


@dataclass(frozen=True, slots=True)
class OperationReject:
    """An operation was not understood (``rorj``)."""

    invoke_id: int
    problem: int

    def encode(self) -> bytes:
        """The whole APDU."""
        return _presentation(self.invoke_id, 0x0400, U16.pack(self.problem))


def _presentation(invoke_id: int, choice: int, body: bytes) -> bytes:
    operation = sized(DATA.pack(invoke_id, choice, len(body)) + body)
    return PAIR.pack(0xE700, len(operation)) + operation
