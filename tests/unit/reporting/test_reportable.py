"""From the rows of the store to what a provider is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.reporting.configuration import Supplier
from gateway.reporting.reportable import Status, UnreportableError, assemble, control_id
from gateway.result import Kind
from gateway.store.reports import Wanted
from tests.unit.reporting.stores import TAKEN, body, quantity

WANTED = Wanted(
    result_id=7,
    version=1,
    destination_id="riverside-hl7",
    result_key="0123456789abcdef0123456789abcdef",
    status="final",
    body=body().model_dump_json(by_alias=True),
    origin="meter",
    taken_at="2026-03-14T11:28:00.000Z",
    uncertainty_s=120.0,
    quality="synchronised",
    zone="America/New_York",
    patient_id="p1",
    hub_id="hub1",
    provider_patient_id="MRN1",
    order_id="ORD-7",
    family_name="Doe",
    given_name="Jane",
    birth_date="1948-03-18",
    sex="F",
    provider_id="riverside",
    provider_name="Riverside",
    provider_npi=None,
    provider_zone="America/New_York",
    channel="hl7v2",
    application="EHR",
    facility="CLINIC",
    settings="{}",
    fall_back_after_s=None,
    mode="each",
    schedule="",
    told=True,
    sent=True,
)


def put_together(**changes: Any) -> Any:
    return assemble(replace(WANTED, **changes), Supplier(), "P", TAKEN)


def test_takes_over_everything() -> None:
    report = put_together()
    assert report.result == body()
    assert report.status is Status.FINAL
    assert report.taken_at == TAKEN
    assert report.taken_at.utcoffset() == timedelta(hours=-4)  # summer time began on 8 March
    assert report.patient.provider_patient_id == "MRN1"
    assert report.processing_id == "P"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"body": "{}"}, "does not fit its schema at: kind, meter"),
        ({"body": "no JSON"}, "does not fit its schema"),
        ({"body": body(kind=Kind.CONTROL).model_dump_json(by_alias=True)}, "kind control"),
        ({"provider_patient_id": "  "}, "lacks the provider's own patient id"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"zone": "../etc/passwd"}, "zone"),
        ({"taken_at": "yesterday"}, "time of test"),
        ({"birth_date": "18.3.1948"}, "date of birth"),
    ],
)
def test_what_cannot_be_reported_says_why_and_names_nobody(changes: dict[str, str], words: str) -> None:
    with pytest.raises(UnreportableError) as caught:
        put_together(**changes)
    assert words in str(caught.value)
    assert "Doe" not in str(caught.value)
    assert "1948" not in str(caught.value)


def test_a_retraction_may_take_back_what_was_no_patient_result() -> None:
    control = body(kind=Kind.CONTROL).model_dump_json(by_alias=True)
    assert put_together(status="retracted", body=control).status is Status.RETRACTED


def test_a_correction_corrects_only_where_an_earlier_version_was_reported() -> None:
    assert put_together(status="corrected").status is Status.CORRECTED
    assert put_together(status="corrected", told=False).status is Status.FINAL


def test_the_control_id_is_that_of_the_same_report_only() -> None:
    first = put_together().control_id
    assert put_together(family_name="Roe", application="OTHER").control_id == first
    changed = [
        put_together(result_key="f" * 32),
        put_together(version=2),
        put_together(destination_id="other"),
        put_together(status="corrected"),
        put_together(provider_patient_id="MRN2"),
        put_together(taken_at="2026-03-14T11:29:00.000Z"),
        put_together(body=body(quantity("2.5")).model_dump_json(by_alias=True)),
        put_together(body=body(quantity("2.50", ">")).model_dump_json(by_alias=True)),
        put_together(body=body(pt_seconds=quantity("29.6")).model_dump_json(by_alias=True)),
    ]
    assert len({first, *(report.control_id for report in changed)}) == len(changed) + 1


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=6))
def test_a_control_id_fits_its_field(parts: list[str]) -> None:
    name = control_id(*parts)
    assert len(name) == 20
    assert name.isascii()
    assert name.isalnum()
    assert control_id(*parts) == name
    assert control_id(*parts, "") != name
