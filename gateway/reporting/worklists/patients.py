"""Lists of patients: units that wait for tests, and orders."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from typing import NamedTuple

from gateway.reporting.claims.tallied import Tallied
from gateway.reporting.units.calendar import add_months
from gateway.reporting.units.model import TESTS_PER_UNIT
from gateway.reporting.worklists.book import Entry
from gateway.reporting.worklists.tested import ended, home_test_days, last_contact, sunday

__all__ = ["Aging", "Orders", "aging", "orders"]


class Aging(NamedTuple):
    """A unit that is not complete yet. A gap alone never makes a partial unit of it (rule R17).

    Attributes:
        expected_week: the Sunday of the week in which the next test is expected.
        value_cents: what the whole unit would be charged at, where a price table says so.
    """

    patient: str
    pending: str
    tests: str
    last_test: dt.date
    days_since: int
    next_counts_from: dt.date | None
    expected_week: dt.date | None
    missed_weeks: int
    last_contact: dt.date | None
    value_cents: int | None


class Orders(NamedTuple):
    """An order that ends soon, has ended, or is missing."""

    patient: str
    signed_on: dt.date | None
    expires_on: dt.date | None
    days_left: int | None
    words: str


def aging(book: Iterable[Entry], price: Callable[[str, str, dt.date], int | None]) -> list[Aging]:
    """Patients with one to three pending tests: three of four first, then the longest silence.

    Args:
        book: all patients.
        price: what a whole unit is charged at, by code, payer and day; None where nobody has said so.
    """
    found = []
    for entry in book:
        tallied = entry.current
        if tallied is None or not tallied.statement.pending or ended(entry, tallied):
            continue
        statement, tests = tallied.statement, tallied.tests()
        following = statement.next_eligible.test_from
        days = [tallied.day_of(tests[test].taken_at) for test in statement.pending]
        last = max(home_test_days(tallied, entry.as_of), default=max(days))
        found.append(
            Aging(
                entry.patient_id,
                f"{len(days)} of {TESTS_PER_UNIT}",
                " ".join(map(str, days)),
                last,
                (entry.as_of - last).days,
                following,
                None if following is None else sunday(following),
                len(statement.missed_weeks),
                last_contact(entry),
                price(tallied.policy.service, tallied.period.payer, entry.as_of),
            )
        )
    return sorted(found, key=lambda row: (-int(row.pending[0]), -row.days_since, row.patient))


def orders(book: Iterable[Entry], within_days: int) -> list[Orders]:
    """Orders that end within so many days, have ended without a successor, or are missing."""
    found = []
    for entry in book:
        tallied = entry.current
        if tallied is None or ended(entry, tallied):
            continue
        spans = [
            (order.signed_on, order.expires_on or _house_expiry(tallied, order.signed_on))
            for order in tallied.inputs.enrollment.orders
        ]
        if not spans:
            found.append(Orders(entry.patient_id, None, None, None, "no signed order is on file"))
            continue
        signed, expires = max(spans, key=lambda span: span[1] or dt.date.max)
        if expires is None:
            continue
        left = (expires - entry.as_of).days
        if left <= within_days:
            words = "ended: tests after it do not count" if left < 0 else "ends soon: ask for a new one"
            found.append(Orders(entry.patient_id, signed, expires, left, words))
    return sorted(found, key=lambda row: (row.days_left is not None, row.days_left or 0, row.patient))


def _house_expiry(tallied: Tallied, signed_on: dt.date) -> dt.date | None:
    months = tallied.policy.order_valid_months
    return None if months is None else add_months(signed_on, months)
