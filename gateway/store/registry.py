"""The registry's tables: writing rows, listing and showing them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Literal, NamedTuple

__all__ = ["TABLES", "Change", "Table", "enroll", "exists", "listing", "related", "row", "upsert"]

Change = Literal["new", "changed", "unchanged"]
Value = str | int | None


class Table(NamedTuple):
    """A table of the registry: its name, the columns by which a row is known, and the others.

    Attributes:
        stamped: it keeps when a row changed.
        grows: rows are only added, and of those with one key the newest holds.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    stamped: bool = False
    grows: bool = False


TABLES = {
    "providers": Table("provider", ("id",), ("name", "npi", "zone"), stamped=True),
    "destinations": Table(
        "destination",
        ("id",),
        (
            "provider_id",
            "channel",
            "address",
            "application",
            "facility",
            "settings",
            "rank",
            "fall_back_after_s",
            "mode",
            "schedule",
        ),
        stamped=True,
    ),
    "patients": Table("patient", ("id",), ("family_name", "given_name", "birth_date", "sex"), stamped=True),
    "zones": Table("patient_zone", ("patient_id", "from_date"), ("zone",)),
    "hubs": Table("hub", ("id",), ("kind",), stamped=True),
    "meters": Table("meter", ("key",), ("vendor", "serial", "model"), stamped=True),
    "assignments": Table("assignment", ("meter_key", "meter_patient_id", "from_at"), ("patient_id", "to_at")),
    "treatments": Table(
        "treatment", ("patient_id", "provider_id", "from_at"), ("provider_patient_id", "order_id", "to_at")
    ),
    "enrollments": Table(
        "enrollment",
        ("patient_id",),
        (
            "payer",
            "mac",
            "diagnosis",
            "valve_type",
            "anticoagulant",
            "warfarin_start",
            "training_date",
            "training_documented",
            "order_signed_on",
            "order_expires_on",
        ),
        grows=True,
    ),
    "limits": Table(
        "limit_pair",
        ("level", "of_id", "pair", "from_date"),
        ("low", "high", "stated_by", "recorded_at"),
        grows=True,
    ),
    "contacts": Table(
        "contact",
        ("level", "of_id", "from_date"),
        (
            "person",
            "number",
            "hours",
            "zone",
            "after_hours_person",
            "after_hours_number",
            "stated_by",
            "recorded_at",
        ),
        grows=True,
    ),
}
"""By the name of the kind."""


def upsert(database: sqlite3.Connection, kind: str, values: Mapping[str, Value], at: str) -> Change:
    """Write a row of a kind that is not ``enrollments``; says what changed.

    Args:
        database: the store.
        kind: name in `TABLES`.
        values: every column of key and row.
        at: now, kept where the table has room for it.
    """
    table = TABLES[kind]
    where = " AND ".join(f"{name} = ?" for name in table.key)
    key = [values[name] for name in table.key]
    wanted = [values[name] for name in table.columns]
    found = database.execute(f"SELECT {', '.join(table.columns)} FROM {table.name} WHERE {where}", key).fetchone()
    if found is not None and list(found) == wanted:
        return "unchanged"
    stamp_name, stamp = (("updated_at",), [at]) if table.stamped else ((), [])
    if found is None:
        names = (*table.key, *table.columns, *stamp_name)
        marks = ", ".join("?" for _ in names)
        database.execute(f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})", [*key, *wanted, *stamp])
        return "new"
    assigned = ", ".join(f"{name} = ?" for name in (*table.columns, *stamp_name))
    database.execute(f"UPDATE {table.name} SET {assigned} WHERE {where}", [*wanted, *stamp, *key])
    return "changed"


def enroll(database: sqlite3.Connection, values: Mapping[str, Value], at: str) -> Change:
    """Add an enrollment unless the patient's newest one says the same. Older ones stay."""
    table = TABLES["enrollments"]
    wanted = [values[name] for name in table.columns]
    found = database.execute(
        f"SELECT {', '.join(table.columns)} FROM enrollment WHERE patient_id = ? ORDER BY id DESC LIMIT 1",
        (values["patient_id"],),
    ).fetchone()
    if found is not None and list(found) == wanted:
        return "unchanged"
    names = ("patient_id", *table.columns, "recorded_at")
    database.execute(
        f"INSERT INTO enrollment ({', '.join(names)}) VALUES ({', '.join('?' for _ in names)})",
        [values["patient_id"], *wanted, at],
    )
    return "new" if found is None else "changed"


def exists(database: sqlite3.Connection, kind: str, identifier: str) -> bool:
    """Whether a row with this id (of a meter: key) is there."""
    table = TABLES[kind]
    found = database.execute(f"SELECT 1 FROM {table.name} WHERE {table.key[0]} = ? LIMIT 1", (identifier,))
    return found.fetchone() is not None


def listing(database: sqlite3.Connection, kind: str) -> list[sqlite3.Row]:
    """All rows of a kind that hold."""
    table = TABLES[kind]
    order = ", ".join(table.key)
    newest = f" WHERE id IN (SELECT MAX(id) FROM {table.name} GROUP BY {order})" if table.grows else ""
    return database.execute(
        f"SELECT {', '.join((*table.key, *table.columns))} FROM {table.name}{newest} ORDER BY {order}"
    ).fetchall()


def row(database: sqlite3.Connection, kind: str, identifier: str) -> list[sqlite3.Row]:
    """The rows of a kind whose first key column is this."""
    table = TABLES[kind]
    return [found for found in listing(database, kind) if found[table.key[0]] == identifier]


def related(database: sqlite3.Connection, kind: str, identifier: str) -> dict[str, list[sqlite3.Row]]:
    """What other kinds say of a patient, provider or meter."""
    column = {"patients": "patient_id", "providers": "provider_id", "meters": "meter_key"}.get(kind)
    if column is None:
        return {}
    found = {
        other: [each for each in listing(database, other) if each[column] == identifier]
        for other, table in TABLES.items()
        if column in (*table.key, *table.columns)
    }
    for other, table in TABLES.items():
        if "level" in table.key:
            stated = listing(database, other)
            found[other] = [each for each in stated if (f"{each['level']}s", each["of_id"]) == (kind, identifier)]
    return {other: rows for other, rows in found.items() if rows}
