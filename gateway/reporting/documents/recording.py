"""Recording documents: all of them or none, and the same ones again change nothing."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from gateway.clock import utc
from gateway.database import transaction
from gateway.reporting.documents.checks import faults
from gateway.reporting.documents.kinds import KINDS, Paper
from gateway.store import decisions, documents
from gateway.store.documents import Document, NewDocument
from gateway.tables import Place, Placed, Problem, read_files, read_row

__all__ = [
    "Attached",
    "DocumentError",
    "Imported",
    "Recorded",
    "RefusedError",
    "add_document",
    "import_documents",
    "supersede_document",
    "void_document",
    "void_within",
]

CLI = "cli"


class DocumentError(Exception):
    """What a person asked for cannot be done; the message says why and what to do instead. Nothing has changed."""


class RefusedError(Exception):
    """Nothing was recorded; every problem is named."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class Recorded(NamedTuple):
    """The document that says it now. `new` is False when it was there before."""

    id: int
    new: bool


class Imported(NamedTuple):
    """How many rows of each kind were new and how many were there before."""

    counts: dict[str, Counter[str]]

    def __str__(self) -> str:
        lines = [
            f"{kind}: {', '.join(f'{count[what]} {what}' for what in ('new', 'unchanged') if count[what])}"
            for kind, count in self.counts.items()
        ]
        return "\n".join(lines) or "the files hold no rows"


class Attached(NamedTuple):
    """A file to keep with a document."""

    name: str
    octets: bytes


def import_documents(database: sqlite3.Connection, paths: Sequence[Path], by: str, at: datetime) -> Imported:
    """Import files, or the CSV and TOML files of folders. The same import again changes nothing.

    Raises:
        RefusedError: something is wrong somewhere; the store is as before.
    """
    rows, problems = read_files(paths, KINDS)
    problems += _given_twice(rows)
    imported = Imported({})
    fresh: dict[int, Place] = {}
    with transaction(database):
        for placed in rows:
            found = _record(database, placed, by, at, source=f"import {placed.place}", fresh=fresh)
            if not isinstance(found, Recorded):
                problems += found
                continue
            imported.counts.setdefault(placed.kind, Counter())["new" if found.new else "unchanged"] += 1
            if found.new:
                fresh[found.id] = placed.place
        if problems:
            raise RefusedError(_in_order(problems, paths))
        if any(count["new"] for count in imported.counts.values()):
            decisions.record(database, at, by, "documents import", ", ".join(map(str, paths)), str(imported))
    return imported


def add_document(
    database: sqlite3.Connection,
    kind: str,
    content: Mapping[str, Any],
    by: str,
    at: datetime,
    attached: Attached | None = None,
) -> Recorded:
    """Record one document.

    Args:
        database: the store.
        kind: one of `KINDS`.
        content: values by column, the patient among them.
        by: who records it.
        at: now.
        attached: a file to keep with it.

    Raises:
        RefusedError: something is wrong with it.
        DocumentError: there is no such kind, or the same was recorded before and holds no longer.
    """
    with transaction(database):
        placed = _read(kind, content)
        found = _record(database, placed, by, at, attached)
        if not isinstance(found, Recorded):
            raise RefusedError(found)
        if not found.new:
            _expect_it_holds(database, found.id, attached)
    return found


def supersede_document(
    database: sqlite3.Connection,
    identifier: int,
    changes: Mapping[str, Any],
    by: str,
    at: datetime,
    attached: Attached | None = None,
) -> Recorded:
    """Correct a document: a new one takes its place.

    Args:
        database: the store.
        identifier: the document to correct.
        changes: the columns that change; an empty text takes one away. The others stay as they are.
        by: who corrects it.
        at: now.
        attached: a file to keep with the new one; None: the one that was attached stays.

    Raises:
        RefusedError: something is wrong with the corrected document.
        DocumentError: it cannot be corrected, or nothing would change.
    """
    with transaction(database):
        old = _standing(database, identifier, again=True)
        before = {} if old.voids else json.loads(old.body)
        content = {name: value for name, value in {**before, **changes}.items() if value != ""}
        placed = _read(old.kind, {"patient": old.patient_id, **content})
        new = _new(database, placed, by, at, attached)
        if attached is None:
            new = new._replace(attachment=old.attachment, attachment_name=old.attachment_name)
        if new.patient_id != old.patient_id:
            raise DocumentError(
                f"document {identifier} belongs to patient {old.patient_id}; 'documents void' it, and add it anew"
            )
        if (new.sha256, new.attachment) == (old.sha256, old.attachment):
            raise DocumentError(f"document {identifier} says this already; name what changes, as column=value")
        problems = _problems(database, placed, at, instead_of=identifier)
        if problems:
            raise RefusedError(problems)
        made = documents.add(database, new._replace(supersedes=identifier))
        decisions.record(database, at, by, "documents supersede", f"document {identifier}", f"by document {made}")
    return Recorded(made, new=True)


def void_document(database: sqlite3.Connection, identifier: int, by: str, at: datetime, why: str) -> Recorded:
    """Take a document away because it should never have been recorded. It stays in the store.

    Raises:
        DocumentError: it holds no longer, or no reason is given.
    """
    with transaction(database):
        return void_within(database, identifier, by, at, why)


