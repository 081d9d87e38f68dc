"""From signatures to claims: each is frozen in the store before any file is written.

A claim's id is a digest of what is claimed, and its files are made from its frozen record alone, so exporting again
gives the same files and marks nothing twice.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gateway.clock import utc
from gateway.database import transaction
from gateway.reporting.claims.basis import KEPT_AS, basis_of
from gateway.reporting.claims.errors import ClaimError
from gateway.reporting.claims.orderer import ordered_by
from gateway.reporting.claims.prices import Prices
from gateway.reporting.claims.record import ClaimRecord, Frequency, UnitRecord, claim_id, unit_record
from gateway.reporting.claims.signing import flags_of, named, obstructed, reconciled
from gateway.reporting.claims.tallied import Refused, Tallied, periods_in, tallies_of
from gateway.reporting.documents.eligibility import disagreement
from gateway.reporting.documents.papers import papers_of
from gateway.reporting.facts import Facts, facts_of
from gateway.reporting.units import Unit, claim
from gateway.reporting.units.billers import BillerKind
from gateway.reporting.units.billers import obstacle as against_biller
from gateway.reporting.units.claim_text import claim_text
from gateway.reporting.units.model import Code
from gateway.store import claims as store
from gateway.store import decisions
from gateway.store.opening import Role

__all__ = ["Exported", "Stale", "export", "freeze_claim", "keep"]


class Stale(NamedTuple):
    """A signature that holds no longer, because no unit has the signed content any more."""

    patient_id: str
    dos: str
    by: str
    at: str

    def __str__(self) -> str:
        return (
            f"patient {self.patient_id}: the signature of {self.by} on the unit of {self.dos} holds no longer, the "
            "unit has changed since; look at the statement and sign again"
        )


class Exported(NamedTuple):
    """What an export gives.

    Attributes:
        claims: every outstanding claim, old and new.
        new: ids of those made now.
        stale: signatures that hold no longer.
        refused: signed patients of whom no statement can be made, with a test that another claim holds, or of whom
            the payer says something else than the record.
    """

    claims: tuple[ClaimRecord, ...]
    new: tuple[str, ...]
    stale: tuple[Stale, ...]
    refused: tuple[Refused, ...]


def export(
    database: sqlite3.Connection,
    *,
    role: Role,
    prices: Prices,
    by: str,
    at: dt.datetime,
    today: Callable[[Facts], dt.date],
    patient_id: str | None = None,
    biller: BillerKind | None = None,
) -> Exported:
    """Make a claim of every signed unit, and give these and all that no payer has answered yet.

    Args:
        database: the store.
        role: of the store.
        prices: what is charged.
        by: who exports.
        at: now.
        today: a patient's local day.
        patient_id: only this patient's units.
        biller: as what this house bills; None: nobody has said.

    Raises:
        ClaimError: nobody is named, or the store awaits reconciliation.
        PriceError: a signed unit has no price. In all these cases nothing has changed.
    """
    named(by)
    new: list[str] = []
    stale: list[Stale] = []
    refused: list[Refused] = []
    with transaction(database):
        reconciled(database)
        for patient in [patient_id] if patient_id else store.signed_patients(database):
            signatures = store.unused_sign_offs(database, patient)
            if not signatures:
                continue
            used: set[str] = set()
            facts = facts_of(database, patient)
            differs = disagreement(facts.papers, periods_in(facts), today(facts))
            for service in _services(signatures):
                for known in tallies_of(facts, today(facts), role, service):
                    if isinstance(known, Refused):
                        refused.append(known)
                    else:
                        against = differs or against_biller(biller, service)
                        made, obstacles = _claims_of(database, known, signatures, used, prices, by, at, against)
                        new += made
                        refused += obstacles
            stale += _stale(database, patient, signatures, used)
        if new:
            decisions.record(database, at, by, "export", "claims", " ".join(new))
        rows = store.claims(database, patient_id, state="exported")
        outstanding = tuple(_numbered(database, ClaimRecord.read(row.content)) for row in rows)
    return Exported(outstanding, tuple(new), tuple(stale), tuple(refused))


def _numbered(database: sqlite3.Connection, made: ClaimRecord) -> ClaimRecord:
    """With the payer's number of the claim that it follows, where that was posted only after this one was made."""
    if made.follows is None or made.payer_control_number:
        return made
    number = store.payer_control_number(database, made.follows)
    return made.model_copy(update={"payer_control_number": number}) if number else made


def _services(signatures: Sequence[store.SignOff]) -> list[Code]:
    """Whose sides the signatures are on."""
    return sorted({UnitRecord.read(each.content).code for each in signatures})


