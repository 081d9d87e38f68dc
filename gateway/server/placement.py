"""From a reading to its place in the store: admitted or not, its test, its patient, and what holds it back.

`place` reads and decides; `create_result` and `record` write what it decided. The same three serve a reading that
comes from the broker and one that a person releases.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from gateway.clock import moment, utc
from gateway.result import Kind, Result, normalised_inr
from gateway.server.attribution import Attributed, attribute
from gateway.server.book import Book
from gateway.server.configuration import Safety
from gateway.server.grouping import Group, Identified, group
from gateway.server.refusals import Reason, Refusal
from gateway.server.safety import is_urgent
from gateway.server.validation import understand
from gateway.store import quarantine, readings, results
from gateway.store.desk import DESK
from gateway.wire.reading import Origin, Reading

__all__ = [
    "Opened",
    "Place",
    "admit",
    "attributed",
    "create_result",
    "origin_of",
    "place",
    "record",
    "shown_time",
    "take_up_repetitions",
    "version_of",
]

FIRST = "first reading"


class Opened(NamedTuple):
    """A quarantine row that was opened."""

    id: int
    urgent: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where an admitted reading belongs.

    Attributes:
        origin: as the hub's registration has it, which may not be what the payload says.
        attribution: of a new patient result that is not ambiguous; else None.
        waits: the result waits for a person.
    """

    new: Identified
    origin: Origin
    group: Group
    attribution: Attributed | Refusal | None
    waits: bool


def place(
    database: sqlite3.Connection, book: Book, reading: Reading, new: Identified | None, received: datetime
) -> Place | Refusal:
    """Decide what becomes of a reading. Writes nothing.

    Args:
        database: the store.
        book: the registry.
        reading: as it came.
        new: its result with digests; None when it carries a fault.
        received: when the server took it in.
    """
    origin = origin_of(book, reading)
    if isinstance(origin, Refusal):
        return origin
    if new is None:
        fault = reading.fault
        return Refusal(Reason.FAULT, "the hub could not decode it" + (f": {fault.reason}" if fault else ""))
    found = group(database, new, received)
    if isinstance(found, Refusal):
        return found
    attribution = None
    if found.known is not None:
        waits = found.conflict is not None or quarantine.is_waiting(database, found.known.id)
    else:
        if new.result.kind is Kind.PATIENT and found.ambiguous is None:
            attribution = attributed(book, reading, new.result, received)
        waits = found.ambiguous is not None or isinstance(attribution, Refusal)
    return Place(new, origin, found, attribution, waits)


def origin_of(book: Book, reading: Reading) -> Origin | Refusal:
    """The origin that counts: a rig's readings are simulated whatever they say; production admits no such thing."""
    kind = book.hub_kind(reading.hub)
    if kind is None:
        return Refusal(Reason.UNKNOWN_HUB, f"hub {reading.hub} is not registered")
    if reading.origin is Origin.PERSON and reading.hub != DESK:
        return Refusal(Reason.ORIGIN, "it says that a person entered it, and only the desk can do that")
    origin = Origin.SIMULATOR if kind == "rig" else reading.origin
    if book.role == "production" and origin in (Origin.SIMULATOR, Origin.REPLAY):
        return Refusal(Reason.ORIGIN, f"origin is {origin.value}, and this is a production store")
    return origin


def attributed(book: Book, reading: Reading, result: Result, received: datetime) -> Attributed | Refusal:
    """Whose test it is, and when it was done; or why that cannot be said."""
    key = result.meter.key
    if key is None:
        return Refusal(Reason.UNKNOWN_METER, "the meter gave no serial number")
    if not book.meter_known(key):
        return Refusal(Reason.UNKNOWN_METER, "the meter is not registered")
    return attribute(reading, result, received, book.assignments(key), book.zones)


def create_result(database: sqlite3.Connection, found: Place, at: str) -> int:
    """The number of the result to which the reading belongs, made now if it is new."""
    if found.group.known is not None:
        return found.group.known.id
    result = found.new.result
    return results.insert(
        database,
        key=found.group.key,
        recipe=found.group.recipe,
        meter_key=result.meter.key or "",
        kind=result.kind.value,
        inr=normalised_inr(result.inr),
        device_time=shown_time(result),
        at=at,
    )


