"""Reportable results for tests of renderers."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from gateway.clock import Quality
from gateway.reporting.configuration import Supplier
from gateway.reporting.reportable import Patient, Provider, ReportableResult, Status
from gateway.wire.reading import Origin
from tests.unit.reporting.stores import TAKEN, ZONE, body

PATIENT = Patient(
    provider_patient_id="MRN000001", family_name="Doe", given_name="Jane", birth_date=date(1948, 3, 18), sex="F"
)
PROVIDER = Provider(
    id="riverside",
    name="Riverside Anticoagulation Clinic",
    npi="1234567893",
    application="EHR^2.25.99^ISO",
    facility="CLINIC^2.25.98^ISO",
)


def reportable(**changes: Any) -> ReportableResult:
    fields: dict[str, Any] = {
        "result": body(),
        "result_id": "0123456789abcdef0123456789abcdef",
        "version": 1,
        "status": Status.FINAL,
        "origin": Origin.METER,
        "patient": PATIENT,
        "provider": PROVIDER,
        "supplier": Supplier(application_oid="2.25.1", npi="1234567893"),
        "taken_at": TAKEN.astimezone(ZoneInfo(ZONE)),
        "uncertainty_s": 120.0,
        "quality": Quality.SYNCHRONISED,
        "released_at": datetime(2026, 3, 14, 12, 15, 9, 120_000, tzinfo=UTC),
        "control_id": "ABCDEFGHIJKLMNOPQRST",
        "processing_id": "P",
    }
    return ReportableResult(**{**fields, **changes})
