"""The profile of `drivers.meters.ble_ghs`, read and checked. Everything in it has a default."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, StrictBool, StringConstraints, model_validator

from drivers.contract import Security
from drivers.meters.coagulation_profile import (
    COAGULATION,
    CoagulationProfile,
    Quiet,
    Seconds,
    SettableClock,
    Specializations,
)
from drivers.meters.profile import Table
from drivers.protocols.ghs import names
from drivers.protocols.ghs.procedure import Settings
from drivers.protocols.ieee11073 import nomenclature as mdc

__all__ = ["GhsProfile"]

_DEFAULTS: Final = Settings()
_SOURCES: Final = {name: number for number, name in names.SYNC_SOURCES.items()}


class Bluetooth(Table):
    """``[bluetooth]``: how the meter is recognised, and what the connection must have before anything is read."""

    security: Security = "encrypted"
    specializations: Specializations = COAGULATION


class Conversation(Table):
    """``[conversation]``: see `drivers.protocols.ghs.procedure.Settings`."""

    any_meter: StrictBool = False
    read_stored: StrictBool = True
    live: StrictBool = True
    link_s: Seconds = _DEFAULTS.link_s
    answer_s: Seconds = _DEFAULTS.answer_s
    report_s: Seconds = _DEFAULTS.report_s
    busy_s: Seconds = _DEFAULTS.busy_s
    close_when_quiet_s: Quiet = _DEFAULTS.close_when_quiet_s

    @model_validator(mode="after")
    def _reads_something(self) -> Self:
        if not (self.read_stored or self.live):
            raise ValueError("neither read_stored nor live: nothing would ever be read")
        return self


class MeterNames(Table):
    """``[meter]``: what to call a meter that does not say who made it."""

    vendor: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None


class Clock(SettableClock):
    """``[clock]``: whether the meter's clock is set, and what its stamps are worth.

    Attributes:
        set_beyond_s: smaller errors are left alone.
        source: how the hub's own clock is kept; a meter may refuse a poor one.
        old_timeline: "unknown": a stamp from before the clock was changed is no time; "believed": it is one.
    """

    set_beyond_s: Annotated[float, Field(ge=1)] = _DEFAULTS.set_time_beyond_s
    source: Literal["unknown", "ntp", "gps", "radio", "manual", "atomic", "cellular"] = "ntp"
    old_timeline: Literal["unknown", "believed"] = "unknown"


class GhsProfile(CoagulationProfile):
    """The whole profile."""

    driver: Literal["ble_ghs"] = "ble_ghs"
    bluetooth: Bluetooth = Bluetooth()
    conversation: Conversation = Conversation()
    meter: MeterNames = MeterNames()
    clock: Clock = Clock()

    def settings(self, now: Callable[[ZoneInfo], datetime]) -> Settings:
        """The session's settings; `now` tells the present in a zone."""
        values: dict[str, Any] = self.conversation.model_dump(exclude={"any_meter"})
        zone = self.zone
        return Settings(
            accepts=frozenset() if self.conversation.any_meter else frozenset({mdc.INR, mdc.CONTROL}),
            specializations=frozenset(self.bluetooth.specializations),
            set_time=self.clock.set,
            set_time_beyond_s=self.clock.set_beyond_s,
            time_source=_SOURCES[self.clock.source],
            local_now=None if zone is None else lambda: now(ZoneInfo(zone)),
            **values,
        )
