"""Reports: which versions a destination must still be told, what was sent, and what the far end said.

What is to be reported is found by what is missing (a version without its report), never by a cursor on the time of
a test: back-filled results come late and in any order.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from gateway.clock import moment, utc
from gateway.store import decisions, epochs, quarantine
from gateway.store.opening import Role

__all__ = [
    "UNREPORTABLE",
    "Due",
    "Marks",
    "ResendError",
    "Wanted",
    "begin_attempt",
    "changed_by_others",
    "due",
    "failures",
    "hold",
    "insert",
    "lacking",
    "last_result",
    "marks",
    "next_due_at",
    "postponements",
    "resend",
    "settle",
    "unreachable",
    "waiting_destinations",
    "wanted",
]

UNREPORTABLE = "unreportable"
"""Reason in the quarantine for a version of which no report can be made."""
RESEND = "resend"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A version that a destination has no report of, with all that a report tells. Times and dates are texts.

    Attributes:
        told: an earlier version was reported to this destination.
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
    provider_patient_id: str
    family_name: str
    given_name: str
    birth_date: str
    sex: str
    provider_id: str
    provider_name: str
    provider_npi: str | None
    channel: str
    application: str
    facility: str
    told: bool


class Marks(NamedTuple):
    """What changes when a person decides, or when results come: to know when to look again."""

    may_deliver: bool
    last_decision: int
    last_version: int


class Due(NamedTuple):
    """The next report of a destination. `attempt_id` is 0 until `begin_attempt` has written the attempt."""

    report_id: int
    attempt_id: int
    control_id: str
    octets: bytes
    channel: str
    address: str


COVERS = "t.from_at <= v.taken_at AND (t.to_at IS NULL OR v.taken_at < t.to_at)"

# A patient's newest version of a result. A result that moved from one patient to another has two: the retraction
# for the first and the final one for the second.
NEWEST = """v.version = (SELECT max(w.version) FROM version w
                  WHERE w.result_id = v.result_id AND w.patient_id = v.patient_id)"""

# What waits for a person, and what a person said shall not be used.
HELD = "(q.closed_at IS NULL OR q.action = 'dismissed')"

# Whoever treats the patient at the time of the test, and whoever was told an earlier version of it: a correction
# must reach every destination that got the first. Only a retraction passes an open quarantine.
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
                   AND (v.status <> 'retracted' OR q.reason = '{UNREPORTABLE}'))
"""

_WANTED = f"""
SELECT l.result_id, l.version, l.destination_id, r.key AS result_key,
       v.status, v.body, v.origin, v.taken_at, v.uncertainty_s, v.quality, v.zone,
       coalesce((SELECT t.provider_patient_id FROM treatment t
                  WHERE t.patient_id = v.patient_id AND t.provider_id = d.provider_id AND {COVERS}
                  ORDER BY t.from_at DESC LIMIT 1),
                (SELECT t.provider_patient_id FROM treatment t
                  WHERE t.patient_id = v.patient_id AND t.provider_id = d.provider_id
                  ORDER BY t.from_at DESC LIMIT 1), '') AS provider_patient_id,
       p.family_name, p.given_name, p.birth_date, p.sex,
       o.id AS provider_id, o.name AS provider_name, o.npi AS provider_npi,
       d.channel, d.application, d.facility,
       EXISTS (SELECT 1 FROM report e WHERE e.result_id = l.result_id AND e.version < l.version
               AND e.destination_id = l.destination_id) AS told
  FROM ({_LACKING}) l
  JOIN version v ON v.result_id = l.result_id AND v.version = l.version
  JOIN result r ON r.id = l.result_id
  JOIN patient p ON p.id = v.patient_id
  JOIN destination d ON d.id = l.destination_id
  JOIN provider o ON o.id = d.provider_id
 ORDER BY l.result_id, l.version, l.destination_id
"""


