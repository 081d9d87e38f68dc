"""Checks on units that were, or are about to be, claimed."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.reporting.units.errors import (
    BadCodeError,
    BadValueError,
    DateOrderError,
    DuplicateClaimError,
    UnknownTestError,
)
from gateway.reporting.units.model import TESTS_PER_UNIT, ClaimedUnit, Statement, Test, Unit
from gateway.reporting.units.policy import CODES


def check_claimed(claimed: Sequence[ClaimedUnit], tests: Sequence[Test]) -> None:
    """Refuse claims that contradict one another or the tests.

    One that contradicts itself (three tests without modifier 52, a date of service before its tests) is no reason
    to refuse: it was submitted, and a correction may since have moved a test. The statement says so (`notices`).

    Raises:
        BadCodeError: a code other than G0249 and G0250.
        BadValueError: a claim without tests, or with more than four.
        DuplicateClaimError: a test stands in two claims of one code, or twice in one.
        UnknownTestError: a claim names a test that is not among `tests`.
    """
    if not claimed:
        return
    known = {test.id for test in tests}
    seen: set[tuple[str, str]] = set()
    for at, unit in enumerate(claimed):
        if unit.code not in CODES:
            raise BadCodeError(
                f"claimed[{at}].code", f"unknown code {unit.code!r}", f"use one of: {', '.join(CODES)}"
            )
        if not 1 <= len(unit.tests) <= TESTS_PER_UNIT:
            raise BadValueError(f"claimed[{at}].tests", f"names {len(unit.tests)} tests", "a unit has one to four")
        for test_id in unit.tests:
            if test_id not in known:
                raise UnknownTestError(
                    f"claimed[{at}].tests",
                    f"{test_id!r} is not among the tests",
                    "give the test, or correct the claim",
                )
            if (unit.code, test_id) in seen:
                raise DuplicateClaimError(
                    f"claimed[{at}].tests",
                    f"{test_id!r} is already claimed under {unit.code}",
                    "a test is paid once: correct or void one of the claims",
                )
            seen.add((unit.code, test_id))


def claim(statement: Statement, unit: Unit, claimed: Sequence[ClaimedUnit], tests: Sequence[Test]) -> ClaimedUnit:
    """The claim for `unit` of `statement`, to be kept beside those already `claimed`. Submits nothing.

    Args:
        statement: the statement that the unit stands in.
        unit: a unit that may be billed on the statement's as-of date.
        claimed: every claim made so far.
        tests: the tests that the statement was made from.

    Raises:
        BadValueError: the unit does not stand in the statement.
        DateOrderError: its earliest date of service has not come yet.
        DuplicateClaimError: one of its tests is claimed already.
    """
    if unit not in statement.units:
        raise BadValueError("unit", "it does not stand in this statement", "take it from a fresh statement")
    if unit.status == "complete_waiting":
        raise DateOrderError(
            "unit",
            f"its earliest date of service, {unit.billable_from}, has not come",
            "wait, or make a new statement",
        )
    made = ClaimedUnit(unit.tests, unit.billable_from, unit.code, unit.modifiers)
    check_claimed([*claimed, made], tests)
    return made
