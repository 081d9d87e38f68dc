"""The same facts under two policies: what would change."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from gateway.reporting.claims.tallied import Refused, Tallied, periods_in, tallied, tallies_of
from gateway.reporting.facts import Facts
from gateway.reporting.statements import StatementError
from gateway.reporting.units import Policy, Statement, Unit, UnitsError
from gateway.store.opening import Role

__all__ = ["Change", "policy_called", "what_if"]


class Change(NamedTuple):
    """One difference.

    Attributes:
        what: ``units``, ``unit``, ``test``, ``pending`` or ``statement``.
        subject: the unit's tests, or the test.
        now: under the policy in force; then: under the other. Empty: there is none.
    """

    patient: str
    period: int
    what: str
    subject: str
    now: str
    then: str


def policy_called(book: Sequence[Policy], name: str, on: dt.date) -> Policy:
    """The policy with this id, or the version in force of the policy with this name.

    Raises:
        StatementError: there is none; the message names those there are.
    """
    exact = [policy for policy in book if policy.id == name]
    versions = [policy for policy in book if policy.id.rsplit(" ", 1)[0] == name]
    found = exact or [policy for policy in versions if policy.in_force(on)]
    if not found:
        known = ", ".join(repr(policy.id) for policy in book)
        raise StatementError(f"--policy {name}: no such policy on {on}; there are {known}")
    return found[0]


def what_if(found: Iterable[tuple[Facts, dt.date]], policy: Policy, role: Role) -> Iterator[Change]:
    """Every difference that `policy` would make, for each patient's facts and local day.

    Claimed units are frozen under both.
    """
    for facts, as_of in found:
        periods = periods_in(facts)
        for known in tallies_of(facts, as_of, role):
            if isinstance(known, Refused):
                yield Change(facts.patient_id, 0, "statement", "", known.why, "not compared")
                continue
            try:
                other = tallied(facts, as_of, role, period=periods[known.number - 1], policy=policy)
            except UnitsError as refused:
                yield Change(facts.patient_id, known.number, "statement", "", "", str(refused))
                continue
            yield from _changes(known, other)


def _changes(known: Tallied, other: Tallied) -> Iterator[Change]:
    patient, number = known.patient_id, known.number
    now, then = known.statement, other.statement
    if len(now.units) != len(then.units):
        yield Change(patient, number, "units", "", str(len(now.units)), str(len(then.units)))
    mine, theirs = _units(now), _units(then)
    for tests in sorted(mine.keys() | theirs.keys(), key=lambda tests: _order(mine.get(tests) or theirs[tests])):
        left, right = _say(mine.get(tests)), _say(theirs.get(tests))
        if left != right:
            yield Change(patient, number, "unit", " ".join(tests), left, right)
    places_now, places_then = _places(now), _places(then)
    for test in known.inputs.tests:
        left, right = places_now.get(test.id, "in a unit"), places_then.get(test.id, "in a unit")
        if left != right:
            yield Change(patient, number, "test", test.id, left, right)


def _units(statement: Statement) -> dict[tuple[str, ...], Unit]:
    return {unit.tests: unit for unit in statement.units}


def _order(unit: Unit) -> tuple[dt.date, tuple[str, ...]]:
    return (unit.billable_from, unit.tests)


def _say(unit: Unit | None) -> str:
    if unit is None:
        return ""
    flags = f" ({' '.join(unit.review_flags)})" if unit.review_flags else ""
    return f"{'-'.join([unit.code, *unit.modifiers])} {unit.billable_from} {unit.status}{flags}"


def _places(statement: Statement) -> dict[str, str]:
    """Where each test is that is in no unit."""
    found: dict[str, str] = {each.test: each.reason for each in statement.not_covered}
    found.update((test, "pending") for test in statement.pending)
    return found
