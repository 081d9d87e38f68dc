"""The circuit breaker of one destination: when it may be tried, and why not earlier."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from enum import StrEnum

from gateway.clock import Clock, moment, utc
from gateway.reporting.configuration import Delivery
from gateway.store import destinations

__all__ = ["Breaker", "State", "back_off"]


class State(StrEnum):
    """Where a breaker is."""

    CLOSED = "closed"
    """Reports go out."""
    OPEN = "open"
    """Nothing is sent before the time of the next trial."""
    HALF_OPEN = "half-open"
    """One report is on its way to see whether it works again."""


def back_off(settings: Delivery, times: int) -> timedelta:
    """The wait after so many failures in a row: doubled up to a limit, shortened at random by up to one half."""
    longest_s = min(settings.retry_most_s, settings.retry_first_s * 2 ** min(times - 1, 30))
    return timedelta(seconds=longest_s * random.uniform(0.5, 1.0))


class Breaker:
    """Opens after some failures in a row, or for as long as the far end asks; closes with the first answer.

    Each failure is followed by a growing wait, from the first on; waits are counted on the monotonic clock, so that
    no jump of the wall clock prolongs them.
    """

    def __init__(self, settings: Delivery, clock: Clock, remembered: destinations.Breaker | None) -> None:
        """A breaker as it was left. Only a time that the far end named is kept to across a start.

        Args:
            settings: back-off, and after how many failures it opens.
            clock: the gateway's clock.
            remembered: as it was written down last.
        """
        self._settings = settings
        self._clock = clock
        self._wait_until_s = clock.monotonic_s()
        self._kept = remembered
        self.state = State.CLOSED
        self.failures = 0
        self._since, self._why, self._asked = clock.now(), "", False
        self._trial_at: datetime | None = None
        if remembered is not None and remembered.state != State.CLOSED:
            self.state, self.failures = State.OPEN, remembered.failures
            self._since, self._why = moment(remembered.since), remembered.why
            self._trial_at = clock.now()
            if remembered.asked and remembered.trial_at is not None:
                left_s = (moment(remembered.trial_at) - clock.now()).total_seconds()
                self._wait(timedelta(seconds=min(max(0.0, left_s), settings.retry_after_most_s)))
                self._asked = True

    @property
    def wait_s(self) -> float:
        """Seconds before anything may be sent; 0 when it may now."""
        return max(0.0, self._wait_until_s - self._clock.monotonic_s())

    def hurry(self) -> None:
        """A person has changed something: try now, unless the far end itself named the time."""
        if not self._asked:
            self._wait_until_s = self._clock.monotonic_s()

    def trying(self) -> None:
        """A report is about to be sent."""
        if self.state is State.OPEN:
            self.state = State.HALF_OPEN

    def answered(self) -> None:
        """The far end speaks with us."""
        if self.state is not State.CLOSED:
            self.state, self._since, self._why = State.CLOSED, self._clock.now(), "answers again"
        self.failures, self._asked, self._trial_at = 0, False, None

    def failed(self, why: str) -> None:
        """It could not be reached, or gave no usable answer."""
        self.failures += 1
        self._asked = False
        self._wait(back_off(self._settings, self.failures))
        if self.state is not State.CLOSED or self.failures >= self._settings.breaker_after:
            self._open(why)

    def asked(self, why: str, wait_s: float) -> None:
        """The far end wants to be left alone for so long."""
        self.failures += 1
        self._asked = True
        granted = timedelta(seconds=min(max(wait_s, 0.0), self._settings.retry_after_most_s))
        self._wait(max(granted, back_off(self._settings, self.failures)))
        self._open(why)

    def news(self) -> destinations.Breaker | None:
        """What is to be written down; None when it stands there already, or never was worth a word."""
        row = destinations.Breaker(
            self.state,
            utc(self._since),
            self._why,
            self.failures,
            None if self._trial_at is None or self.state is State.CLOSED else utc(self._trial_at),
            self._asked,
        )
        if row == self._kept or (self._kept is None and self.state is State.CLOSED):
            return None
        return row

    def kept(self, row: destinations.Breaker) -> None:
        """It has been written down."""
        self._kept = row

    def _open(self, why: str) -> None:
        if self.state is State.CLOSED:
            self._since = self._clock.now()
        self.state, self._why = State.OPEN, why

    def _wait(self, time: timedelta) -> None:
        self._wait_until_s = self._clock.monotonic_s() + time.total_seconds()
        self._trial_at = self._clock.now() + time
