"""What all resources of one bundle share, and the small parts they are made of.

Everything that does not change from one result to the next is serialised once and copied into the octets: that is
what makes a bundle cost tens of microseconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from gateway.reporting.channels.fhir import codes, names
from gateway.reporting.channels.fhir.settings import Code, FhirSettings
from gateway.reporting.reportable import Provider, ReportableResult, Status, UnreportableError

__all__ = ["Json", "Scene", "coding", "concept", "entry", "meta", "number", "reference", "scene"]

Json = dict[str, Any]

STATUS = {Status.FINAL: "final", Status.CORRECTED: "corrected", Status.RETRACTED: "entered-in-error"}
"""The same three words in Observation.status and DiagnosticReport.status."""
_RESOURCE_ID = re.compile(r"[A-Za-z0-9.-]{1,64}").fullmatch
HTEST = {"system": codes.ACT_REASON, "code": "HTEST", "display": "test health data"}


@dataclass(frozen=True, slots=True)
class Scene:
    """One report as all its resources see it.

    Attributes:
        system: of our identifiers.
        value: the value of the result's identifier.
        search: finds the result by its identifier.
        root: what the references within the bundle begin with.
        is_first: nobody can have been told an earlier version.
        is_test: the whole bundle is marked as test data.
        taken: time of test as dateTime with offset; `released` as instant.
        supplier: reference to whoever reports.
    """

    report: ReportableResult
    settings: FhirSettings
    system: str
    value: str
    search: str
    root: str
    is_first: bool
    is_test: bool
    status: str
    taken: str
    released: str
    subject: orjson.Fragment
    supplier: orjson.Fragment


def scene(report: ReportableResult, settings: FhirSettings) -> Scene:
    """Look at a report as a bundle.

    Raises:
        UnreportableError: an identifier would have no system, or a patient id cannot be what it is said to be.
    """
    system = names.system(settings, report.supplier)
    patient_id = report.patient.provider_patient_id
    value = names.result_value(report.result_id, patient_id)
    return Scene(
        report,
        settings,
        system,
        value,
        names.query("identifier", system, value),
        names.local_root(system, value),
        report.version == 1 and report.status is Status.FINAL,
        report.processing_id == "T",
        STATUS[report.status],
        report.taken_at.isoformat(timespec="seconds"),
        report.released_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        _subject(settings, report.provider, patient_id),
        _supplier(report.supplier.name, report.supplier.npi),
    )


def entry(scene: Scene, full_url: str, kind: str, resource: Json, part: str) -> Json:
    """An entry that makes a resource, or finds the one that an earlier sending made.

    A first version is created unless it is there; a later one takes the place of what is there (R4 3.1.0.8.1 and
    3.1.0.4.3), so that it also arrives where the first never did.

    Args:
        scene: the report.
        full_url: the entry's name within the bundle.
        kind: type of the resource.
        resource: its content.
        part: what its identifier has beyond that of the result.
    """
    if scene.is_first:
        request = {"method": "POST", "url": kind, "ifNoneExist": scene.search + part}
    else:
        request = {"method": "PUT", "url": f"{kind}?{scene.search}{part}"}
    return {"fullUrl": full_url, "resource": resource, "request": request}


@lru_cache(maxsize=64)
def meta(profile: str | None, is_test: bool) -> orjson.Fragment | None:
    """A resource's ``meta``; None where it would be empty, which FHIR forbids."""
    content: Json = {}
    if profile is not None:
        content["profile"] = [profile]
    if is_test:
        content["security"] = [HTEST]
    return frozen(content) if content else None


def frozen(content: object) -> orjson.Fragment:
    """Something serialised once and for all."""
    return orjson.Fragment(orjson.dumps(content))


def number(decimal: str) -> orjson.Fragment:
    """A decimal with every digit that the meter gave: ``2.70`` stays ``2.70``. JSON knows no leading zeros."""
    sign, digits = ("-", decimal[1:]) if decimal.startswith("-") else ("", decimal)
    if digits[0] == "0" and len(digits) > 1 and digits[1] != ".":
        whole, point, fraction = digits.partition(".")
        digits = (whole.lstrip("0") or "0") + point + fraction
    return orjson.Fragment((sign + digits).encode())


def coding(system: str, code: str, display: str = "") -> Json:
    """One coding."""
    return {"system": system, "code": code, "display": display} if display else {"system": system, "code": code}


def concept(*codings: Json, text: str = "") -> Json:
    """A CodeableConcept."""
    return {"coding": list(codings), "text": text} if text else {"coding": list(codings)}


def reference(to: str) -> Json:
    """A reference to an entry of this bundle."""
    return {"reference": to}


@lru_cache(maxsize=1024)
def observation_code(measured: codes.Measured, chosen: Code | None, device_codes: bool) -> orjson.Fragment:
    """What was measured: the receiver's own code and the device's term."""
    device = coding(codes.MDC, measured.term, measured.name)
    if chosen is None:
        return frozen(concept(device, text=measured.text))
    first = coding(chosen.system, chosen.code, chosen.display)
    return frozen(concept(first, *([device] if device_codes else []), text=measured.text))


def order(system: str | None, order_id: str) -> Json:
    """The standing order by the number its giver knows it under: what lets a chart file a result by itself."""
    identifier = {"value": order_id} if system is None else {"system": system, "value": order_id}
    return {"type": "ServiceRequest", "identifier": identifier}


@lru_cache(maxsize=64)
def _supplier(name: str, npi: str | None) -> orjson.Fragment:
    """The supplier by its NPI. It is no resource of ours: the receiver knows with whom it has a contract."""
    named: Json = {"type": "Organization", "display": name}
    if npi is not None:
        named["identifier"] = {"system": codes.NPI, "value": npi}
    return frozen(named)


def _subject(settings: FhirSettings, provider: Provider, patient_id: str) -> orjson.Fragment:
    style = settings.patient_reference
    return _patient(style, "" if style == "literal" else names.patient_system(settings, provider), patient_id)


@lru_cache(maxsize=65536)
def _patient(style: str, system: str, patient_id: str) -> orjson.Fragment:
    if style == "literal":
        if not _RESOURCE_ID(patient_id):
            raise UnreportableError(
                "the provider's patient id is no id of a FHIR resource; set patient_reference in the destination's"
                " settings to logical or conditional"
            )
        return frozen({"reference": f"Patient/{patient_id}"})
    if style == "conditional":
        return frozen({"reference": f"Patient?{names.query('identifier', system, patient_id)}"})
    return frozen({"type": "Patient", "identifier": {"system": system, "value": patient_id}})
