"""``units statement``, ``explain``, ``evaluate`` and ``what-if`` as a person reads and types them."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from gateway.cli.units.arguments import WORKLISTS
from tests.unit.claims.desk import MONDAYS, Desk


@pytest.fixture
def four(desk: Desk) -> None:
    desk.patient()
    for taken in MONDAYS[:4]:
        desk.test("P1", taken)


# ---------------------------------------------------------------- the statement


@pytest.mark.usefixtures("four")
def test_it_says_from_when_a_test_and_a_unit_count_again(desk: Desk) -> None:
    said = desk.units("statement", "P1").out
    assert "next: a test counts from 2026-03-31, a unit may be dated from 2026-03-30\n" in said


@pytest.mark.usefixtures("four")
def test_it_says_nothing_of_a_next_test_after_the_end(desk: Desk) -> None:
    desk.paper("P1", "event", type="death", date="2026-03-05")
    assert "next: no further test counts\n" in desk.units("statement", "P1").out


@pytest.mark.usefixtures("four")
def test_missed_weeks_stand_in_one_line(desk: Desk) -> None:
    assert "missed weeks, from Sunday: 2026-03-01 03-08 03-15 03-22\n" in desk.units("statement", "P1").out


@pytest.mark.usefixtures("four")
def test_a_test_that_does_not_count_is_named_with_its_day_and_who_bears_it(desk: Desk) -> None:
    extra = desk.test("P1", MONDAYS[0] + dt.timedelta(days=1))
    told = {"text": "INR 6", "author": "N", "documented_at": "2026-02-05T16:00:00Z"}
    desk.paper("P1", "early_reason", extra, category="repeat_abnormal", **told)
    desk.paper("P1", "extra_order", extra, signed_on="2026-02-02", practitioner="Dr. V")
    desk.paper("P1", "abn", extra, signed_at="2026-02-03T06:00:00")
    second = desk.test("P1", MONDAYS[1] + dt.timedelta(days=1))
    lines = [line.split() for line in desk.units("statement", "P1").out.splitlines()]
    assert ["not", "covered", "date", "reason", "who", "bears", "it", "modifier", "words"] in lines
    assert [str(extra), "2026-02-03", "EXTRA_CLINICAL", "patient", "GA"] in [line[:5] for line in lines]
    assert [str(second), "2026-02-10", "SAME_WEEK_NO_REASON", "supplier", "-"] in [line[:5] for line in lines]


@pytest.mark.usefixtures("four")
def test_a_claimed_unit_names_its_claim(desk: Desk) -> None:
    assert "claim" not in desk.units("statement", "P1").out
    desk.units("sign", "P1", "1", "--by", "Bea")
    desk.units("export", "--to", str(desk.folder / "out"), "--by", "Eve")
    (claim,) = [row["claim"] for row in desk.rows("claims")]
    assert claim in desk.units("statement", "P1").out
    assert json.loads(desk.units("statement", "P1", "--json").out)["units"][0]["claim"] == claim


# ---------------------------------------------------------------- explaining


@pytest.mark.parametrize("subject", ["unit 1", "Unit 1", "unit1", "UNIT  1", " unit 01 "])
@pytest.mark.usefixtures("four")
def test_a_unit_may_be_written_as_it_comes(desk: Desk, subject: str) -> None:
    said = desk.units("explain", "P1", subject)
    assert (said.code, said.out.splitlines()[0]) == (0, "unit 1:")


@pytest.mark.parametrize("subject", ["unit 2", "99", "x"])
@pytest.mark.usefixtures("four")
def test_what_is_not_there_is_answered_by_what_is(desk: Desk, subject: str) -> None:
    said = desk.units("explain", "P1", subject)
    assert (said.code, said.out) == (1, "")
    assert said.err == (
        f"inr-gateway units: patient P1: nothing was decided about {subject!r} as of 2026-03-30; there are tests "
        "1 2 3 4 and unit 1\n"
    )


# ---------------------------------------------------------------- worked cases


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{}", "cases: is missing; give a list of cases"),
        ('{"cases": []}', "cases: is empty; give at least one case"),
        ("[]", "is no JSON object; give a file of cases"),
        ('{"cases": [', "is no JSON: "),
        ("", "is no JSON: "),
    ],
)
def test_a_file_without_cases_passes_no_check(desk: Desk, tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "cases.json"
    file.write_text(content, encoding="utf-8")
    for more in ([], ["--check"]):
        said = desk.evaluate(file, *more)
        assert said.code != 0
        assert words in said.err


def test_a_case_without_an_expectation_is_checked_against_nothing_and_says_so(
    desk: Desk, tmp_path: Path, shared: Path
) -> None:
    document = json.loads((shared / "billing" / "cases.json").read_text(encoding="utf-8"))
    case = next(each for each in document["cases"] if not each.get("policy_variants"))
    del case["expected"]
    document["cases"] = [case]
    file = tmp_path / "cases.json"
    file.write_text("\ufeff" + json.dumps(document), encoding="utf-8")
    assert desk.evaluate(file).code == 0
    said = desk.evaluate(file, "--check")
    assert (said.code, "nothing was compared" in said.err) == (1, True)
    document["cases"].append({**case, "id": "expecting", "expected": {"pending_tests": ["nobody"]}})
    document["cases"].append({**case, "id": "content", "expected": {}})
    file.write_text(json.dumps(document), encoding="utf-8")
    said = desk.evaluate(file, "--check", "--case", case["id"], "--case", "content")
    assert (said.code, said.out) == (0, "2 statements computed, 0 differ from what is expected\n")
    assert said.err == f"inr-gateway units: {case['id']}: nothing to compare with: it has no 'expected'\n"
    assert desk.evaluate(file, "--check").code == 1


def test_a_file_that_cannot_be_read_says_why(desk: Desk, tmp_path: Path) -> None:
    said = desk.evaluate(tmp_path / "none.json")
    assert (said.code, "cannot be read: No such file" in said.err) == (2, True)
    (tmp_path / "latin.json").write_bytes(b'{"cases": "\xe9"}')
    said = desk.evaluate(tmp_path / "latin.json")
    assert (said.code, "is not UTF-8" in said.err) == (2, True)


# ---------------------------------------------------------------- what another policy would change


def test_nobody_by_that_name_is_an_error(desk: Desk) -> None:
    said = desk.units("what-if", "ghost", "--policy", "ma05.016f")
    assert (said.code, "ghost" in said.err, said.out) == (1, True, "")


# ---------------------------------------------------------------- lists in each form


@pytest.mark.parametrize("name", WORKLISTS)
@pytest.mark.usefixtures("four")
def test_every_list_has_the_same_columns_in_every_form(desk: Desk, name: str) -> None:
    desk.paper("P1", "supply_delivery", date="2026-01-20", strips=6)
    header = desk.units("worklist", name, "--csv").out.splitlines()[0].split(",")
    for row in desk.rows("worklist", name):
        assert list(row) == header
    assert desk.units("worklist", name).code == 0
