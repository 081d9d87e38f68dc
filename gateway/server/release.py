"""What a named person decides about quarantine: release or dismiss. Every act writes a row of its own.

To release is to ask again: the same rules as at arrival, on today's registry. Only three questions take an answer:
which of two contradicting copies holds, when a test was done, and who of two possible patients did it.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from gateway.clock import moment, utc
from gateway.database import transaction
from gateway.mqtt.topics import ReadingName
from gateway.server.book import Book
from gateway.server.configuration import Safety
from gateway.server.copies import DecisionError, copies_of, go_on, hold, merge_into, split_off, that_hold
from gateway.server.grouping import Identified
from gateway.server.placement import admit, place, take_up_repetitions
from gateway.server.refusals import REMEDY, Reason, Refusal
from gateway.server.retraction import take_back
from gateway.server.validation import judge
from gateway.server.versions import standing, told_of
from gateway.server.witness import Choice, stated
from gateway.store import decisions, quarantine, readings, results
from gateway.store.quarantine import Entry

__all__ = ["Choice", "DecisionError", "dismiss", "release"]

_NO_CHOICE = Choice()


@dataclass(frozen=True, slots=True)
class _Act:
    """One release in the making."""

    database: sqlite3.Connection
    book: Book
    entry: Entry
    choice: Choice
    at: str
    safety: Safety


def release(
    database: sqlite3.Connection, identifier: int, by: str, at: datetime, choice: Choice, safety: Safety
) -> str:
    """Let what waits in one row go on, if it can.

    Args:
        database: the store.
        identifier: the row.
        by: name of the person who decides.
        at: now.
        choice: the person's answer, where the reason asks one.
        safety: limits beyond which something that waits on is urgent.

    Returns:
        What became of it, in words.

    Raises:
        DecisionError: it cannot go on; the message says why and what to do. Nothing has changed.
    """
    with transaction(database):
        entry = _open_entry(database, identifier)
        act = _Act(database, Book(database), entry, choice, utc(at), safety)
        quarantine.close(database, identifier, act.at, by, "released")  # so that the result is asked without it
        if entry.stray_id is not None:
            raise DecisionError(f"quarantine {identifier} is no reading at all; {REMEDY[Reason.TOPIC]}")
        if entry.result_id is None:
            said = _release_reading(act)
        elif entry.reason == Reason.CONFLICT:
            said = _decide_conflict(act, entry.result_id)
        elif entry.reason == Reason.UNREPORTABLE:
            said = _said(database, entry.result_id, [])
        elif entry.reason == Reason.AMBIGUOUS_REPEAT:
            said = _decide_repeat(act, entry.result_id)
        else:
            said = _release_result(act, entry.result_id)
        decisions.record(database, at, by, "release", f"quarantine {identifier}", f"{choice} {said}".strip())
    return said


def dismiss(database: sqlite3.Connection, identifier: int, by: str, at: datetime, note: str) -> str:
    """Decide that what waits shall never be reported nor counted. It stays in the store.

    A result of which somebody has been told is taken back there.

    Raises:
        DecisionError: not open, or it is a report that cannot be made of a result of which others were told.
    """
    if not note.strip():
        raise DecisionError("a dismissal needs a note that says why")
    with transaction(database):
        entry = _open_entry(database, identifier)
        result_id, rows = entry.result_id, [entry]
        reported = result_id is not None and results.is_reported(database, result_id)
        taken_back = (
            _take_back(database, entry, result_id, by, note, at) if result_id is not None and reported else ""
        )
        if result_id is not None:
            rows = quarantine.open_of_result(database, result_id)
        for row in rows:
            # What could not be reported is asked again: it may be a retraction now.
            action: quarantine.Action = (
                "released" if reported and row.reason == Reason.UNREPORTABLE else "dismissed"
            )
            quarantine.close(database, row.id, utc(at), by, action)
            decisions.record(database, at, by, "dismiss", f"quarantine {row.id}", note)
    return f"dismissed: {', '.join(f'quarantine {row.id}' for row in rows)}{taken_back}"


def _take_back(database: sqlite3.Connection, entry: Entry, result_id: int, by: str, note: str, at: datetime) -> str:
    """Take back the reported result of a row that is dismissed, unless it was before; in words."""
    latest = standing(database, result_id).latest
    is_taken_back = latest["status"] == "retracted"
    if entry.reason == Reason.UNREPORTABLE:
        if is_taken_back:
            what = "holds back a retraction, and whoever was told must hear of it"
        else:
            what = f"is about one report of several; to take the result back: 'results retract {result_id}'; else"
        raise DecisionError(f"quarantine {entry.id} {what}; {REMEDY[Reason.UNREPORTABLE]}")
    if is_taken_back:
        return ""
    take_back(database, result_id, by, note, at)
    decisions.record(database, at, by, "retract", f"result {result_id}", note)
    patient = latest["patient_id"]
    return f"; result {result_id} is taken back from patient {patient}; {told_of(database, result_id, patient)}"


def _open_entry(database: sqlite3.Connection, identifier: int) -> Entry:
    entry = quarantine.entry(database, identifier)
    if entry is None:
        raise DecisionError(f"quarantine {identifier}: no such row; see 'quarantine list'")
    if entry.closed_at is not None:
        raise DecisionError(f"quarantine {identifier} was {entry.action} by {entry.closed_by} at {entry.closed_at}")
    return entry


def _release_reading(act: _Act) -> str:
    _expect(act, act.choice == _NO_CHOICE, "takes no further answer")
    row = readings.find(act.database, act.entry.reading_id or 0)
    if row is None or row["size"] > len(row["payload"]):
        raise DecisionError(f"quarantine {act.entry.id}: only a part of it is here; {REMEDY[Reason.OVERSIZED]}")
    name = ReadingName(row["hub"], UUID(row["journal"]), row["number"])
    judged = judge(name, row["payload"])
    if isinstance(judged, Refusal):
        raise _still(act, judged)
    found = place(act.database, act.book, judged, Identified.of(judged), moment(row["received_at"]))
    if isinstance(found, Refusal):
        raise _still(act, found)
    result_id, opened = admit(act.database, row["id"], found, act.at, act.safety)
    take_up_repetitions(act.database, act.book, row["journal"], act.at, act.safety)
    return _said(act.database, result_id, [each.id for each in opened])


def _release_result(act: _Act, result_id: int) -> str:
    choice = act.choice
    _expect(act, choice.keep is None and not choice.as_two, "is not decided by --keep or --as-two")
    before = quarantine.open_of_result(act.database, result_id)
    if before:
        raise DecisionError(f"result {result_id} also waits in quarantine {before[0].id}; decide that first")
    known, copies = results.by_id(act.database, result_id), copies_of(act.database, result_id)
    found = stated(act.book, copies if known is None else that_hold(known, copies), choice)
    if isinstance(found, Refusal):
        raise _still(act, found)
    go_on(act.database, act.book, result_id, act.at, act.safety, why="released", found=found)
    return _said(act.database, result_id, [])


def _decide_conflict(act: _Act, result_id: int) -> str:
    choice = act.choice
    _one_of_two(act)
    if choice.keep is not None:
        if choice.keep not in [copy.id for copy in copies_of(act.database, result_id)]:
            raise DecisionError(f"reading {choice.keep} is not of result {result_id}; see 'quarantine show'")
        results.settle_readings(act.database, result_id)
        hold(act.database, result_id, choice.keep, act.at)
        touched = [result_id]
    else:
        touched = [result_id, split_off(act.database, result_id, act.entry.reading_id or 0, act.at)]
    return _go_on_with(act, touched)


def _decide_repeat(act: _Act, result_id: int) -> str:
    choice = act.choice
    _one_of_two(act)
    if choice.keep is None:
        return _go_on_with(act, [result_id])
    into = merge_into(act.database, result_id, choice.keep)
    for row in quarantine.open_of_result(act.database, result_id):
        quarantine.close(act.database, row.id, act.at, "server", "released")
    results.settle_readings(act.database, into)
    hold(act.database, into, choice.keep, act.at)
    return _go_on_with(act, [into])


def _go_on_with(act: _Act, touched: list[int]) -> str:
    said = []
    for each in touched:
        opened = go_on(act.database, act.book, each, act.at, act.safety, why="released")
        said.append(_said(act.database, each, [row.id for row in opened]))
    return "; ".join(said)


def _one_of_two(act: _Act) -> None:
    choice = act.choice
    plain = choice.patient is None and choice.taken_at is None
    _expect(act, plain and (choice.keep is not None) != choice.as_two, "needs either --keep READING or --as-two")


def _expect(act: _Act, condition: bool, otherwise: str) -> None:
    if not condition:
        raise DecisionError(f"quarantine {act.entry.id} ({act.entry.reason}) {otherwise}")


def _still(act: _Act, refusal: Refusal) -> DecisionError:
    why = f"{refusal.reason}: {refusal.detail}; {REMEDY[refusal.reason]}"
    return DecisionError(f"quarantine {act.entry.id} cannot be released: {why}")


def _said(database: sqlite3.Connection, result_id: int, opened: list[int]) -> str:
    if opened:
        return f"result {result_id} waits now in quarantine {', '.join(map(str, opened))}"
    version = results.latest_version(database, result_id)
    if version is None:
        return f"result {result_id} is stored"
    return f"result {result_id} stands in version {version['version']} ({version['status']})"
