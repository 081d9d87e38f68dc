"""The physician's side beside the supplier's (rule R32): a practice counts reviews, a supplier reports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from gateway.reporting.units.model import TESTS_PER_UNIT
from gateway.reporting.worklists.book import Entry

__all__ = ["Practice", "practices"]


class Practice(NamedTuple):
    """One patient of one practice.

    Attributes:
        units: units of G0250 so far, claimed ones among them; `pending` reviewed tests toward the next one.
        to_review: results that count otherwise and wait for the practitioner's review.
        supplier_units: units of G0249 so far; `supplier_pending` tests toward the next one.
    """

    practice: str
    patient: str
    units: int
    pending: str
    to_review: int
    supplier_units: int
    supplier_pending: str


def practices(
    supplier: Iterable[Entry], physician: Iterable[Entry], treating: Callable[[Entry], Sequence[str]]
) -> list[Practice]:
    """Patients with tests by practice, those next to a unit first.

    Args:
        supplier: all patients, tallied for G0249.
        physician: the same patients in the same order, tallied for G0250.
        treating: names of the practices that treat a patient.
    """
    found = []
    for ours, theirs in zip(supplier, physician, strict=True):
        waiting = sum(
            each.reason == "NOT_REVIEWED" for tallied in theirs.tallies for each in tallied.statement.not_covered
        )
        units, pending = _counts(theirs)
        our_units, our_pending = _counts(ours)
        if not (waiting or units or pending or our_units or our_pending):
            continue
        found += [
            Practice(practice, ours.patient_id, units, _of(pending), waiting, our_units, _of(our_pending))
            for practice in treating(ours) or [""]
        ]
    return sorted(found, key=lambda row: (row.practice, -int(row.pending[0]), row.patient))


def _counts(entry: Entry) -> tuple[int, int]:
    """Units under all payers, and pending tests under the present one."""
    pending = 0 if entry.current is None else len(entry.current.statement.pending)
    return sum(len(tallied.statement.units) for tallied in entry.tallies), pending


def _of(pending: int) -> str:
    return f"{pending} of {TESTS_PER_UNIT}"
