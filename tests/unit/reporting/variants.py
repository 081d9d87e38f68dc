"""One report of every kind that we make, for the renderers' tests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from gateway.clock import Quality
from gateway.reporting.configuration import Supplier
from gateway.reporting.reportable import Status
from gateway.result import Kind, Meter
from gateway.wire.reading import Origin
from tests.unit.reporting.examples import PATIENT, PROVIDER, reportable
from tests.unit.reporting.stores import body, quantity


@dataclass
class Limits:
    target_low: Decimal = Decimal("2.0")
    target_high: Decimal = Decimal("3.0")
    critical_low: Decimal = Decimal("1.5")
    critical_high: Decimal = Decimal("5.0")
    source: str = "patient"


LONG_NAMES = Meter(
    vendor="Roche Diagnostics GmbH", serial="S" * 60, model="CoaguChek INRange, home edition", firmware="03.01.00"
)
VARIANTS = {
    "plain": reportable(),
    "with PT and Quick": reportable(
        result=body(pt_seconds=quantity("29.6"), quick_percent=quantity("31", comparator=">"))
    ),
    "above the range": reportable(result=body(quantity("8.0", ">"))),
    "below the range": reportable(result=body(quantity("0.8", "<"))),
    "without a limit": reportable(result=body(quantity(None, ">", "+INF"))),
    "in range": reportable(limits=Limits(), interpretation=("N",)),
    "critical and off the range": reportable(
        result=body(quantity("8.0", ">"), pt_seconds=quantity("29.6")), limits=Limits(), interpretation=("HH", ">")
    ),
    "corrected": reportable(status=Status.CORRECTED, version=2),
    "retracted": reportable(status=Status.RETRACTED, version=2),
    "retracted control": reportable(status=Status.RETRACTED, result=body(kind=Kind.CONTROL)),
    "test": reportable(processing_id="T", origin=Origin.SIMULATOR),
    "by hand": reportable(
        origin=Origin.PERSON, quality=Quality.STATED, uncertainty_s=900.0, note="told on the telephone | by wife"
    ),
    "not ASCII": reportable(patient=replace(PATIENT, family_name="Œuvré", given_name="李")),
    "delimiters": reportable(patient=replace(PATIENT, family_name="|^~\\&\r\x0b\x1c")),
    "bare": reportable(
        provider=replace(PROVIDER, npi=None, application="", facility=""),
        supplier=Supplier(),
        result=body(meter=Meter(vendor=None, serial=None), strip_lot=None, device_time=None),
    ),
    "long names of the meter": reportable(result=body(meter=LONG_NAMES)),
    "no running clock": reportable(result_id="0b8c4f4e-6a5e-4f3f-8f56-0d8d5cbe4f0e/123456", quality=Quality.UNSET),
    "of an order": reportable(order_id="ORD|7"),
}
