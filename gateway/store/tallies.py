"""Everything the tally needs, patient by patient, in one ordered pass over each table; and whose tally is due.

Who is due follows the order in which facts were written, never the times of tests: late back-filled results come in
any order. The triggers that write `tally_change` stand in the schema, so nothing can be written past them.
"""

from __future__ import annotations

import datetime as dt
import itertools
import sqlite3
from collections.abc import Iterator, Sequence, Set
from operator import itemgetter
from typing import Any, Final, NamedTuple, cast

from gateway.reporting.units.model import ClaimedUnit, Code
from gateway.store.documents import Effective
from gateway.store.tested import Enrolled, Tested

__all__ = [
    "STATEMENTS",
    "Computed",
    "Known",
    "astray",
    "changed",
    "computed",
    "every_computed",
    "forget",
    "known",
    "last_change",
    "renew",
    "tested",
    "write",
]


class Known(NamedTuple):
    """What the store knows of one patient, as `gateway.reporting.statements.Facts` wants it, papers unread."""

    patient_id: str
    enrolled: Enrolled | None
    zones: list[tuple[str, str]]
    papers: list[Effective]
    tested: list[Tested]
    claimed: tuple[ClaimedUnit, ...]
    frozen: dict[str, str]


class Computed(NamedTuple):
    """The last tally of a patient: for which day, from every change up to `sequence`, with which outcome."""

    patient_id: str
    as_of: str
    sequence: int
    sha256: str


# Each statement gives the patient first and is ordered by the patient; {one} restricts it to a single one.

_ENROLLED: Final = """
SELECT e.patient_id, e.payer, e.mac, e.diagnosis, e.valve_type, e.anticoagulant, e.warfarin_start, e.training_date,
       e.training_documented, e.order_signed_on, e.order_expires_on
  FROM enrollment e
 WHERE {one} NOT EXISTS (SELECT 1 FROM enrollment n WHERE n.patient_id = e.patient_id AND n.id > e.id)
 ORDER BY e.patient_id
"""

_ZONES: Final = (
    "SELECT patient_id, from_date, zone FROM patient_zone e WHERE {one} 1 ORDER BY patient_id, from_date"
)

_PAPERS: Final = """
SELECT e.patient_id, e.id, e.kind, e.body, coalesce(r.merged_into, e.result_id)
  FROM document e LEFT JOIN result r ON r.id = e.result_id
 WHERE {one} e.voids = 0 AND NOT EXISTS (SELECT 1 FROM document n WHERE n.supersedes = e.id)
 ORDER BY e.patient_id, e.id
"""

# A result that went from one patient to another has a retracted version for the first: a claim may hold it there.
_TESTED: Final = """
SELECT e.patient_id, e.result_id, e.kind, e.inr, e.taken_at, e.origin, 0, e.sent_at, e.accepted_at, e.meter_key,
       e.status, e.version, e.by_hand
  FROM tally_test e
 WHERE {one} 1
 ORDER BY e.patient_id, e.taken_at, e.result_id, e.version
"""

# Controls and errors belong to a meter, not to a person; they stand in the statement of whoever had the meter then.
_RUNS: Final = """
SELECT DISTINCT e.patient_id, r.id, r.kind, r.inr, r.device_time, '', 0, NULL, NULL, r.meter_key, '', 0, 0
  FROM assignment e JOIN result r ON r.meter_key = e.meter_key AND r.kind <> 'patient'
 WHERE {one} r.device_time <> '' AND r.merged_into IS NULL
   AND substr(e.from_at, 1, 10) <= substr(r.device_time, 1, 10)
   AND (e.to_at IS NULL OR substr(r.device_time, 1, 10) < substr(e.to_at, 1, 10))
   AND NOT EXISTS (SELECT 1 FROM version v WHERE v.result_id = r.id AND v.patient_id = e.patient_id)
 ORDER BY e.patient_id, r.device_time, r.id
"""

_CLAIMED: Final = """
SELECT e.patient_id, e.id, e.dos, e.code, e.modifiers, t.test_id, t.taken_at
  FROM claim e JOIN claim_test t ON t.claim_id = e.id
 WHERE {one} t.standing = 1
 ORDER BY e.patient_id, e.dos, e.id, t.place
"""

