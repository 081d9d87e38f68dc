"""When a test was really done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import Clock, MeterOffset, Quality, moment, resolve, utc

NEW_YORK = ZoneInfo("America/New_York")
READ = datetime(2026, 3, 20, 12, 0, tzinfo=UTC)  # 08:00 in New York, summer time since 8 March
NOON = datetime(2026, 3, 14, 12, 0)


def meter(shown: datetime, *, synchronised: bool | None = True, offset: int | None = None) -> MeterOffset:
    return MeterOffset(shown, offset, READ, synchronised)


def test_without_a_reading_of_the_clock_the_zone_is_assumed() -> None:
    got = resolve(NOON, None, None, NEW_YORK, READ)
    assert (got.instant, got.quality) == (datetime(2026, 3, 14, 16, 0, tzinfo=UTC), Quality.ASSUMED_ZONE)
    assert got.uncertainty_s >= 900


def test_a_right_clock_is_synchronised() -> None:
    got = resolve(NOON, None, meter(datetime(2026, 3, 20, 8, 0, 50)), NEW_YORK, READ)
    assert (got.instant, got.quality) == (datetime(2026, 3, 14, 16, 0, tzinfo=UTC), Quality.SYNCHRONISED)


def test_a_hub_that_is_not_synchronised_proves_nothing() -> None:
    for unsure in (False, None):
        got = resolve(NOON, None, meter(datetime(2026, 3, 19, 8, 0), synchronised=unsure), NEW_YORK, READ)
        assert got.quality is Quality.ASSUMED_ZONE


def test_drift_is_taken_off() -> None:
    got = resolve(NOON, None, meter(datetime(2026, 3, 20, 8, 10)), NEW_YORK, READ)
    assert (got.instant, got.quality) == (datetime(2026, 3, 14, 15, 50, tzinfo=UTC), Quality.OFFSET_CORRECTED)
    assert got.uncertainty_s == 600


def test_a_clock_set_to_another_year_is_corrected_whole() -> None:
    got = resolve(datetime(2009, 1, 1, 12, 0), None, meter(datetime(2009, 1, 7, 8, 0)), NEW_YORK, READ)
    assert got.quality is Quality.OFFSET_CORRECTED
    assert got.instant is not None
    assert abs(got.instant - datetime(2026, 3, 14, 16, 0, tzinfo=UTC)) <= timedelta(seconds=got.uncertainty_s)


def test_a_test_before_the_change_to_summer_time_keeps_its_wall_clock() -> None:
    got = resolve(datetime(2026, 3, 1, 12, 0), None, meter(datetime(2026, 3, 20, 8, 0)), NEW_YORK, READ)
    assert got.instant == datetime(2026, 3, 1, 17, 0, tzinfo=UTC)


def test_the_hour_that_exists_twice_is_covered_by_the_uncertainty() -> None:
    got = resolve(datetime(2025, 11, 2, 1, 30), None, None, NEW_YORK, READ)
    assert got.ambiguous
    assert got.instant == datetime(2025, 11, 2, 6, 0, tzinfo=UTC)
    assert got.uncertainty_s >= 1800


def test_the_meters_own_offset_wins_over_the_zone() -> None:
    got = resolve(NOON, -420, None, NEW_YORK, READ)
    assert got.instant == datetime(2026, 3, 14, 19, 0, tzinfo=UTC)


def test_no_time_is_unset() -> None:
    assert resolve(None, None, None, NEW_YORK, READ).quality is Quality.UNSET


@pytest.mark.parametrize("shown", [datetime(1999, 12, 31), datetime(2000, 1, 1), datetime(2026, 3, 22)])
def test_before_such_meters_existed_or_in_the_future_is_implausible(shown: datetime) -> None:
    got = resolve(shown, None, None, NEW_YORK, READ)
    assert (got.instant, got.quality) == (None, Quality.IMPLAUSIBLE)


@given(
    st.datetimes(datetime(2010, 1, 1), datetime(2026, 3, 19)),
    st.sampled_from(["America/New_York", "Pacific/Pago_Pago", "Pacific/Guam", "America/Phoenix", "Europe/Paris"]),
    st.integers(-100, 100),
)
def test_a_right_clock_gives_the_true_instant_within_its_uncertainty(
    taken: datetime, name: str, error_s: int
) -> None:
    zone = ZoneInfo(name)
    shown = READ.astimezone(zone).replace(tzinfo=None) + timedelta(seconds=error_s)
    got = resolve(taken, None, meter(shown), zone, READ)
    truths = {taken.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    assert got.quality is Quality.SYNCHRONISED
    assert got.instant is not None
    if got.ambiguous:
        assert all(abs(truth - got.instant).total_seconds() <= got.uncertainty_s for truth in truths)
    else:
        assert got.instant in truths


@given(st.datetimes(timezones=st.timezones()))
def test_written_instants_sort_as_text(instant: datetime) -> None:
    try:
        text = utc(instant)
    except OverflowError:
        return
    assert abs(moment(text) - instant) < timedelta(milliseconds=1)
    assert len(text) == len("2026-03-14T12:30:05.000Z")


def test_an_instant_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        utc(NOON)
    with pytest.raises(ValueError, match="zone"):
        moment("2026-03-14T12:30:05")


def test_a_rigs_clock_runs_on_from_its_start() -> None:
    clock = Clock(READ)
    first, second = clock.now(), clock.now()
    assert READ <= first <= second < READ + timedelta(minutes=1)
