"""Three independent judges of FHIR resources: Pyrofile and Medplum with the official R4 definitions, and our own.

Each returns a list of complaints; the first two were written by others and know nothing of us. What both cannot
see (a unit without its system, codes that are no units, must-haves of US Core and of the device guide) is ours.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from gateway.reporting.channels.fhir import codes
from tests.unit.reporting.fhir import node

Json = dict[str, Any]

KINDS: Final = ("Bundle", "Device", "DiagnosticReport", "Observation", "Patient", "Provenance")
UCUM_CODES: Final = frozenset({"{INR}", "1", "{ratio}", "s", "%"})
"""Checked against a UCUM implementation; ``INR``, ``[INR]`` and ``sec`` are none."""
HARMLESS: Final = frozenset(
    {
        "invariant.dom-6",  # a narrative is good practice, no rule
        "profile.unknown",  # US Core and the device guide are judged by `own`
        "modifierExtension.present",  # says so of every Observation.status, which is a modifier element
        "terminology.extensible",  # US Core's own code for a transmitter, which it demands
        "profile.element.binding.extensible",
    }
)
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def as_stored(bundle: Json) -> list[Json]:
    """The resources of a transaction as a server keeps them: references within the bundle are resolved."""
    places = {
        entry["fullUrl"]: f"{entry['resource']['resourceType']}/r{number}"
        for number, entry in enumerate(bundle["entry"])
    }
    text = json.dumps(bundle)
    for name, place in places.items():
        text = text.replace(json.dumps({"reference": name})[1:-1], json.dumps({"reference": place})[1:-1])
    return [entry["resource"] for entry in json.loads(text)["entry"]]


class Pyrofile:
    """pyrofile-validator with those R4 definitions that our resources need, in one folder."""

    def __init__(self, folder: Path) -> None:
        from pyrofile_validator import Validator
        from pyrofile_validator.config import TerminologyConfig, ValidatorConfig

        for number, definition in enumerate(_definitions()):
            (folder / f"{number}.json").write_text(json.dumps(definition), encoding="utf-8")
        self._validator = Validator(
            ValidatorConfig(
                fhir_version="4.0.1",
                local_package_paths=[str(folder)],
                terminology=TerminologyConfig(mode="local"),
            )
        )

    def __call__(self, resource: Json) -> list[str]:
        issues = self._validator.validate_resource(resource).issues
        return [f"{each.code}: {each.message} ({each.path})" for each in issues if each.code not in HARMLESS]


def _definitions() -> Iterator[Json]:
    """Types, our kinds of resource, and every value set and code system they lead to."""
    chosen = list(_bundle("profiles-types"))
    chosen += [
        each
        for each in _bundle("profiles-resources")
        if each["resourceType"] == "StructureDefinition"
        and each["type"] in (*KINDS, "Resource", "DomainResource")
        and each.get("derivation") != "constraint"
    ]
    chosen += [each for each in _bundle("extension-definitions") if each.get("url") == codes.GATEWAY_EXTENSION]
    terms = {each.get("url"): each for name in ("valuesets", "v3-codesystems") for each in _bundle(name)}
    left = {url for each in chosen for url in _value_sets(each)}
    seen: set[str] = set()
    while left:
        url = left.pop()
        term = terms.get(url)
        if term is None or url in seen:
            continue
        seen.add(url)
        chosen.append(term)
        for part in term.get("compose", {}).get("include", []):
            left.update(part.get("valueSet", []))
            left.update([part["system"]] if "system" in part else [])
    yield from chosen


def _bundle(name: str) -> Iterator[Json]:
    content = json.loads((node.DEFINITIONS / f"{name}.json").read_text(encoding="utf-8"))
    return (entry["resource"] for entry in content["entry"])


def _value_sets(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        if isinstance(content.get("valueSet"), str):
            yield content["valueSet"].partition("|")[0]
        content = list(content.values())
    if isinstance(content, list):
        for part in content:
            yield from _value_sets(part)


class Medplum:
    """Medplum's validator as one process that is asked line by line."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] = node.begin("validate.mjs")
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def __call__(self, resource: Json) -> list[str]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(resource) + "\n")
        stdin.flush()
        return [f"{severity}: {text}" for severity, text in json.loads(stdout.readline())]

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


# ---------------------------------------------------------------- our own


def own(resource: Json) -> list[str]:
    """What the other two miss: units, and the must-haves of the profiles that a resource claims or ought to."""
    found = list(_quantities(resource))
    profiles = resource.get("meta", {}).get("profile", [])
    found += [f"empty {place}" for place in _empty(resource, resource.get("resourceType", "?"))]
    for profile, judge in _PROFILES.items():
        if profile in profiles:
            found += judge(resource)
    return found


