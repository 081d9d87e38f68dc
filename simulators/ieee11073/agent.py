"""The agent's side of 20601, without input or output of its own: octets in, APDUs out (annex E, agent state table).

States: unassociated, associating, sending its configuration, operating, disassociating. One request or report is
outstanding at a time; times are seconds of any monotonic clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from simulators.deliveries import Deliveries
from simulators.ieee11073 import encoding as e
from simulators.ieee11073.dialect import Dialect, Fault, FaultKind, Transfer
from simulators.ieee11073.objects import (
    STORE,
    Segment,
    config_report,
    configuration_id,
    mds,
    segment_attributes,
    segments_of,
)
from simulators.ieee11073.reports import AGENT_INITIATED, EVENTS, scan_report, segment_data, segment_event
from simulators.meter import Meter, Stored

__all__ = ["Agent", "State"]

AARQ, AARE, RLRQ, RLRE, ABRT, PRST = 0xE200, 0xE300, 0xE400, 0xE500, 0xE600, 0xE700
CONFIRMED_REPORT, REPORT_REPLY = 0x0101, 0x0201
GET, GET_REPLY = 0x0103, 0x0203
ACTION, ACTION_REPLY, ERROR = 0x0107, 0x0207, 0x0300
SEG_CLR, SEG_GET_INFO, SET_TIME, DATA_REQUEST, SEG_TRIG_XFER, SET_BO_TIME = (
    0x0C0C,
    0x0C0D,
    0x0C17,
    0x0C1B,
    0x0C1C,
    0x0C1D,
)
CONFIRM = 0x0080
ASSOCIATE_S, CONFIRM_S, RELEASE_S, AGAIN_S = 10.0, 3.0, 3.0, 2.0
ATTEMPTS = 3
"""Requests without an answer, and associations after an abort, before it waits for the cable or a new test."""


class State(StrEnum):
    """States of an agent."""

    UNASSOCIATED = "unassociated"
    ASSOCIATING = "associating"
    CONFIGURING = "configuring"
    OPERATING = "operating"
    DISASSOCIATING = "disassociating"


class _Report(NamedTuple):
    tests: tuple[Stored, ...]
    body: bytes


class Agent:
    """A meter as an 11073 agent.

    Args:
        meter: who it is and what it remembers.
        dialect: how it speaks.
        deliveries: its list of what was confirmed.
        present: what time it really is; the meter's clock shows something that follows from it.
        faults: what goes wrong.
    """

    def __init__(
        self,
        meter: Meter,
        dialect: Dialect,
        deliveries: Deliveries,
        present: Callable[[], datetime],
        faults: Iterable[Fault] = (),
    ) -> None:
        self.meter = meter
        self.deliveries = deliveries
        self.state = State.UNASSOCIATED
        self.clock_was_set_to: bytes | None = None
        self.aborts: list[int] = []
        self._dialect = dialect
        self._present = present
        self._faults = {fault.kind: fault.at for fault in faults}
        self._input = bytearray()
        self._out: list[bytes] = []
        self._now_s = 0.0
        self._deadline_s: float | None = None
        self._attempts = 0
        self._broken_off = 0
        self._standard_refused = False
        self._reports: deque[_Report] = deque()
        self._outstanding: tuple[int, _Report, bytes] | None = None
        self._invoke_id = 0
        self._report_number = 0
        self._sent_reports = 0
        self._tests_over = False

    # What the cable does --------------------------------------------------------------------------------------

    def connected(self, now_s: float) -> list[bytes]:
        """The cable is in, or the far end opened the port."""
        self._begin(now_s)
        self._input.clear()
        self.state = State.UNASSOCIATED
        self._outstanding = None
        self._deadline_s = None
        self._broken_off = 0
        if self._takes(FaultKind.STALE_FIRST):
            self._out.append(e.data_apdu(77, REPORT_REPLY, e.u16(0) + e.u32(0) + e.u16(0x0D1D, 0)))
        if FaultKind.SILENT not in self._faults and self.has_something():
            self._attempts = 0
            self._associate()
        return self._out

    def receive(self, octets: bytes, now_s: float) -> list[bytes]:
        """Octets from the manager, in any chunking."""
        self._begin(now_s)
        self._input += octets
        while len(self._input) >= 4:
            size = 4 + int.from_bytes(self._input[2:4], "big")
            if len(self._input) < size:
                break
            apdu = bytes(self._input[:size])
            del self._input[:size]
            self._apdu(apdu)
        return self._out

    def tick(self, now_s: float) -> list[bytes]:
        """Time passed."""
        self._begin(now_s)
        if self._deadline_s is None or now_s < self._deadline_s:
            return []
        self._deadline_s = None
        if self.state is State.ASSOCIATING and self._attempts < ATTEMPTS:
            self._associate()
        elif self.state is State.UNASSOCIATED:
            self._attempts = 0
            self._associate()
        else:
            self._abort(2)
        return self._out

    @property
    def deadline_s(self) -> float | None:
        """When `tick` has something to do."""
        return self._deadline_s

    def lost(self) -> None:
        """The cable is out; what was not confirmed stays."""
        self.state = State.UNASSOCIATED
        self._outstanding = None
        self._deadline_s = None

    def has_something(self) -> bool:
        """Whether there is a reason to associate."""
        return bool(self._to_send()) or not self._tests_over

    def wake(self, now_s: float) -> list[bytes]:
        """A new test was made while the cable is in."""
        self._begin(now_s)
        self.deliveries.note_memory()
        if self.state is State.UNASSOCIATED and self._to_send():
            self._attempts = 0
            self._associate()
        elif self.state is State.OPERATING and self._dialect.transfer is Transfer.LIVE:
            self._queue_live()
            self._next_report()
        return self._out

    # APDUs ----------------------------------------------------------------------------------------------------

    def _begin(self, now_s: float) -> None:
        self._out = []
        self._now_s = now_s

    def _to_send(self) -> tuple[Stored, ...]:
        return self.deliveries.unsent if self._dialect.sent_once else self.meter.memory

    def _takes(self, kind: FaultKind) -> bool:
        """Whether a fault that happens once happens now."""
        return self._faults.pop(kind, None) is not None

    def _apdu(self, apdu: bytes) -> None:
        choice = int.from_bytes(apdu[:2], "big")
        if choice == ABRT:
            self.aborts.append(int.from_bytes(apdu[4:6], "big"))
            self._broke_off()
        elif choice == RLRQ:
            self._send(e.apdu(RLRE, e.u16(0)))
            self._tests_over = True
            self.lost()
        elif choice == RLRE and self.state is State.DISASSOCIATING:
            self._tests_over = True
            self.lost()
        elif choice == AARE and self.state is State.ASSOCIATING:
            self._response(int.from_bytes(apdu[4:6], "big"))
        elif choice == PRST and self.state in (State.CONFIGURING, State.OPERATING):
            self._operation(apdu[6:])
        elif not (choice == PRST and self.state is State.DISASSOCIATING):
            self._abort(0)

    def _associate(self) -> None:
        dialect = self._dialect
        self._attempts += 1
        self.state = State.ASSOCIATING
        self._deadline_s = self._now_s + ASSOCIATE_S
        config = configuration_id(dialect, is_standard_refused=self._standard_refused)
        asked = dialect.transfer is Transfer.ASKED
        flags = 0x0880 if asked else 0x0001
        units = 0x20000000 if dialect.test_association else 0
        body = (
            e.u32(0x80000000)
            + e.u16(0x8000)
            + e.u32(0x80000000)
            + e.u32(units)
            + e.u32(0x00800000)
            + e.octet_string(bytes.fromhex(dialect.system_id))
            + e.u16(config, flags)
            + (b"\x00\x01" if asked else b"\x01\x00")
            + e.sequence([])
        )
        request = e.apdu(AARQ, e.u32(0x80000000) + e.sequence([e.u16(20601) + e.octet_string(body)]))
        self._send(request)
        if self._takes(FaultKind.ASKS_TWICE):
            self._send(request)

    def _response(self, result: int) -> None:
        if result == 0:
            self._operate()
        elif result == 3:
            self.state = State.CONFIGURING
            self._configure()
        else:
            self.lost()

    def _configure(self) -> None:
        config = configuration_id(self._dialect, is_standard_refused=self._standard_refused)
        self._report(_Report((), self._event(0, 0x0D1C, config_report(self._dialect, config))))

    def _event(self, handle: int, event: int, information: bytes) -> bytes:
        return e.u16(handle) + e.u32(0xFFFFFFFF) + e.u16(event) + e.octet_string(information)

    def _report(self, report: _Report) -> None:
        """Send a confirmed event report and wait for its reply."""
        self._invoke_id = 1 if self._dialect.one_invoke_id else self._invoke_id % 0x7FFF + 1
        octets = e.data_apdu(self._invoke_id, CONFIRMED_REPORT, report.body)
        if report.tests:
            octets = self._spoilt(octets)
            if not octets:
                return
        self._outstanding = (self._invoke_id, report, octets)
        self._deadline_s = self._now_s + (CONFIRM_S if report.tests else ASSOCIATE_S)
        self._send(octets)

    def _spoilt(self, octets: bytes) -> bytes:
        """A report as the faults leave it; empty when an abort takes its place."""
        self._sent_reports += 1
        at = self._sent_reports
        if self._faults.get(FaultKind.ABORTS) == at:
            del self._faults[FaultKind.ABORTS]
            self._abort(0)
            return b""
        if self._faults.get(FaultKind.BAD_INSIDE) == at:
            # The length inside the event information promises one octet more than there is.
            place = 34 if octets[18:20] == e.u16(0x0D21) else 28
            return _one_more(octets, place)
        return _one_more(octets, 10) if self._faults.get(FaultKind.BAD_OUTSIDE) == at else octets

    def _operation(self, operation: bytes) -> None:
        invoke_id, choice = int.from_bytes(operation[:2], "big"), int.from_bytes(operation[2:4], "big")
        body = operation[6:]
        if choice in (REPORT_REPLY, ERROR):
            self._replied(invoke_id, choice, body)
        elif FaultKind.NO_ANSWER in self._faults:
            return
        elif choice == GET:
            self._tell_mds(invoke_id)
        elif choice == ACTION:
            self._ordered(invoke_id, body)
        else:
            self._send(e.data_apdu(invoke_id, ERROR, e.u16(24) + e.octet_string(b"")))

    def _replied(self, invoke_id: int, choice: int, body: bytes) -> None:
        if self._outstanding is None or self._outstanding[0] != invoke_id:
            return
        _, report, octets = self._outstanding
        self._outstanding, self._deadline_s = None, None
        if choice == ERROR:
            self._abort(0)
            return
        if self.state is State.CONFIGURING:
            self._configured(int.from_bytes(body[12:14], "big"))
            return
        is_segment = int.from_bytes(body[6:8], "big") == 0x0D21
        if is_segment and not int.from_bytes(body[20:22], "big") & CONFIRM:
            self._reports.clear()
            return
        self.deliveries.received(report.tests, octets)
        if self._faults.get(FaultKind.LOST_CONFIRMATION) == self._sent_reports:
            del self._faults[FaultKind.LOST_CONFIRMATION]
            self._outstanding, self._deadline_s = (invoke_id, report, octets), self._now_s + CONFIRM_S
            self._send(octets)
            return
        self._next_report()

    def _configured(self, result: int) -> None:
        if result == 0:
            self._operate()
        elif result == 2 and self._dialect.standard_first is not None:
            self._standard_refused = True
            self._configure()
        else:
            self._send(e.apdu(RLRQ, e.u16(2)))
            self.state = State.DISASSOCIATING
            self._deadline_s = self._now_s + RELEASE_S

    # Operation ------------------------------------------------------------------------------------------------

    def _operate(self) -> None:
        self.state = State.OPERATING
        self._deadline_s = None
        self._reports.clear()
        if self._dialect.eager:
            self._queue_live()
            self._next_report()

    def _ticks(self) -> int:
        return int(self._now_s * 8000) & 0xFFFFFFFF

    def _queue_live(self) -> None:
        if self._dialect.transfer is not Transfer.LIVE or self._reports or self._outstanding is not None:
            return
        tests = self._to_send()
        for start in range(0, len(tests), self._dialect.tests_per_report):
            some = tests[start : start + self._dialect.tests_per_report]
            self._report_number += 1
            info = scan_report(some, self._dialect, AGENT_INITIATED, self._report_number & 0xFFFF, self._ticks())
            self._reports.append(_Report(some, self._event(0, EVENTS[self._dialect.form], info)))

    def _next_report(self) -> None:
        if self._outstanding is not None or self.state is not State.OPERATING:
            return
        if self._reports:
            self._report(self._reports.popleft())
        elif self._dialect.transfer is Transfer.LIVE and self._dialect.releases:
            self._send(e.apdu(RLRQ, e.u16(0)))
            self.state = State.DISASSOCIATING
            self._deadline_s = self._now_s + RELEASE_S

    def _tell_mds(self, invoke_id: int) -> None:
        if FaultKind.REFUSES_MDS in self._faults:
            self._send(e.data_apdu(invoke_id, ERROR, e.u16(2) + e.octet_string(b"")))
        else:
            shown = self.meter.clock.shows(self._present())
            told = mds(self.meter.identity, self._dialect, shown, self._ticks())
            self._send(e.data_apdu(invoke_id, GET_REPLY, e.u16(0) + told))
        self._queue_live()
        self._next_report()

    def _ordered(self, invoke_id: int, body: bytes) -> None:
        handle, action = int.from_bytes(body[:2], "big"), int.from_bytes(body[2:4], "big")
        info = body[6:]
        reply: bytes | None = None
        if action == SEG_GET_INFO and handle == STORE:
            reply = e.sequence(
                e.u16(segment.instance) + segment_attributes(segment, self._dialect) for segment in self._segments()
            )
        elif action == SEG_TRIG_XFER and handle == STORE:
            reply = self._triggered(int.from_bytes(info[:2], "big"))
        elif action == SEG_CLR and handle == STORE:
            chosen = info[8:] if int.from_bytes(info[:2], "big") == 2 else b""
            instances = [int.from_bytes(chosen[n : n + 2], "big") for n in range(0, len(chosen), 2)]
            self.deliveries.cleared(instances)
            for segment in self._segments():
                if not instances or segment.instance in instances:
                    self.meter.delete(segment.tests)
            reply = b""
        elif action in (SET_TIME, SET_BO_TIME) and self._dialect.settable:
            self.clock_was_set_to = info[:8]
            reply = b""
        elif action == DATA_REQUEST and self._dialect.transfer is Transfer.ASKED:
            request = int.from_bytes(info[:2], "big")
            report = scan_report(self._to_send(), self._dialect, request, 0, self._ticks())
            reply = e.u32(0) + e.u16(0, EVENTS[self._dialect.form]) + e.octet_string(report)
        if reply is None:
            self._send(e.data_apdu(invoke_id, ERROR, e.u16(9) + e.octet_string(b"")))
            return
        self._send(e.data_apdu(invoke_id, ACTION_REPLY, e.u16(handle, action) + e.octet_string(reply)))
        self._next_report()

    def _segments(self) -> list[Segment]:
        return segments_of(self.meter.memory, self._dialect)

    def _triggered(self, instance: int) -> bytes:
        later = self._faults.get(FaultKind.TRY_LATER, 0)
        if later:
            self._faults[FaultKind.TRY_LATER] = later - 1
            return e.u16(instance, 2)
        segment = next((each for each in self._segments() if each.instance == instance), None)
        if segment is None or not segment.tests:
            return e.u16(instance, 1 if segment is None else 3)
        size = self._dialect.entries_per_event
        for number, start in enumerate(range(0, len(segment.tests), size), start=1):
            gives_up = self._faults.get(FaultKind.BREAKS_SEGMENT) == number
            information, tests = segment_event(segment, start, size, self._dialect, gives_up=gives_up)
            self._reports.append(_Report(tests, segment_data(STORE, information)))
            if gives_up:
                del self._faults[FaultKind.BREAKS_SEGMENT]
                break
        return e.u16(instance, 0)

    def _abort(self, reason: int) -> None:
        self._send(e.apdu(ABRT, e.u16(reason)))
        self._broke_off()

    def _broke_off(self) -> None:
        """After an abort it asks again, a few times."""
        if self.state is State.UNASSOCIATED:
            return
        self.lost()
        if self._to_send() and self._broken_off < ATTEMPTS:
            self._broken_off += 1
            self._deadline_s = self._now_s + AGAIN_S

    def _send(self, apdu: bytes) -> None:
        self._out.append(apdu)


def _one_more(octets: bytes, place: int) -> bytes:
    """The same octets with a larger length at a place."""
    return octets[:place] + e.u16(int.from_bytes(octets[place : place + 2], "big") + 1) + octets[place + 2 :]
