"""Envelopes: the six application protocol data units and the operations inside a presentation APDU.

`decode` checks every length down to what events and actions carry; that inner part stays octets (`info`) and is
read by `information`. Every class encodes itself again. Sources: IEEE 11073-20601, annex A (ASN.1 modules of the
association and data APDUs); layouts confirmed against the published octets of the antidote project.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from struct import Struct

from drivers.errors import ProtocolReason
from drivers.protocols.ieee11073.mder import PAIR, U16, U32, Reader, listing, malformed, sized

__all__ = [
    "Aare",
    "Aarq",
    "Abrt",
    "Action",
    "ActionReply",
    "Apdu",
    "Association",
    "Attribute",
    "DataProtocol",
    "EventReply",
    "EventReport",
    "Get",
    "GetReply",
    "OperationError",
    "OperationReject",
    "Rlre",
    "Rlrq",
    "Set",
    "SetReply",
    "attribute_list",
    "decode",
    "encode_attributes",
]

PROTOCOL_20601 = 20601
PROTOCOL_EXTERNAL = 0xFFFF

_ASSOCIATION = Struct(">IHIII")
_CONFIGURATION = Struct(">HHBB")
_EVENT = Struct(">HIHH")
_ACTION = Struct(">HHH")
_DATA = Struct(">HHH")


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute identifier with its undecoded value; `at` is where the value stood in the APDU."""

    id: int
    value: bytes
    at: int = field(default=0, compare=False)

    def encode(self) -> bytes:
        """Octets of the attribute value assertion."""
        return U16.pack(self.id) + sized(self.value)


def attribute_list(reader: Reader, what: str = "attribute list") -> tuple[Attribute, ...]:
    """Read an attribute list."""
    count, part = reader.listing(what)
    attributes = []
    for _ in range(count):
        identifier, length = part.unpack(PAIR, f"an attribute of the {what}")
        at = part.at
        attributes.append(Attribute(identifier, part.take(length, f"attribute 0x{identifier:04X}"), at))
    part.finish(what)
    return tuple(attributes)


def encode_attributes(attributes: tuple[Attribute, ...]) -> bytes:
    """Octets of an attribute list."""
    return listing(attribute.encode() for attribute in attributes)


@dataclass(frozen=True, slots=True)
class Association:
    """What both ends tell of themselves when they associate (PhdAssociationInformation)."""

    protocol_version: int
    encoding_rules: int
    nomenclature_version: int
    functional_units: int
    system_type: int
    system_id: bytes
    config_id: int
    request_mode_flags: int
    agent_requests: int
    manager_requests: int
    options: tuple[Attribute, ...] = ()

    @classmethod
    def read(cls, reader: Reader) -> Association:
        """Read the whole of a reader."""
        version, rules, nomenclature, units, system = reader.unpack(_ASSOCIATION, "association information")
        system_id = reader.sized("system-id")
        config_id, flags, agents, managers = reader.unpack(_CONFIGURATION, "configuration and request modes")
        options = attribute_list(reader, "option list")
        reader.finish("association information")
        return cls(
            version, rules, nomenclature, units, system, system_id, config_id, flags, agents, managers, options
        )

    def encode(self) -> bytes:
        """Octets without the length in front."""
        return (
            _ASSOCIATION.pack(
                self.protocol_version,
                self.encoding_rules,
                self.nomenclature_version,
                self.functional_units,
                self.system_type,
            )
            + sized(self.system_id)
            + _CONFIGURATION.pack(
                self.config_id, self.request_mode_flags, self.agent_requests, self.manager_requests
            )
            + encode_attributes(self.options)
        )


