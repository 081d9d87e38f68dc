"""The tally: from what is known about one patient to the statement of units. A pure function (rule R13).

claimed tests are placed and keep their weeks → the rest is screened → each candidate finds its week
→ chunks of four → dates → what is left is pending, or a partial unit after the end of the service
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Final

from gateway.reporting.units.attribution import Free, attribute, freeze
from gateway.reporting.units.calendar import DAYS_PER_WEEK, Zones, add_year, saturday, sunday, zones
from gateway.reporting.units.claims import check_claimed
from gateway.reporting.units.eligibility import Eligibility, end_of_service
from gateway.reporting.units.grouping import group
from gateway.reporting.units.model import (
    ClaimedUnit,
    Enrollment,
    Event,
    NextEligible,
    NotCovered,
    Statement,
    Step,
    Test,
    Unit,
)
from gateway.reporting.units.notices import notices_of
from gateway.reporting.units.policy import Policy
from gateway.reporting.units.screening import Screened, Screening

LOOK_AHEAD_DAYS: Final = 400
"""How far ahead the next test that would count is looked for."""


def tally(
    enrollment: Enrollment,
    tests: Sequence[Test],
    events: Sequence[Event],
    claimed: Sequence[ClaimedUnit],
    policy: Policy,
    as_of: dt.date,
    *,
    trace: bool = False,
) -> Statement:
    """Count one patient's tests toward units of service, as known at the end of the local day `as_of`.

    The answer depends on the set of tests alone, never on their order (only `Statement.not_covered` is listed in
    the order given). What is dated after `as_of` is unknown. Claimed units are frozen.

    Args:
        enrollment: the facts about the patient.
        tests: all tests ever known, whatever their kind.
        events: what ended the service.
        claimed: units already submitted; those of another code than the policy's service are left aside.
        policy: the options in force; its `service` says what is tallied.
        as_of: local date of the patient.
        trace: whether every decision is to be noted. Costs about as much as the tally itself.

    Raises:
        UnitsError: an input was refused (see `errors`); nothing has been computed.
    """
    today = as_of.toordinal()
    notes: list[Step] | None = [] if trace else None
    local = _zones(enrollment, policy)
    end = end_of_service(events, today)
    eligibility = Eligibility(enrollment, policy, end)
    mine = sorted(
        (unit for unit in claimed if unit.code == policy.service), key=lambda unit: (unit.dos, unit.tests)
    )
    check_claimed(mine, tests)
    screened = Screening(tests, policy, local, eligibility, end, today, notes).run()

    taken = {test_id for unit in mine for test_id in unit.tests}
    frozen = freeze(_when_taken(tests, taken, screened, local)) if taken else []
    open_tests = [test for test in screened.candidates.values() if test.id not in taken]
    open_tests.sort(key=_by_time)
    attribution = attribute(open_tests, frozen, policy, notes)
    counted = attribution.counted
    counted.sort(key=_by_week)  # in the order of their times already, which stays within a week

    still_counted = [test for test in frozen if test.id in screened.candidates]
    days_counted = Counter([test.day // DAYS_PER_WEEK for test in counted])
    days_counted.update(test.day // DAYS_PER_WEEK for test in still_counted)
    places = {test.id: (test.week, test.at, test.id, test.day) for test in frozen}
    units = [_claimed_unit(unit, places, screened, at + 1, notes) for at, unit in enumerate(mine)]
    grouped = group(
        counted,
        [unit.dos.toordinal() for unit in mine],
        days_counted,
        policy,
        end,
        today,
        notes,
        first_number=len(units) + 1,
    )
    units += grouped.units
    refused = dict(screened.refused)
    refused.update((test_id, NotCovered.plain(test_id, reason)) for test_id, reason in attribution.refused)
    weeks = {test.week for test in counted}
    weeks.update(test.week for test in still_counted)
    return Statement(
        as_of=as_of,
        service=policy.service,
        policy=policy.id,
        units=tuple(units),
        not_covered=tuple([refused[test.id] for test in tests if test.id in refused]) if refused else (),
        pending=grouped.pending,
        next_eligible=NextEligible(
            None if end else _test_from(eligibility, attribution.free, today),
            None if end else _dos_from(units, policy),
        ),
        missed_weeks=_missed_weeks(weeks, today),
        notices=notices_of(enrollment, events, units, policy, local, tests, as_of),
        trace=None if notes is None else tuple(notes),
    )


def _when_taken(
    tests: Iterable[Test], claimed: set[str], screened: Screened, local: Zones
) -> Iterator[tuple[str, dt.datetime, int]]:
    """Id, instant and local day of each claimed test, whether or not it still counts."""
    for test in tests:
        if test.id in claimed:
            known = screened.candidates.get(test.id)
            if known is not None:
                yield test.id, known.at, known.day
            else:
                yield test.id, local.instant(test.taken_at), local.day_of(test.taken_at)


_by_time = attrgetter("at", "id")
_by_week = attrgetter("week")


def _zones(enrollment: Enrollment, policy: Policy) -> Zones:
    """The zone that makes local dates: the patient's, or the supplier's where the policy says so (R5)."""
    if policy.zone_basis == "supplier" and policy.supplier_tz is not None:
        return zones(policy.supplier_tz, ())
    return zones(enrollment.tz, enrollment.tz_history)


def _claimed_unit(
    unit: ClaimedUnit,
    places: dict[str, tuple[int, dt.datetime, str, int]],
    screened: Screened,
    number: int,
    trace: list[Step] | None,
) -> Unit:
    """A submitted unit as it stands: frozen, flagged where one of its tests no longer counts (R13, R22)."""
    ordered = sorted(unit.tests, key=places.__getitem__)
    days = [places[test_id][3] for test_id in ordered]
    invalid = [test_id for test_id in ordered if test_id not in screened.candidates]
    if trace is not None:
        trace.append(
            Step(f"unit {number}", "R13", "CLAIMED", (("tests", ", ".join(ordered)), ("date", str(unit.dos))))
        )
        trace.extend(
            Step(f"unit {number}", "R22", "CLAIMED_TEST_INVALIDATED", (("test", test_id),)) for test_id in invalid
        )
    return Unit(
        tests=tuple(ordered),
        first_test=dt.date.fromordinal(min(days)),
        last_test=dt.date.fromordinal(max(days)),
        billable_from=unit.dos,
        code=unit.code,
        modifiers=unit.modifiers,
        status="claimed",
        review_flags=("CLAIMED_TEST_INVALIDATED",) if invalid else (),
        file_by=add_year(unit.dos),
    )


def _test_from(eligibility: Eligibility, free: Free, today: int) -> dt.date | None:
    """First day on which one more plain test, reported at once, would raise the number of counted tests."""
    day = today + 1
    while True:
        eligible = eligibility.first_day_from(day)
        if eligible is None or eligible > today + LOOK_AHEAD_DAYS:
            return None
        day = free.open_day(eligible)
        if day == eligible:
            return dt.date.fromordinal(day)


def _dos_from(units: Iterable[Unit], policy: Policy) -> dt.date | None:
    """The last full unit's date of service plus the spacing (R15)."""
    dates = [unit.billable_from for unit in units if unit.is_full]
    if not dates or not policy.min_days_between_dos:
        return None
    return max(dates) + dt.timedelta(days=policy.min_days_between_dos)


def _missed_weeks(weeks: set[int], today: int) -> tuple[dt.date, ...]:
    """Sundays of the finished weeks since the first counted test without a counted test."""
    if not weeks:
        return ()
    over = (today - saturday(0)) // DAYS_PER_WEEK + 1
    return tuple([dt.date.fromordinal(sunday(week)) for week in range(min(weeks), over) if week not in weeks])
