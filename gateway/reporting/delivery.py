"""Delivery: makes the reports that destinations lack and carries each until its own acknowledgement is on disk."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import sqlite3
import threading
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from gateway.clock import Clock
from gateway.reporting import configuration
from gateway.reporting.alerts.configuration import IntendedUse
from gateway.reporting.channels.base import Circumstances, Secrets
from gateway.reporting.courier import Courier
from gateway.reporting.ledger import Ledger
from gateway.reporting.queueing import NOTHING_STATED, Search, fall_back, queue_reports
from gateway.reporting.threads import Threads
from gateway.reporting.waiting import until
from gateway.store import reports, sendings
from gateway.store.opening import Role, open_store

__all__ = ["Delivery"]

logger = logging.getLogger(__name__)

BATCH = 200
"""Results whose reports are made in one transaction."""
LONGEST_WAIT_S = 60.0
"""Between two tries when the store refuses to take reports."""
STAND_BY_S = 1.0
"""How often a process that stands by asks whether the one that delivers is gone."""


class Delivery:
    """Delivers the reports of one store, in a thread of its own with a connection of its own.

    One process at a time delivers from a store: a second one stands by, and takes over when the first is gone.
    """

    def __init__(
        self,
        database_path: Path,
        settings: configuration.Delivery,
        clock: Clock,
        role: Role,
        intended_use: IntendedUse = NOTHING_STATED,
    ) -> None:
        """Nothing happens before `start`.

        Args:
            database_path: the store's file.
            settings: the ``[delivery]`` section.
            clock: the gateway's clock.
            role: what the store must be. A rig's messages are marked as tests.
            intended_use: what the supplier uses flags and summaries for; without a statement there are none.
        """
        self._path = database_path
        self._settings = settings
        self._clock = clock
        self._role: Role = role
        self._intended_use = intended_use
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news: asyncio.Event | None = None
        self._ending: asyncio.Event | None = None
        self._begun = threading.Event()
        self._grace_s = 0.0

    def start(self) -> None:
        """Begin to deliver; returns at once.

        Raises:
            StoreError: no such store, or of another role.
        """
        database = open_store(self._path, self._role)
        self._begun.clear()
        self._thread = threading.Thread(target=self._run, args=(database,), name="delivery", daemon=True)
        self._thread.start()
        self._begun.wait()

    def notify(self) -> None:
        """Something was committed: look now. May be called from any thread; without it the store is polled."""
        self._set(self._news)

    def stop(self, timeout_s: float = 5.0) -> None:
        """Stop. Reports in flight have this long for their answers; later these count as not given."""
        if self._thread is None:
            return
        self._grace_s = timeout_s
        self._set(self._ending)
        self._set(self._news)
        self._thread.join()
        self._thread = None

    def _set(self, event: asyncio.Event | None) -> None:
        if self._loop is not None and event is not None:
            with suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(event.set)

    def _run(self, database: sqlite3.Connection) -> None:
        try:
            asyncio.run(self._main(database))
        except Exception:
            logger.exception("delivery has ended; nothing leaves until the server is started again")
        finally:
            self._begun.set()

    async def _main(self, database: sqlite3.Connection) -> None:
        news, ending = asyncio.Event(), asyncio.Event()
        self._loop, self._news, self._ending = asyncio.get_running_loop(), news, ending
        self._loop.set_default_executor(Threads())
        self._begun.set()
        ledger = Ledger(database)
        circumstances = Circumstances(self._settings, Secrets(self._settings.secrets), self._clock)
        couriers = _Couriers(ledger, circumstances)
        name = self._path.with_name(f"{self._path.name}.delivery")
        lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            await _alone(lock, ending)
            search = Search(self._role)
            failures = 0
            while not ending.is_set():
                news.clear()
                try:
                    if not await self._look(search, ledger, couriers):
                        await until(news, self._settings.poll_s)
                    failures = 0
                except Exception:
                    logger.exception("reports cannot be made now; they are tried again")
                    search.begin_again()
                    await until(ending, min(2**failures, LONGEST_WAIT_S))
                    failures += 1
        finally:
            await couriers.end(self._grace_s)
            ledger.close()
            os.close(lock)

    async def _look(self, search: Search, ledger: Ledger, couriers: _Couriers) -> bool:
        """Make the reports that are lacking and wake those who carry them. False when there were none."""
        found = await ledger.read(search.look)
        if found.decided:
            couriers.wake(await ledger.read(sendings.waiting_destinations), decided=True)
        falls_back_at = await ledger.read(reports.next_fall_back_at)
        if falls_back_at is not None and falls_back_at <= self._clock.now():
            couriers.wake(await ledger.commit(partial(fall_back, **self._how())))
        for first in range(0, len(found.results), BATCH):
            results = found.results[first : first + BATCH]
            couriers.wake(await ledger.commit(partial(queue_reports, results=results, **self._how())))
        return bool(found.results)

    def _how(self) -> dict[str, Any]:
        return {
            "role": self._role,
            "delivery": self._settings,
            "clock": self._clock,
            "intended_use": self._intended_use,
        }


class _Couriers:
    """One courier for each destination that ever had something waiting."""

    def __init__(self, ledger: Ledger, circumstances: Circumstances) -> None:
        self._ledger = ledger
        self._circumstances = circumstances
        self._at_work: dict[str, tuple[Courier, asyncio.Task[None]]] = {}

    def wake(self, destinations: Iterable[str], *, decided: bool = False) -> None:
        for destination in destinations:
            if destination not in self._at_work:
                courier = Courier(destination, self._ledger, self._circumstances)
                self._at_work[destination] = courier, asyncio.create_task(courier.run())
            self._at_work[destination][0].wake(decided=decided)

    async def end(self, grace_s: float) -> None:
        tasks = [task for _, task in self._at_work.values()]
        for courier, _ in self._at_work.values():
            courier.end()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _alone(lock: int, ending: asyncio.Event) -> None:
    """Wait until no other process delivers from this store. Its end, however sudden, frees the lock."""
    waiting = False
    while not ending.is_set():
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not waiting:
                logger.warning("another process delivers from this store; standing by")
            waiting = True
            await until(ending, STAND_BY_S)
