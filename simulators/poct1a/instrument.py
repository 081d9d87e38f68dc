"""The whole meter: it dials its host, offers its memory, and remembers what it was told is received."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from threading import Event
from typing import Final

from simulators import instrument
from simulators.instrument import UnpluggedError
from simulators.ledger import Ledger
from simulators.meter import Clock, ClockKind, Stored
from simulators.mounts.link import SLICE_S, LineLost, Link
from simulators.mounts.steps import Pause, Unplug
from simulators.poct1a.device import Accepted, Action, Device, HangUp, Refused, Transmit
from simulators.poct1a.dialect import Dialect
from simulators.poct1a.faults import Fault, Line
from simulators.scenario import Scenario

__all__ = ["Instrument"]

REDIAL_S: Final = 1.0
"""Between two contacts, when nothing else is said."""


class Instrument(instrument.Instrument):
    """A meter that speaks POCT1-A.

    Args:
        scenario: meter, clock and memory; its dialect, timers and faults are those of another protocol and are not
            used here.
        redial_s: pause between two contacts.
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
        super().__init__(scenario, ledger, monotonic)
        self._device = Device(self.meter, dialect, self._offered, self._shown, self._set_clock)
        self._dialect = dialect
        self._line = Line(faults)
        self._redial_s = redial_s

    def _contact(self, link: Link, stop: Event, *, until_delivered: bool) -> float:  # noqa: ARG002 - it ends itself
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
        except UnpluggedError as end:
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
                raise UnpluggedError(self._redial_s)
            else:
                self._remember([action])

    def _remember(self, actions: Iterable[Action]) -> None:
        for action in actions:
            if isinstance(action, Accepted):
                self._deliveries.received(action.tests, action.octets)
            elif isinstance(action, Refused):
                self._deliveries.gave_up(action.tests, action.reason)

    def _transmit(self, octets: bytes, link: Link, stop: Event) -> None:
        for step in self._line.leaves(octets):
            if isinstance(step, Pause):
                stop.wait(step.seconds)
            elif isinstance(step, Unplug):
                raise UnpluggedError(step.seconds)
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
