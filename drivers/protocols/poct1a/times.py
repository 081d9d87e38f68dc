"""Times of POCT1-A2 (type TS): ``2001-11-01T16:29:54-05:00``, with or without fractions, zone and seconds."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from drivers.contract import DeviceTime

__all__ = ["device_time", "stamp"]

_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(?:(Z)|([+-])(\d\d):?(\d\d))?", re.ASCII
)
_FARTHEST_OFFSET_MIN = 18 * 60


def device_time(raw: str) -> DeviceTime:
    """A time as the meter wrote it; without `local` when it is none. A date alone is no time of a test."""
    found = _TIME.fullmatch(raw)
    if found is None:
        return DeviceTime(raw, None)
    year, month, day, hour, minute, second, fraction, zulu, sign, offset_h, offset_min = found.groups()
    try:
        local = datetime(
            int(year),
            int(month),
            int(day),
            int(hour),
            int(minute),
            int(second or 0),
            int((fraction or "0").ljust(6, "0")[:6]),
        )
    except ValueError:
        return DeviceTime(raw, None)
    if sign is None:
        return DeviceTime(raw, local, 0 if zulu else None)
    offset = int(offset_h) * 60 + int(offset_min)
    if offset > _FARTHEST_OFFSET_MIN or int(offset_min) > 59:
        return DeviceTime(raw, None)
    return DeviceTime(raw, local, offset if sign == "+" else -offset)


def stamp(instant: datetime) -> str:
    """An instant as a host writes it, in the zone it carries: ``2010-03-05T11:06:00-05:00``.

    Raises:
        ValueError: it has no zone.
    """
    if (instant.utcoffset() or timedelta(0)) % timedelta(minutes=1) or instant.tzinfo is None:
        raise ValueError("an instant with a zone of whole minutes is needed")
    return instant.replace(microsecond=0).isoformat()
