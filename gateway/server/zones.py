"""Zones by name, and the patient's zone of record at an instant."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from gateway.store.people import ZoneFrom

__all__ = ["midnight", "zone_at", "zone_named", "zone_on"]


@lru_cache(maxsize=512)
def zone_named(name: str) -> ZoneInfo | None:
    """The zone with this IANA name, or None."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; no name at all; the name of a folder
        return None


@lru_cache(maxsize=4096)
def midnight(day: str, zone: str) -> datetime:
    """The instant at which a local date begins, UTC.

    Raises:
        ValueError: no such zone.
    """
    found = zone_named(zone)
    if found is None:
        raise ValueError(f"unknown zone {zone!r}")
    return datetime.combine(date.fromisoformat(day), datetime.min.time(), found).astimezone(UTC)


def zone_at(history: Sequence[ZoneFrom], instant: datetime) -> str | None:
    """The zone of record at an instant: each entry holds from 00:00 of its date in its own zone.

    Before the first entry the first one holds. None when there is no entry.
    """
    found = history[0].zone if history else None
    for entry in history[1:]:
        if midnight(entry.from_date, entry.zone) <= instant:
            found = entry.zone
    return found


def zone_on(history: Sequence[ZoneFrom], day: str) -> str | None:
    """The zone of record on a local date, ``2026-03-14``."""
    found = history[0].zone if history else None
    for entry in history[1:]:
        if entry.from_date <= day:
            found = entry.zone
    return found
