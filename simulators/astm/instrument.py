"""The whole instrument: it offers its memory to whoever is on the line until it was told that all is received."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from threading import Event

from simulators import instrument
from simulators.astm.faults import Line
from simulators.astm.outbox import Outbox
from simulators.astm.sender import Action, Delivered, Sender, Transmit
from simulators.instrument import UnpluggedError
from simulators.ledger import Ledger
from simulators.mounts.link import SLICE_S, LineLost, Link
from simulators.mounts.steps import Pause, Unplug
from simulators.scenario import Scenario

__all__ = ["Instrument"]

LINGER_S = 0.5
"""How long the line stays open after the last message when the instrument ends: closing a pty may take its last
octets with it."""


class Instrument(instrument.Instrument):
    """A meter that speaks ASTM."""

    def __init__(self, scenario: Scenario, ledger: Ledger, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__(scenario, ledger, monotonic)
        self._outbox = Outbox(self.meter, scenario.dialect, self._deliveries)
        self._timers = scenario.timers.scaled()
        self._sender = Sender(
            self._timers, establishment=scenario.dialect.establishment, resume=scenario.dialect.resume
        )
        self._line = Line(scenario.faults)
        self._rests_until_s = 0.0

    def _contact(self, link: Link, stop: Event, *, until_delivered: bool) -> float | None:
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
        except UnpluggedError as pulled:
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
            self._deliveries.gave_up(action.message.tests, action.reason)
            self._rests_until_s = now_s + self._timers.retry_s

    def _transmit(self, action: Transmit, link: Link, stop: Event) -> None:
        for step in self._line.leaves(action.octets, is_frame=action.is_frame):
            if isinstance(step, Pause):
                self._sender.postpone(step.seconds)
                stop.wait(step.seconds)
            elif isinstance(step, Unplug):
                raise UnpluggedError(step.seconds)
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
