"""Each stored version, and each urgent value in quarantine, judged once: must somebody be told of it now?

The rows to judge were written by the commit that stored the version; what comes of judging them is committed
together with their mark. So a process may end at any moment: a row has been judged, or it will be.
"""

from __future__ import annotations

import logging
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from gateway.clock import moment
from gateway.reporting.alerts import calling
from gateway.reporting.alerts.configuration import Watching
from gateway.reporting.limits import beyond, numbers
from gateway.result import Kind, Quantity, Result, normalised_inr
from gateway.store import escalations, watched
from gateway.store.contacts import Contact
from gateway.store.escalations import Escalation, New
from gateway.store.watched import Due, Judged
from gateway.wire.reading import Reading

__all__ = ["MOST", "Touched", "judge", "quantity_of", "reading_in"]

MOST = 200
"""Rows judged in one commit."""

_log = logging.getLogger("gateway.reporting.alerts")


class Touched(NamedTuple):
    """What judging some rows gave.

    Attributes:
        escalations: numbers of those that were opened, or opened again.
        patients: of whom something was stored.
        readings: by the key of its meter, the newest reading that was stored.
        more: there may be more to judge.
    """

    escalations: list[int]
    patients: set[str]
    readings: dict[str, int]
    more: bool


def judge(database: sqlite3.Connection, watching: Watching, now: datetime) -> Touched:
    """Judge the oldest rows; to be called inside a transaction, which is what makes it happen once.

    A row that cannot be judged stalls no other: somebody is called to look at it.
    """
    rows = watched.due(database, MOST)
    touched = Touched([], set(), {}, len(rows) == MOST)
    for row in rows:
        database.execute("SAVEPOINT one")
        try:
            opened = _judge_one(database, watching, row, touched, now)
        except sqlite3.OperationalError:
            raise  # the store, and not this row
        except Exception as error:
            database.execute("ROLLBACK TO one")
            # Its text may hold a patient's values; its kind and place do not.
            where = _raised_at(error)
            _log.error("a result cannot be judged (%s at %s)", type(error).__name__, where)
            opened = _unjudgeable(database, watching, row, f"it cannot be judged: {type(error).__name__}", now)
        database.execute("RELEASE one")
        touched.escalations.extend(opened)
    if rows:
        watched.done(database, rows[-1].sequence)
    return touched


def quantity_of(version: Judged) -> Quantity | None:
    """The INR of a version."""
    return Result.model_validate_json(version.body).inr


def reading_in(payload: bytes | None) -> Reading | None:
    """A reading's payload, understood; None when it is none."""
    try:
        return None if payload is None else Reading.model_validate_json(payload)
    except ValidationError:
        return None


def _judge_one(
    database: sqlite3.Connection, watching: Watching, row: Due, touched: Touched, now: datetime
) -> list[int]:
    if row.quarantine_id is not None:
        return _quarantined(database, watching, row.quarantine_id, touched, now)
    version = None if row.result_id is None else watched.version(database, row.result_id, row.version or 0)
    if version is None:
        return []
    touched.patients.add(version.patient_id)
    if version.reading_id is not None and version.meter_key:
        _newest(touched.readings, version.meter_key, version.reading_id)
    return _version(database, watching, version, now) if watching.intended_use.stated else []


def _version(database: sqlite3.Connection, watching: Watching, version: Judged, now: datetime) -> list[int]:
    before = [
        each
        for each in escalations.of_result(database, version.result_id)
        if each.patient_id in (None, version.patient_id)
    ]
    taken_back = version.status == "retracted" or version.kind != Kind.PATIENT
    if taken_back:
        return _follow(
            database, watching, version, before, "it was taken back: it is not this patient's result", now
        )
    quantity = quantity_of(version)
    found = numbers(database, version.patient_id, moment(version.taken_at))
    source: str
    if found.critical is not None:
        why, source = beyond(quantity, found.critical.low, found.critical.high), found.critical.source
    else:
        why, source = beyond(quantity, watching.low, watching.high), "[safety]"
    inr = normalised_inr(quantity)
    if why is None:
        return _follow(
            database, watching, version, before, f"version {version.version} says {inr}: not critical", now
        )
    new = _new(database, version, "critical", inr, f"{why} ({source})", now)
    standing = [each for each in before if each.state != "closed"]
    if not standing:
        told = any(each.inr == inr and each.patient_id is not None and each.read_back for each in before)
        return [] if told else _open(database, watching, new, now)
    if standing[0].result_id is None:
        escalations.attach(database, standing[0].id, new, now)
        return []
    return _follow(database, watching, version, standing, f"version {version.version} says {inr}: {why}", now)


