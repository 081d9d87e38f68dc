"""Tests beside the units, and who bears them (rules R6, R8, R9, R11, R12): a list, never a line of a claim.

No source says how extra tests are expressed on a claim, so nothing is made of them here but the facts that a person
needs: what was ordered and signed, when, and what modifier a claim would carry.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import NamedTuple

from gateway.reporting.claims.tallied import Tallied
from gateway.reporting.units import Test
from gateway.reporting.units.model import NotCovered
from gateway.reporting.units.reasons import WORDS
from gateway.reporting.worklists.book import Entry

__all__ = ["Extra", "extras"]


class Extra(NamedTuple):
    """A test in no unit that was performed all the same, and who bears it.

    Attributes:
        bears: ``patient`` only where order and notice were signed before the test.
        modifier: what a claim for it would carry.
    """

    patient: str
    period: int
    test: str
    date: dt.date
    reason: str
    category: str
    ordered_on: dt.date | None
    notice_signed_at: str
    bears: str
    modifier: str | None
    words: str


def extras(book: Iterable[Entry], within_days: int | None = None) -> list[Extra]:
    """Extra and second tests of the last `within_days`: what the patient bears, other extras, second tests."""
    found = []
    for entry in book:
        for tallied in entry.tallies:
            tests = tallied.tests()
            for refused in tallied.statement.not_covered:
                row = None if refused.liability == "none" else _extra(entry, tallied, tests[refused.test], refused)
                if row is not None and (within_days is None or (entry.as_of - row.date).days <= within_days):
                    found.append(row)
    return sorted(found, key=_order)


def _order(row: Extra) -> tuple[bool, bool, str, dt.date, str]:
    return row.bears != "patient", row.reason != "EXTRA_CLINICAL", row.patient, row.date, row.test


def _extra(entry: Entry, tallied: Tallied, test: Test, refused: NotCovered) -> Extra:
    return Extra(
        entry.patient_id,
        tallied.number,
        test.id,
        tallied.day_of(test.taken_at),
        refused.reason,
        "" if test.reason_early is None else test.reason_early.category,
        test.extra_order_signed_on,
        "" if test.abn_signed_at is None else test.abn_signed_at.isoformat(),
        refused.liability,
        refused.modifier,
        _words(tallied, test, refused),
    )


def _words(tallied: Tallied, test: Test, refused: NotCovered) -> str:
    if refused.reason != "EXTRA_CLINICAL":
        return f"{WORDS[refused.reason]}: charge nobody"
    if refused.modifier == "GA":
        return "ordered, and the notice (ABN) was signed before the test: the patient's"
    if refused.modifier == "GZ":
        return "ordered, but no notice (ABN) was signed before the test: a claim with GZ denies, charge nobody"
    if test.extra_order_signed_on is None or test.extra_order_signed_on > tallied.day_of(test.taken_at):
        return "no order was signed before the test: charge nobody"
    return "a notice (ABN) is of Original Medicare alone: only the plan's own decision before the service helps"
