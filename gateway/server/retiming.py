"""A named person says when a test was really done. What the meter wrote stays as it is."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from gateway.clock import moment, utc
from gateway.database import transaction
from gateway.server.attribution import owner_at
from gateway.server.book import Book
from gateway.server.configuration import Safety
from gateway.server.copies import DecisionError
from gateway.server.moving import reattribute, stated_for
from gateway.server.refusals import REMEDY, Refusal
from gateway.server.versions import named, owner_of, standing, told_of, typed_in
from gateway.store import decisions

__all__ = ["retime"]


def retime(
    database: sqlite3.Connection, identifier: int, taken_at: datetime, by: str, why: str, at: datetime
) -> str:
    """Correct the instant of a test whose patient stays the same.

    Args:
        database: the store.
        identifier: number of the result.
        taken_at: when the test was done.
        by: name of the person who decides.
        why: the reason, for example that the meter's clock was wrong; kept with the decision.
        at: now.

    Returns:
        What became of it, in words.

    Raises:
        DecisionError: it cannot be corrected so; nothing has changed.
    """
    by, why = named(by, why)
    with transaction(database):
        of, book = standing(database, identifier), Book(database)
        if of.is_taken_back:
            raise DecisionError(f"result {identifier} is nobody's now; 'results list' says why")
        if moment(of.latest["taken_at"]) == moment(utc(taken_at)):
            raise DecisionError(f"result {identifier} stands with this time already")
        if taken_at > at:
            raise DecisionError("the time of the test lies in the future; correct --taken-at")
        patient = of.latest["patient_id"]
        found = stated_for(database, book, patient, of.latest, taken_at)
        known = owner_of(book, of.known, of.latest)
        by_registry = not isinstance(known, Refusal) and known.patient_id == patient
        owner = owner_at(
            typed_in(of.latest),
            found.instant,
            found.uncertainty_s,
            found.quality,
            book.assignments(of.known.meter_key),
            book.zones,
        )
        if by_registry and isinstance(owner, Refusal):
            raise DecisionError(
                f"at that time, {owner.detail}; {REMEDY[owner.reason].split(', then')[0]}, or say whose test it "
                f"was: 'results move {identifier} --to ID --taken-at TIME'"
            )
        if by_registry and not isinstance(owner, Refusal) and owner.patient_id != patient:
            raise DecisionError(
                f"at that time the meter was patient {owner.patient_id}'s, not patient {patient}'s; say whose test "
                f"it was: 'results move {identifier} --to ID --taken-at TIME'"
            )
        reattribute(database, identifier, found, utc(at), f"time corrected: {why}", Safety())
        note = f"time from {of.latest['taken_at']} to {utc(taken_at)}: {why}"
        decisions.record(database, at, by, "correct", f"result {identifier}", note)
        return (
            f"result {identifier} was done at {utc(taken_at)}, not at {of.latest['taken_at']}; "
            f"{told_of(database, identifier, patient)}"
        )
