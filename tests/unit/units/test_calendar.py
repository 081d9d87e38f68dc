"""Weeks, zones and calendar arithmetic, against the slow and obvious way."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.reporting.units.calendar import DAYS_PER_WEEK, Zones, add_months, add_year, saturday, sunday
from gateway.reporting.units.diagnoses import DiagnosisTable
from gateway.reporting.units.model import ZoneChange
from gateway.reporting.units.tally import tally
from tests.unit.units.build import ENROLLED, a_test, policy

ZONES = (
    "America/New_York",
    "America/Los_Angeles",
    "America/Phoenix",
    "Pacific/Guam",
    "Pacific/Pago_Pago",
    "Pacific/Honolulu",
    "Pacific/Saipan",
    "America/Santiago",
    "Australia/Lord_Howe",
)
DATES = st.dates(dt.date(2007, 1, 1), dt.date(2037, 12, 31))


@given(DATES)
def test_a_week_runs_from_sunday_to_saturday(day: dt.date) -> None:
    week = day.toordinal() // DAYS_PER_WEEK
    first, last = dt.date.fromordinal(sunday(week)), dt.date.fromordinal(saturday(week))
    assert (first.strftime("%a"), last.strftime("%a")) == ("Sun", "Sat")
    assert first <= day <= last


@given(DATES, st.integers(0, 30))
def test_months_are_added_with_a_clamp(day: dt.date, months: int) -> None:
    later = add_months(day, months)
    assert (later.year * 12 + later.month) - (day.year * 12 + day.month) == months
    assert later.day == day.day or (later.day < day.day and (later + dt.timedelta(days=1)).day == 1)


def test_the_last_days_of_all_months_are_clamped_to_the_target_month() -> None:
    for year, month in [(year, month) for year in (2023, 2024) for month in range(1, 13)]:
        for months in range(15):
            first = dt.date(year + (month + months - 1) // 12, (month + months - 1) % 12 + 1, 1)
            last = max(day for day in (first + dt.timedelta(days=n) for n in range(31)) if day.month == first.month)
            start = dt.date(year + month // 12, month % 12 + 1, 1) - dt.timedelta(days=1)
            assert add_months(start, months) == min(last, first + dt.timedelta(days=start.day - 1))


@given(DATES)
def test_a_year_later_is_twelve_months_later(day: dt.date) -> None:
    assert add_year(day) == add_months(day, 12)


@given(st.sampled_from(ZONES), st.datetimes(dt.datetime(2015, 1, 1), dt.datetime(2036, 1, 1)))
def test_a_local_date_is_that_of_the_zone_whatever_the_offset_says(name: str, moment: dt.datetime) -> None:
    zones, utc = Zones(name), moment.replace(tzinfo=dt.UTC)
    expected = utc.astimezone(ZoneInfo(name)).date().toordinal()
    for offset in (dt.UTC, dt.timezone(dt.timedelta(hours=-11)), ZoneInfo("Asia/Kathmandu"), ZoneInfo(name)):
        assert zones.day(zones.instant(utc.astimezone(offset))) == expected
        assert zones.day_of(utc.astimezone(offset)) == expected


@pytest.mark.parametrize("name", ZONES)
@pytest.mark.parametrize(
    "turn", [dt.date(2023, 12, 31), dt.date(2024, 12, 31), dt.date(2024, 3, 9), dt.date(2024, 11, 2)]
)
def test_midnight_belongs_to_the_new_day(name: str, turn: dt.date) -> None:
    zones = Zones(name)
    midnight = dt.datetime.combine(turn + dt.timedelta(days=1), dt.time(), ZoneInfo(name)).astimezone(dt.UTC)
    assert zones.day(midnight) == turn.toordinal() + 1
    assert zones.day(midnight - dt.timedelta(seconds=1)) == turn.toordinal()


def test_the_repeated_hour_gives_two_instants_in_order() -> None:
    zones = Zones("America/New_York")
    first = dt.datetime(2024, 11, 3, 1, 30, tzinfo=ZoneInfo("America/New_York"))
    second = first.replace(fold=1)
    assert zones.instant(second) - zones.instant(first) == dt.timedelta(hours=1)
    assert zones.instant(first.replace(tzinfo=None)) == zones.instant(first)


def test_a_zone_change_applies_from_its_own_midnight() -> None:
    history = (ZoneChange(dt.date(2024, 6, 15), "America/New_York"),)
    zones = Zones("America/Los_Angeles", history)
    change = dt.datetime(2024, 6, 15, 4, tzinfo=dt.UTC)
    assert zones.day(change) == dt.date(2024, 6, 15).toordinal()
    assert zones.day(change - dt.timedelta(seconds=1)) == dt.date(2024, 6, 14).toordinal()
    naive = dt.datetime(2024, 6, 14, 12)
    assert zones.instant(naive) == dt.datetime(2024, 6, 14, 19, tzinfo=dt.UTC)
    assert zones.instant(naive + dt.timedelta(days=1)) == dt.datetime(2024, 6, 15, 16, tzinfo=dt.UTC)
    assert zones.instant(naive + dt.timedelta(days=2)) == dt.datetime(2024, 6, 16, 16, tzinfo=dt.UTC)


def test_of_several_zone_changes_the_last_one_begun_holds() -> None:
    history = (
        ZoneChange(dt.date(2024, 6, 20), "Pacific/Honolulu"),
        ZoneChange(dt.date(2024, 6, 15), "America/New_York"),
    )
    zones = Zones("America/Los_Angeles", history)
    hours = [zones.instant(dt.datetime(2024, 6, day, 1)).hour for day in (10, 14, 15, 16, 19, 20, 21)]
    assert hours == [8, 8, 5, 5, 5, 11, 11]
    days = [zones.day(dt.datetime(2024, 6, day, hour, tzinfo=dt.UTC)) for day, hour in ((16, 4), (20, 9), (20, 10))]
    assert [dt.date.fromordinal(day).day for day in days] == [16, 20, 20]
    assert zones.day(dt.datetime(2024, 6, 21, 9, tzinfo=dt.UTC)) == dt.date(2024, 6, 20).toordinal()


@pytest.mark.parametrize(
    "name", ["America/New_York", "America/Phoenix", "Pacific/Guam", "Pacific/Pago_Pago", "Pacific/Honolulu"]
)
@pytest.mark.parametrize(
    "week_begins", [dt.date(2024, 3, 10), dt.date(2024, 11, 3), dt.date(2024, 12, 29), dt.date(2024, 6, 9)]
)
def test_a_week_boundary_is_the_patients_midnight(table: DiagnosisTable, name: str, week_begins: dt.date) -> None:
    """The last second of Saturday and the first of Sunday are two weeks; Sunday's and Saturday's ends are one."""
    sunday_0 = dt.datetime.combine(week_begins, dt.time(), ZoneInfo(name)).astimezone(dt.UTC)
    following = dt.datetime.combine(week_begins + dt.timedelta(days=7), dt.time(), ZoneInfo(name)).astimezone(
        dt.UTC
    )
    second = dt.timedelta(seconds=1)
    patient = replace(
        ENROLLED,
        tz=name,
        warfarin_start=dt.date(2023, 1, 1),
        training_date=dt.date(2023, 12, 1),
        orders=(ENROLLED.orders[0]._replace(signed_on=dt.date(2023, 12, 1)),),
    )

    def counted(*instants: dt.datetime) -> int:
        tests = [a_test(f"t{n}", instant.isoformat()) for n, instant in enumerate(instants)]
        return len(tally(patient, tests, (), (), policy(table), week_begins + dt.timedelta(days=10)).pending)

    assert counted(sunday_0 - second, sunday_0) == 2
    assert counted(sunday_0, following - second) == 1
    assert counted(following - second, following) == 2
