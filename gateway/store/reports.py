"""Reports: which versions a destination must still be told, and the octets that it will be sent.

What is to be reported is found by what is missing (a version without its report), never by a cursor on the time of
a test: back-filled results come late and in any order. What became of a report stands in `gateway.store.sendings`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from gateway.clock import moment, utc
from gateway.store import epochs, quarantine
from gateway.store.opening import Role

__all__ = [
    "UNREPORTABLE",
    "Marks",
    "Wanted",
    "changed_by_others",
    "fall_back",
    "hold",
    "insert",
    "lacking",
    "last_result",
    "marks",
    "next_fall_back_at",
    "wanted",
]

UNREPORTABLE = "unreportable"
"""Reason in the quarantine for a version of which no report can be made."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A version that a destination has no report of, with all that a report tells. Times and dates are texts.

    Attributes:
        settings: the destination's settings, JSON.
        told: an earlier version was reported to this destination, as the same patient's.
        sent: octets of such a version have left for this destination, or may have.
    """

    result_id: int
    version: int
    destination_id: str
    result_key: str
    status: str
    body: str
    origin: str
    taken_at: str
    uncertainty_s: float
    quality: str
    zone: str
    patient_id: str
    hub_id: str
    provider_patient_id: str
    order_id: str
    family_name: str
    given_name: str
    birth_date: str
    sex: str
    provider_id: str
    provider_name: str
    provider_npi: str | None
    provider_zone: str
    channel: str
    application: str
    facility: str
    settings: str
    fall_back_after_s: int | None
    mode: str
    schedule: str
    told: bool
    sent: bool


class Marks(NamedTuple):
    """What changes when a person decides, or when results come: to know when to look again."""

    may_deliver: bool
    last_decision: int
    last_version: int


COVERS = "t.from_at <= v.taken_at AND (t.to_at IS NULL OR v.taken_at < t.to_at)"

# A patient's newest version of a result. A result that moved from one patient to another has two: the retraction
# for the first and the final one for the second.
NEWEST = """v.version = (SELECT max(w.version) FROM version w
                  WHERE w.result_id = v.result_id AND w.patient_id = v.patient_id)"""

# What waits for a person, and what a person said shall not be used.
HELD = "(q.closed_at IS NULL OR q.action = 'dismissed')"

# Of a provider's live destinations those of the best rank; the next ones when every better one fell back and none
# of them delivered. A destination that goes live does not get again what another one of its provider delivered.
_TURN = """
    d.live
    AND NOT EXISTS (SELECT 1 FROM destination b
                     WHERE b.provider_id = d.provider_id AND b.rank < d.rank AND b.live
                       AND NOT EXISTS (SELECT 1 FROM report p
                                        WHERE p.result_id = v.result_id AND p.destination_id = b.id
                                          AND p.version <= v.version AND p.fell_back_at IS NOT NULL))
    AND NOT EXISTS (SELECT 1 FROM report p JOIN destination b ON b.id = p.destination_id
                     WHERE p.result_id = v.result_id AND b.provider_id = d.provider_id AND p.state = 'delivered'
                       AND ((b.rank < d.rank AND p.version = v.version)
                            OR (b.id <> d.id AND p.created_at < d.live_at)))"""

# Whoever treats the patient at the time of the test, and whoever was told an earlier version of it: a correction
# must reach every destination that got the first. Only a retraction passes an open quarantine, unless it is itself
# what cannot be reported to this destination.
_LACKING = f"""
SELECT v.result_id, v.version, d.id AS destination_id
  FROM version v
  JOIN result r ON r.id = v.result_id
  JOIN treatment t ON t.patient_id = v.patient_id AND {COVERS}
  JOIN destination d ON d.provider_id = t.provider_id
 WHERE {{chosen}}
   AND r.kind = 'patient' AND r.merged_into IS NULL AND v.status <> 'retracted'
   AND (:rig OR v.origin NOT IN ('simulator', 'replay'))
   AND {NEWEST}
   AND NOT EXISTS (SELECT 1 FROM report p WHERE p.result_id = v.result_id AND p.version = v.version
                   AND p.destination_id = d.id)
   AND {_TURN}
   AND NOT EXISTS (SELECT 1 FROM quarantine q WHERE q.result_id = v.result_id AND {HELD})