def _follow(
    database: sqlite3.Connection,
    watching: Watching,
    version: Judged,
    before: list[Escalation],
    text: str,
    now: datetime,
) -> list[int]:
    """A later version says otherwise. Nothing is closed: whoever was told of the earlier value must hear of it."""
    opened = []
    for each in before:
        if each.state == "open":
            escalations.note(database, each.id, now, text)
        elif each.state == "acknowledged":
            escalations.reopen(database, each.id, now, text, watching.escalations.remind_after_min[0])
            opened.append(each.id)
    inr = normalised_inr(quantity_of(version))
    if before and before[-1].state == "closed" and (version.status == "retracted" or before[-1].inr != inr):
        said = f"{text}; escalation {before[-1].id} told otherwise"
        opened += _open(database, watching, _new(database, version, "corrected", inr, said, now), now)
    return opened


def _quarantined(
    database: sqlite3.Connection, watching: Watching, quarantine_id: int, touched: Touched, now: datetime
) -> list[int]:
    row = watched.quarantined(database, quarantine_id)
    if row is None:
        return []
    if row.patient_id is not None:
        touched.patients.add(row.patient_id)
    reading = reading_in(row.payload)
    result = None if reading is None else reading.result
    if result is not None and result.meter.key is not None and row.reading_id is not None:
        _newest(touched.readings, result.meter.key, row.reading_id)
    if not row.urgent or not watching.intended_use.stated:
        return []
    known = escalations.of_quarantine(database, quarantine_id)
    if row.action is not None:
        if known is not None and known.state != "closed":
            text = f"quarantine {quarantine_id} was {row.action} by {row.closed_by}"
            escalations.note(database, known.id, now, text)
        return []
    text = f"waits in quarantine {quarantine_id} ({row.reason}), beyond [safety]"
    others = [] if row.result_id is None else escalations.of_result(database, row.result_id)
    standing = [each for each in others if each.state != "closed"]
    if standing:
        escalations.note(database, standing[0].id, now, text)
        return []
    contacts = calling.contacts_for(database, row.patient_id, now)
    new = New(
        cause="waiting",
        patient_id=row.patient_id,
        result_id=None,
        version=None,
        quarantine_id=quarantine_id,
        inr="" if result is None else normalised_inr(result.inr),
        limit_text=text,
        taken_at=None,
        owner=calling.owner_of(contacts),
        contacts=calling.kept(contacts),
    )
    return _open(database, watching, new, now)


def _unjudgeable(database: sqlite3.Connection, watching: Watching, row: Due, text: str, now: datetime) -> list[int]:
    version = None if row.result_id is None else watched.version(database, row.result_id, row.version or 0)
    if version is None or not watching.intended_use.stated:
        return []
    # Whatever was in the way stands with the patient, so it is the clinic's contact who is asked to look.
    contacts = calling.contacts_for(database, None, now)
    return _open(database, watching, _about(version, "critical", "?", text, contacts), now)


def _new(
    database: sqlite3.Connection, version: Judged, cause: str, inr: str, limit_text: str, now: datetime
) -> New:
    return _about(version, cause, inr, limit_text, calling.contacts_for(database, version.patient_id, now))


def _about(version: Judged, cause: str, inr: str, limit_text: str, contacts: list[Contact]) -> New:
    return New(
        cause=cause,
        patient_id=version.patient_id,
        result_id=version.result_id,
        version=version.version,
        quarantine_id=None,
        inr=inr,
        limit_text=limit_text,
        taken_at=version.taken_at,
        owner=calling.owner_of(contacts),
        contacts=calling.kept(contacts),
    )


def _open(database: sqlite3.Connection, watching: Watching, new: New, now: datetime) -> list[int]:
    opened = escalations.open_one(database, new, now, watching.escalations.remind_after_min[0])
    return [] if opened is None else [opened]


def _newest(readings: dict[str, int], meter_key: str, reading_id: int) -> None:
    readings[meter_key] = max(reading_id, readings.get(meter_key, 0))


def _raised_at(error: BaseException) -> str:
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    return "?" if step is None else f"{Path(step.tb_frame.f_code.co_filename).name}:{step.tb_lineno}"
