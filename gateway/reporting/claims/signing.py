"""A named person signs one unit: its exact content, with every review flag accepted by name."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable, Iterable
from typing import NamedTuple

from gateway.database import transaction
from gateway.reporting.claims.errors import ClaimError
from gateway.reporting.claims.record import UnitRecord, unit_record
from gateway.reporting.claims.tallied import Tallied, periods_in, tallied
from gateway.reporting.documents.coverage import Period
from gateway.reporting.documents.eligibility import disagreement
from gateway.reporting.facts import Facts, facts_of
from gateway.reporting.units import Unit
from gateway.reporting.units.billers import BillerKind
from gateway.reporting.units.billers import obstacle as against_biller
from gateway.reporting.units.model import Code
from gateway.reporting.units.reasons import FLAG_WORDS
from gateway.store import claims as store
from gateway.store import decisions, epochs
from gateway.store.opening import Role

__all__ = [
    "FILING_LIMIT_PASSED",
    "Signed",
    "accepted",
    "flags_of",
    "may_bill",
    "named",
    "obstructed",
    "period_numbered",
    "reconciled",
    "sign",
    "sign_within",
    "unit_numbered",
]

FILING_LIMIT_PASSED = "FILING_LIMIT_PASSED"
"""Beside the tally's own review flags: the last day for the claim is over (42 CFR 424.44)."""
_WORDS = {**FLAG_WORDS, FILING_LIMIT_PASSED: "the last day for filing the claim is over: it will deny (CO-29)"}


class Signed(NamedTuple):
    """A signature.

    Attributes:
        again: this very content was signed already, and nothing was written.
        before: of a partial unit the numbers of whole units that are neither claimed nor signed: claimed after it,
            they would get later dates.
    """

    record: UnitRecord
    by: str
    at: str
    again: bool
    before: tuple[int, ...] = ()


def sign(
    database: sqlite3.Connection,
    patient_id: str,
    number: int,
    *,
    as_of: dt.date,
    role: Role,
    by: str,
    at: dt.datetime,
    accept: Iterable[str] = (),
    note: str = "",
    period: int | None = None,
    service: Code = "G0249",
    biller: BillerKind | None = None,
) -> Signed:
    """Sign the unit with this number in the patient's statement.

    Args:
        database: the store.
        patient_id: whose unit.
        number: from 1, in the order of the statement as of `as_of`.
        as_of: local day; the unit's earliest date of service must have come.
        role: of the store.
        by: who signs.
        at: now.
        accept: the review flags that the person accepts.
        note: why, in the person's words.
        period: number of the payer's period, from 1; None: the one in force on `as_of`.
        service: whose side: G0249 the supplier's, G0250 the physician's.
        biller: as what this house bills; None: nobody has said.

    Raises:
        ClaimError: nobody is named, this house cannot bill the code, the store awaits reconciliation, there is no
            such unit, it is claimed already, another claim holds one of its tests, the payer answered something
            else than is on record, its date has not come, or a flag is not accepted. Nothing has changed.
        StatementError: no statement can be made.
        UnitsError: a recorded fact cannot be used.
    """
    with transaction(database):
        return sign_within(
            database,
            patient_id,
            number,
            as_of=lambda _: as_of,
            role=role,
            by=by,
            at=at,
            accept=accept,
            note=note,
            period=period,
            service=service,
            biller=biller,
        )


def sign_within(
    database: sqlite3.Connection,
    patient_id: str,
    number: int,
    *,
    as_of: Callable[[Facts], dt.date],
    role: Role,
    by: str,
    at: dt.datetime,
    accept: Iterable[str] = (),
    note: str = "",
    period: int | None = None,
    service: Code = "G0249",
    biller: BillerKind | None = None,
) -> Signed:
    """As `sign`, as one part of an act with a transaction of its own; `as_of` gives the patient's day."""
    named(by)
    may_bill(f"patient {patient_id}, unit {number}", biller, service)
    reconciled(database)
    facts = facts_of(database, patient_id)
    day = as_of(facts)
    known = tallied(facts, day, role, period=period_numbered(facts, period), service=service)
    unit = unit_numbered(known, number)
    if unit.status == "claimed":
        holder = store.held_by(database, patient_id, unit.code, unit.tests)
        which = f" as {holder.id}" if holder else ""
        raise ClaimError(f"patient {patient_id}, unit {number}: it is claimed already{which}; void or replace that")
    if unit.status == "complete_waiting":
        raise ClaimError(
            f"patient {patient_id}, unit {number}: its earliest date of service is {unit.billable_from}, and "
            f"it is {day}; sign it from then on"
        )
    obstacle = obstructed(database, patient_id, unit)
    obstacle = obstacle or disagreement(facts.papers, periods_in(facts), day)
    if obstacle:
        raise ClaimError(f"patient {patient_id}, unit {number}: {obstacle}")
    flags = flags_of(unit, day)
    accepted(f"patient {patient_id}, unit {number}", flags, set(accept))
    record = unit_record(known, unit)
    standing = store.unused_sign_offs(database, patient_id)
    before = () if unit.is_full else _unsigned(known, {each.content_sha256 for each in standing})
    for earlier in standing:
        if earlier.content_sha256 == record.sha256 and set(flags) <= set(earlier.flags.split()):
            return Signed(record, earlier.by_name, earlier.at, again=True, before=before)
    made = store.sign(
        database,
        patient_id=patient_id,
        content=record.text(),
        content_sha256=record.sha256,
        flags=flags,
        as_of=day,
        by=by,
        at=at,
        note=note,
    )
    decisions.record(database, at, by, "sign", f"patient {patient_id} unit of {record.dos}", note)
    found = store.sign_off(database, made)
    return Signed(record, found.by_name, found.at, again=False, before=before)


