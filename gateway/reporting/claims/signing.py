"""A named person signs one unit: its exact content, with every review flag accepted by name."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from gateway.database import transaction
from gateway.reporting.claims.errors import ClaimError
from gateway.reporting.claims.record import UnitRecord, unit_record
from gateway.reporting.claims.tallied import Tallied, periods_in, tallied
from gateway.reporting.documents.coverage import Period
from gateway.reporting.facts import Facts, facts_of
from gateway.reporting.units import Unit
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
    "named",
    "period_numbered",
    "reconciled",
    "sign",
    "unit_numbered",
]

FILING_LIMIT_PASSED = "FILING_LIMIT_PASSED"
"""Beside the tally's own review flags: the last day for the claim is over (42 CFR 424.44)."""
_WORDS = {**FLAG_WORDS, FILING_LIMIT_PASSED: "the last day for filing the claim is over: it will deny (CO-29)"}


class Signed(NamedTuple):
    """A signature. `again`: this very content was signed already, and nothing was written."""

    record: UnitRecord
    by: str
    at: str
    again: bool


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

    Raises:
        ClaimError: nobody is named, the store awaits reconciliation, there is no such unit, it is claimed already,
            its date has not come, or a flag is not accepted. Nothing has changed.
        StatementError: no statement can be made.
        UnitsError: a recorded fact cannot be used.
    """
    named(by)
    with transaction(database):
        reconciled(database)
        facts = facts_of(database, patient_id)
        known = tallied(facts, as_of, role, period=period_numbered(facts, period), service=service)
        unit = unit_numbered(known, number)
        if unit.status == "claimed":
            holder = store.held_by(database, patient_id, unit.code, unit.tests)
            which = f" as {holder.id}" if holder else ""
            raise ClaimError(
                f"patient {patient_id}, unit {number}: it is claimed already{which}; void or replace that"
            )
        if unit.status == "complete_waiting":
            raise ClaimError(
                f"patient {patient_id}, unit {number}: its earliest date of service is {unit.billable_from}, and "
                f"it is {as_of}; sign it from then on"
            )
        flags = flags_of(unit, as_of)
        accepted(f"patient {patient_id}, unit {number}", flags, set(accept))
        record = unit_record(known, unit)
        for earlier in store.unused_sign_offs(database, patient_id):
            if earlier.content_sha256 == record.sha256 and set(flags) <= set(earlier.flags.split()):
                return Signed(record, earlier.by_name, earlier.at, again=True)
        store.sign(
            database,
            patient_id=patient_id,
            content=record.text(),
            content_sha256=record.sha256,
            flags=flags,
            as_of=as_of,
            by=by,
            at=at,
            note=note,
        )
        decisions.record(database, at, by, "sign", f"patient {patient_id} unit of {record.dos}", note)
        found = store.unused_sign_offs(database, patient_id)[-1]
    return Signed(record, found.by_name, found.at, again=False)


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
