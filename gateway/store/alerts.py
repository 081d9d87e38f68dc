"""Alerts: what somebody should look at, opened and closed by rules; acknowledged and put off by persons."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from gateway.clock import utc
from gateway.store.escalations import MACHINE, person
from gateway.store.rows import new_id

__all__ = [
    "Alert",
    "AlertError",
    "Changes",
    "Finding",
    "acknowledge",
    "apply",
    "changes",
    "events",
    "find",
    "listing",
    "standing",
]


class AlertError(Exception):
    """What a person asked for cannot be done; the message says why."""


class Alert(NamedTuple):
    """One row. Open while `closed_at` is None; `detail` says why, as last seen."""

    id: int
    kind: str
    subject: str
    patient_id: str | None
    owner: str
    detail: str
    opened_at: str
    acknowledged_by: str | None
    acknowledged_at: str | None
    snoozed_until: str | None
    closed_at: str | None
    closed_by: str | None
    why_closed: str | None


class Finding(NamedTuple):
    """What a rule found about one subject now."""

    detail: str
    patient_id: str | None = None


class Changes(NamedTuple):
    """What differs between what a rule found and what stands open."""

    opening: dict[str, Finding]
    saying: dict[int, str]
    closing: list[int]

    def __bool__(self) -> bool:
        return bool(self.opening or self.saying or self.closing)


_ROW = ", ".join(Alert._fields)


def standing(database: sqlite3.Connection, kind: str, subjects: tuple[str, ...] | None = None) -> list[Alert]:
    """The open alerts of a kind, of all subjects or of these."""
    chosen = "" if subjects is None else f" AND subject IN ({', '.join('?' for _ in subjects)})"
    rows = database.execute(
        f"SELECT {_ROW} FROM alert WHERE closed_at IS NULL AND kind = ?{chosen}", (kind, *(subjects or ()))
    )
    return [Alert(*row) for row in rows]


def changes(
    database: sqlite3.Connection, kind: str, found: Mapping[str, Finding], subjects: tuple[str, ...] | None = None
) -> Changes:
    """Compare. Args: subjects: the rule looked at these only; None: at all of its kind."""
    open_ones = {alert.subject: alert for alert in standing(database, kind, subjects)}
    return Changes(
        opening={subject: finding for subject, finding in found.items() if subject not in open_ones},
        saying={
            alert.id: found[subject].detail
            for subject, alert in open_ones.items()
            if subject in found and found[subject].detail != alert.detail
        },
        closing=[alert.id for subject, alert in open_ones.items() if subject not in found],
    )


def apply(
    database: sqlite3.Connection,
    kind: str,
    made: Changes,
    owner: str,
    at: datetime,
    why: str,
) -> list[int]:
    """Write the differences down.

    Args:
        database: the store.
        kind: of the alerts.
        made: the differences, as `changes` gave them.
        owner: of those that are opened.
        at: now.
        why: what is said of those that are closed.

    Returns:
        The numbers of the alerts that were opened.
    """
    opened = []
    for subject, finding in made.opening.items():
        inserted = database.execute(
            "INSERT INTO alert (kind, subject, patient_id, owner, detail, opened_at) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (kind, subject, finding.patient_id, owner, finding.detail, utc(at)),
        )
        if inserted.rowcount:
            opened.append(new_id(inserted))
            _happened(database, opened[-1], at, MACHINE, "opened", finding.detail)
    for identifier, detail in made.saying.items():
        database.execute("UPDATE alert SET detail = ? WHERE id = ?", (detail, identifier))
    for identifier in made.closing:
        database.execute(
            "UPDATE alert SET closed_at = ?, closed_by = ?, why_closed = ? WHERE id = ? AND closed_at IS NULL",
            (utc(at), MACHINE, why, identifier),
        )
        _happened(database, identifier, at, MACHINE, "closed", why)
    return opened


def acknowledge(
    database: sqlite3.Connection, identifier: int, by: str, at: datetime, *, until: datetime | None, note: str = ""
) -> None:
    """A person has seen an alert, and perhaps does not want to see it for a time. It stays open.

    Raises:
        AlertError: no such alert, closed, or the time has passed.
        EscalationError: no person's name.
    """
    name = person(by)
    found = find(database, identifier)
    if found is None:
        raise AlertError(f"there is no alert {identifier}; 'inr-gateway alerts list' shows them")
    if found.closed_at is not None:
        raise AlertError(f"alert {identifier} was closed at {found.closed_at}: {found.why_closed}")
    if until is not None and until <= at:
        raise AlertError(f"{utc(until)} has passed; name a later time")
    database.execute(
        "UPDATE alert SET acknowledged_by = ?, acknowledged_at = ?, snoozed_until = ? WHERE id = ?",
        (name, utc(at), None if until is None else utc(until), identifier),
    )
    what, said = ("acknowledged", note) if until is None else ("snoozed", f"until {utc(until)} {note}".strip())
    _happened(database, identifier, at, name, what, said)


def find(database: sqlite3.Connection, identifier: int) -> Alert | None:
    """An alert, closed or not."""
    row = database.execute(f"SELECT {_ROW} FROM alert WHERE id = ?", (identifier,)).fetchone()
    return None if row is None else Alert(*row)


def listing(
    database: sqlite3.Connection,
    now: datetime,
    *,
    kind: str | None = None,
    owner: str | None = None,
    everything: bool = False,
) -> list[Alert]:
    """Open alerts that nobody has put off, oldest first; with `everything` also those, and closed ones."""
    rows = database.execute(
        f"SELECT {_ROW} FROM alert WHERE (:all OR (closed_at IS NULL AND coalesce(snoozed_until, '') <= :now))"
        " AND (:kind IS NULL OR kind = :kind) AND (:owner IS NULL OR owner = :owner)"
        " ORDER BY closed_at IS NOT NULL, opened_at, id",
        {"all": everything, "now": utc(now), "kind": kind, "owner": owner},
    )
    return [Alert(*row) for row in rows]


def events(database: sqlite3.Connection, identifier: int) -> list[tuple[str, str, str, str]]:
    """At, by whom, what, note: everything that happened to one, in order."""
    rows = database.execute(
        "SELECT at, by_name, what, note FROM alert_event WHERE alert_id = ? ORDER BY id", (identifier,)
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def _happened(database: sqlite3.Connection, identifier: int, at: datetime, by: str, what: str, note: str) -> None:
    database.execute(
        "INSERT INTO alert_event (alert_id, at, by_name, what, note) VALUES (?, ?, ?, ?, ?)",
        (identifier, utc(at), by, what, note),
    )
