"""Days and times as a physician on either side of an ocean reads them, the same on every machine. Pure."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

__all__ = ["MONTHS", "day", "instant", "local", "span", "zone"]

MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def day(of: date) -> str:
    """``18 Mar 1948``: a month in letters is not taken for a day."""
    return f"{of.day} {MONTHS[of.month - 1]} {of.year}"


def local(at: datetime) -> str:
    """``Sun 22 Mar 2026, 08:48`` in the zone that `at` carries."""
    return f"{WEEKDAYS[at.weekday()]} {day(at.date())}, {at:%H:%M}"


def zone(at: datetime) -> str:
    """``PDT (UTC-07:00)``."""
    offset = f"{at:%z}"
    name = at.tzname() or ""
    hours = f"UTC{offset[:3]}:{offset[3:5]}"
    return f"{name} ({hours})" if name.isalpha() and name != "UTC" else hours


def instant(at: datetime) -> str:
    """``22 Mar 2026 15:52 UTC``."""
    return f"{day(at.date())} {at:%H:%M} {at.tzname() or ''}".rstrip()


def span(seconds: float) -> str:
    """``2 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"