def _claims_of(
    database: sqlite3.Connection,
    known: Tallied,
    signatures: Sequence[store.SignOff],
    used: set[str],
    prices: Prices,
    by: str,
    at: dt.datetime,
    against: str,
) -> tuple[list[str], list[Refused]]:
    """Claims of one tally's signed units, and what stands in the way of others; notes their contents in `used`."""
    made: list[str] = []
    obstacles: list[Refused] = []
    claimed = list(known.inputs.claimed)
    for unit in known.statement.units:
        if unit.status != "billable":
            continue
        record = unit_record(known, unit)
        flags = set(flags_of(unit, known.statement.as_of))
        holding = [
            each for each in signatures if each.content_sha256 == record.sha256 and flags <= set(each.flags.split())
        ]
        obstacle = (obstructed(database, known.patient_id, unit) or against) if holding else ""
        if obstacle:
            used.add(record.sha256)
            obstacles.append(Refused(known.patient_id, f"the unit of {record.dos} is signed, but {obstacle}"))
        elif holding:
            claimed.append(claim(known.statement, unit, claimed, known.inputs.tests))
            signature = holding[-1]
            claim_record = freeze_claim(
                database, known, unit, prices, signature=signature, frequency=1, follows=None, by=by, at=at
            )
            used.add(signature.content_sha256)
            made.append(claim_record.id)
    return made, obstacles


def _stale(
    database: sqlite3.Connection, patient_id: str, signatures: Sequence[store.SignOff], used: set[str]
) -> list[Stale]:
    """Signatures that fit nothing, unless a claim stands on one of their tests."""
    found: list[Stale] = []
    for each in signatures:
        unit = UnitRecord.read(each.content)
        claimed = store.held_by(database, patient_id, unit.code, unit.test_ids) is not None
        if each.content_sha256 not in used and not claimed:
            found.append(Stale(patient_id, unit.dos, each.by_name, each.at))
    return found


def freeze_claim(
    database: sqlite3.Connection,
    known: Tallied,
    unit: Unit,
    prices: Prices,
    *,
    signature: store.SignOff,
    frequency: Frequency,
    follows: str | None,
    by: str,
    at: dt.datetime,
) -> ClaimRecord:
    """Make a claim of a signed unit in the statement of `known` and keep it; its tests are held from now on.

    Raises:
        PriceError: the unit has no price.
        ClaimError: a standing claim holds one of its tests.
    """
    record = unit_record(known, unit)
    obstacle = obstructed(database, record.patient, unit)
    if obstacle:
        raise ClaimError(f"patient {record.patient}, unit of {record.dos}: {obstacle}")
    full = prices.full_cents(record.code, record.payer, dt.date.fromisoformat(record.dos))
    words = claim_text(unit, full, record.ended_by)
    identifier = claim_id(record.patient, record.test_ids, record.code, record.dos, frequency, follows or "")
    while (earlier := store.claim(database, identifier)) is not None:  # claimed before, and void since
        identifier = claim_id(record.patient, record.test_ids, record.code, record.dos, frequency, earlier.id)
    made = ClaimRecord(
        id=identifier,
        frequency=frequency,
        follows=follows,
        payer_control_number=store.payer_control_number(database, follows) if follows else "",
        unit=record,
        full_cents=full,
        charge_cents=words.charge_cents,
        quantity=1,
        sv101=words.sv101,
        nte=words.nte,
        item_19=words.item_19,
        sv202=words.sv202,
        block_80=words.block_80,
        revenue_code=prices.table.institutional.revenue_code if prices.table.institutional else None,
        place_of_service=prices.table.professional.place_of_service,
        signed_by=signature.by_name,
        signed_at=signature.at,
        exported_by=by,
        exported_at=utc(at),
        orderer=ordered_by(papers_of(database, record.patient), unit.last_test),
    )
    keep(database, made, signature.id, standing=True)
    store.record(database, identifier, at, by, "exported", f"follows {follows}" if follows else "")
    store.record(database, identifier, at, by, KEPT_AS, basis_of(database, known, unit).text())
    return made


def keep(database: sqlite3.Connection, made: ClaimRecord, sign_off_id: int | None, *, standing: bool) -> None:
    """Write a claim into the store."""
    unit = made.unit
    row = store.ClaimRow(
        id=made.id,
        patient_id=unit.patient,
        code=unit.code,
        modifiers=" ".join(unit.modifiers),
        frequency=made.frequency,
        follows=made.follows,
        dos=unit.dos,
        file_by=unit.file_by,
        charge_cents=made.charge_cents,
        state="exported",
        content=made.text(),
        content_sha256=made.sha256,
        sign_off_id=sign_off_id,
        exported_by=made.exported_by,
        exported_at=made.exported_at,
    )
    store.freeze(database, row, [(test.id, test.taken_at) for test in unit.tests], standing=standing)
