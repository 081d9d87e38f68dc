"""Periods that must not overlap: a meter has one owner at a time, a provider one id for a patient."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

from gateway.server.registry.tables import Placed, Problem
from gateway.store import registry

__all__ = ["overlaps"]

Wrote = Sequence[tuple[Placed, Mapping[str, registry.Value]]]
Clash = Callable[[sqlite3.Row, sqlite3.Row], bool]


def overlaps(database: sqlite3.Connection, wrote: Wrote) -> list[Problem]:
    """Problems of the rows that were just written, against each other and what was there before.

    A period that ends as it begins is empty: the way to take back an assignment that should never have been.
    """
    return [
        *_clashing(database, wrote, "assignments", ("meter_key",), _one_meter),
        *_clashing(database, wrote, "treatments", ("patient_id", "provider_id"), lambda _one, _two: True),
    ]


def _one_meter(one: sqlite3.Row, two: sqlite3.Row) -> bool:
    """An assignment of a whole meter clashes with any other of it, one of an id with those of the same id."""
    return "" in (one["meter_patient_id"], two["meter_patient_id"]) or (
        one["meter_patient_id"] == two["meter_patient_id"]
    )


def _clashing(
    database: sqlite3.Connection,
    wrote: Wrote,
    kind: str,
    within: tuple[str, ...],
    clash: Clash,
) -> list[Problem]:
    table = registry.TABLES[kind]
    written = [(placed.place, values) for placed, values in wrote if placed.kind == kind]
    places = {tuple(values[name] for name in table.key): place for place, values in written}
    touched = {tuple(values[name] for name in within) for _place, values in written}
    groups: dict[tuple[object, ...], list[sqlite3.Row]] = {}
    for row in registry.listing(database, kind) if touched else ():
        group = tuple(row[name] for name in within)
        if group in touched and row["from_at"] != row["to_at"]:
            groups.setdefault(group, []).append(row)
    problems = []
    for rows in groups.values():
        for one, two in combinations(sorted(rows, key=lambda row: row["from_at"]), 2):
            if (one["to_at"] is None or two["from_at"] < one["to_at"]) and clash(one, two):
                keys = [tuple(row[name] for name in table.key) for row in (two, one)]
                place = next((places[key] for key in keys if key in places), None)
                if place is not None:
                    other = one if places.get(keys[0]) == place else two
                    what = f"overlaps the one from {other['from_at']} to {other['to_at'] or 'now and on'}"
                    remedy = "give the earlier one an end (to), in this import too"
                    problems.append(Problem(place, "from", what, remedy))
    return problems
