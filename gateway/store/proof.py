"""What stands behind one result, for an audit: its newest version, the readings, the reports and their evidence."""

from __future__ import annotations

import hashlib
import sqlite3
from typing import NamedTuple

__all__ = [
    "Answer",
    "Person",
    "Reading",
    "Report",
    "Version",
    "answers",
    "later_versions",
    "person",
    "readings",
    "reports",
    "version",
]


class Person(NamedTuple):
    """Who the patient is."""

    id: str
    family_name: str
    given_name: str
    birth_date: str
    sex: str


class Version(NamedTuple):
    """A version of a result for a patient; `body` is the canonical result, JSON; `why` says what made it."""

    result_id: int
    version: int
    status: str
    body: str
    origin: str
    taken_at: str
    uncertainty_s: float
    quality: str
    zone: str
    recorded_at: str
    result_key: str
    why: str


class Reading(NamedTuple):
    """One reading of the result, as it came: `sha256` is that of its octets."""

    journal: str
    number: int
    hub: str
    sha256: str
    received_at: str


class Report(NamedTuple):
    """A report of that version. `octets_sha256` is the digest of what was sent."""

    id: int
    destination_id: str
    provider_id: str
    provider_name: str
    provider_npi: str | None
    channel: str
    address: str
    control_id: str
    created_at: str
    state: str
    attempts: int
    first_sent_at: str | None
    octets_sha256: str


class Answer(NamedTuple):
    """What the far end said of a report. `octets_sha256` is the digest of its answer.

    Attributes:
        certificate: SHA-256 of the peer's certificate, and `software` who sent the report; empty where not known.
        agreed: the provider signed that this level is their agreed way of being told.
    """

    level: str
    at: str
    peer: str
    octets_sha256: str
    certificate: str
    software: str
    agreed: bool


def person(database: sqlite3.Connection, patient_id: str) -> Person | None:
    """The patient with this id."""
    row = database.execute(
        "SELECT id, family_name, given_name, birth_date, sex FROM patient WHERE id = ?", (patient_id,)
    ).fetchone()
    return None if row is None else Person(*row)


_VERSION = (
    "SELECT v.result_id, v.version, v.status, v.body, v.origin, v.taken_at, v.uncertainty_s, v.quality, v.zone,"
    " v.recorded_at, r.key, v.why FROM version v JOIN result r ON r.id = v.result_id"
    " WHERE v.result_id = :result AND v.patient_id = :patient"
)


def version(
    database: sqlite3.Connection, result_id: int, patient_id: str, number: int | None = None
) -> Version | None:
    """The version of a result with this number, or the newest, that this patient has."""
    row = database.execute(
        f"{_VERSION} AND (:number IS NULL OR v.version = :number) ORDER BY v.version DESC LIMIT 1",
        {"result": result_id, "patient": patient_id, "number": number},
    ).fetchone()
    return None if row is None else Version(*row)


def later_versions(database: sqlite3.Connection, result_id: int, patient_id: str, after: int) -> list[Version]:
    """This patient's versions of a result after the one with this number, in order."""
    rows = database.execute(
        f"{_VERSION} AND v.version > :after ORDER BY v.version",
        {"result": result_id, "patient": patient_id, "after": after},
    )
    return [Version(*row) for row in rows]


def readings(database: sqlite3.Connection, result_id: int) -> list[Reading]:
    """Every reading of a result, in the order of arrival."""
    rows = database.execute(
        "SELECT journal, number, hub, sha256, received_at FROM reading WHERE result_id = ? ORDER BY id",
        (result_id,),
    )
    return [Reading(*row) for row in rows]


def reports(database: sqlite3.Connection, result_id: int, version_number: int) -> list[Report]:
    """The reports of one version of a result, in the order in which they were made."""
    rows = database.execute(
        "SELECT r.id, r.destination_id, o.id, o.name, o.npi, d.channel, d.address, r.control_id, r.created_at,"
        " r.state, r.attempts, (SELECT min(a.started_at) FROM attempt a WHERE a.report_id = r.id), r.octets"
        "  FROM report r JOIN destination d ON d.id = r.destination_id JOIN provider o ON o.id = d.provider_id"
        " WHERE r.result_id = ? AND r.version = ? ORDER BY r.id",
        (result_id, version_number),
    )
    return [Report._make([*tuple(row)[:-1], _sha256(row[-1])]) for row in rows]


def answers(database: sqlite3.Connection, report_id: int) -> list[Answer]:
    """Everything the far end said of a report, in order."""
    rows = database.execute(
        "SELECT level, at, peer, octets, certificate, software, agreed FROM evidence"
        " WHERE report_id = ? ORDER BY id",
        (report_id,),
    )
    return [
        Answer(level, at, peer, _sha256(octets), certificate, software, bool(agreed))
        for level, at, peer, octets, certificate, software, agreed in rows
    ]


def _sha256(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()
