"""Record Access Control Point: which records a sensor is asked for, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from drivers.protocols.ghs.octets import GattReader
from drivers.protocols.ieee11073.mder import malformed

__all__ = [
    "ALL",
    "NEWEST",
    "Answer",
    "Combined",
    "Counted",
    "Opcode",
    "Response",
    "ResponseCode",
    "Selection",
    "decode",
    "request",
]


class Opcode(IntEnum):
    """First octet."""

    REPORT = 1
    DELETE = 2
    ABORT = 3
    REPORT_NUMBER = 4
    NUMBER = 5
    RESPONSE = 6
    REPORT_COMBINED = 7
    COMBINED = 8


class Operator(IntEnum):
    """Second octet."""

    NULL = 0
    ALL = 1
    AT_MOST = 2
    AT_LEAST = 3
    WITHIN = 4
    FIRST = 5
    LAST = 6


_BY_NUMBER: Final = b"\x01"


class ResponseCode(IntEnum):
    """How a request ended."""

    SUCCESS = 1
    OPCODE_NOT_SUPPORTED = 2
    INVALID_OPERATOR = 3
    OPERATOR_NOT_SUPPORTED = 4
    INVALID_OPERAND = 5
    NO_RECORDS = 6
    ABORT_UNSUCCESSFUL = 7
    NOT_COMPLETED = 8
    OPERAND_NOT_SUPPORTED = 9
    BUSY = 10


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records. Numbers are 32 bits without sign.

    Attributes:
        at_least, at_most: record numbers, both included; None for no limit.
        is_newest: the newest record alone.
    """

    at_least: int | None = None
    at_most: int | None = None
    is_newest: bool = False

    @property
    def wider(self) -> Selection | None:
        """A selection with these records and more, for sensors that do not know this one; None for all records."""
        if self.at_least is not None and self.at_most is not None:
            return Selection(at_least=self.at_least)
        return None if self == ALL else ALL

    def encode(self) -> bytes:
        """Operator and operand."""
        if self.is_newest:
            return bytes([Operator.LAST])
        if self.at_least is not None and self.at_most is not None:
            limits = self.at_least.to_bytes(4, "little") + self.at_most.to_bytes(4, "little")
            return bytes([Operator.WITHIN]) + _BY_NUMBER + limits
        if self.at_least is not None:
            return bytes([Operator.AT_LEAST]) + _BY_NUMBER + self.at_least.to_bytes(4, "little")
        if self.at_most is not None:
            return bytes([Operator.AT_MOST]) + _BY_NUMBER + self.at_most.to_bytes(4, "little")
        return bytes([Operator.ALL])


ALL: Final = Selection()
NEWEST: Final = Selection(is_newest=True)


@dataclass(frozen=True, slots=True)
class Counted:
    """So many records are stored."""

    count: int


@dataclass(frozen=True, slots=True)
class Combined:
    """A combined report is over; so many records were sent."""

    count: int


@dataclass(frozen=True, slots=True)
class Response:
    """A request ended.

    Attributes:
        request: opcode of the request.
        code: one of `ResponseCode`, or another number.
    """

    request: int
    code: int

    @property
    def why(self) -> str:
        """The code in words."""
        try:
            return ResponseCode(self.code).name.lower().replace("_", " ")
        except ValueError:
            return f"response code {self.code}"


Answer = Counted | Combined | Response


def request(opcode: Opcode, selection: Selection = ALL) -> bytes:
    """A request's octets; an abort selects nothing."""
    return bytes([opcode]) + (bytes([Operator.NULL]) if opcode is Opcode.ABORT else selection.encode())


def decode(value: bytes, base: int = 0) -> Answer:
    """Read an answer. Counts have 32 bits; the 16 bits of older control points are understood as well.

    Raises:
        ProtocolError: it is none.
    """
    reader = GattReader(value, base)
    opcode = reader.u8("opcode")
    if opcode not in (Opcode.NUMBER, Opcode.RESPONSE, Opcode.COMBINED):
        raise malformed(f"opcode {opcode} of the record access control point is no answer", base)
    operator = reader.u8("operator")
    if operator != Operator.NULL:
        raise malformed(f"an answer with operator {operator}; it must be 0", base + 1)
    answer: Answer
    if opcode == Opcode.RESPONSE:
        answer = Response(reader.u8("request opcode"), reader.u8("response code"))
    else:
        count = reader.u16("count of records") if reader.left == 2 else reader.u32("count of records")
        answer = Counted(count) if opcode == Opcode.NUMBER else Combined(count)
    reader.finish("answer of the record access control point")
    return answer
