"""A courier carries the reports of one destination, one after another, for as long as it takes."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from gateway.reporting.breaker import Breaker, State, back_off
from gateway.reporting.channels import channel, settings
from gateway.reporting.channels.base import Answer, ChannelSettings, Circumstances, Level, Outcome, Sender
from gateway.reporting.ledger import Ledger
from gateway.reporting.waiting import until
from gateway.store import destinations, sendings
from gateway.store.sendings import Due, Said

__all__ = ["Courier"]

logger = logging.getLogger(__name__)

T = TypeVar("T")
ANSWERED = (Outcome.DELIVERED, Outcome.ACCEPTED, Outcome.REFUSED, Outcome.POSTPONED)
"""The far end speaks with us, whatever it says of this report."""


class Courier:
    """Sends what waits for one destination.

    An attempt is on disk before its first octet leaves, and its outcome before the next report leaves. What one
    report meets delays the others by one attempt at most; a destination that cannot be reached is tried at growing
    intervals (`gateway.reporting.breaker`), and no other courier notices.
    """

    def __init__(self, destination_id: str, ledger: Ledger, circumstances: Circumstances) -> None:
        """A courier for one destination; `run` is its task."""
        self._destination_id = destination_id
        self._ledger = ledger
        self._circumstances = circumstances
        self._settings = circumstances.delivery
        self._clock = circumstances.clock
        self._longest_wait = timedelta(seconds=self._settings.retry_most_s)
        self._sender: Sender | None = None
        self._way = ("", "", "")  # channel, address and settings of the sender
        self._wanted = ChannelSettings()
        self._breaker = Breaker(self._settings, self._clock, None)
        self._news = asyncio.Event()
        self._hurry = asyncio.Event()
        self._ending = asyncio.Event()

    def wake(self, *, decided: bool = False) -> None:
        """Something may have become due; `decided`: a person changed something, so that a trial may be worth it."""
        if decided:
            self._breaker.hurry()
            self._hurry.set()
        self._news.set()

    def end(self) -> None:
        """Finish the report in flight and stop."""
        self._ending.set()
        self._news.set()
        self._hurry.set()

    async def run(self) -> None:
        """Carry reports until `end`. Errors of the store are logged and met again later; nothing ends it."""
        try:
            remembered = False
            while not self._ending.is_set():
                try:
                    if not remembered:
                        await self._remember()
                        remembered = True
                    await self._carry()
                except Exception:
                    logger.exception("destination %s: delivery stumbled", self._destination_id)
                    self._breaker.failed("the gateway itself stumbled; its log says how")
        finally:
            await self._let_go()

    async def _remember(self) -> None:
        read = partial(destinations.breaker, destination_id=self._destination_id)
        self._breaker = Breaker(self._settings, self._clock, await self._ledger.read(read))

    async def _carry(self) -> None:
        """Send what is due now, or wait until something is."""
        self._hurry.clear()
        self._news.clear()
        if self._ending.is_set():
            return
        if self._breaker.wait_s > 0:
            await until(self._hurry, self._breaker.wait_s)
            return
        report = await self._ledger.read(self._due)
        if report is None:
            if not await self._look_for_a_receipt():
                await self._wait_for_news()
            return
        unable = await self._open(report)
        if unable is not None:
            self._breaker.failed(unable)
            work = partial(sendings.unreachable, report=report, text=unable, now=self._clock.now())
            await self._commit(work)
            logger.warning("destination %s: not reached", self._destination_id)
            return
        self._breaker.trying()
        sending = await self._commit(partial(sendings.begin_attempt, report=report, now=self._clock.now()))
        while sending is not None:
            sending = await self._settle(sending, await self._send(sending))

    async def _send(self, sending: Due) -> Answer:
        assert self._sender is not None
        try:
            return await self._sender.send(sending.octets, sending.control_id)
        except Exception as error:  # of a channel; whether anything left is not known
            logger.exception("report %d to %s: its channel failed", sending.report_id, self._destination_id)
            text = f"the channel {sending.channel} failed: {type(error).__name__}"
            await self._let_go()
            return Answer(Outcome.AMBIGUOUS, Level.SENT, b"", sending.address, text)

    async def _settle(self, sent: Due, answer: Answer) -> Due | None:
        """Write down what came of it and, in the same commit, that the next report is on its way.

        The far end's word is kept in hand until it is on disk, however long the store refuses.
        """
        now = self._clock.now()
        self._judge(answer)
        goes_on = (
            self._breaker.state is State.CLOSED
            and self._breaker.failures == 0
            and self._wanted.pause_s == 0
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
            said = Said(_outcome(answer), answer.level, answer.evidence, answer.peer, why, answer.certificate)
            sendings.settle(database, sent, said, now=now, again_at=again_at, receipt_at=self._receipt_at(now))
            following = self._due(database) if goes_on else None
            if following is None or following[4:] != self._way:
                return None
            return sendings.begin_attempt(database, following, now)

        while True:
            try:
                following = await self._commit(work)
                break
            except sqlite3.Error:
                logger.exception("report %d: the answer cannot be written down yet", sent.report_id)
                if self._ending.is_set():
                    return None
                await until(self._ending, back_off(self._settings, 1).total_seconds())
        if self._wanted.pause_s and answer.outcome is not Outcome.NOT_SENT:
            await until(self._ending, self._wanted.pause_s)
        return following

    def _judge(self, answer: Answer) -> None:
        """What an answer says of the destination as a whole."""
        if answer.retry_after_s is not None and answer.outcome in (Outcome.POSTPONED, Outcome.AMBIGUOUS):
            self._breaker.asked(answer.text, answer.retry_after_s)
        elif answer.outcome in ANSWERED:
            self._breaker.answered()
        else:
            self._breaker.failed(answer.text)

    def _again(
        self, database: sqlite3.Connection, sent: Due, answer: Answer, now: datetime
    ) -> tuple[datetime | None, str]:
        """When a report is sent again by itself, None if never, and why it is not delivered."""
        times = sendings.failures(database, sent.report_id) + 1
        later = now + back_off(self._settings, times)
        match answer.outcome:
            case Outcome.NOT_SENT:
                return now, answer.text
            case Outcome.AMBIGUOUS if answer.level is not Level.ACCEPTED:
                return later, answer.text
            case Outcome.POSTPONED if answer.retry_after_s is not None:
                return now, answer.text  # the destination waits, and this report is its first
            case Outcome.POSTPONED:
                postponed = sendings.postponements(database, sent.report_id) + 1
                if postponed < self._settings.postponed_most:
                    return later, answer.text
                return None, f"{answer.text}; said {postponed} times"
        return None, answer.text

    # ---------------------------------------------------------------- receipts that come later

    def _receipt_at(self, now: datetime) -> datetime | None:
        if getattr(self._sender, "receipt", None) is None:
            return None
        return now + timedelta(seconds=self._settings.receipt_first_s)

    async def _look_for_a_receipt(self) -> bool:
        """Look once for the receipt of an accepted report. False when none is due."""
        found = await self._ledger.read(
            lambda database: sendings.receipt_due(database, self._destination_id, self._clock.now())
        )
        if found is None:
            return False
        report, since = found
        unable = await self._open(report)
        if unable is not None:
            self._breaker.failed(unable)
            await self._commit(lambda _database: None)
            return True
        look = getattr(self._sender, "receipt", None)
        answer: Answer | None = None if look is None else await look(report.octets, report.control_id)
        now = self._clock.now()
        waited_s = (now - since).total_seconds()
        if answer is not None and answer.outcome in (Outcome.DELIVERED, Outcome.REFUSED):
            said = Said(answer.outcome, answer.level, answer.evidence, answer.peer, answer.text, answer.certificate)
            await self._commit(partial(sendings.settle_receipt, report=report, said=said, now=now))
        elif look is None or waited_s > self._settings.receipt_wait_s:
            text = "no receipt came; ask the provider, then 'deliveries seen' or 'deliveries resend'"
            await self._commit(partial(sendings.look_again, report=report, at=None, text=text))
        else:
            wait_s = min(max(waited_s / 2, self._settings.receipt_first_s), self._settings.receipt_most_s)
            at = now + timedelta(seconds=wait_s)
            await self._commit(partial(sendings.look_again, report=report, at=at))
        return True

    # ---------------------------------------------------------------- ways and waits

    async def _open(self, report: Due) -> str | None:
        """Make the sender ready. Returns why that is not possible, or None."""
        way = report[4:]
        try:
            if self._sender is None or self._way != way:
                await self._let_go()
                kind = channel(report.channel)
                self._wanted = settings(report.channel, report.settings)
                self._sender = kind.sender(report.address, self._wanted, self._circumstances)
                self._way = way
            unable = await self._sender.open()
        except ValueError as error:  # an address, a setting or a secret that cannot be used
            await self._let_go()
            return str(error)
        return None if unable is None else unable.text

    async def _let_go(self) -> None:
        sender, self._sender = self._sender, None
        if sender is not None:
            try:
                await sender.close()
            except Exception:
                logger.exception("destination %s: its channel cannot be closed", self._destination_id)

    async def _commit(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Commit, together with what the breaker has to say."""
        row = self._breaker.news()
        if row is None:
            return await self._ledger.commit(work)

        def both(database: sqlite3.Connection) -> T:
            destinations.keep_breaker(database, self._destination_id, row)
            return work(database)

        done = await self._ledger.commit(both)
        self._breaker.kept(row)
        return done

    def _due(self, database: sqlite3.Connection) -> Due | None:
        return sendings.due(database, self._destination_id, self._clock.now(), self._longest_wait)

    async def _wait_for_news(self) -> None:
        at = await self._ledger.read(partial(sendings.next_due_at, destination_id=self._destination_id))
        await until(self._news, None if at is None else max(0.01, (at - self._clock.now()).total_seconds()))


def _outcome(answer: Answer) -> str:
    """As it is kept: what the far end as a whole could not take does not count against the report."""
    if answer.outcome is Outcome.POSTPONED and answer.retry_after_s is not None:
        return "busy"
    return answer.outcome.value
