"""Escalations: a critical result, who must be told, what was tried, and which person closed it.

The machine opens, notes, reminds and reopens. Only `acknowledge` and `close` need, and take, the name of a person;
the schema refuses a closed row without one, or without a read-back or a reason.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from gateway.clock import moment, utc
from gateway.store.rows import new_id

__all__ = [
    "MACHINE",
    "Call",
    "Escalation",
    "EscalationError",
    "Event",
    "New",
    "acknowledge",
    "attach",
    "attempt",
    "close",
    "due_reminders",
    "events",
    "find",
    "listing",
    "next_reminder",
    "note",
    "of_quarantine",
    "of_result",
    "open_one",
    "person",
    "remind",
    "reopen",
]

MACHINE: Final = "server"
"""How the machine signs; no person may."""


class EscalationError(Exception):
    """What a person asked for cannot be done; the message says why and what to do instead."""


class Escalation(NamedTuple):
    """One row; see the schema for the columns. `contacts` is JSON."""

    id: int
    cause: str
    patient_id: str | None
    result_id: int | None
    version: int | None
    quarantine_id: int | None
    inr: str
    limit_text: str
    taken_at: str | None
    owner: str
    contacts: str
    opened_at: str
    state: str
    next_contact_at: str | None
    remind_at: str | None
    reminders: int
    acknowledged_by: str | None
    acknowledged_at: str | None
    read_back: str | None
    closed_by: str | None
    closed_at: str | None
    reason: str | None


class Event(NamedTuple):
    """One thing that happened to an escalation."""

    at: str
    by_name: str
    what: str
    number: str
    person: str
    note: str


class New(NamedTuple):
    """An escalation to open. `version` only together with `result_id`."""

    cause: str
    patient_id: str | None
    result_id: int | None
    version: int | None
    quarantine_id: int | None
    inr: str
    limit_text: str
    taken_at: str | None
    owner: str
    contacts: str


_ROW = ", ".join(Escalation._fields)
_NEW = ", ".join(New._fields)


def person(name: str) -> str:
    """A name that a person may sign with.

    Raises:
        EscalationError: it is empty, or the machine's own.
    """
    stripped = " ".join(name.split())
    if not stripped or stripped.lower() == MACHINE:
        raise EscalationError("an act needs the name of a person (--by)")
    return stripped


# ---------------------------------------------------------------- what the machine does


def open_one(database: sqlite3.Connection, new: New, at: datetime, remind_after_min: int) -> int | None:
    """Open an escalation; the first contact is due at once.

    Returns:
        Its number; None when one for this very version, or this quarantine row, was opened before.
    """
    inserted = database.execute(
        f"INSERT INTO escalation ({_NEW}, opened_at, state, next_contact_at, remind_at)"
        f" VALUES ({', '.join('?' for _ in new)}, ?, 'open', ?, ?) ON CONFLICT DO NOTHING",
        (*new, utc(at), utc(at), utc(at + timedelta(minutes=remind_after_min))),
    )
    if inserted.rowcount == 0:
        return None
    identifier = new_id(inserted)
    _happened(database, identifier, at, MACHINE, "opened", note=new.limit_text)
    return identifier


def note(database: sqlite3.Connection, identifier: int, at: datetime, text: str, by: str = MACHINE) -> None:
    """Write something down beside an escalation; it stays as it is."""
    _happened(database, identifier, at, by, "note", note=text)


def attach(database: sqlite3.Connection, identifier: int, new: New, at: datetime) -> None:
    """What waited in quarantine has become a version: from now on the escalation is about that."""
    database.execute(
        "UPDATE escalation SET patient_id = ?, result_id = ?, version = ?, taken_at = ?, owner = ?, contacts = ?"
        " WHERE id = ?",
        (new.patient_id, new.result_id, new.version, new.taken_at, new.owner, new.contacts, identifier),
    )
    _happened(
        database,
        identifier,
        at,
        MACHINE,
        "note",
        note=f"it is result {new.result_id}, version {new.version}: {new.limit_text}",
    )


def reopen(database: sqlite3.Connection, identifier: int, at: datetime, text: str, remind_after_min: int) -> None:
    """What was read back is no longer what holds: somebody must be told again."""
    database.execute(
        "UPDATE escalation SET state = 'open', next_contact_at = ?, remind_at = ? WHERE id = ?"
        " AND state = 'acknowledged'",
        (utc(at), utc(at + timedelta(minutes=remind_after_min)), identifier),
    )
    _happened(database, identifier, at, MACHINE, "reopened", note=text)


def due_reminders(database: sqlite3.Connection, now: datetime) -> list[Escalation]:
    """Escalations of which somebody must be reminded now."""
    rows = database.execute(
        f"SELECT {_ROW} FROM escalation WHERE state <> 'closed' AND remind_at <= ? ORDER BY remind_at, id",
        (utc(now),),
    )
    return [Escalation(*row) for row in rows]


def next_reminder(database: sqlite3.Connection) -> datetime | None:
    """When the next reminder is due; None when nothing stands open."""
    row = database.execute(
        "SELECT min(remind_at) FROM escalation WHERE state <> 'closed' AND remind_at IS NOT NULL"
    ).fetchone()
    return None if row[0] is None else moment(row[0])


def remind(database: sqlite3.Connection, identifier: int, at: datetime, again_after_min: int) -> None:
    """Write down that somebody was reminded, and when it happens next."""
    database.execute(
        "UPDATE escalation SET reminders = reminders + 1, remind_at = ? WHERE id = ?",
        (utc(at + timedelta(minutes=again_after_min)), identifier),
    )
    _happened(database, identifier, at, MACHINE, "reminded")


# ---------------------------------------------------------------- what a person does


class Call(NamedTuple):
    """A call. `number`: that was called; `who`: whom it reached, or should have; both may be empty."""

    reached: bool
    number: str = ""
    who: str = ""
    note: str = ""


def attempt(
    database: sqlite3.Connection, identifier: int, by: str, at: datetime, call: Call, next_contact_at: datetime
) -> None:
    """A person tried to tell somebody.

    Args:
        database: the store.
        identifier: the escalation.
        by: who called.
        at: now.
        call: whom, and what came of it.
        next_contact_at: when the next contact is due, and of which the person is reminded.

    Raises:
        EscalationError: no such escalation, closed, or no person's name.
    """
    name = person(by)
    _standing(database, identifier)
    database.execute(
        "UPDATE escalation SET next_contact_at = ?, remind_at = ? WHERE id = ?",
        (utc(next_contact_at), utc(next_contact_at), identifier),
    )
    what = "reached" if call.reached else "not reached"
    _happened(database, identifier, at, name, what, call.number, call.who, call.note)


def acknowledge(
    database: sqlite3.Connection, identifier: int, by: str, at: datetime, read_back: str, remind_at: datetime
) -> None:
    """A person told somebody who read the value back.

    Args:
        database: the store.
        identifier: the escalation.
        by: who told them.
        at: now.
        read_back: who read back, and what.
        remind_at: when somebody is reminded, unless it is closed before.

    Raises:
        EscalationError: no such escalation, closed, or a name or the read-back is missing.
    """
    name = person(by)
    _standing(database, identifier)
    if not read_back.strip():
        raise EscalationError("an acknowledgement needs who read the value back, and what they read (--read-back)")
    database.execute(
        "UPDATE escalation SET state = 'acknowledged', acknowledged_by = ?, acknowledged_at = ?, read_back = ?,"
        " next_contact_at = NULL, remind_at = ? WHERE id = ?",
        (name, utc(at), read_back.strip(), utc(remind_at), identifier),
    )
    _happened(database, identifier, at, name, "acknowledged", note=read_back.strip())


def close(database: sqlite3.Connection, identifier: int, by: str, at: datetime, reason: str = "") -> None:
    """A person closes an escalation. Nothing else ever does.

    Args:
        database: the store.
        identifier: the escalation.
        by: who closes it.
        at: now.
        reason: why; may be empty once it is acknowledged with a read-back.

    Raises:
        EscalationError: no such escalation, closed already, no person's name, or neither read-back nor reason.
    """
    name = person(by)
    found = _standing(database, identifier)
    if found.state != "acknowledged" and not reason.strip():
        raise EscalationError(
            f"escalation {identifier} was read back by nobody; 'escalations acknowledge' it, or close it with a "
            "reason (--note)"
        )
    database.execute(
        "UPDATE escalation SET state = 'closed', closed_by = ?, closed_at = ?, reason = ?, next_contact_at = NULL,"
        " remind_at = NULL WHERE id = ?",
        (name, utc(at), reason.strip(), identifier),
    )
    _happened(database, identifier, at, name, "closed", note=reason.strip())


# ---------------------------------------------------------------- looking


def find(database: sqlite3.Connection, identifier: int) -> Escalation | None:
    """An escalation, closed or not."""
    row = database.execute(f"SELECT {_ROW} FROM escalation WHERE id = ?", (identifier,)).fetchone()
    return None if row is None else Escalation(*row)


def listing(database: sqlite3.Connection, *, patient: str | None = None, closed: bool = False) -> list[Escalation]:
    """Escalations, the open ones first and the oldest of them first; closed ones only when asked for."""
    rows = database.execute(
        f"SELECT {_ROW} FROM escalation WHERE (? OR state <> 'closed') AND (? IS NULL OR patient_id = ?)"
        " ORDER BY CASE state WHEN 'open' THEN 1 WHEN 'acknowledged' THEN 2 ELSE 3 END, opened_at, id",
        (closed, patient, patient),
    )
    return [Escalation(*row) for row in rows]


def events(database: sqlite3.Connection, identifier: int) -> list[Event]:
    """Everything that happened to one, in order."""
    rows = database.execute(
        "SELECT at, by_name, what, number, person, note FROM escalation_event WHERE escalation_id = ? ORDER BY id",
        (identifier,),
    )
    return [Event(*row) for row in rows]


def of_result(database: sqlite3.Connection, result_id: int) -> list[Escalation]:
    """All escalations of a result, also of what waited in quarantine before it was one; oldest first."""
    return _where(
        database,
        "result_id = :result OR quarantine_id IN (SELECT q.id FROM quarantine q LEFT JOIN reading g"
        " ON g.id = q.reading_id WHERE q.result_id = :result OR g.result_id = :result)",
        {"result": result_id},
    )


def of_quarantine(database: sqlite3.Connection, quarantine_id: int) -> Escalation | None:
    """The escalation of a quarantine row."""
    found = _where(database, "quarantine_id = :row", {"row": quarantine_id})
    return found[0] if found else None


def _where(database: sqlite3.Connection, condition: str, arguments: dict[str, int]) -> list[Escalation]:
    rows: Sequence[sqlite3.Row] = database.execute(
        f"SELECT {_ROW} FROM escalation WHERE {condition} ORDER BY id", arguments
    ).fetchall()
    return [Escalation(*row) for row in rows]


def _standing(database: sqlite3.Connection, identifier: int) -> Escalation:
    found = find(database, identifier)
    if found is None:
        raise EscalationError(f"there is no escalation {identifier}; 'inr-gateway escalations list' shows them")
    if found.state == "closed":
        raise EscalationError(f"escalation {identifier} was closed by {found.closed_by} at {found.closed_at}")
    return found


def _happened(
    database: sqlite3.Connection,
    identifier: int,
    at: datetime,
    by: str,
    what: str,
    number: str = "",
    who: str = "",
    note: str = "",
) -> None:
    database.execute(
        "INSERT INTO escalation_event (escalation_id, at, by_name, what, number, person, note)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (identifier, utc(at), by, what, number, who, note),
    )
