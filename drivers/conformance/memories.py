"""What the kit lets a simulated meter remember, and whether records say what was remembered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from drivers.conformance.simulator import StoredTest
from drivers.contract import DeviceTime, MeterRecord, RecordKind

__all__ = [
    "ALL_KINDS",
    "AROUND_SUMMER_TIME",
    "OFF_RANGE",
    "PRESENT",
    "TWO",
    "fits",
    "invented",
    "long",
    "missing",
    "named",
    "numbered",
]

PRESENT = datetime(2026, 3, 14, 12, 0, 5)
_NEVER_TRUE_BEFORE = datetime(2010, 1, 1)
"""Clocks that were never set begin to count before; nobody takes such a time for true."""


def _test(days_ago: int, kind: RecordKind, inr: str | None) -> StoredTest:
    return StoredTest(kind, PRESENT - timedelta(days=days_ago, minutes=3 * days_ago), inr, "")


def numbered(tests: Iterable[StoredTest], first: int = 1) -> tuple[StoredTest, ...]:
    """Tests with the numbers that a meter gives them, counting upwards."""
    return tuple(replace(test, number=str(number)) for number, test in enumerate(tests, first))


ALL_KINDS = numbered(
    (
        _test(35, RecordKind.PATIENT, "2.4"),
        _test(28, RecordKind.CONTROL, "2.7"),
        _test(21, RecordKind.PATIENT, ">8.0"),
        _test(14, RecordKind.ERROR, None),
        _test(7, RecordKind.PATIENT, "<0.8"),
        _test(1, RecordKind.PATIENT, "3.6"),
    )
)
"""The control would do as a patient's result, if it were taken for one."""
TWO = numbered((_test(7, RecordKind.PATIENT, ">8.0"), _test(1, RecordKind.PATIENT, "2.5")))
OFF_RANGE = (">8.0", "<0.8")
AROUND_SUMMER_TIME = numbered(
    StoredTest(RecordKind.PATIENT, shown, inr, "")
    for shown, inr in (
        (datetime(2025, 11, 2, 1, 30, 5), "2.1"),  # the hour comes twice in New York
        (datetime(2025, 11, 2, 1, 30, 5), "2.2"),
        (datetime(2026, 3, 8, 2, 30, 5), "2.3"),  # the hour does not exist there
        (datetime(2026, 3, 29, 2, 30, 5), "2.4"),  # nor in Berlin
        (datetime(2028, 2, 29, 23, 59, 59), "2.6"),  # ahead of the present, and a leap day
    )
)


def long(count: int) -> tuple[StoredTest, ...]:
    """So many results, one after another."""
    return numbered(
        StoredTest(RecordKind.PATIENT, PRESENT - timedelta(hours=6 * back), f"{1 + back % 60 / 10:.1f}", "")
        for back in range(count, 0, -1)
    )


def named(test: StoredTest) -> str:
    """How a test is called in a message."""
    return f"{test.inr or 'the error'} of {test.shown if test.shown is not None else 'a clock that was never set'}"


def fits(record: MeterRecord, test: StoredTest, *, may_lack_time: bool = False) -> bool:
    """Whether a record says of a test what the meter remembers of it, and nothing else.

    Args:
        record: what was decoded.
        test: what the meter remembers.
        may_lack_time: the clock was changed since, so that a meter may disown the time.
    """
    return record.kind is test.kind and _same_value(record, test.inr) and _same_time(record, test, may_lack_time)


def _same_value(record: MeterRecord, shown: str | None) -> bool:
    found = record.inr
    if shown is None:
        return found is None
    if found is None:
        return False
    comparator = shown[0] if shown[0] in "<>" else None
    number = Decimal(shown.removeprefix(comparator or ""))
    # Some protocols say "above the range" and not what the range is.
    return found.comparator == comparator and (found.value == number or (found.value is None and bool(comparator)))


def _same_time(record: MeterRecord, test: StoredTest, may_lack_time: bool) -> bool:
    time: DeviceTime | None = record.device_time
    local = None if time is None else time.local
    if test.shown is None:
        return local is None or local < _NEVER_TRUE_BEFORE
    return local == test.shown or (local is None and may_lack_time and time is not None)


def missing(
    tests: Sequence[StoredTest], records: Sequence[MeterRecord], *, may_lack_time: bool
) -> list[StoredTest]:
    """Tests of which no record tells."""
    return [test for test in tests if not any(fits(each, test, may_lack_time=may_lack_time) for each in records)]


def invented(
    tests: Sequence[StoredTest], records: Sequence[MeterRecord], *, may_lack_time: bool
) -> list[MeterRecord]:
    """Records that tell of no test."""
    return [each for each in records if not any(fits(each, test, may_lack_time=may_lack_time) for test in tests)]
