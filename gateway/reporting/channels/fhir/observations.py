"""The same measurement in two views: the report for the chart, and what the device itself said.

The report claims the US Core laboratory profile and is judged against the patient's target. The device's own view
claims the numeric profile of the Personal Health Device guide, whose ``interpretation`` has room for the meter's
status alone: with high or low in it a resource fails that profile, so one resource never claims both.
"""

from __future__ import annotations

from functools import lru_cache

import orjson

from gateway.reporting.channels.fhir import codes, names
from gateway.reporting.channels.fhir.devices import fits_the_guide
from gateway.reporting.channels.fhir.scene import (
    Json,
    Scene,
    coding,
    concept,
    frozen,
    meta,
    number,
    observation_code,
    order,
    reference,
)
from gateway.reporting.channels.fhir.settings import Code
from gateway.reporting.reportable import Limits
from gateway.result import Quantity

__all__ = ["DEVICE_PART", "device_observation", "report_observation"]

DEVICE_PART = ".device"
"""What the identifier of the device's own view has beyond that of the report."""
LABORATORY = frozen([concept(coding(codes.OBSERVATION_CATEGORY, "laboratory", "Laboratory"))])
DEVICE = frozen([concept(coding(codes.PHD_CATEGORY, "phd"))])


def report_observation(
    scene: Scene,
    measured: codes.Measured,
    quantity: Quantity,
    *,
    meter: str | None,
    hub: str | None,
    seen_by_device: str | None,
    notes: list[Json],
) -> Json:
    """One quantity as the provider's chart shows it (US Core Laboratory Result Observation).

    Args:
        scene: the report.
        measured: which quantity.
        quantity: what the meter gave.
        meter: reference to the meter's entry, where it has one.
        hub: reference to the hub's entry, where it has one.
        seen_by_device: reference to the device's own view, where there is one.
        notes: annotations.
    """
    settings, report = scene.settings, scene.report
    chosen, ucum = _wanted(scene, measured)
    resource = _begun(scene, codes.US_CORE_OBSERVATION if settings.profiles else None)
    if hub is not None:
        resource["extension"] = [_through(hub)]
    resource["identifier"] = [{"system": scene.system, "value": scene.value + measured.part}]
    if report.order_id:
        resource["basedOn"] = [order(settings.order_identifier_system, report.order_id)]
    resource |= {
        "status": scene.status,
        "category": LABORATORY,
        "code": observation_code(measured, chosen, settings.device_codes),
        "subject": scene.subject,
        "effectiveDateTime": scene.taken,
        "issued": scene.released,
        "performer": [scene.supplier, scene.subject],
    }
    resource |= _value(measured, quantity, ucum)
    flags: tuple[str, ...] = ()
    if measured is codes.INR and settings.flags and report.limits is not None:
        flags = report.interpretation
        resource["referenceRange"] = [_target(report.limits, ucum)]
    if quantity.comparator is not None and quantity.comparator not in flags:
        flags = (*flags, quantity.comparator)
    if flags:
        resource["interpretation"] = [_flag(flag) for flag in flags]
    resource["note"] = notes
    if meter is not None:
        resource["device"] = reference(meter)
    if seen_by_device is not None:
        resource["derivedFrom"] = [reference(seen_by_device)]
    return resource


def device_observation(scene: Scene, measured: codes.Measured, quantity: Quantity, meter: str, hub: str) -> Json:
    """One quantity as the meter said it (PhdNumericObservation), without anybody's judgement."""
    result = scene.report.result
    fits = scene.settings.profiles and fits_the_guide(result.meter)
    resource = _begun(scene, codes.PHD_NUMERIC if fits else None)
    resource["extension"] = [_through(hub)]
    resource["identifier"] = [{"system": scene.system, "value": scene.value + measured.part + DEVICE_PART}]
    if result.device_time is not None and result.meter.key is not None:
        patient_id = scene.report.patient.provider_patient_id
        own = names.phd_value(result.meter.key, patient_id, measured.term, result.device_time)
        if own is not None:
            resource["identifier"].append({"system": codes.PHD_BASE, "value": own})
    resource |= {
        "status": scene.status,
        "category": DEVICE,
        "code": observation_code(measured, None, True),
        "subject": scene.subject,
        "effectiveDateTime": scene.taken,
        "issued": scene.released,
        "performer": [scene.subject],
    }
    resource |= _value(measured, quantity, measured.ucum)
    resource["device"] = reference(meter)
    return resource


def _begun(scene: Scene, profile: str | None) -> Json:
    about = meta(profile, scene.is_test)
    return {"resourceType": "Observation"} if about is None else {"resourceType": "Observation", "meta": about}


def _wanted(scene: Scene, measured: codes.Measured) -> tuple[Code | None, str]:
    settings = scene.settings
    if measured is codes.INR:
        return settings.inr, settings.inr_unit
    return (settings.pt_seconds if measured is codes.PT else settings.quick_percent), measured.ucum


def _value(measured: codes.Measured, quantity: Quantity, ucum: str) -> Json:
    """The meter's own digits; off its range the limit with a comparator; else why there is no number (obs-6)."""
    if quantity.value is None:
        return {"dataAbsentReason": concept(coding(codes.DATA_ABSENT, _reason(quantity)), text=quantity.text)}
    value: Json = {"value": number(quantity.value)}
    if quantity.comparator is not None:
        value["comparator"] = quantity.comparator
    return {"valueQuantity": value | {"unit": measured.unit, "system": codes.UCUM, "code": ucum}}


def _reason(quantity: Quantity) -> str:
    if quantity.comparator is not None:
        return "positive-infinity" if quantity.comparator == ">" else "negative-infinity"
    return "not-a-number" if quantity.text.strip().casefold() == "nan" else "as-text"


@lru_cache(maxsize=64)
def _flag(flag: str) -> orjson.Fragment:
    return frozen(concept(coding(codes.INTERPRETATION, flag)))


def _target(limits: Limits, ucum: str) -> Json:
    low, high = (f"{limit:f}" for limit in (limits.target_low, limits.target_high))
    return {
        "low": {"value": number(low), "unit": "INR", "system": codes.UCUM, "code": ucum},
        "high": {"value": number(high), "unit": "INR", "system": codes.UCUM, "code": ucum},
        "type": THERAPEUTIC,
        "text": f"target {low}-{high}",
    }


THERAPEUTIC = frozen(concept(coding(codes.RANGE_MEANING, "therapeutic", "Therapeutic Desired Level")))


@lru_cache(maxsize=16384)
def _through(hub: str) -> orjson.Fragment:
    return frozen({"url": codes.GATEWAY_EXTENSION, "valueReference": {"reference": hub}})
