"""A store with two enrolled patients, tests with evidence, and the doors by which documents come in."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import utc
from gateway.database import transaction
from gateway.reporting.documents.recording import Imported, Recorded, add_document, import_documents
from gateway.reporting.statements import inputs_of, statement_of
from gateway.reporting.units import Enrollment, Statement
from gateway.result import Kind
from gateway.store import documents
from tests.unit.server.stage import Stage, reading, result

NOW = datetime(2026, 5, 20, 18, 0, tzinfo=UTC)
TODAY = date(2026, 5, 20)

ENROLLED = """
[[enrollments]]
patient = "pat"
payer = "medicare_ffs"
mac = "noridian"
diagnosis = "I48.20 Z79.01"
warfarin_start = 2025-06-01
training_date = 2025-12-01
training_documented = true
order_signed_on = 2025-11-20
"""


class Desk:
    """A store, and what a test does to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stage = Stage(folder, now=NOW)
        self.database = self.stage.database
        self.stage.register(ENROLLED)

    def add(self, kind: str, patient: str = "pat", **columns: Any) -> Recorded:
        content = {name.rstrip("_"): value for name, value in columns.items()}
        return add_document(self.database, kind, {"patient": patient, **content}, "Ada", NOW)

    def load(self, text: str, name: str = "papers.toml") -> Imported:
        file = self.folder / name
        file.write_text(text, encoding="utf-8")
        return import_documents(self.database, [file], "Ada", NOW)

    def count(self) -> int:
        return self.stage.count("document")

    def listed(self, kind: str, patient: str = "pat") -> list[int]:
        return [row.id for row in documents.listing(self.database, patient, kind=kind)]

    def measured(self, local: str, inr: str = "2.5", kind: Kind = Kind.PATIENT, *, reported: bool = True) -> int:
        """A test of pat's meter, taken in and, unless told otherwise, acknowledged five minutes later."""
        number = self.stage.count("reading") + 1
        self.stage.take(reading(number, result(local, inr, kind)))
        found = int(self.stage.rows("SELECT max(id) FROM result")[0][0])
        if reported and kind is Kind.PATIENT:
            self.acknowledge(found)
        return found

    def acknowledge(self, found: int) -> None:
        """As the courier leaves a report that the provider's system accepted."""
        (version,) = self.stage.rows(
            "SELECT version, taken_at FROM version WHERE result_id = ? ORDER BY version DESC LIMIT 1", found
        )
        at = utc(datetime.fromisoformat(version["taken_at"]) + timedelta(minutes=5))
        with transaction(self.database):
            self.database.execute(
                "INSERT OR IGNORE INTO destination (id, provider_id, channel, address, updated_at)"
                " VALUES ('ehr', 'clinic', 'hl7v2', 'mllp://127.0.0.1:2575', ?)",
                (at,),
            )
            report = self.database.execute(
                "INSERT INTO report (result_id, version, destination_id, control_id, octets, created_at, state,"
                " next_attempt_at) VALUES (?, ?, 'ehr', ?, x'00', ?, 'delivered', ?)",
                (found, version["version"], f"C{found}.{version['version']}", at, at),
            ).lastrowid
            self.database.execute("INSERT INTO attempt (report_id, started_at) VALUES (?, ?)", (report, at))
            self.database.execute(
                "INSERT INTO evidence (report_id, level, at, peer, octets)"
                " VALUES (?, 'delivered', ?, 'EHR', x'00')",
                (report, at),
            )

    def statement(self, as_of: date = TODAY, **more: Any) -> Statement:
        return statement_of(self.database, "pat", as_of, "production", **more)[0]

    def enrollment(self, as_of: date = TODAY) -> Enrollment:
        return inputs_of(self.database, "pat", as_of, "production").enrollment

    def why_not(self, test: int, as_of: date = TODAY) -> str | None:
        """The reason against a test, or None where it counts."""
        found = {refused.test: refused.reason for refused in self.statement(as_of).not_covered}
        return found.get(str(test))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.stage.close()
