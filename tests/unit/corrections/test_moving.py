"""Somebody else used the meter: the test leaves one chart and stands in another, whoever keeps the charts."""

from __future__ import annotations

import pytest

from gateway.server.copies import DecisionError
from gateway.server.moving import move
from gateway.store.claims import ClaimRow, freeze
from tests.unit.corrections.bureau import Bureau
from tests.unit.server.stage import NOW, reading, result


def test_it_is_withdrawn_here_and_reported_there_under_another_name(bureau: Bureau) -> None:
    (number,) = bureau.measured("2026-03-12T07:30:00")
    bureau.deliver()
    said = bureau.act("move", number, "--to", "sam", why="the spouse used it")
    assert "from patient pat to patient sam; as patient pat's it was reported to clinic-ehr" in said.out
    bureau.deliver()
    assert bureau.charts("clinic-ehr") == {"C-pat": [("W", "2.5")], "C-sam": [("F", "2.5")]}
    assert bureau.charts("heart-ehr") == {"H-sam": [("F", "2.5")]}
    names = {name for _patient, name in bureau.held("clinic-ehr")}
    assert len(names) == 2  # under one name a receiver would look for it in pat's chart
    assert bureau.why_not("pat", number) == "VOIDED"
    assert bureau.why_not("sam", number) is None
    assert bureau.decisions(number) == [("move", "Ada", "from patient pat to patient sam: the spouse used it")]


def test_there_and_back_again_corrects_the_first_chart(bureau: Bureau) -> None:
    (number,) = bureau.measured("2026-03-12T07:30:00")
    bureau.deliver()
    first = set(bureau.held("clinic-ehr"))
    for to in ("sam", "pat"):
        bureau.act("move", number, "--to", to)
        bureau.deliver()
    assert bureau.charts("clinic-ehr") == {"C-pat": [("C", "2.5")], "C-sam": [("W", "2.5")]}
    assert bureau.charts("heart-ehr") == {"H-sam": [("W", "2.5")]}
    assert first < set(bureau.held("clinic-ehr"))
    bureau.act("move", number, "--to", "sam")
    bureau.deliver()
    assert bureau.charts("heart-ehr") == {"H-sam": [("C", "2.5")]}
    assert len(bureau.held("clinic-ehr")) == 2


def test_there_and_back_before_anybody_was_told_is_a_first_report(bureau: Bureau) -> None:
    (number,) = bureau.measured("2026-03-12T07:30:00")
    bureau.act("move", number, "--to", "sam")
    bureau.deliver()
    bureau.act("move", number, "--to", "pat")
    bureau.deliver()
    assert bureau.charts("clinic-ehr") == {"C-sam": [("W", "2.5")], "C-pat": [("F", "2.5")]}


def test_the_time_stays_unless_it_is_given(bureau: Bureau) -> None:
    one, other = bureau.measured("2026-03-12T07:30:00", "2026-03-13T07:30:00")
    bureau.deliver()
    before = {row["id"]: row["taken_at"] for row in bureau.listed()}
    bureau.act("move", one, "--to", "sam")
    bureau.act("move", other, "--to", "sam", "--taken-at", "2026-03-13T06:00")  # sam's time, in New York
    after = {row["id"]: (row["taken_at"], row["quality"]) for row in bureau.listed()}
    assert after[one][0] == before[one]
    assert after[other] == ("2026-03-13T10:00:00.000Z", "stated")


def test_all_of_them_move_or_none(bureau: Bureau) -> None:
    numbers = bureau.measured(*(f"2026-03-{day:02}T07:30:00" for day in range(1, 6)))
    bureau.act("retract", numbers[3])
    before = bureau.everything()
    said = bureau.typed("results", "move", *numbers, "--to", "sam", "--by", "Ada", "--why", "x")
    assert said.status == 1
    assert f"result {numbers[3]} was taken back or dismissed" in said.err
    assert bureau.everything() == before
    bureau.act("move", *numbers[:3], numbers[4], "--to", "sam")
    assert {row["patient"] for row in bureau.listed() if row["id"] != numbers[3]} == {"sam"}


def test_a_claim_that_holds_the_test_is_named(bureau: Bureau) -> None:
    (number,) = bureau.measured("2026-03-12T07:30:00")
    bureau.deliver()
    row = ClaimRow(
        *("C-77", "pat", "G0249", "", 1, None, "2026-03-13", "2027-03-13", 100, "exported", "{}", "0" * 64),
        *(None, "Ada", "2026-03-13T00:00:00.000Z"),
    )
    freeze(bureau.database, row, [(str(number), "2026-03-12T14:30:00.000Z")], standing=True)
    assert "claim C-77 holds this test" in bureau.act("move", number, "--to", "sam").out
    (unit,) = bureau.statement("pat").units
    assert "CLAIMED_TEST_INVALIDATED" in unit.review_flags


def test_a_test_that_waits_because_nobody_fits_goes_to_whom_a_person_names(bureau: Bureau) -> None:
    (number,) = bureau.measured("2026-03-12T07:30:00")
    bureau.deliver()
    folder = bureau.folder / "gone.toml"
    folder.write_text(
        '[[assignments]]\nvendor="ACME"\nserial="SN000123"\npatient="pat"\nfrom=2026-01-01\nto=2026-03-01\n'
    )
    words = ("--correct", "--apply", "--by", "Ada", "--why", "returned")
    assert bureau.typed("registry", "import", folder, *words).status == 0
    assert bureau.stage.reasons() == ["unassigned_meter"]
    bureau.act("move", number, "--to", "sam")
    assert bureau.stage.reasons() == []
    bureau.deliver()
    assert bureau.charts("clinic-ehr") == {"C-pat": [("W", "2.5")], "C-sam": [("F", "2.5")]}


def test_an_open_contradiction_holds_the_new_report_back_and_not_the_retraction(bureau: Bureau) -> None:
    (number,) = bureau.measured("2026-03-12T07:30:00")
    bureau.deliver()
    bureau.stage.take(reading(9, result("2026-03-12T07:30:00", strip_lot="OTHER")))
    bureau.act("move", number, "--to", "sam")
    bureau.deliver()
    assert bureau.charts("clinic-ehr") == {"C-pat": [("W", "2.5")]}
    bureau.stage.release(bureau.stage.waiting()[0].id, keep=2)
    bureau.deliver()
    assert bureau.charts("clinic-ehr") == {"C-pat": [("W", "2.5")], "C-sam": [("F", "2.5")]}


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("pat", "is patient pat's already"),
        ("nobody", "there is no patient nobody; import the patient first"),
        ("zoneless", "patient zoneless has no zone of record"),
    ],
)
def test_whom_it_cannot_go_to(bureau: Bureau, to: str, said: str) -> None:
    (number,) = bureau.measured("2026-03-12T07:30:00")
    bureau.stage.register(
        '[[patients]]\nid="zoneless"\nfamily_name="Z"\ngiven_name="Z"\nbirth_date=1950-01-01\nsex="U"\n'
    )
    with pytest.raises(DecisionError, match=said):
        move(bureau.database, [number], to, "Ada", "because", NOW)


def test_whoever_nobody_treats_is_named(bureau: Bureau) -> None:
    bureau.stage.register(
        '[[patients]]\nid="kim"\nfamily_name="K"\ngiven_name="K"\nbirth_date=1950-01-01\nsex="U"\n'
        '[[zones]]\npatient="kim"\nfrom_date=2020-01-01\nzone="America/Denver"\n'
    )
    (number,) = bureau.measured("2026-03-12T07:30:00")
    assert "nobody treats patient kim at that time" in bureau.act("move", number, "--to", "kim").out
