"""Scenarios: a simulated meter as data, and builders of such data.

A scenario is a TOML or JSON file (by its name's ending)::

    schema = "inr-gateway/scenario/1"
    starts = 2026-03-14T12:00:00-04:00      # the simulated present when the meter is switched on; default: now

    [meter]                                 # simulators.meter.Identity
    vendor = "ACME"
    serial = "SN000123"
    capacity = 100

    [clock]                                 # simulators.meter.Clock: right, offset, drifting, stopped, unset
    kind = "offset"
    zone = "America/New_York"
    offset_s = -3600

    [dialect]                               # simulators.astm.dialect.Dialect
    framing = "record"                      # record, stream, message
    sent_once = true

    [timers]                                # simulators.astm.dialect.Timers
    scale = 0.01

    [[memory]]                              # simulators.meter.Entry, oldest first
    at = 2026-03-10T07:28:00-04:00          # the true instant, with zone
    inr = "2.5"
    pt_seconds = "29.6"
    strip_lot = "564636"

    [[memory]]
    kind = "error"
    at = 2026-03-11T07:28:00-04:00
    error_code = "E-5"

    [[faults]]                              # simulators.astm.faults.Fault
    kind = "bad_checksum"
    frame = 3

Everything but ``schema`` has a default.
"""

from __future__ import annotations

import random
import tomllib
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, Field, ValidationError
from pydantic_core import from_json

from simulators.astm.dialect import Dialect, Timers
from simulators.astm.faults import Fault
from simulators.meter import Clock, Entry, Identity, Kind
from simulators.part import Part

__all__ = ["SCENARIO_SCHEMA", "Scenario", "ScenarioError", "dump", "five_weeks", "load", "long_use", "read"]

SCENARIO_SCHEMA: Final = "inr-gateway/scenario/1"
P = TypeVar("P", bound=Part)


class ScenarioError(ValueError):
    """A scenario cannot be used; the message names file, key and remedy."""


class Scenario(Part):
    """One simulated meter, whole.

    Attributes:
        starts: the simulated present when the meter is switched on; it runs on from there. None: the real one.
    """

    schema_: Literal["inr-gateway/scenario/1"] = Field(alias="schema")
    starts: AwareDatetime | None = None
    meter: Identity = Identity()
    clock: Clock = Clock()
    dialect: Dialect = Dialect()
    timers: Timers = Timers()
    memory: tuple[Entry, ...] = ()
    faults: tuple[Fault, ...] = ()


def load(path: Path) -> Scenario:
    """Read a scenario file.

    Raises:
        ScenarioError: it is missing, neither TOML nor JSON, or does not fit; every unfit key is named.
    """
    return read(path, Scenario)


