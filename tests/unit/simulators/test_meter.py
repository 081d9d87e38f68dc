from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from simulators.meter import Clock, ClockKind, Entry, Identity, Kind, Meter

NOON = datetime(2026, 3, 14, 16, 0, 0, 700_000, tzinfo=UTC)  # 12:00:00.7 in New York, summer time since the 8th


def test_a_right_clock_shows_wall_time_without_zone_before_and_after_the_change_to_summer_time() -> None:
    clock = Clock()
    assert clock.shows(NOON) == datetime(2026, 3, 14, 12, 0)
    assert clock.shows(NOON - timedelta(days=7)) == datetime(2026, 3, 7, 11, 0)


def test_a_clock_set_wrong_is_wrong_by_its_offset() -> None:
    assert Clock(kind=ClockKind.OFFSET, offset_s=-3600).shows(NOON) == datetime(2026, 3, 14, 11, 0)


def test_a_drifting_clock_gains_with_the_days() -> None:
    clock = Clock(kind=ClockKind.DRIFTING, set_at=NOON - timedelta(days=10), gains_s_per_day=6)
    assert clock.shows(NOON) == datetime(2026, 3, 14, 12, 1)
    assert clock.shows(NOON - timedelta(days=5)) == datetime(2026, 3, 9, 12, 0, 30)


def test_a_stopped_clock_always_shows_the_same_and_an_unset_one_nothing() -> None:
    stopped = Clock(kind=ClockKind.STOPPED, shows_always=datetime(2000, 1, 1))
    assert stopped.shows(NOON) == stopped.shows(NOON + timedelta(days=1)) == datetime(2000, 1, 1)
    assert Clock(kind=ClockKind.UNSET).shows(NOON) is None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"kind": "offset"}, "needs offset_s, but has nothing more"),
        ({"kind": "right", "offset_s": 1}, "needs nothing more, but has offset_s"),
        ({"kind": "drifting", "gains_s_per_day": 1}, "needs gains_s_per_day, set_at"),
        ({"zone": "Mars/Olympus"}, "no such zone 'Mars/Olympus'"),
        ({"zone": "../../etc/passwd"}, "no such zone"),
    ],
)
def test_a_clock_that_makes_no_sense_is_refused_with_the_remedy(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Clock.model_validate(given)


def test_the_memory_wraps_at_its_capacity_and_overwrites_the_oldest() -> None:
    meter = Meter(Identity(capacity=3), Clock(), [Entry(at=NOON, inr=f"2.{n}") for n in range(5)])
    assert [stored.entry.inr for stored in meter.memory] == ["2.2", "2.3", "2.4"]
    assert [stored.ordinal for stored in meter.memory] == [2, 3, 4]


def test_record_numbers_count_and_repeat_when_the_counter_wraps_or_an_entry_says_so() -> None:
    meter = Meter(Identity(numbers_wrap_after=3), Clock(), [Entry(at=NOON, inr="2.5") for _ in range(4)])
    meter.make(Entry(at=NOON, inr="2.5", number="1"))
    meter.make(Entry(at=NOON, inr="2.5", number=""))
    assert [stored.number for stored in meter.memory] == ["1", "2", "3", "1", "1", ""]


def test_what_the_clock_showed_stays_with_the_test() -> None:
    meter = Meter(Identity(), Clock(kind=ClockKind.OFFSET, offset_s=60))
    stored = meter.make(Entry(at=NOON, inr="2.5"))
    meter.clock = Clock()
    assert meter.memory[0] is stored
    assert stored.shown == datetime(2026, 3, 14, 12, 1)


def test_a_digest_tells_any_two_different_tests_apart() -> None:
    entries = [
        Entry(at=NOON, inr="2.5"),
        Entry(at=NOON, inr="2.50"),
        Entry(at=NOON, inr="2.5", kind=Kind.CONTROL),
        Entry(at=NOON, inr="2.5", strip_lot="1"),
        Entry(at=NOON + timedelta(seconds=1), inr="2.5"),
    ]
    digests = {Meter(Identity(), Clock(), [entry]).memory[0].digest for entry in entries}
    assert len(digests) == len(entries)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"at": NOON}, "needs an inr"),
        ({"at": NOON, "kind": "control"}, "needs an inr"),
        ({"at": NOON, "kind": "error"}, "needs an error_code"),
        ({"at": NOON, "kind": "error", "error_code": "E-5", "inr": "2.5"}, "an error has no inr"),
        ({"at": datetime(2026, 3, 14), "inr": "2.5"}, "timezone"),
        ({"at": NOON, "inr": "2.5", "patient_id": "Ω"}, "outside ISO 8859-1"),
        ({"at": NOON, "inr": "2.5", "pulse": "60"}, "Extra inputs"),
    ],
)
def test_an_impossible_test_is_refused_with_the_remedy(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Entry.model_validate(given)
