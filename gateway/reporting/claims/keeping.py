"""Keeps tallies up to date while the server runs: soon after something was written, and all of them once a day."""

from __future__ import annotations

import datetime as dt
import logging
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Final

from gateway.clock import Clock
from gateway.reporting.claims.recompute import recompute, renew_tests, update
from gateway.store import reports
from gateway.store.opening import Role, open_store

__all__ = ["Tallying"]

POLL_S: Final = 2.0
"""How often the store is asked whether another process wrote something. Costs no disk."""
LONGEST_WAIT_S: Final = 300.0
"""Between two tries when the store refuses."""

_log = logging.getLogger(__name__)


class Tallying:
    """One thread with a connection of its own. What it does is idempotent, so several servers may do it."""

    def __init__(self, database_path: Path, clock: Clock, role: Role) -> None:
        """Nothing happens before `start`."""
        self._path = database_path
        self._clock = clock
        self._role: Role = role
        self._news = threading.Event()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._day: dt.date | None = None
        self._seen: int | None = None

    def start(self) -> None:
        """Begin; returns at once.

        Raises:
            StoreError: no such store, or of another role.
        """
        database = open_store(self._path, self._role)
        self._thread = threading.Thread(target=self._run, args=(database,), name="tallies", daemon=True)
        self._thread.start()

    def notify(self) -> None:
        """Something was committed. May be called from any thread; without it the store is polled."""
        self._news.set()

    def stop(self) -> None:
        """Stop after what is being tallied."""
        self._ending.set()
        self._news.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, database: sqlite3.Connection) -> None:
        failures = 0
        with closing(database):
            while not self._ending.is_set():
                self._news.clear()
                try:
                    self._look(database)
                    failures = 0
                except Exception as error:  # no text of it: it may quote a value
                    _log.error("tallies cannot be kept now (%s); tried again", type(error).__name__)
                    self._seen = None
                    failures += 1
                    self._ending.wait(min(POLL_S * 2**failures, LONGEST_WAIT_S))
                else:
                    self._news.wait(POLL_S)

    def _look(self, database: sqlite3.Connection) -> None:
        """Tally whom something was written about; on the first look of a day, everybody."""
        now = self._clock.now()
        day = now.astimezone(dt.UTC).date()
        if day != self._day:
            self._everybody(day, now)
            self._day = day
        seen = reports.changed_by_others(database)
        if seen != self._seen:
            done = update(database, day, self._role, now)
            self._seen = seen
            if done.patients:
                _log.debug("%d patients tallied", done.patients)

    def _everybody(self, day: dt.date, now: dt.datetime) -> None:
        with (
            closing(open_store(self._path, self._role)) as reader,
            closing(open_store(self._path, self._role)) as writer,
        ):
            wrong = renew_tests(reader, writer)
            done = recompute(reader, writer, day, self._role, now)
        if wrong:
            _log.error(
                "%d results stood otherwise in tally_test than in the tables it is made from; they are right now. "
                "Somebody wrote past the schema; report this as a defect",
                wrong,
            )
        _log.info("%d patients tallied as of %s, %d without a statement", done.patients, day, done.refused)
        if done.different:
            _log.error(
                "%d kept tallies were others than their facts say; they are right now. "
                "'inr-gateway units statement' shows each; report this as a defect",
                len(done.different),
            )
