"""A named person takes a result back, or has it stand again. Nothing is deleted: each act is one more version."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from gateway.clock import utc
from gateway.database import transaction
from gateway.result import Kind
from gateway.server.book import Book
from gateway.server.configuration import Safety
from gateway.server.copies import DecisionError, go_on
from gateway.server.moving import stated_for
from gateway.server.refusals import Reason, Refusal
from gateway.server.versions import columns_of, follow, named, owner_of, standing, told_of
from gateway.store import decisions, quarantine, results

__all__ = ["restore", "retract", "take_back"]


def retract(database: sqlite3.Connection, identifier: int, by: str, why: str, at: datetime) -> str:
    """Take a result back: it was not this patient's test, or no valid test at all.

    Everybody who was told of it is told that it is withdrawn, whether or not they still treat the patient; it no
    longer counts toward a unit; what waits about it in quarantine is decided with it.

    Args:
        database: the store.
        identifier: number of the result.
        by: name of the person who decides.
        why: the reason; kept with the decision.
        at: now.

    Returns:
        What became of it, in words.

    Raises:
        DecisionError: it cannot be taken back; nothing has changed.
    """
    by, why = named(by, why)
    with transaction(database):
        of = standing(database, identifier)
        if of.is_taken_back:
            raise DecisionError(f"result {identifier} was taken back already, in version {of.latest['version']}")
        take_back(database, identifier, by, why, at)
        for row in quarantine.open_of_result(database, identifier):
            # A retraction that cannot be reported waits; whatever else was asked is answered.
            quarantine.close(
                database, row.id, utc(at), by, "released" if row.reason == Reason.UNREPORTABLE else "dismissed"
            )
            decisions.record(database, at, by, "dismiss", f"quarantine {row.id}", f"result taken back: {why}")
        decisions.record(database, at, by, "retract", f"result {identifier}", why)
        patient = of.latest["patient_id"]
        return f"result {identifier} is taken back from patient {patient}; {told_of(database, identifier, patient)}"


def take_back(database: sqlite3.Connection, identifier: int, by: str, why: str, at: datetime) -> None:
    """Add the version that takes a standing result back, and the mark that a person wants it so. For acts on it."""
    latest = standing(database, identifier).latest
    follow(database, identifier, latest, at=utc(at), why=f"taken back: {why}", status="retracted")
    detail = f"version {latest['version']} was taken back by a named person"
    row = quarantine.add(database, Reason.RETRACTED, detail, utc(at), result_id=identifier)
    quarantine.close(database, row, utc(at), by, "dismissed")


def restore(
    database: sqlite3.Connection,
    identifier: int,
    by: str,
    why: str,
    at: datetime,
    safety: Safety,
    to: str | None = None,
) -> str:
    """Have a result stand again that was taken back or dismissed, as it was before.

    Args:
        database: the store.
        identifier: number of the result.
        by: name of the person who decides.
        why: the reason; kept with the decision.
        at: now.
        safety: limits beyond which something that waits on is urgent.
        to: whose test it is, where the registry now says otherwise than when it was taken back.

    Returns:
        What became of it, in words.

    Raises:
        DecisionError: it was neither taken back nor dismissed, or somebody must say whose it is; nothing has
            changed.
    """
    by, why = named(by, why)
    with transaction(database):
        _expect_dismissed(database, identifier)
        quarantine.lift(database, identifier, utc(at), by)
        results.settle_readings(database, identifier)
        latest = results.latest_version(database, identifier)
        said = f"result {identifier} stands again"
        if latest is None:
            opened = go_on(database, Book(database), identifier, utc(at), safety, why=f"restored: {why}")
            if opened:
                said = f"result {identifier} is dismissed no longer, and waits in quarantine {opened[0].id}"
        elif latest["status"] == "retracted":
            patient = _again(database, identifier, to, utc(at), why)
            said += f" as patient {patient}'s; {told_of(database, identifier, patient)}"
        decisions.record(database, at, by, "restore", f"result {identifier}", why)
    return said


def _expect_dismissed(database: sqlite3.Connection, identifier: int) -> None:
    known = results.by_id(database, identifier)
    if known is None or known.id != identifier:
        standing(database, identifier)  # says what is wrong
    waiting = quarantine.open_of_result(database, identifier)
    if waiting:
        raise DecisionError(f"result {identifier} waits in quarantine {waiting[0].id}; decide there")
    if quarantine.dismissed(database, identifier):
        return
    of = standing(database, identifier)
    if not of.is_taken_back:
        raise DecisionError(f"result {identifier} was not taken back: it stands in version {of.latest['version']}")
    raise DecisionError(f"result {identifier} was found to be of kind {of.known.kind}: there is nothing to restore")


def _again(database: sqlite3.Connection, identifier: int, to: str | None, at: str, why: str) -> str:
    """Add the version that stands again; returns whose it is."""
    known, before = standing(database, identifier).known, results.last_standing(database, identifier)
    if before is None or known.kind != Kind.PATIENT:
        raise DecisionError(f"result {identifier} has kind {known.kind}: it never stood as a patient's result")
    book, patient = Book(database), before["patient_id"]
    found = owner_of(book, known, before)
    if to is None and (isinstance(found, Refusal) or found.patient_id != patient):
        whose = found.detail if isinstance(found, Refusal) else f"it is patient {found.patient_id}'s"
        raise DecisionError(
            f"result {identifier} was patient {patient}'s, and by today's registry {whose}; "
            "say whose test it is with --to"
        )
    changes = {} if to in (None, patient) else columns_of(stated_for(database, book, str(to), before))
    follow(database, identifier, before, at=at, why=f"restored: {why}", **changes)
    return str(changes.get("patient_id", patient))
