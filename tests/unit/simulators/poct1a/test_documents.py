from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from simulators.meter import Clock, ClockKind, Entry, Identity, Kind, Meter, Stored
from simulators.poct1a.dialect import COAGUCHEK, PT2, Dialect
from simulators.poct1a.documents import Writer, batches

AT = datetime(2026, 3, 14, 7, 28, 5, tzinfo=ZoneInfo("America/New_York"))


def store(*entries: Entry, clock: Clock | None = None) -> tuple[Stored, ...]:
    return Meter(Identity(), clock or Clock(), entries).memory


def written(dialect: Dialect, *entries: Entry) -> ET.Element:
    writer = Writer(Identity(), Clock(), dialect)
    return ET.fromstring(writer.observations(AT.replace(tzinfo=None), store(*entries))[1])


def said(element: ET.Element, path: str) -> str | None:
    found = element.find(path)
    assert found is not None, path
    return found.get("V")


PATIENT = Entry(at=AT, inr="2.5", pt_seconds="29.6", quick_percent="31", strip_lot="564636", patient_id='a"<&b')
CONTROL = Entry(at=AT, kind=Kind.CONTROL, inr="1.1", control_lot="7712", control_level="1")
FAILED = Entry(at=AT, kind=Kind.ERROR, error_code="E-5")


def test_a_patient_result() -> None:
    document = written(PT2, PATIENT)
    assert document.tag == "OBS.R01"
    assert said(document, "SVC/SVC.role_cd") == "OBS"
    assert said(document, "SVC/SVC.observation_dttm") == "2026-03-14T07:28:05"
    assert said(document, "SVC/SVC.sequence_nbr") == "1"
    assert said(document, "SVC/PT/PT.patient_id") == 'a"<&b'
    values = {said(part, "OBS.observation_id"): said(part, "OBS.value") for part in document.findall("SVC/PT/OBS")}
    assert values == {"34714-6": "2.5", "5902-2": "29.6"}
    assert said(document, "SVC/RGT/RGT.lot_number") == "564636"


def test_a_control_goes_by_message_or_by_role() -> None:
    assert written(PT2, CONTROL).tag == "OBS.R02"
    document = written(COAGUCHEK, CONTROL)
    assert document.tag == "OBS.R01"
    assert said(document, "SVC/SVC.role_cd") == "LQC"
    assert said(document, "SVC/CTC/CTC.lot_number") == "7712"
    assert document.find("SVC/PT") is None


@pytest.mark.parametrize(
    ("errors", "value", "null", "status"),
    [("zero", "0.0", None, "NRM"), ("null", None, "NI", "NRM"), ("status", None, "NI", "ERR")],
)
def test_an_error(errors: str, value: str | None, null: str | None, status: str) -> None:
    document = written(PT2.model_copy(update={"errors": errors}), FAILED)
    inr = document.find("SVC/PT/OBS/OBS.value")
    assert inr is not None
    assert (inr.get("V"), inr.get("NULL")) == (value, null)
    assert said(document, "SVC/SVC.status_cd") == status
    assert said(document, "SVC/NTE/NTE.text") == "E-5"


@pytest.mark.parametrize(
    ("beyond", "value", "interpretation", "status"),
    [("text", ">8.0", "N", "NRM"), ("interpretation", "8.0", ">", "NRM"), ("status", None, "N", "HI")],
)
def test_beyond_the_range(beyond: str, value: str | None, interpretation: str, status: str) -> None:
    document = written(PT2.model_copy(update={"beyond": beyond}), Entry(at=AT, inr=">8.0"))
    assert said(document, "SVC/PT/OBS/OBS.value") == value
    assert said(document, "SVC/PT/OBS/OBS.interpretation_cd") == interpretation
    assert said(document, "SVC/SVC.status_cd") == status


@pytest.mark.parametrize(("offset", "suffix"), [("none", ""), ("true", "-04:00"), ("+00:00", "+00:00")])
def test_times_end_as_the_dialect_says(offset: str, suffix: str) -> None:
    document = written(PT2.model_copy(update={"utc_offset": offset}), PATIENT)
    assert said(document, "SVC/SVC.observation_dttm") == "2026-03-14T07:28:05" + suffix
    assert said(document, "HDR/HDR.creation_dttm") == "2026-03-14T07:28:05" + suffix


def test_a_clock_that_shows_nothing_writes_nothing() -> None:
    writer = Writer(Identity(), Clock(), PT2)
    tests = store(PATIENT, clock=Clock(kind=ClockKind.UNSET))
    assert said(ET.fromstring(writer.observations(None, tests)[1]), "SVC/SVC.observation_dttm") == ""


def test_roches_habits() -> None:
    octets = Writer(Identity(), Clock(), COAGUCHEK).hello(AT.replace(tzinfo=None))[1]
    assert octets.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\r\n<HEL.R01>')
    assert b'<DEV.vendor_id V= "ACME&amp;HomeINR&amp;HomeINR"/>\r\n' in octets
    assert said(written(COAGUCHEK, PATIENT), "SVC/SVC.sequence_nbr") == ""
    wrapped = Writer(Identity(), Clock(), COAGUCHEK.model_copy(update={"wrapped": True})).keep_alive(None)[1]
    assert (wrapped[:1], wrapped[-2:]) == (b"\x0b", b"\x1c\r")


def test_control_ids_rise() -> None:
    writer = Writer(Identity(), Clock(), PT2)
    assert [writer.keep_alive(None)[0] for _ in range(3)] == ["10001", "10002", "10003"]


def test_neighbours_of_one_message_type_go_together() -> None:
    memory = store(*[PATIENT] * 7, CONTROL, PATIENT)
    assert [[test.ordinal for test in batch] for batch in batches(memory, PT2)] == [
        [0, 1, 2, 3, 4],
        [5, 6],
        [7],
        [8],
    ]
    assert len(batches(memory, COAGUCHEK)) == 9
