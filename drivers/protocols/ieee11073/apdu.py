"""Envelopes: the six application protocol data units and the operations inside a presentation APDU.

`decode` checks every length down to what events and actions carry; that inner part stays octets (`info`) and is
read by `information`. Every class encodes itself again. Sources: see `association_apdu` and `data_apdu`, where the
classes stand.
"""

from __future__ import annotations

from collections.abc import Callable

from drivers.errors import ProtocolReason
from drivers.protocols.ieee11073.association_apdu import (
    PROTOCOL_20601,
    Aare,
    Aarq,
    Abrt,
    Association,
    DataProtocol,
    Rlre,
    Rlrq,
    read_aare,
    read_aarq,
)
from drivers.protocols.ieee11073.attribute_list import Attribute, attribute_list, encode_attributes
from drivers.protocols.ieee11073.data_apdu import (
    ACTION,
    DATA,
    EVENT,
    Action,
    ActionReply,
    EventReply,
    EventReport,
    Get,
    GetReply,
    OperationError,
    OperationReject,
    Set,
    SetReply,
)
from drivers.protocols.ieee11073.mder import PAIR, Reader, malformed

__all__ = [
    "CHOICES",
    "PROTOCOL_20601",
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


def _prst(reader: Reader) -> Apdu:
    data = reader.part("presentation octet string")
    invoke_id, choice, length = data.unpack(DATA, "invoke-id, choice and length of the operation")
    if length != data.left:
        raise malformed(f"length of the operation says {length}, {data.left} octets are there", data.at - 2)
    operation = _OPERATIONS.get(choice)
    if operation is None:
        raise malformed(f"0x{choice:04X} is no operation", data.at - 4, ProtocolReason.UNSUPPORTED)
    read = operation(invoke_id, choice, data)
    data.finish("operation")
    return read


def _event(invoke_id: int, choice: int, reader: Reader) -> EventReport:
    handle, time, event, length = reader.unpack(EVENT, "event report")
    at = reader.at
    return EventReport(invoke_id, choice == 0x0101, handle, time, event, reader.take(length, "event-info"), at)


def _event_reply(invoke_id: int, _choice: int, reader: Reader) -> EventReply:
    handle, time, event, length = reader.unpack(EVENT, "event report reply")
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
    handle, action, length = reader.unpack(ACTION, "action")
    at = reader.at
    return Action(invoke_id, choice == 0x0107, handle, action, reader.take(length, "action-info-args"), at)


def _action_reply(invoke_id: int, _choice: int, reader: Reader) -> ActionReply:
    handle, action, length = reader.unpack(ACTION, "action reply")
    at = reader.at
    return ActionReply(invoke_id, handle, action, reader.take(length, "action-info-args"), at)


def _error(invoke_id: int, _choice: int, reader: Reader) -> OperationError:
    return OperationError(invoke_id, reader.u16("error-value"), reader.sized("error parameter"))


def _reject(invoke_id: int, _choice: int, reader: Reader) -> OperationReject:
    return OperationReject(invoke_id, reader.u16("problem"))


_CHOICES: dict[int, Callable[[Reader], Apdu]] = {
    0xE200: read_aarq,
    0xE300: read_aare,
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
