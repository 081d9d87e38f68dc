"""Ids and amounts."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from gateway.reporting.claims.record import claim_id
from gateway.reporting.claims.x12 import amount

TESTS = st.lists(st.integers(1, 99).map(str), min_size=1, max_size=4, unique=True)
DAYS = st.dates(dt.date(2020, 1, 1), dt.date(2030, 12, 31)).map(str)


@given(st.integers(0, 10**9))
def test_an_amount_is_exact_and_has_no_needless_digits(cents: int) -> None:
    text = amount(cents)
    assert Decimal(text) * 100 == cents
    assert text == f"{Decimal(text):f}"
    assert "." not in text or text[-1] not in "0."


@given(TESTS, DAYS, st.sampled_from([1, 7, 8]), st.randoms())
def test_an_id_depends_on_what_is_claimed_and_not_on_the_order(tests, dos, frequency, random) -> None:  # type: ignore[no-untyped-def]  # hypothesis gives the types
    shuffled = [*tests]
    random.shuffle(shuffled)
    made = claim_id("P1", tests, "G0249", dos, frequency)
    assert made == claim_id("P1", shuffled, "G0249", dos, frequency)
    assert len(made) == 20
    assert made.isalnum()
    others = {
        claim_id("P2", tests, "G0249", dos, frequency),
        claim_id("P1", [*tests, "100"], "G0249", dos, frequency),
        claim_id("P1", tests, "G0250", dos, frequency),
        claim_id("P1", tests, "G0249", "2031-01-01", frequency),
        claim_id("P1", tests, "G0249", dos, 1 if frequency != 1 else 7),
        claim_id("P1", tests, "G0249", dos, frequency, made),
    }
    assert made not in others
    assert len(others) == 6
