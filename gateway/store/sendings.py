"""Sendings: which report is sent next, what was sent when, and what the far end said."""

from __future__ import annotations

import hashlib
import sqlite3
from datetime import datetime, timedelta
from typing import NamedTuple

from gateway import __version__
from gateway.clock import moment, utc
from gateway.store import decisions, epochs

__all__ = [
    "Due",
    "Said",
    "SendingError",
    "begin_attempt",
    "due",
    "failures",
    "look_again",
    "next_due_at",
    "postponements",
    "receipt_due",
    "resend",
    "seen",
    "settle",
    "settle_receipt",
    "unreachable",
    "waiting_destinations",
]

RESEND = "resend"
SEEN = "seen"
SOFTWARE = f"inr-gateway {__version__}"
FARTHEST = timedelta(days=8)
"""A batch's hour further ahead than this was written by a clock that has since gone back: hours come every week."""


class Due(NamedTuple):
    """The next report of a destination. `attempt_id` is 0 until `begin_attempt` has written the attempt."""

    report_id: int
    attempt_id: int
    control_id: str
    octets: bytes
    channel: str
    address: str
    settings: str


class Said(NamedTuple):
    """What the far end said, as it is kept.

    Attributes:
        outcome: delivered, accepted, refused, postponed, busy, ambiguous or not_sent.
        level: of the evidence, None for none.
        evidence: the far end's octets.
        peer: who answered.
        text: why it is not delivered.
        certificate: SHA-256 of the peer's certificate, or empty.
    """

    outcome: str
    level: str | None
    evidence: bytes
    peer: str
    text: str
    certificate: str = ""


class SendingError(Exception):
    """A person's act on a report cannot be done; the message says why and what to do."""


# An earlier version of r's result that the same destination has not answered yet.
EARLIER = """SELECT 1 FROM report e WHERE e.result_id = r.result_id AND e.version < r.version
              AND e.destination_id = r.destination_id AND e.state = 'waiting'"""


def waiting_destinations(database: sqlite3.Connection) -> list[str]:
    """Destinations for which something waits, or that owe a receipt."""
    rows = database.execute(
        "SELECT destination_id FROM report WHERE state = 'waiting'"
        " UNION SELECT destination_id FROM report WHERE receipt_at IS NOT NULL"
    )
    return [row[0] for row in rows]


def due(database: sqlite3.Connection, destination_id: str, now: datetime, longest_wait: timedelta) -> Due | None:
    """The report that a destination is to be sent next; None when none is due, or nothing may leave.

    A version waits until the one before it is answered. A time further ahead than `longest_wait`, unless it is the
    hour of a batch, was written by a clock that has since gone back; it counts as come.
    """
    if not epochs.may_deliver(database):
        return None
    row = database.execute(
        "SELECT r.id, 0, r.control_id, r.octets, d.channel, d.address, d.settings"
        "  FROM report r JOIN destination d ON d.id = r.destination_id"
        " WHERE r.state = 'waiting' AND r.destination_id = :destination AND d.live"
        "   AND (r.next_attempt_at <= :now"
        "        OR r.next_attempt_at > :latest"
        "           AND (r.not_before IS NULL OR r.not_before <= :now OR r.not_before > :farthest))"
        f"   AND NOT EXISTS ({EARLIER})"
        " ORDER BY r.id LIMIT 1",
        {
            "destination": destination_id,
            "now": utc(now),
            "latest": utc(now + longest_wait),
            "farthest": utc(now + FARTHEST),
        },
    ).fetchone()
    return None if row is None else Due(*row)


def next_due_at(database: sqlite3.Connection, destination_id: str) -> datetime | None:
    """When something is to be done for a destination; None when nothing waits, or nothing may leave."""
    if not epochs.may_deliver(database):
        return None
    row = database.execute(
        "SELECT min(at) FROM (SELECT min(r.next_attempt_at) AS at"
        "   FROM report r JOIN destination d ON d.id = r.destination_id"
        "  WHERE r.state = 'waiting' AND r.destination_id = :destination AND d.live"
        f"   AND NOT EXISTS ({EARLIER})"
        " UNION ALL SELECT min(receipt_at) FROM report"
        "  WHERE destination_id = :destination AND receipt_at IS NOT NULL)",
        {"destination": destination_id},
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
    said: Said,
    *,
    now: datetime,
    again_at: datetime | None = None,
    receipt_at: datetime | None = None,
) -> None:
    """Write down what became of an attempt.

    Args:
        database: the store.
        report: as `begin_attempt` gave it.
        said: what the far end said.
        now: when the attempt ended.
        again_at: when it is sent again; None when it is delivered or accepted, or waits for a person.
        receipt_at: when the receipt of an accepted report is looked for; None for never.
    """
    database.execute(
        "UPDATE attempt SET ended_at = ?, outcome = ? WHERE id = ?", (utc(now), said.outcome, report.attempt_id)
    )
    _keep(database, report, said, now)
    if again_at is not None:
        database.execute(
            "UPDATE report SET next_attempt_at = ?, last_error = ? WHERE id = ?",
            (utc(again_at), said.text, report.report_id),
        )
        return
    _end(database, report, said, now)
    if said.outcome == "accepted" and receipt_at is not None:
        database.execute("UPDATE report SET receipt_at = ? WHERE id = ?", (utc(receipt_at), report.report_id))


