"""What the profiles of the IEEE 11073 family have in common, whichever transport carries it."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final, Self

from pydantic import Field, StringConstraints, model_validator

from drivers.meters.profile import Profile, Table, Zone
from drivers.protocols.ieee11073 import nomenclature as mdc
from drivers.protocols.ieee11073.procedure import TimePolicy

__all__ = ["COAGULATION", "CoagulationProfile", "Limits", "Quiet", "Seconds", "SettableClock", "Specializations"]

Seconds = Annotated[float, Field(gt=0, le=3600)]
Quiet = Annotated[float, Field(ge=0, le=86_400)]
"""Seconds of silence after which a conversation is ended; 0 at once."""
Specializations = tuple[Annotated[int, Field(ge=0, le=0xFFFF)], ...]
"""Terms of partition 8 by which a meter is recognised."""
COAGULATION: Final = (mdc.COAGULATION_PROFILE & 0xFFFF,)
Limit = Annotated[Decimal, Field(gt=0, lt=100, decimal_places=2)]


class Limits(Table):
    """``[limits]``: the meter's measuring range, which these protocols do not transmit."""

    above: Limit | None = None
    below: Limit | None = None
    source: Annotated[str, StringConstraints(max_length=200)] = ""

    @model_validator(mode="after")
    def _is_sourced(self) -> Self:
        if (self.above or self.below) and not self.source.strip():
            raise ValueError(
                "limits need a source (manual or approval with page); they stand for what no meter sent"
            )
        if self.above is not None and self.below is not None and self.above <= self.below:
            raise ValueError("above must be larger than below")
        return self


class SettableClock(Table):
    """``[clock]``: whether the meter's clock is set."""

    set: TimePolicy = TimePolicy.NEVER


class CoagulationProfile(Profile):
    """Base of the whole profiles."""

    zone: Zone | None = None
    limits: Limits = Limits()
    clock: SettableClock = SettableClock()

    @model_validator(mode="after")
    def _zone_for_a_clock_that_is_set(self) -> Self:
        if self.clock.set is not TimePolicy.NEVER and self.zone is None:
            raise ValueError("a meter's clock can be set only where its zone is known; write zone = ...")
        return self
