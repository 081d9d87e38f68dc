"""What the payer answered about eligibility stands before every signature and every export."""

from __future__ import annotations

import pytest

from tests.unit.claims.desk import MONDAYS, Desk


@pytest.fixture
def unit(desk: Desk) -> Desk:
    desk.patient()
    for taken in MONDAYS[:4]:
        desk.test("P1", taken)
    return desk


def test_nothing_is_signed_against_the_payers_own_answer(unit: Desk) -> None:
    paper = unit.paper("P1", "eligibility", checked_on="2026-03-28", payer="ma_plan_x", from_="2026-01-01")
    assert paper
    said = unit.units("sign", "P1", "1", "--by", "Bea")
    assert (said.code, "ma_plan_x from 2026-01-01, where medicare_ffs is on record" in said.err) == (1, True)
    unit.paper("P1", "eligibility", checked_on="2026-03-29", payer="medicare_ffs")
    assert unit.units("sign", "P1", "1", "--by", "Bea").code == 0


def test_nothing_signed_is_exported_against_a_later_answer(unit: Desk) -> None:
    assert unit.units("sign", "P1", "1", "--by", "Bea").code == 0
    unit.paper("P1", "eligibility", checked_on="2026-03-28", payer="medicare_ffs", died_on="2026-03-01")
    said = unit.units("export", "--to", str(unit.folder / "out"), "--by", "Eve")
    assert said.code == 1
    assert (
        "patient P1: the unit of 2026-03-02 is signed, but asked on 2026-03-28: died on 2026-03-01, which"
        in said.err
    )
    assert unit.value("SELECT count(*) FROM claim") == 0
    unit.paper("P1", "eligibility", checked_on="2026-03-28", payer="medicare_ffs")
    assert unit.units("export", "--to", str(unit.folder / "out"), "--by", "Eve").code == 0
    assert unit.value("SELECT count(*) FROM claim") == 1


def test_a_part_signed_before_the_whole_is_told_what_it_costs(desk: Desk) -> None:
    desk.patient()
    for taken in MONDAYS[:6]:
        desk.test("P1", taken)
    desk.paper("P1", "event", type="withdrawn", date="2026-03-20")
    flag = ["--accept", "WITHIN_28_DAYS_OF_PREVIOUS_DOS"]
    warning = "note: unit 1 is not signed; claimed after this one it would get a later date"
    assert warning in desk.units("sign", "P1", "2", "--by", "Bea", *flag).out
    assert desk.units("sign", "P1", "1", "--by", "Bea").code == 0
    assert warning not in desk.units("sign", "P1", "2", "--by", "Bea", *flag).out
