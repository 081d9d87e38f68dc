"""PCD-01: judged by hl7apy in strict mode for version 2.6, by our own lint of the IHE rules, and field by field."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hl7apy.parser import parse_message
from hypothesis import given, settings
from pydantic import ValidationError

from gateway.clock import Quality
from gateway.reporting.channels.pcd01 import CHANNEL, Pcd01Settings
from gateway.reporting.reportable import ReportableResult, Status, UnreportableError
from gateway.result import Kind, Meter
from gateway.wire.reading import Origin
from tests.unit.reporting.examples import PATIENT, reportable
from tests.unit.reporting.lint import judges, lint, segments, unescape
from tests.unit.reporting.stores import body, quantity
from tests.unit.reporting.test_hl7v2 import leaf, texts
from tests.unit.reporting.variants import VARIANTS


def render(report: ReportableResult, **wanted: Any) -> bytes:
    return CHANNEL.render(report, Pcd01Settings(**wanted))


def observations(octets: bytes) -> dict[str, list[str]]:
    """OBX rows by the name of their term."""
    return {row[3].split("^")[1]: [*row, *[""] * 10] for row in segments(octets) if row[0] == "OBX"}


@pytest.mark.parametrize("report", VARIANTS.values(), ids=VARIANTS)
def test_every_variant_passes_both_judges(report: ReportableResult) -> None:
    octets = render(report)
    assert judges(octets) == ()
    assert render(report) == octets


def test_the_fields_that_decide() -> None:
    octets = render(reportable())
    header, patient, request = segments(octets)[:3]
    assert header[3:7] == ["INR-GATEWAY^2.25.1^ISO", "HOME-INR", "EHR^2.25.99^ISO", "CLINIC^2.25.98^ISO"]
    assert header[7] == "20260314121509+0000"
    assert header[9:13] == ["ORU^R01^ORU_R01", "ABCDEFGHIJKLMNOPQRST", "P", "2.6"]
    assert header[13:22] == [
        "",
        "",
        "NE",
        "AL",
        "",
        "",
        "",
        "",
        "IHE PCD ORU-R01 2006^HL7^2.16.840.1.113883.9.n.m^HL7",
    ]
    assert patient[3:9] == ["MRN000001^^^CLINIC&2.25.98&ISO^MR", "", "Doe^Jane^^^^^L", "", "19480318", "F"]
    assert request[1:8] == [
        "1",
        "",
        "0123456789abcdef0123456789abcdef^INR-GATEWAY^2.25.1^ISO",
        "182777000^monitoring of patient^SNOMED-CT",
        "",
        "",
        "20260314072800-0400",
    ]
    rows = observations(octets)
    assert {name: (row[2], row[4], row[5], row[11]) for name, row in rows.items()} == {
        "MDC_TIME_SYNC_PROTOCOL": ("CWE", "0.0.0.1", "532225^MDC_TIME_SYNC_NTPV3^MDC", "R"),
        "MDC_DEV_SPEC_PROFILE_COAG": ("", "1", "", "X"),
        "MDC_ID_MODEL_MANUFACTURER": ("ST", "1.0.0.1", "ACME", "R"),
        "MDC_ID_MODEL_NUMBER": ("ST", "1.0.0.2", "HomeINR", "R"),
        "MDC_ID_PROD_SPEC_SERIAL": ("ST", "1.0.0.3", "SN000123", "R"),
        "MDC_ID_PROD_SPEC_FW": ("ST", "1.0.0.4", "1.2", "R"),
        "MDC_BATCHCODE_COAG": ("ST", "1.0.0.5", "564636", "R"),
        "MDC_RATIO_INR_COAG": ("NM", "1.0.0.6", "2.50", "R"),
    }
    inr = rows["MDC_RATIO_INR_COAG"]
    assert inr[3] == "160260^MDC_RATIO_INR_COAG^MDC"
    assert (inr[6], inr[14]) == ("268752^MDC_DIM_INR^MDC", "20260314072800-0400")
    assert rows["MDC_DEV_SPEC_PROFILE_COAG"][3] == "528402^MDC_DEV_SPEC_PROFILE_COAG^MDC"
    assert rows["MDC_DEV_SPEC_PROFILE_COAG"][18] == "SN000123^ACME HomeINR"
    assert next(row[3] for row in segments(octets) if row[0] == "NTE") == "Patient self-test at home"


def test_every_quantity_has_its_term_its_unit_and_a_place_of_its_own() -> None:
    rows = observations(
        render(reportable(result=body(pt_seconds=quantity("29.6"), quick_percent=quantity("31", comparator=">"))))
    )
    told = {name: tuple(rows[name][number] for number in (2, 3, 4, 5, 6, 8)) for name in list(rows)[-3:]}
    assert told == {
        "MDC_RATIO_INR_COAG": (
            "NM",
            "160260^MDC_RATIO_INR_COAG^MDC",
            "1.0.0.6",
            "2.50",
            "268752^MDC_DIM_INR^MDC",
            "",
        ),
        "MDC_TIME_PD_COAG": ("NM", "160264^MDC_TIME_PD_COAG^MDC", "1.0.0.7", "29.6", "264320^MDC_DIM_SEC^MDC", ""),
        "MDC_QUICK_VALUE_COAG": (
            "SN",
            "160268^MDC_QUICK_VALUE_COAG^MDC",
            "1.0.0.8",
            ">^31",
            "262688^MDC_DIM_PERCENT^MDC",
            ">",
        ),
    }


@pytest.mark.parametrize(
    ("status", "kind", "told"),
    [
        (Status.FINAL, Kind.PATIENT, "R"),
        (Status.CORRECTED, Kind.PATIENT, "C"),
        (Status.RETRACTED, Kind.PATIENT, "W"),
        (Status.RETRACTED, Kind.CONTROL, "D"),
    ],
)
def test_the_status_stands_in_what_was_measured_and_the_identifier_stays(
    status: Status, kind: Kind, told: str
) -> None:
    octets = render(reportable(status=status, result=body(kind=kind, pt_seconds=quantity("29.6"))))
    rows = observations(octets)
    assert rows["MDC_RATIO_INR_COAG"][11] == rows["MDC_TIME_PD_COAG"][11] == told
    assert rows["MDC_DEV_SPEC_PROFILE_COAG"][11] == "X"
    assert segments(octets)[2][3] == segments(render(reportable()))[2][3]


def test_a_meter_that_is_known_by_its_eui_64_is_named_by_it() -> None:
    meter = Meter(vendor="ACME", serial="00601900010E9234", model="HomeINR")
    octets = render(reportable(result=body(meter=meter)))
    assert judges(octets) == ()
    assert observations(octets)["MDC_DEV_SPEC_PROFILE_COAG"][18] == "00601900010E9234^^00601900010E9234^EUI-64"
    octets = render(reportable(result=body(meter=meter)), eui64_serials=False)
    assert observations(octets)["MDC_DEV_SPEC_PROFILE_COAG"][18] == "00601900010E9234^ACME HomeINR"


@pytest.mark.parametrize("serial", ["1234567890123456", "00601900010e9234", "00601900010E923", "SN01900010E92340"])
def test_a_serial_number_is_not_taken_for_an_eui_64(serial: str) -> None:
    octets = render(reportable(result=body(meter=Meter(vendor="ACME", serial=serial))))
    assert observations(octets)["MDC_DEV_SPEC_PROFILE_COAG"][18] == f"{serial}^ACME"


@pytest.mark.parametrize(
    ("quality", "told"),
    [
        (Quality.SYNCHRONISED, "532225^MDC_TIME_SYNC_NTPV3^MDC"),
        (Quality.OFFSET_CORRECTED, "532225^MDC_TIME_SYNC_NTPV3^MDC"),
        (Quality.ASSUMED_ZONE, "532224^MDC_TIME_SYNC_NONE^MDC"),
        (Quality.UNSET, "532224^MDC_TIME_SYNC_NONE^MDC"),
        (Quality.STATED, "532224^MDC_TIME_SYNC_NONE^MDC"),
    ],
)
def test_a_clock_is_called_synchronised_only_where_it_was_checked(quality: Quality, told: str) -> None:
    assert observations(render(reportable(quality=quality)))["MDC_TIME_SYNC_PROTOCOL"][5] == told


def test_every_setting_changes_its_field() -> None:
    octets = render(
        reportable(order_id="ORD|7", limits=VARIANTS["in range"].limits, interpretation=("N",)),
        profile="IHE PCD ORU-R012006^HL7^1.3.6.1.4.1.19376.1.6.1.1.1^ISO",
        gateway_eui64="ECDE3D4E58532D31",
        service="528391^MDC_DEV_SPEC_PROFILE_BP^MDC",
        time_sync="532226^MDC_TIME_SYNC_NTPV4^MDC",
        flags=False,
        patient_authority="HOSP^2.25.7^ISO",
        patient_id_type="PI",
        order_authority="EHR^2.25.9^ISO",
    )
    assert judges(octets) == ()
    header, patient, request = segments(octets)[:3]
    assert header[3] == "INR-GATEWAY^ECDE3D4E58532D31^EUI-64"
    assert header[21] == "IHE PCD ORU-R012006^HL7^1.3.6.1.4.1.19376.1.6.1.1.1^ISO"
    assert patient[3] == "MRN000001^^^HOSP&2.25.7&ISO^PI"
    assert request[2] == r"ORD\F\7^EHR^2.25.9^ISO"
    assert request[3].endswith("^INR-GATEWAY^ECDE3D4E58532D31^EUI-64")
    assert request[4] == "528391^MDC_DEV_SPEC_PROFILE_BP^MDC"
    rows = observations(octets)
    assert rows["MDC_TIME_SYNC_PROTOCOL"][5] == "532226^MDC_TIME_SYNC_NTPV4^MDC"
    assert rows["MDC_RATIO_INR_COAG"][7:9] == ["", ""]


def test_known_limits_are_told() -> None:
    rows = observations(render(VARIANTS["critical and off the range"]))
    assert rows["MDC_RATIO_INR_COAG"][7:9] == ["2.0-3.0", "HH~>"]
    assert rows["MDC_TIME_PD_COAG"][7:9] == ["", ""]


def test_a_test_message_says_so() -> None:
    octets = render(VARIANTS["test"])
    assert segments(octets)[0][11] == "T"
    assert "Test message: not for a patient's chart" in [row[3] for row in segments(octets) if row[0] == "NTE"]


@pytest.mark.parametrize(
    "report",
    [reportable(origin=Origin.SIMULATOR), reportable(result=body(kind=Kind.CONTROL))],
    ids=["simulated", "qc"],
)
def test_what_is_no_report_is_not_rendered(report: ReportableResult) -> None:
    with pytest.raises(UnreportableError):
        render(report)


@pytest.mark.parametrize(
    "wanted",
    [{"gateway_eui64": "xyz"}, {"service": "a|b"}, {"profile": "x|y"}, {"inr": "a^b^c"}, {"time_sync": ""}],
)
def test_a_setting_that_makes_no_sense_is_refused(wanted: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Pcd01Settings(**wanted)


@settings(max_examples=30, deadline=None)
@given(family=texts, serial=texts, vendor=texts, lot=texts)
def test_any_text_comes_back_from_an_independent_parser(family: str, serial: str, vendor: str, lot: str) -> None:
    report = reportable(
        patient=replace(PATIENT, family_name=family),
        result=body(strip_lot=lot, meter=Meter(vendor=vendor, serial=serial)),
    )
    octets = render(report)
    assert lint(octets) == []
    message = parse_message(octets.decode(), find_groups=False)
    assert unescape(leaf(message.pid.pid_5.pid_5_1.fn_1)) == family
    assert unescape(leaf(message.obx[1].obx_18.obx_18_1)) == serial
    assert [unescape(leaf(message.obx[number].obx_5)) for number in (2, 3, 4)] == [vendor, serial, lot]


DEFECTS = {
    "asks for no acknowledgement": ("|NE|AL|", "|NE|NE|"),
    "original mode": ("|NE|AL|", "|||"),
    "no kind of patient id": ("&ISO^MR|", "&ISO|"),
    "no kind of name": ("Doe^Jane^^^^^L", "Doe^Jane"),
    "observation before its request": ("OBR|", "ZBR|"),
    "a place twice": ("|1.0.0.2|", "|1.0.0.1|"),
    "a place that is none": ("|1.0.0.2|", "|1.0.x|"),
    "a code of another system": ("160260^MDC_RATIO_INR_COAG^MDC", "46418-0^INR^LN"),
    "a unit of another system": ("268752^MDC_DIM_INR^MDC", "{INR}^INR^UCUM"),
    "comparator in a number": ("|2.50|", "|>8.0|"),
    "unknown status": ("^MDC|||||R|||2026", "^MDC|||||Q|||2026"),
    "a device row with the status of a value": ("|1|||||||X|", "|1|||||||R|"),
    "an OID that is none": ("^2.25.1^ISO|", "^2.25.n^ISO|"),
    "an id without an authority": ("0123456789abcdef0123456789abcdef^INR-GATEWAY^2.25.1^ISO", "0123456789abcdef"),
    "a clock time without offset": ("20260314072800-0400|||", "20260314072800|||"),
    "an unknown protocol": ("532225^MDC_TIME_SYNC_NTPV3^MDC", "NTP"),
}


@pytest.mark.parametrize(("good", "bad"), DEFECTS.values(), ids=DEFECTS)
def test_the_lint_sees_defects(good: str, bad: str) -> None:
    text = render(reportable()).decode().replace("20260314072800-0400\rOBX", "20260314072800-0400|||\rOBX")
    assert lint(text.encode()) == []
    assert good in text
    assert lint(text.replace(good, bad).encode()) != []
