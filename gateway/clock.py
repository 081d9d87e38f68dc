"""Time: when a test was really done, and how well that is known.

Meters have no zone and often a wrong clock. What the meter wrote is never changed; `resolve` computes the instant
beside it as one pure function. `Clock` is the gateway's own source of *now*: a rig may start it at a fixed day.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

__all__ = ["Clock", "MeterOffset", "Quality", "Resolved", "meter_error", "moment", "resolve", "utc"]

SYNCHRONISED_WITHIN = timedelta(minutes=2)
"""A meter clock this close to the hub's synchronised clock counts as right."""
TRACKS_ZONE_WITHIN = timedelta(minutes=30)
"""A meter clock this close to local time is a local clock that drifts, not a clock set to something else."""
EARLIEST = datetime(2008, 1, 1)  # noqa: DTZ001 - compared with naive device times
"""Device times before this are a clock that was never set: no meter of this kind is older."""
FUTURE_TOLERANCE = timedelta(days=1)
ASSUMED_UNCERTAINTY_S = 900.0
"""Without a reading of the meter's clock its error is unknown; 15 minutes is what peers warn at."""


class Quality(StrEnum):
    """How well the instant of a test is known, best first."""

    SYNCHRONISED = "synchronised"
    """The meter's clock was read beside a synchronised hub clock and was right."""
    OFFSET_CORRECTED = "offset_corrected"
    """The meter's clock was read beside a synchronised hub clock, and its error was taken off."""
    ASSUMED_ZONE = "assumed_zone"
    """The meter's clock is believed and read in the zone of record."""
    IMPLAUSIBLE = "implausible"
    """The time would lie in the future or before such meters existed."""
    UNSET = "unset"
    """The meter gave no readable time."""
    STATED = "stated"
    """A named person said when the test was done; `resolve` never gives this."""


@dataclass(frozen=True, slots=True)
class MeterOffset:
    """The meter's clock read beside the hub's.

    Attributes:
        meter_local: what the meter showed, naive.
        utc_offset_min: the offset the meter itself gave, if any.
        hub_time: the hub's clock at that moment, with zone.
        hub_synchronised: False or None: the hub's clock proves nothing.
    """

    meter_local: datetime
    utc_offset_min: int | None
    hub_time: datetime
    hub_synchronised: bool | None


@dataclass(frozen=True, slots=True)
class Resolved:
    """When a test was done.

    Attributes:
        instant: UTC, or None when it is not known (unset, implausible).
        uncertainty_s: the true instant lies within plus or minus this of `instant`.
        ambiguous: the local time exists twice (the clocks went back); `uncertainty_s` covers both.
    """

    instant: datetime | None
    uncertainty_s: float
    quality: Quality
    ambiguous: bool = False


def resolve(
    device_local: datetime | None,
    utc_offset_min: int | None,
    meter: MeterOffset | None,
    zone: ZoneInfo,
    received: datetime,
) -> Resolved:
    """Resolve a device time to an instant.

    Args:
        device_local: the record's time as the meter wrote it, naive; None if unreadable.
        utc_offset_min: the record's own offset, minutes east of UTC, if the meter gave one.
        meter: the meter's clock beside the hub's, if the protocol tells it.
        zone: zone of record of the place where the meter is used.
        received: when the hub read the record; a test cannot be later.

    A meter clock near local time is read in `zone` (so a test before a change to summer time keeps its wall clock)
    and corrected by its drift. One that is far off, for example by days, is corrected by its whole difference from
    the hub's clock; the day of the test is then right within the hour that a clock change in between may add.
    """
    if device_local is None:
        return Resolved(None, 0.0, Quality.UNSET)
    if utc_offset_min is not None:
        instant = (device_local - timedelta(minutes=utc_offset_min)).replace(tzinfo=UTC)
        ambiguous, spread_s = False, 0.0
    else:
        instant, ambiguous, spread_s = _in_zone(device_local, zone)
    quality, uncertainty_s = Quality.ASSUMED_ZONE, ASSUMED_UNCERTAINTY_S + spread_s
    if meter is not None and meter.hub_synchronised:
        error = meter_error(meter, zone)
        if abs(error) <= SYNCHRONISED_WITHIN:
            quality, uncertainty_s = Quality.SYNCHRONISED, SYNCHRONISED_WITHIN.total_seconds() + spread_s
        else:
            instant -= error
            quality = Quality.OFFSET_CORRECTED
            drifts = abs(error) <= TRACKS_ZONE_WITHIN
            uncertainty_s = (abs(error).total_seconds() if drifts else 3600.0) + spread_s
    elif device_local < EARLIEST:
        return Resolved(None, 0.0, Quality.IMPLAUSIBLE)
    if not EARLIEST.replace(tzinfo=UTC) <= instant <= received.astimezone(UTC) + FUTURE_TOLERANCE:
        return Resolved(None, 0.0, Quality.IMPLAUSIBLE)
    return Resolved(instant, uncertainty_s, quality, ambiguous)


def meter_error(meter: MeterOffset, zone: ZoneInfo) -> timedelta:
    """How far the meter's clock goes ahead of the hub's (negative: behind), the meter's time read in `zone`.

    It says something about the meter only where the hub's own clock was synchronised.
    """
    return _shown_instant(meter, zone) - meter.hub_time.astimezone(UTC)


def _in_zone(local: datetime, zone: ZoneInfo) -> tuple[datetime, bool, float]:
    """Instant of a local time, whether it exists twice, and half the distance between the two in seconds."""
    first = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    second = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if second <= first:  # the usual case, or a time that the clocks skipped: there the first reading is as good
        return first, False, 0.0
    half = (second - first) / 2
    return first + half, True, half.total_seconds()


def _shown_instant(meter: MeterOffset, zone: ZoneInfo) -> datetime:
    if meter.utc_offset_min is not None:
        return (meter.meter_local - timedelta(minutes=meter.utc_offset_min)).replace(tzinfo=UTC)
    candidates = [meter.meter_local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
    return min(candidates, key=lambda shown: abs(shown - meter.hub_time.astimezone(UTC)))


class Clock:
    """The gateway's *now*. Runs with the system clock, or, on a rig only, from a fixed start."""

    def __init__(self, start: datetime | None = None) -> None:
        """Args: start: an instant with zone from which the clock runs on, or None for the system's clock."""
        self._ahead = timedelta(0) if start is None else start - datetime.now(UTC)

    def now(self) -> datetime:
        """The current instant in UTC."""
        return datetime.now(UTC) + self._ahead

    @staticmethod
    def monotonic_s() -> float:
        """Seconds that never go back; comparable within one boot only."""
        return time.monotonic()


def utc(instant: datetime) -> str:
    """An instant as ``2026-03-14T12:30:05.000Z``: the one form in stores, so that text order is time order."""
    if instant.tzinfo is None:
        raise ValueError("an instant needs a zone")
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(text: str) -> datetime:
    """The instant that `utc` wrote."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"{text!r} has no zone; instants are written like 2026-03-14T12:30:05.000Z")
    return instant.astimezone(UTC)
