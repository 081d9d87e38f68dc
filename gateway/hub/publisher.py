"""Publishes readings until each has its receipt, keeps the hub's status, and follows the server's epoch.

One thread does all of it; the network thread and the conversations only put words into its inbox. Memory does not
grow while the broker or the server is away: only a window of numbers is held, the readings stay on disk.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Sequence
from datetime import datetime

from pydantic import ValidationError

from gateway import __version__
from gateway.clock import Clock
from gateway.hub.alarms import Alarm, Alarms
from gateway.hub.configuration import Publishing
from gateway.hub.entries import Waiting
from gateway.hub.journal import Journal, JournalError
from gateway.hub.outstanding import Outstanding
from gateway.mqtt import topics
from gateway.mqtt.configuration import Mqtt
from gateway.mqtt.connection import Arrival, Connection, Will
from gateway.wire.receipt import STATUS_AT_LEAST_EVERY_S, STATUS_SCHEMA, Epoch, HubStatus, Receipts

__all__ = ["Publisher"]

READ_AHEAD = 50
FLUSH_AFTER_S = 0.2
"""Receipts go with the next commit, or, when none comes, after this."""
STATUS_EVERY_S = 60.0
"""Changed counts alone are told no oftener."""
RETRY_S = 1.0
BREATH_S = 0.1
"""While meters are being read, publishing pauses this long after each pass: the meter that waits goes first."""

_log = logging.getLogger(__name__)


_CONNECTED, _DISCONNECTED, _WAKE, _STOP = object(), object(), object(), object()


class Publisher:
    """The hub's side of the wire."""

    def __init__(
        self,
        hub: str,
        mqtt: Mqtt,
        publishing: Publishing,
        journal: Journal,
        alarms: Alarms,
        clock: Clock,
        drivers: Sequence[str],
    ) -> None:
        """Args: drivers: names, for the status.

        Raises:
            ConfigurationError: a file that ``[mqtt]`` names cannot be used.
        """
        self._hub = hub
        self._journal = journal
        self._alarms = alarms
        self._clock = clock
        self._drivers = tuple(drivers)
        self._since: datetime = clock.now()
        self._outstanding = Outstanding(publishing.window, publishing.receipt_within_s, publishing.longest_wait_s)
        self._ready: deque[Waiting] = deque()
        self._cursor = 0
        self._exhausted = False
        self._unacknowledged: dict[int, int] = {}
        self._told: HubStatus | None = None
        self._told_s = self._published_s = 0.0
        self._credited_s = 0.0
        self._untaken: Arrival | None = None
        self._published_numbers: deque[int] = deque()
        self._blocked = False
        self._woken_s = 0.0
        self._connected = False
        self._said_goodbye = False
        self._woken = threading.Event()
        self._inbox: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._connection = Connection(
            mqtt,
            f"inr-hub-{hub}",
            on_arrival=self._inbox.put,
            on_connected=lambda: self._inbox.put(_CONNECTED),
            on_disconnected=lambda: self._inbox.put(_DISCONNECTED),
            on_published=self._published,
            will=Will(topics.status(hub), _payload(self._status(online=False, brief=True))),
        )
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        alarms.on_change = self.wake

    def start(self) -> None:
        """Start publishing; returns at once."""
        self._connection.start()
        self._thread.start()

    def stop(self, timeout_s: float = 1.0) -> None:
        """Say goodbye, write what is noted, disconnect."""
        self._inbox.put(_STOP)
        self._thread.join(timeout_s)
        if self._said_goodbye:  # if not, the connection is left to break, and the last will speaks
            self._connection.stop(timeout_s)

    def wake(self) -> None:
        """There are new readings, or the alarms changed. Returns at once; for any thread."""
        self._woken_s = time.monotonic()
        if not self._woken.is_set():
            self._woken.set()
            self._inbox.put(_WAKE)

    @property
    def connected(self) -> bool:
        """Whether the broker is there."""
        return self._connection.connected

    # ---------------------------------------------------------------- the thread

    def _published(self, number: int) -> None:
        self._published_numbers.append(number)
        if self._blocked:
            self._blocked = False
            self._inbox.put(_WAKE)

    def _run(self) -> None:
        events: list[object] = []
        while _STOP not in events:
            events = self._events()
            while self._published_numbers:
                self._unacknowledged.pop(self._published_numbers.popleft(), None)
            try:
                for event in events:
                    self._take(event)
                self._work()
            except JournalError as error:
                self._alarms.raise_(Alarm.JOURNAL_CANNOT_COMMIT, error)
                time.sleep(RETRY_S)
            except Exception:
                _log.exception("publishing failed; trying again")
                time.sleep(RETRY_S)
            if time.monotonic() - self._woken_s < 2 * BREATH_S:
                time.sleep(BREATH_S)
        self._farewell()

    def _events(self) -> list[object]:
        """What is in the inbox; waits for something unless something is due."""
        events: list[object] = []
        try:
            events.append(self._inbox.get(timeout=self._patience_s()))
            while True:
                events.append(self._inbox.get_nowait())
        except queue.Empty:
            return events

    def _take(self, event: object) -> None:
        if event is _WAKE:
            self._woken.clear()
            self._exhausted = False
        elif isinstance(event, Arrival):
            self._arrived(event)
        elif event is _CONNECTED:
            self._connected = True
            self._exhausted = False
            self._told = None
            if not self._connection.session_resumed:
                self._outstanding.all_lost(time.monotonic())
            self._connection.subscribe(topics.receipts(self._hub))
            self._connection.subscribe(topics.epoch(self._hub))
        elif event is _DISCONNECTED:
            self._connected = False
            for number in self._unacknowledged.values():
                self._outstanding.lost(number, time.monotonic())
            self._unacknowledged.clear()

    def _work(self) -> None:
        now_s = time.monotonic()
        if self._connected:
            self._tell(now_s)
            self._repeat(now_s)
            self._publish_new(now_s)
        if self._untaken is not None:
            self._adopt(self._untaken)
        if self._journal.unwritten and now_s - self._credited_s >= FLUSH_AFTER_S:
            self._journal.flush()

    def _patience_s(self) -> float:
        now_s = time.monotonic()
        if self._untaken is not None:
            return RETRY_S
        until_s = now_s + STATUS_EVERY_S
        if self._connected:
            until_s = min(until_s, self._outstanding.next_due_s)
        if self._journal.unwritten:
            until_s = min(until_s, self._credited_s + FLUSH_AFTER_S)
        return max(0.0, until_s - now_s)

    # ---------------------------------------------------------------- readings

    def _publish_new(self, now_s: float) -> None:
        while not self._outstanding.full:
            if not self._ready:
                if self._exhausted:
                    return
                self._ready.extend(self._journal.waiting(self._cursor, READ_AHEAD))
                self._exhausted = len(self._ready) < READ_AHEAD
                if not self._ready:
                    return
            if not self._publish(self._ready[0], now_s):
                return
            self._cursor = self._ready.popleft().number

    def _repeat(self, now_s: float) -> None:
        for number in self._outstanding.due(now_s):
            reading = self._journal.payload(number)
            if reading is None or not self._publish(reading, now_s):
                return

    def _publish(self, reading: Waiting, now_s: float) -> bool:
        """False when it has to be tried later: no connection, or no room in it."""
        topic = topics.reading(self._hub, self._journal.uuid, reading.number)
        try:
            sent = self._send(topic, reading.payload)
        except ValueError as error:  # stands in the way of no other; tried again when its time comes
            _log.error("reading %d: %s", reading.number, error)
            self._alarms.raise_(Alarm.READING_TOO_LARGE)
            self._outstanding.sent(reading.number, reading.sha256, now_s)
            return True
        if sent is None:
            return False
        self._unacknowledged[sent] = reading.number
        self._outstanding.sent(reading.number, reading.sha256, now_s)
        return True

    def _send(self, topic: str, payload: bytes, *, retain: bool = False) -> int | None:
        sent = self._connection.publish(topic, payload, retain=retain)
        if sent is None:  # the second attempt sees the room that came before `_published` was told to wake us
            self._blocked = True
            sent = self._connection.publish(topic, payload, retain=retain)
        return sent

    # ---------------------------------------------------------------- what the server says

    def _arrived(self, arrival: Arrival) -> None:
        try:
            if arrival.topic == topics.epoch(self._hub):
                self._adopt(arrival)
            elif arrival.topic == topics.receipts(self._hub):
                self._credit(Receipts.model_validate_json(arrival.payload))
        except ValidationError as error:
            _log.warning("%s: not understood and ignored: %d problems", arrival.topic, error.error_count())
        finally:  # receipts that are lost now come again, because their readings do; an epoch is kept in hand
            self._connection.acknowledge(arrival.token)

    def _credit(self, receipts: Receipts) -> None:
        if receipts.epoch != self._journal.epoch:
            _log.info("receipts of epoch %s are not credited: it is not adopted", receipts.epoch)
            return
        now_s, at = time.monotonic(), self._clock.now()
        for receipt in receipts.receipts:
            if receipt.journal != self._journal.uuid:
                continue
            digest = self._outstanding.digest(receipt.number) or self._journal.digest(receipt.number)
            if digest is None:
                continue
            if digest != receipt.sha256:
                self._alarms.raise_(Alarm.RECEIPT_MISMATCH, f"reading {receipt.number}: not credited")
                continue
            self._journal.credit(receipt.number, receipt.verdict.value, receipts.epoch, at)
            self._outstanding.arrived(receipt.number, now_s)
            self._credited_s = now_s

    def _adopt(self, arrival: Arrival) -> None:
        """Adopt an epoch that was never seen; kept in hand until the journal has committed it."""
        self._untaken = None
        said = Epoch.model_validate_json(arrival.payload)
        if said.epoch == self._journal.epoch:
            self._outstanding.server_lives(time.monotonic())
            return
        mark = max((high.number for high in said.marks if high.journal == self._journal.uuid), default=0)
        self._untaken = arrival
        adopted = self._journal.adopt(said.epoch, mark, self._clock.now())
        self._untaken = None
        if not adopted:
            _log.warning("epoch %s was left before and is not adopted again", said.epoch)
            return
        _log.info("epoch %s adopted: readings above %d are published again", said.epoch, mark)
        self._outstanding.forget()
        self._ready.clear()
        self._cursor = 0
        self._exhausted = False

    # ---------------------------------------------------------------- status

    def _tell(self, now_s: float) -> None:
        due = self._told is None or now_s - self._told_s >= STATUS_EVERY_S
        told = self._told
        urgent = told is None or told.alarms != self._alarms.words or told.epoch != self._journal.epoch
        if not due and not urgent:
            return
        status = self._status(online=True)
        if status == told and now_s - self._published_s < STATUS_AT_LEAST_EVERY_S:
            self._told_s = now_s
        elif self._send(topics.status(self._hub), _payload(status), retain=True) is not None:
            self._told, self._told_s, self._published_s = status, now_s, now_s

    def _status(self, *, online: bool, brief: bool = False) -> HubStatus:
        counts = None if brief else self._journal.counts()
        return HubStatus(
            schema=STATUS_SCHEMA,
            hub=self._hub,
            online=online,
            software=__version__,
            journal=self._journal.uuid,
            epoch=self._journal.epoch,
            readings=0 if counts is None else counts.readings,
            waiting=0 if counts is None else counts.waiting,
            drivers=self._drivers,
            alarms=self._alarms.words,
            since=self._since,
        )

    def _farewell(self) -> None:
        try:
            self._journal.flush()
            status = _payload(self._status(online=False))
            self._said_goodbye = (
                not self._connected or self._send(topics.status(self._hub), status, retain=True) is not None
            )
        except JournalError as error:
            _log.error("%s", error)


def _payload(status: HubStatus) -> bytes:
    return status.model_dump_json(by_alias=True).encode()