@dataclass(frozen=True, slots=True)
class DataProtocol:
    """One data protocol an agent offers or a manager chose; only 20601 is understood."""

    id: int
    information: Association | bytes

    @classmethod
    def read(cls, reader: Reader) -> DataProtocol:
        """Read identifier and information."""
        identifier = reader.u16("data-proto-id")
        part = reader.part("data-proto-info")
        if identifier == PROTOCOL_20601 and part.left:
            return cls(identifier, Association.read(part))
        return cls(identifier, part.take(part.left, "data-proto-info"))

    def encode(self) -> bytes:
        """Octets of identifier and information."""
        information = self.information
        return U16.pack(self.id) + sized(information if isinstance(information, bytes) else information.encode())


@dataclass(frozen=True, slots=True)
class Aarq:
    """Association request."""

    version: int
    protocols: tuple[DataProtocol, ...]

    def encode(self) -> bytes:
        """The whole APDU."""
        return _apdu(0xE200, U32.pack(self.version) + listing(each.encode() for each in self.protocols))


@dataclass(frozen=True, slots=True)
class Aare:
    """Association response. Results: 0 accepted, 3 accepted with unknown configuration, others rejections."""

    result: int
    protocol: DataProtocol

    def encode(self) -> bytes:
        """The whole APDU."""
        return _apdu(0xE300, U16.pack(self.result) + self.protocol.encode())


@dataclass(frozen=True, slots=True)
class Rlrq:
    """Association release request."""

    reason: int = 0

    def encode(self) -> bytes:
        """The whole APDU."""
        return _apdu(0xE400, U16.pack(self.reason))


@dataclass(frozen=True, slots=True)
class Rlre:
    """Association release response."""

    reason: int = 0

    def encode(self) -> bytes:
        """The whole APDU."""
        return _apdu(0xE500, U16.pack(self.reason))


@dataclass(frozen=True, slots=True)
class Abrt:
    """Abort. Reasons: 0 undefined, 1 buffer overflow, 2 response timeout, 3 configuration timeout."""

    reason: int = 0

    def encode(self) -> bytes:
        """The whole APDU."""
        return _apdu(0xE600, U16.pack(self.reason))


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
        body = _EVENT.pack(self.handle, self.time, self.event, len(self.info)) + self.info
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
        body = _EVENT.pack(self.handle, self.time, self.event, len(self.info)) + self.info
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
        body = _ACTION.pack(self.handle, self.action, len(self.info)) + self.info
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
        body = _ACTION.pack(self.handle, self.action, len(self.info)) + self.info
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


Apdu = (
    Aarq
    | Aare
    | Rlrq
    | Rlre
    | Abrt
    | EventReport
    | EventReply
    | Get
    | GetReply
    | Set
    | SetReply
    | Action
    | ActionReply
    | OperationError
    | OperationReject
)


def decode(octets: bytes) -> Apdu:
    """Read one whole APDU.

    Raises:
        ProtocolError: some length does not fit, with the offset of it.
    """
    reader = Reader(octets)
    choice = reader.u16("APDU choice")
    if choice not in _CHOICES:
        raise malformed(f"0x{choice:04X} is no APDU (AARQ E200 to PRST E700)", 0)
    part = reader.part("APDU")
    if reader.left:
        raise malformed(f"{reader.left} octets follow the end of the APDU", reader.at)
    apdu = _CHOICES[choice](part)
    part.finish("APDU")
    return apdu


def _aarq(reader: Reader) -> Aarq:
    version = reader.u32("association version")
    count, part = reader.listing("data-proto-list")
    protocols = tuple(DataProtocol.read(part) for _ in range(count))
    part.finish("data-proto-list")
    return Aarq(version, protocols)


def _aare(reader: Reader) -> Aare:
    return Aare(reader.u16("result"), DataProtocol.read(reader))


def _prst(reader: Reader) -> Apdu:
    data = reader.part("presentation octet string")
    invoke_id, choice, length = data.unpack(_DATA, "invoke-id, choice and length of the operation")
    if length != data.left:
        raise malformed(f"length of the operation says {length}, {data.left} octets are there", data.at - 2)
    operation = _OPERATIONS.get(choice)
    if operation is None:
        raise malformed(f"0x{choice:04X} is no operation", data.at - 4, ProtocolReason.UNSUPPORTED)
    read = operation(invoke_id, choice, data)
    data.finish("operation")
    return read