UNION
SELECT v.result_id, v.version, e.destination_id
  FROM report e
  JOIN version f ON f.result_id = e.result_id AND f.version = e.version
  JOIN version v ON v.result_id = e.result_id AND v.version > e.version AND v.patient_id = f.patient_id
 WHERE {{chosen}}
   AND (:rig OR v.origin NOT IN ('simulator', 'replay'))
   AND {NEWEST}
   AND NOT EXISTS (SELECT 1 FROM report p WHERE p.result_id = v.result_id AND p.version = v.version
                   AND p.destination_id = e.destination_id)
   AND NOT EXISTS (SELECT 1 FROM quarantine q WHERE q.result_id = v.result_id AND {HELD}
                   AND (v.status <> 'retracted' OR (q.reason = '{UNREPORTABLE}'
                        AND instr(q.detail, 'version ' || v.version || ' to ' || e.destination_id || ':') = 1)))
"""

# An earlier version, of the same patient, that the same destination was told.
_EARLIER = """SELECT 1 FROM report e JOIN version f ON f.result_id = e.result_id AND f.version = e.version
               WHERE e.result_id = l.result_id AND e.version < l.version
                 AND e.destination_id = l.destination_id AND f.patient_id = v.patient_id"""

# A result has one name for as long as it is one patient's. As another's it has another name: under the old one a
# receiver would look for it in the chart from which it was taken back.
_WANTED = f"""
SELECT l.result_id, l.version, l.destination_id,
       r.key || coalesce('.' || nullif((SELECT min(w.version) FROM version w
                                         WHERE w.result_id = v.result_id AND w.patient_id = v.patient_id), 1),
                         '') AS result_key,
       v.status, v.body, v.origin, v.taken_at, v.uncertainty_s, v.quality, v.zone, v.patient_id,
       coalesce((SELECT g.hub FROM reading g WHERE g.id = v.reading_id), '') AS hub_id,
       coalesce((SELECT t.provider_patient_id FROM treatment t
                  WHERE t.patient_id = v.patient_id AND t.provider_id = d.provider_id AND {COVERS}
                  ORDER BY t.from_at DESC LIMIT 1),
                (SELECT t.provider_patient_id FROM treatment t
                  WHERE t.patient_id = v.patient_id AND t.provider_id = d.provider_id
                  ORDER BY t.from_at DESC LIMIT 1), '') AS provider_patient_id,
       coalesce((SELECT t.order_id FROM treatment t
                  WHERE t.patient_id = v.patient_id AND t.provider_id = d.provider_id AND {COVERS}
                  ORDER BY t.from_at DESC LIMIT 1), '') AS order_id,
       p.family_name, p.given_name, p.birth_date, p.sex,
       o.id AS provider_id, o.name AS provider_name, o.npi AS provider_npi,
       o.zone AS provider_zone,
       d.channel, d.application, d.facility, d.settings, d.fall_back_after_s, d.mode, d.schedule,
       EXISTS ({_EARLIER}) AS told,
       EXISTS ({_EARLIER} AND e.attempts > 0) AS sent
  FROM ({_LACKING}) l
  JOIN version v ON v.result_id = l.result_id AND v.version = l.version
  JOIN result r ON r.id = l.result_id
  JOIN patient p ON p.id = v.patient_id
  JOIN destination d ON d.id = l.destination_id
  JOIN provider o ON o.id = d.provider_id
 ORDER BY l.result_id, l.version, l.destination_id
