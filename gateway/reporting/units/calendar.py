"""Local dates, weeks and calendar arithmetic.

Inside the tally a local date is its proleptic ordinal (`datetime.date.toordinal`) and a week is ``ordinal // 7``:
ordinals divisible by seven are Sundays, so a week runs from Sunday 00:00 to Saturday 24:00 (rule R2) and the turn
of the year has no meaning. Days are added to local dates, never hours to instants (rule R5).
"""

from __future__ import annotations

import datetime as dt
from calendar import monthrange
from functools import lru_cache
from operator import itemgetter
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.reporting.units.errors import BadValueError, UnknownZoneError
from gateway.reporting.units.model import ZoneChange

DAYS_PER_WEEK = 7


def sunday(week: int) -> int:
    """Ordinal of the Sunday on which `week` begins."""
    return week * DAYS_PER_WEEK


def saturday(week: int) -> int:
    """Ordinal of the Saturday on which `week` ends."""
    return week * DAYS_PER_WEEK + 6


def add_months(day: dt.date, months: int) -> dt.date:
    """The same day `months` later, or the last day of that month (30 November + 3: 28 or 29 February)."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return dt.date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def add_year(day: dt.date) -> dt.date:
    """One calendar year later; 29 February gives 28 February (rule R31, 42 CFR 424.44)."""
    try:
        return dt.date(day.year + 1, day.month, day.day)
    except ValueError:
        return dt.date(day.year + 1, 2, 28)


class Zones:
    """A patient's zone of record over time: turns instants into local dates.

    Each change applies from 00:00 of its date in its own zone; before the first one `tz` holds.

    Attributes:
        single: the zone that holds always, or None where it changes.
    """

    __slots__ = ("_changes", "_first", "single")

    def __init__(self, tz: str, history: tuple[ZoneChange, ...] = ()) -> None:
        """Args: tz: IANA name; history: changes in any order.

        Raises:
            UnknownZoneError: a name the zone database does not have.
            BadValueError: two changes on one date.
        """
        self._first = zone(tz, "tz")
        self._changes: list[tuple[dt.datetime, dt.date, ZoneInfo]] = []
        for at, change in sorted(enumerate(history), key=itemgetter(1)):
            info = zone(change.tz, f"tz_history[{at}].tz")
            start = dt.datetime.combine(change.start, dt.time(), info).astimezone(dt.UTC)
            self._changes.append((start, change.start, info))
        starts = {change.start for change in history}
        if len(starts) != len(history):
            raise BadValueError("tz_history", "two zones start on the same date", "keep one zone per start date")
        self.single = self._first if all(info is self._first for _, _, info in self._changes) else None

    def instant(self, moment: dt.datetime) -> dt.datetime:
        """The instant of `moment`, comparable with any other.

        A moment without an offset is read in the zone of record on its date; of two equal wall times (fall-back)
        the one that its ``fold`` names is meant, the first by default.
        """
        tz = moment.tzinfo
        if tz is None:
            return moment.replace(tzinfo=self._zone_on(moment.date())).astimezone(dt.UTC)
        # Two datetimes that share one ZoneInfo compare by wall time, which is wrong in the repeated hour.
        return moment if tz.__class__ is dt.timezone else moment.astimezone(dt.UTC)

    def local(self, instant: dt.datetime) -> dt.datetime:
        """Local date and time of an `instant` that has an offset."""
        return instant.astimezone(self.single or self._zone_at(instant))

    def day(self, instant: dt.datetime) -> int:
        """Ordinal of the local date of an `instant` that has an offset."""
        return self.local(instant).toordinal()

    def day_of(self, moment: dt.datetime) -> int:
        """Ordinal of the local date of a `moment` with or without an offset."""
        if moment.tzinfo is None:
            moment = self.instant(moment)
        return moment.astimezone(self.single or self._zone_at(moment)).toordinal()

    def _zone_on(self, date: dt.date) -> ZoneInfo:
        found = self._first
        for _, start, info in self._changes:
            if date < start:
                break
            found = info
        return found

    def _zone_at(self, instant: dt.datetime) -> ZoneInfo:
        found = self._first
        for start, _, info in self._changes:
            if instant < start:
                break
            found = info
        return found


def zone(name: str, field: str) -> ZoneInfo:
    """The zone called `name`.

    Raises:
        UnknownZoneError: the zone database has no such name; `field` says where it stood.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError):
        raise UnknownZoneError(
            field, f"no time zone is called {name!r}", "give an IANA name such as America/Los_Angeles"
        ) from None


@lru_cache(maxsize=4096)
def zones(tz: str, history: tuple[ZoneChange, ...]) -> Zones:
    """`Zones` for these arguments, made once: most patients share their zone."""
    return Zones(tz, history)
