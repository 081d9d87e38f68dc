"""Taking a result back, and having it stand again: everybody who was told hears of it, and nothing is deleted."""

from __future__ import annotations

import pytest

from gateway.result import Kind
from gateway.store import quarantine
from tests.unit.corrections.bureau import Bureau
from tests.unit.reporting.lint import lint
from tests.unit.server.stage import reading, result


def test_it_is_withdrawn_wherever_it_was_told_and_counts_no_more(bureau: Bureau) -> None:
    (number,) = bureau.measured("2026-03-09T07:30:00")
    bureau.deliver()
    bureau.stage.register(
        '[[treatments]]\npatient="pat"\nprovider="clinic"\nprovider_patient_id="C-pat"\nfrom=2026-01-01\nto=2026-02-01\n'
    )
    assert bureau.why_not("pat", number) is None
    said = bureau.act("retract", number, why="a neighbour tried the meter")
    assert "reported to clinic-ehr, heart-ehr" in said.out
    bureau.deliver()
    for destination, name in (("clinic-ehr", "C-pat"), ("heart-ehr", "H-pat")):
        assert bureau.charts(destination) == {name: [("W", "2.5")]}
    assert [lint(row[0]) for row in bureau.stage.rows("SELECT octets FROM report")] == [[]] * 4
    assert bureau.why_not("pat", number) == "VOIDED"
    assert bureau.versions(number) == [("final", "pat"), ("retracted", "pat")]
    assert bureau.decisions(number) == [("retract", "Ada", "a neighbour tried the meter")]


def test_what_nobody_was_told_of_is_told_to_nobody(bureau: Bureau) -> None:
    (number,) = bureau.measured("2026-03-09T07:30:00")
    assert "not reported yet" in bureau.act("retract", number).out
    bureau.deliver()
    assert bureau.charts("clinic-ehr") == {}


def test_the_retraction_waits_for_the_answer_to_the_first(bureau: Bureau) -> None:
    (number,) = bureau.measured("2026-03-12T07:30:00")
    bureau.queue()
    bureau.act("retract", number)
    bureau.queue()
    rows = bureau.stage.rows("SELECT version, state FROM report ORDER BY id")
    assert [tuple(row) for row in rows] == [(1, "waiting"), (2, "waiting")]
    bureau.deliver()
    order = bureau.stage.rows("SELECT r.version FROM evidence e JOIN report r ON r.id = e.report_id ORDER BY e.id")
    assert [row[0] for row in order] == [1, 2]


def test_it_stands_again_as_it_was(bureau: Bureau) -> None:
    (number,) = bureau.measured("2026-03-09T07:30:00")
    bureau.deliver()
    bureau.act("retract", number)
    bureau.deliver()
    bureau.act("restore", number, why="it was pat after all")
    bureau.deliver()
    assert bureau.charts("heart-ehr") == {"H-pat": [("C", "2.5")]}
    assert bureau.why_not("pat", number) is None
    assert [status for status, _ in bureau.versions(number)] == ["final", "retracted", "corrected"]
    assert bureau.decisions(number)[1] == ("restore", "Ada", "it was pat after all")
    assert bureau.listed()[0]["dismissed"] is None


def test_a_retraction_passes_an_open_quarantine_and_answers_it(bureau: Bureau) -> None:
    (number,) = bureau.measured("2026-03-12T07:30:00")
    bureau.deliver()
    bureau.stage.take(reading(9, result("2026-03-12T07:30:00", strip_lot="OTHER")))
    assert bureau.stage.reasons() == ["conflict"]
    bureau.act("retract", number)
    assert bureau.stage.reasons() == []
    bureau.deliver()
    assert bureau.charts("clinic-ehr") == {"C-pat": [("W", "2.5")]}
    bureau.stage.take(reading(10, result("2026-03-12T07:30:00", strip_lot="A THIRD")))
    assert bureau.stage.reasons() == []
    bureau.act("restore", number)
    bureau.deliver()
    assert bureau.charts("clinic-ehr") == {"C-pat": [("C", "2.5")]}
    bureau.stage.take(reading(11, result("2026-03-12T07:30:00", strip_lot="A FOURTH")))
    assert bureau.stage.reasons() == ["conflict"]


def test_dismissing_what_was_reported_takes_it_back(bureau: Bureau) -> None:
    (number,) = bureau.measured("2026-03-12T07:30:00")
    bureau.deliver()
    bureau.stage.take(reading(9, result("2026-03-12T07:30:00", strip_lot="OTHER")))
    (entry,) = bureau.stage.waiting()
    said = bureau.typed("quarantine", "dismiss", entry.id, "--by", "Ada", "--note", "both are nonsense")
    assert (said.status, "result 1 is taken back from patient pat; reported to clinic-ehr" in said.out) == (0, True)
    bureau.deliver()
    assert bureau.charts("clinic-ehr") == {"C-pat": [("W", "2.5")]}
    assert bureau.decisions(number) == [("retract", "Ada", "both are nonsense")]
    bureau.act("restore", number)
    bureau.deliver()
    assert bureau.charts("clinic-ehr") == {"C-pat": [("C", "2.5")]}


