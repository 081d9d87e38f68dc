"""An import that corrects what is known: first it only shows, then it does everything in one commit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.corrections.bureau import Answer, Bureau

OWNER = '[[assignments]]\nvendor = "ACME"\nserial = "SN000123"\npatient = "{}"\nfrom = {}\n{}\n'
TO_SAM = OWNER.format("pat", "2026-01-01", "to = 2026-03-10") + OWNER.format("sam", "2026-03-10T00:00:00-07:00", "")
"""Given to sam on 10 March, and nobody wrote it down then."""
APPLY = ("--apply", "--by", "Ada", "--why", "the desk mixed up two boxes")


def written(bureau: Bureau, text: str) -> Path:
    file = bureau.folder / "correction.toml"
    file.write_text(text, encoding="utf-8")
    return file


def correct(bureau: Bureau, text: str, *words: str) -> Answer:
    said = bureau.typed("registry", "import", written(bureau, text), "--correct", *words)
    assert said.status == 0, said.err
    return said


def test_it_is_refused_then_shown_then_done(bureau: Bureau) -> None:
    early, one, two = bureau.measured("2026-03-09T07:30:00", "2026-03-11T07:30:00", "2026-03-12T07:30:00")
    bureau.deliver()
    before = bureau.everything()
    refused = bureau.typed("registry", "import", written(bureau, TO_SAM))
    assert (refused.status, "see what it would do with --correct" in refused.err) == (1, True)
    shown = correct(bureau, TO_SAM)
    assert "nothing was changed: 2 known results would be" in shown.out
    rows = [line.split() for line in shown.out.splitlines() if line[:1].isdigit()]
    assert [(row[0], row[2], row[3], row[5]) for row in rows] == [
        (str(one), "pat", "sam", "clinic-ehr"),
        (str(two), "pat", "sam", "clinic-ehr"),
    ]
    assert bureau.everything() == before
    done = correct(bureau, TO_SAM, *APPLY)
    assert "done: 2 known results corrected" in done.out
    bureau.deliver()
    assert bureau.charts("clinic-ehr") == {
        "C-pat": [("F", "2.5"), ("W", "2.5"), ("W", "2.5")],
        "C-sam": [("F", "2.5"), ("F", "2.5")],
    }
    assert bureau.why_not("sam", one) is None
    assert (bureau.why_not("pat", early), bureau.why_not("pat", one)) == (None, "VOIDED")
    assert bureau.decisions(one) == [
        ("re-attribute", "Ada", "from patient pat to patient sam: the desk mixed up two boxes")
    ]
    (act,) = bureau.stage.rows("SELECT by_name, note FROM decision WHERE act = 'registry correction'")
    assert act["by_name"] == "Ada"
    assert act["note"].startswith("the desk mixed up two boxes; assignments: 1 new, 1 changed")
    assert "0 known results would be" in correct(bureau, TO_SAM).out


def test_the_meters_time_is_read_in_the_zone_of_whose_it_is(bureau: Bureau) -> None:
    (number,) = bureau.measured("2026-03-12T07:30:00")
    (shown,) = [json.loads(line) for line in correct(bureau, TO_SAM, "--json").out.splitlines()]
    assert (shown["taken_at"], shown["becomes"]) == ("2026-03-12T14:30:00.000Z", "2026-03-12T11:30:00.000Z")
    correct(bureau, TO_SAM, *APPLY)
    (row,) = [row for row in bureau.listed() if row["id"] == number]
    assert (row["taken_at"], row["patient"]) == ("2026-03-12T11:30:00.000Z", "sam")


def test_where_nobody_fits_it_waits_and_goes_on_when_somebody_does(bureau: Bureau) -> None:
    (number,) = bureau.measured("2026-03-12T07:30:00")
    bureau.deliver()
    done = correct(bureau, OWNER.format("pat", "2026-01-01", "to = 2026-03-10"), *APPLY)
    assert "(quarantine)" in done.out
    (entry,) = bureau.stage.waiting()
    assert (entry.reason, entry.result_id) == ("unassigned_meter", number)
    bureau.deliver()
    assert bureau.charts("clinic-ehr") == {"C-pat": [("W", "2.5")]}
    bureau.stage.register(OWNER.format("sam", "2026-03-10T00:00:00-07:00", ""))
    bureau.stage.release(entry.id)
    bureau.deliver()
    assert bureau.charts("clinic-ehr") == {"C-pat": [("W", "2.5")], "C-sam": [("F", "2.5")]}
    assert bureau.versions(number) == [("final", "pat"), ("retracted", "pat"), ("final", "sam")]


def test_it_comes_back_as_a_correction_when_the_first_owner_was_right(bureau: Bureau) -> None:
    (number,) = bureau.measured("2026-03-12T07:30:00")
    bureau.deliver()
    correct(bureau, OWNER.format("pat", "2026-01-01", "to = 2026-03-10"), *APPLY)
    bureau.deliver()
    correct(bureau, OWNER.format("pat", "2026-01-01", ""), *APPLY)
    bureau.stage.release(bureau.stage.waiting()[0].id)
    bureau.deliver()
    assert bureau.charts("clinic-ehr") == {"C-pat": [("C", "2.5")]}
    assert [status for status, _ in bureau.versions(number)] == ["final", "retracted", "corrected"]


def test_a_persons_word_about_one_test_outlives_the_registrys(bureau: Bureau) -> None:
    one, two = bureau.measured("2026-03-11T07:30:00", "2026-03-12T07:30:00")
    bureau.stage.register(
        '[[patients]]\nid="kim"\nfamily_name="K"\ngiven_name="K"\nbirth_date=1950-01-01\nsex="U"\n'
        '[[zones]]\npatient="kim"\nfrom_date=2020-01-01\nzone="America/Denver"\n'
    )
    bureau.act("move", one, "--to", "kim")
    shown = correct(bureau, TO_SAM)
    assert "stays: a named person said whose it is" in shown.out
    assert "1 known results would be" in shown.out
    correct(bureau, TO_SAM, *APPLY)
    assert {row["id"]: row["patient"] for row in bureau.listed()} == {one: "kim", two: "sam"}


def test_a_zone_that_was_wrong_shifts_times_and_tells_whoever_was_told(bureau: Bureau) -> None:
    (number,) = bureau.measured("2026-03-12T07:30:00")
    bureau.deliver()
    told = next(iter(bureau.held("clinic-ehr").values()))
    assert told.taken_at == "20260312073000-0700"
    zone = '[[zones]]\npatient = "pat"\nfrom_date = 2026-03-01\nzone = "America/Denver"\n'
    assert "would be" in correct(bureau, zone).out
    correct(bureau, zone, *APPLY)
    bureau.deliver()
    told = next(iter(bureau.held("clinic-ehr").values()))
    assert (told.status, told.taken_at) == ("C", "20260312073000-0600")
    assert bureau.versions(number) == [("final", "pat"), ("corrected", "pat")]


def test_other_problems_are_named_and_nothing_is_done(bureau: Bureau) -> None:
    bureau.measured("2026-03-12T07:30:00")
    before = bureau.everything()
    text = TO_SAM + '[[zones]]\npatient = "ghost"\nfrom_date = 2026-03-01\nzone = "America/Denver"\n'
    said = bureau.typed("registry", "import", written(bureau, text), "--correct", *APPLY)
    assert (said.status, "ghost" in said.err) == (1, True)
    assert bureau.everything() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--apply",), "belong to --correct"),
        (("--correct", "--apply", "--by", "Ada"), "--apply needs --by NAME and --why TEXT"),
        (("--correct", "--apply", "--why", "x"), "--apply needs --by NAME and --why TEXT"),
    ],
)
def test_words_that_do_not_go_together(bureau: Bureau, words: tuple[str, ...], said: str) -> None:
    answer = bureau.typed("registry", "import", written(bureau, TO_SAM), *words)
    assert (answer.status, said in answer.err) == (2, True)
