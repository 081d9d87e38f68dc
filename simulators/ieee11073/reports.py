"""Scan reports and segment data events: what the agent sends of its memory."""

from __future__ import annotations

from collections.abc import Sequence

from simulators.ieee11073 import encoding as e
from simulators.ieee11073.dialect import Dialect, Form
from simulators.ieee11073.objects import HANDLE, Observed, Segment, entry, observed
from simulators.meter import Stored

__all__ = ["AGENT_INITIATED", "EVENTS", "scan_report", "segment_data", "segment_event"]

AGENT_INITIATED = 0xF000
EVENTS = {Form.FIXED: 0x0D1D, Form.VARIABLE: 0x0D1E, Form.PERSON_FIXED: 0x0D1F, Form.PERSON_VARIABLE: 0x0D20}
_SEGMENT_EVENT = 0x0D21
_FIRST, _LAST = 0x8000, 0x4000


def scan_report(tests: Sequence[Stored], dialect: Dialect, request: int, number: int, ticks: int) -> bytes:
    """Event information of a scan report with all observations of some tests."""
    is_fixed = dialect.form in (Form.FIXED, Form.PERSON_FIXED)
    scans = [_scan(each, is_fixed=is_fixed) for test in tests for each in observed(test, dialect, ticks)]
    front = e.u16(request, number)
    if dialect.form in (Form.PERSON_FIXED, Form.PERSON_VARIABLE):
        return front + e.sequence([e.u16(dialect.person) + e.sequence(scans)])
    return front + e.sequence(scans)


def _scan(each: Observed, *, is_fixed: bool) -> bytes:
    handle = e.u16(HANDLE[each.term])
    if is_fixed:
        return handle + e.octet_string(b"".join(value for _, value in each.values))
    return handle + e.attributes(each.values)


def segment_event(
    segment: Segment, start: int, count: int, dialect: Dialect, *, gives_up: bool = False
) -> tuple[bytes, tuple[Stored, ...]]:
    """Event information of one segment data event, and the tests in it."""
    tests = segment.tests[start : start + count]
    entries = [entry(test, dialect) for test in tests]
    status = 0x0800 if gives_up else 0
    status |= _FIRST if start == 0 else 0
    status |= _LAST if start + count >= len(segment.tests) and not gives_up else 0
    description = e.u16(segment.instance) + e.u32(start) + e.u32(len(entries)) + e.u16(status)
    return description + e.octet_string(b"".join(entries)), tests


def segment_data(store: int, information: bytes) -> bytes:
    """Body of the event report that carries it."""
    return e.u16(store) + e.u32(0xFFFFFFFF) + e.u16(_SEGMENT_EVENT) + e.octet_string(information)