def _quantities(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        if "code" in content and ("value" in content or "unit" in content):
            if not content.get("system"):
                yield "a quantity with a code but no system (qty-3)"
            elif content["system"] == codes.UCUM and content["code"] not in UCUM_CODES:
                yield f"{content['code']!r} is no UCUM unit of ours"
        content = list(content.values())
    if isinstance(content, list):
        for part in content:
            yield from _quantities(part)


def _empty(content: Any, place: str) -> Iterator[str]:
    if content is None or content in ("", [], {}):
        yield place
    elif isinstance(content, dict):
        for name, part in content.items():
            yield from _empty(part, f"{place}.{name}")
    elif isinstance(content, list):
        for part in content:
            yield from _empty(part, place)


def _codings(concept: Any) -> list[tuple[str | None, str | None]]:
    return [(each.get("system"), each.get("code")) for each in (concept or {}).get("coding", [])]


def _us_core_observation(resource: Json) -> list[str]:
    found = []
    laboratory = (codes.OBSERVATION_CATEGORY, "laboratory")
    if sum(laboratory in _codings(each) for each in resource.get("category", [])) != 1:
        found.append("not exactly one category laboratory")
    if "subject" not in resource:
        found.append("no subject")
    if not _DATE_TIME.fullmatch(resource.get("effectiveDateTime", "")):
        found.append("no time of test with offset (us-core-1)")
    if "valueQuantity" not in resource and "dataAbsentReason" not in resource:
        found.append("neither value nor reason (us-core-2)")
    if resource.get("valueQuantity", {"system": codes.UCUM}).get("system") != codes.UCUM:
        found.append("value not in UCUM (us-core-3)")
    for reference in resource.get("referenceRange", []):
        for limit in (reference.get("low"), reference.get("high")):
            if limit is not None and limit.get("system") != codes.UCUM:
                found.append("range not in UCUM (us-core-22)")
    systems = [system for system, _ in _codings(resource.get("code"))]
    if systems.count("http://loinc.org") > 1:
        found.append("more than one LOINC code contradict each other in the specimen")
    return found


def _us_core_report(resource: Json) -> list[str]:
    found = []
    if not any(("http://terminology.hl7.org/CodeSystem/v2-0074", "LAB") in _codings(each) for each in
               resource.get("category", [])):  # fmt: skip
        found.append("no category LAB")
    found += [
        f"no {name} (us-core-8, us-core-9)"
        for name in ("effectiveDateTime", "issued", "subject")
        if name not in resource
    ]
    if not resource.get("result"):
        found.append("no result")
    return found


def _us_core_provenance(resource: Json) -> list[str]:
    found = [f"no {name}" for name in ("target", "recorded", "agent") if not resource.get(name)]
    kinds = [pair for agent in resource.get("agent", []) for pair in _codings(agent.get("type"))]
    if (codes.AUTHOR, "author") not in kinds:
        found.append("no author")
    if (codes.TRANSMITTER, "transmitter") not in kinds:
        found.append("no transmitter")
    for agent in resource.get("agent", []):
        who = agent.get("who", {}).get("reference", "")
        if who.startswith(("Device/", "Practitioner/")) and "onBehalfOf" not in agent:
            found.append("a device that acts on nobody's behalf (provenance-1)")
    return found


def _device_observation(resource: Json) -> list[str]:
    found = []
    through = [each for each in resource.get("extension", []) if each.get("url") == codes.GATEWAY_EXTENSION]
    if len(through) != 1:
        found.append("not exactly one gateway")
    if sum((codes.PHD_CATEGORY, "phd") in _codings(each) for each in resource.get("category", [])) != 1:
        found.append("not exactly one category phd")
    found += [f"no {name}" for name in ("subject", "effectiveDateTime") if name not in resource]
    if not resource.get("device", {}).get("reference"):
        found.append("no device")
    if not any(system == codes.MDC for system, _ in _codings(resource.get("code"))):
        found.append("no term of IEEE 11073-10101 (mdc-1)")
    for concept in resource.get("interpretation", []):
        if not any(system and system.endswith("/measurement-status") for system, _ in _codings(concept)):
            found.append("an interpretation that is no measurement status")
    quantity = resource.get("valueQuantity", {"value": 1, "system": codes.UCUM, "code": "1"})
    found += [f"no {name} of the value" for name in ("value", "system", "code") if name not in quantity]
    if "valueQuantity" not in resource and "dataAbsentReason" not in resource:
        found.append("neither value nor reason")
    return found


def _device(resource: Json) -> list[str]:
    found = [
        f"no {name}"
        for name in ("identifier", "manufacturer", "modelNumber", "type", "specialization", "version")
        if not resource.get(name)
    ]
    if (codes.MDC, "65573") not in _codings(resource.get("type")):
        found.append("not of the type of a device")
    found += [
        "a specialisation without version" for each in resource.get("specialization", []) if "version" not in each
    ]
    return found


def _gateway(resource: Json) -> list[str]:
    found = [f"no {name}" for name in ("identifier", "type", "version") if not resource.get(name)]
    if (codes.MDC, "531981") not in _codings(resource.get("type")):
        found.append("not of the type of a gateway")
    return found


_PROFILES: Final = {
    codes.US_CORE_OBSERVATION: _us_core_observation,
    codes.US_CORE_REPORT: _us_core_report,
    codes.US_CORE_PROVENANCE: _us_core_provenance,
    codes.PHD_NUMERIC: _device_observation,
    codes.PHD_DEVICE: _device,
    codes.PHD_GATEWAY: _gateway,
}
