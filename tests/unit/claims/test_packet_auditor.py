"""The packet in an auditor's hands: the same on later days, in any script, with the papers themselves."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gateway.reporting.documents.recording import Attached, supersede_document
from tests.unit.claims.desk import MONDAYS, NOW, Desk

pytest.importorskip("reportlab")
needs_pdftotext = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext is not installed")


@pytest.fixture
def unit(desk: Desk) -> Desk:
    desk.patient()
    for taken in MONDAYS[:4]:
        desk.test("P1", taken)
    desk.paper("P1", "order", signed_on="2026-01-10", practitioner="Dr. Łucja Żółć")
    return desk


def packet(desk: Desk, name: str = "packet.pdf", *more: str) -> tuple[bytes, dict[str, Any]]:
    path = desk.folder / name
    said = desk.units("packet", "P1", "1", "--to", str(path), *more)
    assert said.code == 0, said.err
    return path.read_bytes(), json.loads(path.with_suffix(".manifest.json").read_text(encoding="utf-8"))


def words(desk: Desk, *more: str) -> str:
    packet(desk, "words.pdf", *more)
    said = subprocess.run(
        ["pdftotext", "-layout", str(desk.folder / "words.pdf"), "-"], capture_output=True, check=True
    )
    return said.stdout.decode()


# ---------------------------------------------------------------- the same on any later day


@pytest.mark.parametrize("claimed", [False, True])
def test_it_is_the_same_on_a_later_day(unit: Desk, claimed: bool) -> None:
    if claimed:
        unit.units("sign", "P1", "1", "--by", "Bea")
        unit.units("export", "--to", str(unit.folder / "out"), "--by", "Eve")
    first, manifest = packet(unit)
    for days in (1, 40, 400):
        unit.set_clock(NOW + dt.timedelta(days=days))
        again, other = packet(unit)
        assert again == first
        assert other == manifest
    assert manifest["as_of"] == "2026-03-30"


def test_what_becomes_known_moves_its_day(unit: Desk) -> None:
    first, _ = packet(unit)
    unit.set_clock(NOW + dt.timedelta(days=9))
    unit.paper("P1", "supply_delivery", date="2026-04-02", strips=12, proof="1Z999")
    second, manifest = packet(unit)
    assert second != first
    assert manifest["as_of"] == "2026-04-08"


def test_the_claim_itself_is_a_fact(unit: Desk) -> None:
    unit.units("sign", "P1", "1", "--by", "Bea")
    unit.set_clock(NOW + dt.timedelta(days=3))
    unit.units("export", "--to", str(unit.folder / "out"), "--by", "Eve")
    _, manifest = packet(unit)
    assert manifest["as_of"] == "2026-04-02"


def test_a_unit_whose_date_has_come_shows_so(unit: Desk) -> None:
    for taken in MONDAYS[4:8]:
        unit.test("P1", taken)
    path = unit.folder / "two.pdf"
    seen = []
    for days in (0, 1, 2, 30):
        unit.set_clock(NOW + dt.timedelta(days=days))
        assert unit.units("packet", "P1", "2", "--to", str(path)).code == 0
        seen.append(path.read_bytes())
    assert seen[0] == seen[1] == seen[2] == seen[3]
    unit.set_clock(MONDAYS[7] + dt.timedelta(hours=1))
    assert unit.units("packet", "P1", "2", "--to", str(path)).code == 0
    assert path.read_bytes() != seen[0]  # its date had not come


def test_an_end_that_comes_later_is_a_fact(unit: Desk) -> None:
    first, _ = packet(unit)
    unit.paper("P1", "event", type="withdrawn", date="2026-04-20")
    unit.set_clock(NOW + dt.timedelta(days=30))
    _, manifest = packet(unit)
    assert manifest["as_of"] == "2026-04-20"
    assert packet(unit)[0] != first


# ---------------------------------------------------------------- what a person reads


@needs_pdftotext
def test_letters_of_other_scripts_are_drawn(unit: Desk) -> None:
    unit.write("UPDATE patient SET family_name = 'Нгуен Thị Ánh', given_name = 'Žofia 注'")
    said = words(unit)
    assert "Dr. Łucja Żółć" in said
    assert "Нгуен Thị Ánh, Žofia [U+6CE8]" in said
    assert "\\u" not in said


@needs_pdftotext
def test_it_speaks_no_programmers_language(unit: Desk) -> None:
    said = words(unit)
    assert ".000Z" not in said
    assert "2026-02-02 15:06:00 UTC" in " ".join(said.split())
    options = said[said.index("Options:") : said.index("Rule ")]
    assert "None" not in options
    assert "False" not in options
    assert "late_report_limit_days none" in " ".join(options.split())


@needs_pdftotext
def test_a_patient_who_moved_shows_both_zones(unit: Desk) -> None:
    unit.write("INSERT INTO patient_zone VALUES ('P1', '2026-02-20', 'Pacific/Guam')")
    said = " ".join(words(unit).split())
    assert "America/Los_Angeles; Pacific/Guam from 2026-02-20" in said


@needs_pdftotext
def test_talks_with_the_patient_stand_beside_the_supplies(unit: Desk) -> None:
    unit.paper("P1", "contact", date="2026-02-05", reached=True, note="will test")
    unit.paper("P1", "eligibility", checked_on="2026-02-05", payer="medicare_ffs")
    said = " ".join(words(unit).split())
    order, supplies = said.index("Order, training, diagnosis"), said.index("Supplies and contacts")
    assert order < said.index("eligibility") < supplies < said.index("contact date") > supplies


# ---------------------------------------------------------------- the papers themselves


def test_attached_files_are_written_beside_it(unit: Desk) -> None:
    octets = b"%PDF-1.7 the signed order"
    order = unit.value("SELECT id FROM document WHERE kind = 'order'")
    made = supersede_document(unit.database, order, {}, "Ada", unit.now, Attached("../or der/é.pdf", octets))
    _, manifest = packet(unit)
    (item,) = [each for each in manifest["items"] if each["kind"] == "attachment"]
    assert item["facts"]["file"] == f"packet.files/{made.id}-or_der_.pdf" or item["facts"]["file"].startswith(
        f"packet.files/{made.id}-"
    )
    written = unit.folder / item["facts"]["file"]
    assert written.resolve().is_relative_to((unit.folder / "packet.files").resolve())
    assert written.read_bytes() == octets
    assert hashlib.sha256(written.read_bytes()).hexdigest() == item["sha256"]
    assert item["name"] == "../or der/é.pdf"


def test_without_attached_files_there_is_no_folder(unit: Desk) -> None:
    packet(unit)
    assert not (unit.folder / "packet.files").exists()


def test_two_packets_of_one_folder_do_not_mix(unit: Desk, tmp_path: Path) -> None:
    order = unit.value("SELECT id FROM document WHERE kind = 'order'")
    supersede_document(unit.database, order, {}, "Ada", unit.now, Attached("order.pdf", b"one"))
    packet(unit, "a.pdf")
    packet(unit, "b.pdf")
    assert {path.parent.name for path in tmp_path.rglob("*order.pdf")} == {"a.files", "b.files"}
