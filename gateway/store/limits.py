"""Limits as they were stated, and which of them hold for a patient on a day: clinic → provider → patient."""

from __future__ import annotations

import datetime as dt
import sqlite3
from decimal import Decimal
from typing import Literal, NamedTuple

__all__ = [
    "Level",
    "Numbers",
    "Pair",
    "days_of_change",
    "disorder",
    "numbers",
    "patients_with_own",
    "state",
    "treating",
]

Level = Literal["clinic", "provider", "patient"]
"""Whom a statement is about: all patients of the supplier, those of a provider, one patient."""


class Pair(NamedTuple):
    """A lower and an upper limit, and the level at which they were stated."""

    low: Decimal
    high: Decimal
    source: Level


class Numbers(NamedTuple):
    """What holds for a patient on a day.

    Attributes:
        target: the therapeutic range; None when nobody stated one, or it is not clear which holds.
        critical: the critical limits; where several treating providers state different ones, the strictest.
        unclear: why a report or a summary cannot use them, in words; empty when all is well.
    """

    target: Pair | None
    critical: Pair | None
    unclear: tuple[str, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Which of the four numbers nobody stated, and what else is wrong with them."""
        found = [] if self.critical is not None else ["critical_low and critical_high are not stated"]
        if self.target is None and not any(each.startswith("target") for each in self.unclear):
            found.insert(0, "target_low and target_high are not stated")
        return (*found, *self.unclear)


def state(
    database: sqlite3.Connection,
    level: Level,
    of_id: str,
    pair: Literal["target", "critical"],
    from_date: str,
    values: tuple[str, str] | None,
    *,
    by: str,
    at: str,
) -> Literal["new", "changed", "unchanged"]:
    """Add a statement, unless the one of that day says the same. Earlier ones stay.

    Args:
        database: the store.
        level: about whom.
        of_id: the provider's or the patient's id; empty for the clinic.
        pair: which two numbers.
        from_date: first local day of the patient on which it holds.
        values: low and high; None: from that day on they are inherited.
        by: who states them.
        at: now.
    """
    wanted = values or (None, None)
    found = database.execute(
        "SELECT low, high FROM limit_pair WHERE level = ? AND of_id = ? AND pair = ? AND from_date = ?"
        " ORDER BY id DESC LIMIT 1",
        (level, of_id, pair, from_date),
    ).fetchone()
    if found is not None and tuple(found) == wanted:
        return "unchanged"
    database.execute(
        "INSERT INTO limit_pair (level, of_id, pair, from_date, low, high, stated_by, recorded_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (level, of_id, pair, from_date, *wanted, by, at),
    )
    return "new" if found is None else "changed"


def treating(database: sqlite3.Connection, patient_id: str, at: str) -> list[str]:
    """The providers who treat a patient at an instant, the earliest treatment first."""
    rows = database.execute(
        "SELECT provider_id FROM treatment WHERE patient_id = ? AND from_at <= ? AND (to_at IS NULL OR ? < to_at)"
        " ORDER BY from_at, id",
        (patient_id, at, at),
    )
    return list(dict.fromkeys(row[0] for row in rows))


def numbers(
    database: sqlite3.Connection, patient_id: str, day: dt.date, at: str, provider_id: str | None = None
) -> Numbers:
    """What holds for a patient on a local day.

    Args:
        database: the store.
        patient_id: whose.
        day: the patient's local day.
        at: the instant, which says who treats the patient then.
        provider_id: as this provider's statements have it; None: as those of everybody who treats the patient.
    """
    providers = treating(database, patient_id, at) if provider_id is None else [provider_id]
    marks = ", ".join("?" for _ in providers)
    rows = database.execute(
        "SELECT level, of_id, pair, low, high FROM limit_pair WHERE from_date <= ? AND (level = 'clinic'"
        f" OR (level = 'patient' AND of_id = ?) OR (level = 'provider' AND of_id IN ({marks})))"
        " ORDER BY from_date, id",
        (day.isoformat(), patient_id, *providers),
    )
    stated: dict[tuple[str, str, str], Pair | None] = {}
    for level, of_id, pair, low, high in rows:
        stated[level, of_id, pair] = None if low is None else Pair(Decimal(low), Decimal(high), level)
    target, critical = (_candidates(stated, patient_id, providers, pair) for pair in ("target", "critical"))
    unclear = []
    held = target[0] if target else None
    if len({each[:2] for each in target}) > 1:
        held = None
        unclear.append("target: the treating providers state different ranges; state one for the patient")
    strictest = max(critical, default=None)
    if len({each[:2] for each in critical}) > 1 and strictest is not None:
        strictest = Pair(max(each.low for each in critical), min(each.high for each in critical), "provider")
    wrong = disorder(held, strictest)
    return Numbers(held, strictest, (*unclear, *([wrong] if wrong else [])))


def patients_with_own(database: sqlite3.Connection) -> list[str]:
    """Patients of whom something was ever stated."""
    rows = database.execute("SELECT DISTINCT of_id FROM limit_pair WHERE level = 'patient' ORDER BY of_id")
    return [row[0] for row in rows]


def days_of_change(database: sqlite3.Connection, patient_id: str, first: dt.date, last: dt.date) -> list[dt.date]:
    """Days after `first`, up to `last`, from which on another target range may hold for a patient."""
    rows = database.execute(
        "WITH own AS (SELECT provider_id, substr(from_at, 1, 10) AS began, substr(to_at, 1, 10) AS ended"
        "               FROM treatment WHERE patient_id = :patient)"
        " SELECT from_date FROM limit_pair WHERE pair = 'target' AND (level = 'clinic'"
        "   OR (level = 'patient' AND of_id = :patient)"
        "   OR (level = 'provider' AND of_id IN (SELECT provider_id FROM own)))"
        " UNION SELECT began FROM own UNION SELECT ended FROM own WHERE ended IS NOT NULL ORDER BY 1",
        {"patient": patient_id},
    )
    days = [dt.date.fromisoformat(row[0]) for row in rows]
    return [day for day in days if first < day <= last]


def _candidates(
    stated: dict[tuple[str, str, str], Pair | None], patient_id: str, providers: list[str], pair: str
) -> list[Pair]:
    own = stated.get(("patient", patient_id, pair))
    if own is not None:
        return [own]
    everybody = stated.get(("clinic", "", pair))
    found = [stated.get(("provider", provider, pair)) or everybody for provider in providers] or [everybody]
    return [each for each in found if each is not None]


def disorder(target: Pair | None, critical: Pair | None) -> str | None:
    """What is wrong with the order of the four numbers, critical low < target low < target high < critical high.

    None when nothing is, as far as they are stated.
    A critical limit inside the target would make a result normal and critical at once.
    """
    for name, pair in (("target", target), ("critical", critical)):
        if pair is not None and pair.low >= pair.high:
            return f"{name}_low {pair.low} must lie below {name}_high {pair.high}"
    if target is not None and critical is not None:
        if critical.low >= target.low:
            return (
                f"critical_low {critical.low} ({critical.source}) must lie below target_low {target.low}"
                f" ({target.source})"
            )
        if target.high >= critical.high:
            return (
                f"critical_high {critical.high} ({critical.source}) must lie above target_high {target.high}"
                f" ({target.source})"
            )
    return None
