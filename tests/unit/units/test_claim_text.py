"""Charges in whole cents and the words of each claim form."""

from __future__ import annotations

import datetime as dt
import re
from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.reporting.units import errors, model
from gateway.reporting.units.claim_text import ITEM_19_LIMIT, X12_LIMIT, charge_cents, claim_text, narrative
from gateway.reporting.units.model import EventType

DAY = dt.date(2024, 7, 3)


def unit(tests: int, *modifiers: str, code: model.Code = "G0249") -> model.Unit:
    ids = tuple(f"t{n}" for n in range(tests))
    return model.Unit(ids, DAY, DAY, DAY, code, modifiers, "billable", (), DAY)


@given(st.integers(0, 10_000_000), st.integers(1, 4))
def test_a_quarter_per_test_half_a_cent_up(full: int, tests: int) -> None:
    exact = Decimal(full) * tests / 4
    assert charge_cents(full, tests) == exact.quantize(Decimal(1), ROUND_HALF_UP)


@pytest.mark.parametrize(
    ("full", "tests", "cents"),
    [(10001, 1, 2500), (10002, 1, 2501), (10001, 2, 5001), (10001, 3, 7501), (10001, 4, 10001)],
)
def test_charges_on_the_edge(full: int, tests: int, cents: int) -> None:
    assert charge_cents(full, tests) == cents


def test_a_whole_unit_has_no_words() -> None:
    text = claim_text(unit(4), 12000)
    assert text == (12000, 1, "HC:G0249", "", "", "HC:G0249", "")


def test_a_partial_unit_says_how_many_and_why() -> None:
    text = claim_text(unit(3, "52"), 12000, "withdrawn")
    words = "3 OF 4 TESTS REPORTED REDUCED SERVICES PT WITHDREW"
    assert text == (9000, 1, f"HC:G0249:52::::{words}", words, words, f"HC:G0249:52::::{words}", words)


@pytest.mark.parametrize("ended", ["withdrawn", "death", "ma_transfer"])
@pytest.mark.parametrize("tests", [1, 2, 3])
def test_the_words_fit_every_form(ended: EventType, tests: int) -> None:
    text = claim_text(unit(tests, "52"), 12000, ended)
    parts = text.sv101.split(":")
    assert parts[:3] == ["HC", "G0249", "52"]
    assert parts[3:6] == ["", "", ""]
    assert text.sv202 == text.sv101
    for words, limit in (
        (parts[6], X12_LIMIT),
        (text.nte, X12_LIMIT),
        (text.item_19, ITEM_19_LIMIT),
        (text.block_80, ITEM_19_LIMIT),
    ):
        assert words.startswith(f"{tests} OF 4 TESTS REPORTED REDUCED SERVICES")
        assert len(words) <= limit


@given(st.text(max_size=200), st.integers(1, 80))
def test_a_narrative_has_only_letters_digits_and_single_spaces(words: str, limit: int) -> None:
    try:
        text = narrative(words, limit)
    except errors.BadValueError:
        assert not re.search("[A-Z0-9]", words.upper())
        return
    assert 1 <= len(text) <= limit
    assert re.fullmatch(r"[A-Z0-9]+( [A-Z0-9]+)*", text)


def test_what_cannot_be_claimed_is_refused() -> None:
    with pytest.raises(errors.BadValueError, match="without modifier 52"):
        claim_text(unit(3), 12000, "death")
    with pytest.raises(errors.BadValueError, match="ended_by: is missing"):
        claim_text(unit(3, "52"), 12000)
    with pytest.raises(errors.BadCodeError, match="'hold' ends no service"):
        claim_text(unit(3, "52"), 12000, "hold")
    with pytest.raises(errors.BadValueError, match="negative"):
        claim_text(unit(4), -1)
    with pytest.raises(errors.BadValueError, match="one to four"):
        charge_cents(100, 0)
