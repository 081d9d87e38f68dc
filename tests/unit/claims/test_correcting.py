"""Void and replacement after a late correction."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import Any

import pytest

from gateway.database import transaction
from gateway.reporting.documents.recording import supersede_document, void_document
from tests.unit.claims.desk import MONDAYS, PRICES, Desk


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
    desk, tests, claim = claimed
    desk.retract(tests[2], "P1", MONDAYS[2])
    desk.test("P1", MONDAYS[4])
    (unit,) = statement(desk)["units"]
    assert (unit["status"], unit["review_flags"]) == ("claimed", ["CLAIMED_TEST_INVALIDATED"])
    (held,) = desk.rows("worklist", "held")
    assert (held["what"], held["reason"]) == (f"claim {claim}", "CLAIMED_TEST_INVALIDATED")


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


def test_a_signature_older_than_a_voided_claim_makes_no_claim_again(desk: Desk) -> None:
    desk.patient()
    for taken in MONDAYS[:4]:
        desk.test("P1", taken)
    desk.paper("P1", "diagnosis", codes=["I48.20"], from_="2025-01-01", evidence="letter")
    assert desk.units("sign", "P1", "1", "--by", "Bea").code == 0
    later = desk.paper("P1", "diagnosis", codes=["I48.21"], from_="2025-01-01", evidence="letter")
    assert desk.units("sign", "P1", "1", "--by", "Bea").code == 0
    (claim,) = export(desk)
    assert desk.units("void", claim["claim_id"], "--by", "Bea", "--note", "not to be billed").code == 0
    void_document(desk.database, later, "Ada", desk.now, "misread")  # now the unit is what was signed first
    assert [each["frequency_code"] for each in export(desk)] == ["8"]
    (ready,) = desk.rows("worklist", "ready")
    assert ready["signed_by"] == ""
    assert "is signed by Ann" in desk.units("sign", "P1", "1", "--by", "Ann").out
    assert [each["signed_by"] for each in export(desk) if each["frequency_code"] == "1"] == ["Ann"]


def test_no_claim_is_replaced_by_another_payers(claimed: tuple[Desk, list[int], str]) -> None:
    desk, _, claim = claimed
    desk.paper("P1", "coverage", payer="ma_plan_ma05.016", mac="", from_="2025-01-01")
    said = desk.units("replace", claim, "--by", "Bea", "--note", "in a plan all the time")
    assert said.code == 1
    assert "made for medicare_ffs noridian, and its tests are ma_plan_ma05.016's now" in said.err
    assert desk.units("void", claim, "--by", "Bea", "--note", "in a plan all the time").code == 0
    assert desk.units("sign", "P1", "1", "--by", "Bea").code == 0
    assert sorted((each["frequency_code"], each["payer"]) for each in export(desk)) == [
        ("1", "ma_plan_ma05.016"),
        ("8", "medicare_ffs"),
    ]


def test_a_claim_with_a_wrong_price_is_replaced_by_the_same_unit(claimed: tuple[Desk, list[int], str]) -> None:
    desk, _, claim = claimed
    (desk.folder / "prices.toml").write_text(PRICES.replace("12345", "12500"), encoding="utf-8")
    said = desk.units("replace", claim, "--by", "Bea", "--note", "wrong price")
    assert said.code == 0, said.err
    (replacement,) = export(desk)
    assert (replacement["frequency_code"], replacement["charge_cents"]) == ("7", 12500)
    said = desk.units("replace", replacement["claim_id"], "--by", "Bea", "--note", "once more")
    assert "unchanged" in said.err


def test_a_claim_that_names_a_wrong_orderer_is_replaced_by_the_same_unit(desk: Desk) -> None:
    desk.patient()
    for taken in MONDAYS[:4]:
        desk.test("P1", taken)
    order = desk.paper("P1", "order", signed_on="2026-01-10", practitioner="Dr. Roe")
    assert desk.units("sign", "P1", "1", "--by", "Bea").code == 0
    (claim,) = export(desk)
    words = ("replace", claim["claim_id"], "--by", "Bea", "--note", "another orderer")
    assert "unchanged" in desk.units(*words).err
    supersede_document(desk.database, order, {"practitioner": "Dr. Poe"}, "Ada", desk.now)
    assert desk.units(*words).code == 0
    (replacement,) = export(desk)
    assert replacement["frequency_code"] == "7"
    assert "unchanged" in desk.units("replace", replacement["claim_id"], *words[2:]).err


def moved(desk: Desk, result: int, to: str, taken: dt.datetime) -> None:
    """A result goes from P1 to another patient, and is reported there."""
    desk.retract(result, "P1", taken)
    with transaction(desk.database):
        number = desk._version(result, to, "final", taken, "2.5")
        desk._report(result, number, taken, dt.timedelta(minutes=5), dt.timedelta(minutes=6))


def test_a_test_that_went_to_another_patient_is_claimed_there_only_when_the_first_claim_has_gone(
    claimed: tuple[Desk, list[int], str],
) -> None:
    desk, tests, claim = claimed
    desk.patient("P2")
    for taken in MONDAYS[1:4]:
        desk.test("P2", taken)
    moved(desk, tests[0], "P2", MONDAYS[0])
    said = desk.units("sign", "P2", "1", "--by", "Bea")
    assert said.code == 1
    assert f"claim {claim} of patient P1 holds a test of it" in said.err
    assert desk.units("void", claim, "--by", "Bea", "--note", "not P1's test").code == 0
    assert desk.units("sign", "P2", "1", "--by", "Bea").code == 0
    assert {(each["patient"], each["frequency_code"]) for each in export(desk)} == {("P1", "8"), ("P2", "1")}


def test_what_was_signed_before_the_test_came_waits_without_holding_up_others(
    claimed: tuple[Desk, list[int], str],
) -> None:
    desk, tests, claim = claimed
    later = [desk.test("P1", taken) for taken in MONDAYS[4:8]]
    assert desk.units("sign", "P1", "2", "--by", "Bea").code == 0
    desk.patient("P2")
    for taken in MONDAYS[:4]:
        desk.test("P2", taken)
    assert desk.units("sign", "P2", "1", "--by", "Bea").code == 0
    # a claimed test and one of the signed unit turn out to be one, as 'quarantine release --keep' merges them
    desk.write("UPDATE result SET merged_into = ? WHERE id = ?", later[0], tests[0])
    said = desk.units("export", "--to", str(desk.folder / "out"), "--by", "Eve")
    assert said.code == 1
    assert f"patient P1: the unit of 2026-03-30 is signed, but claim {claim} holds a test of it" in said.err
    assert [row["patient"] for row in desk.rows("claims")] == ["P1", "P2"]


def test_a_payers_time_that_ends_earlier_than_was_known_frees_no_claimed_test(
    claimed: tuple[Desk, list[int], str],
) -> None:
    desk, _, claim = claimed
    desk.paper("P1", "coverage", payer="medicare_ffs", mac="noridian", from_="2025-01-01")
    desk.paper("P1", "coverage", payer="ma_plan_ma05.016", mac="", from_="2026-02-20")
    said = desk.units("sign", "P1", "1", "--period", "1", "--by", "Bea")  # three of the claimed tests
    assert said.code == 1
    assert f"claim {claim} holds a test of it" in said.err
    assert desk.units("void", claim, "--by", "Bea", "--note", "in a plan since 20 February").code == 0
    assert desk.units("sign", "P1", "1", "--period", "1", "--by", "Bea").code == 0
    assert {(each["frequency_code"], tuple(each["modifiers"])) for each in export(desk)} == {
        ("8", ()),
        ("1", ("52",)),
    }


def overtaken(desk: Desk) -> list[str]:
    return [row["words"] for row in desk.rows("worklist", "held") if row["reason"] == "CLAIM_OVERTAKEN"]


def test_a_claim_that_says_what_is_not_so_any_more_is_on_the_list(claimed: tuple[Desk, list[int], str]) -> None:
    desk, tests, claim = claimed
    assert overtaken(desk) == []
    desk.correct(tests[1], "P1", MONDAYS[1], inr="2.6")  # says nothing of what was billed
    desk.test("P1", MONDAYS[5])
    assert overtaken(desk) == []
    desk.correct(tests[1], "P1", MONDAYS[5] + dt.timedelta(days=4), inr="2.5")  # and is reported again: it counts
    (words,) = overtaken(desk)
    assert f"test {tests[1]} was claimed as of 2026-02-09, and was taken on 2026-03-13" in words
    (unit,) = [unit for unit in statement(desk)["units"] if unit["status"] == "claimed"]
    assert unit["review_flags"] == []
    assert desk.units("void", claim, "--by", "Bea", "--note", "wrong clock").code == 0
    assert overtaken(desk) == []


@pytest.mark.parametrize(
    ("kind", "columns", "words"),
    [
        ("event", {"type": "death", "date": "2026-02-25"}, "lies after the last covered day, 2026-02-25"),
        ("coverage", {"payer": "ma_plan_ma05.016", "from_": "2025-01-01"}, "and ma_plan_ma05.016 pays"),
        (
            "coverage",
            {"payer": "medicare_ffs", "mac": "noridian", "from_": "2026-03-10"},
            "no payer's time of today holds its last test",
        ),
        ("diagnosis", {"codes": ["I48.21"], "from_": "2025-01-01", "evidence": "x"}, "the diagnosis I48.20, which"),
    ],
)
def test_a_later_paper_that_makes_a_claim_wrong_is_heard(
    claimed: tuple[Desk, list[int], str], kind: str, columns: dict[str, Any], words: str
) -> None:
    desk = claimed[0]
    desk.paper("P1", kind, **columns)
    (said,) = overtaken(desk)
    assert words in said
    assert said.endswith(": replace or void it")


def test_a_partial_claim_whose_end_was_no_end_is_on_the_list(desk: Desk) -> None:
    desk.patient()
    for taken in MONDAYS[:3]:
        desk.test("P1", taken)
    event = desk.paper("P1", "event", type="withdrawn", date="2026-03-05")
    assert desk.units("sign", "P1", "1", "--by", "Bea").code == 0
    export(desk)
    assert overtaken(desk) == []
    void_document(desk.database, event, "Ada", desk.now, "stays after all")
    (said,) = overtaken(desk)
    assert "because of the event withdrawn, which is not on record any more" in said


def test_a_test_is_held_by_one_claim(claimed: tuple[Desk, list[int], str]) -> None:
    desk, tests, claim = claimed
    with pytest.raises(Exception, match="UNIQUE"):
        desk.write(
            "INSERT INTO claim_test VALUES (?, 9, 'P1', 'G0249', ?, '2026-02-02T15:00:00+00:00', 1)",
            claim,
            str(tests[0]),
        )
