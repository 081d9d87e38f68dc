from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators import scenario as scenario_module
from simulators.astm.faults import FaultKind
from simulators.meter import Kind, Meter
from simulators.scenario import Scenario, ScenarioError, dump, five_weeks, load, long_use

DAYS = st.dates(date(2010, 1, 1), date(2060, 1, 1))


def _sunday_before(day: date) -> date:
    return day - timedelta(days=(day.weekday() + 1) % 7)


@given(DAYS)
def test_five_weeks_holds_what_it_promises_on_any_day(today: date) -> None:
    scenario = five_weeks(today)
    meter = Meter(scenario.meter, scenario.clock, scenario.memory)
    assert scenario.starts is not None
    assert [test.entry.at for test in meter.memory] == sorted(test.entry.at for test in meter.memory)
    assert all(test.entry.at < scenario.starts for test in meter.memory)
    kinds = [test.entry.kind for test in meter.memory]
    assert (kinds.count(Kind.CONTROL), kinds.count(Kind.ERROR), kinds.count(Kind.PATIENT)) == (1, 1, 6)
    weeks: dict[date, list[str | None]] = {}
    for test in meter.memory:
        if test.entry.kind is Kind.PATIENT and test.shown is not None:
            weeks.setdefault(_sunday_before(test.shown.date()), []).append(test.entry.inr)
    sundays = sorted(weeks)
    assert [later - earlier for earlier, later in pairwise(sundays)] == [timedelta(days=7)] * 4
    assert [len(weeks[sunday]) for sunday in sundays] == [1, 1, 2, 1, 1]
    assert weeks[sundays[2]][0] == ">8.0"


def test_five_weeks_are_local_times_of_new_york_on_both_sides_of_a_change_of_the_clocks() -> None:
    scenario = five_weeks(date(2026, 3, 14))
    meter = Meter(scenario.meter, scenario.clock, scenario.memory)
    assert [(test.entry.at.astimezone(UTC), test.shown) for test in meter.memory if test.ordinal in (0, 7)] == [
        (datetime(2026, 2, 10, 12, 28, 5, tzinfo=UTC), datetime(2026, 2, 10, 7, 28, 5)),
        (datetime(2026, 3, 10, 11, 28, 5, tzinfo=UTC), datetime(2026, 3, 10, 7, 28, 5)),
    ]


@given(DAYS, st.integers(1, 300), st.integers(0, 5))
def test_long_use_is_repeatable_and_no_two_tests_share_a_time(today: date, tests: int, seed: int) -> None:
    scenario = long_use(today, tests, seed)
    assert scenario == long_use(today, tests, seed)
    meter = Meter(scenario.meter, scenario.clock, scenario.memory)
    assert len({test.shown for test in meter.memory}) == tests
    assert scenario.starts is not None
    assert all(entry.at < scenario.starts for entry in scenario.memory)


def test_long_use_mixes_all_kinds() -> None:
    entries = long_use(date(2026, 3, 14), 400).memory
    assert {entry.kind for entry in entries} == set(Kind)
    assert {">8.0", "<0.8"} <= {entry.inr for entry in entries}


@pytest.mark.parametrize("made", [five_weeks(date(2026, 3, 14)), long_use(date(2026, 3, 14), 50)])
def test_a_dumped_scenario_is_read_back_the_same(made: Scenario, tmp_path: Path) -> None:
    path = tmp_path / "meter.json"
    path.write_text(dump(made))
    assert load(path) == made


def test_the_documented_example_is_a_scenario(tmp_path: Path) -> None:
    documentation = scenario_module.__doc__ or ""
    example = documentation.split("::\n", 1)[1].split("\nEverything", 1)[0]
    path = tmp_path / "meter.toml"
    path.write_text("\n".join(line.removeprefix("    ") for line in example.splitlines()))
    read = load(path)
    assert [entry.kind for entry in read.memory] == [Kind.PATIENT, Kind.ERROR]
    assert read.faults[0].kind is FaultKind.BAD_CHECKSUM
    assert read.clock.offset_s == -3600


GOOD = 'schema = "inr-gateway/scenario/1"\n'


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.toml", "", r"a\.toml: schema: Field required"),
        (
            "a.toml",
            'schema = "inr-gateway/scenario/2"',
            r"a\.toml: schema: Input should be 'inr-gateway/scenario/1'",
        ),
        ("a.toml", "= 3", r"a\.toml: not valid TOML \(name it \.json if it is JSON\)"),
        ("a.json", "{", r"a\.json: not valid JSON"),
        ("a.json", "[]", r"a\.json: \(whole file\)"),
        ("a.toml", GOOD + "[metre]\n", r"a\.toml: metre: Extra inputs"),
        ("a.toml", GOOD + "[[memory]]\nat = 2026-03-14T07:28:00Z\n", r"a\.toml: memory\.0: .*needs an inr"),
        (
            "a.toml",
            GOOD + '[[memory]]\nat = 2026-03-14T07:28:00\ninr = "2"\n',
            r"a\.toml: memory\.0\.at: .*timezone",
        ),
        ("a.toml", GOOD + '[dialect]\ndelimiters = "||^&"\n', r"dialect\.delimiters: .*four different"),
        ("a.toml", GOOD + "[timers]\nscale = 0\n", r"timers\.scale"),
        ("a.toml", GOOD + "[timers]\nreply_s = nan\n", r"timers\.reply_s"),
        ("a.toml", GOOD + '[[faults]]\nkind = "drop"\n', r"faults\.0: .*at one frame or at one octet"),
        (
            "a.toml",
            GOOD + '[[faults]]\nkind = "truncate"\noctet = 3\n',
            r"faults\.0: .*give frame instead of octet",
        ),
        ("a.toml", GOOD + '[[faults]]\nkind = "delay"\nframe = 3\n', r"faults\.0: .*a delay needs seconds"),
    ],
)
def test_an_unfit_file_is_refused_with_file_key_and_remedy(name: str, text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ScenarioError, match=says):
        load(path)


def test_a_missing_or_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"nowhere\.toml: no such file"):
        load(tmp_path / "nowhere.toml")
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ScenarioError, match=r"a\.toml: cannot be read"):
        load(tmp_path / "a.toml")
