"""To which week each candidate belongs, and which find theirs taken (rules R2, R2b, R6–R9, R13)."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from gateway.reporting.units.calendar import DAYS_PER_WEEK, sunday
from gateway.reporting.units.model import Step
from gateway.reporting.units.policy import Policy
from gateway.reporting.units.reasons import RULES, Reason
from gateway.reporting.units.screening import Candidate

WINDOW_WEEKS: Final = 4
"""Not more than four tests in four weeks (R9)."""


class Frozen(NamedTuple):
    """A test of a claimed unit: its local day, when it was taken, and the week it keeps (R13)."""

    id: str
    at: dt.datetime
    day: int
    week: int


class Free(Protocol):
    """What a week basis leaves free for one more plain test after the last known one."""

    def open_day(self, day: int) -> int:
        """The first day, `day` or later, on which one more test would raise the number of counted tests."""


class Attribution(NamedTuple):
    """The outcome: counted tests with their weeks set, what is against the others, and what is still free."""

    counted: list[Candidate]
    refused: list[tuple[str, Reason]]
    free: Free


def freeze(claimed: Iterable[tuple[str, dt.datetime, int]]) -> list[Frozen]:
    """Place claimed tests, given as (id, time, day): the first of a week in it, any further one in the next."""
    placed: list[Frozen] = []
    own: set[int] = set()
    for test_id, at, day in sorted(claimed, key=lambda test: (test[1], test[0])):
        week = day // DAYS_PER_WEEK
        placed.append(Frozen(test_id, at, day, week + 1 if week in own else week))
        own.add(week)
    return placed


def attribute(
    candidates: Sequence[Candidate], frozen: Sequence[Frozen], policy: Policy, trace: list[Step] | None
) -> Attribution:
    """Give every candidate its week or a reason why it has none.

    Args:
        candidates: unclaimed tests in the order of their times, ties by id.
        frozen: tests of claimed units, which were placed first.
        policy: week basis and early rule.
        trace: where decisions are noted.
    """
    if policy.week_basis == "rolling7":
        return _rolling(candidates, frozen, trace)
    if policy.early_rule == "literal_any4":
        return _literal_any4(candidates, frozen, trace)
    return _calendar(candidates, frozen, trace, early_allowed=policy.early_rule == "fill_missed_next_week")


class FreeWeeks:
    """Calendar weeks without a counted test, a stand-in or a claimed test."""

    __slots__ = ("_taken",)

    def __init__(self, taken: set[int]) -> None:
        self._taken = taken

    def open_day(self, day: int) -> int:
        """See `Free`. A test in a stand-in's week would only displace it, so that week is not free."""
        week = day // DAYS_PER_WEEK
        if week not in self._taken:
            return day
        while week in self._taken:
            week += 1
        return sunday(week)


def _calendar(
    candidates: Sequence[Candidate], frozen: Sequence[Frozen], trace: list[Step] | None, *, early_allowed: bool
) -> Attribution:
    taken = {test.week for test in frozen}
    counted: list[Candidate] = []
    surplus: list[Candidate] = []
    for test in candidates:
        if test.week in taken:
            surplus.append(test)
        else:
            taken.add(test.week)
            counted.append(test)
            if trace is not None:
                _note(trace, test, "R2", "OWN_WEEK", test.week)
    refused: list[tuple[str, Reason]] = []
    for test in surplus:
        following = test.week + 1
        if test.reason is None:
            _refuse(refused, trace, test, "SAME_WEEK_NO_REASON", test.week)
        elif not early_allowed:
            _refuse(refused, trace, test, "EARLY_NOT_ALLOWED", test.week)
        elif following in taken:
            _refuse(refused, trace, test, "NEXT_WEEK_USED", following)
        else:
            test.week = following
            test.early = True
            taken.add(following)
            counted.append(test)
            _note(trace, test, "R8", "STAND_IN", following)
    return Attribution(counted, refused, FreeWeeks(taken))


