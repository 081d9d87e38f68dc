"""From the broker into the store: commit first, then acknowledge, then send receipts.

The network thread only hands over what came. One worker takes batches, commits each in one transaction,
acknowledges it to the broker in the order of arrival, and tells the hubs. While the store cannot commit, nothing is
acknowledged: the broker and the hubs keep what they have.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing

from pydantic import ValidationError

from gateway.clock import Clock, utc
from gateway.database import StoreError, transaction
from gateway.mqtt.connection import Arrival, Connection
from gateway.mqtt.topics import READINGS, STATUSES, is_reading, parse_status
from gateway.server.configuration import ServerConfiguration
from gateway.server.handover import Handover
from gateway.server.ingest import CommitError, Message, Taken, ingest, raised_at
from gateway.server.outbox import Outbox
from gateway.store import epochs, presence, readings
from gateway.store.opening import open_store
from gateway.wire.receipt import HubStatus, Receipt

__all__ = ["Consumer"]

MOST_WAITING, MOST_WAITING_OCTETS = 10_000, 32 * 1024 * 1024
PATIENCE_S = 5.0
"""So long the network thread waits for room; longer means that the store cannot commit."""
FIRST_DELAY_S, LONGEST_DELAY_S = 0.2, 10.0
REPORT_EVERY_S = 60.0
HEARD_EVERY_S = 60.0
"""That readings come from a hub is written down no oftener."""

_log = logging.getLogger("gateway.server")


class Consumer:
    """Takes in what hubs publish, for as long as it runs."""

    def __init__(
        self,
        configuration: ServerConfiguration,
        clock: Clock,
        *,
        on_committed: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare; nothing is opened or sent before `start`.

        Args:
            configuration: the whole server.toml.
            clock: the server's *now*.
            on_committed: called after each commit that added something, in the worker's thread.
        """
        self._configuration = configuration
        self._clock = clock
        self._on_committed = on_committed
        ahead = min(65_535, 2 * configuration.ingest.batch)  # one batch being committed, the next on its way
        self._connection = Connection(
            configuration.mqtt,
            f"inr-server-{configuration.server.name}",
            on_arrival=self._arrived,
            on_connected=self._connected,
            on_disconnected=lambda: None,
            on_published=self._published,
            receive_maximum=ahead,
        )
        self._handover = Handover(MOST_WAITING, MOST_WAITING_OCTETS)
        self._overrun = threading.Event()
        self._announce_all = threading.Event()
        self._blocked = threading.Event()
        self._stopping = threading.Event()
        self._worker = threading.Thread(target=self._work, name="ingest", daemon=True)
        self._heard: set[str] = set()
        self._heard_at_s = 0.0
        self.failed: BaseException | None = None
        """What ended the worker, if anything did."""

    def start(self) -> None:
        """Begin; returns at once."""
        self._worker.start()
        self._connection.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Finish the batch at hand, acknowledge it, and disconnect. The broker keeps the session."""
        self._stopping.set()
        self._handover.wake()
        self._worker.join(timeout_s)
        self._connection.stop()

    # ---------------------------------------------------------------- network thread

    def _connected(self) -> None:
        self._connection.subscribe(READINGS, share=self._configuration.server.name)
        self._connection.subscribe(STATUSES)
        self._overrun.clear()  # a new connection brings again whatever was not acknowledged on the last one
        self._announce_all.set()
        self._handover.wake()

    def _arrived(self, arrival: Arrival) -> None:
        if self._overrun.is_set() or self._handover.put(arrival, PATIENCE_S):
            return
        self._overrun.set()
        _log.warning("more arrives than can be committed; the rest is left to the broker and taken up again later")

    def _published(self, _number: int) -> None:
        if self._blocked.is_set():
            self._handover.wake()

    # ---------------------------------------------------------------- worker

    def _work(self) -> None:
        try:
            server = self._configuration.server
            with closing(open_store(server.store, server.role)) as database:
                outbox = Outbox(
                    lambda topic, payload, retain: self._connection.publish(topic, payload, retain=retain),
                    epochs.current(database).id,
                    lambda hub: readings.marks(database, hub),
                )
                self._serve(database, outbox)
        except StoreError as error:
            self.failed = error
            _log.error("%s; no readings are taken in", error)
        except BaseException as error:
            self.failed = error
            _log.error("no readings are taken in any more: %s at %s", type(error).__name__, raised_at(error))

    def _serve(self, database: sqlite3.Connection, outbox: Outbox) -> None:
        tally: Counter[str] = Counter()
        settings = self._configuration.ingest
        report_at_s = time.monotonic() + REPORT_EVERY_S
        while not self._stopping.is_set():
            batch = self._handover.take(settings.batch, 1.0, settings.wait_ms / 1000)
            if batch and not self._take_in(database, batch, outbox, tally):
                return
            if self._overrun.is_set() and self._handover.empty:
                self._connection.renew()
            if self._announce_all.is_set():
                self._announce_all.clear()
                for hub in readings.hubs(database):
                    outbox.announce(hub)
            self._blocked.set()  # before flushing: room that comes up while we flush must wake us
            if outbox.flush():
                self._blocked.clear()
            if tally and time.monotonic() >= report_at_s:
                _log.info("taken in: %s", ", ".join(f"{count} {what}" for what, count in sorted(tally.items())))
                tally.clear()
                report_at_s = time.monotonic() + REPORT_EVERY_S

    def _take_in(
        self, database: sqlite3.Connection, batch: list[Arrival], outbox: Outbox, tally: Counter[str]
    ) -> bool:
        """Commit, acknowledge, and put the receipts out. False when the server stops before it could commit."""
        # Whatever else comes is dropped: amqtt sends each new client everything that is retained for anybody.
        messages = [Message(each.topic, each.payload) for each in batch if is_reading(each.topic)]
        statuses = [(hub, arrival) for arrival in batch if (hub := parse_status(arrival.topic)) is not None]
        taken = self._committed(database, messages)
        if taken is None:
            return False
        for arrival in batch:
            self._connection.acknowledge(arrival.token)
        if not all(each.repeat for each in taken):
            self._on_committed()
        for each in taken:
            tally["repeats" if each.repeat else each.verdict.value] += 1
            if each.name is not None:
                receipt = Receipt(
                    journal=each.name.journal, number=each.name.number, sha256=each.sha256, verdict=each.verdict
                )
                outbox.receipt(each.name.hub, receipt)
        told = [(hub, status, arrival.retained) for hub, arrival in statuses if (status := _status(hub, arrival))]
        for hub, status, _retained in told:
            if status.online:
                outbox.announce(hub)
        self._heard.update(each.name.hub for each in taken if each.name is not None)
        self._note_presence(database, told)
        return True

    def _note_presence(self, database: sqlite3.Connection, told: list[tuple[str, HubStatus, bool]]) -> None:
        """Write down which hubs were heard. Nothing hangs on it but an alert, so nothing waits for it."""
        if not told and (not self._heard or time.monotonic() < self._heard_at_s + HEARD_EVERY_S):
            return
        at = utc(self._clock.now())
        try:
            with transaction(database):
                presence.heard(database, self._heard, at)
                for hub, status, retained in told:
                    presence.said(database, hub, online=status.online, at=at, retained=retained)
        except sqlite3.Error as error:
            _log.warning("which hubs were heard is not written down (%s)", type(error).__name__)
            return
        self._heard.clear()
        self._heard_at_s = time.monotonic()

    def _committed(self, database: sqlite3.Connection, messages: list[Message]) -> list[Taken] | None:
        delay_s = FIRST_DELAY_S
        while messages:
            try:
                return ingest(database, messages, self._clock.now(), self._configuration.safety)
            except CommitError as error:
                why = str(error)
            except Exception as error:  # whatever it is: acknowledge nothing, and do not die of it
                why = f"{type(error).__name__} at {raised_at(error)}"  # its text may hold a patient's values
            _log.error("cannot commit (%s); nothing is acknowledged; trying again in %.1f s", why, delay_s)
            if self._stopping.wait(delay_s):
                return None
            delay_s = min(2 * delay_s, LONGEST_DELAY_S)
        return []


def _status(hub: str, arrival: Arrival) -> HubStatus | None:
    """What a hub says of itself; None when it cannot be read, or was cleared."""
    try:
        return HubStatus.model_validate_json(arrival.payload)
    except ValidationError:
        if arrival.payload:
            _log.warning("hub %s: its status cannot be read; is it of another version?", hub)
        return None
