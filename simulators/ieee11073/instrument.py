"""The agent plugged into something: a thread of its own that moves its octets over TCP."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from threading import Event

from simulators.deliveries import Deliveries
from simulators.ieee11073.agent import Agent, State
from simulators.ieee11073.scenario import Ieee11073Scenario
from simulators.ledger import Ledger
from simulators.meter import Meter, Stored
from simulators.mounts.link import SLICE_S, LineLost, Link, Mount

__all__ = ["Instrument", "present_of"]

IDLE_S = 1.0
"""Between two contacts of a meter that still has something to send."""


def present_of(starts: datetime | None) -> Callable[[], datetime]:
    """The simulated present: it starts at an instant and runs on from now; without one it is the real present."""
    began_s = time.time()
    first = starts.timestamp() if starts is not None else began_s
    zone = starts.tzinfo if starts is not None else None
    return lambda: datetime.fromtimestamp(first + time.time() - began_s, zone).astimezone()


class Instrument:
    """A meter that speaks 11073 at a mount.

    Raises:
        LedgerError: the ledger belongs to another meter.
    """

    def __init__(self, scenario: Ieee11073Scenario, ledger: Ledger) -> None:
        self.meter = Meter(scenario.meter, scenario.clock, scenario.memory)
        self.deliveries = Deliveries(self.meter, ledger)
        self.agent = Agent(
            self.meter, scenario.dialect, self.deliveries, present_of(scenario.starts), scenario.faults
        )

    @property
    def delivered(self) -> tuple[Stored, ...]:
        """Tests still in the memory whose report was confirmed, oldest first."""
        return self.deliveries.delivered

    @property
    def unsent(self) -> tuple[Stored, ...]:
        """Tests in the memory whose report was not, oldest first."""
        return self.deliveries.unsent

    def run(self, mount: Mount, stop: Event, *, until_delivered: bool = False) -> None:
        """Be there until told to stop, or until every test was confirmed and the association is over."""
        mount.plug_in()
        try:
            while not stop.is_set():
                link = mount.wait(stop)
                if link is None:
                    return
                try:
                    self._converse(link, stop, until_delivered=until_delivered)
                finally:
                    self.agent.lost()
                    link.close()
                if until_delivered and not self.deliveries.unsent:
                    return
                stop.wait(IDLE_S)
        finally:
            mount.unplug()

    def _converse(self, link: Link, stop: Event, *, until_delivered: bool) -> None:
        agent = self.agent
        try:
            self._write(link, agent.connected(time.monotonic()), stop)
            while not stop.is_set():
                octets = link.read(SLICE_S)
                now_s = time.monotonic()
                self._write(link, agent.receive(octets, now_s) if octets else agent.tick(now_s), stop)
                rests = agent.state is State.UNASSOCIATED and agent.deadline_s is None
                if rests and (until_delivered or not agent.has_something()) and not self.deliveries.unsent:
                    return
        except LineLost:
            return

    def _write(self, link: Link, apdus: list[bytes], stop: Event) -> None:
        for apdu in apdus:
            link.write(apdu, stop)
