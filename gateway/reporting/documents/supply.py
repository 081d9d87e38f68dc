"""A patient's strips from the record: what is on hand, and from when one may ask and deliver (rule R30)."""

from __future__ import annotations

import datetime as dt
import sqlite3
from typing import NamedTuple

from gateway.reporting.documents import kinds
from gateway.reporting.documents.papers import Papers, papers_of
from gateway.reporting.statements import Inputs, inputs_of
from gateway.reporting.units.calendar import zones
from gateway.reporting.units.interval import ordered_days
from gateway.reporting.units.supplies import DAYS_BETWEEN_TESTS, Delivery, Supply, supply
from gateway.store.opening import Role

__all__ = ["Stock", "stock", "stock_of"]


class Stock(NamedTuple):
    """The stock of strips on a day, and what is on record about it.

    Attributes:
        supply: on hand, exhausted, earliest contact and delivery.
        interval_days: days between tests as ordered, on which the dates rest.
        used: strips that the meter used: tests, errors and controls; `wasted` those lost otherwise.
        deliveries: up to the day, oldest first.
        contacts: days on which the patient was asked about a refill, up to the day.
    """

    supply: Supply
    interval_days: int
    used: int
    wasted: int
    deliveries: tuple[Delivery, ...]
    contacts: tuple[dt.date, ...]


def stock_of(
    database: sqlite3.Connection, patient_id: str, as_of: dt.date, role: Role, *, shipping_days: int = 0
) -> Stock:
    """The stock of one patient at the end of a local day.

    Args:
        database: the store.
        patient_id: whose.
        as_of: local day of the patient.
        role: of the store.
        shipping_days: days that a parcel takes.

    Raises:
        StatementError: the patient is not enrolled, or has no zone of record.
        BadValueError: `shipping_days` is negative.
    """
    inputs = inputs_of(database, patient_id, as_of, role)
    return stock(inputs, papers_of(database, patient_id), as_of, shipping_days=shipping_days)


def stock(inputs: Inputs, papers: Papers, as_of: dt.date, *, shipping_days: int = 0) -> Stock:
    """The same from facts that were read already. Errors as for `stock_of`."""
    local = zones(inputs.enrollment.tz, inputs.enrollment.tz_history)
    # A strip is used once, whatever was corrected or withdrawn afterwards.
    tests = [
        test._replace(corrects=None)
        for test in inputs.tests
        if dt.date.fromordinal(local.day_of(test.taken_at)) <= as_of
    ]
    deliveries = sorted(
        Delivery(paper.date, paper.strips, paper.proof)
        for paper in papers.of(kinds.SupplyDelivery)
        if paper.date <= as_of
    )
    wasted = sum(paper.strips for paper in papers.of(kinds.SupplyWaste) if paper.date <= as_of)
    interval_days = ordered_days(inputs.enrollment, as_of) or DAYS_BETWEEN_TESTS
    found = supply(deliveries, tests, wasted, as_of, interval_days=interval_days, shipping_days=shipping_days)
    return Stock(
        found,
        interval_days,
        sum(delivery.strips for delivery in deliveries) - wasted - found.on_hand,
        wasted,
        tuple(deliveries),
        tuple(sorted(paper.date for paper in papers.of(kinds.SupplyContact) if paper.date <= as_of)),
    )
