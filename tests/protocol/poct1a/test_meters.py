"""From documents to records: `drivers.meters.poct1a` with the shipped profiles."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import MeterIdentity, MeterRecord, RecordKind, Unreadable
from drivers.errors import DriverError, ProtocolError, ProtocolReason
from drivers.meters.poct1a import Poct1aDriver
from gateway.result import Result
from tests.protocol.poct1a.conftest import shipped
from tests.protocol.poct1a.made import document, hello, observation, service, status

NI = '<OBS.value NULL="NI"/>'


def only(driver: Poct1aDriver, body: str, name: str = "OBS.R01") -> MeterRecord | Unreadable:
    decoded = driver.decode([hello(), status(), observation(body, name=name)])
    (item,) = decoded.items
    if isinstance(item, MeterRecord):
        Result.from_record(decoded.meter, item)
        assert driver.decode([item.octets]).items == (item,)
    return item


def record(driver: Poct1aDriver, body: str, name: str = "OBS.R01") -> MeterRecord:
    item = only(driver, body, name)
    assert isinstance(item, MeterRecord), item.error
    return item


def refusal(driver: Poct1aDriver, body: str) -> DriverError:
    item = only(driver, body)
    assert isinstance(item, Unreadable)
    return item.error


def test_a_patient_result_of_the_pt2(pt2: Poct1aDriver) -> None:
    body = service(
        '<OBS.value V="2.50" U="INR"/>',
        fields='<SVC.sequence_nbr V="17"/><SVC.reason_cd V="RES"/>',
        interpretation="H",
        after='<OPR><OPR.operator_id V="7"/></OPR><RGT><RGT.lot_number V="564636"/></RGT>'
        f'<NTE><NTE.text V="{"n" * 500}">t</NTE.text></NTE>',
    ).replace("<PT>", '<PT><PT.patient_id V="P1"/>')
    decoded = pt2.decode([hello(), status(), observation(body)])
    assert decoded.meter == MeterIdentity("CoaguSense", "S1", "PT2", "1.0")
    assert decoded.clock is not None
    assert (decoded.clock.piece, decoded.clock.time.local) == (1, datetime(2026, 3, 14, 8))
    found = record(pt2, body)
    assert found.kind is RecordKind.PATIENT
    assert found.inr is not None
    assert (found.inr.text, str(found.inr.value), found.inr.comparator, found.inr.unit) == (
        "2.50",
        "2.50",
        None,
        "INR",
    )
    assert found.pt_seconds is not None
    assert (found.pt_seconds.value, found.pt_seconds.unit) == (Decimal("29.6"), "s")
    assert found.device_time is not None
    assert found.device_time.local == datetime(2026, 3, 14, 7, 28)
    assert found.device_time.utc_offset_min is None
    assert (found.record_number, found.strip_lot, found.operator_id, found.patient_id) == (
        "17",
        "564636",
        "7",
        "P1",
    )
    assert found.flags == ("RES", "H")
    assert "".join(found.notes) == "n" * 500 + ": t"


@pytest.mark.parametrize(
    ("inr", "status_cd", "interpretation", "expected"),
    [
        ('<OBS.value V="&gt;8.0"/>', "NRM", "N", (">8.0", "8.0", ">")),
        ('<OBS.value V="&lt; 0.8"/>', "NRM", "N", ("< 0.8", "0.8", "<")),
        ('<OBS.value V="8.0"/>', "NRM", "&gt;", ("8.0", "8.0", ">")),
        ('<OBS.value V="8.0"/>', "HI", "N", ("8.0", "8.0", ">")),
        ('<OBS.value V="0.8"/>', "LO", "N", ("0.8", "0.8", "<")),
        ('<OBS.value V="8.0"/>', "NRM", "HH", ("8.0", "8.0", None)),
        ('<OBS.value V="4.1"/>', "HI", "N", ("4.1", "4.1", None)),
        ('<OBS.value NULL="NI"/>', "HI", "N", ("HI", "8.0", ">")),
        ('<OBS.value NULL="NI"/>', "LO", "N", ("LO", "0.8", "<")),
        ('<OBS.value NULL="PINF"/>', "NRM", "N", ("PINF", "8.0", ">")),
        ('<OBS.value V="HI"/>', "NRM", "N", ("HI", "8.0", ">")),
        ('<OBS.qualitative_value V="LO"/>', "NRM", "N", ("LO", "0.8", "<")),
        ('<OBS.value V="">&gt;8.0</OBS.value>', "OVR", "N", (">8.0", "8.0", ">")),
    ],
)
def test_beyond_the_measuring_range(
    pt2: Poct1aDriver, inr: str, status_cd: str, interpretation: str, expected: tuple[str, str, str | None]
) -> None:
    found = record(pt2, service(inr, NI, status_cd=status_cd, interpretation=interpretation))
    assert found.kind is RecordKind.PATIENT
    assert found.inr is not None
    assert (found.inr.text, str(found.inr.value), found.inr.comparator) == expected
    assert found.pt_seconds is None


def test_beyond_an_unknown_range_there_is_no_number(profile: Callable[[str], dict[str, Any]]) -> None:
    content = profile("coag_sense_pt2")
    del content["range"]
    found = record(Poct1aDriver(content), service(NI, status_cd="HI"))
    assert found.inr is not None
    assert (found.inr.value, found.inr.comparator) == (None, ">")


@pytest.mark.parametrize(
    ("inr", "pt", "status_cd"),
    [
        ('<OBS.value V="0.0"/>', '<OBS.value V="0"/>', "NRM"),
        ('<OBS.value V="2.5"/>', '<OBS.value V="0.0"/>', "NRM"),
        ('<OBS.value NULL="NI"/>', None, "NRM"),
        ('<OBS.value V=""/>', None, "NRM"),
        ('<OBS.value V="2.5"/>', None, "ERR"),
        ("", None, "NRM"),
    ],
)
def test_a_failed_test_is_an_error_and_no_result(
    pt2: Poct1aDriver, inr: str, pt: str | None, status_cd: str
) -> None:
    found = record(pt2, service(inr, pt, status_cd=status_cd))
    assert found.kind is RecordKind.ERROR
    assert found.pt_seconds is None
    assert found.error_code == ("ERR" if status_cd == "ERR" else None)


def test_zero_stays_visible(pt2: Poct1aDriver) -> None:
    assert record(pt2, service('<OBS.value V="0.0"/>')).notes == ("the meter sent 0 as INR, which is no result",)


CTC = '<CTC.lot_number V="89"/><CTC.level_cd V="1"/>'


@pytest.mark.parametrize(
    ("name", "role", "subject", "kind"),
    [
        ("OBS.R02", "LQC", "CTC", RecordKind.CONTROL),
        ("OBS.R02", "OBS", "CTC", RecordKind.CONTROL),
        ("OBS.R02", None, "PT", RecordKind.CONTROL),
        ("OBS.R02", "CAL", "CTC", RecordKind.CALIBRATION),
        ("OBS.R02", "PRF", "CTC", RecordKind.CONTROL),
        ("OBS.R01", "LQC", "PT", RecordKind.CONTROL),
        ("OBS.R01", "EQC", "PT", RecordKind.CONTROL),
        ("OBS.R01", "PRF", "PT", RecordKind.CONTROL),
        ("OBS.R01", "CAL", "PT", RecordKind.CALIBRATION),
        ("OBS.R01", "OBS", "CTC", RecordKind.CONTROL),
        ("OBS.R01", "OBS", "PT", RecordKind.PATIENT),
        ("OBS.R01", None, "PT", RecordKind.PATIENT),
    ],
)
def test_controls_are_never_a_patients(
    pt2: Poct1aDriver, name: str, role: str | None, subject: str, kind: RecordKind
) -> None:
    found = record(pt2, service(role=role, subject=subject).replace("<CTC>", "<CTC>" + CTC), name)
    assert found.kind is kind
    assert found.control_lot == ("89" if subject == "CTC" else None)
    assert found.control_level == ("1" if subject == "CTC" else None)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (service(role="XYZ"), "control_roles"),
        (service('<OBS.value V="two"/>'), "no number"),
        (service('<OBS.value V="2,5"/>'), "no number"),
        (service('<OBS.value V="&gt;8.0"/>', interpretation="&lt;"), "both"),
        (service().replace("34714-6", "2341-6"), "no INR"),
        (service().replace("5902-2", "34714-6"), "twice"),
        (service().replace('OBS.status_cd V="A"', 'OBS.status_cd V="D"'), "accepted_status"),
        (service().replace("</PT>", "</PT><PT/>"), "more than one patient"),
    ],
)
def test_what_a_person_must_see_says_why_and_where(pt2: Poct1aDriver, body: str, word: str) -> None:
    error = refusal(pt2, body)
    assert word in str(error)
    assert error.offset is not None
    assert "2.5" not in str(error), "values that a person measured stand in no message"


def test_several_services_of_one_document_stay_apart(pt2: Poct1aDriver) -> None:
    bodies = [service(f'<OBS.value V="2.{n}"/>', fields=f'<SVC.sequence_nbr V="{n}"/>') for n in range(5)]
    bodies[2] = service('<OBS.value V="bad"/>')
    items = pt2.decode([hello(), status(), observation("\n".join(bodies))]).items
    assert [type(item) for item in items] == [MeterRecord, MeterRecord, Unreadable, MeterRecord, MeterRecord]
    for item in items:
        (again,) = pt2.decode([item.octets]).items
        assert again == item or isinstance(item, Unreadable)
        assert bodies[items.index(item)].encode() in item.octets
        assert item.octets.count(b"<SVC>") == 1


def test_the_last_hello_and_status_count(pt2: Poct1aDriver) -> None:
    other = hello().replace(b'"S1"', b'"S2"')
    decoded = pt2.decode([hello(), status(), other, status(at="2026-03-14T09:00:00"), observation()])
    assert decoded.meter.serial == "S2"
    assert decoded.clock is not None
    assert (decoded.clock.piece, decoded.clock.time.raw) == (3, "2026-03-14T09:00:00")
    assert pt2.decode([hello(), status(), other, observation()]).clock is None


def test_without_context_the_record_is_the_same_and_the_meter_unknown(pt2: Poct1aDriver) -> None:
    decoded = pt2.decode([observation()])
    assert (decoded.meter.serial, decoded.clock) == (None, None)
    (item,) = decoded.items
    assert isinstance(item, MeterRecord)
    assert item.octets == observation()


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b""],
        [b"rubbish"],
        [hello()],
        [observation("")],
        [document("OBS.R03", service())],
        [b"<OBS.R01><SVC></OBS.R01>"],
        [hello(), b"<OBS.R01>"],
    ],
)
def test_what_is_no_observation_message_is_refused(pt2: Poct1aDriver, pieces: list[bytes]) -> None:
    with pytest.raises(ProtocolError) as refused:
        pt2.decode(pieces)
    assert refused.value.offset is not None


@settings(max_examples=200, deadline=None)
@given(
    body=st.text(max_size=120)
    | st.lists(
        st.sampled_from(
            ["<SVC>", "</SVC>", "<PT>", "</PT>", "<OBS>", "</OBS>", '<OBS.value V="', '"/>', "2.5", ">", "&gt;"]
        )
        | st.sampled_from(
            ['<OBS.observation_id V="34714-6"/>', '<SVC.role_cd V="OBS"/>', "<OBS.value NULL='NI'/>"]
        ),
        max_size=25,
    ).map("".join)
)
def test_hostile_documents_raise_only_driver_errors(body: str) -> None:
    driver = Poct1aDriver(shipped("coag_sense_pt2"))
    for octets in (body.encode(), observation(body), observation(f"<SVC>{body}</SVC>")):
        with suppress(DriverError):
            driver.decode([hello(), status(), octets])


def test_vectors_of_other_vendors(pt2: Poct1aDriver, vector: Callable[[str], bytes]) -> None:
    context = [vector("device_hel_r01_nova.xml"), vector("device_dst_r01_nova.xml")]
    (glucose,) = pt2.decode([*context, vector("device_obs_r01_nova.xml")]).items
    assert isinstance(glucose, Unreadable)
    assert glucose.error.reason is ProtocolReason.UNSUPPORTED
    assert "2341-6 Glu" in str(glucose.error)
    assert "145" not in str(glucose.error)
    decoded = pt2.decode([*context, vector("device_obs_r02_qc_hemoscreen.xml")])
    assert decoded.meter == MeterIdentity("NOVABIO", "0600100736", "StatStrip", "3.10.8.0")
    assert decoded.clock is not None
    assert decoded.clock.time.utc_offset_min == -300
    (control,) = decoded.items
    assert isinstance(control, MeterRecord)
    assert (control.kind, control.control_lot, control.control_level) == (RecordKind.CONTROL, "PIX201205", "N")
    assert (control.operator_id, control.inr) == ("12345", None)
    assert control.device_time is not None
    assert (control.device_time.local, control.device_time.utc_offset_min) == (datetime(2020, 3, 11, 0, 0, 1), 60)
    assert len(control.notes) == 2


def test_a_vendors_observation_under_a_table_of_its_own(vector: Callable[[str], bytes]) -> None:
    rows = [{"means": "inr", "code": "2341-6", "units": ["mg/dL"], "vendor": "nova*", "proven": True}]
    driver = Poct1aDriver({**shipped("coag_sense_pt2"), "observation": rows})
    (found,) = driver.decode([vector("device_hel_r01_nova.xml"), vector("device_obs_r01_nova.xml")]).items
    assert isinstance(found, MeterRecord)
    assert found.inr is not None
    assert (found.inr.text, found.inr.unit, found.flags) == ("145", "mg/dL", ("HH",))
    assert (found.strip_lot, found.operator_id, found.patient_id) == (
        "0310010249",
        "OP777-88-9999",
        "PT222-55-7777",
    )
    assert found.notes == ("New strip: TY=C^CH=1^FL=0", "SAMPLE ID TYPE: MRN")
    assert found.device_time is not None
    assert found.device_time.utc_offset_min == -300
    (unknown,) = driver.decode([hello(), vector("device_obs_r01_nova.xml")]).items
    assert isinstance(unknown, Unreadable), "the row is for another vendor"


def test_coaguchek_is_honest_about_its_codes(vector: Callable[[str], bytes]) -> None:
    driver = Poct1aDriver(shipped("coaguchek_poct1a"))
    said = (
        hello()
        .replace(b'"CoaguSense"', b'"ROCHE&amp;CoaguChekXSPlus&amp;Ward 3"')
        .replace(b'<DEV.model_id V="PT2"/>', b"")
    )
    fragment = vector("device_fragment_empty_sequence_roche.xml").decode()
    body = (
        f"<SVC>{fragment}<PT><PT.patient_id V=''/>"
        '<OBS><OBS.observation_id V="INR"/><OBS.value V="2.5"/></OBS>'
        '<OBS><OBS.observation_id V="%Q"/><OBS.value V="31" U="%"/></OBS>'
        '<OBS><OBS.observation_id V="SEC"/><OBS.value V="29.6"/></OBS></PT></SVC>'
    )
    decoded = driver.decode([said, status(), observation(body)])
    assert (decoded.meter.vendor, decoded.meter.model) == ("ROCHE", "CoaguChekXSPlus")
    (found,) = decoded.items
    assert isinstance(found, MeterRecord)
    assert (found.record_number, found.patient_id) == (None, None)
    assert found.inr is not None
    assert found.quick_percent is not None
    assert found.pt_seconds is not None
    assert [found.inr.text, found.quick_percent.text, found.pt_seconds.text] == ["2.5", "31", "29.6"]
    assert len([note for note in found.notes if note.startswith("unproven")]) == 3
    control = vector("device_fragment_qc_control_roche.xml").decode() + "</CTC>"
    body = body.replace('V="OBS"', 'V="LQC"').replace("</SVC>", control + "</SVC>")
    (run,) = driver.decode([said, status(), observation(body)]).items
    assert isinstance(run, MeterRecord)
    assert (run.kind, run.control_lot, run.control_level) == (RecordKind.CONTROL, "89", "1")


def test_an_offset_that_is_not_to_be_believed_is_left_out(profile: Callable[[str], dict[str, Any]]) -> None:
    content = profile("coag_sense_pt2")
    content["meter"]["utc_offset"] = "ignored"
    body = service().replace("T07:28:00", "T07:28:00-05:00")
    found = record(Poct1aDriver(content), body)
    assert found.device_time is not None
    assert found.device_time.raw.endswith("-05:00")
    assert found.device_time.utc_offset_min is None


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"observation": []}, "observation"),
        ({"observation": [{"means": "pt_seconds", "code": "1"}]}, "means inr"),
        ({"observation": [{"means": "inr"}]}, "code or display"),
        ({"host": {"ack": "maybe"}}, "host.ack"),
        ({"host": {"set_time": True}}, "needs zone"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"misspelt": 1}, "misspelt"),
        ({"driver": "astm"}, "driver"),
        ({"range": {"low": "0.8"}}, "range.high"),
    ],
)
def test_an_unusable_profile_names_the_key(change: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Poct1aDriver({**shipped("coag_sense_pt2"), **change})


def test_serial_parameters(pt2: Poct1aDriver) -> None:
    assert pt2.serial_parameters()["baudrate"] == 9600
