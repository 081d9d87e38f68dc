"""The hub, put together: ports, journal, publisher, and the keeping of the house."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from drivers.contract import Decoded
from gateway import __version__
from gateway.clock import Clock
from gateway.hub.alarms import Alarm, Alarms
from gateway.hub.attachments import Attachment
from gateway.hub.clearing import ClearingOrder
from gateway.hub.configuration import HubConfiguration, driver_of
from gateway.hub.decoder import Decoder, History
from gateway.hub.decoding import Interpreter
from gateway.hub.entries import Line
from gateway.hub.intake import Intake
from gateway.hub.journal import Journal, JournalError
from gateway.hub.opening import alone, open_journal, set_aside, set_aside_files
from gateway.hub.publisher import Publisher
from gateway.hub.surroundings import Stamper, give_back_memory
from gateway.wire.reading import Origin

__all__ = ["Hub", "serve"]

TICK_S = 1.0
CLOCK_CHECK_S = 30.0
TRIM_EVERY_S = 600.0
PRUNE_EVERY_S = 24 * 3600.0
START_WITHIN_S = 2.0
STOP_WITHIN_S = 0.8
SWITCH_S = 0.001
"""How long one thread may compute while another waits: no meter waits for the decoding of another's message."""

Decode = Callable[[Sequence[bytes]], Decoded]

_log = logging.getLogger(__name__)


