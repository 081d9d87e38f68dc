"""A courier carries the reports of one destination, one after another, for as long as it takes."""

from __future__ import annotations

import asyncio
import logging
import random
import sqlite3
from datetime import datetime, timedelta
from functools import partial

from gateway.clock import Clock
from gateway.reporting.channels import channel
from gateway.reporting.channels.base import Answer, Level, Outcome, Sender
from gateway.reporting.configuration import Delivery
from gateway.reporting.ledger import Ledger
from gateway.reporting.waiting import until
from gateway.store import reports
from gateway.store.reports import Due

__all__ = ["Courier"]

logger = logging.getLogger(__name__)

ANSWERED = (Outcome.DELIVERED, Outcome.REFUSED, Outcome.POSTPONED)
"""The far end speaks with us, whatever it says of this report."""


class Courier:
    """Sends what waits for one destination.

    An attempt is on disk before its first octet leaves, and its outcome before the next report leaves. What one
    report meets delays the others by one attempt at most; a destination that cannot be reached is tried at growing
    intervals, and no other courier notices.
    """

    def __init__(self, destination_id: str, ledger: Ledger, settings: Delivery, clock: Clock) -> None:
        """A courier for one destination; `run` is its task."""
        self._destination_id = destination_id
        self._ledger = ledger
        self._settings = settings
        self._clock = clock
        self._longest_wait = timedelta(seconds=settings.retry_most_s)
        self._sender: Sender | None = None
        self._way = ("", "")  # channel and address of the sender
        self._failures = 0  # sendings in a row to which the far end did not answer
        self._news = asyncio.Event()
        self._ending = asyncio.Event()

    def wake(self) -> None:
        """Something may have become due."""
        self._news.set()

    def end(self) -> None:
        """Finish the report in flight and stop."""
        self._ending.set()
        self._news.set()

    async def run(self) -> None:
        """Carry reports until `end`. Errors of the store are logged and met again later; nothing ends it."""
        try:
            while not self._ending.is_set():
                try:
                    await self._carry()
                except Exception:
                    logger.exception("destination %s: delivery stumbled", self._destination_id)
                    self._failures += 1
                    await self._pause(self._back_off(self._failures))
        finally:
            if self._sender is not None:
                await self._sender.close()

    async def _carry(self) -> None:
        """Send what is due now, or wait until something is."""
        self._news.clear()
        report = await self._ledger.read(self._due)
        if report is None:
            await self._wait_for_news()
            return
        unable = await self._open(report)
        if unable is not None:
            work = partial(reports.unreachable, report=report, text=unable, now=self._clock.now())
            await self._ledger.commit(work)
            logger.warning("destination %s: not reached", self._destination_id)
            await self._back_off_from_destination()
            return
        sending = await self._ledger.commit(partial(reports.begin_attempt, report=report, now=self._clock.now()))
        while sending is not None and self._sender is not None:
            answer = await self._sender.send(sending.octets, sending.control_id)
            answered = answer.outcome in ANSWERED
            if answered:
                self._failures = 0
            sending = await self._settle(sending, answer)
            if not answered:
                await self._back_off_from_destination()

    async def _settle(self, sent: Due, answer: Answer) -> Due | None:
        """Write down what came of it and, in the same commit, that the next report is on its way.

        The far end's word is kept in hand until it is on disk, however long the store refuses.
        """
        now = self._clock.now()
        goes_on = (
            answer.outcome in ANSWERED
            and self._sender is not None
            and self._sender.ready
            and not self._ending.is_set()
        )
        logger.info(
            "report %d, control id %s, to %s: %s",
            sent.report_id,
            sent.control_id,
            self._destination_id,
            answer.outcome,
        )

        def work(database: sqlite3.Connection) -> Due | None:
            again_at, why = self._again(database, sent, answer, now)
            reports.settle(
                database,
                sent,
                outcome=answer.outcome,
                level=answer.level,
                evidence=answer.evidence,
                peer=answer.peer,
                text=why,
                now=now,
                again_at=again_at,
            )
            following = self._due(database) if goes_on else None
            if following is None or (following.channel, following.address) != self._way:
                return None
            return reports.begin_attempt(database, following, now)

        while True:
            try:
                return await self._ledger.commit(work)
            except sqlite3.Error:
                logger.exception("report %d: the answer cannot be written down yet", sent.report_id)
                if self._ending.is_set():
                    return None
                await self._pause(self._back_off(1))

    def _again(
        self, database: sqlite3.Connection, sent: Due, answer: Answer, now: datetime
    ) -> tuple[datetime | None, str]:
        """When a report is sent again by itself, None if never, and why it is not delivered."""
        times = reports.failures(database, sent.report_id) + 1
        match answer.outcome:
            case Outcome.NOT_SENT:
                return now, answer.text
            case Outcome.AMBIGUOUS if answer.level is not Level.ACCEPTED:
                return now + self._back_off(times), answer.text
            case Outcome.POSTPONED:
                postponed = reports.postponements(database, sent.report_id) + 1
                if postponed < self._settings.postponed_most:
                    return now + self._back_off(times), answer.text
                return None, f"{answer.text}; said {postponed} times"
        return None, answer.text

    async def _open(self, report: Due) -> str | None:
        """Make the sender ready. Returns why that is not possible, or None."""
        way = (report.channel, report.address)
        if self._sender is None or self._way != way:
            if self._sender is not None:
                await self._sender.close()
                self._sender = None
            try:
                self._sender, self._way = channel(report.channel).sender(report.address, self._settings), way
            except ValueError as error:
                return str(error)
        unable = await self._sender.open()
        return None if unable is None else unable.text

    def _due(self, database: sqlite3.Connection) -> Due | None:
        return reports.due(database, self._destination_id, self._clock.now(), self._longest_wait)

    def _back_off(self, times: int) -> timedelta:
        longest_s = min(self._settings.retry_most_s, self._settings.retry_first_s * 2 ** min(times - 1, 30))
        return timedelta(seconds=longest_s * random.uniform(0.5, 1.0))

    async def _back_off_from_destination(self) -> None:
        self._failures += 1
        await self._pause(self._back_off(self._failures))

    async def _wait_for_news(self) -> None:
        at = await self._ledger.read(partial(reports.next_due_at, destination_id=self._destination_id))
        await until(self._news, None if at is None else max(0.01, (at - self._clock.now()).total_seconds()))

    async def _pause(self, time: timedelta) -> None:
        await until(self._ending, time.total_seconds())
