"""The topics of this system, version 1. The reading stands in its topic, so even a broken payload gets a receipt.

::

    inr/1/hub/{hub}/reading/{journal}/{number}    hub → server, QoS 1
    inr/1/hub/{hub}/status                        hub → server, QoS 1, retained (birth and last will)
    inr/1/hub/{hub}/receipts                      server → hub, QoS 1
    inr/1/hub/{hub}/epoch                         server → hub, QoS 1, retained
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

PREFIX = "inr/1"
READINGS = f"{PREFIX}/hub/+/reading/+/+"
STATUSES = f"{PREFIX}/hub/+/status"

_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_HUB = r"(?P<hub>[A-Za-z0-9][A-Za-z0-9_.-]{0,62})"
_READING = re.compile(rf"^{PREFIX}/hub/{_HUB}/reading/(?P<journal>{_UUID})/(?P<number>[1-9]\d{{0,17}})$")
_STATUS = re.compile(rf"^{PREFIX}/hub/{_HUB}/status$")


_uuid = lru_cache(maxsize=4096)(UUID)  # a hub publishes thousands of readings of one journal


@dataclass(frozen=True, slots=True)
class ReadingName:
    """Which reading a topic speaks of."""

    hub: str
    journal: UUID
    number: int


def reading(hub: str, journal: UUID, number: int) -> str:
    """Topic on which one reading is published."""
    return f"{PREFIX}/hub/{hub}/reading/{journal}/{number}"


def status(hub: str) -> str:
    """Topic of a hub's birth and last will."""
    return f"{PREFIX}/hub/{hub}/status"


def receipts(hub: str) -> str:
    """Topic on which a hub gets its receipts."""
    return f"{PREFIX}/hub/{hub}/receipts"


def epoch(hub: str) -> str:
    """Topic on which a hub learns the store's epoch and high-water marks."""
    return f"{PREFIX}/hub/{hub}/epoch"


def parse_reading(topic: str) -> ReadingName | None:
    """The reading that a topic names, or None for any other topic."""
    found = _READING.fullmatch(topic)
    return ReadingName(found["hub"], _uuid(found["journal"]), int(found["number"])) if found else None


def is_reading(topic: str) -> bool:
    """Whether a topic matches the filter `READINGS`, whether or not it names a reading."""
    levels, wanted = topic.split("/"), READINGS.split("/")
    return len(levels) == len(wanted) and all(
        want in ("+", level) for level, want in zip(levels, wanted, strict=True)
    )


def parse_status(topic: str) -> str | None:
    """The hub whose status a topic carries, or None."""
    found = _STATUS.fullmatch(topic)
    return found["hub"] if found else None