class FreeInWindows:
    """Weeks without an accepted test in which one more would not be the fifth in any four weeks."""

    __slots__ = ("_accepted", "_held")

    def __init__(self, accepted: Counter[int], held: set[int]) -> None:
        self._accepted = accepted
        self._held = held

    def is_full(self, week: int) -> bool:
        """Whether some four consecutive weeks with `week` among them already hold four accepted tests."""
        return most_in_a_window(self._accepted, week) >= WINDOW_WEEKS

    def is_used(self, week: int) -> bool:
        """Whether a further test of `week` would be a second one."""
        return week in self._held or self._accepted[week] > 0

    def open_day(self, day: int) -> int:
        """See `Free`."""
        week = day // DAYS_PER_WEEK
        if not self.is_used(week) and not self.is_full(week):
            return day
        while self.is_used(week) or self.is_full(week):
            week += 1
        return sunday(week)


def most_in_a_window(tests_in_week: Counter[int], week: int) -> int:
    """The most tests that any four consecutive weeks with `week` among them hold."""
    return max(
        sum(tests_in_week[start + offset] for offset in range(WINDOW_WEEKS))
        for start in range(week - WINDOW_WEEKS + 1, week + 1)
    )


def _literal_any4(
    candidates: Sequence[Candidate], frozen: Sequence[Frozen], trace: list[Step] | None
) -> Attribution:
    accepted = Counter(test.day // DAYS_PER_WEEK for test in frozen)
    free = FreeInWindows(accepted, {test.week for test in frozen})
    counted: list[Candidate] = []
    refused: list[tuple[str, Reason]] = []
    for test in candidates:
        second = free.is_used(test.week)
        if second and test.reason is None:
            _refuse(refused, trace, test, "SAME_WEEK_NO_REASON", test.week)
        elif free.is_full(test.week):
            _refuse(refused, trace, test, "FOUR_IN_FOUR_WEEKS", test.week)
        else:
            test.early = second
            accepted[test.week] += 1
            counted.append(test)
            _note(trace, test, "R9", "EARLY_ACCEPTED" if second else "OWN_WEEK", test.week)
    return Attribution(counted, refused, free)


class FreeAfterSevenDays:
    """Days at least seven from every counted test."""

    __slots__ = ("_days",)

    def __init__(self, days: list[int]) -> None:
        self._days = sorted(days)

    def open_day(self, day: int) -> int:
        """See `Free`."""
        for counted in self._days[bisect_left(self._days, day - DAYS_PER_WEEK + 1) :]:
            if abs(day - counted) < DAYS_PER_WEEK:
                day = counted + DAYS_PER_WEEK
        return day


def _rolling(candidates: Sequence[Candidate], frozen: Sequence[Frozen], trace: list[Step] | None) -> Attribution:
    claimed = sorted(test.day for test in frozen)
    counted: list[Candidate] = []
    refused: list[tuple[str, Reason]] = []
    previous: int | None = None
    for test in candidates:
        near = claimed[max(0, bisect_left(claimed, test.day) - 1) :][:2]
        if previous is not None:
            near.append(previous)
        close = [day for day in near if abs(test.day - day) < DAYS_PER_WEEK]
        if close:
            refused.append((test.id, "LT_7_DAYS"))
            if trace is not None:
                trace.append(
                    Step(test.id, "R2b", "LT_7_DAYS", (("test", _iso(test.day)), ("counted test", _iso(close[0]))))
                )
            continue
        previous = test.day
        counted.append(test)
        _note(trace, test, "R2b", "OWN_WEEK", test.week)
    return Attribution(counted, refused, FreeAfterSevenDays([*claimed, *(test.day for test in counted)]))


def _refuse(
    refused: list[tuple[str, Reason]], trace: list[Step] | None, test: Candidate, reason: Reason, week: int
) -> None:
    refused.append((test.id, reason))
    _note(trace, test, RULES[reason], reason, week)


def _note(trace: list[Step] | None, test: Candidate, rule: str, finding: str, week: int) -> None:
    if trace is None:
        return
    facts = [("test", _iso(test.day)), ("week of", _iso(sunday(week)))]
    if test.reason is not None:
        facts.append(("early reason", test.reason.category))
    if test.documented is not None:
        facts.append(("documented", _iso(test.documented)))
    trace.append(Step(test.id, rule, finding, tuple(facts)))


def _iso(day: int) -> str:
    return dt.date.fromordinal(day).isoformat()
