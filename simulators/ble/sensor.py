"""The Generic Health Sensor as a GATT server without a radio: requests in, values and steps out.

Whoever mounts it tells what happens on the link (`connected`, `secured`, `read`, `write`, `subscribe`,
`disconnected`) and takes what is to leave, one step after the other, from `next_step`; after a `Say` was sent (an
indication: confirmed) it calls `left`. `woken` is called when there may be a step again.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from simulators.ble import racp, table
from simulators.ble.dialect import Dialect, Fault, FaultKind, Security
from simulators.ble.elapsed import Elapsed
from simulators.ble.encoding import segments
from simulators.ble.gatt import AttError, AttErrorCode, Say, Service, Step
from simulators.ble.line import Line
from simulators.ble.observations import octets_of
from simulators.ble.racp import Opcode, Refusal, Request, ResponseCode
from simulators.ble.records import Record, Records
from simulators.meter import Identity, Stored

__all__ = ["Sensor"]

_DEFAULT_MTU = 23
_NOTIFY, _INDICATE = 1, 2
_START_LIVE, _STOP_LIVE, _DONE = 0x01, 0x02, 0x80


class Sensor:
    """One meter at one connection after another."""

    def __init__(
        self,
        identity: Identity,
        records: Records,
        elapsed: Elapsed,
        dialect: Dialect,
        security: Security,
        faults: Sequence[Fault] = (),
    ) -> None:
        self.services: tuple[Service, ...] = table.services_of(identity, dialect)
        self.woken: Callable[[], None] = lambda: None
        self._readable = {
            **table.information(identity),
            table.FEATURES: table.features(dialect),
            table.SECURITY_LEVELS: {"none": b"\x01\x01", "encrypted": b"\x01\x02", "authenticated": b"\x01\x04"}[
                security.requires
            ],
        }
        self._open = frozenset(table.information(identity)) | {table.SECURITY_LEVELS}
        self._properties = {
            each.uuid: each.properties for service in self.services for each in service.characteristics
        }
        self._records = records
        self._elapsed = elapsed
        self._dialect = dialect
        self._requires = security.requires
        self._faults = tuple(faults)
        self._line = Line(faults)
        self._requests = 0
        self._observations = 0
        self._counters = {table.LIVE: 0, table.STORED: 0}
        self.disconnected()

    def connected(self, mtu: int = _DEFAULT_MTU) -> None:
        """A link is up, with nothing secured yet."""
        self.disconnected()
        self.mtu = min(mtu, self._dialect.mtu)

    def secured(self, *, is_encrypted: bool, is_authenticated: bool) -> None:
        """The link is encrypted now, with a key that was agreed with or without authentication."""
        self._security = (is_encrypted, is_authenticated)

    def disconnected(self) -> None:
        """The link is gone, and with it what was under way."""
        self.mtu = _DEFAULT_MTU
        self._security = (False, False)
        self._subscribed: dict[str, int] = {}
        self._answers: deque[Say] = deque()
        self._report: Iterator[Step] | None = None
        self._live: deque[Iterator[Step]] = deque()
        self._is_live = False
        self._line.lost()

    # What the client asks.

    def read(self, uuid: str) -> bytes:
        """Value of a characteristic.

        Raises:
            AttError: it is not given.
        """
        if "read" not in self._properties.get(uuid, ()):
            raise AttError(AttErrorCode.READ_NOT_PERMITTED)
        if uuid not in self._open:
            self._check_security()
        return self._elapsed.read() if uuid == table.ELAPSED_TIME else self._readable[uuid]

    def write(self, uuid: str, value: bytes) -> None:
        """Take a value.

        Raises:
            AttError: it is refused.
        """
        if "write" not in self._properties.get(uuid, ()):
            raise AttError(AttErrorCode.WRITE_NOT_PERMITTED)
        self._check_security()
        if uuid == table.ELAPSED_TIME:
            self._elapsed.write(value)
        elif self._subscribed.get(uuid) != _INDICATE:
            raise AttError(AttErrorCode.CCCD_IMPROPERLY_CONFIGURED)
        elif uuid == table.CONTROL_POINT:
            self._control(value)
        else:
            self._requested(Request.of(value))
        self.woken()

    def subscribe(self, uuid: str, bits: int) -> None:
        """Client Characteristic Configuration: 0 nothing, 1 notifications, 2 indications.

        Raises:
            AttError: the characteristic does not do that.
        """
        can = {"notify": _NOTIFY, "indicate": _INDICATE}
        if bits and bits not in [can[name] for name in self._properties.get(uuid, ()) if name in can]:
            raise AttError(AttErrorCode.CCCD_IMPROPERLY_CONFIGURED)
        self._check_security()
        self._subscribed[uuid] = bits

    def _check_security(self) -> None:
        is_encrypted, is_authenticated = self._security
        if self._requires != "none" and not is_encrypted:
            # Code 5 and not 0F: there is no key yet, and a client shall pair (Core, vol. 3, part C, 10.3.1).
            raise AttError(AttErrorCode.INSUFFICIENT_AUTHENTICATION)
        if self._requires == "authenticated" and not is_authenticated:
            raise AttError(AttErrorCode.INSUFFICIENT_AUTHENTICATION)

    # What leaves.

    def made(self, test: Stored) -> None:
        """A test was made: it is stored, and reported at once to a client that asked for live observations."""
        self._records.note_memory()
        if self._is_live and self._subscribed.get(table.LIVE):
            self._live.append(self._observation(table.LIVE, test, b""))
            self.woken()

    def next_step(self) -> Step | None:
        """What is to leave next, or None when there is nothing."""
        if self._answers:
            return self._answers.popleft()
        while self._live:
            for step in self._live[0]:
                return step
            self._live.popleft()
        if self._report is not None:
            for step in self._report:
                return step
            self._report = None
            return self.next_step()
        return None

    def left(self, step: Say) -> None:
        """A value was sent; an indication: the far stack has confirmed it."""
        if step.completes is not None:
            self._records.note_sent(step.completes, step.value)

    def _observation(self, uuid: str, test: Stored, prefix: bytes) -> Iterator[Step]:
        self._observations += 1
        octets = octets_of(test, self._dialect, self._elapsed.stamp_of(test))
        if self._has(FaultKind.BAD_LENGTH, self._observations):
            counted = struct.unpack_from("<H", octets, 1)[0] + 7
            octets = octets[:1] + struct.pack("<H", counted) + octets[3:]
        size = min(self._dialect.segment_octets or self.mtu - 3, self.mtu - 3)
        pieces = segments(prefix + octets, size, self._counters[uuid])
        self._counters[uuid] = (self._counters[uuid] + len(pieces)) & 0x3F
        is_indication = self._dialect.indicates
        for piece in pieces:
            completes = test.ordinal if piece is pieces[-1] else None
            yield from self._line.leaves(Say(uuid, piece, is_indication, completes))

    # Control points.

    def _control(self, value: bytes) -> None:
        if value not in (bytes([_START_LIVE]), bytes([_STOP_LIVE])):
            raise AttError(AttErrorCode.COMMAND_NOT_SUPPORTED)
        self._is_live = value[0] == _START_LIVE
        self._answers.append(Say(table.CONTROL_POINT, bytes([_DONE]), is_indication=True))

    def _requested(self, request: Request) -> None:
        is_abort = request.opcode == Opcode.ABORT
        if self._report is not None and not is_abort:
            raise AttError(AttErrorCode.PROCEDURE_IN_PROGRESS)
        self._requests += 1
        if self._has(FaultKind.SILENT, self._requests):
            return
        try:
            answer = self._answer(request)
        except Refusal as refusal:
            answer = racp.response(request.opcode, refusal.code)
        if answer is not None:
            self._tell(answer)

    def _answer(self, request: Request) -> bytes | None:
        """The answer, or None when it comes at the end of a report."""
        if any(fault.kind is FaultKind.BUSY and self._requests <= fault.at for fault in self._faults):
            raise Refusal(ResponseCode.BUSY)
        request.check_opcode()
        if request.opcode == Opcode.ABORT:
            if self._has(FaultKind.ABORT_FAILS, self._requests):
                raise Refusal(ResponseCode.ABORT_UNSUCCESSFUL)
            self._report = None
            self._line.lost()
            return racp.response(request.opcode, ResponseCode.SUCCESS)
        if request.opcode == Opcode.COMBINED_REPORT and not self._subscribed.get(table.STORED):
            raise AttError(AttErrorCode.CCCD_IMPROPERLY_CONFIGURED)
        records = request.chosen(self._records, self._dialect.operators)
        if request.opcode == Opcode.REPORT_NUMBER:
            return racp.number(len(records))
        if not records:
            raise Refusal(ResponseCode.NO_RECORDS)
        if request.opcode == Opcode.DELETE:
            self._records.delete(records)
            return racp.response(request.opcode, ResponseCode.SUCCESS)
        self._report = self._reported(records, self._requests)
        return None

    def _reported(self, records: Sequence[Record], request: int) -> Iterator[Step]:
        breaks_off = self._has(FaultKind.NOT_COMPLETED, request)
        for record in records[:1] if breaks_off else records:
            yield from self._observation(table.STORED, record.test, struct.pack("<I", record.number))
        if breaks_off:
            answer = racp.response(Opcode.COMBINED_REPORT, ResponseCode.NOT_COMPLETED)
        else:
            answer = racp.combined(len(records) + self._has(FaultKind.WRONG_COUNT, request))
        self._report = None  # this indication ends the procedure: who has it may ask for the next one
        yield Say(table.RACP, answer, is_indication=True)

    def _tell(self, answer: bytes) -> None:
        self._answers.append(Say(table.RACP, answer, is_indication=True))

    def _has(self, kind: FaultKind, at: int) -> bool:
        return any(fault.kind is kind and fault.at == at for fault in self._faults)
