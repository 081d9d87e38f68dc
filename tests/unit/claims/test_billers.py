"""An independent diagnostic testing facility (IDTF) cannot bill the physician's side (rule R32)."""

from __future__ import annotations

import json

import pytest

from tests.unit.claims.desk import MONDAYS, PRICES, Desk

G0250 = ("--service", "G0250")
PRICE = '\n[[price]]\ncode = "G0250"\neffective_from = 2026-01-01\ncents = 900\n'


@pytest.fixture
def reviewed(desk: Desk) -> Desk:
    (desk.folder / "prices.toml").write_text(PRICES + PRICE, encoding="utf-8")
    desk.patient("P1")
    for taken in MONDAYS[:4]:
        test = desk.test("P1", taken)
        desk.paper("P1", "review", test, reviewed_at=taken.isoformat(), practitioner="Dr. Roe")
    return desk


def biller(desk: Desk, kind: str) -> None:
    desk.set_clock(desk.now)
    with (desk.folder / "server.toml").open("a", encoding="utf-8") as file:
        file.write(f'[delivery.supplier]\nkind = "{kind}"\n')


def test_a_testing_facility_signs_its_own_side_alone(reviewed: Desk) -> None:
    biller(reviewed, "idtf")
    refused = reviewed.units("sign", "P1", "1", "--by", "Bea", *G0250)
    assert refused.code == 1
    assert "patient P1, unit 1: an independent diagnostic testing facility (IDTF) cannot bill G0250" in refused.err
    assert reviewed.value("SELECT count(*) FROM sign_off") == 0
    assert reviewed.units("sign", "P1", "1", "--by", "Bea").code == 0
    assert "cannot bill G0250" in reviewed.units("statement", "P1", *G0250).out
    assert "cannot bill" not in reviewed.units("statement", "P1").out
    assert "cannot bill G0250" in json.loads(reviewed.units("statement", "P1", "--json", *G0250).out)["notices"][-1]


def test_its_lists_offer_no_unit_that_it_cannot_bill_and_the_practices_keep_their_count(reviewed: Desk) -> None:
    biller(reviewed, "idtf")
    ready = reviewed.units("worklist", "ready", *G0250)
    assert (ready.code, ready.out) == (0, "ready: nothing\n")
    assert "cannot bill G0250" in ready.err
    assert len(reviewed.rows("worklist", "ready")) == 1
    assert [row["units"] for row in reviewed.rows("worklist", "practices")] == [1]


def test_what_was_signed_before_is_not_exported_and_what_was_claimed_can_only_be_voided(reviewed: Desk) -> None:
    out = ("--to", str(reviewed.folder / "out"), "--by", "Eve")
    biller(reviewed, "physician")
    reviewed.units("sign", "P1", "1", "--by", "Bea", *G0250)
    biller(reviewed, "idtf")
    refused = reviewed.units("export", *out)
    assert refused.code == 1
    assert "is signed, but an independent diagnostic testing facility" in refused.err
    assert reviewed.rows("claims") == []
    biller(reviewed, "hospital")
    assert reviewed.units("export", *out).code == 0
    (claim,) = reviewed.rows("claims")
    biller(reviewed, "idtf")
    words = (str(claim["claim"]), "--by", "Bea", "--note", "not ours to bill")
    assert "cannot bill G0250" in reviewed.units("replace", *words).err
    assert reviewed.units("void", *words).code == 0


def test_while_nobody_has_said_what_the_house_is_a_person_is_asked(reviewed: Desk) -> None:
    words = "say in server.toml what kind of biller this is"
    assert words in reviewed.units("statement", "P1", *G0250).out
    assert words in reviewed.units("worklist", "ready", *G0250).err
    assert len(reviewed.rows("worklist", "ready", *G0250)) == 1
    assert words in reviewed.units("sign", "P1", "1", "--by", "Bea", *G0250).out
    assert words not in reviewed.units("sign", "P1", "1", "--by", "Bea").out
    biller(reviewed, "physician")
    assert words not in reviewed.units("statement", "P1", *G0250).out


def test_another_kind_is_refused(reviewed: Desk) -> None:
    biller(reviewed, "IDTF")
    said = reviewed.units("statement", "P1")
    assert said.code == 2
    assert "kind" in said.err
