"""When a provider wants its batches: hours of certain days of the week, in its own zone. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

__all__ = ["Schedule"]

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
FORM = "write it like 'Mon-Fri 08:00 16:30', 'Sat,Sun 10:00' or '07:00' (every day)"
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class Schedule:
    """Hours of the day on certain days.

    Attributes:
        days: 0 Monday to 6 Sunday.
        times: in order.
    """

    days: frozenset[int]
    times: tuple[time, ...]

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """Read ``Mon-Fri 08:00 16:30``; without days every day.

        Raises:
            ValueError: the text is no schedule; the message says how to write one.
        """
        words = text.split()
        days: set[int] = set()
        while words and not words[0][0].isdigit():
            for part in words.pop(0).strip(",").split(","):
                days |= _days(part)
        times = sorted({time(int(found[1]), int(found[2])) for found in map(_time, words)})
        if not times:
            raise ValueError(f"names no time of day; {FORM}")
        return cls(frozenset(days or range(7)), tuple(times))

    def next_after(self, instant: datetime, zone: ZoneInfo) -> datetime:
        """The first hour of the schedule after an instant, in UTC.

        An hour that the clocks skip comes as much later; one that they repeat comes the first time.
        """
        first = instant.astimezone(zone).date()
        for ahead in range(-1, 9):  # from the day before: a skipped hour may come after midnight
            day = first + timedelta(days=ahead)
            if day.weekday() in self.days:
                for hour in self.times:
                    at = datetime.combine(day, hour, zone).astimezone(UTC)
                    if at > instant:
                        return at
        raise AssertionError("a schedule has an hour in every week")


@lru_cache(maxsize=1024)
def _days(part: str) -> frozenset[int]:
    first, dash, last = part.title().partition("-")
    if first not in DAYS or (dash and last not in DAYS):
        raise ValueError(f"{part!r} is no day of the week; {FORM}")
    begin, end = DAYS.index(first), DAYS.index(last or first)
    return frozenset((begin + step) % 7 for step in range((end - begin) % 7 + 1))


def _time(word: str) -> re.Match[str]:
    found = _TIME.fullmatch(word)
    if found is None:
        raise ValueError(f"{word!r} is no time of day; {FORM}")
    return found
