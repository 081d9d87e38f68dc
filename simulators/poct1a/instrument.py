"""The whole meter: it dials its host, offers its memory, and remembers what it was told is received."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Final

from simulators.astm.dialect import Dialect as Offering
from simulators.astm.outbox import Outbox
from simulators.astm.sender import Message
from simulators.ledger import Ledger
from simulators.meter import Clock, ClockKind, Meter, Stored
from simulators.mounts.link import SLICE_S, LineLost, Link, Mount
from simulators.poct1a.device import Accepted, Action, Device, HangUp, Refused, Transmit
from simulators.poct1a.dialect import Dialect
from simulators.poct1a.faults import Fault, Line, Pause, Unplug
from simulators.scenario import Scenario

__all__ = ["Instrument"]

REDIAL_S: Final = 1.0
"""Between two contacts, when nothing else is said."""


class _HungUp(Exception):  # noqa: N818 - what a device does, not a mistake
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class Instrument:
    """One simulated meter at work.

    Args:
        scenario: meter, clock and memory; its dialect, timers and faults are those of another protocol and are not
            used here.
        ledger: remembers across runs what the meter was told is received.
        redial_s: pause between two contacts.
        monotonic: seconds that never go back.

    Raises:
        simulators.ledger.LedgerError: the ledger belongs to another meter or memory.
    """

    def __init__(
        self,
        scenario: Scenario,
        dialect: Dialect,
        ledger: Ledger,
        faults: Sequence[Fault] = (),
        *,
        redial_s: float = REDIAL_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.meter = Meter(scenario.meter, scenario.clock, scenario.memory)
        self._outbox = Outbox(self.meter, Offering(sent_once=dialect.sent_once), ledger)
        self._device = Device(self.meter, dialect, self._offered, self._shown, self._set_clock)
        self._dialect = dialect
        self._line = Line(faults)
        self._redial_s = redial_s
        self._monotonic = monotonic
        self._switched_on_s = monotonic()
        self._starts = scenario.starts

    @property
    def delivered(self) -> tuple[Stored, ...]:
        """Tests in the memory of which the meter was told that they are received."""
        return self._outbox.delivered

    @property
    def unsent(self) -> tuple[Stored, ...]:
        """Tests in the memory of which it was not."""
        return self._outbox.unsent

    def run(self, mount: Mount, stop: Event, *, until_delivered: bool = False) -> None:
        """Work until told to stop, or until everything is delivered and the conversation is over.

        Raises:
            OSError: the mount cannot be plugged in (again).
        """
        try:
            while not stop.is_set():
                mount.plug_in()
                link = mount.wait(stop)
                if link is None:
                    break
                away_s = self._contact(link, stop)
                if until_delivered and not self.unsent:
                    break
                mount.unplug()
                stop.wait(away_s)
        finally:
            mount.unplug()

    def _contact(self, link: Link, stop: Event) -> float:
        """One conversation. Returns how long to wait before the next."""
        device = self._device
        try:
            self._perform(device.connected(self._monotonic()), link, stop)
            while not stop.is_set():
                octets = link.read(self._patience_s())
                if octets:
                    self._perform(device.receive(octets, self._monotonic()), link, stop)
                self._perform(device.tick(self._monotonic()), link, stop)
        except LineLost:
            return self._redial_s
        except _HungUp as end:
            return end.seconds
        finally:
            self._remember(device.lost())
            link.close()
        return self._redial_s

    def _perform(self, actions: Iterable[Action], link: Link, stop: Event) -> None:
        for action in actions:
            if isinstance(action, Transmit):
                self._transmit(action.octets, link, stop)
            elif isinstance(action, HangUp):
                raise _HungUp(self._redial_s)
            else:
                self._remember([action])

    def _remember(self, actions: Iterable[Action]) -> None:
        for action in actions:
            if isinstance(action, Accepted):
                self._outbox.received(Message(action.tests, (action.octets,)))
            elif isinstance(action, Refused):
                self._outbox.gave_up(Message(action.tests, ()), action.reason)

    def _transmit(self, octets: bytes, link: Link, stop: Event) -> None:
        for step in self._line.leaves(octets):
            if isinstance(step, Pause):
                stop.wait(step.seconds)
            elif isinstance(step, Unplug):
                raise _HungUp(step.seconds)
            else:
                link.write(step, stop)

    def _patience_s(self) -> float:
        deadline_s, now_s = self._device.deadline_s, self._monotonic()
        return SLICE_S if deadline_s is None else min(SLICE_S, max(deadline_s - now_s, 0.0))

    def _offered(self) -> Sequence[Stored]:
        return self.unsent if self._dialect.sent_once else self.meter.memory

    def _shown(self) -> datetime | None:
        return self.meter.clock.shows(self._now())

    def _set_clock(self, told: str) -> None:
        """The host sets the clock: from now on it is wrong by what the host is wrong."""
        try:
            wall = datetime.fromisoformat(told).replace(tzinfo=None)
        except ValueError:
            return
        zone = self.meter.clock.zone
        right = Clock(zone=zone).shows(self._now())
        if right is not None:
            wrong_s = (wall - right).total_seconds()
            self.meter.clock = Clock(kind=ClockKind.OFFSET, zone=zone, offset_s=wrong_s)

    def _now(self) -> datetime:
        """The simulated present."""
        if self._starts is None:
            return datetime.now(UTC)
        return self._starts + timedelta(seconds=self._monotonic() - self._switched_on_s)
