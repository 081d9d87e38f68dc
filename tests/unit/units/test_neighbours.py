"""Codes beside the units: who may bill them, and what a person should look at (rules R32, R33, R36)."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from gateway.reporting.units import model, tally
from gateway.reporting.units.billers import obstacle
from gateway.reporting.units.diagnoses import DiagnosisTable
from gateway.reporting.units.neighbours import Caution, Service, cautions
from tests.unit.units.build import ENROLLED, policy, weekly

AS_OF = dt.date(2024, 7, 5)
SESSION = dt.date(2024, 5, 1)
SECOND = dt.date(2024, 6, 12)
"""Day of the test t2."""


@pytest.fixture
def physician(table: DiagnosisTable) -> tuple[model.Unit, ...]:
    """A G0250 unit of t1 to t4."""
    reviewed = [test._replace(reviewed_at=test.acknowledged_at) for test in weekly(4)]
    units = tally(ENROLLED, reviewed, (), (), policy(table, min_days_first_test_to_dos=0), AS_OF).units
    return tuple(unit._replace(code="G0250") for unit in units)


def test_the_inr_that_a_93793_names_is_told(physician: tuple[model.Unit, ...]) -> None:
    (found,) = cautions([Service("93793", SECOND, test="t2", billed_by="Riverside Clinic")], physician)
    words = "The INR t2 is in a G0250 unit: 93793 pays it again (billed by Riverside Clinic)."
    assert found == Caution("R32", SECOND, words, "t2")
    assert cautions([Service("93793", SECOND, test="t5")], physician, {"t2": SECOND}) == ()


def test_a_93793_that_names_no_inr_is_held_against_those_of_its_day(physician: tuple[model.Unit, ...]) -> None:
    days = {"t2": SECOND, "t9": SECOND, "t3": SECOND + dt.timedelta(days=7)}
    (found,) = cautions([Service("93793", SECOND)], physician, days)
    assert (found.rule, found.date, found.test) == ("R32", SECOND, "t2")
    assert "names no INR" in found.words
    assert cautions([Service("93793", SECOND - dt.timedelta(days=1))], physician, days) == ()
    supplier = tuple(unit._replace(code="G0249") for unit in physician)
    assert cautions([Service("93793", SECOND)], supplier, days) == ()


def test_the_training_code_of_another_house_was_the_one_of_this_life() -> None:
    ours = Service("G0248", SESSION)
    theirs = Service("G0248", dt.date(2021, 3, 1), billed_by="Acelis")
    (found,) = cautions([ours, theirs])
    assert found == Caution(
        "R33", SESSION, "G0248 is paid once in a lifetime; it was billed for 2021-03-01 already (by Acelis)."
    )


@pytest.mark.parametrize(
    ("kind", "code", "said"),
    [
        ("idtf", "G0250", "independent diagnostic testing facility"),
        ("physician", "G0250", ""),
        ("hospital", "G0250", ""),
        ("idtf", "G0249", ""),
        (None, "G0249", ""),
        (None, "G0250", ""),
    ],
)
def test_a_testing_facility_cannot_bill_the_physicians_side(kind: str, code: str, said: str) -> None:
    found = obstacle(kind, code)  # type: ignore[arg-type]
    assert bool(found) == bool(said)
    assert said in found


def claims(table: DiagnosisTable, *units: model.ClaimedUnit) -> tuple[str, ...]:
    return tally(ENROLLED, weekly(6), (), units, policy(table), dt.date(2024, 7, 20)).notices


def test_a_claim_that_contradicts_itself_stays_as_it_is_and_is_told(table: DiagnosisTable) -> None:
    four, three = ("t1", "t2", "t3", "t4"), ("t1", "t2", "t3")
    last = dt.date(2024, 6, 26)
    assert claims(table, model.ClaimedUnit(four, last)) == ()
    assert claims(table, model.ClaimedUnit(three, last, "G0249", ("52",))) == ()
    (early,) = claims(table, model.ClaimedUnit(four, last - dt.timedelta(days=1)))
    assert "date of service 2024-06-25 lies before its last test, on 2024-06-26" in early
    (short,) = claims(table, model.ClaimedUnit(three, last))
    assert "three tests" in short
    assert "modifier 52" in short
    (whole,) = claims(table, model.ClaimedUnit(four, last, "G0249", ("52",)))
    assert "four tests" in whole
    assert "modifier 52" in whole


def test_the_physicians_side_knows_no_part_of_a_unit(table: DiagnosisTable) -> None:
    reviewed = [test._replace(reviewed_at=test.acknowledged_at) for test in weekly(6)]
    house = policy(table).for_service("G0250")
    part = model.ClaimedUnit(("t1", "t2"), dt.date(2024, 6, 26), "G0250")
    (found,) = tally(ENROLLED, reviewed, (), [part], house, dt.date(2024, 7, 20)).notices
    assert "two tests" in found
    assert "no partial unit" in found


@pytest.mark.parametrize("drug", ["heparin", "heparin sodium", "low-molecular-weight heparin"])
def test_heparin_under_any_of_its_names(table: DiagnosisTable, drug: str) -> None:
    span = model.Therapy(drug, dt.date(2024, 6, 10), dt.date(2024, 6, 14))
    bridged = replace(ENROLLED, therapies=(model.Therapy("warfarin", dt.date(2024, 1, 2), None), span))
    (notice,) = tally(bridged, weekly(4), (), (), policy(table), AS_OF).notices
    assert "heparin, which can disturb the INR (tests of those days: t2)" in notice
    alone = replace(ENROLLED, anticoagulant=drug)
    assert "Heparin alone gives no eligibility" in tally(alone, (), (), (), policy(table), AS_OF).notices[0]
