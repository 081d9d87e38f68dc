"""An import must not move a result that has its patient already: that is a correction, and takes back reports."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

from gateway.clock import Quality, moment
from gateway.server.attribution import owner_at
from gateway.server.refusals import Refusal
from gateway.server.registry.tables import Placed, Problem
from gateway.server.zones import zone_at
from gateway.store import people, registry, results
from gateway.store.people import Assignment, ZoneFrom

__all__ = ["Ownership"]


class Ownership:
    """Who owned what before the import."""

    def __init__(self, database: sqlite3.Connection) -> None:
        """To be made before anything is written."""
        self._database = database
        self._assignments: dict[str, list[Assignment]] = {}
        self._zones: dict[str, list[ZoneFrom]] = {}
        for row in registry.listing(database, "meters"):
            self._assignments[row["key"]] = people.assignments(database, row["key"])
        for row in registry.listing(database, "patients"):
            self._zones[row["id"]] = people.zones(database, row["id"])

    def changes(self, wrote: Sequence[tuple[Placed, Mapping[str, registry.Value]]]) -> list[Problem]:
        """A problem for each row that would change when, or by whom, a known test was done."""
        problems = []
        for placed, values in wrote:
            if placed.kind == "assignments":
                problems += self._moved(placed, str(values["meter_key"]))
            elif placed.kind == "zones":
                problems += self._shifted(placed, str(values["patient_id"]))
        return problems

    def _moved(self, placed: Placed, meter_key: str) -> list[Problem]:
        before = self._assignments.get(meter_key, [])
        after = people.assignments(self._database, meter_key)
        if before == after:
            return []
        self._assignments[meter_key] = after  # named once, at the first row that touches the meter
        moved = []
        for version in results.attributed_versions(self._database, meter_key=meter_key):
            typed = json.loads(version["body"]).get("patient_id")
            was, would = (self._owner(version, typed, assignments) for assignments in (before, after))
            if was != would and would != version["patient_id"]:
                moved.append(version["result_id"])
        if not moved:
            return []
        what = f"would take {len(moved)} known results, the first of them {moved[0]}, from their patient"
        remedy = "that is a correction, which is not offered yet; keep the assignment that covers them as it is"
        return [Problem(placed.place, None, what, remedy)]

    def _owner(self, version: sqlite3.Row, typed: str | None, assignments: Sequence[Assignment]) -> str | None:
        found = owner_at(
            typed,
            moment(version["taken_at"]),
            version["uncertainty_s"],
            Quality(version["quality"]),
            assignments,
            lambda patient: people.zones(self._database, patient),
        )
        return None if isinstance(found, Refusal) else found.patient_id

    def _shifted(self, placed: Placed, patient: str) -> list[Problem]:
        before, after = self._zones.get(patient, []), people.zones(self._database, patient)
        if before == after or not before:
            return []
        self._zones[patient] = after
        shifted = [
            version["result_id"]
            for version in results.attributed_versions(self._database, patient_id=patient)
            if zone_at(before, moment(version["taken_at"])) != zone_at(after, moment(version["taken_at"]))
        ]
        if not shifted:
            return []
        what = f"would shift the time of {len(shifted)} known results, the first of them {shifted[0]}"
        remedy = "that is a correction, which is not offered yet; choose a from_date after them"
        return [Problem(placed.place, "from_date", what, remedy)]
