"""Who ordered the tests stands in every claim: payers deny for its lack (CARC 16 with MA13 or N264)."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.reporting.claims.orderer import name_parts
from gateway.reporting.claims.record import ClaimRecord
from gateway.reporting.documents.recording import RefusedError, add_document
from tests.unit.claims.desk import MONDAYS, Desk

NPI = "1234567893"


def exported(desk: Desk, name: str = "out") -> tuple[dict[str, Any], Path]:
    folder = desk.folder / name
    said = desk.units("export", "--to", str(folder), "--by", "Eve")
    assert said.code == 0, said.err
    claims = json.loads((folder / "claims.json").read_text(encoding="utf-8"))["claims"]
    return claims[-1], folder


@pytest.fixture
def unit(desk: Desk) -> Desk:
    desk.patient()
    for taken in MONDAYS[:4]:
        desk.test("P1", taken)
    return desk


def sign(desk: Desk) -> None:
    assert desk.units("sign", "P1", "1", "--by", "Bea").code == 0


def test_the_order_in_force_names_the_orderer_in_every_form(unit: Desk) -> None:
    unit.paper("P1", "order", signed_on="2025-06-01", expires_on="2026-01-31", practitioner="Dr. Old", npi=NPI)
    unit.paper("P1", "order", signed_on="2026-01-10", practitioner="Dr. Ana María O'Neill-Vé, MD", npi=NPI)
    unit.paper("P1", "order", signed_on="2026-03-20", practitioner="Dr. New", npi=NPI)
    sign(unit)
    claim, folder = exported(unit)
    assert claim["ordering_provider"] == {
        "name": "Dr. Ana María O'Neill-Vé, MD",
        "npi": NPI,
        "signed_on": "2026-01-10",
    }
    (row,) = csv.DictReader((folder / "claims.csv").read_text(encoding="utf-8").splitlines())
    assert (row["ordering_provider"], row["ordering_npi"]) == ("Dr. Ana María O'Neill-Vé, MD", NPI)
    lines = (folder / f"{claim['claim_id']}.837p.x12").read_text().splitlines()
    assert lines[-1] == f"NM1*DK*1*O'NEILL-VE*ANA****XX*{NPI}~"
    assert "NM1" not in (folder / f"{claim['claim_id']}.837i.x12").read_text()


def test_without_a_number_the_name_alone_stands_and_the_desk_is_told(unit: Desk) -> None:
    unit.paper("P1", "order", signed_on="2026-01-10", practitioner="Dr. Ana Valley")
    sign(unit)
    said = unit.units("export", "--to", str(unit.folder / "out"), "--by", "Eve")
    (claim,) = json.loads((unit.folder / "out" / "claims.json").read_text(encoding="utf-8"))["claims"]
    assert claim["ordering_provider"]["npi"] is None
    assert f"no NPI of the ordering practitioner: {claim['claim_id']}" in said.out
    assert "NM1" not in (unit.folder / "out" / f"{claim['claim_id']}.837p.x12").read_text()


def test_an_order_of_the_registry_names_nobody(unit: Desk) -> None:
    sign(unit)
    claim, _ = exported(unit)
    assert claim["ordering_provider"] is None


def test_a_claim_denied_for_the_orderer_is_replaced_with_the_right_one(unit: Desk) -> None:
    sign(unit)
    claim, _ = exported(unit)
    (unit.folder / "era.csv").write_text(
        f"claim_id,posted_on,status,group,carc,rarc\n{claim['claim_id']},2026-03-30,denied,CO,16,N264\n"
    )
    assert unit.units("denials", "import", str(unit.folder / "era.csv"), "--by", "Dee").code == 0
    unit.paper("P1", "order", signed_on="2026-01-10", practitioner="Valley, Ana", npi=NPI)
    assert unit.units("replace", claim["claim_id"], "--by", "Bea", "--note", "NPI added").code == 0
    again, folder = exported(unit, "again")
    assert (again["follows"], again["ordering_provider"]["npi"]) == (claim["claim_id"], NPI)
    assert f"NM1*DK*1*VALLEY*ANA****XX*{NPI}~" in (folder / f"{again['claim_id']}.837p.x12").read_text()


def test_a_claim_kept_before_orderers_were_reads_and_hashes_as_it_was(unit: Desk) -> None:
    sign(unit)
    exported(unit)
    text, sha256 = unit.database.execute("SELECT content, content_sha256 FROM claim").fetchone()
    assert "orderer" not in json.loads(text)
    record = ClaimRecord.read(text)
    assert (record.text(), record.sha256) == (text, sha256)


@pytest.mark.parametrize("npi", ["1234567890", "123456789", "12345678931", "abc"])
def test_a_number_that_is_none_is_refused(unit: Desk, npi: str) -> None:
    content = {"patient": "P1", "signed_on": "2026-01-10", "practitioner": "V", "npi": npi}
    with pytest.raises(RefusedError, match="column npi"):
        add_document(unit.database, "order", content, "Ada", unit.now)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("Dr. Ana Valley", ("VALLEY", "ANA")),
        ("Valley, Ana", ("VALLEY", "ANA")),
        ("Ana B. Valley, MD, PhD", ("VALLEY", "ANA")),
        ("VALLEY", ("VALLEY", "")),
        ("Prof. Dr. Łucja Żółć-Müller", ("ZOLC-MULLER", "LUCJA")),
        ("Dr.", ("", "")),
        ("注", ("", "")),
        ("X*Y~Z: Ann", ("ANN", "X")),
    ],
)
def test_a_name_as_x12_takes_it(name: str, parts: tuple[str, str]) -> None:
    assert name_parts(name) == parts


def test_nobody_by_that_name_is_exported(unit: Desk) -> None:
    said = unit.units("export", "--to", str(unit.folder / "out"), "--by", "Eve", "--patient", "ghost")
    assert (said.code, "no patient ghost" in said.err) == (1, True)
