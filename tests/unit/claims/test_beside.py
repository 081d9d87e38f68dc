"""Codes beside the units, as a biller meets them: statement, explain, worklists, signature, packet (R32, R33)."""

from __future__ import annotations

import json

import pytest

from gateway.cli.main import main
from tests.unit.claims.desk import MONDAYS, PRICES, Desk, Said

G0250 = ("--service", "G0250")
PRICE = '\n[[price]]\ncode = "G0250"\neffective_from = 2026-01-01\ncents = 900\n'
PAID_TWICE = "The INR {} is in a G0250 unit: 93793 pays it again (billed by Riverside Clinic)."


@pytest.fixture
def tests(desk: Desk) -> list[int]:
    """Four weekly tests, each reviewed on its own day."""
    (desk.folder / "prices.toml").write_text(PRICES + PRICE, encoding="utf-8")
    desk.patient("P1")
    found = [desk.test("P1", taken) for taken in MONDAYS[:4]]
    for test, taken in zip(found, MONDAYS, strict=False):
        desk.paper("P1", "review", test, reviewed_at=taken.isoformat(), practitioner="Dr. Roe")
    return found


def managed(desk: Desk, result: int | None = None, **more: object) -> int:
    line: dict[str, object] = {"code": "93793", "billed_by": "Riverside Clinic", "date": "2026-02-09", "units": 1}
    return desk.paper("P1", "billed_service", result, **{**line, **more})


def cautions(said: Said) -> list[str]:
    assert said.code == 0, said.err
    return [line.strip() for line in said.out.splitlines() if line.strip().startswith("caution")]


@pytest.mark.parametrize("service", ["G0249", "G0250"])
def test_the_statement_of_either_side_tells_of_an_inr_paid_twice(
    desk: Desk, tests: list[int], service: str
) -> None:
    assert cautions(desk.units("statement", "P1", "--service", service)) == []
    managed(desk, tests[1])
    words = PAID_TWICE.format(tests[1])
    statement = ("statement", "P1", "--service", service)
    assert cautions(desk.units(*statement)) == [f"caution (R32, 2026-02-09): {words}"]
    told = {"rule": "R32", "date": "2026-02-09", "test": str(tests[1]), "words": words}
    assert json.loads(desk.units(*statement, "--json").out)["cautions"] == [told]
    assert cautions(desk.units(*statement, "--as-of", "2026-02-08")) == []


def test_explain_says_it_of_the_test_and_of_the_physicians_unit(desk: Desk, tests: list[int]) -> None:
    managed(desk, tests[1])
    managed(desk, code="G0248", date="2021-03-01", billed_by="Acelis")
    managed(desk, code="G0248", date="2026-01-15", billed_by="Our house")
    line = f"caution (R32, 2026-02-09): {PAID_TWICE.format(tests[1])}"
    assert cautions(desk.units("explain", "P1", str(tests[1]))) == [line]
    assert cautions(desk.units("explain", "P1", str(tests[0]))) == []
    assert cautions(desk.units("explain", "P1", "unit 1")) == []
    assert cautions(desk.units("explain", "P1", "unit 1", *G0250)) == [line]
    everything = desk.units("explain", "P1")
    assert "beside the units:\n  caution (R33, 2026-01-15): G0248 is paid once" in everything.out
    assert len(cautions(everything)) == 2


def test_a_93793_without_its_inr_is_compared_by_its_day(desk: Desk, tests: list[int]) -> None:
    managed(desk)
    (caution,) = cautions(desk.units("statement", "P1"))
    assert "names no INR (billed by Riverside Clinic)" in caution
    assert f"the INR {tests[1]} of this day" in caution


def test_the_worklist_names_all_patients_and_the_units_that_wait(desk: Desk, tests: list[int]) -> None:
    managed(desk, tests[1])
    desk.patient("P2")
    for day, code in (("2026-01-15", "G0248"), ("2026-01-15", "93792")):
        desk.paper("P2", "billed_service", code=code, date=day, billed_by="Our house", units=1)
    rows = desk.rows("worklist", "beside")
    assert [(row["patient"], row["date"], row["rule"], row["test"]) for row in rows] == [
        ("P1", "2026-02-09", "R32", str(tests[1])),
        ("P2", "2026-01-15", "R33", None),
    ]
    assert "never both billed" in rows[1]["words"]
    (held,) = desk.rows("worklist", "held", *G0250)
    assert (held["what"], held["reason"], held["date"]) == ("unit 1", "PAID_BESIDE", "2026-02-09")
    assert held["words"] == PAID_TWICE.format(tests[1])
    assert desk.rows("worklist", "held") == []
    assert desk.rows("worklist", "ready", *G0250) == []
    assert [row["code"] for row in desk.rows("worklist", "ready")] == ["G0249"]


def test_who_signs_the_physicians_unit_is_told_and_then_it_waits_no_longer(desk: Desk, tests: list[int]) -> None:
    managed(desk, tests[1])
    assert cautions(desk.units("sign", "P1", "1", "--by", "Bea")) == []
    line = f"caution (R32, 2026-02-09): {PAID_TWICE.format(tests[1])}"
    assert cautions(desk.units("sign", "P1", "1", "--by", "Dr. Roe", *G0250)) == [line]
    assert desk.rows("worklist", "held", *G0250) == []
    assert [row["signed_by"] for row in desk.rows("worklist", "ready", *G0250)] == ["Dr. Roe"]
    assert len(desk.rows("worklist", "beside")) == 1


@pytest.mark.usefixtures("tests")
def test_home_heparin_is_told_once(desk: Desk) -> None:
    desk.paper("P1", "infusion", start="2026-02-09", end="2026-02-11")
    said = desk.units("statement", "P1")
    assert cautions(said) == []
    assert said.out.count("heparin") == 1
    assert [row["rule"] for row in desk.rows("worklist", "beside")] == ["R36"]


def test_a_patient_of_whom_no_statement_can_be_made_is_on_the_list_all_the_same(desk: Desk) -> None:
    desk.patient("P1", payer="nobody_knows")
    managed(desk)
    managed(desk, same_day_visit=True, date="2026-02-10")
    assert [row["date"] for row in desk.rows("worklist", "beside")] == ["2026-02-10"]


def test_the_packet_holds_the_lines_beside(desk: Desk, tests: list[int]) -> None:
    pytest.importorskip("reportlab")
    managed(desk, tests[1])
    file = desk.folder / "unit.pdf"
    assert desk.units("packet", "P1", "1", "--to", str(file)).code == 0
    assert desk.units("packet", "P1", "1", "--to", str(file), *G0250).code == 0
    items = json.loads(file.with_suffix(".manifest.json").read_text())["items"]
    assert [item["kind"] for item in items if item["facts"].get("kind") == "billed_service"] == ["document"]


def test_a_training_on_file_and_a_line_of_another_house_meet_in_the_list_of_documents(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.patient("P1")
    abilities = {"able_to_test": True, "able_to_report": True}
    desk.paper("P1", "training", date="2026-01-15", code="G0248", trainer="R", **abilities)
    test = desk.test("P1", MONDAYS[0])
    managed(desk, code="G0248", date="2021-03-01", billed_by="Acelis")
    managed(desk, test, units=2, same_day_visit=True)
    config = ["--config", str(desk.folder / "server.toml")]
    assert main(["documents", "list", "--patient", "P1", *config]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("caution")]
    assert [line.split("): ")[1] for line in said] == [
        "93793 is billed once a day; 2 are named.",
        "93793 is not billed beside a visit on the same day.",
        "G0248 is paid once in a lifetime; it was billed for 2021-03-01 already (by Acelis).",
    ]
