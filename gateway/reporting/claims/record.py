"""What a person signs and what a claim says, as frozen JSON with one form and therefore one digest."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from gateway.reporting.claims.tallied import Tallied
from gateway.reporting.units import Test, Unit
from gateway.reporting.units.diagnoses import coverage, icd10
from gateway.reporting.units.eligibility import end_of_service
from gateway.reporting.units.model import Code, EventType

__all__ = ["ClaimRecord", "Frequency", "Orderer", "SignedTest", "UnitRecord", "claim_id", "unit_record"]

Frequency = Literal[1, 7, 8]
"""Claim frequency code (X12 837, CLM05-3): 1 original, 7 replacement, 8 void."""
ID_RECIPE: Final = 1
ID_DIGITS: Final = 20
"""A patient control number (CLM01) is safe up to 20 characters."""


class Frozen(BaseModel):
    """Base of what is signed and kept: immutable, no unknown fields, one canonical text."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    LATER: ClassVar[frozenset[str]] = frozenset()
    """Fields that older records do not have: left out while they are None, so that those keep their digests."""

    def text(self) -> str:
        """Canonical JSON: keys sorted, no blanks."""
        content = self.model_dump(mode="json", exclude={name for name in self.LATER if getattr(self, name) is None})
        return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @property
    def sha256(self) -> str:
        """Digest of the canonical text in UTF-8."""
        return hashlib.sha256(self.text().encode()).hexdigest()

    @classmethod
    def read(cls, text: str) -> Self:
        """The record that `text` wrote."""
        return cls.model_validate_json(text)


class Orderer(Frozen):
    """Who ordered the tests, as the signed order says; without `npi` no claim form can name them by number."""

    name: str
    npi: str | None
    signed_on: str


class SignedTest(Frozen):
    """One test as it was signed. Instants in ISO form; `day` is the local date."""

    id: str
    day: str
    taken_at: str
    reported_at: str | None
    acknowledged_at: str | None
    reviewed_at: str | None
    inr: str
    source: str
    meter: str | None
    attested: bool
    early_reason: str | None


class UnitRecord(Frozen):
    """One unit with everything that a signature on it vouches for.

    Attributes:
        diagnosis: ICD-10-CM codes, those that are covered on the date of service first; `covered` counts them.
        ended_by: what ended the service, for a partial unit.
    """

    patient: str
    payer: str
    mac: str | None
    policy: str
    code: Code
    modifiers: tuple[str, ...]
    tests: tuple[SignedTest, ...]
    first_test: str
    last_test: str
    dos: str
    file_by: str
    review_flags: tuple[str, ...]
    diagnosis: tuple[str, ...]
    covered: int
    ended_by: EventType | None

    @property
    def test_ids(self) -> tuple[str, ...]:
        """Ids of its tests, in their order."""
        return tuple(test.id for test in self.tests)


class ClaimRecord(Frozen):
    """One claim as it was exported; every file of the export is made from this and from nothing else.

    Attributes:
        follows: the claim that this one replaces or voids.
        payer_control_number: the payer's number of that claim, where it was posted (REF*F8).
        full_cents: price of a whole unit; `charge_cents` what is charged.
        revenue_code: for institutional claims (SV201), where one is configured.
        orderer: of the order in force on the day of the last test, where a document names one.
    """

    LATER = frozenset({"orderer"})

    id: str
    frequency: Frequency
    follows: str | None
    payer_control_number: str
    unit: UnitRecord
    full_cents: Annotated[int, Field(ge=0)]
    charge_cents: Annotated[int, Field(ge=0)]
    quantity: Literal[1]
    sv101: str
    nte: str
    item_19: str
    sv202: str
    block_80: str
    revenue_code: str | None
    place_of_service: str | None
    signed_by: str
    signed_at: str
    exported_by: str
    exported_at: str
    orderer: Orderer | None = None


def claim_id(
    patient_id: str, tests: Sequence[str], code: str, dos: str, frequency: Frequency, follows: str = ""
) -> str:
    """Id of a claim: 20 hexadecimal digits in capitals, from what is claimed.

    The same unit exported twice has the same id, on any machine and after any restore. `follows` is the claim it
    comes after, if any: a unit claimed anew after a void is another claim.
    """
    recipe = [ID_RECIPE, patient_id, sorted(tests), code, dos, frequency, follows]
    return hashlib.sha256(json.dumps(recipe, separators=(",", ":")).encode()).hexdigest()[:ID_DIGITS].upper()


def unit_record(tallied: Tallied, unit: Unit) -> UnitRecord:
    """Everything that a signature on `unit` vouches for.

    Raises:
        BadCodeError: a recorded diagnosis has not the form of a code.
    """
    inputs, policy = tallied.inputs, tallied.policy_of(unit)
    tests = tallied.tests()
    end = end_of_service(inputs.events, tallied.statement.as_of.toordinal())
    diagnosis, covered = _diagnoses(tallied, unit)
    return UnitRecord(
        patient=tallied.patient_id,
        payer=inputs.enrollment.payer,
        mac=inputs.enrollment.mac,
        policy=policy.id,
        code=unit.code,
        modifiers=unit.modifiers,
        tests=tuple(_signed(tallied, tests[test_id]) for test_id in unit.tests),
        first_test=unit.first_test.isoformat(),
        last_test=unit.last_test.isoformat(),
        dos=unit.billable_from.isoformat(),
        file_by=unit.file_by.isoformat(),
        review_flags=unit.review_flags,
        diagnosis=diagnosis,
        covered=covered,
        ended_by=end.type if end is not None and not unit.is_full else None,
    )


def _signed(tallied: Tallied, test: Test) -> SignedTest:
    reason = test.reason_early
    return SignedTest(
        id=test.id,
        day=tallied.day_of(test.taken_at).isoformat(),
        taken_at=test.taken_at.isoformat(),
        reported_at=_iso(test.reported_at),
        acknowledged_at=_iso(test.acknowledged_at),
        reviewed_at=_iso(test.reviewed_at),
        inr=test.inr_text or ("" if test.inr is None else str(test.inr)),
        source=test.source,
        meter=test.device_serial,
        attested=test.attested,
        early_reason=None if reason is None else f"{reason.category}: {reason.text} ({reason.documented_by})",
    )


def _iso(moment: dt.datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _diagnoses(tallied: Tallied, unit: Unit) -> tuple[tuple[str, ...], int]:
    """The codes that the patient had on the date of service, the covered ones first, and how many those are."""
    enrollment, policy = tallied.inputs.enrollment, tallied.policy_of(unit)
    since = {icd10(code, "known_from"): start for code, start in enrollment.known_from}
    codes = [icd10(code, f"diagnosis[{at}]") for at, code in enumerate(enrollment.diagnosis)]
    codes = [code for code in codes if since.get(code, unit.billable_from) <= unit.billable_from]
    found = coverage(
        policy.diagnoses,
        enrollment.diagnosis,
        enrollment.valve_type,
        known_from=enrollment.known_from,
        include_unspecified_af=policy.dx_unspecified_af == "include",
        count_porcine=policy.porcine_with_other_indication == "count_with_review",
    )
    pays = set(found.codes_on(unit.billable_from.toordinal()))
    ordered = dict.fromkeys([*(code for code in codes if code in pays), *codes])
    return tuple(ordered), len(pays)