def read(path: Path, kind: type[P]) -> P:
    """Read a scenario file of any kind of meter.

    Raises:
        ScenarioError: it is missing, neither TOML nor JSON, or does not fit; every unfit key is named.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content: Any = from_json(text) if path.suffix == ".json" else tomllib.loads(text)
    except FileNotFoundError:
        raise ScenarioError(f"{path}: no such file; 'pydoc {kind.__module__}' shows what it holds") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: cannot be read: {error}") from error
    except ValueError as error:  # of either format
        form = "JSON" if path.suffix == ".json" else "TOML (name it .json if it is JSON)"
        raise ScenarioError(f"{path}: not valid {form}: {error}") from error
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        problems = [
            f"{path}: {'.'.join(map(str, problem['loc'])) or '(whole file)'}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)
        ]
        raise ScenarioError("\n".join(problems)) from error


def dump(scenario: Scenario) -> str:
    """A scenario as JSON that `load` reads back."""
    return scenario.model_dump_json(by_alias=True, exclude_none=True, indent=1) + "\n"


def five_weeks(today: date, zone: str = "America/New_York") -> Scenario:
    """A patient's last five weeks up to noon of a day.

    Five tests, one on each of the last five Tuesdays, so one in each of five Sunday-to-Saturday weeks; the third
    reads above the measuring range, ``>8.0``. Beside them a control run with a new box of strips in the second
    week, a retest two days after the ``>8.0``, and an error just before the fourth: eight tests in the memory.
    """
    tuesday = today - timedelta(days=(today.weekday() - 1) % 7)
    place = ZoneInfo(zone)

    def at(weeks_ago: int, days: int, hour: int, minute: int) -> datetime:
        day = tuesday - timedelta(weeks=weeks_ago) + timedelta(days=days)
        return datetime.combine(day, time(hour, minute, 5), place)

    old_lot, new_lot = "564636", "571204"
    return Scenario(
        schema=SCENARIO_SCHEMA,
        starts=datetime.combine(today, time(12), place),
        clock=Clock(zone=zone),
        memory=(
            _patient(at(4, 0, 7, 28), "2.4", "28.4", "32", old_lot),
            Entry(
                kind=Kind.CONTROL,
                at=at(3, -1, 18, 2),
                inr="1.1",
                pt_seconds="13.0",
                quick_percent="87",
                strip_lot=new_lot,
                control_lot="7712",
                control_level="1",
            ),
            _patient(at(3, 0, 7, 31), "2.7", "32.0", "28", new_lot),
            _patient(at(2, 0, 7, 26), ">8.0", None, None, new_lot),
            _patient(at(2, 2, 8, 14), "3.6", "42.6", "20", new_lot),
            Entry(kind=Kind.ERROR, at=at(1, 0, 7, 22), error_code="E-5", strip_lot=new_lot),
            _patient(at(1, 0, 7, 30), "2.9", "34.3", "26", new_lot),
            _patient(at(0, 0, 7, 28), "2.5", "29.6", "31", new_lot),
        ),
    )


def long_use(today: date, tests: int, seed: int = 0, zone: str = "America/New_York") -> Scenario:
    """A memory of any size, four tests a day up to the evening before a day, the same for the same arguments.

    About one test in twenty each is a control run, an error, above and below the measuring range.
    """
    chance = random.Random(seed)  # repeatable on purpose
    place = ZoneInfo(zone)
    memory = []
    for back in range(tests, 0, -1):
        quarter_day = timedelta(hours=6) * back - timedelta(minutes=chance.randrange(280))
        local = datetime.combine(today, time(0)) - quarter_day
        # Sums with naive times step through wall time; only then is the zone put on.
        at = local.replace(second=chance.randrange(60), tzinfo=place).astimezone(UTC)
        draw = chance.random()
        tenths = chance.randrange(10, 60)
        inr, seconds = f"{tenths / 10:.1f}", f"{tenths * 1.18:.1f}"
        if draw < 0.05:
            lot, level = "7712", str(chance.randrange(1, 3))
            memory.append(Entry(kind=Kind.CONTROL, at=at, inr=inr, control_lot=lot, control_level=level))
        elif draw < 0.10:
            memory.append(Entry(kind=Kind.ERROR, at=at, error_code=f"E-{chance.randrange(1, 10)}"))
        elif draw < 0.15:
            memory.append(_patient(at, ">8.0", None, None, "564636"))
        elif draw < 0.20:
            memory.append(_patient(at, "<0.8", None, None, "564636"))
        else:
            memory.append(_patient(at, inr, seconds, None, "564636"))
    return Scenario(
        schema=SCENARIO_SCHEMA,
        starts=datetime.combine(today, time(12), place),
        meter=Identity(capacity=max(tests, 1)),
        clock=Clock(zone=zone),
        memory=tuple(memory),
    )


def _patient(at: datetime, inr: str, pt_seconds: str | None, quick_percent: str | None, lot: str) -> Entry:
    return Entry(at=at, inr=inr, pt_seconds=pt_seconds, quick_percent=quick_percent, strip_lot=lot)
