"""The physician's side: four reviewed tests make a G0250, beside and apart from the supplier's G0249 (rule R32)."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from gateway.reporting.claims.tallied import tallied
from gateway.reporting.documents.recording import add_document
from gateway.reporting.facts import facts_of
from gateway.server.release import dismiss
from tests.unit.claims.desk import MONDAYS, PRICES, Desk
from tests.unit.corrections.bureau import Bureau
from tests.unit.server.stage import reading, result

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


def test_one_side_is_voided_or_replaced_without_the_other(desk: Desk, reviewed: list[int]) -> None:
    review(desk, reviewed[3], MONDAYS[3])
    desk.units("sign", "P1", "1", "--by", "Bea")
    desk.units("sign", "P1", "1", "--by", "Dr. Roe's office", *G0250)
    ids = {str(claim["code"]): str(claim["claim_id"]) for claim in export(desk)}
    assert len(set(ids.values())) == 2
    assert desk.units("void", ids["G0250"], "--by", "Bea", "--note", "billed by the hospital").code == 0
    states = {(row["code"], row["frequency"]): row["state"] for row in desk.rows("claims")}
    assert states == {("G0249", 1): "exported", ("G0250", 1): "void", ("G0250", 8): "exported"}
    assert json.loads(desk.units("statement", "P1", "--json").out)["units"][0]["status"] == "claimed"
    assert "claimed already" in desk.units("sign", "P1", "1", "--by", "Bea").err
    desk.correct(reviewed[0], "P1", MONDAYS[0], inr="3.1")
    words = ("--by", "Bea", "--note", "late correction", "--accept", "CORRECTED_RESULT")
    assert desk.units("replace", ids["G0249"], *words, "--accept", "LATE_REPORT").code == 0
    assert desk.units("sign", "P1", "1", "--by", "Bea", *G0250, "--accept", "CORRECTED_RESULT").code == 0
    standing = {(str(claim["code"]), claim["frequency_code"]) for claim in export(desk)}
    assert standing == {("G0249", "7"), ("G0250", "8"), ("G0250", "1")}
    assert desk.value("SELECT count(DISTINCT claim_id) FROM claim_test WHERE standing = 1") == 2


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


@pytest.mark.parametrize("dismissed", [False, True])
def test_what_waits_or_was_dismissed_is_not_billed_by_the_physician(tmp_path: Path, dismissed: bool) -> None:
    bureau = Bureau(tmp_path)
    tests = bureau.measured(*(f"2026-02-{day:02}T07:30:00" for day in (2, 9, 16, 23)))
    bureau.stage.take(reading(61, result("2026-02-02T07:30:00", strip_lot="LOT2")))
    (entry,) = bureau.stage.waiting()
    at = dt.datetime(2026, 5, 20, 18, tzinfo=dt.UTC)
    for test in tests:
        paper = {"patient": "pat", "result": test, "reviewed_at": "2026-03-01T09:00", "practitioner": "Dr"}
        add_document(bureau.database, "review", paper, "Ada", at)
    if dismissed:
        dismiss(bureau.database, entry.id, "Ada", at, "cannot be right")
    made = tallied(facts_of(bureau.database, "pat"), dt.date(2026, 5, 20), "production", service="G0250")
    bureau.close()
    assert made.statement.units == ()
