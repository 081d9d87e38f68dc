"""A store with two patients and two providers, a courier that delivers at once, and the commands of the desk.

`clinic` treats both patients; `heart` treats sam, and treated pat until 10 March. What the far ends hold is read
from the octets that were delivered, message by message.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from gateway.cli.main import main
from gateway.clock import Clock
from gateway.database import transaction
from gateway.reporting.configuration import Delivery
from gateway.reporting.queueing import Search, queue_reports
from gateway.reporting.statements import statement_of
from gateway.reporting.units import Statement
from gateway.store import sendings
from gateway.store.opening import open_store
from gateway.store.sendings import Said
from tests.unit.reporting.lint import segments
from tests.unit.server.stage import NOW, Stage, reading, result

PEOPLE = """
[[providers]]
id = "heart"
name = "Heart"

[[treatments]]
patient = "pat"
provider = "clinic"
provider_patient_id = "C-pat"
from = 2026-01-01

[[treatments]]
patient = "sam"
provider = "clinic"
provider_patient_id = "C-sam"
from = 2026-01-01

[[treatments]]
patient = "sam"
provider = "heart"
provider_patient_id = "H-sam"
from = 2026-01-01

[[treatments]]
patient = "pat"
provider = "heart"
provider_patient_id = "H-pat"
from = 2026-01-01
to = 2026-03-10
"""
ENROLLED = """
[[enrollments]]
patient = "{}"
payer = "medicare_ffs"
mac = "noridian"
diagnosis = "I48.20 Z79.01"
warfarin_start = 2025-06-01
training_date = 2025-12-01
training_documented = true
order_signed_on = 2025-11-20
"""
DAY = timedelta(days=1)
TODAY = NOW.date()


class Told(NamedTuple):
    """What a far end holds of one test in one chart: OBX-11, OBX-5 and OBX-14 of the last message about it."""

    status: str
    inr: str
    taken_at: str


class Answer(NamedTuple):
    """What a command answered."""

    status: int
    out: str
    err: str


@dataclass
class Bureau:
    """The store, and what is done to it."""

    folder: Path
    stage: Stage = field(init=False)

    def __post_init__(self) -> None:
        self.stage = Stage(self.folder)
        self.database = self.stage.database
        self.courier = open_store(self.stage.path)
        self.search = Search("production")
        self.stage.register(PEOPLE + ENROLLED.format("pat") + ENROLLED.format("sam"))
        with transaction(self.database):
            self.database.executemany(
                "INSERT INTO destination (id, provider_id, channel, address, live, live_at, updated_at)"
                " VALUES (?, ?, 'hl7v2', 'mllp://127.0.0.1:1', 1, '', '')",
                [("clinic-ehr", "clinic"), ("heart-ehr", "heart")],
            )
        self.configuration = self.folder / "server.toml"
        self.configuration.write_text(
            f'[server]\nname = "s"\nstore = "{self.stage.path}"\nrole = "production"\n', encoding="utf-8"
        )

    def close(self) -> None:
        self.courier.close()
        self.stage.close()

    def measured(self, *times: str, inr: str = "2.5") -> list[int]:
        """Tests of pat's meter at these local times; the numbers of their results."""
        first = self.stage.count("reading") + 1
        self.stage.take(*(reading(first + place, result(time, inr)) for place, time in enumerate(times)))
        rows = self.stage.rows("SELECT result_id FROM reading WHERE id >= ? ORDER BY id", first)
        return [row[0] for row in rows]

    def entered(self, inr: str = "2.6", taken_at: str = "2026-03-11T07:30", attest: str = "on the phone") -> int:
        """A test of pat's that was entered by hand."""
        words = [
            "--patient",
            "pat",
            "--inr",
            inr,
            "--taken-at",
            taken_at,
            "--meter",
            "ACME/SN000123",
            "--by",
            "Ada",
        ]
        said = self.typed("results", "enter", *words, *(["--attest", attest] if attest else []))
        assert said.status == 0, said.err
        return int(self.stage.rows("SELECT max(id) FROM result")[0][0])

    def typed(self, *words: object) -> Answer:
        """Run a command."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = main([*map(str, words), "--config", str(self.configuration)])
            except SystemExit as left:  # argparse
                status = int(left.code or 0)
        return Answer(status, out.getvalue(), err.getvalue())

    def act(self, *words: object, why: str = "because") -> Answer:
        """Run one of the acts of `results`, by Ada."""
        said = self.typed("results", *words, "--by", "Ada", "--why", why)
        assert said.status == 0, said.err
        return said

    def queue(self) -> None:
        """Make the reports that are lacking, as the server finds them."""
        for _ in range(50):
            found = self.search.look(self.courier)
            if not found.results and not found.decided:
                return
            with transaction(self.courier):
                queue_reports(self.courier, "production", found.results, Delivery(), Clock(self.stage.now))
        raise AssertionError("it never ends")

    def deliver(self, *destinations: str, at: datetime | None = None) -> None:
        """Everything that is due is sent and acknowledged at this instant."""
        self.queue()
        at = at or self.stage.now
        for destination in destinations or ("clinic-ehr", "heart-ehr"):
            while True:
                due = sendings.due(self.database, destination, at + DAY, timedelta(days=9))
                if due is None:
                    break
                with transaction(self.database):
                    begun = sendings.begin_attempt(self.database, due, at)
                    assert begun is not None
                    sendings.settle(
                        self.database, begun, Said("delivered", "delivered", b"MSA|AA", "EHR", ""), now=at
                    )

    def held(self, destination: str) -> dict[tuple[str, str], Told]:
        """What a far end holds, by the provider's own patient id and our name of the test."""
        rows = self.stage.rows(
            "SELECT r.octets FROM report r JOIN evidence e ON e.report_id = r.id WHERE r.destination_id = ?"
            " ORDER BY e.id",
            destination,
        )
        found: dict[tuple[str, str], Told] = {}
        for (octets,) in rows:
            parts = segments(octets)
            patient = next(part for part in parts if part[0] == "PID")[3].split("^")[0]
            order = next(part for part in parts if part[0] == "OBR")[3].split("^")[0]
            value = next(part for part in parts if part[0] == "OBX")
            found[patient, order] = Told(value[11], value[5], value[14])
        return found

    def charts(self, destination: str) -> dict[str, list[tuple[str, str]]]:
        """Status and INR of each test, by the provider's own patient id, in the order of their first message."""
        found: dict[str, list[tuple[str, str]]] = {}
        for (patient, _), told in self.held(destination).items():
            found.setdefault(patient, []).append((told.status, told.inr))
        return found

    def versions(self, number: int) -> list[tuple[str, str]]:
        """Status and patient of each version of a result."""
        rows = self.stage.rows(
            "SELECT status, patient_id FROM version WHERE result_id = ? ORDER BY version", number
        )
        return [(row[0], row[1]) for row in rows]

    def statement(self, patient: str, as_of: date = TODAY + timedelta(days=60)) -> Statement:
        return statement_of(self.database, patient, as_of, "production")[0]

    def why_not(self, patient: str, number: int) -> str | None:
        """The reason against a test, or None where it counts."""
        refused = {each.test: each.reason for each in self.statement(patient).not_covered}
        return refused.get(str(number))

    def decisions(self, number: int) -> list[tuple[str, str, str]]:
        """Act, name and note of every decision on a result."""
        rows = self.stage.rows(
            "SELECT act, by_name, note FROM decision WHERE subject = ? ORDER BY id", f"result {number}"
        )
        return [(row[0], row[1], row[2]) for row in rows]

    def listed(self, *words: str) -> list[dict[str, Any]]:
        """`results list` as JSON."""
        return [json.loads(line) for line in self.typed("results", "list", "--json", *words).out.splitlines()]

    def everything(self) -> dict[str, Sequence[object]]:
        """All that acts may change, to see that a refused one changed nothing."""
        tables = ("version", "quarantine", "assignment", "patient_zone", "decision", "reading", "document")
        return {name: [tuple(row) for row in self.stage.rows(f"SELECT * FROM {name}")] for name in tables}
