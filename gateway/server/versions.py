"""The next version of a result by the word of a named person, and what must be known before."""

from __future__ import annotations

import json
import sqlite3
from typing import Any, NamedTuple

from gateway.clock import Quality, moment, utc
from gateway.result import Kind
from gateway.server.attribution import Attributed, owner_at
from gateway.server.book import Book
from gateway.server.copies import DecisionError
from gateway.server.refusals import Refusal
from gateway.store import claims, documents, quarantine, results
from gateway.store.results import Known

__all__ = [
    "Standing",
    "columns_of",
    "follow",
    "named",
    "owner_of",
    "papers_left",
    "standing",
    "told_of",
    "typed_in",
]


class Standing(NamedTuple):
    """A patient result and the version that holds."""

    known: Known
    latest: sqlite3.Row

    @property
    def is_taken_back(self) -> bool:
        """Whether it is nobody's result now."""
        return bool(self.latest["status"] == "retracted")


def named(by: str, why: str) -> tuple[str, str]:
    """Name and reason of whoever decides, without blanks around them.

    Raises:
        DecisionError: one of them is empty.
    """
    by, why = by.strip(), why.strip()
    if not by:
        raise DecisionError("--by needs the name of a person")
    if not why:
        raise DecisionError("--why needs the reason: it stands with the decision for as long as the store is kept")
    return by, why


def standing(database: sqlite3.Connection, identifier: int) -> Standing:
    """A patient result with its newest version.

    Raises:
        DecisionError: there is none, or nobody has been said to have done this test.
    """
    known = results.by_id(database, identifier)
    if known is None:
        raise DecisionError(f"result {identifier}: no such result; see 'results list'")
    if known.id != identifier:
        raise DecisionError(f"result {identifier} turned out to be the test of result {known.id}; name that one")
    latest = results.latest_version(database, identifier)
    if latest is None:
        rows = quarantine.open_of_result(database, identifier)
        if rows:
            raise DecisionError(
                f"result {identifier} was never anybody's: it waits in quarantine {rows[0].id}; decide there"
            )
        if known.kind != Kind.PATIENT:
            raise DecisionError(f"result {identifier} has kind {known.kind}: it is never reported nor counted")
        raise DecisionError(f"result {identifier} was dismissed before it was anybody's; see 'results restore'")
    return Standing(known, latest)


def columns_of(found: Attributed) -> dict[str, Any]:
    """The columns of a version that say whose test it is, and when it was done."""
    return {
        "patient_id": found.patient_id,
        "taken_at": utc(found.instant),
        "uncertainty_s": found.uncertainty_s,
        "quality": found.quality.value,
        "zone": found.zone,
    }


def owner_of(book: Book, known: Known, version: sqlite3.Row) -> Attributed | Refusal:
    """Whose test the registry says it is, at the time that the version gives."""
    return owner_at(
        typed_in(version),
        moment(version["taken_at"]),
        version["uncertainty_s"],
        Quality(version["quality"]),
        book.assignments(known.meter_key),
        book.zones,
    )


def typed_in(version: sqlite3.Row) -> str | None:
    """The id by which the meter knows the patient, if it said one."""
    typed = json.loads(version["body"]).get("patient_id")
    return typed if isinstance(typed, str) else None


def follow(
    database: sqlite3.Connection, identifier: int, base: sqlite3.Row, *, at: str, why: str, **changes: Any
) -> int:
    """Add the next version: like `base` but for what changes. Returns its number.

    Unless another status is given it is corrected where an earlier version is of the same patient, else final.
    """
    latest = results.latest_version(database, identifier)
    columns = {name: base[name] for name in results.NewVersion._fields} | changes
    number = (0 if latest is None else latest["version"]) + 1
    if "status" not in changes:
        known = results.was_of(database, identifier, columns["patient_id"])
        columns["status"] = "corrected" if known else "final"
    new = results.NewVersion(**{**columns, "version": number, "recorded_at": at, "why": why})
    results.add_version(database, identifier, new)
    return number


def papers_left(database: sqlite3.Connection, identifier: int, patient: str) -> str:
    """In words: documents about a result as this patient's, which say nothing of it as another's; often empty."""
    left = [paper.id for paper in documents.effective(database, patient) if paper.result_id == identifier]
    if not left:
        return ""
    return (
        f"what document {', '.join(map(str, left))} says of it stays patient {patient}'s: add it anew where it "
        "holds ('documents add')"
    )


def told_of(database: sqlite3.Connection, identifier: int, patient: str) -> str:
    """In words: who has been told of a result as this patient's, and which claims hold its test."""
    told = results.told(database, identifier, patient)
    words = f"reported to {', '.join(told)} before, and told there too" if told else "not reported yet"
    held = claims.holding(database, identifier)
    if held:
        words += (
            f"; claim {', '.join(held)} holds this test: see 'units statement {patient}', then "
            "'units replace' or 'units void'"
        )
    return words