def _keep(database: sqlite3.Connection, report: Due, said: Said, now: datetime) -> None:
    """The evidence of one answer, bound to the octets that it answers."""
    if said.level is None:
        return
    database.execute(
        "INSERT INTO evidence (report_id, attempt_id, level, at, peer, octets, certificate, message_sha256,"
        " software, agreed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            report.report_id,
            report.attempt_id or None,
            said.level,
            utc(now),
            said.peer,
            said.evidence,
            said.certificate,
            hashlib.sha256(report.octets).hexdigest(),
            SOFTWARE,
            said.outcome == "delivered" and said.level not in ("delivered", "seen"),
        ),
    )


def _end(database: sqlite3.Connection, report: Due, said: Said, now: datetime) -> None:
    """Sending has ended: delivered, accepted, or refused. What was refused falls back at once."""
    state = said.outcome if said.outcome in ("delivered", "accepted") else "refused"
    database.execute(
        "UPDATE report SET state = :state, last_error = :text, receipt_at = NULL,"
        " fall_back_at = CASE :state WHEN 'delivered' THEN NULL WHEN 'accepted' THEN fall_back_at"
        "   ELSE iif(fell_back_at IS NULL, :now, NULL) END WHERE id = :report",
        {"state": state, "text": said.text, "now": utc(now), "report": report.report_id},
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
        "SELECT count(*) FROM attempt WHERE report_id = ? AND outcome IN ('ambiguous', 'postponed', 'busy')",
        (report_id,),
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


# ---------------------------------------------------------------- receipts that come later


def receipt_due(database: sqlite3.Connection, destination_id: str, now: datetime) -> tuple[Due, datetime] | None:
    """An accepted report whose receipt is to be looked for now, and since when it is accepted."""
    row = database.execute(
        "SELECT r.id, (SELECT max(a.id) FROM attempt a WHERE a.report_id = r.id), r.control_id, r.octets,"
        " d.channel, d.address, d.settings,"
        " (SELECT max(a.ended_at) FROM attempt a WHERE a.report_id = r.id)"
        "  FROM report r JOIN destination d ON d.id = r.destination_id"
        " WHERE r.destination_id = ? AND r.receipt_at <= ? AND r.state = 'accepted' ORDER BY r.receipt_at LIMIT 1",
        (destination_id, utc(now)),
    ).fetchone()
    return None if row is None else (Due(*row[:-1]), moment(row[-1]))


def look_again(database: sqlite3.Connection, report: Due, at: datetime | None, text: str = "") -> None:
    """When the receipt is looked for next; None for never again, `text` then says why."""
    database.execute(
        "UPDATE report SET receipt_at = ?, last_error = coalesce(nullif(?, ''), last_error) WHERE id = ?",
        (at and utc(at), text, report.report_id),
    )


def settle_receipt(database: sqlite3.Connection, report: Due, said: Said, now: datetime) -> None:
    """Write down a receipt that came after the sending."""
    _keep(database, report, said, now)
    _end(database, report, said, now)


# ---------------------------------------------------------------- acts of a named person


def resend(database: sqlite3.Connection, report_id: int, by: str, at: datetime, note: str = "") -> None:
    """A named person has a report sent again, unchanged, that was refused or for which no receipt came.

    Raises:
        SendingError: there is no such report, it waits or is delivered, or a later version of its result was
            reported.
    """
    row = database.execute(
        "SELECT state, (SELECT max(version) FROM report n WHERE n.result_id = r.result_id"
        "               AND n.destination_id = r.destination_id AND n.version > r.version) AS later"
        "  FROM report r WHERE id = ?",
        (report_id,),
    ).fetchone()
    if row is None:
        raise SendingError(f"there is no report {report_id}; 'inr-gateway deliveries' lists them")
    if row["state"] not in ("refused", "accepted"):
        raise SendingError(
            f"report {report_id} is {row['state']}; only a refused report, or an accepted one without its receipt, "
            "can be sent again"
        )
    if row["later"] is not None:
        raise SendingError(
            f"report {report_id} is superseded by version {row['later']} of its result; an old value must not "
            "overwrite a newer one"
        )
    database.execute(
        "UPDATE report SET state = 'waiting', next_attempt_at = ?, receipt_at = NULL WHERE id = ?",
        (utc(at), report_id),
    )
    decisions.record(database, at, by, RESEND, f"report {report_id}", note)


def seen(database: sqlite3.Connection, report_id: int, by: str, how: str, at: datetime) -> None:
    """A named person states that somebody at the provider has seen this very report, and how that is known.

    Raises:
        SendingError: there is no such report, or none of its octets can have arrived.
    """
    row = database.execute(
        "SELECT r.octets, r.state, r.control_id, EXISTS (SELECT 1 FROM attempt a WHERE a.report_id = r.id"
        " AND a.outcome IS NOT 'not_sent') AS gone FROM report r WHERE r.id = ?",
        (report_id,),
    ).fetchone()
    if row is None:
        raise SendingError(f"there is no report {report_id}; 'inr-gateway deliveries' lists them")
    if not row["gone"]:
        raise SendingError(
            f"report {report_id} was never sent, so nobody can have seen it; what was said on the telephone "
            "belongs to the escalation"
        )
    report = Due(report_id, 0, row["control_id"], row["octets"], "", "", "")
    said = Said("delivered", "seen", how.encode(), by, "")
    _keep(database, report, said, at)
    if row["state"] in ("accepted", "refused"):
        _end(database, report, said, at)
    decisions.record(database, at, by, SEEN, f"report {report_id}", how)
