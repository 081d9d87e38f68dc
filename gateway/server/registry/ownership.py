"""What an import would change in what is known already: whose a test is, and when it was done.

A plain import must not do that: it is a correction, and takes back reports (`gateway.server.registry.corrections`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from gateway.clock import Quality, moment, utc
from gateway.server.attribution import Attributed
from gateway.server.book import Book
from gateway.server.copies import best, copies_of, that_hold
from gateway.server.refusals import Refusal
from gateway.server.registry.tables import Placed, Problem
from gateway.server.versions import owner_of
from gateway.server.zones import zone_at
from gateway.store import registry, results

__all__ = ["Ownership", "Touched", "problems"]

Wrote = Sequence[tuple[Placed, Mapping[str, registry.Value]]]


class Touched(NamedTuple):
    """A known result that a row of the import touches.

    Attributes:
        placed: the row.
        version: the one that holds.
        found: whose it is and when it was done by the new registry; None: a named person said whose it is, and
            that stays.
    """

    placed: Placed
    version: sqlite3.Row
    found: Attributed | Refusal | None

    @property
    def moves(self) -> bool:
        """Whether the test would no longer be its patient's."""
        return isinstance(self.found, Refusal) or (
            self.found is not None and self.found.patient_id != self.version["patient_id"]
        )


class Ownership:
    """Who owned what before the import."""

    def __init__(self, database: sqlite3.Connection) -> None:
        """To be made before anything is written."""
        self._database = database
        self._before = Book(database)
        for row in registry.listing(database, "meters"):
            self._before.assignments(row["key"])
        for row in registry.listing(database, "patients"):
            self._before.zones(row["id"])

    def touched(self, wrote: Wrote) -> list[Touched]:
        """The known results that change, or would but for a person's word; each once, at the first row for it."""
        after, found = Book(self._database), dict[int, Touched]()
        for placed, values in wrote:
            for version in self._versions(after, placed, values):
                if version["result_id"] not in found:
                    one = self._one(after, placed, version)
                    if one is not None:
                        found[version["result_id"]] = one
        return list(found.values())

    def _versions(self, after: Book, placed: Placed, values: Mapping[str, registry.Value]) -> list[sqlite3.Row]:
        """The versions about which a row says something else than before."""
        if placed.kind == "assignments":
            meter = str(values["meter_key"])
            if self._before.assignments(meter) != after.assignments(meter):
                return results.attributed_versions(self._database, meter_key=meter)
        if placed.kind == "zones":
            patient = str(values["patient_id"])
            before = self._before.zones(patient)
            if before and before != after.zones(patient):
                return results.attributed_versions(self._database, patient_id=patient)
        return []

    def _one(self, after: Book, placed: Placed, version: sqlite3.Row) -> Touched | None:
        was, would = (self._owner(book, version) for book in (self._before, after))
        patient, instant = version["patient_id"], moment(version["taken_at"])
        if isinstance(was, Refusal) or was.patient_id != patient:  # by a person's word, not by the registry
            zones = after.zones(patient)
            zone = zone_at(zones, instant)
            if zone is not None and zone != zone_at(self._before.zones(patient), instant):
                quality = Quality(version["quality"])
                return Touched(
                    placed, version, Attributed(patient, instant, version["uncertainty_s"], quality, zone)
                )
            known = _whose(was) == _whose(would) or _whose(would) == patient
            return None if known else Touched(placed, version, None)
        if was == would:
            return None
        if isinstance(would, Attributed) and would.patient_id == patient:
            same = (utc(would.instant), would.zone) == (version["taken_at"], version["zone"])
            return None if same else Touched(placed, version, would)
        return Touched(placed, version, would)

    def _owner(self, book: Book, version: sqlite3.Row) -> Attributed | Refusal:
        """As at its arrival; what a person said of its time stays."""
        known = results.by_id(self._database, version["result_id"])
        if known is None:
            raise LookupError(f"version of result {version['result_id']}, which is not there")
        if version["quality"] == Quality.STATED.value:
            return owner_of(book, known, version)
        found = best(book, that_hold(known, copies_of(self._database, known.id)))
        return found if isinstance(found, Refusal) else found[0]


def _whose(found: Attributed | Refusal) -> str | None:
    return None if isinstance(found, Refusal) else found.patient_id


def problems(touched: Sequence[Touched]) -> Iterator[Problem]:
    """Why a plain import that touches these is refused, row by row."""
    rows: dict[int, list[Touched]] = {}
    for each in touched:
        rows.setdefault(id(each.placed), []).append(each)
    remedy = "that is a correction: see what it would do with --correct, or leave what covers them as it is"
    for group in rows.values():
        moved = [each for each in group if each.moves or each.found is None]
        for some, what, column in (
            (moved, "would take {} known results, the first of them {}, from their patient", None),
            (
                [each for each in group if each not in moved],
                "would shift the time of {} known results, the first of them {}",
                "from_date" if group[0].placed.kind == "zones" else None,
            ),
        ):
            if some:
                said = what.format(len(some), some[0].version["result_id"])
                yield Problem(group[0].placed.place, column, said, remedy)
