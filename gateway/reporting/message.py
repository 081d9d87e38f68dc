"""A report as JSON (what a webhook carries), schema ``inr-gateway/report/1``.

Numbers are decimal strings, so that ``2.70`` stays ``2.70``. Codes of interpretation are those of HL7
v3-ObservationInterpretation.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field

from gateway.clock import Quality
from gateway.reporting.reportable import ReportableResult, Status
from gateway.result import DecimalText, Frozen, Meter, Quantity, Text
from gateway.wire.reading import Origin

__all__ = ["REPORT_SCHEMA", "ReportMessage", "message"]

REPORT_SCHEMA: Final = "inr-gateway/report/1"


class ReportedPatient(Frozen):
    """The patient as the provider knows them."""

    provider_patient_id: str
    family_name: str
    given_name: str
    birth_date: date
    sex: str


class ReportedParty(Frozen):
    """Who reports, or to whom."""

    name: str
    npi: str | None


class ReportedLimits(Frozen):
    """The target and critical limits that held at the time of the test."""

    target_low: DecimalText
    target_high: DecimalText
    critical_low: DecimalText
    critical_high: DecimalText
    source: str


class ReportMessage(Frozen):
    """One version of one result.

    Attributes:
        id: names this report; the same on every repetition. What the receiver gives back to say that it has it.
        result_id: the same over all versions; a later version replaces an earlier one.
        test: not a patient's result; not for a chart.
        inr: for a withdrawn result, what was withdrawn.
    """

    schema_: Literal["inr-gateway/report/1"] = Field(default=REPORT_SCHEMA, alias="schema")
    id: str
    result_id: str
    version: Annotated[int, Field(ge=1)]
    status: Status
    test: bool
    released_at: AwareDatetime
    supplier: ReportedParty
    provider: ReportedParty
    patient: ReportedPatient
    taken_at: AwareDatetime
    time_quality: Quality
    time_uncertainty_s: float
    inr: Quantity | None
    pt_seconds: Quantity | None
    quick_percent: Quantity | None
    interpretation: tuple[str, ...]
    limits: ReportedLimits | None
    meter: Meter
    strip_lot: Text | None
    flags: tuple[Text, ...]
    origin: Origin
    order_id: str | None
    note: str


def message(report: ReportableResult) -> ReportMessage:
    """What a report tells, with nothing added and nothing rounded."""
    result, limits, patient = report.result, report.limits, report.patient
    return ReportMessage(
        schema=REPORT_SCHEMA,
        id=report.control_id,
        result_id=report.result_id,
        version=report.version,
        status=report.status,
        test=report.processing_id != "P" or report.origin in (Origin.SIMULATOR, Origin.REPLAY),
        released_at=report.released_at,
        supplier=ReportedParty(name=report.supplier.name, npi=report.supplier.npi),
        provider=ReportedParty(name=report.provider.name, npi=report.provider.npi),
        patient=ReportedPatient(
            provider_patient_id=patient.provider_patient_id,
            family_name=patient.family_name,
            given_name=patient.given_name,
            birth_date=patient.birth_date,
            sex=patient.sex,
        ),
        taken_at=report.taken_at,
        time_quality=report.quality,
        time_uncertainty_s=report.uncertainty_s,
        inr=result.inr,
        pt_seconds=result.pt_seconds,
        quick_percent=result.quick_percent,
        interpretation=report.interpretation,
        limits=None
        if limits is None
        else ReportedLimits(
            target_low=str(limits.target_low),
            target_high=str(limits.target_high),
            critical_low=str(limits.critical_low),
            critical_high=str(limits.critical_high),
            source=limits.source,
        ),
        meter=result.meter,
        strip_lot=result.strip_lot,
        flags=result.flags,
        origin=report.origin,
        order_id=report.order_id,
        note=report.note,
    )
