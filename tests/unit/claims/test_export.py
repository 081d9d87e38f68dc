"""From signatures to claims and their files."""

from __future__ import annotations

import csv
import datetime as dt
import json
import re
from pathlib import Path

import pytest

from tests.unit.claims.desk import MONDAYS, Desk

SEPARATORS = re.compile(r"[*:~^\n]")


def signed_unit(desk: Desk, patient: str = "P1") -> list[int]:
    desk.patient(patient)
    tests = [desk.test(patient, taken) for taken in MONDAYS[:4]]
    assert desk.units("sign", patient, "1", "--by", "Bea").code == 0
    return tests


def export(desk: Desk, folder: str = "out", *words: str) -> dict[str, bytes]:
    said = desk.units("export", "--to", str(desk.folder / folder), "--by", "Eve Exporter", *words)
    assert said.code == 0, said.err
    return {path.name: path.read_bytes() for path in (desk.folder / folder).iterdir()}


def test_nothing_unsigned_is_exported(desk: Desk) -> None:
    desk.patient()
    for taken in MONDAYS[:4]:
        desk.test("P1", taken)
    files = export(desk)
    assert json.loads(files["claims.json"]) == {"claims": []}
    assert desk.rows("claims") == []


def test_the_files_of_a_claim(desk: Desk) -> None:
    tests = signed_unit(desk)
    files = export(desk)
    (listed,) = desk.rows("claims")
    claim = listed["claim"]
    assert re.fullmatch(r"[0-9A-F]{20}", claim)
    assert set(files) == {
        "claims.json",
        "claims.csv",
        f"{claim}.json",
        f"{claim}.837p.x12",
        f"{claim}.837i.x12",
    }
    assert files[f"{claim}.837p.x12"].decode() == (
        f"LX*1~\nSV1*HC:G0249*123.45*UN*1***1~\nDTP*472*D8*20260302~\nREF*6R*{claim}~\n"
    )
    assert files[f"{claim}.837i.x12"].decode() == (
        f"LX*1~\nSV2*0920*HC:G0249*123.45*UN*1~\nDTP*472*D8*20260302~\nREF*6R*{claim}~\n"
    )
    (neutral,) = json.loads(files["claims.json"])["claims"]
    assert neutral == json.loads(files[f"{claim}.json"])
    assert [test["id"] for test in neutral["tests"]] == [str(test) for test in tests]
    assert neutral["diagnosis"] == ["I48.20", "Z79.01"]  # the covered one first: SV107 points to it
    assert (neutral["charge_cents"], neutral["quantity"], neutral["nte"]) == (12345, 1, None)
    (row,) = csv.DictReader(files["claims.csv"].decode().splitlines())
    assert (row["claim_id"], row["signed_by"], row["exported_by"]) == (claim, "Bea", "Eve Exporter")


def test_a_second_export_gives_the_same_files_and_marks_nothing_twice(desk: Desk) -> None:
    signed_unit(desk)
    first = export(desk)
    desk.set_clock(desk.now + dt.timedelta(days=3))
    assert export(desk, "again") == first
    assert export(desk) == first
    assert desk.value("SELECT count(*) FROM claim") == 1
    assert desk.value("SELECT count(*) FROM claim_event WHERE what = 'exported'") == 1


def test_files_that_a_full_disk_refused_come_with_the_next_export(desk: Desk) -> None:
    signed_unit(desk)
    folder = desk.folder / "out"
    folder.mkdir()
    (folder / "claims.csv.part").mkdir()  # no file can be put there
    said = desk.units("export", "--to", str(folder), "--by", "Eve")
    assert said.code == 1
    assert "run the same export again" in said.err
    (folder / "claims.csv.part").rmdir()
    assert len(export(desk)) == 5
    assert desk.value("SELECT count(*) FROM claim") == 1


def test_files_of_claims_that_are_done_with_are_named(desk: Desk) -> None:
    signed_unit(desk)
    export(desk)
    (listed,) = desk.rows("claims")
    assert desk.units("void", listed["claim"], "--by", "Bea", "--note", "why").code == 0
    said = desk.units("export", "--to", str(desk.folder / "out"), "--by", "Eve")
    assert f"not to be submitted again: {listed['claim']}\n" in said.out
    said = desk.units("export", "--to", str(desk.folder / "other"), "--by", "Eve")
    assert "again" not in said.out


