"""Documents behind a unit of service: rows that are only ever added, with who, when, from where, and digests.

A correction is a new row that supersedes an older one; a void one takes it away and says why. Nothing is
overwritten and nothing is deleted: the schema refuses both.

Retention: at least ten years. Medicare asks for seven from the date of service (42 CFR 424.516(f)), Medicare
Advantage for ten (42 CFR 422.504(d)); so this module holds no code that removes anything.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from typing import NamedTuple

from gateway.store.rows import new_id

__all__ = [
    "Document",
    "Effective",
    "NewDocument",
    "add",
    "attach",
    "attachment",
    "canonical",
    "digest",
    "effective",
    "find",
    "last_of_chain",
    "listing",
    "newest",
    "same",
]


class NewDocument(NamedTuple):
    """A document to be added.

    Attributes:
        body: canonical JSON (`canonical`); sha256 its digest.
        result_id: the result that it speaks of, or None.
        attachment: digest of the attached octets (`attach`), or None.
        attachment_name: name of the attached file, as it was given.
        source: ``cli``, or file and line of an import.
        recorded_at: instant in UTC; recorded_by: name of a person.
        supersedes: the document that it corrects or voids, or None.
        voids: the superseded one falls away and nothing takes its place; the body holds the reason.
    """

    patient_id: str
    kind: str
    body: str
    sha256: str
    result_id: int | None
    attachment: str | None
    attachment_name: str
    source: str
    recorded_at: str
    recorded_by: str
    supersedes: int | None = None
    voids: int = 0


class Document(NamedTuple):
    """A document as it stands. `superseded_by` is the row that took its place, or None: it holds."""

    id: int
    patient_id: str
    kind: str
    body: str
    sha256: str
    result_id: int | None
    attachment: str | None
    attachment_name: str
    source: str
    recorded_at: str
    recorded_by: str
    supersedes: int | None
    voids: int
    superseded_by: int | None

    @property
    def holds(self) -> bool:
        """Whether it says something that no later row corrects or takes away."""
        return self.superseded_by is None and not self.voids


class Effective(NamedTuple):
    """A document that holds. `result_id`: where a person merged the result into another, that other one."""

    id: int
    kind: str
    body: str
    result_id: int | None


def canonical(content: Mapping[str, object]) -> str:
    """A body's only form: JSON with sorted keys and no blanks."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(octets: bytes) -> str:
    """SHA-256 as 64 lower-case hexadecimal digits; of a body, of its UTF-8 octets."""
    return hashlib.sha256(octets).hexdigest()


def attach(database: sqlite3.Connection, octets: bytes, at: str) -> str:
    """Keep the octets of a file, once; returns their digest."""
    sha256 = digest(octets)
    database.execute(
        "INSERT INTO attachment (sha256, octets, recorded_at) VALUES (?, ?, ?) ON CONFLICT (sha256) DO NOTHING",
        (sha256, octets, at),
    )
    return sha256


def attachment(database: sqlite3.Connection, sha256: str) -> bytes | None:
    """The octets with this digest."""
    row = database.execute("SELECT octets FROM attachment WHERE sha256 = ?", (sha256,)).fetchone()
    return None if row is None else bytes(row[0])


def add(database: sqlite3.Connection, new: NewDocument) -> int:
    """Add a document and return its number."""
    inserted = database.execute(
        f"INSERT INTO document ({', '.join(new._fields)}) VALUES ({', '.join('?' for _ in new)})", new
    )
    return new_id(inserted)


_SELECT = (
    f"SELECT d.{', d.'.join(Document._fields[:-1])}, n.id AS superseded_by"
    " FROM document d LEFT JOIN document n ON n.supersedes = d.id"
)


def find(database: sqlite3.Connection, identifier: int) -> Document | None:
    """The document with this number."""
    row = database.execute(f"{_SELECT} WHERE d.id = ?", (identifier,)).fetchone()
    return None if row is None else Document(*row)


def newest(database: sqlite3.Connection) -> int:
    """Number of the newest document of all; 0 before the first. Later ones have higher numbers."""
    return int(database.execute("SELECT coalesce(max(id), 0) FROM document").fetchone()[0])


def same(database: sqlite3.Connection, patient_id: str, kind: str, sha256: str) -> Document | None:
    """The newest document of a patient that says exactly this, whether or not it still holds."""
    row = database.execute(
        f"{_SELECT} WHERE d.patient_id = ? AND d.kind = ? AND d.sha256 = ? AND d.voids = 0"
        " ORDER BY d.id DESC LIMIT 1",
        (patient_id, kind, sha256),
    ).fetchone()
    return None if row is None else Document(*row)


def last_of_chain(database: sqlite3.Connection, document: Document) -> Document:
    """What a document has become: itself, or the last correction of it."""
    while document.superseded_by is not None:
        later = find(database, document.superseded_by)
        if later is None:
            break
        document = later
    return document


def listing(
    database: sqlite3.Connection,
    patient_id: str,
    *,
    kind: str | None = None,
    result: int | None = None,
    superseded: bool = False,
) -> list[Document]:
    """A patient's documents by kind and number, of one kind or one result where that is named.

    With `superseded` also those that hold no longer.
    """
    rows = database.execute(
        f"{_SELECT} WHERE d.patient_id = :patient AND (:kind IS NULL OR d.kind = :kind)"
        " AND (:result IS NULL OR d.result_id = :result)"
        " AND (:all OR (n.id IS NULL AND d.voids = 0)) ORDER BY d.kind, d.id",
        {"patient": patient_id, "kind": kind, "result": result, "all": superseded},
    )
    return [Document(*row) for row in rows]


def effective(database: sqlite3.Connection, patient_id: str) -> list[Effective]:
    """What holds of a patient, in the order of recording: what statements are made from."""
    rows = database.execute(
        "SELECT d.id, d.kind, d.body, coalesce(r.merged_into, d.result_id)"
        "  FROM document d LEFT JOIN result r ON r.id = d.result_id"
        " WHERE d.patient_id = ? AND d.voids = 0"
        "   AND NOT EXISTS (SELECT 1 FROM document n WHERE n.supersedes = d.id) ORDER BY d.id",
        (patient_id,),
    )
    return [Effective(*row) for row in rows]