def void_within(database: sqlite3.Connection, identifier: int, by: str, at: datetime, why: str) -> Recorded:
    """As `void_document`, as one part of an act with a transaction of its own."""
    if not why.strip():
        raise DocumentError("a document is voided for a reason; say it with --note")
    old = _standing(database, identifier)
    body = documents.canonical({"why": why.strip()})
    made = documents.add(
        database,
        NewDocument(
            old.patient_id,
            old.kind,
            body,
            documents.digest(body.encode()),
            old.result_id,
            None,
            "",
            CLI,
            utc(at),
            by,
            supersedes=identifier,
            voids=1,
        ),
    )
    decisions.record(database, at, by, "documents void", f"document {identifier}", why.strip())
    return Recorded(made, new=True)


# ---------------------------------------------------------------- one row


def _read(kind: str, content: Mapping[str, Any]) -> Placed:
    if kind not in KINDS:
        raise DocumentError(f"there is no kind {kind!r}; the kinds are {', '.join(KINDS)}")
    found = list(read_row(KINDS, kind, content, Place(kind, 0)))
    problems = [each for each in found if isinstance(each, Problem)]
    if problems:
        raise RefusedError(problems)
    return next(each for each in found if isinstance(each, Placed))


def _record(
    database: sqlite3.Connection,
    placed: Placed,
    by: str,
    at: datetime,
    attached: Attached | None = None,
    *,
    source: str = CLI,
    fresh: Mapping[int, Place] = {},
) -> Recorded | list[Problem]:
    new = _new(database, placed, by, at, attached)._replace(source=source)
    before = documents.same(database, new.patient_id, new.kind, new.sha256)
    if before is not None:
        return Recorded(before.id, new=False)
    problems = _problems(database, placed, at, fresh=fresh)
    return problems or Recorded(documents.add(database, new), new=True)


def _new(
    database: sqlite3.Connection, placed: Placed, by: str, at: datetime, attached: Attached | None
) -> NewDocument:
    paper = _paper(placed)
    body = documents.canonical(paper.body())
    return NewDocument(
        patient_id=paper.patient,
        kind=placed.kind,
        body=body,
        sha256=documents.digest(body.encode()),
        result_id=paper.about_result(),
        attachment=None if attached is None else documents.attach(database, attached.octets, utc(at)),
        attachment_name="" if attached is None else attached.name,
        source=CLI,
        recorded_at=utc(at),
        recorded_by=by,
    )


def _problems(
    database: sqlite3.Connection,
    placed: Placed,
    at: datetime,
    *,
    instead_of: int | None = None,
    fresh: Mapping[int, Place] = {},
) -> list[Problem]:
    """What speaks against a row. `fresh`: where the documents stood that this import has made so far."""
    problems = []
    for fault in faults(database, placed.kind, _paper(placed), at, instead_of=instead_of):
        what, remedy, other = fault.what, fault.remedy, fault.against
        if other is not None:
            known = fresh.get(other)
            what = f"{what} {known or f'document {other}'}"
            remedy = "leave one of them out" if known else f"correct that one: 'documents supersede {other}'"
        problems.append(Problem(placed.place, fault.column, what, remedy))
    return problems


def _paper(placed: Placed) -> Paper:
    if not isinstance(placed.row, Paper):
        raise TypeError(f"{type(placed.row).__name__} is no kind of document")
    return placed.row


def _standing(database: sqlite3.Connection, identifier: int, *, again: bool = False) -> Document:
    """The document, if nothing took its place; a void one only when it is to be taken up `again`."""
    old = documents.find(database, identifier)
    if old is None:
        raise DocumentError(f"there is no document {identifier}; see 'documents list --patient ID'")
    if old.superseded_by is not None:
        last = documents.last_of_chain(database, old)
        raise DocumentError(f"document {identifier} was superseded; the last of its chain is document {last.id}")
    if old.voids and not again:
        raise DocumentError(f"document {identifier} is void already")
    return old


def _expect_it_holds(database: sqlite3.Connection, identifier: int, attached: Attached | None) -> None:
    """Somebody adds what was recorded before: fine if it holds with the same file, else it needs a person."""
    before = documents.find(database, identifier)
    if before is None:
        return
    if not before.holds:
        last = documents.last_of_chain(database, before)
        raise DocumentError(
            f"document {identifier} said the same and was {'voided' if last.voids else 'corrected'}; to let it "
            f"hold again: 'documents supersede {last.id}' with the same columns"
        )
    if attached is not None and documents.digest(attached.octets) != before.attachment:
        raise DocumentError(
            f"document {identifier} says the same without this file; to attach it: 'documents attach {identifier}'"
        )


def _in_order(problems: Sequence[Problem], paths: Sequence[Path]) -> list[Problem]:
    """By file, in the order in which the files were read, and by line."""
    given = {str(path): at for at, path in reversed(list(enumerate(paths)))}

    def place(problem: Problem) -> tuple[int, str, int]:
        file = problem.place.file
        return given.get(file, given.get(str(Path(file).parent), 0)), file, problem.place.line

    return sorted(problems, key=place)


def _given_twice(rows: Sequence[Placed]) -> list[Problem]:
    seen: dict[tuple[str, Paper], Place] = {}
    problems = []
    for placed in rows:
        key = (placed.kind, _paper(placed))
        if key in seen:
            what = f"the same one stands at {seen[key]} already"
            problems.append(Problem(placed.place, None, what, "leave one of them out"))
        seen.setdefault(key, placed.place)
    return problems
