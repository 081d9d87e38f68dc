"""Whom to call now: contacts as an escalation keeps them, and which number answers at an hour."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from gateway.clock import utc
from gateway.office_hours import OfficeHours
from gateway.reporting.limits import local_day
from gateway.store import contacts
from gateway.store.contacts import Contact

__all__ = ["NOBODY", "answering", "contacts_for", "kept", "owner_of", "read"]

NOBODY = "nobody is named: state contacts"


def contacts_for(database: sqlite3.Connection, patient_id: str | None, now: datetime) -> list[Contact]:
    """Who is to be told now of a patient's result; of the clinic where the patient is not known."""
    day = now.date() if patient_id is None else local_day(database, patient_id, now)
    return contacts.in_force(database, patient_id, day, utc(now))


def owner_of(found: Sequence[Contact]) -> str:
    """Whose an escalation is."""
    return ", ".join(dict.fromkeys(contact.person for contact in found)) or NOBODY


def answering(contact: Contact, now: datetime) -> tuple[str, str]:
    """Who answers now, and under which number: outside the hours that were stated, the after-hours ones."""
    if not contact.hours or OfficeHours.parse(contact.hours).hold_at(now.astimezone(ZoneInfo(contact.zone))):
        return contact.person, contact.number
    return contact.after_hours_person or contact.person, contact.after_hours_number or contact.number


def kept(found: Sequence[Contact]) -> str:
    """Contacts as text, to stand beside what they were to be told of."""
    return json.dumps([contact._asdict() for contact in found], ensure_ascii=False)


def read(text: str) -> list[Contact]:
    """What `kept` wrote."""
    return [Contact(**each) for each in json.loads(text)]
