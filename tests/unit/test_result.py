"""The canonical Result and the identity of the test behind it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drivers import contract
from gateway.result import Kind, Result, content_differs, identity, meter_key

METER = contract.MeterIdentity("Acme, Inc.", "SN-0001", "HomeINR", "1.2")
TIME = contract.DeviceTime("20260314073005", datetime(2026, 3, 14, 7, 30, 5))


def record(
    inr: str = "2.5", comparator: contract.Comparator | None = None, **changes: object
) -> contract.MeterRecord:
    fields: dict[str, object] = {
        "kind": contract.RecordKind.PATIENT,
        "octets": b"R|1",
        "device_time": TIME,
        "inr": contract.Quantity((comparator or "") + inr, Decimal(inr), comparator, "INR"),
    }
    return contract.MeterRecord(**(fields | changes))  # type: ignore[arg-type] # fields by name


def result(meter: contract.MeterIdentity = METER, **changes: object) -> Result:
    return Result.from_record(meter, record(**changes))  # type: ignore[arg-type] # fields by name


@pytest.mark.parametrize("value", ["2.70", "2.7", "10", "0.8"])
def test_the_meters_precision_is_kept(value: str) -> None:
    made = result(inr=value)
    assert made.inr is not None
    assert made.inr.value == value
    assert Result.model_validate_json(made.model_dump_json(by_alias=True)) == made


def test_off_range_is_never_a_plain_number() -> None:
    made = result(inr="8.0", comparator=">")
    assert made.inr is not None
    assert (made.inr.text, made.inr.value, made.inr.comparator) == (">8.0", "8.0", ">")
    assert identity(made) != identity(result(inr="8.0"))


def test_infinity_without_a_published_limit_has_no_number() -> None:
    made = Result.from_record(
        METER,
        contract.MeterRecord(
            contract.RecordKind.PATIENT, b"", TIME, inr=contract.Quantity("+INF", None, ">", None)
        ),
    )
    assert made.inr is not None
    assert made.inr.value is None
    assert identity(made) is not None


def test_a_patient_result_without_inr_is_refused() -> None:
    with pytest.raises(ValidationError, match="kind 'error'"):
        Result.from_record(METER, contract.MeterRecord(contract.RecordKind.PATIENT, b"", TIME))


def test_identity_recipe_1_is_frozen() -> None:
    assert identity(result()) == "9b9e14d2edd8cd1669159f52179ed42f"


def test_what_meters_repeat_renumber_or_omit_is_no_part_of_the_identity() -> None:
    live = result()
    for stored in (
        result(record_number="17"),
        result(strip_lot="564636"),
        result(inr="2.50"),
        result(kind=contract.RecordKind.CONTROL),
        result(meter=contract.MeterIdentity("ACME INC", "sn0001", "other", None)),
        result(device_time=contract.DeviceTime("x", TIME.local, -300)),
    ):
        assert identity(stored) == identity(live)


@pytest.mark.parametrize(
    "other",
    [
        result(inr="2.6"),
        result(device_time=contract.DeviceTime("x", datetime(2026, 3, 14, 7, 30, 6))),
        result(meter=contract.MeterIdentity("Acme, Inc.", "SN-0002")),
    ],
)
def test_another_value_second_or_meter_is_another_test(other: Result) -> None:
    assert identity(other) != identity(result())


@pytest.mark.parametrize(
    "unidentified",
    [
        result(meter=contract.MeterIdentity("Acme", None)),
        result(meter=contract.MeterIdentity("Acme", " - ")),
        result(device_time=None),
        result(device_time=contract.DeviceTime("00000000", None)),
    ],
)
def test_without_serial_or_time_nothing_is_claimed(unidentified: Result) -> None:
    assert identity(unidentified) is None


def test_a_field_that_one_copy_lacks_is_no_contradiction() -> None:
    assert content_differs(result(), result(strip_lot="1", record_number="9")) == ()
    assert content_differs(result(record_number="1"), result(record_number="2")) == ()


def test_contradictions_are_named() -> None:
    left = result(strip_lot="1", device_time=contract.DeviceTime("a", TIME.local, -300))
    right = result(
        strip_lot="2", kind=contract.RecordKind.CONTROL, device_time=contract.DeviceTime("b", TIME.local, -240)
    )
    assert content_differs(left, right) == ("kind", "strip_lot", "device_time")


def test_pt_of_other_precision_is_the_same() -> None:
    def pt(text: str) -> contract.Quantity:
        return contract.Quantity(text, Decimal(text), None, "s")

    assert content_differs(result(pt_seconds=pt("29.6")), result(pt_seconds=pt("29.60"))) == ()
    assert content_differs(result(pt_seconds=pt("29.6")), result(pt_seconds=pt("29.7"))) == ("pt_seconds",)


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_meter_key_ignores_case_blanks_and_punctuation(vendor: str, serial: str) -> None:
    key = meter_key(vendor, serial)
    assert key == meter_key(f" {vendor}-", f"{serial} .")
    assert key is None or key.count("/") == 1


def test_kinds_are_those_of_the_contract() -> None:
    assert {kind.value for kind in Kind} == {kind.value for kind in contract.RecordKind}
