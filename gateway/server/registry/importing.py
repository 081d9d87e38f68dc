"""Writing imported rows into the store: all of them or none, and never so that a known result changes its owner."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple

from gateway.clock import utc
from gateway.database import transaction
from gateway.server.registry.kinds import (
    KINDS,
    Assignment,
    Contact,
    Destination,
    Enrollment,
    Hub,
    Level,
    Limits,
    Meter,
    Patient,
    Provider,
    Treatment,
    Zone,
)
from gateway.server.registry.ownership import Ownership, Touched
from gateway.server.registry.ownership import problems as corrections
from gateway.server.registry.periods import overlaps
from gateway.server.registry.statements import disorder, write_statement
from gateway.server.registry.tables import Place, Placed, Problem, read_files
from gateway.server.zones import midnight, zone_on
from gateway.store import decisions, destinations, people, registry
from gateway.store.opening import role_of

__all__ = ["ImportRefusedError", "Imported", "import_registry", "read_rows", "write_rows"]


class ImportRefusedError(Exception):
    """Nothing was imported; every problem is named."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class Imported(NamedTuple):
    """How many rows of each kind were new, changed, unchanged."""

    counts: dict[str, Counter[str]]

    def __str__(self) -> str:
        lines = [
            f"{kind}: "
            + ", ".join(f"{count[what]} {what}" for what in ("new", "changed", "unchanged") if count[what])
            for kind, count in self.counts.items()
        ]
        return "\n".join(lines) or "nothing"


def import_registry(database: sqlite3.Connection, paths: Sequence[Path], by: str, at: datetime) -> Imported:
    """Import files, or the CSV and TOML files of folders. The same import again changes nothing.

    Raises:
        ImportRefusedError: something is wrong somewhere, or it would correct what is known; the store is as before.
    """
    rows = read_rows(paths)
    with transaction(database):
        imported, touched = write_rows(database, rows, by, at)
        if touched:
            raise ImportRefusedError(list(corrections(touched)))
        decisions.record(database, at, by, "registry import", ", ".join(map(str, paths)), str(imported))
    return imported


def read_rows(paths: Sequence[Path]) -> list[Placed]:
    """The rows of files, or of the CSV and TOML files of folders, in the order in which they can be written.

    Raises:
        ImportRefusedError: one of them cannot be read, or stands there twice.
    """
    rows, problems = read_files(paths)
    problems += _given_twice(rows)
    if problems:
        raise ImportRefusedError(problems)
    order = list(KINDS)
    return sorted(rows, key=lambda placed: order.index(placed.kind))


def write_rows(
    database: sqlite3.Connection, rows: Sequence[Placed], by: str, at: datetime
) -> tuple[Imported, list[Touched]]:
    """Write rows; to be called inside a transaction.

    Returns:
        What was written, and the known results of which the registry says something else from now on.

    Raises:
        ImportRefusedError: something is wrong somewhere; the transaction must not be committed.
    """
    ownership = Ownership(database)
    writing = _Writing(database, utc(at), by)
    for placed in rows:
        writing.write(placed)
    problems = writing.problems + overlaps(database, writing.wrote) + disorder(database, writing.wrote)
    if problems:
        raise ImportRefusedError([*problems, *corrections(ownership.touched(writing.wrote))])
    return writing.imported, ownership.touched(writing.wrote)


