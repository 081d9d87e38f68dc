"""Commits to the journal's file: one at a time, and each takes along what was noted for the next one."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gateway.database import transaction
from gateway.hub import rows
from gateway.hub.rows import Memo, Rejection

__all__ = ["Commits", "JournalError", "Last", "Noted", "is_damage"]

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file is broken, or none of its own."""
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF in _DAMAGED


class JournalError(Exception):
    """The journal could not commit; nothing of the attempt is on disk."""


@dataclass(slots=True)
class Noted:
    """What goes with the next commit, because it is of no promise to anybody."""

    receipts: list[tuple[int, str, str, str]] = field(default_factory=list)
    settled: list[tuple[int]] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    memos: dict[tuple[str, str], Memo] = field(default_factory=dict)
    """The newest of each line and key."""

    def __bool__(self) -> bool:
        return bool(self.settled) or self.is_awaited

    @property
    def is_awaited(self) -> bool:
        """Whether something of it should not wait for long."""
        return bool(self.receipts or self.rejected or self.memos)

    def write(self, database: sqlite3.Connection) -> None:
        """Write it within a transaction."""
        if self.settled:
            database.executemany("UPDATE message SET resumable = 0 WHERE id = ?", self.settled)
        if self.receipts:
            rows.insert_receipts(database, self.receipts)
        rows.insert_rejections(database, self.rejected)
        if self.memos:
            rows.insert_memos(database, list(self.memos.values()))


@dataclass(slots=True)
class Last:
    """The greatest numbers that were given; a commit that fails takes back those it gave."""

    message: int
    number: int
    context: int


class Commits:
    """Safe for use by several threads; each block holds the lock.

    Attributes:
        damaged: SQLite found the file broken; it must be closed and set aside.
        last: counted on only within `writing`.
        noted: looked at within a block; see `noting`.
    """

    def __init__(self, database: sqlite3.Connection, path: Path, last: Last) -> None:
        self.damaged = False
        self.last = last
        self.noted = Noted()
        self._database = database
        self._path = path
        self._lock = threading.Lock()

    @contextmanager
    def noting(self) -> Iterator[Noted]:
        """Note something for the next commit, without waiting for it."""
        with self._lock:
            yield self.noted

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Read.

        Raises:
            JournalError: the file cannot be read.
        """
        with self._lock:
            try:
                yield self._database
            except sqlite3.Error as error:
                raise self._broken(error, "read") from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One commit, with what is noted. The lock is held until the octets are on disk.

        Raises:
            JournalError: nothing of it is on disk; what was noted stays so.
        """
        with self._lock:
            before = (self.last.message, self.last.number, self.last.context)
            try:
                with transaction(self._database) as database:
                    if self.noted:
                        self.noted.write(database)
                    yield database
            except BaseException as error:
                self.last.message, self.last.number, self.last.context = before
                if isinstance(error, sqlite3.Error):
                    raise self._broken(error, "commit") from error
                raise
            if self.noted:
                self.noted = Noted()

    def close(self) -> None:
        """Write what is noted and close the file."""
        with self._lock:
            try:
                if self.noted:
                    with transaction(self._database) as database:
                        self.noted.write(database)
            finally:
                self._database.close()

    def _broken(self, error: sqlite3.Error, what: str) -> JournalError:
        self.damaged = self.damaged or is_damage(error)
        return JournalError(f"{self._path}: cannot {what}: {error}")
