"""Codes beside G0249 and G0250: training (G0248, 93792), management of one INR (93793), home infusion (S9336).

Cautions for a person; nothing is counted here (rules R32, R33, R36).
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

from gateway.reporting.units.errors import BadCodeError
from gateway.reporting.units.model import Unit

NeighbourCode = Literal["G0248", "93792", "93793", "S9336"]
NEIGHBOURS: Final[tuple[NeighbourCode, ...]] = ("G0248", "93792", "93793", "S9336")


class Service(NamedTuple):
    """A neighbouring service that was or is to be billed.

    Attributes:
        code: G0248, 93792, 93793 or S9336.
        date: date of service.
        test: the test that a 93793 speaks of, if any.
        same_day_visit: whether an evaluation and management visit is billed for that day.
        units: billed quantity.
    """

    code: NeighbourCode
    date: dt.date
    test: str | None = None
    same_day_visit: bool = False
    units: int = 1


class Caution(NamedTuple):
    """One caution: the rule, the date, and plain words."""

    rule: str
    date: dt.date
    words: str


def cautions(services: Sequence[Service], physician_units: Iterable[Unit] = ()) -> tuple[Caution, ...]:
    """What a person should look at before these services are billed.

    Args:
        services: all neighbouring services of one patient.
        physician_units: the G0250 units of the same patient.

    Raises:
        BadCodeError: a code that is none of these.
    """
    for service in services:
        if service.code not in NEIGHBOURS:
            raise BadCodeError("code", f"unknown code {service.code!r}", f"use one of: {', '.join(NEIGHBOURS)}")
    ordered = sorted(services, key=lambda service: (service.date, service.code))
    return tuple(sorted([*_training(ordered), *_single_inr(ordered, physician_units), *_infusion(ordered)]))


def _training(services: Sequence[Service]) -> list[Caution]:
    found: list[Caution] = []
    initial = [service for service in services if service.code == "G0248"]
    found += [
        Caution(
            "R33", again.date, f"G0248 is paid once in a lifetime; it was billed for {initial[0].date} already."
        )
        for again in initial[1:]
    ]
    found += [
        Caution("R33", service.date, f"G0248 is paid once in a lifetime; {service.units} units are named.")
        for service in initial
        if service.units > 1
    ]
    training_days = {service.date for service in initial}
    per_day = _units_per_day(services, "93792")
    found += [
        Caution("R33", day, "G0248 and 93792 are never both billed for one training session.")
        for day in per_day
        if day in training_days
    ]
    found += [
        Caution("R33", day, f"93792 is limited to 1 unit a day; {units} are named.")
        for day, units in per_day.items()
        if units > 1
    ]
    return found


def _single_inr(services: Sequence[Service], physician_units: Iterable[Unit]) -> list[Caution]:
    found: list[Caution] = []
    in_units = {test_id for unit in physician_units if unit.code == "G0250" for test_id in unit.tests}
    for service in services:
        if service.code != "93793":
            continue
        if service.same_day_visit:
            found.append(Caution("R32", service.date, "93793 is not billed beside a visit on the same day."))
        if service.test is not None and service.test in in_units:
            found.append(
                Caution("R32", service.date, f"The INR {service.test} is in a G0250 unit: 93793 pays it again.")
            )
    found += [
        Caution("R32", day, f"93793 is billed once a day; {times} are named.")
        for day, times in _units_per_day(services, "93793").items()
        if times > 1
    ]
    return found


def _units_per_day(services: Sequence[Service], code: NeighbourCode) -> Counter[dt.date]:
    """Billed quantity of `code` by date: two lines of one day are as much as one line of two."""
    per_day: Counter[dt.date] = Counter()
    for service in services:
        if service.code == code:
            per_day[service.date] += service.units
    return per_day


def _infusion(services: Sequence[Service]) -> list[Caution]:
    return [
        Caution(
            "R36",
            service.date,
            "Home heparin infusion: heparin can disturb the INR. It is no part of this service.",
        )
        for service in services
        if service.code == "S9336"
    ]
