"""Void and replacement of a claim (frequency codes 8 and 7), when a result was corrected or withdrawn after it.

A claim is never rebuilt in silence (rules R13, R22): a named person voids it, or replaces it by a unit that the
same person signs.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterable

from gateway.clock import utc
from gateway.database import transaction
from gateway.reporting.claims.errors import ClaimError
from gateway.reporting.claims.exporting import freeze_claim, keep
from gateway.reporting.claims.orderer import ordered_by
from gateway.reporting.claims.prices import Prices
from gateway.reporting.claims.record import ClaimRecord, UnitRecord, claim_id, unit_record
from gateway.reporting.claims.signing import accepted, flags_of, may_bill, named, reconciled
from gateway.reporting.claims.tallied import Refused, Tallied, tallies_of, without
from gateway.reporting.documents.papers import papers_of
from gateway.reporting.facts import facts_of
from gateway.reporting.units import Unit
from gateway.reporting.units.billers import BillerKind
from gateway.store import claims as store
from gateway.store import decisions
from gateway.store.opening import Role

__all__ = ["replace_claim", "void_claim"]


def void_claim(
    database: sqlite3.Connection, identifier: str, *, by: str, at: dt.datetime, note: str
) -> ClaimRecord:
    """Void a claim: its tests are free again, and the next export holds a claim of frequency 8.

    Raises:
        ClaimError: nobody or no reason is named, the store awaits reconciliation, there is no such claim, or it is
            void or replaced already. Nothing has changed.
    """
    named(by)
    _because(note)
    with transaction(database):
        reconciled(database)
        row = _standing(database, identifier)
        original = ClaimRecord.read(row.content)
        unit = original.unit
        made = original.model_copy(
            update={
                "id": claim_id(unit.patient, unit.test_ids, unit.code, unit.dos, 8, identifier),
                "frequency": 8,
                "follows": identifier,
                "payer_control_number": store.payer_control_number(database, identifier),
                "exported_by": by,
                "exported_at": utc(at),
            }
        )
        store.set_state(database, identifier, "void")
        store.record(database, identifier, at, by, "void", f"by {made.id}: {note}")
        keep(database, made, row.sign_off_id, standing=False)
        store.record(database, made.id, at, by, "exported", f"voids {identifier}")
        decisions.record(database, at, by, "void", f"claim {identifier}", note)
    return made


def replace_claim(
    database: sqlite3.Connection,
    identifier: str,
    *,
    as_of: dt.date,
    role: Role,
    prices: Prices,
    by: str,
    at: dt.datetime,
    note: str,
    accept: Iterable[str] = (),
    biller: BillerKind | None = None,
) -> ClaimRecord:
    """Replace a claim by the unit that its tests make now, signed by the same person in the same act.

    The unit is the one that shares most tests with the claim, when the claim itself is left out of the tally. Where
    it is the claimed one unchanged, the claim must have been denied (what the payer missed may stand outside the
    unit), or price table or orderer must be others.

    Raises:
        ClaimError: as for `void_claim`; or this house cannot bill its code, its tests make no unit that could be
            billed as of `as_of`, the unit is another payer's, nothing would change, or a review flag is not
            accepted.
        PriceError: the unit has no price.
    """
    named(by)
    _because(note)
    with transaction(database):
        reconciled(database)
        row = _standing(database, identifier)
        original = ClaimRecord.read(row.content)
        may_bill(f"claim {identifier}", biller, original.unit.code)
        known = without(_holding(database, original, as_of, role), original.unit.test_ids, as_of)
        unit = _replacement(known, original)
        record = unit_record(known, unit)
        _same_payer(original, record)
        orderer = ordered_by(papers_of(database, row.patient_id), unit.last_test)
        unchanged = record == original.unit and orderer == original.orderer and _charged_as(original, prices)
        if unchanged and row.state != "denied":
            raise ClaimError(f"claim {identifier}: its unit is unchanged; there is nothing to replace it by")
        flags = flags_of(unit, as_of)
        accepted(f"the unit that replaces claim {identifier}", flags, set(accept))
        signed = store.sign(
            database,
            patient_id=row.patient_id,
            content=record.text(),
            content_sha256=record.sha256,
            flags=flags,
            as_of=as_of,
            by=by,
            at=at,
            note=note,
        )
        store.set_state(database, identifier, "replaced")
        made = freeze_claim(
            database,
            known,
            unit,
            prices,
            signature=store.sign_off(database, signed),
            frequency=7,
            follows=identifier,
            by=by,
            at=at,
        )
        store.record(database, identifier, at, by, "replaced", f"by {made.id}: {note}")
        decisions.record(database, at, by, "replace", f"claim {identifier}", note)
    return made


def _standing(database: sqlite3.Connection, identifier: str) -> store.ClaimRow:
    row = store.claim(database, identifier)
    if row is None:
        raise ClaimError(f"there is no claim {identifier}; 'inr-gateway units claims' lists them")
    if row.frequency == 8:
        raise ClaimError(f"claim {identifier} itself voids {row.follows}; it cannot be voided or replaced")
    if row.state not in store.STANDING:
        raise ClaimError(f"claim {identifier} is {row.state} already; nothing is left to void or replace")
    return row


def _because(note: str) -> None:
    if not note.strip():
        raise ClaimError("--note: say why; a void or a replacement stands in the record for ten years")


def _same_payer(original: ClaimRecord, record: UnitRecord) -> None:
    """A replacement goes to whoever has the claim."""
    before, now = (original.unit.payer, original.unit.mac), (record.payer, record.mac)
    if before != now:
        was, would = (" ".join(part for part in each if part) for each in (before, now))
        raise ClaimError(
            f"claim {original.id} was made for {was}, and its tests are {would}'s now; no payer replaces another's "
            "claim: void it, then sign and export the unit anew"
        )


def _charged_as(claim: ClaimRecord, prices: Prices) -> bool:
    """Whether the price table of today gives the lines of this claim."""
    unit, table = claim.unit, prices.table
    return (claim.full_cents, claim.revenue_code, claim.place_of_service) == (
        prices.full_cents(unit.code, unit.payer, dt.date.fromisoformat(unit.dos)),
        table.institutional.revenue_code if table.institutional else None,
        table.professional.place_of_service,
    )


def _holding(database: sqlite3.Connection, original: ClaimRecord, as_of: dt.date, role: Role) -> Tallied:
    """The tally of the payer's period that the claim stands in."""
    tests = set(original.unit.test_ids)
    patient = original.unit.patient
    for known in tallies_of(facts_of(database, patient), as_of, role, original.unit.code):
        if isinstance(known, Refused):
            raise ClaimError(f"claim {original.id}: {known.why}")
        if any(set(unit.tests) == tests for unit in known.inputs.claimed):
            return known
    raise ClaimError(f"claim {original.id}: no period of patient {patient} holds it as of {as_of}; void it")


def _replacement(known: Tallied, original: ClaimRecord) -> Unit:
    tests = set(original.unit.test_ids)
    open_units = [unit for unit in known.statement.units if unit.status != "claimed" and tests & set(unit.tests)]
    best = max(
        open_units, key=lambda unit: (len(tests & set(unit.tests)), -unit.billable_from.toordinal()), default=None
    )
    if best is None:
        raise ClaimError(f"claim {original.id}: its tests make no unit any more; void it")
    if best.status != "billable":
        raise ClaimError(
            f"claim {original.id}: the unit that would replace it is not dated before {best.billable_from}; wait, "
            "or void the claim"
        )
    return best
