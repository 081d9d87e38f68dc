"""From the store to a patient's summary: reads tests and target ranges, then calls the pure figures."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

from gateway.clock import moment, utc
from gateway.reporting.summary import GAP_LIMIT_DAYS, Measured, Summary, Target, summarise
from gateway.reporting.units.calendar import Zones, zones
from gateway.reporting.units.model import ZoneChange
from gateway.store import limits as stated
from gateway.store import tallies, tested
from gateway.store.opening import Role
from gateway.store.tested import Tested

__all__ = ["measured", "summary_of", "targets"]

_SIMULATED = ("simulator", "replay")


def summary_of(
    database: sqlite3.Connection,
    patient_id: str,
    role: Role,
    first: dt.date,
    last: dt.date,
    *,
    gap_limit_days: int = GAP_LIMIT_DAYS,
    provider_id: str | None = None,
) -> Summary:
    """The summary of a patient from one local day to another, both included.

    Args:
        database: the store.
        patient_id: whose.
        role: of the store; simulated and replayed results count on a rig only.
        first: nothing before it is used, not even to draw a line to the first test.
        last: nor anything after it.
        gap_limit_days: no line is drawn across a longer interval.
        provider_id: against the targets as this provider states them; None: as all who treat do.
    """
    local = _zones(database, patient_id)
    tests = [
        test
        for test in measured(tallies.tested(database, patient_id), local, role)
        if first.toordinal() <= test.day <= last.toordinal()
    ]
    return summarise(tests, targets(database, patient_id, first, last, provider_id), gap_limit_days)


def measured(tests: Iterable[Tested], local: Zones, role: Role) -> list[Measured]:
    """The tests of a patient as the figures want them.

    Left aside: what waits in quarantine, what was taken back, controls, and, on a production server, what is
    simulated. An error is kept: no line is drawn across it.
    """
    found = []
    for test in tests:
        if test.kind == "error":
            day = dt.datetime.fromisoformat(test.taken_at).date().toordinal() if _is_date(test.taken_at) else None
            if day is not None:
                found.append(Measured(day, test.taken_at, None))
        elif test.kind == "patient" and test.status not in ("retracted", "") and not test.held:
            if role == "production" and test.origin in _SIMULATED:
                continue
            at = moment(test.taken_at)
            value, off_scale = _value(test.inr)
            found.append(Measured(local.day(at), test.taken_at, value, off_scale))
    return found


def targets(
    database: sqlite3.Connection, patient_id: str, first: dt.date, last: dt.date, provider_id: str | None = None
) -> list[Target]:
    """The target ranges of the time, each from its day on; a day without one has none."""
    days = sorted({first, *stated.days_of_change(database, patient_id, first, last)})
    found: list[Target] = []
    for day in days:
        noon = utc(dt.datetime.combine(day, dt.time(12), dt.UTC))
        target = stated.numbers(database, patient_id, day, noon, provider_id).target
        if target is None:
            found.append(Target(day.toordinal(), Decimal(0), Decimal(0), stated=False))
        else:
            found.append(Target(day.toordinal(), target.low, target.high))
    return found


def _zones(database: sqlite3.Connection, patient_id: str) -> Zones:
    history = tuple(
        ZoneChange(dt.date.fromisoformat(start), name) for start, name in tested.zones(database, patient_id)
    )
    return zones(history[0].tz if history else "UTC", history)


def _value(inr: str) -> tuple[Decimal | None, bool]:
    off_scale = inr[:1] in ("<", ">")
    try:
        return Decimal(inr.lstrip("<>")), off_scale
    except InvalidOperation:
        return None, False


def _is_date(text: str) -> bool:
    try:
        dt.datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
