"""What a provider is told of one result: everything a renderer needs, and nothing it would have to look up."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from gateway.clock import Quality, moment
from gateway.reporting.configuration import Supplier
from gateway.result import Kind, Quantity, Result
from gateway.store.reports import Wanted
from gateway.wire.reading import Origin

__all__ = [
    "Limits",
    "Past",
    "Patient",
    "Provider",
    "ReportableResult",
    "Status",
    "UnreportableError",
    "assemble",
    "control_id",
]


class UnreportableError(ValueError):
    """No report can be made of this version; the message says why and names no patient."""


class Status(StrEnum):
    """What a version says of the one before it."""

    FINAL = "final"
    CORRECTED = "corrected"
    RETRACTED = "retracted"


@dataclass(frozen=True, slots=True)
class Patient:
    """The patient as the provider knows them.

    Attributes:
        provider_patient_id: the provider's own identifier, never ours.
        sex: F, M, O or U (HL7 table 0001).
    """

    provider_patient_id: str
    family_name: str
    given_name: str
    birth_date: date
    sex: str


@dataclass(frozen=True, slots=True)
class Provider:
    """The treating provider and the system that receives for them.

    Attributes:
        npi: National Provider Identifier, or None.
        application: receiving application as the receiver wants to be addressed; ``^`` parts its components.
        facility: receiving facility, likewise; also the authority of the provider's patient ids.
    """

    id: str
    name: str
    npi: str | None
    application: str
    facility: str


class Limits(Protocol):
    """The prescribed target and the critical limits that held at the time of the test."""

    @property
    def target_low(self) -> Decimal:
        """The lowest INR within the target."""

    @property
    def target_high(self) -> Decimal:
        """The highest INR within the target."""

    @property
    def critical_low(self) -> Decimal:
        """Below it a result is critical."""

    @property
    def critical_high(self) -> Decimal:
        """At and above it a result is critical."""

    @property
    def source(self) -> str:
        """Who set them: ``patient``, ``provider`` or ``clinic``."""


@dataclass(frozen=True, slots=True)
class Past:
    """An earlier result of the same patient."""

    taken_at: datetime
    inr: Quantity
    result_id: str


@dataclass(frozen=True, slots=True)
class ReportableResult:
    """One version of one patient result for one destination.

    Attributes:
        result: the canonical result; numbers are the meter's own decimal text.
        result_id: stable over all versions and resends; the receiver's key for updates.
        taken_at: instant of the test, in the patient's zone.
        uncertainty_s: the true instant lies within plus or minus this of `taken_at`.
        released_at: when this report was made.
        control_id: at most 20 characters, the same on every resend.
        processing_id: ``P`` production or ``T`` training and test (HL7 table 0103).
        limits: None where none are known; nothing may then be said of high, low or in range.
        interpretation: codes of v3-ObservationInterpretation (the letters of HL7 table 0078), empty without limits.
        hub_id: the hub that read the result, empty for one that was entered by hand.
        order_id: the provider's own number of the standing order, where it is known.
        history: earlier results, newest last; only for channels that want a summary.
        note: what a person wrote who entered the result by hand.
    """

    result: Result
    result_id: str
    version: int
    status: Status
    origin: Origin
    patient: Patient
    provider: Provider
    supplier: Supplier
    taken_at: datetime
    uncertainty_s: float
    quality: Quality
    released_at: datetime
    control_id: str
    processing_id: str
    limits: Limits | None = None
    interpretation: tuple[str, ...] = ()
    hub_id: str = ""
    order_id: str | None = None
    history: tuple[Past, ...] = ()
    summary: object | None = None
    note: str = ""


def control_id(*parts: str) -> str:
    """A control id of 20 characters (HL7 v2.5.1 limits MSH-10 to 20) out of what makes a report itself.

    It is a digest and no count, so that a store restored from a backup gives a report it makes anew the same id,
    and never gives an id it used before to other content.
    """
    digest = hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).digest()
    return base64.b32encode(digest)[:20].decode("ascii")


def assemble(wanted: Wanted, supplier: Supplier, processing_id: str, released_at: datetime) -> ReportableResult:
    """Put together what the provider is told.

    Raises:
        UnreportableError: the version is no patient result or cannot be understood.
    """
    status = Status(wanted.status)
    if status is Status.CORRECTED and not wanted.told:
        status = Status.FINAL  # nothing there that could be corrected
    try:
        result = Result.model_validate_json(wanted.body)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        where = ", ".join(".".join(str(part) for part in problem["loc"]) for problem in problems)
        raise UnreportableError(
            f"the stored result does not fit its schema at: {where or 'the whole body'}"
        ) from None
    if status is not Status.RETRACTED and result.kind is not Kind.PATIENT:
        raise UnreportableError(
            f"the stored result has kind {result.kind.value}; only patient results are reported"
        )
    if not wanted.provider_patient_id.strip():
        raise UnreportableError(
            f"the treatment by provider {wanted.provider_id} lacks the provider's own patient id"
        )
    try:
        taken_at = moment(wanted.taken_at).astimezone(ZoneInfo(wanted.zone))
        birth_date = date.fromisoformat(wanted.birth_date)
    except (ValueError, LookupError, OSError) as error:
        raise UnreportableError(
            f"time of test, zone or date of birth is unreadable ({type(error).__name__})"
        ) from None
    values = [_signature(quantity) for quantity in (result.inr, result.pt_seconds, result.quick_percent)]
    return ReportableResult(
        result=result,
        result_id=wanted.result_key,
        version=wanted.version,
        status=status,
        origin=Origin(wanted.origin),
        patient=Patient(
            provider_patient_id=wanted.provider_patient_id.strip(),
            family_name=wanted.family_name,
            given_name=wanted.given_name,
            birth_date=birth_date,
            sex=wanted.sex,
        ),
        provider=Provider(
            id=wanted.provider_id,
            name=wanted.provider_name,
            npi=wanted.provider_npi,
            application=wanted.application,
            facility=wanted.facility,
        ),
        supplier=supplier,
        taken_at=taken_at,
        uncertainty_s=wanted.uncertainty_s,
        quality=Quality(wanted.quality),
        released_at=released_at,
        control_id=control_id(
            wanted.result_key,
            str(wanted.version),
            wanted.destination_id,
            status.value,
            wanted.provider_patient_id,
            wanted.taken_at,
            *values,
        ),
        processing_id=processing_id,
        hub_id=wanted.hub_id if wanted.origin != Origin.PERSON else "",
        order_id=wanted.order_id or None,
        note="; ".join(result.notes) if wanted.origin == Origin.PERSON else "",
    )


def _signature(quantity: Quantity | None) -> str:
    return "" if quantity is None else f"{quantity.comparator or ''}{quantity.value or quantity.text}"