class _Writing:
    """Writes rows and gathers what is wrong with them."""

    def __init__(self, database: sqlite3.Connection, at: str, by: str) -> None:
        self._database = database
        self._at = at
        self._by = by
        self.problems: list[Problem] = []
        self.imported = Imported({})
        self.wrote: list[tuple[Placed, dict[str, registry.Value]]] = []

    def write(self, placed: Placed) -> None:
        before = len(self.problems)
        values = self._values(placed)
        if values is None or len(self.problems) > before:
            return
        if placed.kind == "enrollments":
            change = registry.enroll(self._database, values, self._at)
        elif isinstance(placed.row, Destination):
            change = self._destination(placed.row.id, values)
        elif isinstance(placed.row, Level):
            change = write_statement(self._database, placed.row, placed.row.stated_by or self._by, self._at)
        else:
            change = registry.upsert(self._database, placed.kind, values, self._at)
        self.imported.counts.setdefault(placed.kind, Counter())[change] += 1
        self.wrote.append((placed, values))

    def _destination(self, identifier: str, values: dict[str, registry.Value]) -> registry.Change:
        before = destinations.find(self._database, identifier)
        change = registry.upsert(self._database, "destinations", values, self._at)
        moved = before is None or (before.channel, before.address) != (values["channel"], values["address"])
        role = role_of(self._database) or "production"
        destinations.registered(self._database, identifier, role, moved, self._at)
        return change

    def _values(self, placed: Placed) -> dict[str, registry.Value] | None:
        row, place = placed.row, placed.place
        match row:
            case Provider() | Hub():
                return row.model_dump()
            case Patient():
                return {**row.model_dump(), "birth_date": row.birth_date.isoformat()}
            case Meter():
                return {**row.model_dump(), "key": row.key}
            case Destination():
                if self._refer(place, "provider", "providers", row.provider) and row.mode != "each":
                    self._has_a_zone(place, row.provider)
                return {**row.model_dump(exclude={"provider"}), "provider_id": row.provider}
            case Zone():
                self._refer(place, "patient", "patients", row.patient)
                return {"patient_id": row.patient, "from_date": row.from_date.isoformat(), "zone": row.zone}
            case Assignment():
                self._refer(place, "serial", "meters", row.key)
                period = self._period(place, row.patient, row.from_, row.to)
                return period and {
                    "meter_key": row.key,
                    "meter_patient_id": row.meter_patient_id,
                    "patient_id": row.patient,
                    **period,
                }
            case Treatment():
                self._refer(place, "provider", "providers", row.provider)
                period = self._period(place, row.patient, row.from_, row.to)
                return period and {
                    "patient_id": row.patient,
                    "provider_id": row.provider,
                    "provider_patient_id": row.provider_patient_id,
                    "order_id": row.order_id,
                    **period,
                }
            case Limits() | Contact():
                if row.id is not None:
                    self._refer(place, "id", f"{row.of}s", row.id)
                return row.model_dump(mode="json")
            case Enrollment():
                self._refer(place, "patient", "patients", row.patient)
                dumped = row.model_dump(exclude={"patient"})
                return {
                    "patient_id": row.patient,
                    **{name: _stored(value) for name, value in dumped.items()},
                }
            case _:
                raise TypeError(f"no table for {type(row).__name__}")

    def _refer(self, place: Place, column: str, kind: str, identifier: str) -> bool:
        if registry.exists(self._database, kind, identifier):
            return True
        what = f"names one of the {kind} that is not there: {identifier}"
        self.problems.append(Problem(place, column, what, f"add it to {kind}, in this import or an earlier one"))
        return False

    def _has_a_zone(self, place: Place, provider: str) -> None:
        if not registry.row(self._database, "providers", provider)[0]["zone"]:
            what = f"needs batch hours in a zone, and provider {provider} has none"
            self.problems.append(Problem(place, "mode", what, "give the provider a zone, in this import or before"))

    def _period(self, place: Place, patient: str, start: str, end: str | None) -> dict[str, registry.Value] | None:
        """From and to as instants; a date begins in the patient's zone of record."""
        if not self._refer(place, "patient", "patients", patient):
            return None
        history = people.zones(self._database, patient)
        if not history:
            what = f"patient {patient} has no zone of record"
            self.problems.append(
                Problem(place, "patient", what, "add one to zones: no time can be read without it")
            )
            return None

        def instant(text: str) -> str:
            if len(text) > len("2026-03-14"):
                return utc(datetime.fromisoformat(text))
            return utc(midnight(text, zone_on(history, text) or history[0].zone))

        from_at, to_at = instant(start), None if end is None else instant(end)
        if to_at is not None and to_at < from_at:
            self.problems.append(Problem(place, "to", "lies before from", "correct one of them"))
        return {"from_at": from_at, "to_at": to_at}


def _stored(value: object) -> registry.Value:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bool):
        return int(value)
    if value is None or isinstance(value, str | int):
        return value
    raise TypeError(f"no column takes a {type(value).__name__}")


_KEYS = {
    "providers": ("id",),
    "destinations": ("id",),
    "patients": ("id",),
    "zones": ("patient", "from_date"),
    "hubs": ("id",),
    "meters": ("key",),
    "assignments": ("key", "meter_patient_id", "from_"),
    "treatments": ("patient", "provider", "from_"),
    "enrollments": ("patient",),
    "limits": ("of", "id", "from_"),
    "contacts": ("of", "id", "from_"),
}


def _given_twice(rows: Sequence[Placed]) -> list[Problem]:
    seen: dict[tuple[object, ...], Place] = {}
    problems = []
    for placed in rows:
        key = (placed.kind, *(getattr(placed.row, name) for name in _KEYS[placed.kind]))
        if key in seen:
            what = f"the same one stands at {seen[key]} already"
            problems.append(Problem(placed.place, None, what, "leave one of them out"))
        seen.setdefault(key, placed.place)
    return problems
