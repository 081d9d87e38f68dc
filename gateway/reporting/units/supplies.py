"""Strips on hand, and the earliest days to ask for a refill and to deliver one (rule R30).

Every strip that the meter used is gone, whether it gave a result, an error or a control. Plans name different
distances; seven and five days satisfy every version that was seen.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from gateway.reporting.units.errors import BadValueError
from gateway.reporting.units.model import Test
from gateway.reporting.units.screening import SAME_TEST_WITHIN

CONTACT_BEFORE_SHIPPING_DAYS: Final = 7
DELIVER_BEFORE_EXHAUSTION_DAYS: Final = 5
DAYS_BETWEEN_TESTS: Final = 7


class Delivery(NamedTuple):
    """Strips that reached the patient; without `proof` (carrier's confirmation, signed receipt) it still counts."""

    date: dt.date
    strips: int
    proof: str | None = None


class Supply(NamedTuple):
    """The stock of strips.

    Attributes:
        on_hand: delivered less used and wasted; negative where a delivery is missing from the record.
        exhausted_on: the day of the first test without a strip, at the ordered interval.
        deliver_from: earliest delivery; `contact_from` the earliest question about a refill.
        unproven: dates of deliveries without proof.
    """

    on_hand: int
    exhausted_on: dt.date
    deliver_from: dt.date
    contact_from: dt.date
    unproven: tuple[dt.date, ...]


def supply(
    deliveries: Iterable[Delivery],
    tests: Iterable[Test],
    wasted: int,
    as_of: dt.date,
    *,
    interval_days: int = DAYS_BETWEEN_TESTS,
    shipping_days: int = 0,
) -> Supply:
    """The stock on `as_of`.

    Args:
        deliveries: all deliveries; later ones than `as_of` are unknown.
        tests: all tests ever known. A clinic test, a correction of a test among them and a manual entry of a test
            that the meter delivered too used no strip of their own.
        wasted: strips known to be lost, out of date or spoilt.
        as_of: the day.
        interval_days: days between tests as ordered.
        shipping_days: days a parcel takes; a refill is asked for at most seven days before it is shipped.

    Raises:
        BadValueError: a negative count, or an interval below one day.
    """
    arrived = [delivery for delivery in deliveries if delivery.date <= as_of]
    if wasted < 0 or shipping_days < 0 or any(delivery.strips < 0 for delivery in arrived):
        raise BadValueError(
            "strips", "a count is negative", "record wasted strips and deliveries as positive numbers"
        )
    if interval_days < 1:
        raise BadValueError("interval_days", f"{interval_days} is below one day", "give the ordered interval")
    on_hand = sum(delivery.strips for delivery in arrived) - _used(tuple(tests)) - wasted
    exhausted_on = as_of + dt.timedelta(days=max(on_hand, 0) * interval_days + 1)
    deliver_from = exhausted_on - dt.timedelta(days=DELIVER_BEFORE_EXHAUSTION_DAYS)
    contact_from = deliver_from - dt.timedelta(days=shipping_days + CONTACT_BEFORE_SHIPPING_DAYS)
    unproven = tuple(delivery.date for delivery in arrived if not delivery.proof)
    return Supply(on_hand, exhausted_on, deliver_from, contact_from, unproven)


def _used(tests: Sequence[Test]) -> int:
    """Strips that the meter used for `tests`, each counted once however often its record came."""
    known = {test.id for test in tests}
    at_home = [test for test in tests if test.kind != "clinic" and test.corrects not in known]
    delivered = [test for test in at_home if test.source == "device"]
    # A void manual entry says that there was no such test; a void record of the meter, that its value is not valid.
    told = [test for test in at_home if test.source == "manual" and not test.voided]
    phoned = [entry for entry in told if not any(_is_same_test(entry, test) for test in delivered)]
    return len({_record(test) for test in delivered}) + len(phoned)


def _is_same_test(entry: Test, test: Test) -> bool:
    """Whether a manual `entry` says what the meter delivered as `test` (R21), with or without evidence for it."""
    numbered = entry.device_serial is not None and entry.device_seq is not None and test.device_seq is not None
    if numbered and entry.device_serial == test.device_serial:
        return entry.device_seq == test.device_seq
    if test.kind != "patient" or (entry.inr, entry.inr_text) != (test.inr, test.inr_text):
        return False
    one, other = entry.taken_at, test.taken_at
    if one.tzinfo is None or other.tzinfo is None:  # one of them is wall time of the patient's zone
        one, other = one.replace(tzinfo=None), other.replace(tzinfo=None)
    return abs(one - other) <= SAME_TEST_WITHIN


def _record(test: Test) -> tuple[object, ...]:
    """What makes two copies of one record the same strip."""
    if test.device_serial is not None and test.device_seq is not None:
        return (test.device_serial, test.device_seq)
    return (test.id,)
