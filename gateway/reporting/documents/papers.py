"""A patient's documents that hold, read back into their kinds."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import TypeVar

from gateway.reporting.documents.kinds import KINDS, OfResult, Paper
from gateway.store import documents

__all__ = ["Papers", "papers_from", "papers_of", "read_body"]

P = TypeVar("P", bound=Paper)
R = TypeVar("R", bound=OfResult)


class Papers:
    """The papers of one patient, by kind, in the order of recording."""

    __slots__ = ("_by_kind",)

    def __init__(self, by_kind: dict[type[Paper], list[tuple[int | None, Paper]]]) -> None:
        """Args: by_kind: each paper with the number of the result that it speaks of now."""
        self._by_kind = by_kind

    def of(self, kind: type[P]) -> list[P]:
        """All papers of a kind."""
        return [paper for _, paper in self._by_kind.get(kind, ()) if isinstance(paper, kind)]

    def numbered(self, kind: type[P]) -> list[tuple[int | None, P]]:
        """All papers of a kind, each with the number of the result that it speaks of now, if any."""
        return [(result, paper) for result, paper in self._by_kind.get(kind, ()) if isinstance(paper, kind)]

    def by_result(self, kind: type[R]) -> dict[int, R]:
        """The paper of each result; where two results became one, the newest."""
        return {
            result: paper
            for result, paper in self._by_kind.get(kind, ())
            if result is not None and isinstance(paper, kind)
        }

    def __bool__(self) -> bool:
        return bool(self._by_kind)


def papers_of(database: sqlite3.Connection, patient_id: str) -> Papers:
    """Read what holds of one patient. Corrected and void documents are left aside."""
    return papers_from(patient_id, documents.effective(database, patient_id))


def papers_from(patient_id: str, rows: Iterable[documents.Effective]) -> Papers:
    """The papers in rows that were read already."""
    by_kind: dict[type[Paper], list[tuple[int | None, Paper]]] = {}
    for row in rows:
        paper = read_body(row.kind, patient_id, row.body)
        by_kind.setdefault(type(paper), []).append((row.result_id, paper))
    return Papers(by_kind)


def read_body(kind: str, patient_id: str, body: str) -> Paper:
    """A document's body, which was checked when it was recorded."""
    return KINDS[kind].model_validate({"patient": patient_id, **json.loads(body)})
