"""Whatever is done to a store by whichever door: who must be tallied again is known, and both passes agree.

Meters, the desk, billers, providers, the registry and the payer act at random. After each act a patient whose
statement says something else than before must be due; then the small pass is done. Tests are read a second way
here, table by table: what the store keeps beside them for speed must say the same. At the end the full pass finds
nothing.
"""

from __future__ import annotations

import json
import math
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.cli.results_correct import Changes, correct
from gateway.cli.results_enter import enter
from gateway.cli.results_form import EntryError, Form
from gateway.database import transaction
from gateway.reporting.claims.correcting import replace_claim, void_claim
from gateway.reporting.claims.errors import ClaimError
from gateway.reporting.claims.exporting import export
from gateway.reporting.claims.prices import Price, Prices, PriceTable
from gateway.reporting.claims.recompute import outcome, recompute, update
from gateway.reporting.claims.remittances import import_remittances
from gateway.reporting.claims.signing import sign
from gateway.reporting.documents.recording import (
    DocumentError,
    RefusedError,
    add_document,
    import_documents,
    supersede_document,
    void_document,
)
from gateway.reporting.facts import Facts, every_facts, facts_of
from gateway.reporting.statements import StatementError
from gateway.reporting.units import UnitsError
from gateway.reporting.units.model import Code
from gateway.reporting.units.reasons import FLAG_WORDS
from gateway.result import Kind
from gateway.server.configuration import Safety
from gateway.server.copies import DecisionError
from gateway.server.moving import move
from gateway.server.registry.corrections import correct_registry
from gateway.server.registry.importing import ImportRefusedError, import_registry
from gateway.server.release import Choice, dismiss, release
from gateway.server.retraction import restore, retract
from gateway.store import claims, documents, sendings, tallies
from gateway.store.opening import open_store
from gateway.store.sendings import Said
from tests.unit.corrections.bureau import Bureau
from tests.unit.server.stage import METER, NOW, reading, result

DAY = date(2026, 5, 20)
LATER = datetime(2026, 5, 20, 18, tzinfo=NOW.tzinfo)
PATIENTS = st.sampled_from(["pat", "sam"])
RESULTS = st.integers(1, 9)
SERVICES: st.SearchStrategy[Code] = st.sampled_from(["G0249", "G0250"])
HOURS = st.integers(0, 24 * 40)
FIRST = datetime(2026, 2, 2, 7, 30)
OTHER = METER.model_copy(update={"serial": "SN000456"})
SAMS = """
[[meters]]
vendor = "ACME"
serial = "SN000456"
[[assignments]]
vendor = "ACME"
serial = "SN000456"
patient = "sam"
from = 2026-01-01
"""
PAPERS: list[tuple[str, dict[str, str]]] = [
    ("order", {"signed_on": "2026-01-02", "practitioner": "Dr. V", "interval_days": "7"}),
    ("order", {"signed_on": "2026-02-16", "practitioner": "Dr. V", "expires_on": "2026-03-09"}),
    (
        "training",
        {"date": "2026-01-20", "code": "G0248", "trainer": "R", "able_to_test": "1", "able_to_report": "1"},
    ),
    ("warfarin", {"start": "2025-01-01"}),
    ("anticoagulant", {"drug": "apixaban", "start": "2026-02-20", "end": "2026-02-21"}),
    ("infusion", {"start": "2026-02-09", "end": "2026-02-11"}),
    ("diagnosis", {"codes": "I48.20", "from": "2025-01-01", "evidence": "letter"}),
    ("diagnosis", {"codes": "Z79.01", "from": "2026-02-16", "evidence": "letter"}),
    ("valve", {"type": "mechanical"}),
    ("coverage", {"payer": "medicare_ffs", "mac": "noridian", "from": "2025-01-01"}),
    ("coverage", {"payer": "ma_plan_ma05.016", "from": "2026-02-18"}),
    ("event", {"type": "withdrawn", "date": "2026-03-03"}),
    ("event", {"type": "death", "date": "2026-02-24"}),
    ("event", {"type": "hold", "date": "2026-02-24"}),
    ("supply_delivery", {"date": "2026-01-20", "strips": "12", "proof": "1Z9"}),
    ("supply_contact", {"date": "2026-01-20"}),
    ("supply_waste", {"date": "2026-01-20", "strips": "1", "reason": "dropped"}),
]
REVIEW = {"reviewed_at": "2026-05-01T09:00", "practitioner": "Dr. V"}
OF_A_RESULT: list[tuple[str, dict[str, str]]] = [
    (
        "early_reason",
        {"category": "travel", "text": "away", "author": "R", "documented_at": "2026-02-03T09:00"},
    ),
    ("extra_order", {"signed_on": "2026-02-01", "practitioner": "Dr. V"}),
    ("abn", {"signed_at": "2026-02-01T09:00"}),
    ("review", REVIEW),
    ("attestation", {"statement": "seen", "attested_by": "Ada", "attested_at": "2026-03-14T09:00"}),
]
REFUSALS = (
    DecisionError,
    EntryError,
    RefusedError,
    DocumentError,
    ClaimError,
    StatementError,
    UnitsError,
    ImportRefusedError,
)


