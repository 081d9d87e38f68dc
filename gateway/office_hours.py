"""When somebody can be reached: ``Mon-Fri 08:00-17:00``."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final, NamedTuple, Self

__all__ = ["DAYS", "OfficeHours"]

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_FORM = re.compile(r"(?P<first>[A-Z][a-z]{2})(-(?P<last>[A-Z][a-z]{2}))? (?P<start>\d\d:\d\d)-(?P<end>\d\d:\d\d)")


class OfficeHours(NamedTuple):
    """The same hours on some days of the week; local time, from `start` to just before `end`."""

    weekdays: frozenset[int]
    start: dt.time
    end: dt.time

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``Mon-Fri 08:00-17:00`` or ``Sat 09:00-12:00``.

        Raises:
            ValueError: it is not of that form, or ends before it begins.
        """
        found = _FORM.fullmatch(text)
        if found is None or found["first"] not in DAYS or (found["last"] or found["first"]) not in DAYS:
            raise ValueError("has not the form of Mon-Fri 08:00-17:00")
        first, last = DAYS.index(found["first"]), DAYS.index(found["last"] or found["first"])
        try:
            start, end = dt.time.fromisoformat(found["start"]), dt.time.fromisoformat(found["end"])
        except ValueError:
            raise ValueError("names an hour that no clock shows") from None
        if last < first or end <= start:
            raise ValueError("ends before it begins")
        return cls(frozenset(range(first, last + 1)), start, end)

    def hold_at(self, local: dt.datetime) -> bool:
        """Whether a local time lies in them."""
        return local.weekday() in self.weekdays and self.start <= local.time() < self.end