# An earlier version of r's result that the same destination has not answered yet.
_EARLIER = """SELECT 1 FROM report e WHERE e.result_id = r.result_id AND e.version < r.version
              AND e.destination_id = r.destination_id AND e.state = 'waiting'"""


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


def insert(database: sqlite3.Connection, report: Wanted, control_id: str, octets: bytes, at: datetime) -> None:
    """Queue a report. From its commit on these octets, and no others, are what the destination is sent."""
    database.execute(
        "INSERT INTO report (result_id, version, destination_id, control_id, octets, created_at, state,"
        " next_attempt_at) VALUES (?, ?, ?, ?, ?, ?, 'waiting', ?)",
        (report.result_id, report.version, report.destination_id, control_id, octets, utc(at), utc(at)),
    )


def hold(database: sqlite3.Connection, report: Wanted, why: str, at: datetime) -> None:
    """Put a result of which no report can be made before a person; releasing it has it tried again."""
    if not any(entry.reason == UNREPORTABLE for entry in quarantine.open_of_result(database, report.result_id)):
        detail = f"version {report.version} to {report.destination_id}: {why}"
        quarantine.add(database, UNREPORTABLE, detail, utc(at), result_id=report.result_id)


def waiting_destinations(database: sqlite3.Connection) -> list[str]:
    """Destinations for which something waits."""
    rows = database.execute("SELECT DISTINCT destination_id FROM report WHERE state = 'waiting'")
    return [row[0] for row in rows]


def due(database: sqlite3.Connection, destination_id: str, now: datetime, longest_wait: timedelta) -> Due | None:
    """The report that a destination is to be sent next; None when none is due, or nothing may leave.

    A version waits until the one before it is answered. A time further ahead than `longest_wait` was written by a
    clock that has since gone back; it counts as come.
    """
    if not epochs.may_deliver(database):
        return None
    row = database.execute(
        "SELECT r.id, 0, r.control_id, r.octets, d.channel, d.address"
        "  FROM report r JOIN destination d ON d.id = r.destination_id"
        " WHERE r.state = 'waiting' AND r.destination_id = :destination"
        "   AND (r.next_attempt_at <= :now OR r.next_attempt_at > :latest)"
        f"   AND NOT EXISTS ({_EARLIER})"
        " ORDER BY r.id LIMIT 1",
        {"destination": destination_id, "now": utc(now), "latest": utc(now + longest_wait)},
    ).fetchone()
    return None if row is None else Due(*row)


def next_due_at(database: sqlite3.Connection, destination_id: str) -> datetime | None:
    """When the next report of a destination is due; None when nothing waits, or nothing may leave."""
    if not epochs.may_deliver(database):
        return None
    row = database.execute(
        "SELECT min(r.next_attempt_at) FROM report r"
        f" WHERE r.state = 'waiting' AND r.destination_id = ? AND NOT EXISTS ({_EARLIER})",
        (destination_id,),
    ).fetchone()
    return None if row[0] is None else moment(row[0])


def begin_attempt(database: sqlite3.Connection, report: Due, now: datetime) -> Due | None:
    """Write down that the report is being sent. After this commit the first octet may leave.

    Returns:
        None when the report waits no longer, or nothing may leave: the store has yet to be reconciled.
    """
    if not epochs.may_deliver(database):
        return None
    changed = database.execute(
        "UPDATE report SET attempts = attempts + 1 WHERE id = ? AND state = 'waiting'", (report.report_id,)
    )
    if changed.rowcount == 0:
        return None
    attempt = database.execute(
        "INSERT INTO attempt (report_id, started_at) VALUES (?, ?)", (report.report_id, utc(now))
    )
    assert attempt.lastrowid is not None
    return report._replace(attempt_id=attempt.lastrowid)


