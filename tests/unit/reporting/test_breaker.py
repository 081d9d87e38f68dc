"""The breaker alone: when it opens, how long it waits, and what it remembers."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import Clock, moment, utc
from gateway.reporting.breaker import Breaker, State
from gateway.reporting.configuration import Delivery
from gateway.store import destinations
from tests.unit.reporting.stores import TAKEN

SETTINGS = Delivery(retry_first_s=1, retry_most_s=300, breaker_after=3, retry_after_most_s=3600)


class Hands(Clock):
    """A clock whose wall and monotonic hands are moved by the test."""

    def __init__(self, now: datetime = TAKEN) -> None:
        super().__init__()
        self.wall, self.ticks_s = now, 1000.0

    def now(self) -> datetime:
        return self.wall

    def monotonic_s(self) -> float:  # type: ignore[override]  # the clock's own is the same for all
        return self.ticks_s

    def go(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.ticks_s += seconds


def test_it_opens_after_some_failures_is_tried_and_closes() -> None:
    clock = Hands()
    breaker = Breaker(SETTINGS, clock, None)
    for number in range(1, 4):
        assert breaker.state is State.CLOSED
        assert breaker.news() is None
        breaker.failed(f"failure {number}")
        assert 0 < breaker.wait_s <= 2 ** (number - 1)
        clock.go(breaker.wait_s)
        assert breaker.wait_s == 0
    row = breaker.news()
    assert row is not None
    assert (row.state, row.why, row.failures, row.asked) == ("open", "failure 3", 3, False)
    assert row.trial_at == utc(clock.now())
    breaker.kept(row)
    assert breaker.news() is None
    seen = []
    for act in (breaker.trying, lambda: breaker.failed("failure 4"), breaker.trying, breaker.answered):
        act()
        seen.append(breaker.state.value)
    assert seen == ["half-open", "open", "half-open", "closed"]
    closed = breaker.news()
    assert closed is not None
    assert (closed.state, closed.failures, closed.trial_at) == ("closed", 0, None)


@given(st.integers(1, 200))
def test_waits_grow_and_never_beyond_the_limit(failures: int) -> None:
    clock = Hands()
    breaker = Breaker(SETTINGS, clock, None)
    for _ in range(failures):
        breaker.failed("x")
    assert min(300.0, 2.0 ** min(failures - 1, 30)) / 2 <= breaker.wait_s <= 300


def test_no_jump_of_the_wall_clock_prolongs_a_wait() -> None:
    clock = Hands()
    breaker = Breaker(SETTINGS, clock, None)
    breaker.failed("x")
    clock.wall -= timedelta(days=365)
    clock.ticks_s += 1
    assert breaker.wait_s == 0


def test_what_the_far_end_asks_for_is_granted_up_to_a_limit_and_no_person_shortens_it() -> None:
    clock = Hands()
    breaker = Breaker(SETTINGS, clock, None)
    breaker.asked("busy", 90)
    assert breaker.wait_s == 90
    breaker.hurry()
    assert breaker.wait_s == 90
    breaker.asked("busy", 10**9)
    assert breaker.wait_s == SETTINGS.retry_after_most_s
    breaker.answered()
    breaker.failed("x")
    breaker.hurry()
    assert breaker.wait_s == 0


def test_a_far_end_that_asks_for_no_time_at_all_is_not_hammered() -> None:
    breaker = Breaker(SETTINGS, Hands(), None)
    breaker.asked("busy", 0)
    first = breaker.wait_s
    for _ in range(5):
        breaker.asked("busy", 0)
    assert breaker.wait_s > 4 * first > 0


def remembered(trial_at: datetime, *, asked: bool) -> destinations.Breaker:
    return destinations.Breaker("open", utc(TAKEN), "why", 7, utc(trial_at), asked)


def test_after_a_start_only_a_time_that_the_far_end_named_still_holds() -> None:
    clock = Hands()
    ahead = TAKEN + timedelta(minutes=5)
    own = Breaker(SETTINGS, clock, remembered(ahead, asked=False))
    assert (own.state, own.wait_s) == (State.OPEN, 0)
    named = Breaker(SETTINGS, clock, remembered(ahead, asked=True))
    assert (named.state, named.wait_s) == (State.OPEN, 300)
    past = Breaker(SETTINGS, clock, remembered(TAKEN - timedelta(minutes=5), asked=True))
    assert past.wait_s == 0
    far = Breaker(SETTINGS, clock, remembered(TAKEN + timedelta(days=365), asked=True))
    assert far.wait_s == SETTINGS.retry_after_most_s
    row = own.news()
    assert row is None or moment(row.since) == TAKEN
