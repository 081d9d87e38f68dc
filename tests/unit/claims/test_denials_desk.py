"""Denials as remittance files have them: several adjustments of one claim, and files out of spreadsheets."""

from __future__ import annotations

import pytest

from tests.unit.claims.desk import MONDAYS, Desk

HEADER = "claim_id,posted_on,status,group,carc,rarc,amount"


@pytest.fixture
def claim(desk: Desk) -> str:
    desk.patient()
    for taken in MONDAYS[:4]:
        desk.test("P1", taken)
    desk.units("sign", "P1", "1", "--by", "Bea")
    desk.units("export", "--to", str(desk.folder / "out"), "--by", "Eve")
    (row,) = desk.rows("claims")
    return str(row["claim"])


def post(desk: Desk, *lines: str, header: str = HEADER) -> tuple[int, str]:
    file = desk.folder / "era.csv"
    file.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    said = desk.units("denials", "import", str(file), "--by", "Dee")
    return said.code, said.out + said.err


@pytest.mark.parametrize("turned", [False, True])
def test_the_reason_for_a_denial_is_not_the_write_off_beside_it(desk: Desk, claim: str, turned: bool) -> None:
    rows = [f"{claim},2026-03-30,denied,CO,119,,100.00", f"{claim},2026-03-30,denied,CO,45,,23.45"]
    assert post(desk, *(rows[::-1] if turned else rows))[0] == 0
    (row,) = desk.rows("claims")
    assert (row["state"], row["cause"]) == ("denied", "frequency")
    (held,) = desk.rows("worklist", "held")
    assert (held["reason"], "CO-119" in held["words"]) == ("frequency", True)


def test_a_newer_denial_has_the_word(desk: Desk, claim: str) -> None:
    assert post(desk, f"{claim},2026-03-30,denied,CO,13,,123.45")[0] == 0
    assert post(desk, f"{claim},2026-03-20,denied,CO,119,,123.45")[0] == 0
    (row,) = desk.rows("claims")
    assert row["cause"] == "death"
    (held,) = desk.rows("worklist", "held")
    assert held["reason"] == "death"


@pytest.mark.parametrize(("separator", "word"), [(";", "semicolons"), ("\t", "tabs")])
def test_a_file_without_commas_is_told_so(desk: Desk, claim: str, separator: str, word: str) -> None:
    code, said = post(desk, claim, header=HEADER.replace(",", separator))
    assert code == 1
    assert said.endswith(f"era.csv:1: is separated by {word}; separate the cells by commas\n")
