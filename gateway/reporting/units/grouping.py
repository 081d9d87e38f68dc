"""Counted tests into units, and units onto dates (rules R1, R10, R14–R17, R23–R25, R31)."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Final, NamedTuple

from gateway.reporting.units.attribution import WINDOW_WEEKS, most_in_a_window
from gateway.reporting.units.calendar import DAYS_PER_WEEK, add_year, saturday, sunday
from gateway.reporting.units.eligibility import EndOfService
from gateway.reporting.units.model import TESTS_PER_UNIT, Status, Step, Unit
from gateway.reporting.units.policy import Policy
from gateway.reporting.units.reasons import FLAG_RULES
from gateway.reporting.units.screening import LATE_AFTER_DAYS, Candidate

LONG_SPAN_DAYS: Final = 84
"""A unit that spans more than this is flagged (R17)."""
CLOSE_PARTIAL_DAYS: Final = 28
"""A partial unit nearer than this to the previous unit is flagged, whatever the policy's spacing (R25)."""
REDUCED_SERVICES: Final = "52"


class Grouped(NamedTuple):
    """Full units in date order and at most one partial unit; the tests left over."""

    units: list[Unit]
    pending: tuple[str, ...]


def group(
    counted: Sequence[Candidate],
    claimed_dates: Iterable[int],
    days_counted: Counter[int],
    policy: Policy,
    end: EndOfService | None,
    as_of: int,
    trace: list[Step] | None,
    first_number: int,
) -> Grouped:
    """Cut the counted tests into units of four and date them.

    Args:
        counted: unclaimed counted tests by attributed week, then test time.
        claimed_dates: dates of service of the claimed units.
        days_counted: counted tests, claimed ones included, by the week of their test date.
        policy: distances and options.
        end: the end of the service, if known.
        as_of: ordinal of the as-of date.
        trace: where decisions are noted.
        first_number: number of the first unit made here, for the trace.
    """
    dates = sorted(claimed_dates)
    last_own: int | None = None
    made: list[tuple[int, Unit, list[Step]]] = []
    whole = len(counted) - len(counted) % TESTS_PER_UNIT
    for at in range(0, whole, TESTS_PER_UNIT):
        chunk = _Chunk(counted[at : at + TESTS_PER_UNIT])
        day, flags, steps = _date_full(chunk, dates, last_own, policy, end, as_of, explain=trace is not None)
        made.append((day, _unit(chunk, day, policy, flags, days_counted, as_of, ()), steps))
        insort(dates, day)
        last_own = day
    made.sort(key=itemgetter(0))
    rest = counted[whole:]
    if rest and end is not None and policy.service == "G0249":
        chunk = _Chunk(rest)
        day, flags, steps = _date_partial(chunk, dates, end)
        made.append((day, _unit(chunk, day, policy, flags, days_counted, as_of, (REDUCED_SERVICES,)), steps))
        rest = ()
    if trace is not None:
        for number, (_, unit, steps) in enumerate(made, first_number):
            subject = f"unit {number}"
            trace.append(Step(subject, "R1", "UNIT", (("tests", ", ".join(unit.tests)),)))
            trace.extend(step._replace(subject=subject) for step in steps)
            trace.extend(Step(subject, FLAG_RULES[flag], "FLAG", (("flag", flag),)) for flag in unit.review_flags)
    return Grouped([unit for _, unit, _ in made], tuple(test.id for test in rest))


class _Chunk:
    """The tests of one unit, those of them that bring flags or stand in, and the days that decide (ordinals)."""

    __slots__ = ("first", "last", "reported", "special", "tests")

    def __init__(self, tests: Sequence[Candidate]) -> None:
        first = last = tests[0].day
        reported = 0
        special = []
        for test in tests:
            day = test.day
            if day < first:
                first = day
            elif day > last:
                last = day
            if test.evidence > reported:
                reported = test.evidence
            if test.early or test.flags:
                special.append(test)
        self.tests = tests
        self.special = special
        self.first = first
        self.last = last
        self.reported = reported


