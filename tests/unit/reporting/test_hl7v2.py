"""ORU^R01: judged by hl7apy in strict mode, by our own lint for what hl7apy misses, and field by field."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hl7apy.parser import parse_message
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.clock import Quality
from gateway.reporting.channels.hl7v2 import CHANNEL, Hl7v2Settings
from gateway.reporting.channels.hl7v2_answer import MEANINGS
from gateway.reporting.channels.hl7v2_parts import escape
from gateway.reporting.notes import TIME_WORDS
from gateway.reporting.reportable import ReportableResult, Status, UnreportableError
from gateway.result import Kind, Meter, Quantity
from gateway.wire.reading import Origin
from tests.unit.reporting.examples import PATIENT, reportable
from tests.unit.reporting.fhir import node
from tests.unit.reporting.lint import (
    ABNORMAL_FLAGS,
    OBSERVATION_STATUS,
    ORDER_STATUS,
    PROCESSING,
    judges,
    lint,
    segments,
    unescape,
)
from tests.unit.reporting.stores import body, quantity
from tests.unit.reporting.variants import VARIANTS


def render(report: ReportableResult, **wanted: Any) -> bytes:
    return CHANNEL.render(report, Hl7v2Settings(**wanted))


def only(octets: bytes, name: str) -> list[list[str]]:
    return [row for row in segments(octets) if row[0] == name]


@pytest.mark.parametrize("report", VARIANTS.values(), ids=VARIANTS)
def test_every_variant_passes_both_judges(report: ReportableResult) -> None:
    octets = render(report)
    assert judges(octets) == ()
    assert render(report) == octets


def test_the_fields_that_decide() -> None:
    octets = render(reportable())
    header, patient, order, request, observation = segments(octets)[:5]
    assert header[3:7] == ["INR-GATEWAY^2.25.1^ISO", "HOME-INR", "EHR^2.25.99^ISO", "CLINIC^2.25.98^ISO"]
    assert header[7] == "20260314121509.120+0000"
    assert header[9:13] == ["ORU^R01^ORU_R01", "ABCDEFGHIJKLMNOPQRST", "P", "2.5.1"]
    assert len(header) == 13  # nothing in MSH-15, MSH-16, MSH-18
    assert patient[3] == "MRN000001^^^CLINIC&2.25.98&ISO^MR"
    assert patient[5:9] == ["Doe^Jane^^^^^L", "", "19480318", "F"]
    assert order[1] == "RE"
    assert order[3] == request[3] == "0123456789abcdef0123456789abcdef^INR-GATEWAY^2.25.1^ISO"
    assert order[12].startswith("1234567893^Riverside Anticoagulation Clinic^")
    assert request[4].startswith("46418-0^INR in Capillary blood by Coagulation assay^LN")
    assert request[7] == observation[14] == observation[19] == "20260314072800-0400"
    assert request[25] == "F"
    assert observation[2] == "NM"
    assert observation[5] == "2.50"  # the meter's own digits
    assert observation[6] == "{INR}^INR^UCUM"
    assert observation[8] == ""
    assert observation[11] == "F"
    assert observation[18] == "SN000123^ACME HomeINR"
    notes = [row[3] for row in only(octets, "NTE")]
    assert notes == [
        "Patient self-test at home",
        "Strip lot 564636",
        "Time of test: meter clock checked, known within 2 min",
    ]


@pytest.mark.parametrize(("value", "comparator"), [("8.0", ">"), ("0.80", "<")])
def test_off_the_range_is_never_a_plain_number(value: str, comparator: str) -> None:
    (observation,) = only(render(reportable(result=body(quantity(value, comparator)))), "OBX")
    assert observation[2] == "SN"
    assert observation[5] == f"{comparator}^{value}"
    assert observation[8] == comparator


def test_a_value_without_a_limit_stays_what_the_meter_wrote() -> None:
    (observation,) = only(render(reportable(result=body(quantity(None, ">", "+INF")))), "OBX")
    assert observation[2] == "ST"
    assert observation[5] == "+INF"
    assert observation[8] == ">"


@pytest.mark.parametrize(
    ("status", "kind", "observation", "order"),
    [
        (Status.FINAL, Kind.PATIENT, "F", "F"),
        (Status.CORRECTED, Kind.PATIENT, "C", "C"),
        (Status.RETRACTED, Kind.PATIENT, "W", "C"),
        (Status.RETRACTED, Kind.CONTROL, "D", "C"),
    ],
)
def test_the_status_stands_in_every_observation(status: Status, kind: Kind, observation: str, order: str) -> None:
    result = body(kind=kind, pt_seconds=quantity("29.6"), quick_percent=quantity("31"))
    octets = render(reportable(status=status, result=result))
    assert [row[11] for row in only(octets, "OBX")] == [observation] * 3
    assert [row[3].partition("^")[0] for row in only(octets, "OBX")] == ["46418-0", "46417-2", "160268"]
    assert only(octets, "OBR")[0][25] == order


def test_a_test_message_says_so() -> None:
    octets = render(reportable(processing_id="T", origin=Origin.SIMULATOR))
    assert segments(octets)[0][11] == "T"
    assert only(octets, "NTE")[0][3] == "Test message: not for a patient's chart"


@pytest.mark.parametrize("origin", [Origin.SIMULATOR, Origin.REPLAY])
def test_what_is_simulated_is_never_rendered_as_production(origin: Origin) -> None:
    with pytest.raises(UnreportableError, match=origin.value):
        render(reportable(origin=origin))


@pytest.mark.parametrize("kind", [Kind.CONTROL, Kind.CALIBRATION, Kind.ERROR, Kind.TEST])
def test_only_patient_results_are_rendered(kind: Kind) -> None:
    with pytest.raises(UnreportableError, match=kind.value):
        render(reportable(result=body(kind=kind)))


def test_a_destination_may_want_another_code() -> None:
    code = "6301-6^INR in Platelet poor plasma by Coagulation assay^LN"
    octets = render(reportable(), inr=code, device_codes=False)
    assert judges(octets) == ()
    assert only(octets, "OBX")[0][3] == only(octets, "OBR")[0][4] == code


def test_a_destination_may_want_other_units_identifiers_and_a_profile() -> None:
    octets = render(
        reportable(order_id="ORD|7"),
        inr_unit="",
        patient_authority="HOSP^2.25.7^ISO",
        patient_id_type="PI",
        order_authority="EHR^2.25.9^ISO",
        section="POC",
        profile="^^2.16.840.1.113883.9.17^ISO",
    )
    assert judges(octets) == ()
    header, patient, order, request, observation = segments(octets)[:5]
    assert header[18:22] == ["", "", "", "^^2.16.840.1.113883.9.17^ISO"]
    assert patient[3] == "MRN000001^^^HOSP&2.25.7&ISO^PI"
    assert order[2] == request[2] == r"ORD\F\7^EHR^2.25.9^ISO"
    assert request[24] == "POC"
    assert observation[6] == ""


def test_known_limits_are_told_with_what_they_say_unless_the_receiver_wants_none() -> None:
    report = VARIANTS["critical and off the range"]
    octets = render(report)
    assert [row[7:9] for row in only(octets, "OBX")] == [["2.0-3.0", "HH~>"], ["", ""]]
    assert [row[7:9] for row in only(render(report, flags=False), "OBX")] == [["", ">"], ["", ""]]


@pytest.mark.parametrize(
    "wanted",
    [
        {"inr": "a|b"},
        {"inr": "a^b^c^d"},
        {"inr": ""},
        {"inr_unit": "{INR}\r"},
        {"profile": "x|y"},
        {"section": "lab"},
        {"patient_authority": "only^two"},
        {"colour": "red"},
        {"pause_s": -1},
    ],
)
def test_a_setting_that_would_break_the_message_is_refused(wanted: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Hl7v2Settings(**wanted)


def leaf(element: Any) -> str:
    """The text of the first subcomponent, as hl7apy keeps it: still escaped."""
    while len(element.children):
        element = element.children[0]
    return str(getattr(element.value, "value", element.value))


# hl7apy drops blanks at the ends of a segment, so the texts have none there.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40).map(str.strip).filter(bool)


@settings(max_examples=40, deadline=None)
@given(family=texts, patient_id=texts, serial=texts, lot=texts)
def test_any_text_comes_back_from_an_independent_parser(
    family: str, patient_id: str, serial: str, lot: str
) -> None:
    report = reportable(
        patient=replace(PATIENT, family_name=family, provider_patient_id=patient_id),
        result=body(strip_lot=lot, meter=Meter(vendor="ACME", serial=serial)),
    )
    octets = render(report)
    assert lint(octets) == []
    message = parse_message(octets.decode(), find_groups=False)
    assert unescape(leaf(message.pid.pid_5.pid_5_1.fn_1)) == family
    assert unescape(leaf(message.pid.pid_3.pid_3_1)) == patient_id
    assert unescape(leaf(message.obx.obx_18.obx_18_1)) == serial
    assert unescape(leaf(message.nte[1].nte_3)) == f"Strip lot {lot}"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_escaped_text_holds_no_delimiter_and_comes_back(text: str) -> None:
    escaped = escape(text)
    assert not set(escaped) & set("|^~&\r\n\x0b\x1c")
    assert unescape(escaped) == text


DEFECTS = {
    "observation before its request": ("OBR|", "ZBR|"),
    "unknown segment": ("NTE|1|", "ZZX|1|"),
    "word as number": ("|2.50|", "|high|"),
    "comparator in a number": ("|2.50|", "|>8.0|"),
    "unknown flag": ("UCUM|||||F", "UCUM||QQ|||F"),
    "unknown status": ("UCUM|||||F", "UCUM|||||Q"),
    "no structure": ("ORU^R01^ORU_R01", "ORU^R01"),
    "asks for two acknowledgements": ("|P|2.5.1", "|P|2.5.1|||AL|AL"),
    "no offset": ("20260314072800-0400", "20260314072800"),
    "bare escape": ("|Doe^", "|D\\oe^"),
    "line feeds": ("\r", "\n"),
    "both ends of a line": ("\r", "\r\n"),
    "no end of the last segment": ("within 2 min\r", "within 2 min"),
    "control id too long": ("ABCDEFGHIJKLMNOPQRST", "ABCDEFGHIJKLMNOPQRSTU"),
    "control id with a blank": ("ABCDEFGHIJKLMNOPQRST", "ABC EFGH"),
    "unknown version": ("|P|2.5.1", "|P|2.4"),
    "a number twice": ("NTE|2|", "NTE|1|"),
    "letters outside ASCII, unsaid": ("|Doe^", "|D\N{LATIN SMALL LETTER O WITH STROKE}e^"),
    "observation after the notes of another": ("NTE|3|", "OBR|3|"),
}


@pytest.mark.parametrize(("good", "bad"), DEFECTS.values(), ids=DEFECTS)
def test_the_lint_sees_defects(good: str, bad: str) -> None:
    text = render(reportable()).decode()
    assert good in text
    assert lint(text.replace(good, bad).encode()) != []


FOR_HL7APY = {
    "no status of the observation": ("UCUM|||||F|", "UCUM||||||"),
    "a field too few": ("|UNSHIFTED|", "|"),
    "a month that is none": ("|20260314121509", "|20261314121509"),
    "an hour that is none": ("|||20260314072800", "|||20260314252800"),
    "no request": ("OBR|1", "ZZZ|1"),
    "no patient id": ("MRN000001^^^CLINIC&2.25.98&ISO^MR", ""),
    "no name": ("Doe^Jane^^^^^L", ""),
    "another event": ("ORU^R01^ORU_R01", "ORU^R99^ORU_R99"),
    "components too many": ("|19480318|F", "|19480318|F^a^b^c^d^e^f^g^h^i^j^k^l"),
}
"""What strict validation by hl7apy is known to catch; some of it the lint sees too."""


@pytest.mark.parametrize(("good", "bad"), FOR_HL7APY.values(), ids=FOR_HL7APY)
def test_the_judges_together_see_what_hl7apy_sees(good: str, bad: str) -> None:
    text = render(reportable()).decode()
    if "UNSHIFTED" in good:
        good, bad = "{INR}^INR^UCUM|", ""
    assert good in text
    assert judges(text.replace(good, bad).encode()) != ()


def test_the_lints_tables_are_parts_of_the_official_ones() -> None:
    """As HL7 publishes them with FHIR R4 (version 2.9, which only ever adds)."""
    if not node.DEFINITIONS.is_dir():
        pytest.skip("tests/node/node_modules is not there: run .ci/setup where npm is installed")
    entries = json.loads((node.DEFINITIONS / "v2-tables.json").read_text(encoding="utf-8"))["entry"]
    tables = {
        each["resource"]["url"].rpartition("-")[2]: {code["code"] for code in each["resource"]["concept"]}
        for each in entries
        if each["resource"]["resourceType"] == "CodeSystem" and "concept" in each["resource"]
    }
    assert tables["0078"] >= ABNORMAL_FLAGS
    assert tables["0085"] >= OBSERVATION_STATUS
    assert tables["0123"] >= ORDER_STATUS
    assert tables["0103"] >= PROCESSING
    assert tables["0008"] == {"AA", "AE", "AR", "CA", "CE", "CR"}
    assert set(MEANINGS) <= tables["0357"]
    assert tables["0155"] >= {"NE", "AL"}


def test_quantities_keep_every_digit() -> None:
    for value in ("2", "2.5", "2.50", "10.000", "0.9"):
        exact = Quantity(text=value, value=value)
        assert only(render(reportable(result=body(exact))), "OBX")[0][5] == value


def test_every_quality_of_a_time_has_words() -> None:
    assert set(TIME_WORDS) == set(Quality)