def settle(
    database: sqlite3.Connection,
    report: Due,
    *,
    outcome: str,
    level: str | None,
    evidence: bytes,
    peer: str,
    text: str,
    now: datetime,
    again_at: datetime | None,
) -> None:
    """Write down what became of an attempt.

    Args:
        database: the store.
        report: as `begin_attempt` gave it.
        outcome: delivered, refused, postponed, ambiguous or not_sent.
        level: of the evidence, None for none.
        evidence: the far end's octets.
        peer: who answered.
        text: why it is not delivered.
        now: when the attempt ended.
        again_at: when it is sent again; None when it is delivered, or waits for a person.
    """
    database.execute(
        "UPDATE attempt SET ended_at = ?, outcome = ? WHERE id = ?", (utc(now), outcome, report.attempt_id)
    )
    if level is not None:
        database.execute(
            "INSERT INTO evidence (report_id, attempt_id, level, at, peer, octets) VALUES (?, ?, ?, ?, ?, ?)",
            (report.report_id, report.attempt_id, level, utc(now), peer, evidence),
        )
    if again_at is not None:
        database.execute(
            "UPDATE report SET next_attempt_at = ?, last_error = ? WHERE id = ?",
            (utc(again_at), text, report.report_id),
        )
    else:
        state = "delivered" if outcome == "delivered" else "refused"
        database.execute(
            "UPDATE report SET state = ?, last_error = ? WHERE id = ?", (state, text, report.report_id)
        )


def unreachable(database: sqlite3.Connection, report: Due, text: str, now: datetime) -> None:
    """Write down that the address could not be reached. The report stays first in its queue."""
    database.execute(
        "INSERT INTO attempt (report_id, started_at, ended_at, outcome) VALUES (?, ?, ?, 'not_sent')",
        (report.report_id, utc(now), utc(now)),
    )
    database.execute(
        "UPDATE report SET attempts = attempts + 1, last_error = ? WHERE id = ?", (text, report.report_id)
    )


def failures(database: sqlite3.Connection, report_id: int) -> int:
    """How often a report was sent without a final answer."""
    row = database.execute(
        "SELECT count(*) FROM attempt WHERE report_id = ? AND outcome IN ('ambiguous', 'postponed')", (report_id,)
    ).fetchone()
    return int(row[0])


def postponements(database: sqlite3.Connection, report_id: int) -> int:
    """How often the far end said "not now" since a person last had the report sent again."""
    row = database.execute(
        "SELECT count(*) FROM attempt WHERE report_id = ? AND outcome = 'postponed' AND started_at >="
        " coalesce((SELECT max(at) FROM decision WHERE act = ? AND subject = ?), '')",
        (report_id, RESEND, f"report {report_id}"),
    ).fetchone()
    return int(row[0])


class ResendError(Exception):
    """The report cannot be sent again; the message says why and what to do."""


def resend(database: sqlite3.Connection, report_id: int, by: str, at: datetime, note: str = "") -> None:
    """A named person has a refused report sent again, unchanged.

    Raises:
        ResendError: there is no such report, it was not refused, or a later version of its result was reported.
    """
    row = database.execute(
        "SELECT state, (SELECT max(version) FROM report n WHERE n.result_id = r.result_id"
        "               AND n.destination_id = r.destination_id AND n.version > r.version) AS later"
        "  FROM report r WHERE id = ?",
        (report_id,),
    ).fetchone()
    if row is None:
        raise ResendError(f"there is no report {report_id}; 'inr-gateway deliveries' lists them")
    if row["state"] != "refused":
        raise ResendError(f"report {report_id} is {row['state']}; only a refused report waits for a person")
    if row["later"] is not None:
        raise ResendError(
            f"report {report_id} is superseded by version {row['later']} of its result; an old value must not "
            "overwrite a newer one"
        )
    database.execute("UPDATE report SET state = 'waiting', next_attempt_at = ? WHERE id = ?", (utc(at), report_id))
    decisions.record(database, at, by, RESEND, f"report {report_id}", note)