def _date_full(
    chunk: _Chunk,
    dates: Sequence[int],
    last_own: int | None,
    policy: Policy,
    end: EndOfService | None,
    as_of: int,
    *,
    explain: bool,
) -> tuple[int, set[str], list[Step]]:
    """The earliest allowed date of service of four tests, the flags that the date brings, and how it was found."""
    flags: set[str] = set()
    steps: list[Step] = []
    day = max(chunk.reported, chunk.first + policy.min_days_first_test_to_dos)
    if explain:
        steps.append(_step("R10", "LAST_EVIDENCE", chunk.reported))
        steps.append(_step("R14", "FIRST_TEST_PLUS", chunk.first + policy.min_days_first_test_to_dos))
    for test in chunk.special:
        if not test.early or policy.early_rule != "fill_missed_next_week":
            continue
        over = sunday(test.week + 1)
        # After an end of service the stand-in week counts as finished.
        if end is None or over <= end.last_served:
            day = max(day, over)
            if explain:
                steps.append(_step("R14", "STAND_IN_WEEK_OVER", over))
        if end is None and as_of < saturday(test.week):
            flags.add("PROVISIONAL")
    gap = policy.min_days_between_dos
    if gap:
        spaced = _spaced(day, dates, last_own, gap)
        if explain and spaced != day:
            steps.append(_step("R15", "SPACED", spaced))
        day = spaced
    if end is not None and end.last_covered is not None and day > end.last_covered:
        day = end.last_covered
        flags.add("PERIOD_LT_28_DAYS_TERMINATION")
        if explain:
            steps.append(_step("R25", "PULLED_BACK", day))
    if explain:
        steps.append(_step("R14", "BILLABLE_FROM", day))
    return day, flags, steps


def _spaced(day: int, dates: Sequence[int], last_own: int | None, gap: int) -> int:
    """The first date from `day` on, at least `gap` days from every other unit and after the last one made here."""
    if last_own is not None:
        day = max(day, last_own + gap)
    for other in dates[bisect_right(dates, day - gap) :]:
        if abs(day - other) < gap:
            day = other + gap
    return day


def _date_partial(chunk: _Chunk, dates: Sequence[int], end: EndOfService) -> tuple[int, set[str], list[Step]]:
    """The date of service of one to three tests after the end of the service (R23, R25)."""
    day = chunk.reported
    steps = [_step("R23", f"PARTIAL_{end.type}", end.on), _step("R10", "LAST_EVIDENCE", day)]
    if dates:
        day = max(day, dates[-1] + 1)
        steps.append(_step("R25", "DAY_AFTER_PREVIOUS_UNIT", dates[-1] + 1))
    if end.last_covered is not None and day > end.last_covered:
        day = end.last_covered
        steps.append(_step("R25", "PULLED_BACK", day))
    steps.append(_step("R25", "BILLABLE_FROM", day))
    flags: set[str] = set()
    if dates and day - dates[-1] < CLOSE_PARTIAL_DAYS:
        flags.add("WITHIN_28_DAYS_OF_PREVIOUS_DOS")
    return day, flags, steps


def _unit(
    chunk: _Chunk,
    day: int,
    policy: Policy,
    flags: set[str],
    days_counted: Counter[int],
    as_of: int,
    modifiers: tuple[str, ...],
) -> Unit:
    """The unit on its date, with the flags of the date and those that its tests bring."""
    for test in chunk.special:
        flags.update(test.flags)
        if test.early:
            flags.add("EARLY_TEST")
            if most_in_a_window(days_counted, test.day // DAYS_PER_WEEK) > WINDOW_WEEKS:
                flags.add("FIVE_TAKEN_IN_FOUR_WEEKS")
            if test.documented is not None and test.documented - test.day > LATE_AFTER_DAYS:
                flags.add("REASON_DOCUMENTED_LATE")
    if chunk.last - chunk.first > LONG_SPAN_DAYS:
        flags.add("LONG_SPAN")
    billable_from = dt.date.fromordinal(day)
    status: Status = "billable" if as_of >= day else "complete_waiting"
    return Unit(
        tuple([test.id for test in chunk.tests]),
        dt.date.fromordinal(chunk.first),
        dt.date.fromordinal(chunk.last),
        billable_from,
        policy.service,
        modifiers,
        status,
        tuple(sorted(flags)) if flags else (),
        add_year(billable_from),
    )


def _step(rule: str, finding: str, day: int) -> Step:
    return Step("", rule, finding, (("date", dt.date.fromordinal(day).isoformat()),))
