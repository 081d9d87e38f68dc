"""The audit packet: everything behind a unit, the same octets each time."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gateway.store import documents
from tests.unit.claims.desk import MONDAYS, Desk

pytest.importorskip("reportlab")


@pytest.fixture
def unit(desk: Desk) -> Desk:
    desk.patient()
    tests = [desk.test("P1", taken) for taken in MONDAYS[:4]]
    desk.paper("P1", "order", signed_on="2026-01-10", practitioner="Dr. Łukasz Ng & Sons <x>", interval_days=7)
    desk.paper(
        "P1",
        "training",
        date="2026-01-15",
        code="G0248",
        trainer="Nurse",
        able_to_test=True,
        able_to_report=True,
    )
    desk.paper("P1", "diagnosis", codes=["I48.20"], evidence="letter of 3 January", from_="2025-01-01")
    desk.paper("P1", "warfarin", start="2025-01-01")
    desk.paper("P1", "supply_delivery", date="2026-01-20", strips=12, proof="1Z999")
    desk.paper("P1", "abn", tests[1], signed_at="2026-02-08T16:00:00+00:00")
    return desk


def packet(desk: Desk, name: str = "packet.pdf") -> tuple[bytes, dict[str, Any]]:
    path = desk.folder / name
    said = desk.units("packet", "P1", "1", "--to", str(path))
    assert said.code == 0, said.err
    manifest: dict[str, Any] = json.loads(path.with_suffix(".manifest.json").read_text())
    return path.read_bytes(), manifest


def test_the_same_facts_give_the_same_octets(unit: Desk) -> None:
    first, manifest = packet(unit)
    again, _ = packet(unit, "again.pdf")
    assert first == again
    assert first.startswith(b"%PDF-1.")
    assert manifest["packet"] == {
        "file": "packet.pdf",
        "sha256": hashlib.sha256(first).hexdigest(),
        "octets": len(first),
    }


def test_the_manifest_has_a_digest_of_everything(unit: Desk) -> None:
    _, manifest = packet(unit)
    items = {(item["kind"], item["name"]): item["sha256"] for item in manifest["items"]}
    kinds = {kind for kind, _ in items}
    assert {"result", "report", "evidence", "document", "policy"} <= kinds
    assert items[("report", "C1-1")] == hashlib.sha256(b"MSH|1").hexdigest()
    assert items[("evidence", "C4-1/1")] == hashlib.sha256(b"MSA|AA|4").hexdigest()
    held = {str(each.id): each.sha256 for each in documents.listing(unit.database, "P1")}
    assert {name: sha for (kind, name), sha in items.items() if kind == "document"} == held
    assert {step["about"] for step in manifest["trace"]} == {"1", "2", "3", "4", "unit 1"}
    body = unit.value("SELECT body FROM version WHERE result_id = 2")
    assert items[("result", "2")] == hashlib.sha256(body.encode()).hexdigest()


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext (poppler-utils) is not installed")
def test_the_paper_says_it_all(unit: Desk) -> None:
    for action in (("sign", "P1", "1", "--by", "Bea"), ("export", "--to", str(unit.folder / "o"), "--by", "Eve")):
        assert unit.units(*action).code == 0
    packet(unit)
    text = subprocess.run(
        ["pdftotext", "-layout", str(unit.folder / "packet.pdf"), "-"], capture_output=True, text=True, check=True
    ).stdout
    claim = unit.rows("claims")[0]["claim"]
    for words in (
        "Example, Robin",
        claim,
        "by Bea at",
        "SNP1",
        "564636",
        "Riverside Clinic",
        "C3-1",
        "Dr. \\u0141ukasz Ng & Sons <x>",
        "G0248",
        "letter of 3 January",
        "1Z999",
        "abn (test 2)",
        "ncd-noridian 2020-04-29",
        "How it was decided before it was claimed, as of 2026-03-30",
        "Earliest date of service: 2026-03-02.",
    ):
        assert words in text, words


def test_a_changed_fact_changes_the_packet(unit: Desk) -> None:
    first, _ = packet(unit)
    unit.paper("P1", "supply_contact", date="2026-03-01")
    assert packet(unit)[0] != first


@pytest.mark.parametrize(
    ("unit_number", "name", "refusal"),
    [
        ("7", "p.pdf", "there is no unit 7"),
        ("1", "p.txt", "ends in .pdf"),
        ("1", "file/p.pdf", "cannot be written"),
    ],
)
def test_refusals(unit: Desk, unit_number: str, name: str, refusal: str) -> None:
    (unit.folder / "file").write_text("in the way")
    said = unit.units("packet", "P1", unit_number, "--to", str(unit.folder / name))
    assert said.code == 1
    assert refusal in said.err
    assert not list(Path(unit.folder).glob("*.manifest.json"))
