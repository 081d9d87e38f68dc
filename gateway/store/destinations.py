"""Destinations: whether results go there, what probes of them saw, and the state of their breakers."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from gateway.clock import utc
from gateway.store import decisions
from gateway.store.opening import Role

__all__ = [
    "Breaker",
    "Destination",
    "NotLiveError",
    "Probed",
    "breaker",
    "find",
    "go_live",
    "keep_breaker",
    "keep_probe",
    "last_probe",
    "listing",
    "not_live",
    "registered",
]

UNPROBED = "unprobed"
"""Stands for the probe itself among what a person may accept: nobody has tried this destination."""


class Destination(NamedTuple):
    """Where reports to a provider go, and to whom it belongs."""

    id: str
    provider_id: str
    provider_name: str
    provider_npi: str | None
    provider_zone: str
    channel: str
    address: str
    application: str
    facility: str
    settings: str
    rank: int
    fall_back_after_s: int | None
    mode: str
    schedule: str
    live: bool


class Breaker(NamedTuple):
    """State of a destination's circuit breaker. Instants are texts.

    Attributes:
        state: closed, open or half-open.
        failures: in a row.
        trial_at: when it is tried next, None while it is closed.
        asked: the far end itself named that time.
    """

    state: str
    since: str
    why: str
    failures: int
    trial_at: str | None
    asked: bool


class Probed(NamedTuple):
    """One probe. `findings`: name, whether it is a danger, and what was seen."""

    at: str
    by: str
    channel: str
    address: str
    settings: str
    findings: tuple[tuple[str, bool, str], ...]


class NotLiveError(Exception):
    """The destination does not go live; the message says why and what to do."""


_DESTINATION = (
    "SELECT d.id, o.id, o.name, o.npi, o.zone, d.channel, d.address, d.application, d.facility, d.settings, d.rank,"
    " d.fall_back_after_s, d.mode, d.schedule, d.live"
    " FROM destination d JOIN provider o ON o.id = d.provider_id"
)


def find(database: sqlite3.Connection, destination_id: str) -> Destination | None:
    """The destination with this id."""
    row = database.execute(f"{_DESTINATION} WHERE d.id = ?", (destination_id,)).fetchone()
    return None if row is None else Destination._make(row)._replace(live=bool(row["live"]))


def listing(database: sqlite3.Connection) -> list[Destination]:
    """All destinations, those of one provider together in their order."""
    rows = database.execute(f"{_DESTINATION} ORDER BY o.id, d.rank, d.id")
    return [Destination._make(row)._replace(live=bool(row["live"])) for row in rows]


def not_live(database: sqlite3.Connection) -> list[str]:
    """Destinations to which nothing goes yet."""
    return [row[0] for row in database.execute("SELECT id FROM destination WHERE live = 0 ORDER BY id")]


def registered(database: sqlite3.Connection, destination_id: str, role: Role, way_changed: bool, at: str) -> None:
    """A destination was registered, or changed there.

    On a rig it is live at once. On a production store a new one, and one with another channel or address than was
    probed, is not: see `go_live`.
    """
    if role == "rig":
        database.execute(
            "UPDATE destination SET live = 1, live_at = coalesce(live_at, ?) WHERE id = ?", (at, destination_id)
        )
    elif way_changed:
        database.execute("UPDATE destination SET live = 0 WHERE id = ?", (destination_id,))


# ---------------------------------------------------------------- probes


def keep_probe(
    database: sqlite3.Connection,
    destination: Destination,
    findings: Sequence[tuple[str, bool, str]],
    by: str,
    at: datetime,
) -> None:
    """Write down what a probe saw, and with which channel, address and settings."""
    database.execute(
        "INSERT INTO probe (destination_id, at, by_name, channel, address, settings, findings)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            destination.id,
            utc(at),
            by,
            destination.channel,
            destination.address,
            destination.settings,
            json.dumps(
                [{"name": name, "danger": danger, "text": text} for name, danger, text in findings],
                ensure_ascii=False,
            ),
        ),
    )


def last_probe(database: sqlite3.Connection, destination_id: str) -> Probed | None:
    """The newest probe of a destination."""
    row = database.execute(
        "SELECT at, by_name, channel, address, settings, findings FROM probe WHERE destination_id = ?"
        " ORDER BY id DESC LIMIT 1",
        (destination_id,),
    ).fetchone()
    if row is None:
        return None
    findings = tuple((each["name"], each["danger"], each["text"]) for each in json.loads(row["findings"]))
    return Probed._make([*tuple(row)[:-1], findings])


def go_live(
    database: sqlite3.Connection, destination_id: str, by: str, despite: Sequence[str], at: datetime, note: str = ""
) -> None:
    """From now on results go to this destination, because a named person says so.

    Args:
        database: the store.
        destination_id: which.
        by: who says so.
        despite: dangers that the person accepts, by name; ``unprobed`` accepts that there was no probe.
        at: now.
        note: why.

    Raises:
        NotLiveError: no such destination, it was not probed as it is now, or the probe saw a danger that is not
            accepted.
    """
    destination = find(database, destination_id)
    if destination is None:
        raise NotLiveError(f"there is no destination {destination_id!r}; 'deliveries destinations' lists them")
    if destination.live:
        raise NotLiveError(f"{destination_id} is live already")
    probed = last_probe(database, destination_id)
    now = (destination.channel, destination.address, destination.settings)
    dangers: list[tuple[str, str]] = []
    if probed is None:
        dangers.append((UNPROBED, "it was never probed: 'inr-gateway providers probe' does"))
    elif (probed.channel, probed.address, probed.settings) != now:
        dangers.append((UNPROBED, f"it has changed since it was probed at {probed.at}: probe it again"))
    else:
        dangers += [(name, text) for name, danger, text in probed.findings if danger]
    open_dangers = [(name, text) for name, text in dangers if name not in despite]
    if open_dangers:
        said = "; ".join(f"{name}: {text}" for name, text in open_dangers)
        raise NotLiveError(
            f"{destination_id} does not go live ({said}). Whoever answers for that says so: "
            + " ".join(f"--despite {name}" for name, _ in open_dangers)
        )
    database.execute(
        "UPDATE destination SET live = 1, live_at = coalesce(live_at, ?) WHERE id = ?", (utc(at), destination_id)
    )
    accepted = ", ".join(name for name, _ in dangers)
    words = "; ".join(part for part in (f"despite {accepted}" if accepted else "", note) if part)
    decisions.record(database, at, by, "go live", f"destination {destination_id}", words)


# ---------------------------------------------------------------- breakers


def breaker(database: sqlite3.Connection, destination_id: str) -> Breaker | None:
    """The breaker's state as it was written down last; None when the destination never failed."""
    row = database.execute(
        "SELECT state, since, why, failures, trial_at, asked FROM breaker WHERE destination_id = ?",
        (destination_id,),
    ).fetchone()
    return None if row is None else Breaker._make(row)._replace(asked=bool(row["asked"]))


def keep_breaker(database: sqlite3.Connection, destination_id: str, breaker: Breaker) -> None:
    """Write down a breaker's state, for people and for the next start."""
    database.execute(
        "INSERT INTO breaker (destination_id, state, since, why, failures, trial_at, asked)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (destination_id) DO UPDATE SET state = excluded.state, since = excluded.since,"
        " why = excluded.why, failures = excluded.failures, trial_at = excluded.trial_at, asked = excluded.asked",
        (destination_id, *breaker[:-1], int(breaker.asked)),
    )
