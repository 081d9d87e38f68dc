"""From the store to a patient's statement of units: reads the facts, then calls the pure tally.

A patient whose payer changes has a period, and a tally, for each payer (rule R37). `statement_of` and `inputs_of`
speak of the period in force on the as-of date unless they are given another; `periods_of` names them all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from gateway.clock import moment
from gateway.reporting.documents import kinds
from gateway.reporting.documents.coverage import Period, events_of, in_force, periods
from gateway.reporting.documents.enrollment import enrollment_of
from gateway.reporting.documents.papers import Papers
from gateway.reporting.facts import Facts, facts_of
from gateway.reporting.policies import shipped_policies
from gateway.reporting.units import (
    ClaimedUnit,
    EarlyReason,
    Enrollment,
    Event,
    Policy,
    Statement,
    Test,
    ZoneChange,
    choose,
    earlier_versions,
    tally_versions,
)
from gateway.reporting.units.calendar import zones
from gateway.store import tested as store
from gateway.store.opening import Role

__all__ = [
    "Inputs",
    "StatementError",
    "assemble",
    "inputs_of",
    "periods_of",
    "policies_for",
    "statement_of",
    "tests_of",
]

UNCOUNTED_ORIGINS = ("simulator", "replay")


class StatementError(Exception):
    """No statement can be made; the message says what is missing and how to give it."""


class Inputs(NamedTuple):
    """What a tally is made from, in the order in which `tally` takes it; policy and date come to it."""

    enrollment: Enrollment
    tests: tuple[Test, ...]
    events: tuple[Event, ...]
    claimed: tuple[ClaimedUnit, ...]


def statement_of(
    database: sqlite3.Connection,
    patient_id: str,
    as_of: date,
    role: Role,
    *,
    trace: bool = False,
    period: Period | None = None,
) -> tuple[Statement, Policy]:
    """The tally of one patient as known at the end of a local day.

    Args:
        database: the store.
        patient_id: whose.
        as_of: local day of the patient.
        role: of the store.
        trace: whether every decision is noted.
        period: one of `periods_of`; None: the one in force on `as_of`.

    Raises:
        StatementError: the patient is not enrolled, or has no zone of record.
        UnitsError: a recorded fact cannot be used, or no policy is in force for the payer.
    """
    inputs = inputs_of(database, patient_id, as_of, role, period=period)
    versions = policies_for(inputs, as_of)
    return tally_versions(*inputs, versions, as_of, trace=trace), versions[-1]


def policies_for(inputs: Inputs, as_of: date) -> tuple[Policy, ...]:
    """The versions of the payer's shipped policy since the first test, oldest first.

    The last one is in force on the as-of date, or on the last day of a closed period. The one for a unit is that of
    its date of service.

    Raises:
        NoPolicyError: there is none, or more than one at a time.
    """
    ended = [event.date for event in inputs.events if event.type == "ma_transfer"]
    enrollment, book = inputs.enrollment, shipped_policies()
    last = choose(book, enrollment.payer, min([as_of, *ended]), enrollment.mac)
    # Tests stand in the order of their times; a claimed one that is the patient's no longer has its unit's date.
    days = [as_of, *(test.taken_at.date() for test in inputs.tests[:1]), *(unit.dos for unit in inputs.claimed)]
    first = min(days) - timedelta(days=1)  # the local day may be the one before
    if last.effective_from <= first:
        return (last,)
    return (*earlier_versions(book, last, enrollment.payer, enrollment.mac, first), last)


def inputs_of(
    database: sqlite3.Connection, patient_id: str, as_of: date, role: Role, *, period: Period | None = None
) -> Inputs:
    """What the tally of one patient is made from: for a statement, or to tally it under another policy.

    Args:
        database: the store.
        patient_id: whose.
        as_of: local day of the patient.
        role: of the store.
        period: one of `periods_of`; None: the one in force on `as_of`.

    Raises:
        StatementError: the patient is not enrolled, or has no zone of record.
    """
    return assemble(facts_of(database, patient_id), as_of, role, period=period)


def assemble(facts: Facts, as_of: date, role: Role, *, period: Period | None = None) -> Inputs:
    """Put together what the tally takes. Reads nothing: arguments and errors as for `inputs_of`."""
    papers, history = facts.papers, facts.zones
    recorded = _recorded(papers)
    found = _periods(papers, facts.enrolled, recorded)
    if not found:
        raise StatementError(
            f"patient {facts.patient_id} is not enrolled, or there is no such patient; import an enrollment, or "
            "add a document of kind coverage"
        )
    chosen = period or in_force(found, as_of)
    tests = _tests(facts, role)
    local = zones(history[0][1], tuple(ZoneChange(date.fromisoformat(day), name) for day, name in history))
    last_tested = as_of
    for test in reversed(tests):  # patient tests stand in the order of their times
        if test.kind == "patient" and not test.voided:
            day = date.fromordinal(local.day_of(test.taken_at))
            if day <= as_of and chosen.covers(day):
                last_tested = day
                break
    claimed = facts.claimed
    if claimed:
        days = {test.id: date.fromordinal(local.day_of(test.taken_at)) for test in tests}
        claimed = tuple(unit for unit in claimed if chosen.covers(max(days[test] for test in unit.tests)))
    return Inputs(
        enrollment_of(papers, facts.enrolled, history, chosen, last_tested),
        tuple(tests),
        events_of(chosen, recorded),
        claimed,
    )


def periods_of(database: sqlite3.Connection, patient_id: str) -> list[Period]:
    """The patient's payers' periods, oldest first; empty when nothing says who pays."""
    facts = facts_of(database, patient_id)
    return _periods(facts.papers, facts.enrolled, _recorded(facts.papers))


def tests_of(database: sqlite3.Connection, patient_id: str, role: Role) -> list[Test]:
    """The patient's tests as the tally sees them; ids are the numbers of results.

    A result in quarantine has no evidence until a named person decides. One that was retracted, or merged into
    another, is void. On a production store nothing that was simulated or replayed is a test at all.

    Raises:
        StatementError: the patient has no zone of record.
    """
    return _tests(facts_of(database, patient_id), role)


def _periods(papers: Papers, row: store.Enrolled | None, recorded: Sequence[Event]) -> list[Period]:
    coverages = papers.of(kinds.Coverage)
    if coverages:
        return periods(coverages, recorded)
    return [] if row is None else [Period(row.payer, row.mac)]


def _recorded(papers: Papers) -> list[Event]:
    return [Event(paper.type, paper.date) for paper in papers.of(kinds.Event)]


# ---------------------------------------------------------------- tests


class _OfResults(NamedTuple):
    """What papers say of single results."""

    reasons: dict[int, kinds.EarlyReason]
    extra_orders: dict[int, kinds.ExtraOrder]
    abns: dict[int, kinds.Abn]
    reviews: dict[int, kinds.Review]
    attestations: dict[int, kinds.Attestation]


def _tests(facts: Facts, role: Role) -> list[Test]:
    if not facts.zones:
        raise StatementError(f"patient {facts.patient_id} has no zone of record; import one (kind zones)")
    papers = facts.papers
    said = _OfResults(
        papers.by_result(kinds.EarlyReason),
        papers.by_result(kinds.ExtraOrder),
        papers.by_result(kinds.Abn),
        papers.by_result(kinds.Review),
        papers.by_result(kinds.Attestation),
    )
    rows = facts.tested
    if role != "rig":
        rows = [row for row in rows if row.origin not in UNCOUNTED_ORIGINS]
    tests = _plain(rows, facts.zones[0][1])
    if any(said):
        tests = [_with_papers(test, row, said) for test, row in zip(tests, rows, strict=True)]
    if facts.claimed:  # the tally must know every claimed test, also one that is the patient's no longer
        known = {test.id for test in tests}
        lost = sorted({test for unit in facts.claimed for test in unit.tests} - known)
        tests += [Test(test, "patient", "device", moment(facts.frozen[test]), voided=True) for test in lost]
    return tests


def _with_papers(test: Test, row: store.Tested, said: _OfResults) -> Test:
    number = row.result_id
    extra, abn, review = said.extra_orders.get(number), said.abns.get(number), said.reviews.get(number)
    return test._replace(
        reviewed_at=None if review is None or row.held else review.reviewed_at,
        attested=number in said.attestations,
        reason_early=_reason(said.reasons.get(number)),
        extra_order_signed_on=None if extra is None else extra.signed_on,
        abn_signed_at=None if abn is None else abn.signed_at,
    )


_instant = datetime.fromisoformat
_made = tuple.__new__
"""`Test(...)` without the argument parsing, which takes half the time: a nightly pass makes millions."""
_KINDS: dict[str, Literal["patient", "error"]] = {"patient": "patient", "error": "error"}


def _plain(rows: Iterable[store.Tested], zone: str) -> list[Test]:
    """Tests as they are when no paper speaks of them."""
    return [
        _made(
            Test,
            (
                str(number),
                _KINDS.get(kind, "control"),
                "manual" if by_hand else "device",
                _instant(taken_at) if taken_at[-1] == "Z" else _local(taken_at, zone),
                None if held or sent is None else _instant(sent),
                None if held or accepted is None else _instant(accepted),
                None,
                _number(inr),
                inr or None,
                meter,
                None if by_hand else number,
                False,
                f"{number}/{version - 1}" if status == "corrected" else None,
                status == "retracted",
                None,
                None,
                None,
            ),
        )
        for number, kind, inr, taken_at, _, held, sent, accepted, meter, status, version, by_hand in rows
    ]


def _reason(paper: kinds.EarlyReason | None) -> EarlyReason | None:
    if paper is None:
        return None
    return EarlyReason(paper.category, paper.text, paper.documented_at, paper.author, paper.weekly_test_moved)


def _local(text: str, zone: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


@lru_cache(maxsize=4096)
def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:  # beyond the measuring range, or no value
        return None
