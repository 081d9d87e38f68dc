"""Tests off the ordered interval (rule R18): shown to a person, never counted differently."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from gateway.reporting.units.calendar import zones
from gateway.reporting.units.model import Enrollment, Order, Test


class OffInterval(NamedTuple):
    """A home test that came `days` after the one before, where the order in force said `ordered_days`."""

    test: str
    date: dt.date
    days: int
    ordered_days: int


def off_interval(enrollment: Enrollment, tests: Iterable[Test], tolerance_days: int = 0) -> tuple[OffInterval, ...]:
    """Home tests that came earlier or later than their order said, in the order of their times.

    Args:
        enrollment: its orders name the interval (`ordered_days`).
        tests: all tests; void ones, controls, errors and clinic tests are left aside.
        tolerance_days: days of difference that are not worth showing.
    """
    local = zones(enrollment.tz, enrollment.tz_history)
    tests = tuple(tests)
    corrected = {test.corrects for test in tests}
    days = sorted(
        (local.instant(test.taken_at), test.id, dt.date.fromordinal(local.day_of(test.taken_at)))
        for test in tests
        if test.kind == "patient" and not test.voided and test.id not in corrected
    )
    found: list[OffInterval] = []
    for (_, _, before), (_, test_id, day) in pairwise(days):
        ordered = ordered_days(enrollment, day)
        gap = (day - before).days
        if ordered is not None and abs(gap - ordered) > tolerance_days:
            found.append(OffInterval(test_id, day, gap, ordered))
    return tuple(found)


def ordered_days(enrollment: Enrollment, day: dt.date) -> int | None:
    """Days between tests as the order in force on `day` names them; None where none does.

    Of several orders the latest one signed holds, of two signed on one day the one that names an interval, then
    the one that holds longer.
    """
    active = [
        order
        for order in enrollment.orders
        if order.signed_on <= day and (order.expires_on is None or day <= order.expires_on)
    ]
    return max(active, key=_precedence).interval_days if active else None


def _precedence(order: Order) -> tuple[dt.date, bool, dt.date, int]:
    interval = order.interval_days
    return order.signed_on, interval is not None, order.expires_on or dt.date.max, interval or 0
