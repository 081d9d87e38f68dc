"""An import that corrects what is known: it takes results from their patients, or shifts their times.

First it only shows what it would do. Done, all of it is one commit: the registry's rows, the versions that take
results back and report them anew, and a decision for each.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gateway.clock import utc
from gateway.database import transaction
from gateway.server.configuration import Safety
from gateway.server.moving import reattribute
from gateway.server.refusals import Refusal
from gateway.server.registry.importing import Imported, read_rows, write_rows
from gateway.server.registry.ownership import Touched
from gateway.server.versions import named, papers_left
from gateway.store import claims, decisions, results

__all__ = ["Correction", "Plan", "correct_registry"]


@dataclass(frozen=True, slots=True)
class Correction:
    """What becomes of one known result.

    Attributes:
        taken_at: instant of the test as it was known, in UTC.
        was: whose it was; to: whose it is, None when it waits in quarantine because nobody fits.
        becomes: instant of the test from now on, where it changes; else empty.
        told: destinations that were told of it as the former patient's, and are told again.
        claims: standing claims that hold the test.
        said: why nobody fits, why nothing changes, or what is to be done beside.
        changes: False when it stays as it is.
    """

    result_id: int
    taken_at: str
    was: str
    to: str | None
    becomes: str
    told: list[str]
    claims: list[str]
    said: str
    changes: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """What an import changes. `done` is False when it was only looked at."""

    imported: Imported
    corrections: list[Correction]
    done: bool


class _OnlyLookedError(Exception):
    """Rolls a transaction back."""


def correct_registry(
    database: sqlite3.Connection,
    paths: Sequence[Path],
    by: str,
    why: str,
    at: datetime,
    safety: Safety,
    *,
    apply: bool,
) -> Plan:
    """Import files that correct what is known; what is new in them is imported too.

    A test of which a named person said whose it is stays that patient's.

    Args:
        database: the store.
        paths: files, or folders with CSV and TOML files.
        by: name of the person who decides.
        why: the reason; kept with each decision.
        at: now.
        safety: limits beyond which something that waits is urgent.
        apply: do it; otherwise only show what it would do.

    Raises:
        ImportRefusedError: something is wrong somewhere; the store is as before.
        DecisionError: name or reason is missing.
    """
    if apply:
        by, why = named(by, why)
    rows, plan = read_rows(paths), Plan(Imported({}), [], done=False)
    try:
        with transaction(database):
            imported, touched = write_rows(database, rows, by, at)
            found = [_one(database, each, by, why, at, safety) for each in touched]
            plan = Plan(imported, found, done=apply)
            if not apply:
                raise _OnlyLookedError
            note = f"{why}; {imported}; {sum(each.changes for each in found)} known results"
            decisions.record(database, at, by, "registry correction", ", ".join(map(str, paths)), note)
    except _OnlyLookedError:
        pass
    return plan


def _one(
    database: sqlite3.Connection, touched: Touched, by: str, why: str, at: datetime, safety: Safety
) -> Correction:
    version, found = touched.version, touched.found
    identifier, was = version["result_id"], version["patient_id"]
    told, held = results.told(database, identifier, was), claims.holding(database, identifier)
    if found is None:
        said = "stays: a named person said whose it is ('results move' changes that)"
        return Correction(identifier, version["taken_at"], was, was, "", [], [], said, changes=False)
    row = reattribute(database, identifier, found, utc(at), f"registry corrected: {why}", safety)
    if isinstance(found, Refusal):
        to, becomes, said = None, "", f"waits in quarantine {row}: {found.detail}"
    else:
        to = found.patient_id
        said = "" if to == was else papers_left(database, identifier, was)
        becomes = "" if utc(found.instant) == version["taken_at"] else utc(found.instant)
    whither = "quarantine" if to is None else f"patient {to}"
    decisions.record(
        database, at, by, "re-attribute", f"result {identifier}", f"from patient {was} to {whither}: {why}"
    )
    return Correction(identifier, version["taken_at"], was, to, becomes, told, held, said)
