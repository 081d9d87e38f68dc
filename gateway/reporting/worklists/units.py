"""Lists of units: ready to bill, and their filing limits."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gateway.reporting.claims.signing import flags_of
from gateway.reporting.claims.tallied import Tallied
from gateway.reporting.documents.eligibility import last_answer
from gateway.reporting.units import Test, Unit
from gateway.reporting.worklists.beside import paid_beside
from gateway.reporting.worklists.book import Entry

__all__ = ["Filing", "Ready", "filing", "ready"]


class Ready(NamedTuple):
    """A unit that may be billed today: nothing holds it, or a named person has accepted what does.

    Attributes:
        eligibility: day of the payer's newest answer about who covers the patient; None: nobody asked.
    """

    patient: str
    period: int
    payer: str
    unit: int
    code: str
    date_of_service: dt.date
    tests: str
    received: str
    file_by: dt.date
    days_left: int
    flags: str
    eligibility: dt.date | None
    signed_by: str


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
        if (flags and not signer) or entry.disagreement:
            continue
        if any(each == number for each, _ in paid_beside(entry, tallied)):
            continue
        answer = last_answer(entry.papers, entry.as_of)
        tests = tallied.tests()
        days = [tallied.day_of(tests[test].taken_at) for test in unit.tests]
        received = [
            tallied.day_of(at) for test in unit.tests if (at := _evidence(tallied, tests[test])) is not None
        ]
        found.append(
            Ready(
                entry.patient_id,
                tallied.number,
                " ".join(part for part in (tallied.period.payer, tallied.period.mac) if part),
                number,
                "-".join([unit.code, *unit.modifiers]),
                unit.billable_from,
                " ".join(map(str, days)),
                " ".join(map(str, received)),
                unit.file_by,
                (unit.file_by - entry.as_of).days,
                " ".join(flags),
                None if answer is None else answer.checked_on,
                signer,
            )
        )
    return sorted(found, key=lambda row: (row.file_by, row.patient, row.unit))


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
