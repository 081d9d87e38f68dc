"""What several lists ask of one patient: the days of tests, the last talk, whether the service has ended."""

from __future__ import annotations

import datetime as dt

from gateway.reporting.claims.tallied import Tallied
from gateway.reporting.documents.kinds import Contact, SupplyContact
from gateway.reporting.units import Test
from gateway.reporting.units.eligibility import end_of_service
from gateway.reporting.worklists.book import Entry

__all__ = ["ended", "home_test", "home_test_days", "last_contact", "sunday"]


def home_test(test: Test) -> bool:
    """Whether it is a patient's test that stands: no control, no error, not withdrawn."""
    return test.kind == "patient" and not test.voided


def home_test_days(tallied: Tallied, as_of: dt.date) -> list[dt.date]:
    """Local days of the tests up to a day."""
    days = [tallied.day_of(test.taken_at) for test in tallied.inputs.tests if home_test(test)]
    return [day for day in days if day <= as_of]


def last_contact(entry: Entry) -> dt.date | None:
    """The last day on which somebody spoke with the patient, about testing or about strips."""
    days = [paper.date for paper in entry.papers.of(Contact) if paper.reached]
    days += [paper.date for paper in entry.papers.of(SupplyContact)]
    return max((day for day in days if day <= entry.as_of), default=None)


def ended(entry: Entry, tallied: Tallied) -> bool:
    """Whether the service has ended under this payer."""
    return end_of_service(tallied.inputs.events, entry.as_of.toordinal()) is not None


def sunday(day: dt.date) -> dt.date:
    """The first day of its week."""
    return day - dt.timedelta(days=(day.weekday() + 1) % 7)
