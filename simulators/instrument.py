"""A meter that is plugged in somewhere and in contact with one host after another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Event

from simulators.deliveries import Deliveries
from simulators.ledger import Ledger
from simulators.meter import Meter, Stored
from simulators.mounts.link import Link, Mount
from simulators.scenario import Scenario

__all__ = ["Instrument", "UnpluggedError"]


class UnpluggedError(Exception):
    """The connection is broken on script; after `seconds` it comes back."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class Instrument(ABC):
    """One simulated meter at work.

    Args:
        ledger: remembers across runs what the meter was told is received.
        monotonic: seconds that never go back.

    Raises:
        simulators.ledger.LedgerError: the ledger belongs to another meter or memory.
    """

    def __init__(self, scenario: Scenario, ledger: Ledger, monotonic: Callable[[], float]) -> None:
        self.meter = Meter(scenario.meter, scenario.clock, scenario.memory)
        self._deliveries = Deliveries(self.meter, ledger, names_meter=True)
        self._monotonic = monotonic
        self._switched_on_s = monotonic()
        self._starts = scenario.starts

    @property
    def delivered(self) -> tuple[Stored, ...]:
        """Tests in the memory of which the meter was told that they are received."""
        return self._deliveries.delivered

    @property
    def unsent(self) -> tuple[Stored, ...]:
        """Tests in the memory of which it was not."""
        return self._deliveries.unsent

    def run(self, mount: Mount, stop: Event, *, until_delivered: bool = False) -> None:
        """Work until told to stop, or until everything is delivered.

        Raises:
            OSError: the mount cannot be plugged in (again).
        """
        try:
            while not stop.is_set():
                mount.plug_in()
                link = mount.wait(stop)
                if link is None:
                    break
                away_s = self._contact(link, stop, until_delivered=until_delivered)
                if until_delivered and not self.unsent:
                    break
                if away_s is not None:
                    mount.unplug()
                    stop.wait(away_s)
        finally:
            mount.unplug()

    @abstractmethod
    def _contact(self, link: Link, stop: Event, *, until_delivered: bool) -> float | None:
        """Speak with one host and close the link.

        Args:
            link: to it.
            stop: end at once.
            until_delivered: end when everything is delivered.

        Returns:
            For how long the meter is unplugged then; None: it stays plugged in.
        """

    def _now(self) -> datetime:
        """The simulated present."""
        if self._starts is None:
            return datetime.now(UTC)
        return self._starts + timedelta(seconds=self._monotonic() - self._switched_on_s)
