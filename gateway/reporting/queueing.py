"""Making reports: which versions lack one, and the octets that will be sent, committed before anything leaves."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from gateway.clock import Clock
from gateway.reporting.alerts.configuration import IntendedUse
from gateway.reporting.channels import channel, settings
from gateway.reporting.channels.base import Channel, ChannelSettings
from gateway.reporting.configuration import Delivery
from gateway.reporting.context import with_limits, with_summary
from gateway.reporting.reportable import ReportableResult, Status, UnreportableError, assemble
from gateway.reporting.schedule import Schedule
from gateway.store import reports
from gateway.store.opening import Role
from gateway.store.reports import Wanted

__all__ = ["NOTHING_STATED", "Found", "Search", "fall_back", "queue_reports"]

logger = logging.getLogger(__name__)

NOTHING_STATED = IntendedUse()
STEP = 2000
"""Results gone through at once when all are searched."""


def queue_reports(
    database: sqlite3.Connection,
    role: Role,
    results: Collection[int],
    delivery: Delivery,
    clock: Clock,
    intended_use: IntendedUse = NOTHING_STATED,
) -> set[str]:
    """Make the reports that these results lack; to be called inside a transaction.

    A version of which no report can be made goes to the quarantine with the reason, and stalls nothing.

    Args:
        database: the store.
        role: of the store.
        results: numbers of results.
        delivery: the section of that name.
        clock: the gateway's clock.
        intended_use: what the supplier uses flags and summaries for; without a statement there are none.

    Returns:
        The destinations that got something to send.
    """
    destinations: set[str] = set()
    for wanted in reports.wanted(database, role, results):
        now = clock.now()
        try:
            processing_id = "T" if role == "rig" else delivery.processing_id
            report = assemble(wanted, delivery.supplier, processing_id, now)
            report = with_limits(database, intended_use, report, wanted)
            way, wishes = _channel(wanted)
            if way.summary:
                report = with_summary(database, intended_use, report, wanted, role)
            octets = way.render(report, wishes)
            not_before = _batch_hour(wanted, report, now)
        except Exception as error:  # whatever is wrong with one must not stall the others
            name = f"result {wanted.result_id}, version {wanted.version}"
            logger.warning("%s: no report can be made (%s); it waits in the quarantine", name, type(error).__name__)
            why = str(error) if isinstance(error, UnreportableError) else type(error).__name__
            reports.hold(database, wanted, why, now)
        else:
            reports.insert(database, wanted, report.control_id, octets, now, not_before)
            destinations.add(wanted.destination_id)
    return destinations


def fall_back(
    database: sqlite3.Connection,
    role: Role,
    delivery: Delivery,
    clock: Clock,
    intended_use: IntendedUse = NOTHING_STATED,
) -> set[str]:
    """Make the reports for destinations of the next rank; to be called inside a transaction.

    Returns:
        The destinations that got something to send.
    """
    results = reports.fall_back(database, clock.now())
    return queue_reports(database, role, results, delivery, clock, intended_use) if results else set()


def _channel(wanted: Wanted) -> tuple[Channel[Any], ChannelSettings]:
    try:
        return channel(wanted.channel), settings(wanted.channel, wanted.settings)
    except ValueError as error:
        raise UnreportableError(f"destination {wanted.destination_id}: {error}") from None


def _batch_hour(wanted: Wanted, report: ReportableResult, now: datetime) -> datetime | None:
    """The hour for which a report waits, or None when it leaves at once.

    What takes back or corrects something that has left, leaves at once. By exception so does what is not known to
    lie inside the target.
    """
    if wanted.mode == "each" or (wanted.sent and report.status is not Status.FINAL):
        return None
    if wanted.mode == "exception" and (report.limits is None or set(report.interpretation) != {"N"}):
        return None
    try:
        return Schedule.parse(wanted.schedule).next_after(now, ZoneInfo(wanted.provider_zone))
    except (ValueError, LookupError, OSError):
        return None  # without a readable hour or zone nothing is held back


class Found(NamedTuple):
    """What one look gave.

    Attributes:
        results: lack a report.
        decided: a person decided something since the last look, so whatever waits is worth trying.
    """

    results: list[int]
    decided: bool


class Search:
    """Finds the results that lack a report, at next to no cost while nothing changes.

    New versions are found at once, by the order in which they were inserted. Everything else that makes a report
    due (a quarantine released, a treatment or a destination registered, a store reconciled) is the decision of a
    named person: after each one all results are gone through in steps, as they are when the search begins.
    """

    def __init__(self, role: Role) -> None:
        """Args: role: of the store."""
        self._role = role
        self._change: int | None = None
        self._marks: reports.Marks | None = None
        self._next: int | None = None  # result with which the next step begins; None: all have been gone through

    def begin_again(self) -> None:
        """What was found could not be queued: go through everything again."""
        self._next = 1

    def look(self, database: sqlite3.Connection) -> Found:
        """Look once. Nothing is ever found while the store may not deliver."""
        change = reports.changed_by_others(database)
        if change == self._change and self._next is None:
            return Found([], decided=False)
        self._change = change
        seen, self._marks = self._marks, reports.marks(database)
        decided = seen is None or seen[:2] != self._marks[:2]
        if decided:
            self._next = 1
        if not self._marks.may_deliver:
            self._next = None
            return Found([], decided)
        if seen is None or seen.last_version == self._marks.last_version:
            return Found(self._step(database), decided)
        found = reports.lacking(database, self._role, above=seen.last_version)
        return Found(found or self._step(database), decided)

    def _step(self, database: sqlite3.Connection) -> list[int]:
        if self._next is None:
            return []
        first, last = self._next, self._next + STEP - 1
        found = reports.lacking(database, self._role, results=(first, last))
        self._next = last + 1 if last < reports.last_result(database) else None
        return found
