"""The whole instrument: it offers its memory to whoever is on the line until it was told that all is received."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from threading import Event

from simulators.astm.faults import Line, Pause, Unplug
from simulators.astm.outbox import Outbox
from simulators.astm.sender import Action, Delivered, Sender, Transmit
from simulators.ledger import Ledger
from simulators.meter import Meter, Stored
from simulators.mounts.link import SLICE_S, LineLost, Link, Mount
from simulators.scenario import Scenario

__all__ = ["Instrument"]

LINGER_S = 0.5
"""How long the line stays open after the last message when the instrument ends: closing a pty may take its last
octets with it."""


class _CablePulled(Exception):  # noqa: N818 - scripted, not a mistake
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class Instrument:
    """One simulated meter at work.

    Args:
        ledger: remembers across runs what the meter was told is received.
        monotonic: seconds that never go back.

    Raises:
        simulators.ledger.LedgerError: the ledger belongs to another meter or memory.
    """

    def __init__(self, scenario: Scenario, ledger: Ledger, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.meter = Meter(scenario.meter, scenario.clock, scenario.memory)
        self._outbox = Outbox(self.meter, scenario.dialect, ledger)
        self._timers = scenario.timers.scaled()
        self._sender = Sender(
            self._timers, establishment=scenario.dialect.establishment, resume=scenario.dialect.resume
        )
        self._line = Line(scenario.faults)
        self._monotonic = monotonic
        self._switched_on_s = monotonic()
        self._starts = scenario.starts
        self._rests_until_s = 0.0

    @property
    def delivered(self) -> tuple[Stored, ...]:
        """Tests in the memory of which the meter was told that they are received."""
        return self._outbox.delivered

    @property
    def unsent(self) -> tuple[Stored, ...]:
        """Tests in the memory of which it was not."""
        return self._outbox.unsent

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
                away_s = self._contact(link, stop, until_delivered)
                if until_delivered and not self.unsent:
                    break
                if away_s is not None:
                    mount.unplug()
                    stop.wait(away_s)
        finally:
            mount.unplug()

    def _contact(self, link: Link, stop: Event, until_delivered: bool) -> float | None:
        """Speak with one host until it goes away. Returns for how long the cable is pulled, if it is."""
        self._outbox.begin_contact()
        self._rests_until_s = 0.0
        try:
            while not stop.is_set():
                now_s = self._monotonic()
                if self._sender.idle and now_s >= self._rests_until_s:
                    message = self._sender.unfinished or self._outbox.next(self._now())
                    if message is not None:
                        self._perform(self._sender.offer(message, now_s), link, stop)
                    elif until_delivered and not self.unsent:
                        self._linger(link)
                        return None
                octets = self._line.hears(link.read(self._patience_s()))
                self._perform(self._sender.receive(octets, self._monotonic()), link, stop)
                self._perform(self._sender.tick(self._monotonic()), link, stop)
        except LineLost:
            return None
        except _CablePulled as pulled:
            return pulled.seconds
        finally:
            for lost in self._sender.lost():
                self._remember(lost)
            link.close()
        return None

    def _perform(self, actions: Iterable[Action], link: Link, stop: Event) -> None:
        for action in actions:
            if isinstance(action, Transmit):
                self._transmit(action, link, stop)
            else:
                self._remember(action)

    def _remember(self, action: Action) -> None:
        now_s = self._monotonic()
        if isinstance(action, Delivered):
            self._outbox.received(action.message)
            self._rests_until_s = now_s + self._timers.between_messages_s
        elif not isinstance(action, Transmit):
            self._outbox.gave_up(action.message, action.reason)
            self._rests_until_s = now_s + self._timers.retry_s

    def _transmit(self, action: Transmit, link: Link, stop: Event) -> None:
        for step in self._line.leaves(action.octets, is_frame=action.is_frame):
            if isinstance(step, Pause):
                self._sender.postpone(step.seconds)
                stop.wait(step.seconds)
            elif isinstance(step, Unplug):
                raise _CablePulled(step.seconds)
            else:
                link.write(step, stop)

    def _patience_s(self) -> float:
        """How long to wait for the host before there is something else to do."""
        until_s = self._rests_until_s if self._sender.idle else self._sender.deadline_s
        now_s = self._monotonic()
        return SLICE_S if until_s is None or until_s <= now_s else min(SLICE_S, until_s - now_s)

    def _linger(self, link: Link) -> None:
        until_s = self._monotonic() + LINGER_S
        try:
            while (now_s := self._monotonic()) < until_s:
                link.read(min(SLICE_S, until_s - now_s))
        except LineLost:
            return

    def _now(self) -> datetime:
        """The simulated present."""
        if self._starts is None:
            return datetime.now(UTC)
        return self._starts + timedelta(seconds=self._monotonic() - self._switched_on_s)
