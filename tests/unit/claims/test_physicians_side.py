"""The physician's side: four reviewed tests make a G0250, beside and apart from the supplier's G0249 (rule R32)."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from tests.unit.claims.desk import MONDAYS, PRICES, Desk

G0250 = ("--service", "G0250")
PRICE = """
[[price]]
code = "G0250"
effective_from = 2026-01-01
cents = 900
"""


@pytest.fixture
def reviewed(desk: Desk) -> list[int]:
    (desk.folder / "prices.toml").write_text(PRICES + PRICE, encoding="utf-8")
    desk.patient("P1")
    tests = [desk.test("P1", taken) for taken in MONDAYS[:4]]
    for test, taken in zip(tests[:3], MONDAYS, strict=False):
        review(desk, test, taken)
    return tests


def review(desk: Desk, test: int, taken: dt.datetime) -> None:
    at = (taken + dt.timedelta(days=1)).isoformat()
    desk.paper("P1", "review", test, reviewed_at=at, practitioner="Dr. Roe")


def export(desk: Desk) -> list[dict[str, object]]:
    assert desk.units("export", "--to", str(desk.folder / "out"), "--by", "Eve").code == 0
    return list(json.loads((desk.folder / "out" / "claims.json").read_text())["claims"])


def test_four_reviews_make_a_unit_of_the_physician(desk: Desk, reviewed: list[int]) -> None:
    assert "NOT_REVIEWED" in desk.units("statement", "P1", *G0250).out
    review(desk, reviewed[3], MONDAYS[3])
    (row,) = desk.rows("worklist", "ready", *G0250)
    assert row["code"] == "G0250"
    (supplier,) = desk.rows("worklist", "ready")
    assert supplier["code"] == "G0249"


def test_both_sides_claim_the_same_tests_once_each(desk: Desk, reviewed: list[int]) -> None:
    review(desk, reviewed[3], MONDAYS[3])
    assert desk.units("sign", "P1", "1", "--by", "Bea").code == 0
    assert "G0250" in desk.units("sign", "P1", "1", "--by", "Dr. Roe's office", *G0250).out
    first = export(desk)
    assert sorted(str(claim["code"]) for claim in first) == ["G0249", "G0250"]
    assert {str(claim["charge"]) for claim in first} == {"123.45", "9"}
    assert export(desk) == first
    refused = desk.units("sign", "P1", "1", "--by", "Bea", *G0250)
    assert refused.code == 1
    assert "claimed already" in refused.err


def test_a_physicians_claim_is_replaced_when_a_review_moves(desk: Desk, reviewed: list[int]) -> None:
    review(desk, reviewed[3], MONDAYS[3])
    desk.units("sign", "P1", "1", "--by", "Bea", *G0250)
    (claim,) = export(desk)
    desk.correct(reviewed[0], "P1", MONDAYS[0], inr="3.1")
    words = ("--by", "Bea", "--note", "late correction", "--accept", "CORRECTED_RESULT")
    said = desk.units("replace", str(claim["claim_id"]), *words)
    assert said.code == 0, said.err
    assert {row["code"] for row in desk.rows("claims")} == {"G0250"}


def test_tests_off_the_ordered_interval_are_listed_and_still_count(desk: Desk) -> None:
    desk.patient("P1")
    desk.paper("P1", "order", signed_on="2026-01-05", practitioner="Dr. Roe", interval_days=7)
    weekly = [desk.test("P1", taken) for taken in MONDAYS[:2]]
    late = desk.test("P1", MONDAYS[2] + dt.timedelta(days=3))
    assert desk.rows("worklist", "interval") == [
        {"patient": "P1", "test": str(late), "date": "2026-02-19", "days": 10, "ordered_days": 7}
    ]
    assert desk.rows("worklist", "interval", "--tolerance", "3") == []
    statement = json.loads(desk.units("statement", "P1", "--json").out)
    assert statement["pending"] == [str(test) for test in [*weekly, late]]
