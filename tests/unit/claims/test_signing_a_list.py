"""A list of units that is ready, looked through line by line, and signed in one act."""

from __future__ import annotations

import csv
import hashlib

import pytest

from tests.unit.claims.desk import MONDAYS, Desk, Said


@pytest.fixture
def desks(desk: Desk) -> Desk:
    for patient in ("P1", "P2", "P3"):
        desk.patient(patient)
        for taken in MONDAYS[:4] if patient != "P2" else MONDAYS[:8]:
            desk.test(patient, taken)
    return desk


def listed(desk: Desk) -> list[str]:
    return desk.units("worklist", "ready", "--csv").out.splitlines()


def sign(desk: Desk, lines: list[str], *more: str) -> Said:
    file = desk.folder / "Ready today.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return desk.units("sign", "--from", str(file), "--by", "Bea", *more)


def signed(desk: Desk) -> list[tuple[str, str]]:
    return [
        (row[0], row[1]) for row in desk.database.execute("SELECT patient_id, by_name FROM sign_off ORDER BY id")
    ]


def digest(desk: Desk) -> str:
    return hashlib.sha256("\n".join(desk.database.iterdump()).encode()).hexdigest()


def test_the_units_of_a_list_are_signed_and_once(desks: Desk) -> None:
    header, *rows = listed(desks)
    assert len(rows) == 4
    kept = [row for row in rows if not row.startswith("P3")]
    said = sign(desks, [header, *kept], "--note", "looked through on Monday")
    assert (said.code, said.out) == (0, "3 units are signed by Bea, 0 were signed before\n")
    assert signed(desks) == [("P1", "Bea"), ("P2", "Bea"), ("P2", "Bea")]
    assert sign(desks, [header, *rows]).out == "1 units are signed by Bea, 3 were signed before\n"
    exported = desks.units("export", "--to", str(desks.folder / "out"), "--by", "Eve")
    assert exported.out.startswith("4 new")


def test_one_line_that_fits_no_longer_signs_none(desks: Desk) -> None:
    lines = listed(desks)
    desks.retract(1, "P1", MONDAYS[0])
    before = digest(desks)
    said = sign(desks, lines)
    assert (said.code, said.out) == (1, "")
    assert said.err.count("\n") == 1
    assert "Ready today.csv:" in said.err
    assert "patient P1: there is no unit 1" in said.err
    assert digest(desks) == before


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("date_of_service", "2026-03-03", "its date of service is 2026-03-02"),
        ("date_of_service", "3/2/2026", "column date_of_service: is no date"),
        ("tests", "2026-02-02 2026-02-09 2026-02-16 2026-02-24", "its tests are of 2026-02-02"),
        ("code", "G0250", "there is no unit 1"),
        ("patient", "ghost", "ghost"),
        ("period", "2", "there is no period 2"),
        ("unit", "one", "column unit:"),
    ],
)
def test_each_line_is_held_against_the_statement(desks: Desk, column: str, value: str, words: str) -> None:
    header, first, *_ = listed(desks)
    (row,) = csv.DictReader([header, first])
    row[column] = value
    before = digest(desks)
    said = sign(desks, [header, ",".join(row[name] for name in row)])
    assert (said.code, words in said.err) == (1, True), said.err
    assert digest(desks) == before


def test_a_flag_is_accepted_at_its_own_unit_only(desks: Desk) -> None:
    assert sign(desks, listed(desks), "--accept", "LATE_REPORT").code == 2
    assert desks.units("sign", "--by", "Bea").code == 2
    assert desks.units("sign", "P1", "--by", "Bea").code == 2
    assert desks.units("sign", "P1", "1", "--from", "x.csv", "--by", "Bea").code == 2


def test_an_empty_list_signs_nothing(desks: Desk) -> None:
    assert sign(desks, listed(desks)[:1]).out == "0 units are signed by Bea, 0 were signed before\n"
    assert sign(desks, [""]).code == 1
