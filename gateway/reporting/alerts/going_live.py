"""Putting a patient live: whatever a critical result will need must be there before the first one comes."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from gateway.clock import utc
from gateway.reporting.alerts import calling
from gateway.reporting.limits import numbers
from gateway.store import expected, limits, live, proof, tested
from gateway.store.escalations import person

__all__ = ["GoLiveError", "go_live", "lacking", "stand_down"]


class GoLiveError(Exception):
    """The patient cannot go live, or cannot be taken out; the message names everything that is missing."""


def lacking(database: sqlite3.Connection, patient_id: str, now: datetime) -> list[str]:
    """What a patient still lacks, in words that say what to state; empty when they can go live."""
    if proof.person(database, patient_id) is None:
        return ["nobody of this id is registered: import patients"]
    found = []
    if not tested.zones(database, patient_id):
        found.append("no zone of record: import zones")
    if not limits.treating(database, patient_id, utc(now)):
        found.append("nobody treats the patient now: import treatments")
    if not expected.with_a_meter(database, utc(now), patient_id):
        found.append("no meter is assigned to the patient now: import assignments")
    found += [f"{each}: import limits" for each in numbers(database, patient_id, now).missing]
    told = calling.contacts_for(database, patient_id, now)
    if not told:
        found.append("nobody is named who is told of a critical result: import contacts")
    found += [
        f"{contact.person} answers {contact.hours} only, and there is no after-hours number: import contacts"
        for contact in told
        if contact.hours and not contact.after_hours_number
    ]
    return found


def go_live(database: sqlite3.Connection, patient_id: str, by: str, now: datetime, note: str = "") -> bool:
    """A named person puts a patient live; to be called inside a transaction.

    Returns:
        Whether that changed anything.

    Raises:
        GoLiveError: something is missing.
        EscalationError: no person's name.
    """
    name = person(by)
    found = lacking(database, patient_id, now)
    if found:
        raise GoLiveError(f"patient {patient_id} cannot go live: {'; '.join(found)}")
    if live.is_live(database, patient_id):
        return False
    live.record(database, patient_id, live=True, by=name, at=utc(now), note=note)
    return True


def stand_down(database: sqlite3.Connection, patient_id: str, by: str, now: datetime, note: str) -> None:
    """A named person takes a patient out again, and says why.

    Raises:
        GoLiveError: the patient is not live, or no reason is given.
        EscalationError: no person's name.
    """
    name = person(by)
    if not live.is_live(database, patient_id):
        raise GoLiveError(f"patient {patient_id} is not live")
    if not note.strip():
        raise GoLiveError("taking a patient out needs a note that says why (--note)")
    live.record(database, patient_id, live=False, by=name, at=utc(now), note=note.strip())
