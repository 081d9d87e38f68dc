"""Void and replacement after a late correction."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.unit.claims.desk import MONDAYS, Desk


@pytest.fixture
def claimed(desk: Desk) -> tuple[Desk, list[int], str]:
    """A desk, its patient's four tests, and the claim on them."""
    desk.patient()
    tests = [desk.test("P1", taken) for taken in MONDAYS[:4]]
    assert desk.units("sign", "P1", "1", "--by", "Bea").code == 0
    assert desk.units("export", "--to", str(desk.folder / "out"), "--by", "Bea").code == 0
    return desk, tests, desk.rows("claims")[0]["claim"]


def statement(desk: Desk) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(desk.units("statement", "P1", "--json").out)
    return found


def export(desk: Desk) -> list[dict[str, Any]]:
    assert desk.units("export", "--to", str(desk.folder / "out"), "--by", "Eve").code == 0
    found: list[dict[str, Any]] = json.loads((desk.folder / "out" / "claims.json").read_text())["claims"]
    return found


def test_a_correction_after_the_claim_flags_it_and_rebuilds_nothing(
    claimed: tuple[Desk, list[int], str],
) -> None:
    desk, tests, _ = claimed
    desk.retract(tests[2], "P1", MONDAYS[2])
    desk.test("P1", MONDAYS[4])
    (unit,) = statement(desk)["units"]
    assert (unit["status"], unit["review_flags"]) == ("claimed", ["CLAIMED_TEST_INVALIDATED"])
    (held,) = desk.rows("worklist", "held")
    assert (held["what"], held["reason"]) == ("unit 1", "CLAIMED_TEST_INVALIDATED")


def test_a_void_frees_the_tests_and_stands_in_the_next_export(claimed: tuple[Desk, list[int], str]) -> None:
    desk, tests, claim = claimed
    desk.retract(tests[2], "P1", MONDAYS[2])
    said = desk.units("void", claim, "--by", "Bea", "--note", "result of another person")
    assert said.code == 0
    (void,) = export(desk)
    assert (void["frequency_code"], void["follows"], void["charge_cents"]) == ("8", claim, 12345)
    assert {row["claim"]: row["state"] for row in desk.rows("claims")} == {
        claim: "void",
        void["claim_id"]: "exported",
    }
    after = statement(desk)
    assert after["units"] == []
    assert len(after["pending"]) == 3


def test_a_unit_claimed_anew_after_a_void_has_another_id(claimed: tuple[Desk, list[int], str]) -> None:
    desk, _, claim = claimed
    desk.units("void", claim, "--by", "Bea", "--note", "voided by mistake")
    assert desk.units("sign", "P1", "1", "--by", "Bea").code == 0
    claims = export(desk)
    assert [each["frequency_code"] for each in claims] == ["1", "8"]
    assert claim not in {each["claim_id"] for each in claims}
    assert export(desk) == claims


def test_a_replacement_takes_the_place_of_a_claim(claimed: tuple[Desk, list[int], str]) -> None:
    desk, tests, claim = claimed
    desk.correct(tests[1], "P1", MONDAYS[1], inr="3.1")
    first = desk.units("replace", claim, "--by", "Bea", "--note", "corrected value")
    assert first.code == 1
    accepted = re.findall(r"--accept (\w+)", first.err)
    assert "CORRECTED_RESULT" in accepted
    words = [word for flag in accepted for word in ("--accept", flag)]
    said = desk.units("replace", claim, "--by", "Bea", "--note", "corrected value", *words)
    assert said.code == 0, said.err
    (replacement,) = export(desk)
    assert (replacement["frequency_code"], replacement["follows"]) == ("7", claim)
    assert [test["inr"] for test in replacement["tests"]] == ["2.5", "3.1", "2.5", "2.5"]
    assert {row["claim"]: row["state"] for row in desk.rows("claims")}[claim] == "replaced"
    assert [unit["status"] for unit in statement(desk)["units"]] == ["claimed"]


@pytest.mark.parametrize("action", ["void", "replace"])
def test_refusals_change_nothing(claimed: tuple[Desk, list[int], str], action: str) -> None:
    desk, _, claim = claimed
    before = desk.rows("claims")
    unknown = desk.units(action, "0" * 20, "--by", "Bea", "--note", "why")
    assert unknown.code == 1
    assert "there is no claim" in unknown.err
    blank = desk.units(action, claim, "--by", "Bea", "--note", "  ")
    assert blank.code == 1
    assert "say why" in blank.err
    assert desk.units(action, claim, "--by", "Bea").code == 2
    desk.restored()
    assert "reconcile" in desk.units(action, claim, "--by", "Bea", "--note", "why").err
    assert desk.rows("claims") == before


def test_an_unchanged_unit_replaces_nothing(claimed: tuple[Desk, list[int], str]) -> None:
    desk, _, claim = claimed
    said = desk.units("replace", claim, "--by", "Bea", "--note", "why")
    assert said.code == 1
    assert "unchanged" in said.err


def test_what_is_void_is_done_with(claimed: tuple[Desk, list[int], str]) -> None:
    desk, _, claim = claimed
    desk.units("void", claim, "--by", "Bea", "--note", "why")
    again = desk.units("void", claim, "--by", "Bea", "--note", "why")
    assert again.code == 1
    assert "void already" in again.err
    void = next(row["claim"] for row in desk.rows("claims") if row["frequency"] == 8)
    assert "itself voids" in desk.units("void", void, "--by", "Bea", "--note", "why").err


def test_a_claim_whose_tests_make_no_unit_is_voided_not_replaced(claimed: tuple[Desk, list[int], str]) -> None:
    desk, tests, claim = claimed
    desk.retract(tests[2], "P1", MONDAYS[2])
    said = desk.units("replace", claim, "--by", "Bea", "--note", "why")
    assert said.code == 1
    assert "void it" in said.err
    assert [row["state"] for row in desk.rows("claims")] == ["exported"]


def test_a_test_is_held_by_one_claim(claimed: tuple[Desk, list[int], str]) -> None:
    desk, tests, claim = claimed
    with pytest.raises(Exception, match="UNIQUE"):
        desk.write(
            "INSERT INTO claim_test VALUES (?, 9, 'P1', 'G0249', ?, '2026-02-02T15:00:00+00:00', 1)",
            claim,
            str(tests[0]),
        )
