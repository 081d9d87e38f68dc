"""Whose meter it is and who treats them: what attribution and reports ask of the registry."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import NamedTuple

from gateway.clock import moment

__all__ = ["Assignment", "Treating", "ZoneFrom", "assignments", "hub_kind", "meter_known", "treating", "zones"]


class Assignment(NamedTuple):
    """A meter, or one patient id within it ('' = every test), belongs to a patient in [from_at, to_at)."""

    id: int
    meter_patient_id: str
    patient_id: str
    from_at: datetime
    to_at: datetime | None


class Treating(NamedTuple):
    """A provider who treats a patient, and the id under which they know them."""

    provider_name: str
    provider_patient_id: str


class ZoneFrom(NamedTuple):
    """The patient's zone of record from 00:00 of a local date on."""

    from_date: str
    zone: str


def hub_kind(database: sqlite3.Connection, hub: str) -> str | None:
    """``home`` or ``rig``; None for a hub that nobody registered."""
    row = database.execute("SELECT kind FROM hub WHERE id = ?", (hub,)).fetchone()
    return None if row is None else row[0]


def meter_known(database: sqlite3.Connection, key: str) -> bool:
    """Whether a meter is registered."""
    return database.execute("SELECT 1 FROM meter WHERE key = ?", (key,)).fetchone() is not None


def assignments(database: sqlite3.Connection, meter_key: str) -> list[Assignment]:
    """All assignments of a meter, oldest first."""
    rows = database.execute(
        "SELECT id, meter_patient_id, patient_id, from_at, to_at FROM assignment WHERE meter_key = ?"
        " ORDER BY from_at, id",
        (meter_key,),
    )
    return [
        Assignment(number, within, patient, moment(start), None if end is None else moment(end))
        for number, within, patient, start, end in rows
    ]


def zones(database: sqlite3.Connection, patient: str) -> list[ZoneFrom]:
    """The history of a patient's zone of record, oldest first."""
    rows = database.execute(
        "SELECT from_date, zone FROM patient_zone WHERE patient_id = ? ORDER BY from_date", (patient,)
    )
    return [ZoneFrom(*row) for row in rows]


def treating(database: sqlite3.Connection, patient: str, at: str) -> list[Treating]:
    """Who treats a patient at an instant (UTC, as text), by name."""
    rows = database.execute(
        "SELECT o.name, t.provider_patient_id FROM treatment t JOIN provider o ON o.id = t.provider_id"
        " WHERE t.patient_id = :patient AND t.from_at <= :at AND (t.to_at IS NULL OR :at < t.to_at)"
        " ORDER BY o.name, o.id",
        {"patient": patient, "at": at},
    )
    return [Treating(*row) for row in rows]
