"""What waits for a person: flags of units, claims denied or overtaken, tests that a paper might mend, payers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final, NamedTuple

from gateway.reporting.claims.causes import CAUSES
from gateway.reporting.claims.differences import differences
from gateway.reporting.claims.record import ClaimRecord
from gateway.reporting.claims.signing import FILING_LIMIT_PASSED, flags_of
from gateway.reporting.claims.tallied import Tallied
from gateway.reporting.documents.eligibility import last_answer
from gateway.reporting.units import Test, Unit
from gateway.reporting.units.reasons import FLAG_WORDS, WORDS
from gateway.reporting.worklists.beside import paid_beside
from gateway.reporting.worklists.book import Entry
from gateway.store.claims import STANDING

__all__ = ["Held", "held"]

OF_A_PERSON: Final = frozenset(
    {
        "DIAGNOSIS_NOT_COVERED",
        "NOT_ON_WARFARIN",
        "TRAINING_NOT_DOCUMENTED",
        "WARFARIN_LT_3_MONTHS",
        "NO_ACTIVE_ORDER",
        "MANUAL_UNVERIFIED",
    }
)
"""Reasons against a test that a paper on file might mend."""


class Held(NamedTuple):
    """Something that a person must look at before it can be billed.

    Attributes:
        what: ``unit N``, ``claim ID``, ``test N``, ``tests N …`` or ``patient``.
        reason: code; `words` says it plainly.
    """

    patient: str
    period: int
    what: str
    date: dt.date | None
    reason: str
    words: str


def held(book: Iterable[Entry]) -> list[Held]:
    """What waits for a person, by patient: flags of units, claims denied or overtaken, tests a paper might mend."""
    found: list[Held] = []
    for entry in book:
        found += [Held(entry.patient_id, 0, "patient", None, "NO_STATEMENT", each.why) for each in entry.refused]
        for denied in entry.denied:
            words = f"denied {denied.posted_on} ({denied.codes}): {CAUSES[denied.cause or 'other'].words}"
            found.append(Held(entry.patient_id, 0, f"claim {denied.claim_id}", denied.dos, denied.cause, words))
        found += _overtaken(entry)
        found += _about_payers(entry)
        for tallied in entry.tallies:
            found += _held_units(entry, tallied)
            found += _held_tests(entry, tallied)
            found += [
                Held(entry.patient_id, tallied.number, f"unit {number}", each.date, "PAID_BESIDE", each.words)
                for number, each in paid_beside(entry, tallied)
            ]
    return found


def _about_payers(entry: Entry) -> Iterator[Held]:
    """An answer that says otherwise than the record, and units left with a payer who pays no longer."""
    words, answer = entry.disagreement, last_answer(entry.papers, entry.as_of)
    if words and answer is not None:
        yield Held(entry.patient_id, 0, "patient", answer.checked_on, "ELIGIBILITY_DIFFERS", words)
    for before, after in pairwise(entry.tallies):
        closed = before.period.closed_on
        if closed is not None and any(unit.status != "claimed" for unit in before.statement.units):
            said = (
                f"{before.period.payer} pays until {closed - dt.timedelta(days=1)}, then {after.period.payer}: "
                f"make sure of the dates before what is left of period {before.number} is billed"
            )
            yield Held(entry.patient_id, before.number, "patient", closed, "PAYER_CHANGED", said)


def _held_units(entry: Entry, tallied: Tallied) -> Iterator[Held]:
    for number, unit in enumerate(tallied.statement.units, 1):
        claimed = unit.status == "claimed"
        flags = unit.review_flags if claimed else flags_of(unit, entry.as_of)
        if not flags or (unit.status == "billable" and entry.signer(tallied, unit)):
            continue
        what = _claim_of(entry, unit) if claimed else f"unit {number}"
        for flag in flags:
            words = "the last day for filing is over (CO-29)" if flag == FILING_LIMIT_PASSED else FLAG_WORDS[flag]
            yield Held(entry.patient_id, tallied.number, what, unit.billable_from, flag, words)


def _claim_of(entry: Entry, unit: Unit) -> str:
    for row in entry.claims():
        stands = row.state in STANDING and row.frequency != 8 and row.code == unit.code
        if stands and set(ClaimRecord.read(row.content).unit.test_ids) == set(unit.tests):
            return f"claim {row.id}"
    return f"unit of {unit.billable_from}"


def _overtaken(entry: Entry) -> Iterator[Held]:
    """Standing claims, but for those that void another, that say what is known otherwise now."""
    service = {tallied.policy.service for tallied in entry.tallies}
    for row in entry.claims():
        if row.code in service and row.state in STANDING and row.frequency != 8:
            words = differences(entry.tallies, ClaimRecord.read(row.content))
            if words:
                said = f"{'; '.join(words)}: replace or void it"
                dos = dt.date.fromisoformat(row.dos)
                yield Held(entry.patient_id, 0, f"claim {row.id}", dos, "CLAIM_OVERTAKEN", said)


def _held_tests(entry: Entry, tallied: Tallied) -> Iterator[Held]:
    """One line for each paper that is missing, however many tests it holds."""
    tests = tallied.tests()
    waiting: dict[str, list[Test]] = {}
    for refused in tallied.statement.not_covered:
        if refused.reason in OF_A_PERSON:
            waiting.setdefault(refused.reason, []).append(tests[refused.test])
    for reason, found in waiting.items():
        found.sort(key=lambda test: tallied.local.instant(test.taken_at))
        what = f"test{'s' if len(found) > 1 else ''} {' '.join(test.id for test in found)}"
        day = tallied.day_of(found[0].taken_at)
        yield Held(entry.patient_id, tallied.number, what, day, reason, WORDS[reason])
