"""How often the exceptions are used: early tests must not become the norm (rule R7)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from gateway.reporting.claims.tallied import Tallied
from gateway.reporting.units.screening import EARLY, LATE_AFTER_DAYS
from gateway.reporting.worklists.book import Entry

__all__ = ["Pattern", "pattern"]


class Pattern(NamedTuple):
    """Shares of the supplier as a whole (patient is empty), and of each patient with any exception, in percent.

    Attributes:
        errors: runs of the meter without a result; their share is that of all runs. With the missed weeks it tells
            whether the meter is still used correctly (rule R38).
    """

    scope: str
    patient: str
    tests: int
    early: int
    early_percent: float
    manual: int
    manual_percent: float
    late: int
    late_percent: float
    errors: int
    errors_percent: float
    missed_weeks: int


class _Counts:
    def __init__(self) -> None:
        self.tests = self.early = self.manual = self.late = self.errors = self.missed = 0

    def add(self, other: _Counts) -> None:
        self.tests += other.tests
        self.early += other.early
        self.manual += other.manual
        self.late += other.late
        self.errors += other.errors
        self.missed += other.missed

    def row(self, scope: str, patient: str) -> Pattern:
        return Pattern(
            scope,
            patient,
            self.tests,
            self.early,
            _percent(self.early, self.tests),
            self.manual,
            _percent(self.manual, self.tests),
            self.late,
            _percent(self.late, self.tests),
            self.errors,
            _percent(self.errors, self.tests + self.errors),
            self.missed,
        )


def pattern(book: Iterable[Entry], supplier: str) -> list[Pattern]:
    """Early, manual and late tests and errors of the supplier, then of each patient who has any, the most first.

    A test is early when the record gives an accepted reason for it, late when its evidence came more than seven
    days after it. Controls, errors and void tests are left aside.

    Args:
        book: all patients.
        supplier: its name.
    """
    total = _Counts()
    rows = []
    for entry in book:
        counts = _Counts()
        for tallied in entry.tallies[-1:]:
            _count(tallied, entry, counts)
        total.add(counts)
        if counts.early or counts.manual or counts.late or counts.errors:
            rows.append(counts.row("patient", entry.patient_id))
    rows.sort(key=_most)
    return [total.row(supplier, ""), *rows]


def _most(row: Pattern) -> tuple[float, float, str]:
    return -(row.early_percent + row.manual_percent + row.late_percent), -row.errors_percent, row.patient


def _count(tallied: Tallied, entry: Entry, counts: _Counts) -> None:
    counts.missed += len(tallied.statement.missed_weeks)
    for test in tallied.inputs.tests:
        day = tallied.day_of(test.taken_at)
        counts.errors += test.kind == "error" and day <= entry.as_of
        if test.kind != "patient" or test.voided or day > entry.as_of:
            continue
        counts.tests += 1
        counts.early += test.reason_early is not None and test.reason_early.category in EARLY
        counts.manual += test.source == "manual"
        evidence = test.acknowledged_at
        counts.late += evidence is not None and (tallied.day_of(evidence) - day).days > LATE_AFTER_DAYS


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else 0.0
