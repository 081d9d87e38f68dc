"""Every resource we make, before two validators that others wrote and our own rules; and the judges judged."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway.reporting.channels.fhir import CHANNEL, FhirSettings, codes
from gateway.reporting.reportable import ReportableResult
from tests.unit.reporting.fhir import node
from tests.unit.reporting.fhir.judges import Json, Medplum, Pyrofile, as_stored, own
from tests.unit.reporting.fhir.variants import VARIANTS, Target, at_home

Judge = Callable[[Json], list[str]]


@pytest.fixture(scope="module")
def pyrofile(tmp_path_factory: pytest.TempPathFactory) -> Pyrofile:
    node.wanted()
    return Pyrofile(tmp_path_factory.mktemp("definitions"))


@pytest.fixture(scope="module")
def medplum() -> Iterator[Medplum]:
    judge = Medplum()
    yield judge
    judge.close()


@pytest.fixture(scope="module")
def passed() -> set[str]:
    """Resources that were found sound: devices and the like are the same in many reports."""
    return set()


@pytest.mark.parametrize(("report", "settings"), VARIANTS.values(), ids=VARIANTS)
def test_every_resource_passes_all_judges(
    pyrofile: Judge, medplum: Judge, passed: set[str], report: ReportableResult, settings: FhirSettings
) -> None:
    for resource in as_stored(json.loads(CHANNEL.render(report, settings))):
        text = json.dumps(resource)
        if text in passed:
            continue
        for judge in (pyrofile, medplum, own):
            assert judge(resource) == []
        passed.add(text)


@pytest.mark.parametrize("name", ["with PT and Quick", "retracted"])
def test_the_transaction_as_a_whole_passes(pyrofile: Judge, name: str) -> None:
    report, settings = VARIANTS[name]
    assert pyrofile(json.loads(CHANNEL.render(report, settings))) == []


# ---------------------------------------------------------------- the judges themselves


def sound() -> Json:
    """One INR report as a server keeps it."""
    report = at_home(limits=Target(), interpretation=("N",))
    resources = as_stored(json.loads(CHANNEL.render(report, FhirSettings())))
    return next(each for each in resources if codes.US_CORE_OBSERVATION in each.get("meta", {}).get("profile", []))


def without(*names: str) -> Callable[[Json], None]:
    def spoil(resource: Json) -> None:
        for name in names:
            del resource[name]

    return spoil


def having(**changes: Any) -> Callable[[Json], None]:
    return lambda resource: resource.update(changes)


def with_value(**changes: Any) -> Callable[[Json], None]:
    return lambda resource: resource["valueQuantity"].update(changes)


ABSENT = {"coding": [{"system": codes.DATA_ABSENT, "code": "error"}]}

DEFECTS: dict[str, Callable[[Json], None]] = {
    "no status": without("status"),
    "no code": without("code"),
    "status done": having(status="done"),
    "unknown element": having(dosage="5 mg"),
    "value and reason for none (obs-6)": having(dataAbsentReason=ABSENT),
    "date as 22/10/2026": having(effectiveDateTime="22/10/2026"),
    "time without offset": having(effectiveDateTime="2026-10-22T08:15:00"),
    "value as a string": with_value(value="2.7"),
    "comparator =>": with_value(comparator="=>"),
    "two values": having(valueString="2.7"),
    "quantity code without system (qty-3)": lambda resource: resource["valueQuantity"].pop("system"),
    "empty reference range (obs-3)": having(referenceRange=[{}]),
    "subject is a medication": having(subject={"reference": "Medication/1"}),
    "category is no list": having(category={"coding": [{"code": "laboratory"}]}),
    "empty list": having(note=[]),
    "null": having(issued=None),
    "component with the code of the whole (obs-7)": lambda resource: resource.update(
        component=[{"code": copy.deepcopy(resource["code"]), "valueQuantity": {"value": 1}}]
    ),
    "no UCUM unit": with_value(code="INR"),
}


@pytest.mark.parametrize("spoil", DEFECTS.values(), ids=DEFECTS)
def test_every_defect_is_caught(pyrofile: Judge, medplum: Judge, spoil: Callable[[Json], None]) -> None:
    resource = sound()
    assert own(resource) == medplum(resource) == pyrofile(resource) == []
    spoil(resource)
    assert own_if_it_can(resource) + medplum(resource) + pyrofile(resource) != []


def own_if_it_can(resource: Json) -> list[str]:
    """Our own judge reads sound structure; what is none it leaves to the others."""
    try:
        return own(resource)
    except (AttributeError, TypeError):
        return []


def claiming(profile: str) -> Json:
    report = at_home(limits=Target(), interpretation=("N",))
    resources = as_stored(json.loads(CHANNEL.render(report, FhirSettings())))
    return copy.deepcopy(next(each for each in resources if profile in each.get("meta", {}).get("profile", [])))


PROFILE_DEFECTS: dict[str, tuple[str, Callable[[Json], Any]]] = {
    "no laboratory": (codes.US_CORE_OBSERVATION, having(category=[])),
    "no subject": (codes.US_CORE_OBSERVATION, without("subject")),
    "year only (us-core-1)": (codes.US_CORE_OBSERVATION, having(effectiveDateTime="2026")),
    "nothing said (us-core-2)": (codes.US_CORE_OBSERVATION, without("valueQuantity")),
    "unit of the device (us-core-3)": (codes.US_CORE_OBSERVATION, with_value(system=codes.MDC)),
    "range without system (us-core-22)": (
        codes.US_CORE_OBSERVATION,
        lambda resource: resource["referenceRange"][0]["low"].pop("system"),
    ),
    "two LOINC codes": (
        codes.US_CORE_OBSERVATION,
        lambda resource: resource["code"]["coding"].append({"system": "http://loinc.org", "code": "6301-6"}),
    ),
    "report without issued": (codes.US_CORE_REPORT, without("issued")),
    "report without time of test": (codes.US_CORE_REPORT, without("effectiveDateTime")),
    "report without category": (codes.US_CORE_REPORT, without("category")),
    "report without results": (codes.US_CORE_REPORT, without("result")),
    "hub on nobody's behalf": (codes.US_CORE_PROVENANCE, lambda resource: resource["agent"][1].pop("onBehalfOf")),
    "no author": (codes.US_CORE_PROVENANCE, lambda resource: resource["agent"].pop(0)),
    "device's view with high or low": (
        codes.PHD_NUMERIC,
        having(interpretation=[{"coding": [{"system": codes.INTERPRETATION, "code": "H"}]}]),
    ),
    "device's view without gateway": (codes.PHD_NUMERIC, without("extension")),
    "device's view without device": (codes.PHD_NUMERIC, without("device")),
    "device's view as laboratory": (codes.PHD_NUMERIC, having(category=[])),
    "meter without model": (codes.PHD_DEVICE, without("modelNumber")),
    "meter without version": (codes.PHD_DEVICE, without("version")),
    "hub without identifier": (codes.PHD_GATEWAY, without("identifier")),
}


@pytest.mark.parametrize(("profile", "spoil"), PROFILE_DEFECTS.values(), ids=PROFILE_DEFECTS)
def test_every_breach_of_a_profile_is_caught(profile: str, spoil: Callable[[Json], Any]) -> None:
    resource = claiming(profile)
    assert own(resource) == []
    spoil(resource)
    assert own(resource) != []
