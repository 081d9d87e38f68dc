"""The time of any test, the value of an entry by hand: corrected where it was told. A meter's value never is."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from gateway.result import Kind
from gateway.server.validation import understand
from gateway.wire.reading import Reading, Repetition
from tests.unit.corrections.bureau import Bureau
from tests.unit.server.stage import reading, result


def test_the_time_of_a_meters_test_is_corrected_and_its_octets_stay(bureau: Bureau) -> None:
    (number,) = bureau.measured("2026-03-12T07:30:00")
    bureau.deliver()
    before = bureau.stage.rows("SELECT * FROM reading")
    said = bureau.act("correct", number, "--taken-at", "2026-03-12T19:30", why="the clock was twelve hours off")
    assert (
        "was done at 2026-03-13T02:30:00.000Z, not at 2026-03-12T14:30:00.000Z; reported to clinic-ehr" in said.out
    )
    bureau.deliver()
    (told,) = bureau.held("clinic-ehr").values()
    assert told == ("C", "2.5", "20260312193000-0700")
    (row,) = bureau.listed()
    assert (row["quality"], row["uncertainty_s"], row["device_time"]) == ("stated", 60.0, "2026-03-12 07:30:00")
    assert bureau.stage.rows("SELECT * FROM reading") == before
    assert bureau.decisions(number)[0][:2] == ("correct", "Ada")


def test_by_the_corrected_time_another_provider_treats(bureau: Bureau) -> None:
    (number,) = bureau.measured("2026-03-12T07:30:00")  # heart treats pat no more
    bureau.deliver()
    bureau.act("correct", number, "--taken-at", "2026-03-08T07:30")
    bureau.deliver()
    assert bureau.charts("heart-ehr") == {"H-pat": [("F", "2.5")]}
    bureau.act("correct", number, "--taken-at", "2026-03-12T07:31")
    bureau.deliver()
    assert bureau.charts("heart-ehr") == {"H-pat": [("C", "2.5")]}
    assert bureau.charts("clinic-ehr") == {"C-pat": [("C", "2.5")]}


@pytest.mark.parametrize("option", ["--inr", "--meter", "--attest"])
def test_what_a_meter_measured_is_never_altered(bureau: Bureau, option: str) -> None:
    (number,) = bureau.measured("2026-03-12T07:30:00")
    before = bureau.everything()
    value = {"--inr": "2.6", "--meter": "ACME/SN000123", "--attest": "x"}[option]
    words = [option, value, "--taken-at", "2026-03-12T08:30"]
    said = bureau.typed("results", "correct", number, *words, "--by", "Ada", "--why", "x")
    assert said.status == 1
    assert "what a meter measured is never altered; if it is no valid test: 'results retract 1'" in said.err
    assert bureau.everything() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nothing is to be corrected"),
        (("--taken-at", "2026-03-12T07:30"), "stands with this time already"),
        (("--taken-at", "soon"), "is no time"),
        (("--taken-at", "2096-03-15T07:30"), "lies in the future"),
        (("--taken-at", "2025-12-24T07:30"), "at that time, the meter is assigned to nobody"),
    ],
)
def test_times_that_cannot_be(bureau: Bureau, words: tuple[str, ...], said: str) -> None:
    (number,) = bureau.measured("2026-03-12T07:30:00")
    before = bureau.everything()
    answer = bureau.typed("results", "correct", number, *words, "--by", "Ada", "--why", "x")
    assert (answer.status, said in answer.err) == (1, True), answer.err
    assert bureau.everything() == before


def test_a_time_at_which_the_meter_was_anothers_asks_whose_test_it_was(bureau: Bureau) -> None:
    (number,) = bureau.measured("2026-03-12T07:30:00")
    bureau.stage.register(
        '[[assignments]]\nvendor="ACME"\nserial="SN000123"\npatient="sam"\nfrom=2025-06-01\nto=2025-12-31\n'
    )
    answer = bureau.typed(
        "results", "correct", number, "--taken-at", "2025-12-01T07:30", "--by", "Ada", "--why", "x"
    )
    assert "at that time the meter was patient sam's" in answer.err
    assert f"results move {number} --to ID --taken-at TIME" in answer.err


def test_an_entry_is_corrected_counts_when_attested_anew_and_the_first_form_is_kept(bureau: Bureau) -> None:
    number = bureau.entered("2.6")
    bureau.deliver()
    assert bureau.why_not("pat", number) is None
    said = bureau.act("correct", number, "--inr", "2.9", why="misheard")
    assert "result 1 is corrected; reported to clinic-ehr" in said.out
    assert "not attested" in said.out
    bureau.deliver()
    assert bureau.charts("clinic-ehr") == {"C-pat": [("C", "2.9")]}
    assert bureau.why_not("pat", number) == "MANUAL_UNVERIFIED"
    bureau.act("correct", number, "--inr", ">8.0", "--attest", "called again", why="misheard again")
    bureau.deliver()
    assert bureau.charts("clinic-ehr") == {"C-pat": [("C", ">^8.0")]}
    assert bureau.why_not("pat", number) is None
    forms = []
    for row in bureau.stage.rows("SELECT payload FROM reading WHERE result_id = ? ORDER BY id", number):
        entry = understand(row["payload"])
        assert isinstance(entry, Reading)
        forms.append(json.loads(entry.octets))
    assert [form["inr"] for form in forms] == ["2.6", "2.9", ">8.0"]
    assert [form.get("why") for form in forms] == [None, "misheard", "misheard again"]
    assert [form["entered_by"] for form in forms] == ["Ada"] * 3
    assert bureau.stage.waiting() == []


def test_the_time_and_the_meter_of_an_entry_are_corrected_too(bureau: Bureau) -> None:
    bureau.stage.register(
        '[[meters]]\nvendor="ACME"\nserial="SN9"\n'
        '[[assignments]]\nvendor="ACME"\nserial="SN9"\npatient="pat"\nfrom=2026-01-01\n'
    )
    number = bureau.entered()
    bureau.deliver()
    bureau.act("correct", number, "--taken-at", "2026-03-10T08:00", "--meter", "ACME/SN9")
    bureau.deliver()
    (told,) = bureau.held("clinic-ehr").values()
    assert told == ("C", "2.6", "20260310080000-0700")
    (row,) = bureau.listed()
    assert (row["meter"], row["device_time"]) == ("acme/sn9", "2026-03-10 08:00:00")


def test_an_entry_of_a_test_that_the_meter_sent_meanwhile_is_taken_back_instead(bureau: Bureau) -> None:
    number = bureau.entered("2.6", "2026-03-11T07:30")
    (measured,) = bureau.measured("2026-03-11T07:30:00", inr="2.9")
    assert measured != number
    answer = bureau.typed("results", "correct", number, "--inr", "2.9", "--by", "Ada", "--why", "x")
    assert f"result {measured} is this very test; take this one back: 'results retract {number}'" in answer.err
    (later,) = bureau.measured("2026-03-11T08:30:00", inr="3.1")
    answer = bureau.typed("results", "correct", number, "--inr", "3.1", "--by", "Ada", "--why", "x")
    assert f"result {later} has the same value, less than two hours apart" in answer.err
    bureau.act("correct", number, "--inr", "3.1", "--another")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--inr", "2.60"), "says this already"),
        (("--inr", "99"), "is no INR"),
        (("--meter", "ACME"), "is no meter"),
        (("--meter", "ACME/NONE"), "is not registered"),
        (("--taken-at", "2025-12-01T07:30"), "the meter is assigned to nobody"),
    ],
)
def test_corrections_of_an_entry_that_cannot_be(bureau: Bureau, words: tuple[str, ...], said: str) -> None:
    number = bureau.entered("2.6")
    before = bureau.everything()
    answer = bureau.typed("results", "correct", number, *words, "--by", "Ada", "--why", "x")
    assert (answer.status, said in answer.err) == (1, True), answer.err
    assert bureau.everything() == before


def test_entering_a_test_again_that_was_taken_back_or_corrected_is_refused(bureau: Bureau) -> None:
    number = bureau.entered("2.6")
    words = ("--patient", "pat", "--taken-at", "2026-03-11T07:30", "--meter", "ACME/SN000123", "--by", "Ada")
    bureau.act("correct", number, "--inr", "2.9")
    assert "its value was corrected since" in bureau.typed("results", "enter", "--inr", "2.6", *words).err
    bureau.act("correct", number, "--inr", "2.6")
    bureau.act("retract", number)
    assert "was taken back; see 'results restore" in bureau.typed("results", "enter", "--inr", "2.6", *words).err


def test_a_moved_entry_can_still_be_corrected(bureau: Bureau) -> None:
    number = bureau.entered("2.6")
    moved = bureau.act("move", number, "--to", "sam").out
    assert "what document 1 says of it stays patient pat's" in moved
    bureau.deliver()
    bureau.act("correct", number, "--inr", "2.9", "--attest", "sam said so")
    bureau.deliver()
    assert bureau.charts("heart-ehr") == {"H-sam": [("C", "2.9")]}
    assert bureau.why_not("sam", number) is None


# ---------------------------------------------------------------- corrections that come by themselves


def test_a_late_copy_that_holds_reaches_also_who_treats_no_more(bureau: Bureau) -> None:
    (number,) = bureau.measured("2026-03-09T07:30:00")
    bureau.deliver()
    bureau.stage.register(
        '[[treatments]]\npatient="pat"\nprovider="clinic"\nprovider_patient_id="C-pat"\nfrom=2026-01-01\nto=2026-02-01\n'
    )
    bureau.stage.take(reading(9, result("2026-03-09T07:30:00", strip_lot="OTHER")))
    bureau.stage.release(bureau.stage.waiting()[0].id, keep=2)
    bureau.deliver()
    assert bureau.charts("clinic-ehr") == {"C-pat": [("C", "2.5")]}
    assert bureau.charts("heart-ehr") == {"H-pat": [("C", "2.5")]}
    assert [status for status, _ in bureau.versions(number)] == ["final", "corrected"]


def test_the_copy_that_a_person_kept_holds_also_if_it_was_nobodys_then(bureau: Bureau) -> None:
    never = "2000-01-01T00:05:00"
    bureau.stage.take(
        reading(1, result(never, "2.5"), repetition=Repetition()),
        reading(2, result(never, "3.5"), repetition=Repetition(of=1)),
    )
    waiting = {entry.reason: entry.id for entry in bureau.stage.waiting()}
    bureau.stage.release(waiting["conflict"], keep=2)
    bureau.stage.release(waiting["time_unknown"], taken_at=datetime(2026, 3, 12, 14, 30, tzinfo=UTC))
    bureau.deliver()
    assert bureau.charts("clinic-ehr") == {"C-pat": [("F", "3.5")]}


def test_a_report_that_cannot_be_made_elsewhere_does_not_stop_a_late_retraction(bureau: Bureau) -> None:
    bureau.measured("2026-03-09T07:30:00")
    bureau.database.execute("UPDATE treatment SET provider_patient_id = ' ' WHERE provider_id = 'heart'")
    bureau.deliver()
    bureau.stage.take(reading(9, result("2026-03-09T07:30:00", kind=Kind.CONTROL)))
    waiting = {entry.reason: entry.id for entry in bureau.stage.waiting()}
    assert set(waiting) == {"unreportable", "conflict"}
    bureau.stage.release(waiting["conflict"], keep=2)
    bureau.deliver()
    assert bureau.charts("clinic-ehr") == {"C-pat": [("W", "2.5")]}
