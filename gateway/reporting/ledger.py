"""The thread that holds the store's connection for all couriers and commits what several ask for at once."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from gateway.database import transaction

__all__ = ["Ledger"]

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]
MOST_AT_ONCE = 100


class _Job:
    """One piece of work and where its outcome goes."""

    __slots__ = ("error", "future", "value", "work", "writes")

    def __init__(self, work: Work, writes: bool, future: asyncio.Future[Any]) -> None:
        self.work, self.writes, self.future = work, writes, future
        self.value: Any = None
        self.error: BaseException | None = None


class Ledger:
    """Reads and commits for tasks of one event loop.

    A commit waits for the disk. While one does, further work gathers and goes to disk together with the next, so
    that many destinations do not wait for one another's commits.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        """Take over an open store: from here on only the ledger's thread uses it, and closes it."""
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._database = database
        self._thread = threading.Thread(target=self._run, name="delivery-ledger", daemon=True)
        self._thread.start()

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Ask the store. What `work` raises is raised here."""
        return await self._ask(work, writes=False)

    async def commit(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Change the store. When this returns, the change is on disk; when it raises, nothing of it is.

        `work` may run twice: if other work of the same transaction fails, everything is done again one by one.
        """
        return await self._ask(work, writes=True)

    def close(self) -> None:
        """Finish what was asked for and close the store. Nothing may be asked afterwards."""
        self._jobs.put(None)
        self._thread.join()

    async def _ask(self, work: Callable[[sqlite3.Connection], T], *, writes: bool) -> T:
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(_Job(work, writes, future))
        return await future

    def _run(self) -> None:
        more = True
        while more:
            job = self._jobs.get()
            jobs: list[_Job] = []
            while job is not None:
                jobs.append(job)
                if len(jobs) >= MOST_AT_ONCE:
                    break
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
            more = job is not None
            self._do([job for job in jobs if not job.writes], self._database_alone)
            self._do_together([job for job in jobs if job.writes])
            if jobs and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(_answer, jobs)
        self._database.close()

    def _database_alone(self, work: Work) -> Any:
        return work(self._database)

    def _database_transaction(self, work: Work) -> Any:
        with transaction(self._database):
            return work(self._database)

    @staticmethod
    def _do(jobs: list[_Job], how: Callable[[Work], Any]) -> None:
        for job in jobs:
            try:
                job.value = how(job.work)
            except Exception as error:
                job.error = error

    def _do_together(self, jobs: list[_Job]) -> None:
        if len(jobs) > 1:
            try:
                with transaction(self._database):
                    values = [job.work(self._database) for job in jobs]
            except Exception:  # one of them, or the commit: each is tried alone and meets its own error
                self._do(jobs, self._database_transaction)
            else:
                for job, value in zip(jobs, values, strict=True):
                    job.value = value
        else:
            self._do(jobs, self._database_transaction)


def _answer(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.future.done():  # the task that asked was cancelled
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.value)