def prices_of(cents: int) -> Prices:
    names = ("G0249", "G0250")
    rows = [{"code": code, "cents": cents, "effective_from": date(2026, 1, 1)} for code in names]
    return Prices(PriceTable(price=tuple(Price.model_validate(row) for row in rows)), "prices.toml")


PRICES = prices_of(12345)


def says(facts: Facts) -> str:
    return outcome(facts, DAY, "production")[0]


def read_table_by_table(database: sqlite3.Connection, patient: str) -> list[tuple[object, ...]]:
    """A patient's tests from the tables alone: nothing is joined, kept or remembered."""
    found = []
    for version in database.execute("SELECT * FROM version WHERE patient_id = ?", (patient,)).fetchall():
        number, of = version["version"], version["result_id"]
        newest = database.execute(
            "SELECT max(version) FROM version WHERE patient_id = ? AND result_id = ?", (patient, of)
        ).fetchone()[0]
        if number != newest:
            continue
        known = database.execute("SELECT * FROM result WHERE id = ?", (of,)).fetchone()
        sent: list[str] = []
        accepted: list[str] = []
        for report in database.execute("SELECT id FROM report WHERE result_id = ? AND version = ?", (of, number)):
            for attempt in database.execute("SELECT * FROM attempt WHERE report_id = ?", (report["id"],)):
                sent += [attempt["started_at"]] if attempt["outcome"] != "not_sent" else []
            for evidence in database.execute("SELECT * FROM evidence WHERE report_id = ?", (report["id"],)):
                accepted += (
                    [evidence["at"]] if evidence["level"] in ("delivered", "seen") or evidence["agreed"] else []
                )
        journals = {row[0] for row in database.execute("SELECT journal FROM reading WHERE result_id = ?", (of,))}
        desk = {row[0] for row in database.execute("SELECT journal FROM desk")}
        waits = database.execute(
            "SELECT count(*) FROM quarantine WHERE result_id = ? AND (closed_at IS NULL OR action = 'dismissed')",
            (of,),
        ).fetchone()[0]
        found.append(
            (
                version["taken_at"],
                of,
                known["kind"],
                known["inr"],
                version["origin"],
                bool(waits),
                min(sent, default=None),
                min(accepted, default=None),
                known["meter_key"],
                "retracted" if known["merged_into"] is not None else version["status"],
                number,
                version["origin"] == "person" and journals <= desk,
            )
        )
    return sorted(found)


def accepting(act: Callable[[list[str]], None]) -> None:
    """Do it with every flag that it asks for, if it can be done."""
    accept: list[str] = []
    while True:
        try:
            return act(accept)
        except REFUSALS as refused:
            more = [flag for flag in FLAG_WORDS if f"--accept {flag}" in str(refused)]
            if not set(more) - set(accept):
                return None
            accept += more


