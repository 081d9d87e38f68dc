"""The four numbers a result is compared with, and what comparing says.

There is no default: without statements of the clinic, the provider or the patient there are no limits, and without
limits nothing is interpreted. `SUGGESTED_CRITICAL` and `GOALS` are shown to whoever states limits, and used by
nobody. The numbers say nothing to anybody until the supplier has stated the intended use: see `in_force`.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from gateway.clock import utc
from gateway.reporting.alerts.configuration import IntendedUse
from gateway.reporting.units.calendar import zones
from gateway.reporting.units.model import ZoneChange
from gateway.result import Quantity
from gateway.store import limits as store
from gateway.store import tested
from gateway.store.limits import Level, Numbers, Pair

__all__ = [
    "GOALS",
    "SUGGESTED_CRITICAL",
    "Limits",
    "beyond",
    "in_force",
    "inherited",
    "interpret",
    "local_day",
    "numbers",
]

SUGGESTED_CRITICAL: Final = (Decimal("1.5"), Decimal("5.0"))
"""Common, and no more than that: 98 laboratories used 18 different ones (Arch Pathol Lab Med 139:1108)."""
GOALS: Final = tuple(
    (Decimal(low), Decimal(high))
    for low, high in (
        ("1.5", "2.0"),
        ("1.5", "2.5"),
        ("2.0", "3.0"),
        ("2.5", "3.5"),
        ("3.0", "4.0"),
        ("3.0", "4.5"),
        ("3.5", "4.5"),
    )
)
"""Target ranges in common use (the goal list of Epic's anticoagulation episode, open.epic.com)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The four numbers of a patient: critical low < target low < target high < critical high.

    Attributes:
        source: where the target range was stated: ``patient``, ``provider`` or ``clinic``.
        critical_source: where the critical limits were.
    """

    target_low: Decimal
    target_high: Decimal
    critical_low: Decimal
    critical_high: Decimal
    source: Level
    critical_source: Level

    def __post_init__(self) -> None:
        """Check the order.

        Raises:
            ValueError: the four numbers are not in their order; the message names the two that are not.
        """
        wrong = store.disorder(self.target, self.critical)
        if wrong is not None:
            raise ValueError(wrong)

    @property
    def target(self) -> Pair:
        """The target range as a pair."""
        return Pair(self.target_low, self.target_high, self.source)

    @property
    def critical(self) -> Pair:
        """The critical limits as a pair."""
        return Pair(self.critical_low, self.critical_high, self.critical_source)


def interpret(quantity: Quantity | None, limits: Limits | None) -> tuple[str, ...]:
    """What a result is against the patient's own limits, in codes of v3-ObservationInterpretation.

    Below critical low ``LL``; else below target low ``L``; inside the target, both ends included, ``N``; above it
    ``H``; at or above critical high ``HH``. Off the meter's measuring range the second code is ``>`` or ``<``; the
    true value is not known then, and counts as critical on that side wherever the range of the meter ends.

    Returns:
        The codes, the one for the patient first; none without limits, or for what is no number.
    """
    if quantity is None or limits is None:
        return ()
    if quantity.comparator is not None:
        return ("HH" if quantity.comparator == ">" else "LL", quantity.comparator)
    if quantity.value is None:
        return ()
    value = Decimal(quantity.value)
    if value < limits.critical_low:
        return ("LL",)
    if value >= limits.critical_high:
        return ("HH",)
    if value < limits.target_low:
        return ("L",)
    return ("H",) if value > limits.target_high else ("N",)


def beyond(quantity: Quantity | None, low: Decimal | None, high: Decimal | None) -> str | None:
    """Why somebody must be told of a value at once, in words; None when nobody must.

    A value *at* a limit counts, at the lower one too, where `interpret` says ``L``. So does a reading off the
    measuring range on a side that has a limit, and one that is no number at all: nobody knows how far off it is.

    Args:
        quantity: the INR.
        low: critical low, or None for no limit on this side.
        high: critical high, likewise.
    """
    if quantity is None or (low is None and high is None):
        return None
    if quantity.comparator is None and quantity.value is None:
        return "cannot be read as a number"
    value = None if quantity.value is None else Decimal(quantity.value)
    if high is not None and (quantity.comparator == ">" or (value is not None and value >= high)):
        return f"at or above {high}" if quantity.comparator is None else f"above the measuring range, limit {high}"
    if low is not None and (quantity.comparator == "<" or (value is not None and value <= low)):
        return f"at or below {low}" if quantity.comparator is None else f"below the measuring range, limit {low}"
    return None


def local_day(database: sqlite3.Connection, patient_id: str, at: datetime) -> date:
    """The local date of an instant in the patient's zone of record; that of UTC without one."""
    history = tuple(
        ZoneChange(date.fromisoformat(start), name) for start, name in tested.zones(database, patient_id)
    )
    return date.fromordinal(zones(history[0].tz if history else "UTC", history).day(at))


def numbers(database: sqlite3.Connection, patient_id: str, at: datetime, provider_id: str | None = None) -> Numbers:
    """What was stated for a patient as of an instant, complete or not, and where. See `gateway.store.limits`."""
    return store.numbers(database, patient_id, local_day(database, patient_id, at), utc(at), provider_id)


def inherited(
    database: sqlite3.Connection, patient_id: str, at: datetime, provider_id: str | None = None
) -> Limits | None:
    """The limits that hold for a patient at an instant, whatever the supplier intends with them.

    Args:
        database: the store.
        patient_id: whose.
        at: the instant of the test.
        provider_id: as this provider's statements have it, for a report to them; None: as those of all who treat.

    Returns:
        None unless all four numbers are stated and in order.
    """
    found = numbers(database, patient_id, at, provider_id)
    if found.target is None or found.critical is None or found.unclear:
        return None
    target, critical = found.target, found.critical
    return Limits(target.low, target.high, critical.low, critical.high, target.source, critical.source)


def in_force(
    database: sqlite3.Connection,
    intended_use: IntendedUse,
    patient_id: str,
    at: datetime,
    provider_id: str | None = None,
) -> Limits | None:
    """`inherited`, and None as long as the supplier has not stated the intended use: then nothing is flagged."""
    return inherited(database, patient_id, at, provider_id) if intended_use.stated else None
