"""Tests off the interval that their order names: for a person to look at, never counted differently (R18)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import NamedTuple

from gateway.reporting.units.interval import off_interval
from gateway.reporting.worklists.book import Entry

__all__ = ["Off", "interval"]


class Off(NamedTuple):
    """A test that came `days` after the one before, where the order said `ordered_days`."""

    patient: str
    test: str
    date: dt.date
    days: int
    ordered_days: int


def interval(book: Iterable[Entry], tolerance_days: int, within_days: int | None = None) -> list[Off]:
    """Tests off the ordered interval by more than `tolerance_days`, of the last `within_days`, the newest first.

    Orders without an interval say nothing. Where payers followed one another every test is named once.
    """
    found: dict[tuple[str, str], Off] = {}
    for entry in book:
        for tallied in entry.tallies:
            known = [test for test in tallied.inputs.tests if tallied.day_of(test.taken_at) <= entry.as_of]
            for off in off_interval(tallied.inputs.enrollment, known, tolerance_days):
                if within_days is None or (entry.as_of - off.date).days <= within_days:
                    found[entry.patient_id, off.test] = Off(entry.patient_id, *off)
    return sorted(found.values(), key=lambda off: (-off.date.toordinal(), off.patient, off.test))