class Hub:
    """Everything that runs in the patient's home. `start`, then `tick` about once a second, then `stop`."""

    def __init__(self, configuration: HubConfiguration, order: ClearingOrder | None = None) -> None:
        """Check the whole configuration and open the journal; the caller holds `gateway.hub.opening.alone`.

        Args:
            configuration: see there.
            order: to clear one meter; no port but its own is opened.

        Raises:
            ConfigurationError: a driver, profile or file in it cannot be used.
            StoreError: the journal cannot be used.
        """
        self._configuration = configuration
        rig = configuration.rig
        start = None if rig is None else rig.now
        self._clock = Clock(start)
        self._stamper = Stamper(self._clock, rig=start is not None)
        self._alarms = Alarms()
        drivers = [(section, driver_of(section)) for section in configuration.attachment]
        self.journal: Journal = open_journal(configuration.hub.journal, self._clock.now())
        self._publisher = Publisher(
            configuration.hub.id,
            configuration.mqtt,
            configuration.publish,
            self.journal,
            self._alarms,
            self._clock,
            sorted({driver.name for _section, driver in drivers}),
        )
        self._ports = {section.name: (section, driver) for section, driver in drivers}
        self._decoder = Decoder(self.journal, self._interpreter, self._alarms, self._publisher.wake)
        origin = Origin(configuration.hub.origin)
        bonds = configuration.hub.bonds
        around = (lambda session: session) if order is None else order.around(self.journal)
        self._attachments = [
            Attachment(section, driver, origin, self._new_intake, bonds, around)
            for section, driver in drivers
            if order is None or section.name == order.port
        ]
        self._look_for_broken_s = 0.0
        self._check_clock_s = 0.0
        self._prune_s = 0.0
        self._trim_s = time.monotonic() + TICK_S
        if set_aside_files(configuration.hub.journal):
            self._alarms.raise_(Alarm.JOURNAL_SET_ASIDE)

    def start(self) -> None:
        """Start all threads; returns when all ports were tried, or soon."""
        _log.info(
            "hub %s, journal %s, %d ports", self._configuration.hub.id, self.journal.uuid, len(self._attachments)
        )
        self.tick()
        self._publisher.start()
        self._decoder.start()
        for attachment in self._attachments:
            attachment.start()
        deadline_s = time.monotonic() + START_WITHIN_S
        for attachment in self._attachments:
            attachment.wait_until_tried(max(0.0, deadline_s - time.monotonic()))

    def tick(self) -> None:
        """Keep the house: broken messages, the clock, old readings."""
        now_s = time.monotonic()
        self._gather_alarms()
        if now_s >= self._trim_s:
            self._trim_s = now_s + TRIM_EVERY_S
            give_back_memory()
        try:
            if now_s >= self._look_for_broken_s:
                self._look_for_broken_s = now_s + min(30.0, self._configuration.hub.incomplete_after_s / 4)
                self._close_broken()
            if now_s >= self._check_clock_s:
                self._check_clock_s = now_s + CLOCK_CHECK_S
                doubtful = self._stamper.synchronised is False
                (self._alarms.raise_ if doubtful else self._alarms.clear)(Alarm.CLOCK_NOT_SYNCHRONISED)
            if now_s >= self._prune_s:
                self._prune_s = now_s + PRUNE_EVERY_S
                self._prune()
            if Alarm.JOURNAL_CANNOT_COMMIT in self._alarms:
                self.journal.try_commit()
                self._alarms.clear(Alarm.JOURNAL_CANNOT_COMMIT)
        except JournalError as error:
            _log.error("%s", error)
            self._alarms.raise_(Alarm.JOURNAL_CANNOT_COMMIT)

    def stop(self) -> None:
        """End all conversations after what they are doing, say goodbye, close the journal."""
        for attachment in self._attachments:
            attachment.stop()
        deadline_s = time.monotonic() + STOP_WITHIN_S
        for attachment in self._attachments:
            attachment.join(max(0.0, deadline_s - time.monotonic()))
        self._decoder.stop(STOP_WITHIN_S / 4)
        self._publisher.stop(STOP_WITHIN_S / 2)
        try:
            self.journal.close()
        except Exception as error:
            _log.error("the journal was not closed in order: %s", error)

    # ---------------------------------------------------------------- inside

    def _gather_alarms(self) -> None:
        raised = frozenset[Alarm]().union(*(attachment.alarms for attachment in self._attachments))
        for alarm in (Alarm.RADIO_UNAVAILABLE, Alarm.METER_NOT_PAIRED):
            (self._alarms.raise_ if alarm in raised else self._alarms.clear)(alarm)

    def _new_intake(self, line: Line) -> Intake:
        return Intake(
            self.journal,
            line,
            self._stamper,
            self._alarms,
            on_message=self._decoder.put,
            resume_within_s=self._configuration.hub.incomplete_after_s,
        )

    def _interpreter(self, line: Line, history: History) -> Interpreter | None:
        section, driver = self._ports.get(line.port, (None, None))
        if section is None or driver is None or driver.name != line.driver:
            return None
        return self._interpreter_with(driver.decode, line, section.zone or driver.zone, history)

    def _interpreter_with(self, decode: Decode, line: Line, zone: str | None, history: History) -> Interpreter:
        hub = self._configuration.hub
        return Interpreter(
            decode=decode,
            line=line,
            hub=hub.id,
            zone=zone or hub.zone,
            software=f"inr-gateway {__version__}",
            last_messages=history,
            on_driver_fault=lambda: self._alarms.raise_(Alarm.DRIVER_FAULT),
        )

    def _close_broken(self) -> None:
        since = self._clock.now() - timedelta(seconds=self._configuration.hub.incomplete_after_s)
        for message, line in self.journal.open_messages(since):
            interpreter = self._interpreter_with(_never, line, None, lambda _key: ())
            closing = interpreter.broken(self.journal.pieces(message), self.journal.rejected(message))
            self.journal.conclude([(message, closing)])
            _log.warning("port %s: message %d never came to its end; its octets are kept", line.name, message)
            self._publisher.wake()

    def _prune(self) -> None:
        if not self._stamper.synchronised:
            return  # a clock that runs ahead would throw away what a restored store still needs
        before = self._clock.now() - timedelta(days=self._configuration.hub.keep_days)
        count = 0
        while pruned := self.journal.prune(before):
            count += pruned
        if count:
            _log.info(
                "%d messages are older than %d days and were removed", count, self._configuration.hub.keep_days
            )


def serve(configuration: HubConfiguration, *, on_ready: Callable[[], None] = lambda: None) -> int:
    """Run the hub until SIGTERM or SIGINT.

    Returns:
        0 after an orderly end; 1 when the journal broke and was set aside: started again, the hub makes a new one.

    Raises:
        ConfigurationError: see `Hub`.
        StoreError: see `Hub`, or another hub holds the journal.
    """
    stopping = threading.Event()
    sys.setswitchinterval(SWITCH_S)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    with alone(configuration.hub.journal):
        hub = Hub(configuration)
        hub.start()
        on_ready()
        while not (stopping.is_set() or hub.journal.damaged):
            hub.tick()
            stopping.wait(TICK_S)
        hub.stop()
        if not hub.journal.damaged:
            return 0
        kept = set_aside(configuration.hub.journal, Clock().now())
        _log.critical("the journal is damaged and was set aside as %s; start the hub again", kept)
        return 1


def _never(_pieces: Sequence[bytes]) -> Decoded:
    raise NotImplementedError("a message that never came to its end is not decoded")
