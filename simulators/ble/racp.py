"""Record Access Control Point of the Generic Health Sensor service: what a request means and how it is answered."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from simulators.ble.records import Record, Records

__all__ = ["Opcode", "Refusal", "Request", "ResponseCode", "combined", "number", "response"]


class Opcode(IntEnum):
    """First octet."""

    DELETE = 2
    ABORT = 3
    REPORT_NUMBER = 4
    NUMBER = 5
    RESPONSE = 6
    COMBINED_REPORT = 7
    COMBINED = 8


class ResponseCode(IntEnum):
    """Last octet of a response."""

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


class Operator(IntEnum):
    """Second octet."""

    NULL = 0
    ALL = 1
    AT_MOST = 2
    AT_LEAST = 3
    RANGE = 4
    FIRST = 5
    LAST = 6


_BY_NUMBER: Final = 1
_BY_TIME: Final = 2


@dataclass(frozen=True, slots=True)
class Refusal(Exception):  # noqa: N818 - what a server answers, not a mistake
    """The request is answered with this code."""

    code: ResponseCode


@dataclass(frozen=True, slots=True)
class Request:
    """A request that was understood so far."""

    opcode: int
    operator: int
    operand: bytes

    @classmethod
    def of(cls, octets: bytes) -> Request:
        """Read one; what is missing is zero."""
        padded = octets[:2].ljust(2, b"\0")
        return cls(padded[0], padded[1], octets[2:])

    def check_opcode(self) -> None:
        """Refuse what is no request.

        Raises:
            Refusal: it is answered so.
        """
        if self.opcode not in (Opcode.DELETE, Opcode.ABORT, Opcode.REPORT_NUMBER, Opcode.COMBINED_REPORT):
            raise Refusal(ResponseCode.OPCODE_NOT_SUPPORTED)
        if self.opcode == Opcode.ABORT:
            if self.operator != Operator.NULL:
                raise Refusal(ResponseCode.INVALID_OPERATOR)
            if self.operand:
                raise Refusal(ResponseCode.INVALID_OPERAND)

    def chosen(self, records: Records, supported: Sequence[int]) -> list[Record]:
        """The records that are meant.

        Raises:
            Refusal: it is answered so.
        """
        if self.operator == Operator.NULL:
            raise Refusal(ResponseCode.INVALID_OPERATOR)
        if self.operator not in supported:
            raise Refusal(ResponseCode.OPERATOR_NOT_SUPPORTED)
        if self.operator in (Operator.ALL, Operator.FIRST, Operator.LAST):
            if self.operand:
                raise Refusal(ResponseCode.INVALID_OPERAND)
            held = records.held
            return {Operator.ALL: held, Operator.FIRST: held[:1], Operator.LAST: held[-1:]}[Operator(self.operator)]
        return records.chosen(self._by_number())

    def _by_number(self) -> Callable[[int], bool]:
        if not self.operand:
            raise Refusal(ResponseCode.INVALID_OPERAND)
        if self.operand[0] != _BY_NUMBER:
            is_time = self.operand[0] == _BY_TIME
            raise Refusal(ResponseCode.OPERAND_NOT_SUPPORTED if is_time else ResponseCode.INVALID_OPERAND)
        wanted = 2 if self.operator == Operator.RANGE else 1
        if len(self.operand) != 1 + 4 * wanted:
            raise Refusal(ResponseCode.INVALID_OPERAND)
        limits = struct.unpack_from(f"<{wanted}I", self.operand, 1)
        if self.operator == Operator.AT_MOST:
            return lambda shown: shown <= limits[0]
        if self.operator == Operator.AT_LEAST:
            return lambda shown: shown >= limits[0]
        if limits[0] > limits[1]:
            raise Refusal(ResponseCode.INVALID_OPERAND)
        return lambda shown: limits[0] <= shown <= limits[1]


def response(opcode: int, code: ResponseCode) -> bytes:
    """Response code to a request."""
    return bytes([Opcode.RESPONSE, Operator.NULL, opcode, code])


def number(count: int) -> bytes:
    """So many records are stored."""
    return struct.pack("<BBI", Opcode.NUMBER, Operator.NULL, count)


def combined(count: int) -> bytes:
    """So many records were sent; the report is over."""
    return struct.pack("<BBI", Opcode.COMBINED, Operator.NULL, count)
