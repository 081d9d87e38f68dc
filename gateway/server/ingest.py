"""A batch of messages into the store, in one transaction: each gets exactly one verdict, and none is dropped.

Nothing that a message holds makes this raise or stalls the next message: what fails in an unforeseen way is put
into quarantine with its octets. Only a store that cannot commit raises, and then nothing of the batch is in it.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from gateway.clock import utc
from gateway.database import transaction
from gateway.mqtt.topics import ReadingName, parse_reading
from gateway.server.book import Book
from gateway.server.configuration import Safety
from gateway.server.grouping import Identified
from gateway.server.placement import Opened, Place, create_result, place, record, take_up_repetitions
from gateway.server.refusals import Reason, Refusal
from gateway.server.validation import KEPT_OCTETS, judge
from gateway.store import quarantine, readings
from gateway.wire.reading import Reading, digest
from gateway.wire.receipt import Verdict

__all__ = ["CommitError", "Message", "Taken", "ingest", "raised_at"]

_log = logging.getLogger("gateway.server.ingest")


class CommitError(Exception):
    """The store could not commit (disk full, input or output error, locked); nothing of the batch is in it."""


@dataclass(frozen=True, slots=True)
class Message:
    """What came from the broker on a topic of readings."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a message; it is committed.

    Attributes:
        name: the reading that the topic names; None for a stray, of which nobody can be told.
        sha256: of the payload as it came.
        repeat: the same octets were here before under this name.
        opened: the quarantine rows that this message opened.
    """

    name: ReadingName | None
    sha256: str
    verdict: Verdict
    repeat: bool = False
    opened: tuple[Opened, ...] = ()


def ingest(
    database: sqlite3.Connection, messages: Sequence[Message], received: datetime, safety: Safety
) -> list[Taken]:
    """Take in a batch. When this returns, all of it is on disk.

    Raises:
        CommitError: nothing of it is; acknowledge nothing and try again.
    """
    try:
        try:
            taken = _together(database, messages, received, safety, _one)
        except Exception as error:
            if _is_the_store(error):
                raise
            # Some message did it. A savepoint for each costs as much as its rows, so it comes only now.
            taken = _together(database, messages, received, safety, _one_or_quarantine)
    except sqlite3.Error as error:
        raise CommitError(f"{type(error).__name__}: {error}") from error
    for opened in (row for each in taken for row in each.opened if row.urgent):
        _log.error(
            "a result beyond the safety limits waits in quarantine %d: look at it now with "
            "'inr-gateway quarantine show %d'",
            opened.id,
            opened.id,
        )
    return taken


class _Batch(NamedTuple):
    """What all messages of one transaction share. `at`: when it was received, as it is stored."""

    database: sqlite3.Connection
    book: Book
    received: datetime
    at: str
    safety: Safety


def _together(
    database: sqlite3.Connection,
    messages: Sequence[Message],
    received: datetime,
    safety: Safety,
    take_in: Callable[[_Batch, Message], Taken],
) -> list[Taken]:
    with transaction(database):
        batch = _Batch(database, Book(database), received, utc(received), safety)
        taken = [take_in(batch, message) for message in messages]
        _advance_marks(database, (each.name for each in taken if each.name is not None and not each.repeat))
    return taken


def _one_or_quarantine(batch: _Batch, message: Message) -> Taken:
    batch.database.execute("SAVEPOINT one")
    try:
        taken = _one(batch, message)
    except Exception as error:
        if _is_the_store(error):
            raise
        batch.database.execute("ROLLBACK TO one")
        # Neither the text of the error nor its traceback is logged: they may hold a patient's values.
        where = f"{type(error).__name__} at {raised_at(error)}"
        _log.error("a message could not be taken in (%s); it is in quarantine", where)
        taken = _keep(batch, message, Refusal(Reason.INTERNAL_ERROR, where))
    batch.database.execute("RELEASE one")
    return taken


def _is_the_store(error: Exception) -> bool:
    """Whether the store fails, and not what one message made us do with it."""
    faults_of_one = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError)
    return isinstance(error, sqlite3.Error) and not isinstance(error, faults_of_one)


def _one(batch: _Batch, message: Message) -> Taken:
    database, book, received, at, safety = batch
    name = parse_reading(message.topic)
    if name is None:
        return _keep(batch, message, Refusal(Reason.TOPIC, "the topic names no reading"))
    sha256, journal = digest(message.payload), str(name.journal)
    before = readings.named(database, journal, name.number)
    for row in before:
        if row.sha256 == sha256:
            return Taken(name, sha256, Verdict(row.verdict), repeat=True)
    judged = judge(name, message.payload)
    reading = judged if isinstance(judged, Reading) else None
    new = None if reading is None else Identified.of(reading)
    if before:
        detail = f"other octets came before under this name: reading {before[0].id}"
        found: Place | Refusal = Refusal(Reason.ALTERED, detail)
    elif isinstance(judged, Refusal):
        found = judged
    else:
        found = place(database, book, judged, new, received)
    waits = isinstance(found, Refusal) or found.waits
    verdict = Verdict.QUARANTINED if waits else Verdict.STORED
    result_id = None if isinstance(found, Refusal) else create_result(database, found, at)
    kept = message.payload[:KEPT_OCTETS]
    arrived = readings.Arrived(
        journal,
        name.number,
        sha256,
        name.hub,
        kept,
        at,
        size=len(message.payload),
        message=None if reading is None else reading.message,
        position=None if reading is None else reading.position,
        content=None if new is None else new.content,
        record=None if new is None else new.record,
    )
    reading_id = readings.insert(database, arrived, verdict, result_id)
    result = None if new is None else new.result
    opened = record(database, reading_id, found, result_id, result, at, safety)
    if reading is not None and reading.repetition is not None and isinstance(found, Place):
        opened += take_up_repetitions(database, book, journal, at, safety)
    return Taken(name, sha256, verdict, opened=tuple(opened))


def _keep(batch: _Batch, message: Message, refusal: Refusal) -> Taken:
    """Put a message of which nothing can be made into quarantine, whatever it is."""
    database, at = batch.database, batch.at
    name, sha256 = parse_reading(message.topic), digest(message.payload)
    kept, size = message.payload[:KEPT_OCTETS], len(message.payload)
    if name is None:
        stray_id = readings.insert_stray(database, message.topic, sha256, kept, size, at)
        if stray_id is None:
            return Taken(None, sha256, Verdict.QUARANTINED, repeat=True)
        opened = quarantine.add(database, refusal.reason, refusal.detail, at, stray_id=stray_id)
    else:
        arrived = readings.Arrived(str(name.journal), name.number, sha256, name.hub, kept, at, size)
        reading_id = readings.insert(database, arrived, Verdict.QUARANTINED, None)
        opened = quarantine.add(database, refusal.reason, refusal.detail, at, reading_id=reading_id)
    return Taken(name, sha256, Verdict.QUARANTINED, opened=(Opened(opened, False),))


def _advance_marks(database: sqlite3.Connection, names: Iterable[ReadingName]) -> None:
    hubs: dict[str, str] = {}
    numbers: dict[str, list[int]] = {}
    for name in names:
        journal = str(name.journal)
        hubs[journal] = name.hub
        numbers.setdefault(journal, []).append(name.number)
    for journal, hub in hubs.items():
        readings.advance(database, journal, hub, numbers[journal])


def raised_at(error: BaseException) -> str:
    """Where in our own code an error was raised: file and line, no values."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    return "?" if step is None else f"{Path(step.tb_frame.f_code.co_filename).name}:{step.tb_lineno}"
