"""The payer's answers, posted back."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.reporting.claims.causes import CAUSES, cause_of
from tests.unit.claims.desk import MONDAYS, Desk

HEADER = "claim_id,posted_on,status,group,carc,rarc,amount,payer_control_number\n"


@pytest.fixture
def claim(desk: Desk) -> str:
    desk.patient()
    for taken in MONDAYS[:4]:
        desk.test("P1", taken)
    assert desk.units("sign", "P1", "1", "--by", "Bea").code == 0
    assert desk.units("export", "--to", str(desk.folder / "out"), "--by", "Bea").code == 0
    desk.set_clock(dt.datetime(2026, 4, 20, 17, tzinfo=dt.UTC))
    return str(desk.rows("claims")[0]["claim"])


def post(desk: Desk, text: str) -> tuple[int, str, str]:
    file = desk.folder / "answers.csv"
    file.write_text(text, encoding="utf-8")
    return tuple(desk.units("denials", "import", str(file), "--by", "Dana"))  # type: ignore[return-value]  # Said


@pytest.mark.parametrize(
    ("group", "carc", "rarc", "cause"),
    [
        ("CO", "13", "", "death"),
        ("CO", "24", "", "medicare_advantage"),
        ("CO", "29", "", "filing_limit"),
        ("CO", "50", "N386", "not_covered"),
        ("CO", "50", "", "necessity"),
        ("CO", "96", "N386", "not_covered"),
        ("CO", "119", "", "frequency"),
        ("CO", "151", "", "frequency"),
        ("CO", "16", "MA13 N264", "orderer"),
        ("CO", "16", "M51", "incomplete"),
        ("CO", "109", "", "wrong_contractor"),
        ("CO", "4", "", "modifier"),
        ("PR", "B7", "", "other"),
    ],
)
def test_a_denial_has_a_cause(desk: Desk, claim: str, group: str, carc: str, rarc: str, cause: str) -> None:
    code, out, _ = post(desk, f"{HEADER}{claim},2026-04-14,denied,{group},{carc},{rarc},123.45,ICN77\n")
    assert code == 0
    assert f"denied: {cause} 1" in out
    (listed,) = desk.rows("claims", "--state", "denied")
    assert (listed["claim"], listed["cause"]) == (claim, cause)
    (held,) = desk.rows("worklist", "held")
    assert (held["what"], held["reason"]) == (f"claim {claim}", cause)
    assert f"{group}-{carc}" in held["words"]
    assert desk.value("SELECT amount_cents FROM remittance") == 12345


def test_the_same_file_again_changes_nothing(desk: Desk, claim: str) -> None:
    text = f"{HEADER}{claim},2026-04-14,denied,CO,119,,123.45,\n"
    assert post(desk, text)[0] == 0
    code, out, _ = post(desk, text)
    assert code == 0
    assert "0 rows posted, 1 known before" in out
    assert desk.value("SELECT count(*) FROM claim_event WHERE what = 'denied'") == 1


def test_a_payment_settles_a_claim_and_ends_its_export(desk: Desk, claim: str) -> None:
    text = f"{HEADER}{claim},2026-04-14,paid,CO,45,,23.45,ICN77\n{claim},2026-04-14,paid,,,,100.00,ICN77\n"
    assert post(desk, text)[0] == 0
    assert [row["state"] for row in desk.rows("claims")] == ["paid"]
    desk.units("export", "--to", str(desk.folder / "later"), "--by", "Bea")
    assert (desk.folder / "later" / "claims.json").read_text() == '{\n  "claims": []\n}\n'
    assert desk.rows("worklist", "held") == []


def test_a_void_names_the_payers_number(desk: Desk, claim: str) -> None:
    post(desk, f"{HEADER}{claim},2026-04-14,paid,,,,123.45,ICN-77\n")
    assert desk.units("void", claim, "--by", "Bea", "--note", "refund").code == 0
    desk.units("export", "--to", str(desk.folder / "later"), "--by", "Bea")
    assert '"payer_control_number": "ICN-77"' in (desk.folder / "later" / "claims.json").read_text()


def state(desk: Desk, claim: str) -> str:
    return next(str(row["state"]) for row in desk.rows("claims") if row["claim"] == claim)


def test_the_last_answer_counts_in_whatever_order_files_are_posted(desk: Desk, claim: str) -> None:
    assert "1 paid" in post(desk, f"{HEADER}{claim},2026-04-16,paid,,,,123.45,ICN77\n")[1]
    assert "1 paid" in post(desk, f"{HEADER}{claim},2026-04-14,denied,CO,16,M51,123.45,ICN76\n")[1]
    assert state(desk, claim) == "paid"
    assert post(desk, f"{HEADER}{claim},2026-04-17,denied,CO,18,,0,\n")[0] == 0
    assert state(desk, claim) == "denied"
    assert post(desk, f"{HEADER}{claim},2026-04-18,paid,,,,123.45,ICN78\n")[0] == 0  # reopened
    assert state(desk, claim) == "paid"


def test_a_void_that_the_payer_took_leaves_the_export_and_one_it_refused_waits_for_a_person(
    desk: Desk, claim: str
) -> None:
    assert desk.units("void", claim, "--by", "Bea", "--note", "refund").code == 0
    (void,) = [str(row["claim"]) for row in desk.rows("claims") if row["frequency"] == 8]
    assert post(desk, f"{HEADER}{void},2026-04-15,denied,CO,16,M51,,\n")[0] == 0
    (held,) = [row for row in desk.rows("worklist", "held") if row["what"] == f"claim {void}"]
    assert held["reason"] == "incomplete"
    assert post(desk, f"{HEADER}{void},2026-04-16,paid,,,,123.45,\n")[0] == 0
    assert desk.rows("worklist", "held") == []
    assert desk.units("export", "--to", str(desk.folder / "later"), "--by", "Bea").code == 0
    assert (desk.folder / "later" / "claims.json").read_text() == '{\n  "claims": []\n}\n'
    assert state(desk, claim) == "void"


def test_a_denied_claim_can_be_replaced_by_its_unit_as_it_stands(desk: Desk, claim: str) -> None:
    words = ("replace", claim, "--by", "Bea", "--note", "orderer completed")
    assert "unchanged" in desk.units(*words).err
    post(desk, f"{HEADER}{claim},2026-04-14,denied,CO,16,MA13 N264,123.45,ICN77\n")
    said = desk.units(*words)
    assert said.code == 0, said.err
    second = next(str(row["claim"]) for row in desk.rows("claims") if row["frequency"] == 7)
    assert state(desk, claim) == "replaced"
    assert [row["what"] for row in desk.rows("worklist", "held")] == []
    post(desk, f"{HEADER}{second},2026-04-16,denied,CO,16,MA13,123.45,\n")
    assert desk.units("replace", second, "--by", "Bea", "--note", "again").code == 0
    desk.units("export", "--to", str(desk.folder / "later"), "--by", "Bea")
    (third,) = json.loads((desk.folder / "later" / "claims.json").read_text())["claims"]
    assert (third["follows"], third["payer_control_number"]) == (second, "ICN77")  # the only one the payer gave


def test_a_number_that_the_payer_gave_later_stands_in_the_export_of_the_void(desk: Desk, claim: str) -> None:
    assert desk.units("void", claim, "--by", "Bea", "--note", "refund").code == 0
    post(desk, f"{HEADER}{claim},2026-04-14,paid,,,,123.45,ICN-77\n")
    desk.units("export", "--to", str(desk.folder / "later"), "--by", "Bea")
    (void,) = json.loads((desk.folder / "later" / "claims.json").read_text())["claims"]
    assert (void["frequency_code"], void["payer_control_number"]) == ("8", "ICN-77")


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        (HEADER + "{claim},2026-04-14,denied,CO,,,1,\n", ":2: column carc:", "adjustment reason code"),
        (HEADER + "\n{claim},14.04.2026,denied,CO,119,,1,\n", ":3: column posted_on:", "is no date"),
        (HEADER + "{claim},2026-03-01,denied,CO,119,,1,\n", ":2: column posted_on:", "before the date of service"),
        (HEADER + "{claim},2026-04-22,denied,CO,119,,1,\n", ":2: column posted_on:", "lies in the future"),
        (HEADER + "{claim},2026-04-14,lost,CO,119,,1,\n", ":2: column status:", "write paid or denied"),
        (HEADER + "{claim},2026-04-14,denied,XX,119,,1,\n", ":2: column group:", "no group code"),
        (HEADER + "{claim},2026-04-14,denied,,119,,1,\n", ":2: column group:", "is empty"),
        (HEADER + "{claim},2026-04-14,denied,CO,ABC,,1,\n", ":2: column carc:", "'ABC'"),
        (HEADER + "{claim},2026-04-14,denied,CO,119,12,1,\n", ":2: column rarc:", "'12'"),
        (HEADER + "{claim},2026-04-14,denied,CO,119,,1.234,\n", ":2: column amount:", "no amount"),
        (HEADER + "{claim},2026-04-14,denied,CO,119,,-1,\n", ":2: column amount:", "no amount"),
        (HEADER + "{claim},2026-04-14,denied,CO,119,,1,A*B\n", ":2: column payer_control_number:", "signs"),
        (HEADER + "NOBODY,2026-04-14,denied,CO,119,,1,\n", ":2: column claim_id:", "no claim NOBODY"),
        (HEADER + "{claim},2026-04-14,denied\n", ":2:", "has 3 cells, the header has 8"),
        ("claim_id,posted_on,status,colour\n", ":1: column colour:", "is no column"),
        ("claim_id,status\n", ":1: column posted_on:", "is missing"),
        ("", ":1:", "has no header"),
        (HEADER + '"unclosed\n', ":2:", "is no CSV"),
    ],
)
def test_every_problem_has_its_place_and_nothing_is_posted(
    desk: Desk, claim: str, text: str, place: str, what: str
) -> None:
    good = f"{claim},2026-04-14,denied,CO,119,,5.00,\n"
    before = text.replace("{claim}", claim)
    code, _, err = post(desk, before + (good if before.startswith(HEADER) and "unclosed" not in before else ""))
    assert code == 1
    assert f"answers.csv{place}" in err
    assert what in err
    assert desk.value("SELECT count(*) FROM remittance") == 0
    assert [row["state"] for row in desk.rows("claims")] == ["exported"]


def test_a_file_that_is_not_there(desk: Desk, tmp_path: Path) -> None:
    said = desk.units("denials", "import", str(tmp_path / "none.csv"), "--by", "Dana")
    assert said.code == 1
    assert "name a readable file" in said.err


def test_nobody_posts(desk: Desk, claim: str) -> None:
    file = desk.folder / "answers.csv"
    file.write_text(f"{HEADER}{claim},2026-04-14,denied,CO,119,,1,\n", encoding="utf-8")
    assert desk.units("denials", "import", str(file), "--by", " ").code == 1
    assert desk.now > dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@given(st.text(max_size=4), st.lists(st.text(max_size=5), max_size=3))
def test_whatever_the_codes_there_is_a_cause(carc: str, rarcs: list[str]) -> None:
    assert cause_of(carc, tuple(rarcs)) in CAUSES.values()