"""


def changed_by_others(database: sqlite3.Connection) -> int:
    """A number that differs from the last one when another connection committed in between. Costs no disk."""
    return int(database.execute("PRAGMA data_version").fetchone()[0])


def marks(database: sqlite3.Connection) -> Marks:
    """See `Marks`."""
    decision, version = database.execute(
        "SELECT (SELECT coalesce(max(id), 0) FROM decision), (SELECT coalesce(max(rowid), 0) FROM version)"
    ).fetchone()
    return Marks(epochs.may_deliver(database), decision, version)


def lacking(
    database: sqlite3.Connection, role: Role, *, above: int | None = None, results: tuple[int, int] | None = None
) -> list[int]:
    """Results with a version that some destination must still be told.

    Args:
        database: the store.
        role: of the store; on a production store simulated and replayed results are never wanted.
        above: look at versions inserted after this mark (`Marks.last_version`) only.
        results: look at results with ids in this range only, both ends included.
    """
    if above is not None:
        chosen, arguments = "v.rowid > :above", {"above": above}
    else:
        first, last = results or (0, 2**62)
        chosen, arguments = "v.result_id BETWEEN :first AND :last", {"first": first, "last": last}
    rows = database.execute(
        f"SELECT DISTINCT result_id FROM ({_LACKING.format(chosen=chosen)}) ORDER BY result_id",
        {**arguments, "rig": role == "rig"},
    )
    return [row[0] for row in rows]


def wanted(database: sqlite3.Connection, role: Role, result_ids: Collection[int]) -> list[Wanted]:
    """What destinations must still be told of these results, older versions first."""
    chosen = f"v.result_id IN ({', '.join(str(int(number)) for number in result_ids)})"
    rows = database.execute(_WANTED.format(chosen=chosen), {"rig": role == "rig"})
    return [Wanted(*row) for row in rows]


def last_result(database: sqlite3.Connection) -> int:
    """The highest result id, 0 in an empty store."""
    return int(database.execute("SELECT coalesce(max(id), 0) FROM result").fetchone()[0])


def insert(
    database: sqlite3.Connection,
    report: Wanted,
    control_id: str,
    octets: bytes,
    at: datetime,
    not_before: datetime | None = None,
) -> None:
    """Queue a report. From its commit on these octets, and no others, are what the destination is sent.

    Args:
        database: the store.
        report: as `wanted` gave it.
        control_id: its name.
        octets: what is sent.
        at: now.
        not_before: the hour of its batch; None for at once. Earlier versions that wait for a later hour come along.
    """
    released = not_before or at
    falls_back = None
    if report.fall_back_after_s is not None:
        falls_back = utc(released + timedelta(seconds=report.fall_back_after_s))
    database.execute(
        "INSERT INTO report (result_id, version, destination_id, control_id, octets, created_at, state,"
        " next_attempt_at, not_before, fall_back_at) VALUES (?, ?, ?, ?, ?, ?, 'waiting', ?, ?, ?)",
        (
            report.result_id,
            report.version,
            report.destination_id,
            control_id,
            octets,
            utc(at),
            utc(released),
            not_before and utc(not_before),
            falls_back,
        ),
    )
    if report.told:
        database.execute(
            "UPDATE report SET next_attempt_at = :released, not_before = :released"
            " WHERE result_id = :result AND destination_id = :destination AND version < :version"
            "   AND state = 'waiting' AND not_before > :released AND attempts = 0",
            {
                "released": utc(released),
                "result": report.result_id,
                "destination": report.destination_id,
                "version": report.version,
            },
        )


def next_fall_back_at(database: sqlite3.Connection) -> datetime | None:
    """When the next report falls back unless it is delivered; None when none does, or nothing may leave."""
    at = database.execute("SELECT min(fall_back_at) FROM report WHERE fall_back_at IS NOT NULL").fetchone()[0]
    return moment(at) if at is not None and epochs.may_deliver(database) else None


def fall_back(database: sqlite3.Connection, now: datetime) -> list[int]:
    """Note that reports were not delivered in their time, or were refused: other destinations get them too.

    Returns:
        The results that destinations of the next rank lack from now on.
    """
    rows = database.execute(
        "UPDATE report SET fell_back_at = :now, fall_back_at = NULL"
        " WHERE fall_back_at <= :now AND state <> 'delivered' RETURNING result_id",
        {"now": utc(now)},
    )
    return sorted({row[0] for row in rows})


def hold(database: sqlite3.Connection, report: Wanted, why: str, at: datetime) -> None:
    """Put a result of which no report can be made before a person; releasing it has it tried again."""
    of = f"version {report.version} to {report.destination_id}:"
    waiting = quarantine.open_of_result(database, report.result_id)
    if not any(entry.reason == UNREPORTABLE and entry.detail.startswith(of) for entry in waiting):
        quarantine.add(database, UNREPORTABLE, f"{of} {why}", utc(at), result_id=report.result_id)