class Store(RuleBasedStateMachine):
    """Everything that can change what a statement is made from."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.bureau = Bureau(Path(self.folder.name))
        self.database = self.bureau.database
        self.count = 0
        self.taken: list[tuple[str, str, str]] = []

    @initialize(sides=st.sets(SERVICES))
    def begin(self, sides: set[Code]) -> None:
        """Sam's four weekly tests, perhaps claimed already."""
        self.bureau.stage.register(SAMS)
        for week in range(4):
            self.measure(OTHER.serial, 7 * 24 * week, "2.5", Kind.PATIENT)
            self.record_of_a_result("sam", ("review", REVIEW), week + 1)
        self.bureau.deliver(at=NOW)
        for service in sides:
            self.sign("sam", 1, None, service)
        self.export()
        assert len(claims.claims(self.database)) == len(sides)

    def teardown(self) -> None:
        try:
            writer = open_store(self.bureau.stage.path)
            try:
                done = recompute(self.database, writer, DAY, "production", NOW)
            finally:
                writer.close()
            assert done.different == ()
        finally:
            self.bureau.close()
            self.folder.cleanup()

    @invariant()
    def who_changed_is_due_and_the_small_pass_says_what_the_full_one_does(self) -> None:
        passed = {facts.patient_id: facts for facts in every_facts(self.database)}
        due = set(tallies.changed(self.database, tallies.last_change(self.database)))
        for patient, facts in passed.items():
            kept = tallies.computed(self.database, patient)
            if kept is None or kept.sha256 != says(facts):
                assert patient in due
            columns = [
                (each.taken_at, each.result_id, *each[1:3], *each[4:]) for each in facts.tested if each.version
            ]
            assert sorted(columns) == read_table_by_table(self.database, patient)
        update(self.database, DAY, "production", NOW)
        for patient, facts in passed.items():
            kept = tallies.computed(self.database, patient)
            assert kept is not None
            assert kept.sha256 == says(facts) == says(facts_of(self.database, patient))

    # ------------------------------------------------------------ what comes by itself

    @rule(serial=st.sampled_from([METER.serial, OTHER.serial]), hours=HOURS, inr=st.sampled_from(["2.5", "2.6"]),
          kind=st.sampled_from([Kind.PATIENT, Kind.PATIENT, Kind.CONTROL, Kind.ERROR]))  # fmt: skip
    def measure(self, serial: str | None, hours: int, inr: str, kind: Kind) -> None:
        time = (FIRST + timedelta(hours=hours)).isoformat()
        meter = METER if serial == METER.serial else OTHER
        self.take(result(time, inr, kind, meter=meter))
        if kind is Kind.PATIENT:
            self.taken.append((str(serial), time, inr))

    def take(self, made: Any) -> None:
        self.count += 1
        self.bureau.stage.take(reading(100 + self.count, made, meter=made.meter))

    @rule(data=st.data(), lot=st.booleans())
    def a_copy_comes(self, data: st.DataObject, lot: bool) -> None:
        """Of a reading, or of what somebody entered by hand; perhaps one that contradicts."""
        serial, time, inr = data.draw(st.sampled_from(self.taken))
        more: dict[str, Any] = {"strip_lot": f"LOT{self.count}"} if lot else {}
        self.take(result(time, inr, meter=METER if serial == METER.serial else OTHER, **more))

    @rule(some=st.sampled_from([(), ("clinic-ehr",), ("heart-ehr",)]))
    def deliver(self, some: tuple[str, ...]) -> None:
        if some:
            self.bureau.deliver(*some, at=NOW)
        else:
            self.bureau.queue()

    @rule(outcome_=st.sampled_from(["not_sent", "ambiguous", "accepted", "unreachable", "agreed"]))
    def a_sending_goes_otherwise(self, outcome_: str) -> None:
        self.bureau.queue()
        due = sendings.due(self.database, "clinic-ehr", NOW + timedelta(days=1), timedelta(days=9))
        if due is None:
            return
        if outcome_ == "unreachable":
            with transaction(self.database):
                sendings.unreachable(self.database, due, "no route", NOW)
            return
        with transaction(self.database):
            begun = sendings.begin_attempt(self.database, due, NOW)
        assert begun is not None
        self.who_changed_is_due_and_the_small_pass_says_what_the_full_one_does()  # a crash may fall here
        with transaction(self.database):
            ends = outcome_ in ("accepted", "agreed")
            said = Said(
                "delivered" if outcome_ == "agreed" else outcome_, "accepted" if ends else None, b"x", "EHR", ""
            )
            sendings.settle(self.database, begun, said, now=NOW, again_at=None if ends else NOW)

    # ------------------------------------------------------------ what a person does with results

    @rule(number=RESULTS)
    def take_back(self, number: int) -> None:
        with suppress(*REFUSALS):
            retract(self.database, number, "Ada", "why", NOW)

    @rule(number=RESULTS, to=PATIENTS)
    def take_up_again(self, number: int, to: str) -> None:
        with suppress(*REFUSALS):
            restore(self.database, number, "Ada", "why", NOW, Safety(), to=to)

    @rule(numbers=st.sets(RESULTS, min_size=1, max_size=2), to=PATIENTS)
    def move(self, numbers: set[int], to: str) -> None:
        with suppress(*REFUSALS):
            move(self.database, sorted(numbers), to, "Ada", "why", NOW)

    @rule(number=RESULTS, hours=HOURS)
    def correct_a_time(self, number: int, hours: int) -> None:
        with suppress(*REFUSALS):
            at = (FIRST + timedelta(hours=hours)).isoformat()
            correct(self.database, number, Changes(taken_at=at, another=True), "Ada", "why", NOW)

    @rule(number=RESULTS, attest=st.sampled_from(["", "called"]))
    def correct_an_entry(self, number: int, attest: str) -> None:
        self.count += 1
        with suppress(*REFUSALS):
            changes = Changes(inr=f"3.{self.count % 10}", attestation=attest, another=True)
            correct(self.database, number, changes, "Ada", "why", NOW)

    @rule(hours=HOURS, attest=st.sampled_from(["", "on the phone"]))
    def enter_by_hand(self, hours: int, attest: str) -> None:
        time = (FIRST + timedelta(hours=hours)).isoformat()
        with suppress(*REFUSALS):
            form = Form("pat", "2.6", time, "ACME", METER.serial or "", "Ada", attest)
            enter(self.database, form, NOW, Safety(), another=True)
            self.taken.append((METER.serial or "", time, "2.6"))

    @rule(kind=st.sampled_from(["keep", "as two", "patient", "plain", "dismiss"]), newest=st.booleans())
    def decide_what_waits(self, kind: str, newest: bool) -> None:
        for entry in self.bureau.stage.waiting()[:1]:
            rows = self.bureau.stage.rows("SELECT id FROM reading WHERE result_id = ? ORDER BY id", entry.result_id)
            choice = Choice()
            if kind == "keep" and rows:
                choice = Choice(keep=rows[-1 if newest else 0]["id"])
            if kind == "as two":
                choice = Choice(as_two=True)
            if kind == "patient":
                choice = Choice(patient="sam")
            with suppress(*REFUSALS):
                if kind == "dismiss":
                    dismiss(self.database, entry.id, "Ada", NOW, "why")
                else:
                    release(self.database, entry.id, "Ada", NOW, choice, Safety())

    # ------------------------------------------------------------ the registry

    @rule(to=PATIENTS)
    def correct_whose_meter(self, to: str) -> None:
        self.registry(
            f'[[assignments]]\nvendor="ACME"\nserial="SN000123"\npatient="{to}"\nfrom=2026-01-01T00:00:00-08:00\n'
        )

    @rule(patient=PATIENTS, start=st.sampled_from(["2020-01-01", "2026-02-10", "2026-06-01"]),
          zone=st.sampled_from(["Pacific/Guam", "America/Phoenix", "America/New_York"]))  # fmt: skip
    def correct_a_zone(self, patient: str, start: str, zone: str) -> None:
        self.registry(f'[[zones]]\npatient="{patient}"\nfrom_date={start}\nzone="{zone}"\n')

    @rule(patient=PATIENTS, order=st.sampled_from(["2025-11-20", "2026-02-10"]))
    def enroll(self, patient: str, order: str) -> None:
        text = f'[[enrollments]]\npatient="{patient}"\npayer="medicare_ffs"\nmac="noridian"\ndiagnosis="I48.20"\n'
        text += "warfarin_start=2025-06-01\ntraining_date=2025-12-01\ntraining_documented=true\n"
        text += f"order_signed_on={order}\n"
        file = self.bureau.folder / "enrolled.toml"
        file.write_text(text)
        import_registry(self.database, [file], "Ada", NOW)

    def registry(self, text: str) -> None:
        file = self.bureau.folder / "corrected.toml"
        file.write_text(text)
        with suppress(*REFUSALS):
            correct_registry(self.database, [file], "Ada", "why", NOW, Safety(), apply=True)

    # ------------------------------------------------------------ papers

    @rule(patient=PATIENTS, paper=st.sampled_from(PAPERS), by_file=st.booleans())
    def record(self, patient: str, paper: tuple[str, dict[str, str]], by_file: bool) -> None:
        kind, columns = paper
        with suppress(*REFUSALS):
            if by_file:
                file = self.bureau.folder / f"{kind}.csv"
                file.write_text(f"patient,{','.join(columns)}\n{patient},{','.join(columns.values())}\n")
                import_documents(self.database, [file], "Ada", LATER)
            else:
                add_document(self.database, kind, {"patient": patient, **columns}, "Ada", LATER)

    @rule(patient=PATIENTS, paper=st.sampled_from(OF_A_RESULT), number=RESULTS)
    def record_of_a_result(self, patient: str, paper: tuple[str, dict[str, str]], number: int) -> None:
        with suppress(*REFUSALS):
            kind, columns = paper
            add_document(self.database, kind, {"patient": patient, "result": number, **columns}, "Ada", LATER)

    @rule(patient=PATIENTS, at=st.integers(0, 5), void=st.booleans())
    def correct_a_paper(self, patient: str, at: int, void: bool) -> None:
        rows = documents.listing(self.database, patient, superseded=True)
        if not rows:
            return
        row = rows[at % len(rows)]
        with suppress(*REFUSALS):
            if void:
                void_document(self.database, row.id, "Ada", LATER, "why")
            else:
                first = next(value for kind, value in [*PAPERS, *OF_A_RESULT] if kind == row.kind)
                before = json.loads(row.body) if not row.voids else first
                changes = {name: "2026-02-17" for name in before if name in ("signed_on", "start", "date", "from")}
                supersede_document(self.database, row.id, changes or {"evidence": "seen"}, "Ada", LATER)

    # ------------------------------------------------------------ claims

    @rule(patient=PATIENTS, number=st.integers(1, 2), period=st.sampled_from([None, 1, 2]), service=SERVICES)
    def sign(self, patient: str, number: int, period: int | None, service: Code) -> None:
        def act(accept: list[str]) -> None:
            whole: dict[str, Any] = {"as_of": DAY, "role": "production", "by": "Bea", "at": LATER}
            sign(self.database, patient, number, **whole, accept=accept, period=period, service=service)

        accepting(act)

    @rule(patient=PATIENTS, number=st.integers(1, 2), service=SERVICES)
    def sign_and_export(self, patient: str, number: int, service: Code) -> None:
        self.sign(patient, number, None, service)
        self.export()

    @rule()
    def export(self) -> None:
        export(self.database, role="production", prices=PRICES, by="Eve", at=LATER, today=lambda _: DAY)

    @rule(at=st.integers(0, 3))
    def void(self, at: int) -> None:
        with suppress(*REFUSALS):
            void_claim(self.database, self.a_claim(at), by="Bea", at=LATER, note="why")

    @rule(at=st.integers(0, 3), cents=st.integers(12345, 12347))
    def replace(self, at: int, cents: int) -> None:
        claim, prices = self.a_claim(at), prices_of(cents)

        def act(accept: list[str]) -> None:
            whole: dict[str, Any] = {"as_of": DAY, "role": "production", "by": "Bea", "at": LATER, "note": "why"}
            replace_claim(self.database, claim, prices=prices, accept=accept, **whole)

        accepting(act)

    @rule(at=st.integers(0, 3), status=st.sampled_from(["denied", "paid"]), day=st.integers(14, 20))
    def the_payer_answers(self, at: int, status: str, day: int) -> None:
        file = self.bureau.folder / "answers.csv"
        answer = f"{self.a_claim(at)},2026-05-{day},{status},CO,16"
        file.write_text(f"claim_id,posted_on,status,group,carc\n{answer}\n")
        with suppress(*REFUSALS):
            import_remittances(self.database, file, by="Dana", at=LATER)

    def a_claim(self, at: int) -> str:
        rows = claims.claims(self.database)
        return rows[at % len(rows)].id if rows else "NONE"

    @invariant()
    def a_test_is_claimed_once(self) -> None:
        rows = self.bureau.stage.rows(
            "SELECT count(*) FROM claim_test WHERE standing = 1 GROUP BY code, test_id HAVING count(*) > 1"
        )
        assert rows == []

    @invariant()
    def a_claim_says_what_was_signed_and_holds_its_tests_while_it_stands(self) -> None:
        for row in claims.claims(self.database):
            content = json.loads(row.content)
            standing = self.bureau.stage.rows(
                "SELECT test_id, standing FROM claim_test WHERE claim_id = ? ORDER BY place", row.id
            )
            assert [each[0] for each in standing] == [test["id"] for test in content["unit"]["tests"]]
            assert {bool(each[1]) for each in standing} == {row.frequency != 8 and row.state in claims.STANDING}
            (signed,) = self.bureau.stage.rows("SELECT content FROM sign_off WHERE id = ?", row.sign_off_id)
            assert json.loads(signed[0]) == content["unit"]
            followers = self.bureau.stage.rows("SELECT frequency FROM claim WHERE follows = ?", row.id)
            expected = {"void": [8], "replaced": [7]}.get(row.state, [])
            assert [each[0] for each in followers] == expected
            exact = Fraction(content["full_cents"] * len(standing), 4)
            assert row.charge_cents == content["charge_cents"] == math.floor(exact + Fraction(1, 2))


Store.TestCase.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
test_whoever_changed_is_due = pytest.mark.timeout(120)(Store.TestCase)