STATEMENTS: Final = tuple(each.format(one="") for each in (_ENROLLED, _ZONES, _PAPERS, _TESTED, _RUNS, _CLAIMED))
"""What one pass over all patients reads, each ordered by the patient."""


def known(database: sqlite3.Connection, patient_id: str | None = None) -> Iterator[Known]:
    """Every patient of whom an enrollment, a document or a claim says something, by id; or this one in any case.

    In memory are one row of each table, one patient, and which results wait for a person. To be read inside one
    transaction.
    """
    zones = _Rows(database, _ZONES, patient_id)
    tests = _Rows(database, _TESTED, patient_id)
    runs = _Rows(database, _RUNS, patient_id)
    claimed = _Rows(database, _CLAIMED, patient_id)
    held = _held(database, patient_id)
    enrolled, papers = _Rows(database, _ENROLLED, patient_id), _Rows(database, _PAPERS, patient_id)
    for patient in _patients(enrolled, papers, claimed) if patient_id is None else (patient_id,):
        row = enrolled.of(patient)
        units, frozen = _claimed(claimed.of(patient))
        yield Known(
            patient,
            Enrolled._make(row[-1][1:])._replace(training_documented=bool(row[-1][8])) if row else None,
            [(each[1], each[2]) for each in zones.of(patient)],
            [Effective(*each[1:]) for each in papers.of(patient)],
            _tests(tests.of(patient), runs.of(patient), held),
            units,
            frozen,
        )


def tested(database: sqlite3.Connection, patient_id: str) -> list[Tested]:
    """The tests of a patient in the order of their times, then control runs and errors of the patient's meters."""
    tests, runs = _Rows(database, _TESTED, patient_id), _Rows(database, _RUNS, patient_id)
    return _tests(tests.of(patient_id), runs.of(patient_id), _held(database, patient_id))


def _patients(*of: _Rows) -> Iterator[str]:
    """The next patient of any of these, again and again. Whoever asks takes that patient's rows in between."""
    while heads := [rows.head for rows in of if rows.head is not None]:
        yield min(heads)


class _Rows:
    """The rows of one statement, taken patient by patient."""

    __slots__ = ("_groups", "_next")

    def __init__(self, database: sqlite3.Connection, statement: str, patient_id: str | None) -> None:
        one = "" if patient_id is None else "e.patient_id = ? AND"
        cursor = database.cursor()
        cursor.row_factory = None  # plain tuples: half the time of rows with names
        cursor.execute(statement.format(one=one), () if patient_id is None else (patient_id,))
        self._groups: Iterator[tuple[str, Iterator[Sequence[Any]]]] = itertools.groupby(cursor, key=itemgetter(0))
        self._next = next(self._groups, None)

    @property
    def head(self) -> str | None:
        """The patient of the next row."""
        return None if self._next is None else self._next[0]

    def of(self, patient: str) -> list[Sequence[Any]]:
        """The rows of this patient. Those of patients before are passed over: nothing says who they are."""
        while self._next is not None and self._next[0] < patient:
            self._next = next(self._groups, None)
        if self._next is None or self._next[0] != patient:
            return []
        rows = list(self._next[1])
        self._next = next(self._groups, None)
        return rows


_made = tuple.__new__
"""`Tested._make` without its look at the length: a nightly pass makes millions."""


def _tests(rows: Sequence[Sequence[Any]], runs: Sequence[Sequence[Any]], held: Set[int]) -> list[Tested]:
    """The newest version of each test, in the place where that one stands; then control runs and errors."""
    tests = [_made(Tested, row[1:]) for row in rows]
    newest = {test.result_id: test.version for test in tests}
    if len(newest) < len(tests):
        for test in tests:
            newest[test.result_id] = max(newest[test.result_id], test.version)
        tests = [test for test in tests if test.version == newest[test.result_id]]
    if held and not held.isdisjoint(newest):
        tests = [test._replace(held=True) if test.result_id in held else test for test in tests]
    return tests + [Tested._make(row[1:]) for row in runs] if runs else tests


def _held(database: sqlite3.Connection, patient_id: str | None) -> Set[int]:
    """Results that wait for a person, and those that one has dismissed: neither is reported or counted."""
    rows = database.execute(
        "SELECT DISTINCT q.result_id FROM quarantine q"
        " WHERE (q.closed_at IS NULL OR q.action = 'dismissed') AND q.result_id IS NOT NULL"
        if patient_id is None
        else "SELECT q.result_id FROM version e JOIN quarantine q ON q.result_id = e.result_id"
        " AND (q.closed_at IS NULL OR q.action = 'dismissed') WHERE e.patient_id = ?",
        () if patient_id is None else (patient_id,),
    )
    return {row[0] for row in rows}


