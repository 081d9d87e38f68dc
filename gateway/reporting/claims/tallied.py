"""A patient's tally together with everything it was made from; of one patient, or of all in one pass."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gateway.clock import Clock
from gateway.reporting.documents import kinds
from gateway.reporting.documents.coverage import Period, in_force, periods
from gateway.reporting.facts import Facts
from gateway.reporting.statements import Inputs, StatementError, assemble, policies_for
from gateway.reporting.units import Event, Policy, Statement, Test, Unit, UnitsError, ZoneChange, tally_versions
from gateway.reporting.units.calendar import Zones, zones
from gateway.reporting.units.model import Code
from gateway.store.opening import Role

__all__ = [
    "Refused",
    "Tallied",
    "periods_in",
    "tallied",
    "tallies_of",
    "today",
    "without",
]


class Tallied(NamedTuple):
    """One patient's statement under one payer, and the facts and the policy behind it.

    Attributes:
        number: of the payer's period, from 1, oldest first.
        policy: in force on the as-of date; `earlier` its versions before, oldest first.
    """

    patient_id: str
    number: int
    period: Period
    inputs: Inputs
    policy: Policy
    statement: Statement
    earlier: tuple[Policy, ...] = ()

    @property
    def local(self) -> Zones:
        """Makes the patient's local dates."""
        return zones(self.inputs.enrollment.tz, self.inputs.enrollment.tz_history)

    def day_of(self, moment: dt.datetime) -> dt.date:
        """The local date of an instant."""
        return dt.date.fromordinal(self.local.day_of(moment))

    @property
    def policies(self) -> tuple[Policy, ...]:
        """All versions of the policy since the first test, oldest first."""
        return (*self.earlier, self.policy)

    def policy_of(self, unit: Unit) -> Policy:
        """The version in force on a unit's date of service; the present one for a date that none speaks of."""
        return next((each for each in self.earlier if each.in_force(unit.billable_from)), self.policy)

    def tests(self) -> dict[str, Test]:
        """All tests by id."""
        return {test.id: test for test in self.inputs.tests}


class Refused(NamedTuple):
    """A patient of whom no statement can be made, and why."""

    patient_id: str
    why: str


def tallied(
    facts: Facts,
    as_of: dt.date,
    role: Role,
    *,
    period: Period | None = None,
    policy: Policy | None = None,
    service: Code = "G0249",
    trace: bool = False,
) -> Tallied:
    """The tally of one patient, under the policy in force or under another one. Reads nothing.

    Args:
        facts: everything known of the patient.
        as_of: local day of the patient.
        role: of the store.
        period: one of `periods_in`; None: the one in force on `as_of`.
        policy: another policy than the one in force.
        service: whose side is tallied: G0249 the supplier's, G0250 the physician's (rule R32).
        trace: whether every decision is noted.

    Raises:
        StatementError: the patient is not enrolled, or has no zone of record.
        UnitsError: a recorded fact cannot be used, or no policy is in force for the payer.
    """
    inputs = assemble(facts, as_of, role, period=period)
    *earlier, chosen = [
        each.for_service(service) for each in ((policy,) if policy else policies_for(inputs, as_of))
    ]
    made = tally_versions(*inputs, (*earlier, chosen), as_of, trace=trace)
    found = periods_in(facts)
    here = period or in_force(found, as_of)
    return Tallied(facts.patient_id, found.index(here) + 1, here, inputs, chosen, made, tuple(earlier))


def without(known: Tallied, tests: Sequence[str], as_of: dt.date, *, trace: bool = False) -> Tallied:
    """The tally as it would be had the claim on exactly these tests never been made."""
    claimed = tuple(unit for unit in known.inputs.claimed if set(unit.tests) != set(tests))
    inputs = known.inputs._replace(claimed=claimed)
    return known._replace(inputs=inputs, statement=tally_versions(*inputs, known.policies, as_of, trace=trace))


def tallies_of(facts: Facts, as_of: dt.date, role: Role, service: Code = "G0249") -> Iterator[Tallied | Refused]:
    """One tally for each payer's period that has begun, oldest first (rule R37); for the first one in any case."""
    found = periods_in(facts)
    for number, period in enumerate(found, 1):
        if number > 1 and period.covered_from is not None and period.covered_from > as_of:
            continue
        try:
            inputs = assemble(facts, as_of, role, period=period)
            *earlier, policy = [each.for_service(service) for each in policies_for(inputs, as_of)]
            made = tally_versions(*inputs, (*earlier, policy), as_of)
        except (StatementError, UnitsError) as refused:
            yield Refused(facts.patient_id, str(refused))
        else:
            yield Tallied(facts.patient_id, number, period, inputs, policy, made, tuple(earlier))
    if not found:
        yield Refused(facts.patient_id, f"patient {facts.patient_id} is not enrolled; import an enrollment")


def periods_in(facts: Facts) -> list[Period]:
    """The patient's payers' periods, oldest first; empty when nothing says who pays."""
    coverages = facts.papers.of(kinds.Coverage)
    if coverages:
        return periods(coverages, [Event(paper.type, paper.date) for paper in facts.papers.of(kinds.Event)])
    return [] if facts.enrolled is None else [Period(facts.enrolled.payer, facts.enrolled.mac)]


def today(history: Sequence[tuple[str, str]], clock: Clock) -> dt.date:
    """The local date now of a patient with this history of zones; that of UTC without one."""
    if not history:
        return clock.now().astimezone(dt.UTC).date()
    changes = tuple(ZoneChange(dt.date.fromisoformat(day), name) for day, name in history)
    return dt.date.fromordinal(zones(history[0][1], changes).day(clock.now()))