def _event(invoke_id: int, choice: int, reader: Reader) -> EventReport:
    handle, time, event, length = reader.unpack(_EVENT, "event report")
    at = reader.at
    return EventReport(invoke_id, choice == 0x0101, handle, time, event, reader.take(length, "event-info"), at)


def _event_reply(invoke_id: int, _choice: int, reader: Reader) -> EventReply:
    handle, time, event, length = reader.unpack(_EVENT, "event report reply")
    at = reader.at
    return EventReply(invoke_id, handle, time, event, reader.take(length, "event-reply-info"), at)


def _get(invoke_id: int, _choice: int, reader: Reader) -> Get:
    handle = reader.u16("handle")
    count, part = reader.listing("attribute-id-list")
    attributes = tuple(part.u16("attribute-id") for _ in range(count))
    part.finish("attribute-id-list")
    return Get(invoke_id, handle, attributes)


def _get_reply(invoke_id: int, _choice: int, reader: Reader) -> GetReply:
    return GetReply(invoke_id, reader.u16("handle"), attribute_list(reader))


def _set(invoke_id: int, choice: int, reader: Reader) -> Set:
    handle = reader.u16("handle")
    count, part = reader.listing("modification-list")
    changes = []
    for _ in range(count):
        operator, identifier = part.unpack(PAIR, "modification")
        value = part.part(f"attribute 0x{identifier:04X}")
        at = value.at
        changes.append((operator, Attribute(identifier, value.take(value.left, "value"), at)))
    part.finish("modification-list")
    return Set(invoke_id, choice == 0x0105, handle, tuple(changes))


def _set_reply(invoke_id: int, _choice: int, reader: Reader) -> SetReply:
    return SetReply(invoke_id, reader.u16("handle"), attribute_list(reader))


def _action(invoke_id: int, choice: int, reader: Reader) -> Action:
    handle, action, length = reader.unpack(_ACTION, "action")
    at = reader.at
    return Action(invoke_id, choice == 0x0107, handle, action, reader.take(length, "action-info-args"), at)


def _action_reply(invoke_id: int, _choice: int, reader: Reader) -> ActionReply:
    handle, action, length = reader.unpack(_ACTION, "action reply")
    at = reader.at
    return ActionReply(invoke_id, handle, action, reader.take(length, "action-info-args"), at)


def _error(invoke_id: int, _choice: int, reader: Reader) -> OperationError:
    return OperationError(invoke_id, reader.u16("error-value"), reader.sized("error parameter"))


def _reject(invoke_id: int, _choice: int, reader: Reader) -> OperationReject:
    return OperationReject(invoke_id, reader.u16("problem"))


_CHOICES: dict[int, Callable[[Reader], Apdu]] = {
    0xE200: _aarq,
    0xE300: _aare,
    0xE400: lambda reader: Rlrq(reader.u16("reason")),
    0xE500: lambda reader: Rlre(reader.u16("reason")),
    0xE600: lambda reader: Abrt(reader.u16("reason")),
    0xE700: _prst,
}
CHOICES = frozenset(_CHOICES)

_OPERATIONS: dict[int, Callable[[int, int, Reader], Apdu]] = {
    0x0100: _event,
    0x0101: _event,
    0x0103: _get,
    0x0104: _set,
    0x0105: _set,
    0x0106: _action,
    0x0107: _action,
    0x0201: _event_reply,
    0x0203: _get_reply,
    0x0205: _set_reply,
    0x0207: _action_reply,
    0x0300: _error,
    0x0400: _reject,
}


def _apdu(choice: int, body: bytes) -> bytes:
    return PAIR.pack(choice, len(body)) + body


def _presentation(invoke_id: int, choice: int, body: bytes) -> bytes:
    return _apdu(0xE700, sized(_DATA.pack(invoke_id, choice, len(body)) + body))
