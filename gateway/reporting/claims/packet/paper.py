"""Documents as a packet tells of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from gateway.reporting.claims.packet.contents import Item
from gateway.store import documents
from gateway.store.documents import Document

__all__ = ["items_of", "papers_of_unit", "recorded", "said_by", "subject_of"]


def papers_of_unit(database: sqlite3.Connection, patient_id: str, tests: Sequence[str]) -> list[Document]:
    """A patient's documents that speak of one of these tests or of none, also those that hold no longer."""
    found = documents.listing(database, patient_id, superseded=True)
    return [each for each in found if each.result_id is None or str(each.result_id) in tests]


def subject_of(document: Document) -> str:
    """Its kind, and of which test it speaks."""
    return f"{document.kind} (test {document.result_id})" if document.result_id is not None else document.kind


def said_by(document: Document) -> str:
    """Its columns in words."""
    body = json.loads(document.body)
    return "; ".join(f"{name} {_said(value)}" for name, value in body.items() if name != "result")


def recorded(document: Document) -> str:
    """By whom, when, and from where; of an imported file its name and line."""
    source = document.source
    if source.startswith("import "):
        source = f"import {source.replace(chr(92), '/').rsplit('/', 1)[-1].removeprefix('import ')}"
    return f"{document.recorded_by}, {document.recorded_at}, {source}"


def items_of(document: Document) -> list[Item]:
    """The document, and the file that is attached to it."""
    facts = {"kind": document.kind, "recorded_by": document.recorded_by, "recorded_at": document.recorded_at}
    found = [Item("document", str(document.id), document.sha256, facts)]
    if document.attachment:
        found.append(Item("attachment", document.attachment_name, document.attachment, {"document": document.id}))
    return found


def _said(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