def shown_time(result: Result) -> str:
    """The meter's time as a person reads it: ``2026-03-14 07:30:05``, else what the meter wrote."""
    time = result.device_time
    return "" if time is None else time.raw if time.local is None else time.local.isoformat(sep=" ")


def record(
    database: sqlite3.Connection,
    reading_id: int,
    found: Place | Refusal,
    result_id: int | None,
    result: Result | None,
    at: str,
    safety: Safety,
) -> list[Opened]:
    """Write what `place` decided: a version, or the quarantine rows that hold the reading or its result back."""

    def hold(reason: Reason, detail: str) -> Opened:
        urgent = reason is not Reason.ORIGIN and is_urgent(result, safety)
        row = quarantine.add(
            database, reason, detail, at, reading_id=reading_id, result_id=result_id, urgent=urgent
        )
        return Opened(row, urgent)

    if isinstance(found, Refusal):
        return [hold(found.reason, found.detail)]
    if result_id is None:
        raise ValueError("an admitted reading belongs to a result; call create_result first")
    if found.group.ambiguous is not None:
        return [hold(Reason.AMBIGUOUS_REPEAT, found.group.ambiguous)]
    if isinstance(found.attribution, Refusal):
        return [hold(found.attribution.reason, found.attribution.detail)]
    if found.attribution is not None:
        version = version_of(found.new.result, found.origin, found.attribution, at, FIRST, reading_id)
        results.add_version(database, result_id, version)
    if found.group.conflict is not None and not _holds_already(database, result_id):
        return [hold(Reason.CONFLICT, found.group.conflict)]
    return []


def version_of(
    result: Result,
    origin: Origin,
    taken: Attributed,
    at: str,
    why: str,
    reading_id: int,
    number: int = 1,
    status: str = "final",
) -> results.NewVersion:
    """A version of a result out of one reading's content."""
    return results.NewVersion(
        version=number,
        status=status,
        body=result.model_dump_json(by_alias=True),
        origin=origin.value,
        patient_id=taken.patient_id,
        taken_at=utc(taken.instant),
        uncertainty_s=taken.uncertainty_s,
        quality=taken.quality.value,
        zone=taken.zone,
        recorded_at=at,
        why=why,
        reading_id=reading_id,
    )


def admit(
    database: sqlite3.Connection, reading_id: int, found: Place, at: str, safety: Safety
) -> tuple[int, list[Opened]]:
    """Take in a reading that had to wait: its result's number and the rows that hold it back still."""
    result_id = create_result(database, found, at)
    new = found.new
    readings.place(
        database,
        reading_id,
        result_id,
        message=new.reading.message,
        position=new.reading.position,
        content=new.content,
        record=new.record,
    )
    return result_id, record(database, reading_id, found, result_id, found.new.result, at, safety)


def take_up_repetitions(
    database: sqlite3.Connection, book: Book, journal: str, at: str, safety: Safety
) -> list[Opened]:
    """Take in the readings of a journal that waited only for the reading that they repeat.

    No person is asked: nothing was doubtful, only the order of arrival was.
    """
    opened: list[Opened] = []
    progress = True
    while progress:
        progress = False
        for entry in quarantine.unseen(database, journal, Reason.REPEATS_UNSEEN):
            row = readings.find(database, entry.reading_id or 0)
            reading = None if row is None else understand(row["payload"])
            if row is None or not isinstance(reading, Reading) or reading.result is None:
                continue
            found = place(database, book, reading, Identified.of(reading), moment(row["received_at"]))
            if isinstance(found, Place):
                quarantine.close(database, entry.id, at, "server", "released")
                opened += admit(database, row["id"], found, at, safety)[1]
                progress = True
    return opened


def _holds_already(database: sqlite3.Connection, result_id: int) -> bool:
    return any(entry.reason == Reason.CONFLICT for entry in quarantine.open_of_result(database, result_id))
