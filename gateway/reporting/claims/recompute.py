"""Tallies kept up to date: of the patients about whom something was written, or of all of them.

Both make the statements of one patient by the same pure function from rows that are read by the same queries; the
full pass reads them in the order of the patients, the small one a patient at a time.
"""

from __future__ import annotations

import datetime as dt
import gc
import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from gateway.clock import utc
from gateway.database import transaction
from gateway.reporting.claims.tallied import Refused, Tallied, tallies_of
from gateway.reporting.facts import Facts, every_facts, facts_of
from gateway.reporting.units import Statement
from gateway.store import tallies
from gateway.store.opening import Role

__all__ = ["Recomputed", "outcome", "recompute", "renew_tests", "update"]

BATCH: Final = 500


class Recomputed(NamedTuple):
    """What a pass did.

    Attributes:
        patients: how many were tallied.
        refused: of how many no statement can be made.
        different: those whose kept tally for the same day, with no change waiting, says something else.
    """

    patients: int
    refused: int
    different: tuple[str, ...] = ()


def update(database: sqlite3.Connection, as_of: dt.date, role: Role, at: dt.datetime) -> Recomputed:
    """Tally the patients about whom something was written since their last tally, in the order of the writing.

    Args:
        database: the store.
        as_of: day of the tallies.
        role: of the store.
        at: now.
    """
    up_to = tallies.last_change(database)
    patients = tallies.changed(database, up_to)
    refused = 0
    for start in range(0, len(patients) or 1, BATCH):
        with transaction(database):
            seen = tallies.last_change(database)
            rows = []
            for patient in patients[start : start + BATCH]:
                sha256, failed = outcome(facts_of(database, patient), as_of, role)
                refused += failed
                rows.append(tallies.Computed(patient, as_of.isoformat(), seen, sha256))
            tallies.write(database, rows, utc(at))
            if start + BATCH >= len(patients):
                tallies.forget(database, up_to)
    return Recomputed(len(patients), refused)


def recompute(
    reader: sqlite3.Connection, writer: sqlite3.Connection, as_of: dt.date, role: Role, at: dt.datetime
) -> Recomputed:
    """Tally every patient in one ordered pass over each table, in constant memory, and keep what came out.

    Args:
        reader: a connection to the store that sees one moment of it throughout.
        writer: another one, which writes in between.
        as_of: day of the tallies.
        role: of the store.
        at: now.
    """
    patients = refused = 0
    different: list[str] = []
    rows: list[tallies.Computed] = []
    with _one_moment(reader), _nothing_circular():
        seen = tallies.last_change(reader)
        waiting = set(tallies.changed(reader, seen))
        kept = _Kept(reader)
        for facts in every_facts(reader):
            sha256, failed = outcome(facts, as_of, role)
            patients += 1
            refused += failed
            before = kept.of(facts.patient_id)
            if before is not None and facts.patient_id not in waiting and before.as_of == as_of.isoformat():
                if before.sha256 != sha256:
                    different.append(facts.patient_id)
                elif before.sequence == seen:
                    continue
            rows.append(tallies.Computed(facts.patient_id, as_of.isoformat(), seen, sha256))
            if len(rows) >= BATCH:
                _write(writer, rows, at)
    _write(writer, rows, at)
    with transaction(writer):
        tallies.forget(writer, seen)
    return Recomputed(patients, refused, tuple(different))


def renew_tests(reader: sqlite3.Connection, writer: sqlite3.Connection) -> int:
    """Compare the tests as they are kept for the tally with the reports and readings they were made from.

    Args:
        reader: a connection to the store.
        writer: another one, or the same.

    Returns:
        How many results were put right; their patients are due for a tally. 0, unless somebody wrote past the
        schema's triggers.
    """
    wrong = tallies.astray(reader)
    if wrong:
        with transaction(writer):
            tallies.renew(writer, wrong)
    return len(wrong)


def outcome(facts: Facts, as_of: dt.date, role: Role) -> tuple[str, bool]:
    """Digest of all statements of one patient, and whether one of them cannot be made."""
    failed = False
    digest = hashlib.sha256()
    for made in tallies_of(facts, as_of, role):
        failed = failed or isinstance(made, Refused)
        digest.update((fingerprint(made.statement) if isinstance(made, Tallied) else made.why).encode())
        digest.update(b"\n")
    return digest.hexdigest(), failed


def fingerprint(statement: Statement) -> str:
    """All that a statement says, in one line: different statements have different lines.

    Dates stand as ordinals: a text of numbers and names is made in a fraction of the time that dates take.
    """
    following = statement.next_eligible
    return repr(
        (
            statement.as_of.toordinal(),
            statement.service,
            statement.policy,
            [
                (
                    tests,
                    first.toordinal(),
                    last.toordinal(),
                    dos.toordinal(),
                    code,
                    modifiers,
                    status,
                    flags,
                    file_by.toordinal(),
                )
                for tests, first, last, dos, code, modifiers, status, flags, file_by in statement.units
            ],
            [tuple(each) for each in statement.not_covered],
            statement.pending,
            following.test_from and following.test_from.toordinal(),
            following.dos_from and following.dos_from.toordinal(),
            [week.toordinal() for week in statement.missed_weeks],
            statement.notices,
        )
    )


class _Kept:
    """Kept tallies, passed once in the order of the patients."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._rows = tallies.every_computed(database)
        self._next = next(self._rows, None)

    def of(self, patient: str) -> tallies.Computed | None:
        while self._next is not None and self._next.patient_id < patient:
            self._next = next(self._rows, None)
        found = self._next
        return found if found is not None and found.patient_id == patient else None


def _write(database: sqlite3.Connection, rows: list[tallies.Computed], at: dt.datetime) -> None:
    if rows:
        with transaction(database):
            tallies.write(database, rows, utc(at))
        rows.clear()


@contextmanager
def _nothing_circular() -> Iterator[None]:
    """The collector of circular garbage rests: a tally makes millions of tuples, no circle."""
    resting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if resting:
            gc.enable()


@contextmanager
def _one_moment(database: sqlite3.Connection) -> Iterator[None]:
    """A transaction that only reads: everything inside sees the store as it is at the first read."""
    database.execute("BEGIN")
    try:
        yield
    finally:
        database.execute("ROLLBACK")
