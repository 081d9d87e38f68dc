"""Which waiting value must not wait quietly."""

from __future__ import annotations

from decimal import Decimal

from gateway.result import Kind, Quantity, Result
from gateway.server.configuration import Safety

__all__ = ["is_urgent"]


def is_urgent(result: Result | None, safety: Safety) -> bool:
    """Whether a patient's INR lies beyond the configured limits; without limits nothing does.

    A reading off the meter's own range counts as beyond when its side has a limit: its true value is not known.
    """
    if result is None or result.kind is not Kind.PATIENT or result.inr is None:
        return False
    low, high = safety.low, safety.high
    return (high is not None and _above(result.inr, high)) or (low is not None and _below(result.inr, low))


def _above(inr: Quantity, limit: Decimal) -> bool:
    return inr.comparator == ">" or (inr.value is not None and Decimal(inr.value) > limit)


def _below(inr: Quantity, limit: Decimal) -> bool:
    return inr.comparator == "<" or (inr.value is not None and Decimal(inr.value) < limit)
