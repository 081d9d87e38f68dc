"""From the store to a patient's statement of units: reads the facts, then calls the pure tally."""

from __future__ import annotations

import sqlite3
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Literal
from zoneinfo import ZoneInfo

from gateway.clock import moment
from gateway.reporting.policies import shipped_policies
from gateway.reporting.units import Enrollment, Order, Policy, Statement, Test, ZoneChange, choose, tally
from gateway.store import tested as store
from gateway.store.opening import Role

__all__ = ["StatementError", "statement_of", "tests_of"]

UNCOUNTED_ORIGINS = ("simulator", "replay")


class StatementError(Exception):
    """No statement can be made; the message says what is missing and how to give it."""


def statement_of(
    database: sqlite3.Connection, patient_id: str, as_of: date, role: Role, *, trace: bool = False
) -> tuple[Statement, Policy]:
    """The tally of one patient as known at the end of a local day.

    Raises:
        StatementError: the patient is not enrolled, or has no zone of record.
        UnitsError: a recorded fact cannot be used, or no policy is in force for the payer.
    """
    enrollment = _enrollment(database, patient_id)
    policy = choose(shipped_policies(), enrollment.payer, as_of, enrollment.mac)
    tests = tests_of(database, patient_id, enrollment.tz, role)
    return tally(enrollment, tests, (), (), policy, as_of, trace=trace), policy


def tests_of(database: sqlite3.Connection, patient_id: str, zone: str, role: Role) -> list[Test]:
    """The patient's tests as the tally sees them; ids are the numbers of results.

    A result in quarantine has no evidence until a named person decides. On a production store nothing that was
    simulated or replayed is a test at all.
    """
    return [
        _test(row, zone)
        for row in store.tested(database, patient_id)
        if role == "rig" or row.origin not in UNCOUNTED_ORIGINS
    ]


def _test(row: store.Tested, zone: str) -> Test:
    kind: Literal["patient", "control", "error"] = "control"
    if row.kind in ("patient", "error"):
        kind = "patient" if row.kind == "patient" else "error"
    taken_at = moment(row.taken_at) if row.taken_at.endswith("Z") else _local(row.taken_at, zone)
    reported = None if row.held or row.reported_at is None else moment(row.reported_at)
    acknowledged = None if row.held or row.acknowledged_at is None else moment(row.acknowledged_at)
    return Test(
        id=str(row.result_id),
        kind=kind,
        source="manual" if row.origin == "person" else "device",
        taken_at=taken_at,
        reported_at=reported,
        acknowledged_at=acknowledged,
        inr=_number(row.inr),
        inr_text=row.inr or None,
        # Copies of one test were grouped into one result before; meters repeat their record numbers, so the number
        # that the tally looks at for duplicates is that of the result.
        device_serial=row.meter_key,
        device_seq=row.result_id,
    )


def _local(text: str, zone: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:  # beyond the measuring range, or no value
        return None


def _enrollment(database: sqlite3.Connection, patient_id: str) -> Enrollment:
    found = store.enrolled(database, patient_id)
    if found is None:
        raise StatementError(
            f"patient {patient_id} is not enrolled, or there is no such patient; import an enrollment first"
        )
    history = store.zones(database, patient_id)
    if not history:
        raise StatementError(f"patient {patient_id} has no zone of record; import one (kind zones)")
    orders: tuple[Order, ...] = ()
    if found.order_signed_on is not None:
        orders = (Order(date.fromisoformat(found.order_signed_on), _day(found.order_expires_on)),)
    return Enrollment(
        tz=history[0][1],
        tz_history=tuple(ZoneChange(date.fromisoformat(day), name) for day, name in history),
        payer=found.payer,
        mac=found.mac or None,
        diagnosis=tuple(found.diagnosis.split()),
        valve_type=found.valve_type,
        anticoagulant=found.anticoagulant,
        warfarin_start=_day(found.warfarin_start),
        training_date=_day(found.training_date),
        training_documented=found.training_documented,
        orders=orders,
    )


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