def test_a_retraction_that_cannot_be_reported_is_not_dismissed(bureau: Bureau) -> None:
    (number,) = bureau.measured("2026-03-12T07:30:00")
    bureau.deliver()
    bureau.database.execute("UPDATE treatment SET provider_patient_id = ' '")
    bureau.act("retract", number)
    bureau.queue()
    (entry,) = bureau.stage.waiting()
    assert entry.reason == "unreportable"
    said = bureau.typed("quarantine", "dismiss", entry.id, "--by", "Ada", "--note", "away with it")
    assert said.status == 1
    assert "holds back a retraction" in said.err
    bureau.database.execute("UPDATE treatment SET provider_patient_id = 'C-pat'")
    bureau.stage.release(entry.id)
    bureau.deliver()
    assert bureau.charts("clinic-ehr") == {"C-pat": [("W", "2.5")]}


def test_a_report_that_cannot_be_made_elsewhere_does_not_stop_a_retraction(bureau: Bureau) -> None:
    (number,) = bureau.measured("2026-03-09T07:30:00")
    bureau.database.execute("UPDATE treatment SET provider_patient_id = ' ' WHERE provider_id = 'heart'")
    bureau.deliver()
    (entry,) = bureau.stage.waiting()
    assert entry.reason == "unreportable"
    said = bureau.typed("quarantine", "dismiss", entry.id, "--by", "Ada", "--note", "not to heart, then")
    assert (said.status, "to take the result back: 'results retract 1'" in said.err) == (1, True)
    bureau.act("retract", number)
    bureau.deliver()
    assert bureau.charts("clinic-ehr") == {"C-pat": [("W", "2.5")]}
    assert bureau.stage.reasons() == []


def test_what_was_dismissed_before_it_was_anybodys_can_be_restored(bureau: Bureau) -> None:
    bureau.stage.take(reading(1, result("2025-12-01T07:30:00")))  # before the assignment
    (entry,) = bureau.stage.waiting()
    assert bureau.typed("quarantine", "dismiss", entry.id, "--by", "Ada", "--note", "a demonstration").status == 0
    assert "waits in quarantine 2" in bureau.act("restore", 1).out
    (again,) = bureau.stage.waiting()
    assert (again.id, again.reason) == (2, "unassigned_meter")


def test_after_the_registry_changed_somebody_says_whose_it_is(bureau: Bureau) -> None:
    (number,) = bureau.measured("2026-03-12T07:30:00")
    bureau.deliver()
    bureau.act("retract", number)
    bureau.stage.register(
        '[[assignments]]\nvendor="ACME"\nserial="SN000123"\npatient="pat"\nfrom=2026-01-01\nto=2026-03-11\n'
        '[[assignments]]\nvendor="ACME"\nserial="SN000123"\npatient="sam"\nfrom=2026-03-11T03:00:00-07:00\n'
    )
    refused = bureau.typed("results", "restore", number, "--by", "Ada", "--why", "sam's")
    assert refused.status == 1
    assert "by today's registry it is patient sam's; say whose test it is with --to" in refused.err
    bureau.act("restore", number, "--to", "sam")
    bureau.deliver()
    assert bureau.charts("clinic-ehr") == {"C-pat": [("W", "2.5")], "C-sam": [("F", "2.5")]}
    assert bureau.charts("heart-ehr") == {"H-sam": [("F", "2.5")]}


@pytest.mark.parametrize(
    ("words", "why", "said"),
    [
        (("retract", 9), "x", "result 9: no such result"),
        (("retract", 1), " ", "--why needs the reason"),
        (("restore", 1), "x", "was not taken back: it stands in version 1"),
        (("restore", 9), "x", "result 9: no such result"),
        (("retract", 2), "x", "it waits in quarantine 1; decide there"),
        (("restore", 2), "x", "result 2 waits in quarantine 1; decide there"),
        (("retract", 3), "x", "has kind control"),
        (("restore", 3), "x", "has kind control"),
    ],
)
def test_what_cannot_be_done_says_why_and_changes_nothing(
    bureau: Bureau, words: tuple[object, ...], why: str, said: str
) -> None:
    bureau.measured("2026-03-12T07:30:00")
    bureau.stage.take(reading(2, result("2025-12-01T07:30:00")))
    bureau.stage.take(reading(3, result("2026-03-12T08:30:00", kind=Kind.CONTROL)))
    before = bureau.everything()
    refused = bureau.typed("results", *words, "--by", "Ada", "--why", why)
    assert (refused.status, said in refused.err, "nothing was changed" in refused.err) == (1, True, True), (
        refused.err
    )
    assert bureau.everything() == before


def test_twice_is_refused(bureau: Bureau) -> None:
    (number,) = bureau.measured("2026-03-12T07:30:00")
    bureau.act("retract", number)
    again = bureau.typed("results", "retract", number, "--by", "Ada", "--why", "x")
    assert "was taken back already, in version 2" in again.err
    bureau.act("restore", number)
    again = bureau.typed("results", "restore", number, "--by", "Ada", "--why", "x")
    assert "it stands in version 3" in again.err


def test_what_was_kept_as_a_control_has_nothing_to_restore(bureau: Bureau) -> None:
    (number,) = bureau.measured("2026-03-12T07:30:00")
    bureau.stage.take(reading(9, result("2026-03-12T07:30:00", kind=Kind.CONTROL)))
    bureau.stage.release(bureau.stage.waiting()[0].id, keep=2)
    said = bureau.typed("results", "restore", number, "--by", "Ada", "--why", "x")
    assert "found to be of kind control" in said.err
    assert not quarantine.dismissed(bureau.database, number)
