"""Codes beside G0249 and G0250: training (G0248, 93792), management of one INR (93793), home infusion (S9336).

Cautions for a person; nothing is counted here (rules R32, R33, R36).
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from gateway.reporting.units.errors import BadCodeError
from gateway.reporting.units.model import Unit

NeighbourCode = Literal["G0248", "93792", "93793", "S9336"]
NEIGHBOURS: Final[tuple[NeighbourCode, ...]] = ("G0248", "93792", "93793", "S9336")
_NO_DAYS: Final[Mapping[str, dt.date]] = MappingProxyType({})


class Service(NamedTuple):
    """A neighbouring service that was or is to be billed.

    Attributes:
        code: G0248, 93792, 93793 or S9336.
        date: date of service.
        test: the test that a 93793 speaks of, if any.
        same_day_visit: whether an evaluation and management visit is billed for that day.
        units: billed quantity.
        billed_by: who billed it, ourselves or somebody else; empty where that is not on record.
    """

    code: NeighbourCode
    date: dt.date
    test: str | None = None
    same_day_visit: bool = False
    units: int = 1
    billed_by: str = ""


class Caution(NamedTuple):
    """One caution: the rule, the date, plain words, and the test that it speaks of, if any."""

    rule: str
    date: dt.date
    words: str
    test: str | None = None

    @property
    def line(self) -> str:
        """All of it in one line."""
        return f"caution ({self.rule}, {self.date}): {self.words}"


def cautions(
    services: Sequence[Service],
    physician_units: Iterable[Unit] = (),
    days: Mapping[str, dt.date] = _NO_DAYS,
) -> tuple[Caution, ...]:
    """What a person should look at before these services are billed.

    Args:
        services: all neighbouring services of one patient.
        physician_units: the G0250 units of the same patient.
        days: the local day of each test, for a 93793 that names none.

    Raises:
        BadCodeError: a code that is none of these.
    """
    for service in services:
        if service.code not in NEIGHBOURS:
            raise BadCodeError("code", f"unknown code {service.code!r}", f"use one of: {', '.join(NEIGHBOURS)}")
    ordered = sorted(services, key=lambda service: (service.date, service.code))
    found = [*_training(ordered), *_single_inr(ordered, physician_units, days), *_infusion(ordered)]
    return tuple(sorted(found, key=lambda caution: (*caution[:3], caution.test or "")))


def _training(services: Sequence[Service]) -> list[Caution]:
    found: list[Caution] = []
    initial = [service for service in services if service.code == "G0248"]
    for again in initial[1:]:
        before = f"{initial[0].date} already{_by(initial[0], '(by')}"
        words = f"G0248 is paid once in a lifetime; it was billed for {before}."
        found.append(Caution("R33", again.date, words))
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


def _single_inr(
    services: Sequence[Service], physician_units: Iterable[Unit], days: Mapping[str, dt.date]
) -> list[Caution]:
    found: list[Caution] = []
    in_units = {test_id for unit in physician_units if unit.code == "G0250" for test_id in unit.tests}
    for service in services:
        if service.code != "93793":
            continue
        if service.same_day_visit:
            found.append(Caution("R32", service.date, "93793 is not billed beside a visit on the same day."))
        by = _by(service, "(billed by")
        if service.test is None:
            found += [
                Caution(
                    "R32",
                    service.date,
                    f"93793 of this day names no INR{by}; the INR {test_id} of this day is in a G0250 unit, and is "
                    "paid twice if it is that one.",
                    test_id,
                )
                for test_id in sorted(in_units)
                if days.get(test_id) == service.date
            ]
        elif service.test in in_units:
            words = f"The INR {service.test} is in a G0250 unit: 93793 pays it again{by}."
            found.append(Caution("R32", service.date, words, service.test))
    found += [
        Caution("R32", day, f"93793 is billed once a day; {times} are named.")
        for day, times in _units_per_day(services, "93793").items()
        if times > 1
    ]
    return found


def _by(service: Service, opening: str) -> str:
    """In brackets who billed it, where that is on record."""
    return f" {opening} {service.billed_by})" if service.billed_by else ""


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
