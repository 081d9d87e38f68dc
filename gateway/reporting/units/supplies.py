"""Strips on hand, and the earliest days to ask for a refill and to deliver one (rule R30).

Every strip that the meter used is gone, whether it gave a result, an error or a control. Plans name different
distances; seven and five days satisfy every version that was seen.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Final, NamedTuple

from gateway.reporting.units.errors import BadValueError
from gateway.reporting.units.model import Test

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
        tests: all tests ever known; a manual entry, a clinic test and a correction used no strip of their own.
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
    used = {_record(test) for test in tests if _used_a_strip(test)}
    on_hand = sum(delivery.strips for delivery in arrived) - len(used) - wasted
    exhausted_on = as_of + dt.timedelta(days=max(on_hand, 0) * interval_days + 1)
    deliver_from = exhausted_on - dt.timedelta(days=DELIVER_BEFORE_EXHAUSTION_DAYS)
    contact_from = deliver_from - dt.timedelta(days=shipping_days + CONTACT_BEFORE_SHIPPING_DAYS)
    unproven = tuple(delivery.date for delivery in arrived if not delivery.proof)
    return Supply(on_hand, exhausted_on, deliver_from, contact_from, unproven)


def _used_a_strip(test: Test) -> bool:
    return test.source == "device" and test.kind != "clinic" and test.corrects is None


def _record(test: Test) -> tuple[object, ...]:
    """What makes two copies of one record the same strip."""
    if test.device_serial is not None and test.device_seq is not None:
        return (test.device_serial, test.device_seq)
    return (test.id,)
