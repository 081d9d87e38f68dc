"""A result goes from one patient to another: taken back there, reported here, in one commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from gateway.clock import Quality, moment, utc
from gateway.database import transaction
from gateway.server.attribution import Attributed
from gateway.server.book import Book
from gateway.server.configuration import Safety
from gateway.server.copies import DecisionError, copies_of, that_hold
from gateway.server.refusals import Reason, Refusal
from gateway.server.safety import is_urgent
from gateway.server.versions import columns_of, follow, named, papers_left, standing, told_of
from gateway.server.witness import STATED_UNCERTAINTY_S
from gateway.server.zones import zone_at
from gateway.store import decisions, people, quarantine, registry

__all__ = ["move", "reattribute", "stated_for"]

WHOSE = (Reason.UNKNOWN_METER, Reason.UNASSIGNED_METER, Reason.AMBIGUOUS_ASSIGNMENT, Reason.TIME_UNKNOWN)
"""What quarantine asks of a result, and what naming its patient answers."""


def move(
    database: sqlite3.Connection,
    identifiers: Sequence[int],
    to: str,
    by: str,
    why: str,
    at: datetime,
    taken_at: datetime | None = None,
) -> list[str]:
    """Somebody else did these tests. All of them go to that patient, or none does.

    The registry stays as it is: a test that its owner did is still its owner's. An assignment that is wrong as a
    whole is corrected in the registry (`gateway.server.registry.corrections`).

    Args:
        database: the store.
        identifiers: numbers of the results.
        to: who did the tests.
        by: name of the person who decides.
        why: the reason; kept with each decision.
        at: now.
        taken_at: when the test was done, if that is to be corrected too; for one result.

    Returns:
        What became of each, in words.

    Raises:
        DecisionError: one of them cannot go there; nothing has changed.
    """
    by, why = named(by, why)
    with transaction(database):
        book = Book(database)
        return [_move(database, book, each, to, by, why, at, taken_at) for each in dict.fromkeys(identifiers)]


def stated_for(
    database: sqlite3.Connection, book: Book, patient: str, version: sqlite3.Row, taken_at: datetime | None = None
) -> Attributed:
    """The version's test as another patient's, by a person's word: the instant is the same unless it is given.

    Raises:
        DecisionError: no such patient, or one without a zone of record.
    """
    if not registry.exists(database, "patients", patient):
        raise DecisionError(f"there is no patient {patient}; import the patient first ('registry import')")
    instant = taken_at or moment(version["taken_at"])
    zone = zone_at(book.zones(patient), instant)
    if zone is None:
        raise DecisionError(
            f"patient {patient} has no zone of record at the time of the test; import one (kind zones)"
        )
    if taken_at is not None:
        return Attributed(patient, taken_at, STATED_UNCERTAINTY_S, Quality.STATED, zone)
    return Attributed(patient, instant, version["uncertainty_s"], Quality(version["quality"]), zone)


def reattribute(
    database: sqlite3.Connection,
    identifier: int,
    found: Attributed | Refusal,
    at: str,
    why: str,
    safety: Safety,
) -> int | None:
    """Add the versions by which a result is whose it was found to be, and not whose it was.

    Args:
        database: the store.
        identifier: number of the result.
        found: whose it is and when it was done; a refusal when nobody can be said to have done it.
        at: now.
        why: kept with the versions.
        safety: limits beyond which something that waits is urgent.

    Returns:
        The quarantine row where it waits when nobody can be said to have done it.
    """
    of = standing(database, identifier)
    latest = of.latest
    stays = isinstance(found, Attributed) and found.patient_id == latest["patient_id"]
    if not stays and not of.is_taken_back:
        follow(database, identifier, latest, at=at, why=why, status="retracted")
    copies = that_hold(of.known, copies_of(database, identifier))
    if isinstance(found, Attributed):
        changes = columns_of(found)
        if of.is_taken_back and copies:  # a person may have said meanwhile which of its copies holds
            changes |= {
                "body": copies[0].new.result.model_dump_json(by_alias=True),
                "reading_id": copies[0].id,
            }
        follow(database, identifier, latest, at=at, why=why, **changes)
        return None
    return quarantine.add(
        database,
        found.reason,
        found.detail,
        at,
        reading_id=latest["reading_id"],
        result_id=identifier,
        urgent=bool(copies) and is_urgent(copies[0].new.result, safety),
    )


def _move(
    database: sqlite3.Connection,
    book: Book,
    identifier: int,
    to: str,
    by: str,
    why: str,
    at: datetime,
    taken_at: datetime | None,
) -> str:
    of = standing(database, identifier)
    was = of.latest["patient_id"]
    if quarantine.dismissed(database, identifier):
        raise DecisionError(
            f"result {identifier} was taken back or dismissed; use 'results restore' with --to {to}"
        )
    if of.is_taken_back and not quarantine.is_waiting(database, identifier):
        raise DecisionError(f"result {identifier} was found to be of kind {of.known.kind}: it is nobody's result")
    if was == to and not of.is_taken_back and taken_at is None:
        raise DecisionError(f"result {identifier} is patient {to}'s already")
    found = stated_for(database, book, to, of.latest, taken_at)
    reattribute(database, identifier, found, utc(at), f"moved: {why}", Safety())
    for row in quarantine.open_of_result(database, identifier):
        if row.reason in WHOSE:
            quarantine.close(database, row.id, utc(at), by, "released")
            decisions.record(database, at, by, "release", f"quarantine {row.id}", f"moved to patient {to}: {why}")
    decisions.record(database, at, by, "move", f"result {identifier}", f"from patient {was} to patient {to}: {why}")
    said = f"result {identifier} went from patient {was} to patient {to}"
    if was == to:
        said = f"result {identifier} stands as patient {to}'s, done at {utc(found.instant)}"
    else:
        left = papers_left(database, identifier, was)
        said += f"; {left}" if left else ""
        said += f"; as patient {was}'s it was {told_of(database, identifier, was)}"
    if not people.treating(database, to, utc(found.instant)):
        said += f"; nobody treats patient {to} at that time, so nobody is told of it as patient {to}'s"
    return said
