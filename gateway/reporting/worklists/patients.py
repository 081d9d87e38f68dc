"""Lists of patients: units that wait for tests, missed weeks, orders, strips."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from gateway.reporting.claims.tallied import Tallied
from gateway.reporting.documents import kinds
from gateway.reporting.units import Test
from gateway.reporting.units.calendar import add_months
from gateway.reporting.units.eligibility import end_of_service
from gateway.reporting.units.model import TESTS_PER_UNIT
from gateway.reporting.units.supplies import Delivery, supply
from gateway.reporting.worklists.book import Entry

__all__ = ["Aging", "Missed", "Orders", "Supplies", "aging", "missed_week", "orders", "supplies"]


class Aging(NamedTuple):
    """A unit that is not complete yet. A gap alone never makes a partial unit of it (rule R17)."""

    patient: str
    pending: str
    tests: str
    last_test: dt.date
    days_since: int
    next_counts_from: dt.date | None
    missed_weeks: int


class Missed(NamedTuple):
    """A test that is missing on its way, and who must see to it.

    Attributes:
        what: ``not tested`` (outreach), ``not reported`` (our delivery) or ``not acknowledged`` (the provider).
        week: the Sunday on which its week begins.
    """

    what: Literal["not tested", "not reported", "not acknowledged"]
    patient: str
    week: dt.date
    test: str
    taken_on: dt.date | None
    days: int
    missed_weeks: int


class Orders(NamedTuple):
    """An order that ends soon, has ended, or is missing."""

    patient: str
    signed_on: dt.date | None
    expires_on: dt.date | None
    days_left: int | None
    words: str


class Supplies(NamedTuple):
    """Strips on hand, and when a refill may be asked for and delivered (rule R30)."""

    patient: str
    on_hand: int
    exhausted_on: dt.date
    contact_from: dt.date
    deliver_from: dt.date
    last_contact: dt.date | None
    unproven: str
    words: str


def aging(book: Iterable[Entry]) -> list[Aging]:
    """Patients with one to three pending tests: three of four first, then the longest silence."""
    found = []
    for entry in book:
        tallied = entry.current
        if tallied is None or not tallied.statement.pending or _ended(entry, tallied):
            continue
        statement, tests = tallied.statement, tallied.tests()
        days = [tallied.day_of(tests[test].taken_at) for test in statement.pending]
        last = max(_home_test_days(tallied, entry.as_of), default=max(days))
        found.append(
            Aging(
                entry.patient_id,
                f"{len(days)} of {TESTS_PER_UNIT}",
                " ".join(map(str, days)),
                last,
                (entry.as_of - last).days,
                statement.next_eligible.test_from,
                len(statement.missed_weeks),
            )
        )
    return sorted(found, key=lambda row: (-int(row.pending[0]), -row.days_since, row.patient))


def missed_week(book: Iterable[Entry], weekday: int) -> list[Missed]:
    """Who has not tested, and whose result is stuck: three lists with three owners.

    Args:
        book: all patients.
        weekday: 0 for Sunday to 6 for Saturday. Before this day of the week only the week before is asked about.
    """
    found: list[Missed] = []
    for entry in book:
        tallied = entry.current
        if tallied is None:
            continue
        found += _stuck(entry, tallied)
        if not _ended(entry, tallied) and tallied.statement.next_eligible.test_from is not None:
            found += _untested(entry, tallied, weekday)
    rank = {"not tested": 0, "not reported": 1, "not acknowledged": 2}
    return sorted(found, key=lambda row: (rank[row.what], row.week, row.patient, row.test))


def orders(book: Iterable[Entry], within_days: int) -> list[Orders]:
    """Orders that end within so many days, have ended without a successor, or are missing."""
    found = []
    for entry in book:
        tallied = entry.current
        if tallied is None or _ended(entry, tallied):
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


def supplies(book: Iterable[Entry]) -> list[Supplies]:
    """Strips of every patient of whom a delivery is on record, the scarcest first."""
    found = []
    for entry in book:
        tallied = entry.current
        deliveries = [
            Delivery(paper.date, paper.strips, paper.proof) for paper in entry.papers.of(kinds.SupplyDelivery)
        ]
        if tallied is None or not deliveries or _ended(entry, tallied):
            continue
        wasted = sum(paper.strips for paper in entry.papers.of(kinds.SupplyWaste) if paper.date <= entry.as_of)
        known = [test for test in tallied.inputs.tests if tallied.day_of(test.taken_at) <= entry.as_of]
        stock = supply(deliveries, known, wasted, entry.as_of)
        contacts = [paper.date for paper in entry.papers.of(kinds.SupplyContact) if paper.date <= entry.as_of]
        words = "enough"
        if stock.on_hand < 0:
            words = "a delivery is missing from the record"
        elif entry.as_of >= stock.deliver_from:
            words = "deliver now"
        elif entry.as_of >= stock.contact_from:
            words = "ask about a refill"
        found.append(
            Supplies(
                entry.patient_id,
                stock.on_hand,
                stock.exhausted_on,
                stock.contact_from,
                stock.deliver_from,
                max(contacts, default=None),
                " ".join(map(str, stock.unproven)),
                words,
            )
        )
    return sorted(found, key=lambda row: (row.exhausted_on, row.patient))


def _stuck(entry: Entry, tallied: Tallied) -> Iterator[Missed]:
    """Tests that are no evidence yet, of whatever week."""
    waiting = {each.test for each in tallied.statement.not_covered if each.reason == "NOT_ACKNOWLEDGED"}
    for test in tallied.inputs.tests:
        if test.id in waiting:
            day = tallied.day_of(test.taken_at)
            yield Missed(
                "not reported" if test.reported_at is None else "not acknowledged",
                entry.patient_id,
                _sunday(day),
                test.id,
                day,
                (entry.as_of - day).days,
                len(tallied.statement.missed_weeks),
            )


def _untested(entry: Entry, tallied: Tallied, weekday: int) -> Iterator[Missed]:
    week = _sunday(entry.as_of)
    if (entry.as_of - week).days < weekday:
        week -= dt.timedelta(days=7)
    days = _home_test_days(tallied, entry.as_of)
    if any(_sunday(day) == week for day in days) or week + dt.timedelta(days=6) < _first_day(tallied):
        return
    last = max(days, default=None)
    yield Missed(
        "not tested",
        entry.patient_id,
        week,
        "",
        last,
        (entry.as_of - last).days if last else 0,
        len(tallied.statement.missed_weeks),
    )


def _home_test_days(tallied: Tallied, as_of: dt.date) -> list[dt.date]:
    days = [tallied.day_of(test.taken_at) for test in tallied.inputs.tests if _home_test(test)]
    return [day for day in days if day <= as_of]


def _home_test(test: Test) -> bool:
    return test.kind == "patient" and not test.voided


def _first_day(tallied: Tallied) -> dt.date:
    """From when a test was expected at all: after the training, under this payer."""
    enrollment = tallied.inputs.enrollment
    return max(enrollment.training_date or dt.date.min, enrollment.covered_from or dt.date.min)


def _house_expiry(tallied: Tallied, signed_on: dt.date) -> dt.date | None:
    months = tallied.policy.order_valid_months
    return None if months is None else add_months(signed_on, months)


def _ended(entry: Entry, tallied: Tallied) -> bool:
    return end_of_service(tallied.inputs.events, entry.as_of.toordinal()) is not None


def _sunday(day: dt.date) -> dt.date:
    return day - dt.timedelta(days=(day.weekday() + 1) % 7)
