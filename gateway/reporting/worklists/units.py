"""Lists of units: ready to bill, held, at the end of the service, and their filing limits."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from gateway.reporting.claims.causes import CAUSES
from gateway.reporting.claims.signing import FILING_LIMIT_PASSED, flags_of
from gateway.reporting.claims.tallied import Tallied
from gateway.reporting.units import Test, Unit
from gateway.reporting.units.claim_text import claim_text
from gateway.reporting.units.eligibility import EndOfService, end_of_service
from gateway.reporting.units.reasons import FLAG_WORDS, WORDS
from gateway.reporting.worklists.book import Entry

__all__ = ["Ending", "Filing", "Held", "Ready", "ending", "filing", "held", "ready"]

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


class Ready(NamedTuple):
    """A unit that may be billed today: nothing holds it, or a named person has accepted what does."""

    patient: str
    period: int
    unit: int
    code: str
    date_of_service: dt.date
    tests: str
    received: str
    file_by: dt.date
    days_left: int
    flags: str
    signed_by: str


class Held(NamedTuple):
    """Something that a person must look at before it can be billed.

    Attributes:
        what: ``unit N``, ``claim ID``, ``test N`` or ``patient``.
        reason: code; `words` says it plainly.
    """

    patient: str
    period: int
    what: str
    date: dt.date | None
    reason: str
    words: str


class Ending(NamedTuple):
    """A service that has ended, and what is left to bill of it."""

    patient: str
    period: int
    event: str
    on: dt.date
    last_covered: dt.date | None
    unit: int | None
    tests: int
    modifiers: str
    date_of_service: dt.date | None
    file_by: dt.date | None
    flags: str
    words: str


class Filing(NamedTuple):
    """A unit or a denied claim, and how long it may still be filed (rule R31)."""

    patient: str
    period: int
    what: str
    date_of_service: dt.date
    file_by: dt.date
    days_left: int
    words: str


def ready(book: Iterable[Entry]) -> list[Ready]:
    """Units to be signed and exported, those that must be filed first on top."""
    found = []
    for entry, tallied, number, unit in _billable(book):
        flags = flags_of(unit, entry.as_of)
        signer = entry.signer(tallied, unit)
        if flags and not signer:
            continue
        tests = tallied.tests()
        days = [tallied.day_of(tests[test].taken_at) for test in unit.tests]
        received = [
            tallied.day_of(at) for test in unit.tests if (at := _evidence(tallied, tests[test])) is not None
        ]
        found.append(
            Ready(
                entry.patient_id,
                tallied.number,
                number,
                "-".join([unit.code, *unit.modifiers]),
                unit.billable_from,
                " ".join(map(str, days)),
                " ".join(map(str, received)),
                unit.file_by,
                (unit.file_by - entry.as_of).days,
                " ".join(flags),
                signer,
            )
        )
    return sorted(found, key=lambda row: (row.file_by, row.patient, row.unit))


def held(book: Iterable[Entry]) -> list[Held]:
    """What waits for a person, by patient: flags of units, denied claims, tests that a paper might mend."""
    found: list[Held] = []
    for entry in book:
        found += [Held(entry.patient_id, 0, "patient", None, "NO_STATEMENT", each.why) for each in entry.refused]
        for denied in entry.denied:
            words = f"denied {denied.posted_on} ({denied.codes}): {CAUSES[denied.cause or 'other'].words}"
            found.append(Held(entry.patient_id, 0, f"claim {denied.claim_id}", denied.dos, denied.cause, words))
        for tallied in entry.tallies:
            found += _held_units(entry, tallied)
            found += _held_tests(entry, tallied)
    return found


def ending(book: Iterable[Entry]) -> list[Ending]:
    """Ended services: the units left, a partial one with its words, or that there is nothing to claim (R23–R25)."""
    found = []
    for entry in book:
        for tallied in entry.tallies:
            end = end_of_service(tallied.inputs.events, entry.as_of.toordinal())
            if end is None:
                continue
            units = [
                (number, unit) for number, unit in enumerate(tallied.statement.units, 1) if unit.status != "claimed"
            ]
            found += [_ending(entry, tallied, end, number, unit) for number, unit in units] or [
                _ending(entry, tallied, end, None, None)
            ]
    return sorted(found, key=lambda row: (row.on, row.patient, row.unit or 0))


def filing(book: Iterable[Entry], within_days: int) -> list[Filing]:
    """Unclaimed complete units and denied claims whose last day comes within so many days, or is over."""
    found = []
    for entry in book:
        for tallied in entry.tallies:
            for number, unit in enumerate(tallied.statement.units, 1):
                left = (unit.file_by - entry.as_of).days
                if unit.status != "claimed" and left <= within_days:
                    found.append(
                        Filing(
                            entry.patient_id,
                            tallied.number,
                            f"unit {number}",
                            unit.billable_from,
                            unit.file_by,
                            left,
                            "too late: it will deny (CO-29)" if left < 0 else "not exported",
                        )
                    )
        for denied in entry.denied:
            left = (denied.file_by - entry.as_of).days
            if left <= within_days:
                what = f"claim {denied.claim_id}"
                words = f"denied: {denied.cause}"
                found.append(Filing(entry.patient_id, 0, what, denied.dos, denied.file_by, left, words))
    return sorted(found, key=lambda row: (row.days_left, row.patient, row.what))


def _billable(book: Iterable[Entry]) -> Iterator[tuple[Entry, Tallied, int, Unit]]:
    for entry in book:
        for tallied in entry.tallies:
            for number, unit in enumerate(tallied.statement.units, 1):
                if unit.status == "billable":
                    yield entry, tallied, number, unit


def _evidence(tallied: Tallied, test: Test) -> dt.datetime | None:
    if tallied.policy.service == "G0250":
        return test.reviewed_at
    return test.reported_at if tallied.policy.report_evidence == "transmitted" else test.acknowledged_at


def _held_units(entry: Entry, tallied: Tallied) -> Iterator[Held]:
    for number, unit in enumerate(tallied.statement.units, 1):
        flags = unit.review_flags if unit.status == "claimed" else flags_of(unit, entry.as_of)
        if not flags or (unit.status == "billable" and entry.signer(tallied, unit)):
            continue
        for flag in flags:
            words = "the last day for filing is over (CO-29)" if flag == FILING_LIMIT_PASSED else FLAG_WORDS[flag]
            yield Held(entry.patient_id, tallied.number, f"unit {number}", unit.billable_from, flag, words)


def _held_tests(entry: Entry, tallied: Tallied) -> Iterator[Held]:
    tests = tallied.tests()
    for refused in tallied.statement.not_covered:
        if refused.reason in OF_A_PERSON:
            day = tallied.day_of(tests[refused.test].taken_at)
            yield Held(
                entry.patient_id,
                tallied.number,
                f"test {refused.test}",
                day,
                refused.reason,
                WORDS[refused.reason],
            )


def _ending(entry: Entry, tallied: Tallied, end: EndOfService, number: int | None, unit: Unit | None) -> Ending:
    words = "nothing is left to claim"
    if unit is not None:
        text = claim_text(unit, 0, None if unit.is_full else end.type)
        words = text.item_19 or "a whole unit, without modifier 52"
    return Ending(
        entry.patient_id,
        tallied.number,
        end.type,
        dt.date.fromordinal(end.on),
        None if end.last_covered is None else dt.date.fromordinal(end.last_covered),
        number,
        0 if unit is None else len(unit.tests),
        "" if unit is None else " ".join(unit.modifiers),
        None if unit is None else unit.billable_from,
        None if unit is None else unit.file_by,
        "" if unit is None else " ".join(unit.review_flags),
        words,
    )
