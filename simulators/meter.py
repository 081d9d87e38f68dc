"""A home INR meter that does not exist: who it is, what its clock shows, what its memory holds.

Pure: no input or output, and the present instant is always given by the caller. How a meter *speaks* stands
elsewhere (`simulators.astm`); the same meter can speak several protocols.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AwareDatetime, Field, NaiveDatetime, StringConstraints, field_validator, model_validator

from simulators.part import Part, Text

__all__ = ["Clock", "ClockKind", "Entry", "Identity", "Kind", "Meter", "Stored"]


class Kind(StrEnum):
    """What a test in the memory is."""

    PATIENT = "patient"
    CONTROL = "control"
    """A run of control solution: it says something about the strips, nothing about the patient."""
    ERROR = "error"
    """The meter tried and failed; there is no value."""


class Identity(Part):
    """Who the meter is.

    Attributes:
        capacity: how many tests the memory holds; the oldest is overwritten, sent or not.
        numbers_wrap_after: after this record number the meter counts from 1 again; None: it never does.
    """

    vendor: Text = "ACME"
    model: Text = "HomeINR"
    serial: Text = "SN000123"
    firmware: Text = "1.2"
    capacity: Annotated[int, Field(ge=1)] = 500
    numbers_wrap_after: Annotated[int, Field(ge=1)] | None = None


class Entry(Part):
    """One test as it truly happened.

    Attributes:
        at: the true instant, with zone. What the meter writes down follows from its clock.
        inr: what the meter displayed: ``2.5``, or ``>8.0`` and ``<0.8`` beyond its measuring range.
        pt_seconds: prothrombin time in seconds, as displayed.
        quick_percent: Quick value in percent, as displayed.
        number: a record number instead of the meter's own count, to repeat or omit (empty) one.
        device_time: characters to send instead of the clock's, to send a time that is none.
    """

    kind: Kind = Kind.PATIENT
    at: AwareDatetime
    inr: Annotated[Text, StringConstraints(min_length=1)] | None = None
    pt_seconds: Text | None = None
    quick_percent: Text | None = None
    strip_lot: Text | None = None
    control_lot: Text | None = None
    control_level: Text | None = None
    error_code: Text | None = None
    operator_id: Text = ""
    patient_id: Text = ""
    number: Text | None = None
    device_time: Text | None = None

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.kind is Kind.ERROR:
            if self.inr is not None:
                raise ValueError("an error has no inr; leave inr out, or make the kind patient or control")
            if self.error_code is None:
                raise ValueError("an error needs an error_code, for example E-5")
        elif self.inr is None:
            raise ValueError(
                f"a {self.kind} test needs an inr, for example 2.5 or >8.0; without one it is an error"
            )
        return self


class ClockKind(StrEnum):
    """How the meter's clock goes."""

    RIGHT = "right"
    """It shows local time."""
    OFFSET = "offset"
    """It runs right but was set wrong by `Clock.offset_s`."""
    DRIFTING = "drifting"
    """It was right at `Clock.set_at` and gains `Clock.gains_s_per_day` ever since."""
    STOPPED = "stopped"
    """It shows `Clock.shows_always`, whatever the time."""
    UNSET = "unset"
    """It was never set and shows nothing."""


_NEEDS = {
    ClockKind.RIGHT: frozenset[str](),
    ClockKind.OFFSET: frozenset({"offset_s"}),
    ClockKind.DRIFTING: frozenset({"set_at", "gains_s_per_day"}),
    ClockKind.STOPPED: frozenset({"shows_always"}),
    ClockKind.UNSET: frozenset[str](),
}


class Clock(Part):
    """The meter's own clock. It has a wall time and no zone; `zone` is the place where the patient set it."""

    kind: ClockKind = ClockKind.RIGHT
    zone: str = "America/New_York"
    offset_s: float | None = None
    set_at: AwareDatetime | None = None
    gains_s_per_day: float | None = None
    shows_always: NaiveDatetime | None = None

    @field_validator("zone")
    @classmethod
    def _zone_exists(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"no such zone {zone!r}; write one like America/New_York") from None
        return zone

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        special = frozenset().union(*_NEEDS.values())
        given = {name for name in special if getattr(self, name) is not None}
        wanted = _NEEDS[self.kind]
        if given != wanted:
            needs = ", ".join(sorted(wanted)) or "nothing more"
            has = ", ".join(sorted(given)) or "nothing more"
            raise ValueError(f"a clock of kind {self.kind} needs {needs}, but has {has}")
        return self

    def shows(self, instant: datetime) -> datetime | None:
        """The wall time on the display at an instant (naive, whole seconds), or None when it shows none."""
        if self.kind is ClockKind.UNSET:
            return None
        if self.kind is ClockKind.STOPPED:
            return self.shows_always
        wrong_s = self.offset_s or 0.0
        if self.set_at is not None and self.gains_s_per_day is not None:
            wrong_s = (instant - self.set_at).total_seconds() / 86400 * self.gains_s_per_day
        # By way of UTC: a wall time that the clocks skipped, already in this zone, would come back as it went in.
        local = instant.astimezone(UTC).astimezone(ZoneInfo(self.zone)).replace(tzinfo=None)
        # The error is added to the wall time: a wrong clock is still changed to summer time by its owner.
        return (local + timedelta(seconds=wrong_s)).replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class Stored:
    """One test as it stands in the memory.

    Attributes:
        ordinal: counts every test the meter ever made, from 0; the simulator's own name for it, never sent.
        number: the record number the meter shows; may repeat or be empty.
        shown: what the meter's clock showed during the test, or None.
    """

    ordinal: int
    number: str
    shown: datetime | None
    entry: Entry

    @property
    def digest(self) -> str:
        """Changes when anything about the stored test changes."""
        content = [self.ordinal, self.number, str(self.shown), self.entry.model_dump(mode="json")]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


class Meter:
    """A meter and its memory.

    Args:
        entries: tests already made, oldest first.
    """

    def __init__(self, identity: Identity, clock: Clock, entries: Iterable[Entry] = ()) -> None:
        self.identity = identity
        self.clock = clock
        self._made = 0
        self._memory: list[Stored] = []
        for entry in entries:
            self.make(entry)

    def make(self, entry: Entry) -> Stored:
        """Do one more test and store it; when the memory is full, the oldest test is overwritten."""
        wrap = self.identity.numbers_wrap_after
        count = self._made % wrap + 1 if wrap else self._made + 1
        number = str(count) if entry.number is None else entry.number
        stored = Stored(self._made, number, self.clock.shows(entry.at), entry)
        self._made += 1
        self._memory.append(stored)
        del self._memory[: -self.identity.capacity]
        return stored

    def delete(self, tests: Iterable[Stored]) -> None:
        """Forget some tests, as a host ordered."""
        gone = {test.ordinal for test in tests}
        self._memory = [test for test in self._memory if test.ordinal not in gone]

    @property
    def memory(self) -> tuple[Stored, ...]:
        """What the meter still holds, oldest first."""
        return tuple(self._memory)
