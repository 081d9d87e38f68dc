"""The profile of `drivers.meters.ieee11073`, read and checked. Everything in it has a default."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import StringConstraints

from drivers.meters.coagulation_profile import COAGULATION, CoagulationProfile, Quiet, Seconds, Specializations
from drivers.meters.profile import Table
from drivers.protocols.ieee11073 import nomenclature as mdc
from drivers.protocols.ieee11073.procedure import Settings

__all__ = ["Ieee11073Profile"]


class Conversation(Table):
    """``[association]``: how the manager behaves; see `drivers.protocols.ieee11073.procedure.Settings`."""

    system_id: Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{16}$")] = "0200000000000001"
    any_meter: bool = False
    association_s: Seconds = 10.0
    configuration_s: Seconds = 10.0
    answer_s: Seconds = 3.0
    release_s: Seconds = 3.0
    segment_s: Seconds = 20.0
    quiet_s: Seconds = 2.0
    release_when_quiet_s: Quiet = 10.0
    read_stored: bool = True


class Usb(Table):
    """``[usb]``: device specializations by which a PHDC interface is recognised."""

    specializations: Specializations = COAGULATION


class Ieee11073Profile(CoagulationProfile):
    """The whole profile."""

    driver: Literal["ieee11073"] = "ieee11073"
    association: Conversation = Conversation()
    usb: Usb = Usb()

    def settings(self, now: Callable[[ZoneInfo], datetime]) -> Settings:
        """The manager's settings; `now` tells the present in a zone."""
        values: dict[str, Any] = self.association.model_dump(exclude={"system_id", "any_meter"})
        zone = self.zone
        return Settings(
            system_id=bytes.fromhex(self.association.system_id),
            accepts=frozenset() if self.association.any_meter else frozenset({mdc.INR, mdc.CONTROL}),
            set_time=self.clock.set,
            local_now=None if zone is None else lambda: now(ZoneInfo(zone)),
            **values,
        )
