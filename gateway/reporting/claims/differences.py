"""A standing claim beside what is known now. It never changes by itself: a person must hear what speaks against it.

That a test no longer counts is a flag of the claimed unit itself (`CLAIMED_TEST_INVALIDATED`). Here is what leaves
all tests counting and makes the claim wrong all the same.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

from gateway.reporting.claims.record import ClaimRecord
from gateway.reporting.claims.tallied import Tallied
from gateway.reporting.units.diagnoses import icd10
from gateway.reporting.units.eligibility import end_of_service

__all__ = ["differences"]


def differences(tallies: Sequence[Tallied], claim: ClaimRecord) -> list[str]:
    """What the claim says and is known otherwise now, in words; nothing where it stands as it was made.

    Args:
        tallies: of each of the patient's payers' periods, for the service of the claim.
        claim: one that holds its tests.
    """
    tests = set(claim.unit.test_ids)
    for known in tallies:
        if any(unit.code == claim.unit.code and set(unit.tests) == tests for unit in known.inputs.claimed):
            return list(_in(known, claim))
    return ["no payer's time of today holds its last test"]


def _in(known: Tallied, claim: ClaimRecord) -> Iterator[str]:
    unit, enrollment = claim.unit, known.inputs.enrollment
    if (unit.payer, unit.mac) != (enrollment.payer, enrollment.mac):
        yield f"it was made for {_named(unit.payer, unit.mac)}, and {_named(enrollment.payer, enrollment.mac)} pays"
    tests = known.tests()
    for test in unit.tests:
        now = tests[test.id]
        day = known.day_of(now.taken_at).isoformat()
        if not now.voided and day != test.day:
            yield f"test {test.id} was claimed as of {test.day}, and was taken on {day}"
    end = end_of_service(known.inputs.events, known.statement.as_of.toordinal())
    dos = dt.date.fromisoformat(unit.dos)
    if end is not None and end.last_covered is not None and dos.toordinal() > end.last_covered:
        last_covered = dt.date.fromordinal(end.last_covered)
        yield f"its date of service {unit.dos} lies after the last covered day, {last_covered}"
    if unit.ended_by is not None and (end is None or end.type != unit.ended_by):
        yield f"it was claimed in part because of the event {unit.ended_by}, which is not on record any more"
    codes = {icd10(code, "diagnosis") for code in enrollment.diagnosis}
    for code in unit.diagnosis[: unit.covered]:
        if code not in codes:
            yield f"it names the diagnosis {code}, which is not on record any more"


def _named(payer: str, mac: str | None) -> str:
    return " ".join(part for part in (payer, mac) if part)
