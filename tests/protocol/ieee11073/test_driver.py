"""What becomes of observations: every code of the INR nomenclature, every odd value, every profile."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from drivers.contract import ConfirmedBy, MeterRecord, RecordKind, Unreadable
from drivers.errors import DriverError, ProtocolReason
from drivers.meters.ieee11073 import Ieee11073Driver
from drivers.protocols.ieee11073 import apdu as a
from drivers.protocols.ieee11073 import nomenclature as mdc
from drivers.protocols.ieee11073.configuration import ConfigObject, ConfigReport
from drivers.protocols.ieee11073.mder import U16, U32, listing, sized
from drivers.protocols.ieee11073.scans import Form, Scan, ScanReport
from tests.protocol.ieee11073.conftest import ABOVE_RANGE, CONFIGURATION, REPORT

ROOT = Path(__file__).resolve().parents[3]
STAMP = bytes.fromhex("2026031407300500")
LATER = bytes.fromhex("2026031407310000")
HANDLES = {
    mdc.INR: 1,
    mdc.PT_SECONDS: 2,
    mdc.QUICK: 3,
    mdc.CONTROL: 4,
    mdc.DEVICE_STATUS_TYPE: 5,
    mdc.STRIP_LOT: 6,
    mdc.TESTER: 7,
    mdc.TARGET_LEVEL: 8,
    mdc.MEDICATION_NOW: 9,
    mdc.ISI: 10,
    (2 << 16) | 0xE140: 11,
}
UNITS = {mdc.INR: 6608, mdc.PT_SECONDS: 2176, mdc.QUICK: 544, mdc.CONTROL: 6608}


def configuration() -> bytes:
    """Objects whose reports name their attributes themselves."""
    objects = []
    for code, handle in HANDLES.items():
        told = [a.Attribute(0x092F, U32.pack(code))]
        if code in UNITS:
            told.append(a.Attribute(0x0996, U16.pack(UNITS[code])))
        objects.append(ConfigObject(6, handle, tuple(told)))
    info = ConfigReport(0x4000, tuple(objects)).encode()
    return a.EventReport(1, confirmed=True, handle=0, time=0, event=0x0D1C, info=info).encode()


def report(*observed: tuple[int, Mapping[int, bytes]], stamp: bytes | None = STAMP) -> bytes:
    """A variable scan report; observations without a stamp of their own get `stamp`."""
    scans = []
    for code, values in observed:
        told = dict(values)
        if stamp is not None and 0x0990 not in told:
            told[0x0990] = stamp
        attributes = tuple(a.Attribute(identifier, value) for identifier, value in told.items())
        scans.append(Scan(None, HANDLES[code], a.encode_attributes(attributes), 0))
    info = ScanReport(Form.VARIABLE, by_person=False, request_id=0xF000, number=1, scans=tuple(scans)).encode()
    return a.EventReport(2, confirmed=True, handle=0, time=0, event=0x0D1E, info=info).encode()


def decoded(
    *observed: tuple[int, Mapping[int, bytes]],
    profile: Mapping[str, Any] | None = None,
    stamp: bytes | None = STAMP,
) -> tuple[MeterRecord | Unreadable, ...]:
    pieces = [configuration(), report(*observed, stamp=stamp)]
    return Ieee11073Driver(profile or {}).decode(pieces).items


def only(*observed: tuple[int, Mapping[int, bytes]], profile: Mapping[str, Any] | None = None) -> MeterRecord:
    items = decoded(*observed, profile=profile)
    assert len(items) == 1
    assert isinstance(items[0], MeterRecord), items[0]
    return items[0]


def sfloat(raw: int) -> dict[int, bytes]:
    return {0x0A4C: U16.pack(raw)}


def bits(value: int) -> dict[int, bytes]:
    return {0x0A66: U16.pack(value)}


INR_25 = (mdc.INR, sfloat(0xF019))


def test_what_the_driver_promises() -> None:
    assert Ieee11073Driver.name == "ieee11073"
    assert Ieee11073Driver.confirmed_by is ConfirmedBy.CALLER
    assert "no INR meter was tested" in Ieee11073Driver.evidence


def test_the_example_from_the_standard() -> None:
    decoded = Ieee11073Driver({}).decode([CONFIGURATION, REPORT])
    (record,) = decoded.items
    assert isinstance(record, MeterRecord)
    assert record.kind is RecordKind.PATIENT
    assert record.inr is not None
    assert (record.inr.text, record.inr.value, record.inr.unit) == ("2.5", Decimal("2.5"), "INR")
    assert record.pt_seconds is not None
    assert (record.pt_seconds.text, record.pt_seconds.unit) == ("29.6", "s")
    assert record.device_time is not None
    assert record.device_time.raw == "2026031407300500"


@pytest.mark.parametrize(("limits", "value"), [({}, None), ({"above": "8.0", "source": "page 7"}, Decimal("8.0"))])
def test_above_the_range_is_never_a_plain_number(limits: dict[str, str], value: Decimal | None) -> None:
    (record,) = Ieee11073Driver({"limits": limits}).decode([CONFIGURATION, ABOVE_RANGE]).items
    assert isinstance(record, MeterRecord)
    assert record.kind is RecordKind.PATIENT
    assert record.inr is not None
    assert (record.inr.text, record.inr.value, record.inr.comparator) == ("+INFINITY", value, ">")
    assert record.flags == ("result-too-high",)


def test_below_the_range() -> None:
    profile = {"limits": {"below": "0.8", "source": "page 7"}}
    record = only((mdc.INR, sfloat(0x0802)), profile=profile)
    assert record.inr is not None
    assert (record.inr.value, record.inr.comparator) == (Decimal("0.8"), "<")


@pytest.mark.parametrize(("status", "comparator"), [(0x0400, ">"), (0x0200, "<")])
def test_a_number_under_an_out_of_range_status_gets_the_comparator(status: int, comparator: str) -> None:
    record = only((mdc.INR, sfloat(0xF050)), (mdc.DEVICE_STATUS_TYPE, bits(status)))
    assert record.inr is not None
    assert (record.inr.value, record.inr.comparator) == (Decimal("8.0"), comparator)
    assert record.kind is RecordKind.PATIENT


@pytest.mark.parametrize(("status", "comparator"), [(0x0400, ">"), (0x0200, "<")])
def test_an_out_of_range_status_without_a_number_is_still_a_result(status: int, comparator: str) -> None:
    for observed in (
        ((mdc.DEVICE_STATUS_TYPE, bits(status)),),
        ((mdc.INR, sfloat(0x07FF)), (mdc.DEVICE_STATUS_TYPE, bits(status))),
    ):
        record = only(*observed)
        assert record.kind is RecordKind.PATIENT
        assert record.inr is not None
        assert (record.inr.value, record.inr.comparator) == (None, comparator)


@pytest.mark.parametrize(("raw", "code"), [(0x07FF, "NaN"), (0x0800, "NaN"), (0x0801, "NaN"), (0x0000, "INR 0")])
def test_what_is_no_number_is_an_error(raw: int, code: str) -> None:
    record = only((mdc.INR, sfloat(raw)), (mdc.PT_SECONDS, sfloat(0xF128)))
    assert record.kind is RecordKind.ERROR
    assert record.inr is None
    assert record.pt_seconds is None
    assert record.error_code == code


@pytest.mark.parametrize(("place", "name"), mdc.DEVICE_STATUS.items())
def test_every_bit_of_the_device_status_has_its_name(place: int, name: str) -> None:
    record = only(INR_25, (mdc.DEVICE_STATUS_TYPE, bits(0x8000 >> place)))
    assert record.flags == (name,)
    alone = decoded((mdc.DEVICE_STATUS_TYPE, bits(0x8000 >> place)))
    assert isinstance(alone[0], MeterRecord)
    is_range = name in ("result-too-high", "result-too-low")
    assert alone[0].kind is (RecordKind.PATIENT if is_range else RecordKind.ERROR)
    assert alone[0].error_code == (None if is_range else name)


def test_a_status_as_32_bits_is_the_same() -> None:
    record = only(INR_25, (mdc.DEVICE_STATUS_TYPE, {0x0A65: U32.pack(0x2000_0000)}))
    assert record.flags == ("sample-size-insufficient",)


def test_a_status_without_a_bit_is_nothing() -> None:
    assert decoded((mdc.DEVICE_STATUS_TYPE, bits(0))) == ()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (0x8000, RecordKind.ERROR),
        (0x2000, RecordKind.ERROR),
        (0x1000, RecordKind.CALIBRATION),
        (0x0800, RecordKind.TEST),
        (0x0400, RecordKind.TEST),
        (0x4000, RecordKind.PATIENT),
        (0x0080, RecordKind.PATIENT),
    ],
)
def test_the_measurement_status_decides_the_kind(status: int, kind: RecordKind) -> None:
    record = only((mdc.INR, {**sfloat(0xF019), 0x0947: U16.pack(status)}))
    assert record.kind is kind
    assert len(record.flags) == 1


@pytest.mark.parametrize("status", [0x0040, 0x0020])
def test_what_is_not_final_waits_for_a_person(status: int) -> None:
    (item,) = decoded((mdc.INR, {**sfloat(0xF019), 0x0947: U16.pack(status)}))
    assert isinstance(item, Unreadable)
    assert "early indication" in str(item.error)


@pytest.mark.parametrize("raw", [0xFFE7, 0x7001])
def test_a_number_that_no_test_can_have_waits_for_a_person(raw: int) -> None:
    (item,) = decoded((mdc.INR, sfloat(raw)))
    assert isinstance(item, Unreadable)
    assert item.error.reason is ProtocolReason.BAD_VALUE


def test_a_control_is_never_a_patient() -> None:
    record = only((mdc.CONTROL, sfloat(0xF00B)), (mdc.STRIP_LOT, {0x0A4A: sized(b"564636\0\0")}))
    assert record.kind is RecordKind.CONTROL
    assert record.inr is not None
    assert record.inr.value == Decimal("1.1")
    assert record.strip_lot == "564636"
    assert record.patient_id is None


def test_a_control_in_seconds_is_no_inr() -> None:
    record = only((mdc.CONTROL, {**sfloat(0xF085), 0x0996: U16.pack(2176)}))
    assert record.inr is None
    assert record.pt_seconds is not None
    assert record.pt_seconds.text == "13.3"


def test_tester_target_medication_and_isi_are_noted() -> None:
    record = only(
        INR_25,
        (mdc.TESTER, {0x0A49: U16.pack(29318)}),
        (mdc.TARGET_LEVEL, {**sfloat(0xF019), 0x0996: U16.pack(6608)}),
        (mdc.MEDICATION_NOW, {**sfloat(0x0005), 0x0996: U16.pack(1746)}),
        (mdc.ISI, sfloat(0xF00A)),
    )
    assert record.notes[0] == "tester: health care professional"
    assert set(record.notes[1:]) == {"ISI: 1.0", "target level: 2.5 INR", "current medication: 5 mg"}


def test_the_unit_is_read_with_each_observation() -> None:
    record = only(INR_25, (mdc.PT_SECONDS, {**sfloat(0xF128), 0x0996: U16.pack(2208)}), (mdc.QUICK, sfloat(0x001F)))
    assert record.pt_seconds is None
    assert record.notes == ("PT 29.6 min",)
    assert record.quick_percent is not None
    assert (record.quick_percent.text, record.quick_percent.unit) == ("31", "%")
    (item,) = decoded((mdc.INR, {**sfloat(0xF019), 0x0996: U16.pack(544)}))
    assert isinstance(item, Unreadable)
    assert "unit %" in str(item.error)


def test_a_report_that_changes_a_unit_is_remembered_for_the_next() -> None:
    change = report((mdc.INR, {**sfloat(0xF019), 0x0996: U16.pack(544)}))
    (item,) = Ieee11073Driver({}).decode([configuration(), change, report(INR_25)]).items
    assert isinstance(item, Unreadable)


def test_two_tests_in_one_report_are_two_records() -> None:
    items = decoded(
        (mdc.INR, {**sfloat(0xF019), 0x0990: STAMP}),
        (mdc.INR, {**sfloat(0xF01A), 0x0990: LATER}),
        (mdc.PT_SECONDS, {**sfloat(0xF128), 0x0990: STAMP}),
    )
    first, second = items
    assert isinstance(first, MeterRecord)
    assert isinstance(second, MeterRecord)
    assert first.pt_seconds is not None
    assert second.pt_seconds is None
    assert first.octets != second.octets
    for item in items:
        assert Ieee11073Driver({}).decode([item.octets]).items == (item,)


def test_two_tests_with_one_stamp_are_two_records() -> None:
    items = decoded(INR_25, (mdc.INR, sfloat(0xF01A)))
    assert [item.inr.text for item in items if isinstance(item, MeterRecord) and item.inr] == ["2.5", "2.6"]


def test_observations_without_stamps_belong_together() -> None:
    items = decoded(INR_25, (mdc.PT_SECONDS, sfloat(0xF128)), stamp=None)
    (record,) = items
    assert isinstance(record, MeterRecord)
    assert record.device_time is None
    assert record.pt_seconds is not None


def test_another_measurement_is_kept_and_shown() -> None:
    (item,) = decoded(((2 << 16) | 0xE140, {0x0A56: U32.pack(0xFF000270)}))
    assert isinstance(item, Unreadable)
    assert item.error.reason is ProtocolReason.UNSUPPORTED
    assert "MDC_MASS_BODY_ACTUAL and no INR" in str(item.error)


def test_objects_that_no_configuration_told_of_are_kept_and_shown() -> None:
    items = Ieee11073Driver({}).decode([REPORT]).items
    assert len(items) == 2
    for item in items:
        assert isinstance(item, Unreadable)
        assert "stands in no configuration report" in str(item.error)


def test_one_bad_observation_does_not_cost_the_other() -> None:
    scans = bytearray(REPORT)
    scans[44:46] = b"\x00\x63"  # handle of the PT object
    inr, pt = Ieee11073Driver({}).decode([CONFIGURATION, bytes(scans)]).items
    assert isinstance(inr, MeterRecord)
    assert isinstance(pt, Unreadable)
    assert "object 99 stands in no configuration report" in str(pt.error)


@pytest.mark.parametrize("pieces", [[], [b""], [b"rubbish"], [CONFIGURATION, b"\xe7\x00"]])
def test_what_is_no_message_is_an_error(pieces: list[bytes]) -> None:
    with pytest.raises(DriverError):
        Ieee11073Driver({}).decode(pieces)


def test_a_message_without_a_report_has_no_items() -> None:
    assert Ieee11073Driver({}).decode([CONFIGURATION]).items == ()


def test_the_shipped_profile_is_the_default() -> None:
    shipped = tomllib.loads((ROOT / "config" / "profiles" / "ieee11073_inr.toml").read_text(encoding="utf-8"))
    driver = Ieee11073Driver(shipped)
    assert driver.serial_parameters() == {"specializations": (0x1012,)} == Ieee11073Driver({}).serial_parameters()


@pytest.mark.parametrize(
    ("profile", "named"),
    [
        ({"limits": {"above": "8.0"}}, "limits: .*source"),
        ({"limits": {"above": "0.8", "below": "8.0", "source": "x"}}, "above must be larger"),
        ({"clock": {"set": "always"}}, "zone"),
        ({"clock": {"set": "sometimes"}}, "clock.set"),
        ({"zone": "Mars/Olympus"}, "zone: no IANA"),
        ({"association": {"sistem_id": "00"}}, "association.sistem_id"),
        ({"association": {"system_id": "12"}}, "association.system_id"),
        ({"usb": {"specializations": [70000]}}, "usb.specializations"),
        ({"driver": "astm"}, "driver"),
    ],
)
def test_a_profile_that_does_not_fit_names_the_key(profile: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Ieee11073Driver(profile)


def test_grouped_values_are_read_in_the_order_of_the_map() -> None:
    scanner = ConfigObject(
        18,
        20,
        (
            a.Attribute(
                0x0A53,
                listing(
                    [
                        U16.pack(1) + listing([U16.pack(0x0A4C) + U16.pack(2), U16.pack(0x0990) + U16.pack(8)]),
                        U16.pack(2) + listing([U16.pack(0x0A4C) + U16.pack(2)]),
                    ]
                ),
            ),
        ),
    )
    objects = (
        ConfigObject(6, 1, (a.Attribute(0x092F, U32.pack(mdc.INR)), a.Attribute(0x0996, U16.pack(6608)))),
        ConfigObject(6, 2, (a.Attribute(0x092F, U32.pack(mdc.PT_SECONDS)), a.Attribute(0x0996, U16.pack(2176)))),
        scanner,
    )
    info = ConfigReport(0x4000, objects).encode()
    told = a.EventReport(1, confirmed=True, handle=0, time=0, event=0x0D1C, info=info).encode()
    scans = (Scan(None, None, U16.pack(0xF019) + STAMP + U16.pack(0xF128), 0),)
    grouped = ScanReport(Form.GROUPED, by_person=False, request_id=0, number=1, scans=scans).encode()
    sent = a.EventReport(3, confirmed=True, handle=20, time=0, event=0x0D2A, info=grouped).encode()
    (record,) = Ieee11073Driver({}).decode([told, sent]).items
    assert isinstance(record, MeterRecord)
    assert record.inr is not None
    assert record.inr.text == "2.5"
    assert record.pt_seconds is not None
    assert record.pt_seconds.text == "29.6"
