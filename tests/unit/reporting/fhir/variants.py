"""Every kind of report that we make, for judges and receivers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from gateway.clock import Quality
from gateway.reporting.channels.fhir import FhirSettings
from gateway.reporting.channels.fhir.settings import Code
from gateway.reporting.configuration import Supplier
from gateway.reporting.reportable import ReportableResult, Status
from gateway.result import DeviceTime, Kind, Meter
from gateway.wire.reading import Origin
from tests.unit.reporting.examples import PATIENT, PROVIDER, reportable
from tests.unit.reporting.stores import body, quantity


@dataclass(frozen=True, slots=True)
class Target:
    """Limits as a patient's record gives them."""

    target_low: Decimal = Decimal("2.0")
    target_high: Decimal = Decimal("3.0")
    critical_low: Decimal = Decimal("1.5")
    critical_high: Decimal = Decimal("5.0")
    source: str = "patient"


def at_home(**changes: Any) -> ReportableResult:
    """A result that a hub read."""
    return reportable(**{"hub_id": "hub-7", **changes})


ALL_THREE = body(pt_seconds=quantity("29.6"), quick_percent=quantity("31", comparator=">"))

VARIANTS: dict[str, tuple[ReportableResult, FhirSettings]] = {
    name: (report, settings)
    for name, report, settings in (
        ("plain", at_home(), FhirSettings()),
        ("with PT and Quick", at_home(result=ALL_THREE), FhirSettings()),
        ("with limits", at_home(limits=Target(), interpretation=("N",)), FhirSettings()),
        ("high", at_home(result=body(quantity("3.4")), limits=Target(), interpretation=("H",)), FhirSettings()),
        (
            "critical and off the range",
            at_home(result=body(quantity("8.0", ">")), limits=Target(), interpretation=("HH", ">")),
            FhirSettings(),
        ),
        ("flags off", at_home(limits=Target(), interpretation=("N",)), FhirSettings(flags=False)),
        ("above the range", at_home(result=body(quantity("8.0", ">"))), FhirSettings()),
        ("below the range", at_home(result=body(quantity("0.8", "<"))), FhirSettings()),
        ("without a limit", at_home(result=body(quantity(None, ">", "+INF"))), FhirSettings()),
        ("below without a limit", at_home(result=body(quantity(None, "<", "-INF"))), FhirSettings()),
        ("no number", at_home(result=body(quantity(None, None, "NaN"))), FhirSettings()),
        ("a text", at_home(result=body(quantity(None, None, "----"))), FhirSettings()),
        ("corrected", at_home(status=Status.CORRECTED, version=2), FhirSettings()),
        ("retracted", at_home(status=Status.RETRACTED, version=2, result=ALL_THREE), FhirSettings()),
        (
            "retracted control",
            at_home(status=Status.RETRACTED, version=2, result=body(kind=Kind.CONTROL)),
            FhirSettings(),
        ),
        ("final, but not the first", at_home(version=3), FhirSettings()),
        ("test", at_home(processing_id="T", origin=Origin.SIMULATOR), FhirSettings()),
        (
            "by hand",
            reportable(
                origin=Origin.PERSON,
                quality=Quality.STATED,
                uncertainty_s=900.0,
                note="told on the telephone",
                result=body(meter=Meter(vendor=None, serial=None), strip_lot=None, device_time=None),
            ),
            FhirSettings(),
        ),
        ("not ASCII", at_home(patient=replace(PATIENT, provider_patient_id="Œ-李")), FhirSettings()),
        (
            "signs that part searches",
            at_home(patient=replace(PATIENT, provider_patient_id='a|b,c$d\\e"&=? ')),
            FhirSettings(),
        ),
        (
            "a meter that says little",
            at_home(result=body(meter=Meter(vendor=None, serial="7"))),
            FhirSettings(device_observations="all"),
        ),
        (
            "a meter with an offset",
            at_home(
                result=body(
                    device_time=DeviceTime(
                        raw="x", local=datetime.fromisoformat("2026-10-22T08:15:00"), utc_offset_min=-240
                    )
                )
            ),
            FhirSettings(),
        ),
        ("no running clock", at_home(result_id="0b8c4f4e-6a5e-4f3f-8f56-0d8d5cbe4f0e/123456"), FhirSettings()),
        ("standing order", at_home(order_id="ORD 1"), FhirSettings(order_identifier_system="urn:oid:2.25.5")),
        ("order without system", at_home(order_id="ORD-1"), FhirSettings()),
        (
            "bare supplier",
            at_home(supplier=Supplier()),
            FhirSettings(identifier_system="https://inr.example/result"),
        ),
        (
            "bare provider",
            at_home(provider=replace(PROVIDER, npi=None, application="", facility="")),
            FhirSettings(patient_identifier_system="https://clinic.example/mrn"),
        ),
        (
            "conditional patient",
            at_home(),
            FhirSettings(patient_reference="conditional", patient_identifier_system="https://clinic.example/mrn"),
        ),
        ("literal patient", at_home(), FhirSettings(patient_reference="literal")),
        ("device's own view of all", at_home(result=ALL_THREE), FhirSettings(device_observations="all")),
        ("no device's view", at_home(), FhirSettings(device_observations="none")),
        ("no provenance", at_home(), FhirSettings(provenance="none")),
        ("plain provenance", at_home(processing_id="T"), FhirSettings(provenance="plain")),
        ("no profiles", at_home(), FhirSettings(profiles=False, provenance="plain")),
        (
            "other codes",
            at_home(result=ALL_THREE, limits=Target(), interpretation=("L",)),
            FhirSettings(
                inr=Code(code="34714-6", display="INR in Blood by Coagulation assay"),
                quick_percent=Code(code="5894-1"),
                inr_unit="1",
                device_codes=False,
            ),
        ),
    )
}