def test_a_folder_that_cannot_be_written_marks_nothing(desk: Desk) -> None:
    signed_unit(desk)
    (desk.folder / "file").write_text("in the way")
    said = desk.units("export", "--to", str(desk.folder / "file" / "out"), "--by", "Eve")
    assert said.code == 1
    assert "name a folder" in said.err
    assert desk.rows("claims") == []


@pytest.mark.parametrize(
    ("prices", "remedy"),
    [
        (None, "write one: [[price]]"),
        ("", "price: Field required"),
        ('[[price]]\ncode = "G0249"\ncents = 100\neffective_from = 2027-01-01\n', "no price for G0249"),
        ('[[price]]\ncode = "G0249"\ncents = 1.5\neffective_from = 2026-01-01\n', "valid integer"),
        (
            '[[price]]\ncode = "G0249"\ncents = 100\neffective_from = 2026-01-01\n'
            '[[price]]\ncode = "G0249"\ncents = 200\neffective_from = 2026-02-01\n',
            "2 prices",
        ),
        (
            '[[price]]\ncode = "G0249"\ncents = 9\neffective_from = 2026-02-01\neffective_to = 2026-01-01\n',
            "before effective_from",
        ),
    ],
)
def test_there_is_no_default_price(desk: Desk, prices: str | None, remedy: str) -> None:
    signed_unit(desk)
    table = desk.folder / "prices.toml"
    table.unlink()
    if prices is not None:
        table.write_text(prices, encoding="utf-8")
    said = desk.units("export", "--to", str(desk.folder / "out"), "--by", "Eve")
    assert said.code == 1
    assert "prices.toml" in said.err
    assert remedy in said.err
    assert desk.rows("claims") == []


def test_a_price_for_the_payer_goes_before_one_for_all(desk: Desk) -> None:
    signed_unit(desk)
    other = desk.folder / "other.toml"
    other.write_text(
        '[[price]]\ncode = "G0249"\ncents = 100\neffective_from = 2026-01-01\n'
        '[[price]]\ncode = "G0249"\ncents = 250\neffective_from = 2026-01-01\npayer = "medicare_ffs"\n',
        encoding="utf-8",
    )
    files = export(desk, "out", "--prices", str(other))
    assert json.loads(files["claims.json"])["claims"][0]["charge_cents"] == 250
    assert not [name for name in files if name.endswith(".837i.x12")]  # no revenue code is configured


def test_a_unit_that_has_changed_since_its_signature_is_not_exported(desk: Desk) -> None:
    tests = signed_unit(desk)
    desk.correct(tests[1], "P1", MONDAYS[1], inr="2.7")
    said = desk.units("export", "--to", str(desk.folder / "out"), "--by", "Eve")
    assert said.code == 1
    assert "signature of Bea on the unit of 2026-03-02 holds no longer" in said.err
    assert desk.rows("claims") == []
    flags = [row["reason"] for row in desk.rows("worklist", "held")]
    words = [word for flag in flags for word in ("--accept", flag)]
    assert desk.units("sign", "P1", "1", "--by", "Bea", *words).code == 0
    assert len(export(desk)) == 5  # and the old signature is not spoken of again


def test_claimed_units_are_frozen(desk: Desk) -> None:
    signed_unit(desk)
    export(desk)
    desk.test("P1", MONDAYS[0] - dt.timedelta(days=7))  # a late back-fill, before all others
    desk.test("P1", MONDAYS[4])
    said = desk.units("statement", "P1", "--json")
    statement = json.loads(said.out)
    assert [unit["status"] for unit in statement["units"]] == ["claimed"]
    assert len(statement["pending"]) == 2


def test_one_patient_of_whom_no_statement_can_be_made_does_not_hold_the_others(desk: Desk) -> None:
    signed_unit(desk, "P1")
    signed_unit(desk, "P2")
    desk.write("UPDATE enrollment SET payer = 'nobody' WHERE patient_id = 'P1'")
    said = desk.units("export", "--to", str(desk.folder / "out"), "--by", "Eve")
    assert said.code == 1
    assert "patient P1" in said.err
    assert [row["patient"] for row in desk.rows("claims")] == ["P2"]


