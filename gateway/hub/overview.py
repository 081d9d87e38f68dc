"""Looking into a journal beside a running hub, without changing it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.database import StoreError
from gateway.hub.opening import open_for_reading, set_aside_files

__all__ = ["JournalOverview", "ReadingRow", "WholeReading", "overview", "readings", "whole_reading"]


@dataclass(frozen=True, slots=True)
class JournalOverview:
    """What a journal holds.

    Attributes:
        epoch: of the server's store, as adopted; None when no server was heard.
        mark: up to this number the store held the journal's readings when the epoch was adopted.
        quarantined: receipted readings that wait for a person at the server.
        oldest_waiting: when the oldest reading without a receipt was read.
        messages: count by state.
        damaged_octets: count of rejections by line.
        set_aside: names of damaged journals beside it.
    """

    uuid: str
    epoch: str | None
    mark: int
    readings: int
    last_number: int
    waiting: int
    quarantined: int
    oldest_waiting: str | None
    messages: dict[str, int]
    damaged_octets: dict[str, int]
    set_aside: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReadingRow:
    """Where one reading is; no values."""

    number: int
    message: int
    position: int
    port: str
    message_state: str
    read_at: str
    verdict: str | None
    receipt_at: str | None


@dataclass(frozen=True, slots=True)
class WholeReading:
    """One reading with its payload, which holds a person's values."""

    payload: bytes
    sha256: str
    verdict: str | None
    receipt_epoch: str | None
    receipt_at: str | None


def overview(path: Path) -> JournalOverview:
    """Count what is there.

    Raises:
        StoreError: no journal there, or it cannot be read.
    """
    with _looking(path) as database:
        named = database.execute("SELECT uuid FROM journal").fetchone()
        if named is None:
            raise StoreError(f"{path}: the hub is just making this journal; look again when it runs")
        epoch = database.execute("SELECT id, mark FROM epoch ORDER BY sequence DESC LIMIT 1").fetchone()
        count, last = database.execute("SELECT count(*), max(number) FROM reading").fetchone()
        receipted, quarantined = database.execute(
            "SELECT count(*), sum(verdict = 'quarantined') FROM receipt"
        ).fetchone()
        states = database.execute("SELECT state, count(*) FROM message GROUP BY state ORDER BY state").fetchall()
        damaged = database.execute("SELECT line, count(*) FROM rejected GROUP BY line ORDER BY line").fetchall()
        oldest = database.execute(
            "SELECT min(touched_at) FROM reading JOIN message ON message.id = message_id "
            "WHERE number NOT IN (SELECT number FROM receipt)"
        ).fetchone()[0]
    return JournalOverview(
        uuid=named[0],
        epoch=epoch[0] if epoch else None,
        mark=epoch[1] if epoch else 0,
        readings=count,
        last_number=last or 0,
        waiting=count - receipted,
        quarantined=quarantined or 0,
        oldest_waiting=oldest,
        messages=dict(states),
        damaged_octets=dict(damaged),
        set_aside=tuple(found.name for found in set_aside_files(path)),
    )


def readings(path: Path, *, only_waiting: bool = False) -> Iterator[ReadingRow]:
    """All readings in the order of their numbers.

    Raises:
        StoreError: see `overview`.
    """
    with _looking(path) as database:
        for row in database.execute(
            "SELECT number, message_id, position, port, state, touched_at, verdict, receipt.at FROM reading "
            "JOIN message ON message.id = message_id LEFT JOIN receipt USING (number) "
            "WHERE NOT ?1 OR receipt.at IS NULL ORDER BY number",
            (only_waiting,),
        ):
            yield ReadingRow(*row)


def whole_reading(path: Path, number: int) -> WholeReading | None:
    """One reading, or None when there is none of that number.

    Raises:
        StoreError: see `overview`.
    """
    with _looking(path) as database:
        row = database.execute(
            "SELECT payload, sha256, verdict, epoch, at FROM reading LEFT JOIN receipt USING (number) "
            "WHERE number = ?",
            (number,),
        ).fetchone()
    return WholeReading(*row) if row else None


@contextmanager
def _looking(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_for_reading(path)) as database:
        try:
            yield database
        except sqlite3.Error as error:
            raise StoreError(f"{path}: cannot be read: {error}") from error
