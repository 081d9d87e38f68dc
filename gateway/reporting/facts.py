"""Everything that the store knows of a patient's tests and papers: of one patient, or of all in one pass."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from gateway.reporting.documents.papers import Papers, papers_from
from gateway.reporting.units import ClaimedUnit
from gateway.store import tallies
from gateway.store.tested import Enrolled, Tested

__all__ = ["Facts", "every_facts", "facts_of"]

_NO_PAPERS = Papers({})


class Facts(NamedTuple):
    """Everything that the store knows of one patient.

    Attributes:
        enrolled: the registry's newest enrollment, or None.
        zones: history of the zone of record, oldest first.
        papers: the documents that hold.
        tested: tests, controls and errors.
        claimed: units that claims hold; `frozen` says when each of their tests was taken, as it was exported. The
            tally must know a claimed test even after its result was retracted or given to another patient.
    """

    patient_id: str
    enrolled: Enrolled | None
    zones: Sequence[tuple[str, str]]
    papers: Papers
    tested: Sequence[Tested]
    claimed: tuple[ClaimedUnit, ...]
    frozen: Mapping[str, str]


def facts_of(database: sqlite3.Connection, patient_id: str) -> Facts:
    """Everything that the store knows of one patient, whether or not anybody enrolled them."""
    return _facts(next(tallies.known(database, patient_id)))


def every_facts(database: sqlite3.Connection) -> Iterator[Facts]:
    """Every patient of whom an enrollment or a document says something, by id, in constant memory.

    To be read inside one transaction, so that all tables tell of one moment.
    """
    return map(_facts, tallies.known(database))


def _facts(known: tallies.Known) -> Facts:
    papers = papers_from(known.patient_id, known.papers) if known.papers else _NO_PAPERS
    return Facts(known.patient_id, known.enrolled, known.zones, papers, known.tested, known.claimed, known.frozen)