def test_only_one_patient(desk: Desk) -> None:
    signed_unit(desk, "P1")
    signed_unit(desk, "P2")
    export(desk, "out", "--patient", "P2")
    assert [row["patient"] for row in desk.rows("claims")] == ["P2"]


@pytest.mark.parametrize(
    ("event", "count", "words"),
    [
        ("withdrawn", 3, "3 OF 4 TESTS REPORTED REDUCED SERVICES PT WITHDREW"),
        ("death", 2, "2 OF 4 TESTS REPORTED REDUCED SERVICES PT DIED"),
        ("ma_transfer", 1, "1 OF 4 TESTS REPORTED REDUCED SERVICES PT MOVED TO MEDICARE ADVANTAGE"),
    ],
)
def test_a_partial_unit_says_so_on_every_form(desk: Desk, event: str, count: int, words: str) -> None:
    desk.patient()
    for taken in MONDAYS[:count]:
        desk.test("P1", taken)
    desk.paper("P1", "event", type=event, date="2026-03-05")
    (row,) = desk.rows("worklist", "ending")
    assert (row["event"], row["tests"], row["modifiers"]) == (event, count, "52")
    assert row["words"] == words[:71].strip()
    assert desk.units("sign", "P1", "1", "--by", "Bea").code == 0
    files = export(desk)
    claim = desk.rows("claims")[0]["claim"]
    charge = {3: "92.59", 2: "61.73", 1: "30.86"}[count]  # quarters of 123.45, half a cent up
    lines = files[f"{claim}.837p.x12"].decode().split("~\n")
    assert lines[1] == f"SV1*HC:G0249:52::::{words}*{charge}*UN*1***1"
    assert lines[-2] == f"NTE*ADD*{words}"
    assert f"SV2*0920*HC:G0249:52::::{words}*{charge}*UN*1" in files[f"{claim}.837i.x12"].decode()
    neutral = json.loads(files["claims.json"])["claims"][0]
    assert len(neutral["item_19"]) <= 71
    assert len(neutral["block_80"]) <= 71
    assert not SEPARATORS.search(neutral["nte"])
    assert len(neutral["nte"]) <= 80


def test_a_claim_names_no_diagnosis_that_came_after_its_date(desk: Desk) -> None:
    desk.patient()
    for taken in [*MONDAYS[:4], MONDAYS[7]]:
        desk.test("P1", taken)
    desk.paper("P1", "diagnosis", codes=["I48.20"], from_="2025-01-01", evidence="letter")
    desk.paper("P1", "diagnosis", codes=["Z86.718"], from_="2026-03-03", evidence="letter")
    assert desk.units("sign", "P1", "1", "--by", "Bea").code == 0
    (claim,) = json.loads(export(desk)["claims.json"])["claims"]
    assert (claim["date_of_service"], claim["diagnosis"]) == ("2026-03-02", ["I48.20"])


def test_two_payers_have_two_tallies(desk: Desk, tmp_path: Path) -> None:
    desk.patient()
    for taken in MONDAYS:
        desk.test("P1", taken)
    desk.paper("P1", "coverage", payer="medicare_ffs", mac="noridian", from_="2025-01-01")
    desk.paper("P1", "coverage", payer="ma_plan_ma05.016", mac="", from_="2026-03-10")
    desk.set_clock(dt.datetime(2026, 5, 1, 17, tzinfo=dt.UTC))
    first = json.loads(desk.units("statement", "P1", "--period", "1", "--json").out)
    assert [(unit["code"], unit["modifiers"], len(unit["tests"])) for unit in first["units"]] == [
        ("G0249", [], 4),
        ("G0249", ["52"], 2),
    ]
    assert desk.units("sign", "P1", "1", "--period", "1", "--by", "Bea").code == 0
    said = desk.units("sign", "P1", "2", "--period", "1", "--by", "Bea")
    accepted = re.findall(r"--accept (\w+)", said.err)
    words = [word for flag in accepted for word in ("--accept", flag)]
    assert desk.units("sign", "P1", "2", "--period", "1", "--by", "Bea", *words).code == 0
    export(desk)
    assert [row["code"] for row in desk.rows("claims")] == ["G0249", "G0249-52"]
    assert len(json.loads(desk.units("statement", "P1", "--json").out)["pending"]) == 2
    assert tmp_path == desk.folder
