"""A result as one FHIR R4 transaction: all of it is stored, or nothing."""

from __future__ import annotations

from typing import Any

import orjson

from gateway.reporting.channels.fhir import codes, devices, names
from gateway.reporting.channels.fhir.observations import DEVICE_PART, device_observation, report_observation
from gateway.reporting.channels.fhir.scene import (
    HTEST,
    Json,
    Scene,
    coding,
    concept,
    entry,
    frozen,
    meta,
    observation_code,
    order,
    reference,
    scene,
)
from gateway.reporting.channels.fhir.settings import FhirSettings
from gateway.reporting.notes import notes
from gateway.reporting.reportable import ReportableResult, Status, UnreportableError
from gateway.result import Kind
from gateway.wire.reading import Origin

__all__ = ["render"]

LAB = frozen([concept(coding(codes.REPORT_CATEGORY, "LAB", "Laboratory"))])
AUTHOR = frozen(concept(coding(codes.AUTHOR, "author", "Author")))
TRANSMITTER = frozen(concept(coding(codes.TRANSMITTER, "transmitter", "Transmitter")))
ACTIVITY = {
    status: frozen(concept(coding(codes.DATA_OPERATION, code)))
    for status, code in ((Status.FINAL, "CREATE"), (Status.CORRECTED, "UPDATE"), (Status.RETRACTED, "NULLIFY"))
}
BUNDLE = {"resourceType": "Bundle", "type": "transaction"}


def render(report: ReportableResult, settings: FhirSettings) -> bytes:
    """The report as a transaction Bundle in JSON: meter, hub, observations, report and provenance.

    The same report and settings give the same octets. Every resource but Provenance is found again by an identifier
    of ours, so that sending the octets twice leaves one of each.

    Raises:
        UnreportableError: not a patient result, one without an INR, or an identifier would have no system.
    """
    result = report.result
    if result.inr is None or (result.kind is not Kind.PATIENT and report.status is not Status.RETRACTED):
        raise UnreportableError(f"a {result.kind.value} record without patient INR is never reported")
    if report.processing_id == "P" and report.origin in (Origin.SIMULATOR, Origin.REPLAY):
        raise UnreportableError(f"a result of origin {report.origin.value} never goes out as production")
    seen = scene(report, settings)
    entries: list[Any] = []
    meter, hub = devices.meter(seen), devices.hub(seen)
    entries += [device[1] for device in (meter, hub) if device is not None]
    meter_url, hub_url = (None if device is None else device[0] for device in (meter, hub))
    told = [{"text": note} for note in notes(report)]
    targets: list[Json] = []
    shown: list[Json] = []
    quantities = ((codes.INR, result.inr), (codes.PT, result.pt_seconds), (codes.QUICK, result.quick_percent))
    for measured, quantity in quantities:
        if quantity is None:
            continue
        own_url = None
        wanted = settings.device_observations == "all" or (
            measured is codes.INR and settings.device_observations == "inr"
        )
        if wanted and meter_url is not None and hub_url is not None:
            own_url = f"{seen.root}0000000000{measured.number}d"
            resource = device_observation(seen, measured, quantity, meter_url, hub_url)
            entries.append(entry(seen, own_url, "Observation", resource, measured.part + DEVICE_PART))
            targets.append(reference(own_url))
        url = f"{seen.root}0000000000{measured.number}0"
        resource = report_observation(
            seen, measured, quantity, meter=meter_url, hub=hub_url, seen_by_device=own_url, notes=told
        )
        entries.append(entry(seen, url, "Observation", resource, measured.part))
        shown.append(reference(url))
    report_url = f"{seen.root}000000000000"
    entries.append(entry(seen, report_url, "DiagnosticReport", _report(seen, shown), ""))
    if settings.provenance != "none":
        entries.append(_provenance(seen, [*shown, reference(report_url), *targets], hub_url))
    return orjson.dumps(BUNDLE | {"entry": entries})


def _report(scene: Scene, shown: list[Json]) -> Json:
    """US Core DiagnosticReport for laboratory results: time of test and of release are required when final."""
    settings, report = scene.settings, scene.report
    resource: Json = {"resourceType": "DiagnosticReport"}
    about = meta(codes.US_CORE_REPORT if settings.profiles else None, scene.is_test)
    if about is not None:
        resource["meta"] = about
    resource["identifier"] = [{"system": scene.system, "value": scene.value}]
    if report.order_id:
        resource["basedOn"] = [order(settings.order_identifier_system, report.order_id)]
    return resource | {
        "status": scene.status,
        "category": LAB,
        "code": observation_code(codes.INR, settings.inr, settings.device_codes),
        "subject": scene.subject,
        "effectiveDateTime": scene.taken,
        "issued": scene.released,
        "performer": [scene.supplier],
        "result": shown,
    }


def _provenance(scene: Scene, targets: list[Json], hub_url: str | None) -> Json:
    """Who made it and through what it came (US Core Provenance: author, transmitter on behalf of the supplier)."""
    tag = f"{scene.value}.v{scene.report.version}"
    about: Json = {"profile": [codes.US_CORE_PROVENANCE]} if scene.settings.profiles else {}
    if scene.is_test:
        about["security"] = [HTEST]
    request = {"method": "POST", "url": "Provenance"}
    if scene.settings.provenance == "tagged":
        about["tag"] = [coding(scene.system, tag)]
        request["ifNoneExist"] = names.query("_tag", scene.system, tag)
    transmitter = scene.supplier if hub_url is None else reference(hub_url)
    resource = {
        "resourceType": "Provenance",
        **({"meta": about} if about else {}),
        "target": targets,
        "occurredDateTime": scene.taken,
        "recorded": scene.released,
        "activity": ACTIVITY[scene.report.status],
        "agent": [
            {"type": AUTHOR, "who": scene.supplier},
            {"type": TRANSMITTER, "who": transmitter, "onBehalfOf": scene.supplier},
        ],
    }
    return {"fullUrl": f"{scene.root}00000000000f", "resource": resource, "request": request}