def _unsigned(known: Tallied, signed: set[str]) -> tuple[int, ...]:
    """Numbers of the whole units that no claim holds and nobody has signed."""
    return tuple(
        number
        for number, unit in enumerate(known.statement.units, 1)
        if unit.is_full and unit.status != "claimed" and unit_record(known, unit).sha256 not in signed
    )


def obstructed(database: sqlite3.Connection, patient_id: str, unit: Unit) -> str:
    """Why no claim can be made of a unit that may be billed by its date: another claim holds a test of it; or ''.

    So it is where a payer's period turned out to be another than when the claim was made, where a test has gone
    from one patient to another since, and where two results turned out to be one test.
    """
    holder = store.in_the_way(database, patient_id, unit.code, unit.tests)
    if holder is None:
        return ""
    whose = "" if holder.patient_id == patient_id else f" of patient {holder.patient_id}"
    return f"claim {holder.id}{whose} holds a test of it; a test is paid once: void or replace that claim first"


def flags_of(unit: Unit, as_of: dt.date) -> tuple[str, ...]:
    """What a person must accept by name before the unit is signed."""
    late = (FILING_LIMIT_PASSED,) if as_of > unit.file_by else ()
    return tuple(sorted({*unit.review_flags, *late}))


def unit_numbered(known: Tallied, number: int) -> Unit:
    """The unit with this number, from 1.

    Raises:
        ClaimError: there is none.
    """
    units = known.statement.units
    if not 1 <= number <= len(units):
        raise ClaimError(
            f"patient {known.patient_id}: there is no unit {number} as of {known.statement.as_of}; the statement "
            f"has {len(units)}: 'inr-gateway units statement {known.patient_id}' lists them"
        )
    return units[number - 1]


def period_numbered(facts: Facts, number: int | None) -> Period | None:
    """The payer's period with this number, from 1; None stays None.

    Raises:
        ClaimError: there is none.
    """
    if number is None:
        return None
    found = periods_in(facts)
    if not 1 <= number <= len(found):
        raise ClaimError(f"patient {facts.patient_id}: there is no period {number}, there are {len(found)}")
    return found[number - 1]


def named(by: str) -> None:
    """Refuse an act of nobody.

    Raises:
        ClaimError: the name is blank.
    """
    if not by.strip():
        raise ClaimError("--by: the name is blank; say who decides this")


def may_bill(what: str, biller: BillerKind | None, code: Code) -> None:
    """Refuse what this house cannot bill.

    Raises:
        ClaimError: by its kind it cannot bill this code.
    """
    why = against_biller(biller, code)
    if why:
        raise ClaimError(f"{what}: {why}")


def reconciled(database: sqlite3.Connection) -> None:
    """Refuse everything that leaves the house from a restored store.

    Raises:
        ClaimError: the store was restored, and nobody has stated that the hubs have filled the gap.
    """
    if not epochs.may_deliver(database):
        raise ClaimError(
            "the store was restored from a backup and awaits reconciliation: claims of the lost time may be "
            "missing; check them against what was exported, then 'inr-gateway server reconcile --by NAME'"
        )


def accepted(what: str, flags: tuple[str, ...], accept: set[str]) -> None:
    """Refuse unless exactly the flags of the unit called `what` are accepted by name.

    Raises:
        ClaimError: a flag is not accepted, does not exist, or the unit does not carry it.
    """
    unknown = accept - set(_WORDS)
    if unknown:
        raise ClaimError(f"--accept {min(unknown)}: no such flag; the flags are {', '.join(sorted(_WORDS))}")
    missing = [flag for flag in flags if flag not in accept]
    if missing:
        options = " ".join(f"--accept {flag}" for flag in missing)
        words = "\n".join(f"  {flag}: {_WORDS[flag]}" for flag in missing)
        raise ClaimError(f"{what} is on hold; look at each flag, then add {options}\n{words}")
    strange = accept - set(flags)
    if strange:
        raise ClaimError(f"{what} does not carry {min(strange)}; leave that out")