def _claimed(rows: Sequence[Sequence[Any]]) -> tuple[tuple[ClaimedUnit, ...], dict[str, str]]:
    if not rows:
        return (), {}
    units = [
        ClaimedUnit(
            tuple(row[5] for row in tests), dt.date.fromisoformat(dos), cast("Code", code), tuple(modifiers.split())
        )
        for (_, dos, code, modifiers), tests in (
            (key, list(group)) for key, group in itertools.groupby(rows, key=lambda row: tuple(row[1:5]))
        )
    ]
    return tuple(units), {row[5]: row[6] for row in rows}


# ---------------------------------------------------------------- the tests, kept side by side


def astray(database: sqlite3.Connection) -> list[int]:
    """Results of which `tally_test` says something else than the tables it is made from, by number.

    There is none, unless somebody wrote past the schema's triggers.
    """
    rows = database.execute(
        "SELECT DISTINCT n.result_id FROM tally_test_now n LEFT JOIN tally_test t"
        " ON t.patient_id = n.patient_id AND t.taken_at = n.taken_at AND t.result_id = n.result_id"
        " AND t.version = n.version"
        " WHERE (t.kind, t.inr, t.meter_key, t.origin, t.status, t.sent_at, t.accepted_at, t.by_hand)"
        " IS NOT (n.kind, n.inr, n.meter_key, n.origin, n.status, n.sent_at, n.accepted_at, n.by_hand)"
        " ORDER BY n.result_id"
    )
    return [row[0] for row in rows]


def renew(database: sqlite3.Connection, results: Sequence[int]) -> None:
    """Look these results up anew; their patients are due."""
    database.executemany(
        "INSERT OR REPLACE INTO tally_test SELECT * FROM tally_test_now WHERE result_id = ?",
        [(result,) for result in results],
    )


# ---------------------------------------------------------------- whose tally is due


def last_change(database: sqlite3.Connection) -> int:
    """Number of the last change; 0 before the first. Numbers never come again."""
    row = database.execute("SELECT seq FROM sqlite_sequence WHERE name = 'tally_change'").fetchone()
    return 0 if row is None else int(row[0])


def changed(database: sqlite3.Connection, up_to: int) -> list[str]:
    """Patients about whom something was written that no tally has seen, in the order of the writing."""
    rows = database.execute(
        "SELECT c.patient_id FROM tally_change c LEFT JOIN tally t ON t.patient_id = c.patient_id"
        " WHERE c.sequence <= ? AND (t.sequence IS NULL OR t.sequence < c.sequence)"
        " GROUP BY c.patient_id ORDER BY min(c.sequence)",
        (up_to,),
    )
    return [row[0] for row in rows]


def forget(database: sqlite3.Connection, up_to: int) -> None:
    """Take away the changes that every tally has seen."""
    database.execute("DELETE FROM tally_change WHERE sequence <= ?", (up_to,))


def computed(database: sqlite3.Connection, patient_id: str) -> Computed | None:
    """The last tally of a patient, or None."""
    row = database.execute(
        "SELECT patient_id, as_of, sequence, sha256 FROM tally WHERE patient_id = ?", (patient_id,)
    ).fetchone()
    return None if row is None else Computed(*row)


def every_computed(database: sqlite3.Connection) -> Iterator[Computed]:
    """The last tally of every patient, by id."""
    cursor = database.cursor()
    cursor.row_factory = None
    for row in cursor.execute("SELECT patient_id, as_of, sequence, sha256 FROM tally ORDER BY patient_id"):
        yield Computed(*row)


def write(database: sqlite3.Connection, tallies: Sequence[Computed], at: str) -> None:
    """Keep tallies, unless one made from later changes is there already."""
    database.executemany(
        "INSERT INTO tally (patient_id, as_of, sequence, sha256, computed_at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (patient_id) DO UPDATE SET as_of = excluded.as_of, sequence = excluded.sequence,"
        " sha256 = excluded.sha256, computed_at = excluded.computed_at WHERE excluded.sequence >= tally.sequence",
        [(*each, at) for each in tallies],
    )
