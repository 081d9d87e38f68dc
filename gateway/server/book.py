"""The registry as attribution sees it, each question asked once for as long as the book is open.

A book is opened with a transaction and thrown away with it: another process may change the registry in between.
"""

from __future__ import annotations

import sqlite3

from gateway.store import people
from gateway.store.opening import Role, role_of

__all__ = ["Book"]


class Book:
    """Answers about hubs, meters, assignments and zones."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._hubs: dict[str, str | None] = {}
        self._meters: dict[str, bool] = {}
        self._assignments: dict[str, list[people.Assignment]] = {}
        self._zones: dict[str, list[people.ZoneFrom]] = {}
        self.role: Role = role_of(database) or "production"

    def hub_kind(self, hub: str) -> str | None:
        """``home``, ``rig``, or None for an unregistered hub."""
        if hub not in self._hubs:
            self._hubs[hub] = people.hub_kind(self._database, hub)
        return self._hubs[hub]

    def meter_known(self, key: str) -> bool:
        """Whether the meter is registered."""
        if key not in self._meters:
            self._meters[key] = people.meter_known(self._database, key)
        return self._meters[key]

    def assignments(self, meter_key: str) -> list[people.Assignment]:
        """All assignments of a meter."""
        if meter_key not in self._assignments:
            self._assignments[meter_key] = people.assignments(self._database, meter_key)
        return self._assignments[meter_key]

    def zones(self, patient: str) -> list[people.ZoneFrom]:
        """The history of a patient's zone of record."""
        if patient not in self._zones:
            self._zones[patient] = people.zones(self._database, patient)
        return self._zones[patient]
