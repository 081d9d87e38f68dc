"""Whatever is corrected in whatever order: in the end every chart says the present truth, and the tally counts it.

Acts of a named person, copies that contradict, corrections of the registry and deliveries follow each other at
random; a model of a few lines keeps what is true. Judged are the octets that the far ends were sent, and the tally
against that of a store in which nothing but the truth was ever known.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.cli.results_correct import Changes, correct
from gateway.cli.results_enter import enter
from gateway.cli.results_form import Form
from gateway.clock import utc
from gateway.database import transaction
from gateway.reporting.documents.recording import add_document
from gateway.reporting.units import Statement
from gateway.result import Result
from gateway.server.configuration import Safety
from gateway.server.moving import move
from gateway.server.registry.corrections import correct_registry
from gateway.server.release import Choice, release
from gateway.server.retraction import restore, retract
from gateway.store import quarantine, results, tallies
from gateway.store.quarantine import Entry
from tests.unit.corrections.bureau import Bureau
from tests.unit.reporting.lint import lint, segments
from tests.unit.server.stage import NOW, reading, result

ZONES = {"pat": "America/Los_Angeles", "sam": "America/New_York"}
PROVIDERS = {"clinic-ehr": "C", "heart-ehr": "H"}
MEASURED = {1: "2026-02-09T07:30:00", 2: "2026-02-16T07:30:00", 3: "2026-02-23T07:30:00"}
BY_HAND = 4
HEART_TREATED_PAT_UNTIL = datetime(2026, 3, 10, 7, tzinfo=UTC)
NUMBERS = st.sampled_from([*MEASURED, BY_HAND])


@dataclass(frozen=True)
class Truth:
    """What is true of one test. `stated`: a person gave its time, which no zone changes."""

    patient: str
    taken_at: datetime
    inr: str
    lot: str
    stands: bool = True
    stated: bool = False
    attested: bool = True

    @property
    def told(self) -> tuple[str, str, str]:
        """INR, time and lot as HL7 has them."""
        local = self.taken_at.astimezone(ZoneInfo(ZONES[self.patient]))
        return self.inr, local.strftime("%Y%m%d%H%M%S%z"), self.lot


class Corrections(RuleBasedStateMachine):
    """The store, and the truth."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.bureau = Bureau(Path(self.folder.name))
        self.database = self.bureau.database
        self.owner = "pat"
        self.steps: dict[int, int] = dict.fromkeys([*MEASURED, BY_HAND], 0)
        self.truth: dict[int, Truth] = {}
        self.count = 0

    @initialize()
    def begin(self) -> None:
        assert self.bureau.measured(*MEASURED.values()) == [*MEASURED]
        form = Form("pat", "2.6", "2026-03-02T07:30", "ACME", "SN000123", "Ada", "on the phone")
        enter(self.database, form, NOW, Safety())
        for number, local in MEASURED.items():
            self.truth[number] = Truth("pat", self.resolved(local, "pat"), "2.5", "564636")
        self.truth[BY_HAND] = Truth("pat", datetime(2026, 3, 2, 15, 30, tzinfo=UTC), "2.6", "", stated=True)

    def resolved(self, local: str, patient: str) -> datetime:
        return datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(ZONES[patient])).astimezone(UTC)

    def now_true(self, number: int, **changes: Any) -> None:
        self.truth[number] = replace(self.truth[number], **changes)
        self.steps[number] += 1

    # ------------------------------------------------------------ what a person does

    @rule(number=NUMBERS)
    def take_back_or_restore(self, number: int) -> None:
        true = self.truth[number]
        if true.stands:
            retract(self.database, number, "Ada", "no valid test", NOW)
        else:
            restore(self.database, number, "Ada", "it was valid", NOW, Safety(), to=true.patient)
        self.now_true(number, stands=not true.stands)

    @rule(numbers=st.sets(NUMBERS, min_size=1))
    def move(self, numbers: set[int]) -> None:
        going = [number for number in sorted(numbers) if self.truth[number].stands]
        if not going:
            return
        to = "sam" if self.truth[going[0]].patient == "pat" else "pat"
        going = [number for number in going if self.truth[number].patient != to]
        move(self.database, going, to, "Ada", "used by the other", NOW)
        for number in going:
            attested = self.truth[number].attested and number != BY_HAND
            self.now_true(number, patient=to, attested=attested or self.has_statement(number, to))

    @rule(number=st.sampled_from([*MEASURED]), minutes=st.sampled_from([-90, -3, 45, 12 * 24 * 60]))
    def correct_the_time(self, number: int, minutes: int) -> None:
        true = self.truth[number]
        taken_at = true.taken_at + timedelta(minutes=minutes)
        if not true.stands or taken_at > NOW:
            return
        correct(self.database, number, Changes(taken_at=taken_at.isoformat()), "Ada", "wrong clock", NOW)
        self.now_true(number, taken_at=taken_at, stated=True)

    @rule(inr=st.sampled_from(["2.4", "2.6", "3.0"]), attest=st.booleans())
    def correct_the_entry(self, inr: str, attest: bool) -> None:
        true = self.truth[BY_HAND]
        if not true.stands or true.inr == inr:
            return
        self.count += 1
        changes = Changes(inr=inr, attestation=f"called again {self.count}" if attest else "", another=True)
        correct(self.database, BY_HAND, changes, "Ada", "misheard", NOW)
        self.now_true(BY_HAND, inr=inr, attested=attest)

    @rule()
    def correct_the_registry(self) -> None:
        before, self.owner = self.owner, "sam" if self.owner == "pat" else "pat"
        file = self.bureau.folder / "owner.toml"
        file.write_text(
            f'[[assignments]]\nvendor="ACME"\nserial="SN000123"\npatient="{self.owner}"\n'
            "from=2026-01-01T00:00:00-08:00\n"
        )
        correct_registry(self.database, [file], "Ada", "mixed up", NOW, Safety(), apply=True)
        for number, true in self.truth.items():
            if true.stands and true.patient == before:
                taken_at = true.taken_at if true.stated else self.resolved(MEASURED[number], self.owner)
                attested = number != BY_HAND or self.has_statement(number, self.owner)
                self.now_true(number, patient=self.owner, taken_at=taken_at, attested=attested)

    # ------------------------------------------------------------ what comes by itself

    @rule(number=st.sampled_from([*MEASURED]))
    def a_copy_contradicts(self, number: int) -> None:
        if quarantine.is_waiting(self.database, number):
            return
        self.count += 1
        lot = f"LOT{self.count}"
        self.bureau.stage.take(reading(100 + self.count, result(MEASURED[number], strip_lot=lot)))
        assert quarantine.is_waiting(self.database, number) == self.truth[number].stands

    @rule(number=st.sampled_from([*MEASURED]), oldest=st.booleans())
    def a_copy_comes_again(self, number: int, oldest: bool) -> None:
        rows = self.bureau.stage.rows("SELECT payload FROM reading WHERE result_id = ? ORDER BY id", number)
        before = self.bureau.stage.waiting()
        self.count += 1
        again = reading_of(rows[0 if oldest else -1]["payload"])
        self.bureau.stage.take(reading(100 + self.count, again))
        assert self.bureau.stage.waiting() == before

    @rule(newest=st.booleans())
    def decide(self, newest: bool) -> None:
        for entry in self.bureau.stage.waiting()[:1]:
            self.keep(entry, newest)

    def keep(self, entry: Entry, newest: bool) -> None:
        rows = self.bureau.stage.rows(
            "SELECT id, payload FROM reading WHERE result_id = ? ORDER BY id", entry.result_id
        )
        kept = rows[-1 if newest else 0]
        release(self.database, entry.id, "Ada", NOW, Choice(keep=kept["id"]), Safety())
        body = reading_of(kept["payload"])
        self.truth[entry.result_id or 0] = replace(self.truth[entry.result_id or 0], lot=body.strip_lot or "")

    @rule(some=st.sampled_from([(), ("clinic-ehr",), ("heart-ehr",), ("clinic-ehr", "heart-ehr")]))
    def deliver(self, some: tuple[str, ...]) -> None:
        if some:
            self.bureau.deliver(*some, at=NOW)
        else:
            self.bureau.queue()

    # ------------------------------------------------------------ what is judged

    @invariant()
    def every_act_stands_in_the_books(self) -> None:
        if not self.truth:
            return
        for number, steps in self.steps.items():
            acts = [each for each in self.bureau.decisions(number) if each[0] != "enter"]
            assert len(acts) == steps
            assert all(by == "Ada" and why for _act, by, why in acts)
            versions = self.bureau.stage.rows("SELECT version FROM version WHERE result_id = ? ORDER BY 1", number)
            assert [row[0] for row in versions] == list(range(1, len(versions) + 1))
        assert tallies.astray(self.database) == []

    def teardown(self) -> None:
        try:
            if self.truth:
                for entry in self.bureau.stage.waiting():
                    self.keep(entry, newest=True)
                self.bureau.deliver(at=NOW)
                self.judge()
        finally:
            self.bureau.close()
            self.folder.cleanup()

    def judge(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            fresh = Bureau(Path(folder))
            fill(fresh, self.truth)
            fresh.deliver(at=NOW)
            expected = charts(fresh)
            statements = {patient: fresh.statement(patient) for patient in ZONES}
            fresh.close()
        found = charts(self.bureau)
        for place, (status, told, messages) in found.items():
            destination, chart, number = place
            true = self.truth[number]
            is_here = true.stands and chart == f"{PROVIDERS[destination]}-{true.patient}"
            assert told == true.told or not is_here, place
            assert status == ("W" if not is_here else "F" if messages == 1 else "C"), place
        assert set(expected) <= set(found)
        assert not self.bureau.stage.waiting()
        assert not self.bureau.stage.rows("SELECT 1 FROM report WHERE state <> 'delivered'")
        for patient, statement in statements.items():
            theirs = {str(number) for number, true in self.truth.items() if true.stands and true.patient == patient}
            assert bare(self.bureau.statement(patient), theirs) == bare(statement, theirs)

    def has_statement(self, number: int, patient: str) -> bool:
        """Whether somebody stood for the entry when it was this patient's, and nothing was corrected since."""
        rows = self.bureau.stage.rows(
            "SELECT 1 FROM document d WHERE d.patient_id = ? AND d.result_id = ? AND d.voids = 0"
            " AND NOT EXISTS (SELECT 1 FROM document n WHERE n.supersedes = d.id)",
            patient,
            number,
        )
        return bool(rows)


def reading_of(payload: bytes) -> Result:
    from gateway.wire.reading import Reading

    found = Reading.model_validate_json(payload).result
    assert found is not None
    return found


def charts(bureau: Bureau) -> dict[tuple[str, str, int], tuple[str, tuple[str, str, str], int]]:
    """The last message about each test in each chart at each far end: OBX-11; INR, time, lot; of how many."""
    keys = {row["key"]: row["id"] for row in bureau.stage.rows("SELECT key, id FROM result")}
    rows = bureau.stage.rows(
        "SELECT r.destination_id, r.octets FROM report r JOIN evidence e ON e.report_id = r.id ORDER BY e.id"
    )
    found: dict[tuple[str, str, int], tuple[str, tuple[str, str, str], int]] = {}
    for destination, octets in rows:
        assert lint(octets) == []
        parts = segments(octets)
        chart = next(part for part in parts if part[0] == "PID")[3].split("^")[0]
        name = next(part for part in parts if part[0] == "OBR")[3].split("^")[0]
        value = next(part for part in parts if part[0] == "OBX")
        lots = [part[3].removeprefix("Strip lot ") for part in parts if part[3].startswith("Strip lot ")]
        number = keys[name.partition(".")[0]]
        place = (destination, chart, number)
        before = found[place][2] if place in found else 0
        found[place] = (value[11], (value[5], value[14], "".join(lots)), before + 1)
    return found


def fill(bureau: Bureau, truth: dict[int, Truth]) -> None:
    """A store that has only ever known the truth; numbers of results are the same."""
    for number, true in sorted(truth.items()):
        with transaction(bureau.database):
            local = true.taken_at.astimezone(ZoneInfo(ZONES[true.patient]))
            made = result(local.isoformat()[:19], true.inr, strip_lot=true.lot or None)
            identifier = results.insert(
                bureau.database,
                key=str(number) * 8,
                recipe=1,
                meter_key="acme/sn000123",
                kind="patient",
                inr=true.inr.removesuffix(".0"),
                device_time=local.isoformat(),
                at=utc(NOW),
            )
            assert identifier == number
            if not true.stands:
                continue
            version = results.NewVersion(
                version=1,
                status="final",
                body=made.model_dump_json(by_alias=True),
                origin="person" if number == BY_HAND else "meter",
                patient_id=true.patient,
                taken_at=utc(true.taken_at),
                uncertainty_s=60.0,
                quality="stated",
                zone=ZONES[true.patient],
                recorded_at=utc(NOW),
                why="test",
                reading_id=None,  # type: ignore[arg-type] # no reading stands behind it, as for an entry by hand
            )
            results.add_version(bureau.database, number, version)
        if number == BY_HAND and true.attested:
            statement = {"statement": "x", "attested_by": "Ada", "attested_at": utc(NOW), "result": number}
            add_document(bureau.database, "attestation", {"patient": true.patient, **statement}, "Ada", NOW)


def bare(statement: Statement, theirs: set[str]) -> tuple[object, ...]:
    """A statement without the flags that tell of corrections, and without what was taken back."""
    units = [unit._replace(review_flags=()) for unit in statement.units]
    refused = sorted(each for each in statement.not_covered if each.test in theirs)
    others = {each.reason for each in statement.not_covered if each.test not in theirs}
    assert others <= {"VOIDED"}
    return units, refused, statement.pending, statement.next_eligible, statement.missed_weeks


Corrections.TestCase.settings = settings(max_examples=20, stateful_step_count=15, deadline=None)
test_the_present_truth_is_what_everybody_was_told_last = Corrections.TestCase
