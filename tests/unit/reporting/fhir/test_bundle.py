"""The transaction that a result becomes: what stands where, and under which names it is found again."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.reporting.channels.fhir import CHANNEL, FhirSettings, codes
from gateway.reporting.configuration import Supplier
from gateway.reporting.reportable import ReportableResult, Status, UnreportableError
from gateway.result import DeviceTime, Kind, Meter
from gateway.wire.reading import Origin
from tests.unit.reporting.examples import PATIENT, PROVIDER, reportable
from tests.unit.reporting.fhir.variants import ALL_THREE, VARIANTS, Target, at_home
from tests.unit.reporting.stores import body, quantity

Json = dict[str, Any]
SETTINGS = FhirSettings()


def bundle(report: ReportableResult, settings: FhirSettings = SETTINGS) -> Json:
    content: Json = json.loads(CHANNEL.render(report, settings), parse_float=Decimal)
    return content


def resources(content: Json, kind: str, profile: str = "") -> list[Json]:
    found = [entry["resource"] for entry in content["entry"] if entry["resource"]["resourceType"] == kind]
    return [each for each in found if not profile or profile in each["meta"]["profile"]]


def observation(report: ReportableResult, settings: FhirSettings = SETTINGS) -> Json:
    return resources(bundle(report, settings), "Observation", codes.US_CORE_OBSERVATION)[0]


def test_the_fields_that_decide() -> None:
    content = bundle(at_home(limits=Target(), interpretation=("N",)))
    assert content["type"] == "transaction"
    kinds = [entry["resource"]["resourceType"] for entry in content["entry"]]
    assert kinds == ["Device", "Device", "Observation", "Observation", "DiagnosticReport", "Provenance"]
    device_view, shown = resources(content, "Observation")
    assert shown["identifier"] == [
        {"system": "urn:oid:2.25.1", "value": "0123456789abcdef0123456789abcdef.ef36345b"}
    ]
    assert shown["status"] == "final"
    assert [each["code"] for each in shown["code"]["coding"]] == ["46418-0", "160260"]
    assert shown["subject"] == {
        "type": "Patient",
        "identifier": {"system": "urn:oid:2.25.98", "value": "MRN000001"},
    }
    assert shown["effectiveDateTime"] == "2026-03-14T07:28:00-04:00"
    assert shown["issued"] == "2026-03-14T12:15:09.120Z"
    assert shown["valueQuantity"] == {
        "value": Decimal("2.50"), "unit": "INR", "system": "http://unitsofmeasure.org", "code": "{INR}"
    }  # fmt: skip
    (target,) = shown["referenceRange"]
    assert (str(target["low"]["value"]), str(target["high"]["value"])) == ("2.0", "3.0")
    assert target["text"] == "target 2.0-3.0"
    assert [each["coding"][0]["code"] for each in shown["interpretation"]] == ["N"]
    assert [each["text"] for each in shown["note"]][:2] == ["Patient self-test at home", "Strip lot 564636"]
    names = {entry["fullUrl"]: entry["resource"] for entry in content["entry"]}
    assert names[shown["device"]["reference"]]["serialNumber"] == "SN000123"
    assert names[shown["derivedFrom"][0]["reference"]] == device_view
    assert device_view["identifier"][1] == {
        "system": "http://hl7.org/fhir/uv/phd/StructureDefinition/PhdBaseObservation",
        "value": "ACMESN000123-MRN000001-160260-826788480",
    }
    assert "interpretation" not in device_view
    assert "referenceRange" not in device_view
    (report,) = resources(content, "DiagnosticReport")
    assert [names[each["reference"]] for each in report["result"]] == [shown]
    (provenance,) = resources(content, "Provenance")
    assert [names[each["reference"]]["resourceType"] for each in provenance["target"]] == [
        "Observation",
        "DiagnosticReport",
        "Observation",
    ]
    author, transmitter = provenance["agent"]
    assert names[transmitter["who"]["reference"]]["type"]["coding"][0]["code"] == "531981"
    assert transmitter["onBehalfOf"] == author["who"]


def test_the_guides_own_way_to_count_the_time() -> None:
    """2026-10-22 08:15:00 on the meter is 845972100 s after 2000; -4 h are 16 quarters of an hour."""
    time = DeviceTime(raw="x", local=datetime(2026, 10, 22, 8, 15), utc_offset_min=-240)
    (view,) = resources(bundle(at_home(result=body(device_time=time))), "Observation", codes.PHD_NUMERIC)
    assert view["identifier"][1]["value"].endswith("-160260-845972100-16")


@given(
    st.decimals(min_value=0, max_value=999_999, places=0)
    | st.decimals(min_value=0, max_value=20, places=1)
    | st.decimals(min_value=-9, max_value=20, places=2)
    | st.from_regex(r"\A-?[0-9]{1,9}(\.[0-9]{1,9})?\Z")
)
def test_decimals_keep_every_digit(value: Decimal | str) -> None:
    text = value if isinstance(value, str) else f"{value:f}"
    octets = CHANNEL.render(at_home(result=body(quantity(text))), SETTINGS)
    found = re.findall(rb'"value":(-?[0-9.]+)', octets)
    assert len(found) == 2
    for written in found:
        assert Decimal(written.decode()) == Decimal(text)
        assert written.decode().partition(".")[2] == text.partition(".")[2]
        assert json.loads(written) == float(text)  # it is JSON


@pytest.mark.parametrize(("report", "settings"), VARIANTS.values(), ids=VARIANTS)
def test_the_same_report_gives_the_same_octets(report: ReportableResult, settings: FhirSettings) -> None:
    octets = CHANNEL.render(report, settings)
    again = FhirSettings.model_validate_json(settings.model_dump_json())
    assert CHANNEL.render(replace(report), again) == octets
    names = [entry["fullUrl"] for entry in json.loads(octets)["entry"]]
    assert len(set(names)) == len(names)
    referred = set(re.findall(rb"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}", octets))
    assert referred == {name.encode() for name in names}


@pytest.mark.parametrize(("report", "settings"), VARIANTS.values(), ids=VARIANTS)
def test_every_entry_can_be_sent_again(report: ReportableResult, settings: FhirSettings) -> None:
    for entry in json.loads(CHANNEL.render(report, settings))["entry"]:
        kind, request = entry["resource"]["resourceType"], entry["request"]
        if kind == "Provenance" and settings.provenance == "plain":
            assert request == {"method": "POST", "url": "Provenance"}
            continue
        first = report.version == 1 and report.status is Status.FINAL
        if first or kind in ("Device", "Provenance"):
            assert (request["method"], request["url"]) == ("POST", kind)
            ((name, token),) = parse_qsl(request["ifNoneExist"])
        else:
            assert request["method"] == "PUT"
            ((name, token),) = parse_qsl(request["url"].removeprefix(f"{kind}?"))
        identifiers = (
            [(each["system"], each["code"]) for each in entry["resource"]["meta"]["tag"]]
            if name == "_tag"
            else [(each["system"], each["value"]) for each in entry["resource"]["identifier"]]
        )
        assert tuple(re.sub(r"\\(.)", r"\1", part) for part in re.split(r"(?<!\\)\|", token)) == identifiers[0]


def test_versions_and_resends_share_their_identifiers_and_patients_do_not() -> None:
    def identifiers(report: ReportableResult) -> set[str]:
        return {
            each["value"] for entry in bundle(report)["entry"][2:-1] for each in entry["resource"]["identifier"][:1]
        }

    first = at_home(result=ALL_THREE)
    later = replace(first, version=2, status=Status.CORRECTED)
    assert identifiers(first) == identifiers(later)
    # Withdrawn from one patient and reported anew for another of the same clinic: under one identifier the server
    # would answer the second with the withdrawn one.
    other = replace(first, patient=replace(PATIENT, provider_patient_id="MRN000002"))
    assert identifiers(first).isdisjoint(identifiers(other))


@pytest.mark.parametrize(
    ("status", "kind", "word"),
    [
        (Status.FINAL, Kind.PATIENT, "final"),
        (Status.CORRECTED, Kind.PATIENT, "corrected"),
        (Status.RETRACTED, Kind.PATIENT, "entered-in-error"),
        (Status.RETRACTED, Kind.CONTROL, "entered-in-error"),
    ],
)
def test_the_status_stands_in_every_observation_and_report(status: Status, kind: Kind, word: str) -> None:
    result = body(kind=kind, pt_seconds=quantity("29.6"), quick_percent=quantity("31"))
    content = bundle(at_home(status=status, version=2, result=result))
    told = [each["status"] for each in resources(content, "Observation") + resources(content, "DiagnosticReport")]
    assert told == [word] * 5


@pytest.mark.parametrize(("value", "comparator"), [("8.0", ">"), ("0.80", "<")])
def test_off_the_range_is_never_a_plain_number(value: str, comparator: str) -> None:
    content = bundle(at_home(result=body(quantity(value, comparator))))
    for each in resources(content, "Observation"):
        assert str(each["valueQuantity"]["value"]) == value
        assert each["valueQuantity"]["comparator"] == comparator
    shown = resources(content, "Observation", codes.US_CORE_OBSERVATION)[0]
    assert [each["coding"][0]["code"] for each in shown["interpretation"]] == [comparator]


@pytest.mark.parametrize(
    ("comparator", "text", "reason"),
    [
        (">", "+INF", "positive-infinity"),
        ("<", "-INF", "negative-infinity"),
        (None, "NaN", "not-a-number"),
        (None, "--.-", "as-text"),
    ],
)
def test_without_a_number_there_is_a_reason_and_what_the_meter_wrote(
    comparator: str | None, text: str, reason: str
) -> None:
    shown = observation(at_home(result=body(quantity(None, comparator, text))))
    assert "valueQuantity" not in shown
    assert shown["dataAbsentReason"]["coding"][0]["code"] == reason
    assert shown["dataAbsentReason"]["text"] == text


def test_a_test_is_marked_in_every_resource_and_a_patients_result_in_none() -> None:
    marked = bundle(at_home(processing_id="T", origin=Origin.SIMULATOR))
    for entry in marked["entry"]:
        assert [each["code"] for each in entry["resource"]["meta"]["security"]] == ["HTEST"]
    assert b"HTEST" not in CHANNEL.render(at_home(), SETTINGS)
    first, *_ = observation(at_home(processing_id="T", origin=Origin.SIMULATOR))["note"]
    assert first["text"] == "Test message: not for a patient's chart"


def test_what_a_person_entered_has_neither_hub_nor_the_devices_own_view() -> None:
    meter = Meter(vendor=None, serial=None)
    content = bundle(reportable(origin=Origin.PERSON, result=body(meter=meter, device_time=None), note="by phone"))
    assert resources(content, "Device") == []
    (shown,) = resources(content, "Observation")
    texts = [each["text"] for each in shown["note"]]
    assert texts[0] == "Patient self-test at home, entered by hand"
    assert "by phone" in texts
    assert "device" not in shown


def test_the_patient_as_the_server_wants_to_be_told() -> None:
    literal = observation(at_home(), FhirSettings(patient_reference="literal"))
    assert literal["subject"] == {"reference": "Patient/MRN000001"}
    stranger = at_home(patient=replace(PATIENT, provider_patient_id="../Practitioner/1"))
    with pytest.raises(UnreportableError, match="no id of a FHIR resource; set patient_reference"):
        CHANNEL.render(stranger, FhirSettings(patient_reference="literal"))
    conditional = observation(at_home(), FhirSettings(patient_reference="conditional"))
    assert conditional["subject"] == {"reference": "Patient?identifier=urn:oid:2.25.98|MRN000001"}


def test_no_system_for_an_identifier_is_told_with_the_remedy() -> None:
    with pytest.raises(UnreportableError, match="set identifier_system"):
        CHANNEL.render(at_home(supplier=Supplier()), SETTINGS)
    with pytest.raises(UnreportableError, match="set patient_identifier_system"):
        CHANNEL.render(at_home(provider=replace(PROVIDER, facility="CLINIC")), SETTINGS)


@pytest.mark.parametrize("origin", [Origin.SIMULATOR, Origin.REPLAY])
def test_what_is_simulated_is_never_rendered_as_production(origin: Origin) -> None:
    with pytest.raises(UnreportableError, match=origin.value):
        CHANNEL.render(at_home(origin=origin), SETTINGS)


@pytest.mark.parametrize("kind", [Kind.CONTROL, Kind.CALIBRATION, Kind.ERROR, Kind.TEST])
def test_only_patient_results_are_rendered(kind: Kind) -> None:
    with pytest.raises(UnreportableError, match="never reported"):
        CHANNEL.render(at_home(result=body(kind=kind)), SETTINGS)


@given(
    name=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30),
    note=st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
)
def test_any_text_arrives_as_it_was(name: str, note: str) -> None:
    report = at_home(note=note, patient=replace(PATIENT, provider_patient_id=name))
    content = bundle(report)
    (shown, *_) = resources(content, "Observation", codes.US_CORE_OBSERVATION)
    assert shown["subject"]["identifier"]["value"] == name
    assert not note or note in [each["text"] for each in shown["note"]]


def test_what_is_heavy_is_imported_when_it_is_used() -> None:
    program = (
        "import sys, gateway.reporting.channels.fhir\n"
        "print(sorted({'cryptography', 'httpx', 'jwt', 'orjson'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"
