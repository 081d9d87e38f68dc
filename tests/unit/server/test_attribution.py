"""Whose test it is follows from the time with its uncertainty, and from one assignment alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.result import DeviceTime, Meter
from gateway.server.refusals import Reason
from gateway.server.release import DecisionError
from gateway.server.zones import zone_at
from gateway.store.people import ZoneFrom
from gateway.wire.reading import HubClock, Reading
from tests.unit.server.stage import NOW, REGISTRY, Stage, clock, local, reading, result

UNSYNCHRONISED = HubClock(synchronised=False, boot_id="b", monotonic_s=1.0)


def assignment(patient: str, start: str, end: str = "", within: str = "", serial: str = "SN000123") -> str:
    to = f'to = "{end}"\n' if end else ""
    return (
        f'[[assignments]]\nvendor = "ACME"\nserial = "{serial}"\nmeter_patient_id = "{within}"\n'
        f'patient = "{patient}"\nfrom = "{start}"\n{to}'
    )


def shared_meter(stage: Stage) -> None:
    """From pat to sam at 08:00 in Los Angeles on 10 March."""
    stage.register(
        REGISTRY.replace("from = 2026-01-01", 'from = 2026-01-01\nto = "2026-03-10T08:00:00-07:00"')
        + assignment("sam", "2026-03-10T08:00:00-07:00")
    )


def at(time: str | None, number: int = 1, **changes: Any) -> Reading:
    return reading(number, result(time), **{"meter_clock": clock("2026-03-14T11:00:00"), **changes})


def owners(stage: Stage) -> list[str]:
    return [row["patient_id"] for row in stage.versions()]


def test_the_time_is_read_in_the_patients_zone_and_not_in_the_hubs(stage: Stage) -> None:
    stage.take(reading(1, zone="America/New_York"))
    assert [row["taken_at"] for row in stage.versions()] == ["2026-03-14T14:28:00.000Z"]


def test_an_unknown_zone_of_the_hub_does_not_hinder(stage: Stage) -> None:
    stage.take(reading(1, zone="Nowhere/Else"))
    assert owners(stage) == ["pat"]


@pytest.mark.parametrize(
    ("time", "outcome"),
    [
        ("2026-03-10T06:30:00", "pat"),
        ("2026-03-10T07:59:00", Reason.AMBIGUOUS_ASSIGNMENT),
        ("2026-03-10T08:01:00", Reason.AMBIGUOUS_ASSIGNMENT),
    ],
)
def test_near_a_change_of_owner_the_uncertainty_decides(stage: Stage, time: str, outcome: str) -> None:
    shared_meter(stage)
    stage.take(at(time))
    assert (owners(stage) or stage.reasons()) == [outcome]


def test_each_possible_owner_is_asked_in_their_own_zone(stage: Stage) -> None:
    shared_meter(stage)
    # 10:00 is after the change for pat in Los Angeles, and 07:00 in Los Angeles, before it, for sam in New York.
    # So it is in nobody's time.
    stage.take(at("2026-03-10T10:00:00", meter_clock=None, zone="America/New_York"))
    assert stage.reasons() == [Reason.UNASSIGNED_METER]
    stage.take(at("2026-03-12T10:00:00", 2, meter_clock=None, zone="America/New_York"))
    assert owners(stage) == ["sam"]
    assert stage.versions()[0]["taken_at"] == "2026-03-12T14:00:00.000Z"


def test_before_any_assignment_nobody_is_guessed(stage: Stage) -> None:
    stage.take(at("2025-12-31T07:00:00"))
    assert stage.reasons() == [Reason.UNASSIGNED_METER]


def test_across_the_beginning_of_the_first_assignment_nobody_is_guessed(stage: Stage) -> None:
    stage.take(at("2026-01-01T00:01:00"))
    assert stage.reasons() == [Reason.AMBIGUOUS_ASSIGNMENT]


def test_ids_within_a_meter_belong_to_their_own_patients(stage: Stage) -> None:
    stage.register(
        '[[meters]]\nvendor = "ACME"\nserial = "S2"\n'
        + assignment("pat", "2026-01-01", within="1", serial="S2")
        + assignment("sam", "2026-01-01", within="2", serial="S2")
    )
    meter = Meter(vendor="ACME", serial="S2")
    for number, within in enumerate(("1", "2", "3", None), 1):
        stage.take(
            reading(number, result(f"2026-03-0{number}T07:00:00", meter=meter, patient_id=within), meter=meter)
        )
    assert owners(stage) == ["pat", "sam"]
    assert stage.reasons() == [Reason.UNASSIGNED_METER] * 2


def test_an_unregistered_meter_waits_until_it_is_registered_and_released(stage: Stage) -> None:
    meter = Meter(vendor="Acme", serial="sn-9")
    stage.take(reading(1, result(meter=meter), meter=meter))
    assert stage.reasons() == [Reason.UNKNOWN_METER]
    (row,) = stage.waiting()
    with pytest.raises(DecisionError, match="registry import"):
        stage.release(row.id)
    stage.register('[[meters]]\nvendor = "ACME"\nserial = "SN9"\n' + assignment("pat", "2026-02-01", serial="SN9"))
    assert stage.reasons() == [Reason.UNKNOWN_METER]  # an import releases nothing by itself
    stage.release(row.id)
    assert owners(stage) == ["pat"]
    decided = stage.rows("SELECT by_name, act, subject FROM decision WHERE act = 'release'")
    assert [tuple(each) for each in decided] == [("Ada", "release", f"quarantine {row.id}")]


@pytest.mark.parametrize("time", [None, "1999-01-01T00:00:00", "2031-01-01T00:00:00"])
def test_a_time_that_cannot_be_right_waits_until_a_person_states_it(stage: Stage, time: str | None) -> None:
    stage.take(reading(1, result(time)))
    (row,) = stage.waiting()
    if row.reason == Reason.AMBIGUOUS_REPEAT:
        stage.release(row.id, as_two=True)
        (row,) = stage.waiting()
    assert row.reason == Reason.TIME_UNKNOWN
    with pytest.raises(DecisionError, match="taken-at"):
        stage.release(row.id)
    stage.release(row.id, taken_at=datetime(2026, 3, 9, 15, 0, tzinfo=UTC))
    (version,) = stage.versions()
    assert (version["taken_at"], version["quality"]) == ("2026-03-09T15:00:00.000Z", "stated")


def test_a_person_may_choose_among_the_possible_patients_only(stage: Stage) -> None:
    shared_meter(stage)
    stage.take(at("2026-03-10T07:59:00"))
    (row,) = stage.waiting()
    with pytest.raises(DecisionError):
        stage.release(row.id, patient="nobody")
    stage.release(row.id, patient="sam")
    assert owners(stage) == ["sam"]
    assert [each["note"] for each in stage.rows("SELECT note FROM decision WHERE act = 'release'")] == [
        "--patient sam result 1 stands in version 1 (final)"
    ]


def test_a_stated_time_goes_by_the_assignments_too(stage: Stage) -> None:
    stage.take(reading(1, result(None)))
    (row,) = stage.waiting()
    with pytest.raises(DecisionError, match="assigned to nobody"):
        stage.release(row.id, taken_at=datetime(2020, 1, 1, tzinfo=UTC))
    assert stage.waiting() == [row]


def test_a_better_copy_lets_a_result_be_released(stage: Stage) -> None:
    ahead = "2027-03-14T07:28:00"
    stage.take(reading(1, result(ahead)))
    assert stage.reasons() == [Reason.TIME_UNKNOWN]
    stage.take(reading(2, result(ahead), meter_clock=clock("2027-03-14T11:00:00")))
    assert stage.reasons() == [Reason.TIME_UNKNOWN]
    stage.release(stage.waiting()[0].id)
    (version,) = stage.versions()
    assert (version["quality"], version["reading_id"]) == ("offset_corrected", 2)


def test_without_a_believable_hub_clock_the_servers_bounds_the_future(stage: Stage) -> None:
    long_ago = datetime(1970, 1, 1, tzinfo=UTC)
    stage.take(reading(1, read_at=long_ago, hub_clock=UNSYNCHRONISED))
    assert owners(stage) == ["pat"]
    stage.take(
        reading(2, result("2026-03-17T07:00:00"), read_at=NOW + timedelta(days=30), hub_clock=UNSYNCHRONISED)
    )
    assert stage.reasons() == [Reason.TIME_UNKNOWN]


def test_a_conflict_is_decided_before_the_question_whose_it_is(stage: Stage) -> None:
    meter = Meter(vendor="ACME", serial="S9")
    stage.take(reading(1, result(meter=meter)), reading(2, result(meter=meter, strip_lot="OTHER")))
    by_reason = {entry.reason: entry.id for entry in stage.waiting()}
    with pytest.raises(DecisionError, match=f"quarantine {by_reason[Reason.CONFLICT]}"):
        stage.release(by_reason[Reason.UNKNOWN_METER])
    stage.release(by_reason[Reason.CONFLICT], keep=2)
    stage.register('[[meters]]\nvendor = "ACME"\nserial = "S9"\n' + assignment("pat", "2026-02-01", serial="S9"))
    stage.release(by_reason[Reason.UNKNOWN_METER])
    assert stage.waiting() == []


# ---------------------------------------------------------------- zones

HISTORY = [ZoneFrom("2025-01-01", "America/Los_Angeles"), ZoneFrom("2026-03-05", "America/New_York")]


@pytest.mark.parametrize(
    ("instant", "zone"),
    [
        (datetime(2024, 1, 1, tzinfo=UTC), "America/Los_Angeles"),
        (datetime(2026, 3, 5, 4, 59, tzinfo=UTC), "America/Los_Angeles"),
        (datetime(2026, 3, 5, 5, 0, tzinfo=UTC), "America/New_York"),
    ],
)
def test_a_zone_holds_from_midnight_of_its_date_in_itself(instant: datetime, zone: str) -> None:
    assert zone_at(HISTORY, instant) == zone


def test_a_patient_who_moved_is_read_in_the_zone_of_the_day(stage: Stage) -> None:
    stage.register('[[zones]]\npatient = "pat"\nfrom_date = 2026-03-05\nzone = "America/New_York"\n')
    stage.take(at("2026-03-03T07:00:00", meter_clock=None), at("2026-03-07T07:00:00", 2, meter_clock=None))
    assert [(row["taken_at"], row["zone"]) for row in stage.versions()] == [
        ("2026-03-03T15:00:00.000Z", "America/Los_Angeles"),
        ("2026-03-07T12:00:00.000Z", "America/New_York"),
    ]


def test_in_the_hours_of_a_move_the_uncertainty_covers_both_zones(stage: Stage) -> None:
    stage.register('[[zones]]\npatient = "pat"\nfrom_date = 2026-03-05\nzone = "America/New_York"\n')
    for number, hour in enumerate(("22:00:00", "23:00:00"), 1):
        stage.take(at(f"2026-03-04T{hour}", number, meter_clock=None))
    assert [row["uncertainty_s"] >= 900 + 3 * 3600 for row in stage.versions()] == [True, True]


def test_the_meters_own_offset_counts_before_any_zone(stage: Stage) -> None:
    time = DeviceTime(raw="x", local=local("2026-03-14T07:28:00"), utc_offset_min=60)
    stage.take(reading(1, result(device_time=time)))
    assert [row["taken_at"] for row in stage.versions()] == ["2026-03-14T06:28:00.000Z"]
