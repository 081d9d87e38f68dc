"""For each table that a tally is made from: whoever is written about there is due, by whichever door it comes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from gateway.cli.results_enter import enter
from gateway.cli.results_form import Form
from gateway.database import transaction
from gateway.reporting.claims.correcting import void_claim
from gateway.reporting.claims.exporting import export
from gateway.reporting.claims.prices import Price, Prices, PriceTable
from gateway.reporting.claims.recompute import update
from gateway.reporting.claims.signing import sign
from gateway.reporting.documents.recording import add_document, supersede_document, void_document
from gateway.reporting.facts import every_facts, facts_of
from gateway.result import Kind
from gateway.server.configuration import Safety
from gateway.server.moving import move
from gateway.server.registry.corrections import correct_registry
from gateway.server.registry.importing import import_registry
from gateway.server.release import Choice, release
from gateway.server.retraction import restore, retract
from gateway.store import sendings, tallies
from gateway.store.sendings import Said
from tests.unit.corrections.bureau import Bureau
from tests.unit.server.stage import METER, NOW, reading, result

DAY = date(2026, 5, 20)
LATER = datetime(2026, 5, 20, 18, tzinfo=NOW.tzinfo)
OTHER = METER.model_copy(update={"serial": "SN000456"})
PRICES = Prices(
    PriceTable(price=(Price(code="G0249", cents=12345, effective_from=date(2026, 1, 1)),)), "prices.toml"
)
ANOTHER_METER = """
[[meters]]
vendor = "ACME"
serial = "SN000456"
"""
ZONE = '[[zones]]\npatient="pat"\nfrom_date=2026-03-01\nzone="America/Phoenix"\n'
ASSIGNED = '[[assignments]]\nvendor="ACME"\nserial="SN000456"\npatient="pat"\nfrom=2026-01-01\nto=2026-02-01\n'
MOVED_ON = ASSIGNED.replace("to=2026-02-01", "to=2026-01-25")
ENROLLED = """
[[enrollments]]
patient = "pat"
payer = "medicare_ffs"
diagnosis = "I48.20"
"""


class Doors:
    """A store with four claimed tests of pat, and one act for each way in which a table is written."""

    def __init__(self, folder: Path) -> None:
        self.bureau = Bureau(folder)
        self.database = self.bureau.database
        self.bureau.stage.register(ANOTHER_METER)
        self.measured = self.bureau.measured(*(f"2026-02-{day:02}T07:30:00" for day in (2, 9, 16, 23)))
        self.bureau.stage.take(
            reading(50, result("2026-01-10T07:30:00", kind=Kind.CONTROL, meter=OTHER), meter=OTHER)
        )
        self.bureau.deliver(at=NOW)
        sign(self.database, "pat", 1, as_of=DAY, role="production", by="Bea", at=LATER, accept=["LATE_REPORT"])
        self.paper = self.add("supply_contact", "2026-01-20")

    def add(self, kind: str, day: str) -> int:
        return add_document(self.database, kind, {"patient": "pat", "date": day}, "Ada", LATER).id

    def zone(self) -> None:
        correct_registry(self.database, [self.file(ZONE)], "Ada", "why", NOW, Safety(), apply=True)

    def zone_corrected(self) -> None:
        text = ZONE.replace("Phoenix", "Denver")
        correct_registry(self.database, [self.file(text)], "Ada", "why", NOW, Safety(), apply=True)

    def assignment(self) -> None:
        import_registry(self.database, [self.file(ASSIGNED)], "Ada", NOW)

    def assignment_corrected(self) -> None:
        correct_registry(self.database, [self.file(MOVED_ON)], "Ada", "why", NOW, Safety(), apply=True)

    def enrollment(self) -> None:
        import_registry(self.database, [self.file(ENROLLED)], "Ada", NOW)

    def document(self) -> None:
        self.add("supply_contact", "2026-01-21")

    def document_superseded(self) -> None:
        self.paper = supersede_document(self.database, self.paper, {"note": "later"}, "Ada", LATER).id

    def document_voided(self) -> None:
        void_document(self.database, self.paper, "Ada", LATER, "why")

    def test(self) -> None:
        self.last = self.bureau.measured("2026-03-02T07:30:00")[0]

    def control(self) -> None:
        self.bureau.stage.take(reading(60, result("2026-03-03T07:30:00", kind=Kind.CONTROL)))

    def sending(self) -> None:
        self.bureau.queue()
        due = sendings.due(self.database, "clinic-ehr", NOW + timedelta(days=1), timedelta(days=9))
        assert due is not None
        with transaction(self.database):
            begun = sendings.begin_attempt(self.database, due, NOW)
        assert begun is not None
        self.sent = begun

    def sending_reached_nobody(self) -> None:
        with transaction(self.database):
            said = Said("not_sent", None, b"", "EHR", "")
            sendings.settle(self.database, self.sent, said, now=NOW, again_at=NOW)

    def receipt(self) -> None:
        with transaction(self.database):
            said = Said("delivered", "delivered", b"MSA|AA", "EHR", "")
            sendings.settle(self.database, self.sent, said, now=NOW)

    def contradiction(self) -> None:
        self.bureau.stage.take(reading(61, result("2026-03-02T07:30:00", strip_lot="LOT2")))

    def contradiction_decided(self) -> None:
        (entry,) = self.bureau.stage.waiting()
        release(self.database, entry.id, "Ada", NOW, Choice(keep=self.first_reading()), Safety())

    def first_reading(self) -> int:
        return int(self.bureau.stage.rows("SELECT min(id) FROM reading WHERE result_id = ?", self.last)[0][0])

    def entry(self) -> None:
        form = Form("pat", "2.6", "2026-03-09T07:30", "ACME", METER.serial or "", "Ada")
        enter(self.database, form, NOW, Safety())

    def meters_copy_of_the_entry(self) -> None:
        """No version comes with it, and it makes the test the meter's."""
        versions = self.bureau.stage.count("version")
        self.bureau.stage.take(reading(62, result("2026-03-09T07:30:00", "2.6")))
        assert self.bureau.stage.count("version") == versions

    def retraction(self) -> None:
        retract(self.database, self.last, "Ada", "why", NOW)

    def restoration(self) -> None:
        restore(self.database, self.last, "Ada", "why", NOW, Safety(), to="pat")

    def move(self) -> None:
        move(self.database, [self.last], "sam", "Ada", "why", NOW)

    def claim(self) -> None:
        made = export(self.database, role="production", prices=PRICES, by="Eve", at=LATER, today=lambda _: DAY)
        self.claimed = made.new[0]

    def void(self) -> None:
        void_claim(self.database, self.claimed, by="Bea", at=LATER, note="why")

    def file(self, text: str) -> Path:
        file = self.bureau.folder / "registry.toml"
        file.write_text(text)
        return file


