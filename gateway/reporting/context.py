"""What stands around one result in its report: the limits it is compared with, earlier results, their summary."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from gateway.clock import moment, utc
from gateway.reporting.alerts.configuration import IntendedUse
from gateway.reporting.reportable import Past, ReportableResult
from gateway.result import Quantity
from gateway.store import past
from gateway.store.opening import Role
from gateway.store.reports import Wanted

__all__ = ["SUMMARY_DAYS", "with_limits", "with_summary"]

SUMMARY_DAYS: Final = 365
"""How far back a summary and its picture may reach from the test, in days."""


def with_limits(
    database: sqlite3.Connection, intended_use: IntendedUse, report: ReportableResult, wanted: Wanted
) -> ReportableResult:
    """The report with the limits as its provider states them, and what comparing says.

    Without the supplier's statement of the intended use nothing is compared.
    """
    if not intended_use.stated:
        return report
    from gateway.reporting.limits import in_force, interpret

    limits = in_force(database, intended_use, wanted.patient_id, report.taken_at, wanted.provider_id)
    return replace(report, limits=limits, interpretation=interpret(report.result.inr, limits))


def with_summary(
    database: sqlite3.Connection,
    intended_use: IntendedUse,
    report: ReportableResult,
    wanted: Wanted,
    role: Role,
) -> ReportableResult:
    """The report with the patient's earlier results and, where the intended use is stated, their summary.

    Both end with the test itself: a report that is made late, or made again, shows the same.
    """
    since, end = report.taken_at - timedelta(days=SUMMARY_DAYS), report.taken_at
    rows = past.earlier(database, role, wanted.patient_id, utc(since), utc(end))
    history = tuple(
        Past(
            _local(each.taken_at, each.zone), Quantity.model_validate(json.loads(each.body)["inr"]), each.result_key
        )
        for each in rows
        if each.result_key != report.result_id
    )
    if not intended_use.stated:
        return replace(report, history=history)
    from gateway.reporting.history import summary_of

    summary = summary_of(
        database, wanted.patient_id, role, since.date(), end.date(), provider_id=wanted.provider_id
    )
    return replace(report, history=history, summary=summary)


def _local(at: str, zone: str) -> datetime:
    return moment(at).astimezone(ZoneInfo(zone))
