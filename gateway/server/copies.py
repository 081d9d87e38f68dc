"""A result and its copies, after a person has spoken: which content holds, what is split off, what is merged."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from itertools import combinations
from typing import NamedTuple

from gateway.clock import Quality, moment
from gateway.result import Kind, Result, normalised_inr
from gateway.server.attribution import Attributed
from gateway.server.book import Book
from gateway.server.configuration import Safety
from gateway.server.grouping import Identified
from gateway.server.placement import Opened, attributed, origin_of, shown_time, version_of
from gateway.server.refusals import Reason, Refusal
from gateway.server.safety import is_urgent
from gateway.server.validation import contradictions, understand
from gateway.store import quarantine, readings, results
from gateway.wire.reading import Reading

__all__ = ["Copy", "DecisionError", "best", "copies_of", "go_on", "hold", "merge_into", "split_off", "that_hold"]

_BEST_FIRST = [Quality.STATED, Quality.SYNCHRONISED, Quality.OFFSET_CORRECTED, Quality.ASSUMED_ZONE]


class DecisionError(Exception):
    """What a person asked for cannot be done; the message says why and what to do instead."""


class Copy(NamedTuple):
    """One reading of a result, understood."""

    id: int
    name: str
    new: Identified
    received: datetime


def copies_of(database: sqlite3.Connection, result_id: int) -> list[Copy]:
    """The readings of a result in the order of arrival."""
    found = []
    for member in readings.members(database, result_id):
        reading = understand(member.payload)
        new = Identified.of(reading) if isinstance(reading, Reading) else None
        if new is not None:
            found.append(Copy(member.id, f"{member.journal}/{member.number}", new, moment(member.received_at)))
    return found


def that_hold(known: results.Known, copies: Sequence[Copy]) -> list[Copy]:
    """Of contradicting copies those that say what a person decided that the result is; all where nobody had to."""
    agreed = [
        copy
        for copy in copies
        if (copy.new.result.kind.value, normalised_inr(copy.new.result.inr)) == (known.kind, known.inr)
    ]
    return agreed or list(copies)


def best(book: Book, copies: Sequence[Copy]) -> tuple[Attributed, Copy] | Refusal:
    """The attribution of a result: of its copies the one whose time is known best."""
    refusal = Refusal(Reason.TIME_UNKNOWN, "no reading of it can be understood")
    good: list[tuple[Attributed, Copy]] = []
    for copy in reversed(copies):
        found = attributed(book, copy.new.reading, copy.new.result, copy.received)
        if isinstance(found, Refusal):
            refusal = found
        else:
            good.insert(0, (found, copy))
    if len({found.patient_id for found, _copy in good}) > 1:
        return Refusal(Reason.AMBIGUOUS_ASSIGNMENT, "copies of the test point to different patients")
    return min(good, key=lambda each: (_BEST_FIRST.index(each[0].quality), each[0].uncertainty_s), default=refusal)


def go_on(
    database: sqlite3.Connection,
    book: Book,
    result_id: int,
    at: str,
    safety: Safety,
    *,
    why: str,
    found: tuple[Attributed, Copy] | Refusal | None = None,
) -> list[Opened]:
    """Give a patient result that nothing holds back a version, or open the row that says why not.

    It lacks one when it is new, and when it was taken from a patient without being anybody else's.

    Args:
        database: the store.
        book: the registry.
        result_id: which result.
        at: now.
        safety: limits beyond which what waits is urgent.
        why: kept with the version.
        found: its attribution, when a person had a say in it.
    """
    known = results.by_id(database, result_id)
    latest = results.latest_version(database, result_id)
    if (
        known is None
        or known.kind != Kind.PATIENT
        or quarantine.is_waiting(database, result_id)
        or quarantine.dismissed(database, result_id)
        or (latest is not None and latest["status"] != "retracted")
    ):
        return []
    copies = [copy for copy in copies_of(database, result_id) if copy.new.result.kind is Kind.PATIENT]
    copies = that_hold(known, copies)
    chosen = found or best(book, copies)
    if not isinstance(chosen, Refusal):
        taken, copy = chosen
        origin = origin_of(book, copy.new.reading)
        if not isinstance(origin, Refusal):
            again = results.was_of(database, result_id, taken.patient_id)
            version = version_of(
                copy.new.result,
                origin,
                taken,
                at,
                why,
                copy.id,
                1 if latest is None else latest["version"] + 1,
                "corrected" if again else "final",
            )
            results.add_version(database, result_id, version)
            return []
        chosen = origin
    urgent = bool(copies) and is_urgent(copies[0].new.result, safety)
    row = quarantine.add(
        database,
        chosen.reason,
        chosen.detail,
        at,
        reading_id=copies[0].id if copies else None,
        result_id=result_id,
        urgent=urgent,
    )
    return [Opened(row, urgent)]


def hold(database: sqlite3.Connection, result_id: int, reading_id: int, at: str) -> None:
    """The content of one reading holds. If another was reported, a new version corrects or retracts it."""
    copy = next(each for each in copies_of(database, result_id) if each.id == reading_id)
    result = copy.new.result
    results.describe(database, result_id, result.kind.value, normalised_inr(result.inr), shown_time(result))
    latest = results.latest_version(database, result_id)
    if latest is None or latest["status"] == "retracted":
        return  # it is nobody's: `go_on` asks whose
    reported = Result.model_validate_json(latest["body"])
    if not contradictions(reported, result):
        return
    retracts = result.kind is not Kind.PATIENT
    columns = ("origin", "patient_id", "taken_at", "uncertainty_s", "quality", "zone")
    results.add_version(
        database,
        result_id,
        results.NewVersion(
            version=latest["version"] + 1,
            status="retracted" if retracts else "corrected",
            body=latest["body"] if retracts else result.model_dump_json(by_alias=True),
            **{name: latest[name] for name in columns},
            recorded_at=at,
            why=f"a person decided that reading {reading_id} holds",
            reading_id=reading_id,
        ),
    )


def split_off(database: sqlite3.Connection, result_id: int, reading_id: int, at: str) -> int:
    """A reading and its copies are a test of their own. Returns the new result's number."""
    copies = copies_of(database, result_id)
    other = next((copy for copy in copies if copy.id == reading_id), None)
    known = results.by_id(database, result_id)
    if other is None or known is None:
        raise DecisionError(f"reading {reading_id} is no longer of result {result_id}; nothing is left to split")
    unlike = any(contradictions(copy.new.result, other.new.result) for copy in copies)
    moved = [
        copy
        for copy in copies
        if copy.new.record == other.new.record or (unlike and copy.new.content == other.new.content)
    ]
    left = [copy for copy in copies if copy not in moved]
    if not left or results.by_key(database, other.name) is not None:
        raise DecisionError(f"result {result_id} holds nothing but copies of reading {reading_id}; use --keep")
    result = other.new.result
    new_id = results.insert(
        database,
        key=other.name,
        recipe=0,
        meter_key=known.meter_key,
        kind=result.kind.value,
        inr=normalised_inr(result.inr),
        device_time=shown_time(result),
        at=at,
        split_from=known.split_from or known.id,
    )
    results.move_readings(database, [copy.id for copy in moved], new_id)
    results.settle_readings(database, new_id)
    hold(database, result_id, left[0].id, at)
    still = _contradiction(left)
    if still is None:
        results.settle_readings(database, result_id)
    else:
        quarantine.add(database, Reason.CONFLICT, still, at, reading_id=left[-1].id, result_id=result_id)
    return new_id


def merge_into(database: sqlite3.Connection, result_id: int, reading_id: int) -> int:
    """A result turns out to be the test of a reading. Returns the number of that reading's result."""
    row = readings.find(database, reading_id)
    this, other = results.by_id(database, result_id), None
    if row is not None and row["result_id"] is not None:
        other = results.by_id(database, row["result_id"])
    if this is None or other is None or other.id == this.id or other.meter_key != this.meter_key:
        raise DecisionError(
            f"reading {reading_id} is not of another test of the same meter; name one of those that "
            "'quarantine show' lists, or use --as-two"
        )
    results.merge(database, this.id, other.id)
    return other.id


def _contradiction(copies: Sequence[Copy]) -> str | None:
    """Whether what is left after a split still contradicts itself."""
    for one, two in combinations({copy.new.content: copy for copy in copies}.values(), 2):
        fields = contradictions(one.new.result, two.new.result)
        if fields:
            return f"readings {one.id} and {two.id} of the same test differ in {', '.join(fields)}"
    return None
