"""Batch hours: how they are written, and when the next one is, whatever the clocks do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.reporting.schedule import DAYS, Schedule

NEW_YORK = ZoneInfo("America/New_York")


def after(text: str, local: str, zone: ZoneInfo = NEW_YORK) -> str:
    """The next hour after a local time, as local time."""
    instant = datetime.fromisoformat(local).replace(tzinfo=zone)
    return Schedule.parse(text).next_after(instant, zone).astimezone(zone).strftime("%a %Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("text", "local", "expected"),
    [
        ("08:00", "2026-03-11T07:59", "Wed 2026-03-11 08:00"),
        ("08:00", "2026-03-11T08:00", "Thu 2026-03-12 08:00"),
        ("Mon-Fri 08:00", "2026-03-13T09:00", "Mon 2026-03-16 08:00"),
        ("Mon-Fri 08:00 16:30", "2026-03-13T09:00", "Fri 2026-03-13 16:30"),
        ("Fri-Mon 08:00", "2026-03-10T09:00", "Fri 2026-03-13 08:00"),
        ("Sat, Sun 10:00", "2026-03-14T11:00", "Sun 2026-03-15 10:00"),
        ("wed 10:00", "2026-03-11T10:00", "Wed 2026-03-18 10:00"),
        # The clocks go from 02:00 to 03:00 on 8 March and from 02:00 back to 01:00 on 1 November 2026.
        ("02:30", "2026-03-08T00:00", "Sun 2026-03-08 03:30"),
        ("01:30", "2026-11-01T00:00", "Sun 2026-11-01 01:30"),
    ],
)
def test_the_next_hour(text: str, local: str, expected: str) -> None:
    assert after(text, local) == expected


def test_an_hour_that_comes_twice_counts_once() -> None:
    schedule = Schedule.parse("01:30")
    first = schedule.next_after(datetime(2026, 11, 1, 4, 0, tzinfo=UTC), NEW_YORK)
    assert first == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    assert schedule.next_after(first, NEW_YORK) == datetime(2026, 11, 2, 6, 30, tzinfo=UTC)


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    st.lists(st.sampled_from(DAYS), max_size=3),
    st.lists(st.times(), min_size=1, max_size=3),
    st.sampled_from(["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "UTC"]),
)
def test_the_next_hour_lies_ahead_within_a_week_and_on_a_wanted_day(
    instant: datetime, days: list[str], times: list[object], zone: str
) -> None:
    schedule = Schedule.parse(" ".join([",".join(days), *(f"{each:%H:%M}" for each in times)]))
    at = schedule.next_after(instant, ZoneInfo(zone))
    assert instant < at <= instant + timedelta(days=8)
    nothing_between = schedule.next_after(at - timedelta(seconds=1), ZoneInfo(zone))
    assert nothing_between == at


@pytest.mark.parametrize(
    "text", ["", "Mon", "8:00", "24:00", "Mon-Fry 08:00", "08:00 Mon", "noon", "Mon-Tue-Wed 08:00"]
)
def test_what_is_no_schedule_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="write it like"):
        Schedule.parse(text)
