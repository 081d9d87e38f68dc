"""The audit packet: everything behind a unit, the same octets each time."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gateway.reporting import policies, statements
from gateway.reporting.claims.packet import make
from gateway.reporting.documents.recording import supersede_document
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
        "Dr. Łukasz Ng & Sons <x>",
        "G0248",
        "letter of 3 January",
        "1Z999",
        "abn (test 2)",
        "ncd-noridian 2020-04-29",
        "How it was decided before it was claimed, as of 2026-03-30",
        "Earliest date of service: 2026-03-02.",
    ):
        assert words in text, words


def words_of(desk: Desk) -> str:
    """The paper's text, without the breaks of its lines."""
    packet(desk)
    said = subprocess.run(
        ["pdftotext", "-raw", str(desk.folder / "packet.pdf"), "-"], capture_output=True, text=True, check=True
    ).stdout
    return " ".join(said.split())


def digests(manifest: dict[str, Any], kind: str) -> dict[str, str]:
    return {item["name"]: item["sha256"] for item in manifest["items"] if item["kind"] == kind}


@pytest.fixture
def claimed(unit: Desk) -> Desk:
    for action in (("sign", "P1", "1", "--by", "Bea"), ("export", "--to", str(unit.folder / "o"), "--by", "Eve")):
        assert unit.units(*action).code == 0
    return unit


def test_after_later_corrections_it_shows_what_was_claimed_and_apart_what_came_later(claimed: Desk) -> None:
    desk = claimed
    _, before = packet(desk)
    claim = desk.rows("claims")[0]["claim"]
    orders = [row for row in documents.listing(desk.database, "P1") if row.kind == "order"]
    desk.correct(2, "P1", MONDAYS[1], inr="3.7")
    desk.retract(3, "P1", MONDAYS[2])
    supersede_document(desk.database, orders[0].id, {"interval_days": "14"}, "Cy", desk.now)
    later = desk.paper("P1", "supply_contact", date="2026-03-01")
    _, after = packet(desk)
    for kind in ("result", "report", "evidence", "claim", "signature", "policy"):
        assert digests(before, kind) == digests(after, kind), kind
    assert digests(before, "document").items() < digests(after, "document").items()
    assert str(later) in digests(after, "document")
    assert digests(after, "later report") == {"C2-2": hashlib.sha256(b"MSH|2").hexdigest()}
    assert before["claim"] == after["claim"] == json.loads(desk.value("SELECT content FROM claim"))
    assert [test["inr"] for test in after["claim"]["unit"]["tests"]] == ["2.5"] * 4
    assert before["rested_on"] == after["rested_on"]
    assert {step[0] for step in after["rested_on"]["trace"]} == {"1", "2", "3", "4", "unit 1"}
    assert (
        hashlib.sha256(desk.value("SELECT content FROM claim").encode()).hexdigest()
        == digests(after, "claim")[claim]
    )


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext (poppler-utils) is not installed")
def test_the_paper_keeps_then_and_now_apart(claimed: Desk) -> None:
    desk = claimed
    assert "Nothing: what was known when it was claimed is what is known now." in words_of(desk)
    desk.correct(2, "P1", MONDAYS[1] + dt.timedelta(days=1), inr="3.7")
    file = desk.folder / "answers.csv"
    claim = desk.rows("claims")[0]["claim"]
    file.write_text(f"claim_id,posted_on,status,group,carc,amount\n{claim},2026-03-29,denied,CO,119,123.45\n")
    assert desk.units("denials", "import", str(file), "--by", "Dana").code == 0
    said = words_of(desk)
    then, _, later = said.partition("What came after the claim")
    assert "INR 3.7" in later
    assert "3.7" not in then
    assert "test 2 was claimed as of 2026-02-09, and was taken on 2026-02-10" in later
    assert "2026-03-29 denied $123.45 CO-119 frequency" in later
    assert "How it was decided before it was claimed, as of 2026-03-30" in then
    assert "reported on 2026-02-09" in then


def test_the_policy_file_may_change_and_the_packet_says_so(claimed: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = claimed
    changed = tuple(
        dataclasses.replace(each, min_days_first_test_to_dos=27) for each in policies.shipped_policies()
    )
    monkeypatch.setattr(statements, "shipped_policies", lambda: changed)
    _, manifest = packet(desk)
    (shown,) = digests(manifest, "policy").values()
    assert shown != manifest["rested_on"]["policy_sha256"]


def test_a_claim_that_is_older_than_its_basis_has_a_packet_too(
    claimed: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make, "kept_basis", lambda *_: None)
    _, manifest = packet(claimed)
    assert manifest["rested_on"] is None
    assert set(digests(manifest, "result")) == {"1", "2", "3", "4"}


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