BY_TABLE = {
    "claim": ["claim", "void"],
    "claim_test": ["claim", "void"],
    "assignment": ["assignment", "assignment_corrected"],
    "document": ["document", "document_superseded", "document_voided"],
    "version": ["test", "retraction", "restoration", "move"],
    "result": ["test", "control"],
    "report": ["sending"],
    "attempt": ["sending", "sending_reached_nobody"],
    "evidence": ["sending", "receipt"],
    "quarantine": ["test", "contradiction", "contradiction_decided"],
    "reading": ["entry", "meters_copy_of_the_entry"],
    "desk": ["entry"],
    "patient_zone": ["zone", "zone_corrected"],
    "enrollment": ["enrollment"],
}
"""Every table that a tally is made from, and the acts that write it, each after the ones before it."""


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Doors]:
    doors = Doors(tmp_path)
    yield doors
    doors.bureau.close()


@pytest.mark.parametrize("table", BY_TABLE)
def test_whatever_is_written_there_makes_the_patient_due(doors: Doors, table: str) -> None:
    acts = BY_TABLE[table]
    if "claim" not in acts:
        doors.claim()
    if table == "quarantine" or "test" in acts or "sending" in acts:
        acts = list(dict.fromkeys(["test", *acts]))
    for act in acts:
        update(doors.database, DAY, "production", NOW)
        assert tallies.changed(doors.database, tallies.last_change(doors.database)) == []
        getattr(doors, act)()
        assert "pat" in tallies.changed(doors.database, tallies.last_change(doors.database)), act


def test_no_table_is_forgotten(doors: Doors) -> None:
    read: set[str] = set()

    def note(action: int, table: str | None, _column: str | None, _where: str | None, _from: str | None) -> int:
        if action == sqlite3.SQLITE_READ and table:
            read.add(table)
        return sqlite3.SQLITE_OK

    doors.claim()
    doors.database.set_authorizer(note)
    try:
        facts_of(doors.database, "pat")
        list(every_facts(doors.database))
        list(doors.database.execute("SELECT * FROM tally_test_now"))  # what is kept beside the tests, made anew
    finally:
        doors.database.set_authorizer(None)
    kept = {"tally_test", "tally_test_now"}
    assert {name for name in read if not name.startswith("sqlite_")} - kept == set(BY_TABLE)
