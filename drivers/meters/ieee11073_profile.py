"""The profile of `drivers.meters.ieee11073`, read and checked. Everything in it has a default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from drivers.meters.coagulation import Limits
from drivers.protocols.ieee11073 import nomenclature as mdc
from drivers.protocols.ieee11073.procedure import Settings, TimePolicy

__all__ = ["Ieee11073Profile"]

Seconds = Annotated[float, Field(gt=0, le=3600)]


class Table(BaseModel):
    """Base of a profile's tables: a misspelt key is an error, because it would be silently ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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
    release_when_quiet_s: Annotated[float, Field(ge=0, le=86_400)] = 10.0
    read_stored: bool = True


class Clock(Table):
    """``[clock]``: whether the meter's clock is set."""

    set: TimePolicy = TimePolicy.NEVER


class Usb(Table):
    """``[usb]``: device specializations by which a PHDC interface is recognised."""

    specializations: tuple[Annotated[int, Field(ge=0, le=0xFFFF)], ...] = (mdc.COAGULATION_PROFILE & 0xFFFF,)


class Ieee11073Profile(Table):
    """The whole profile."""

    driver: Literal["ieee11073"] = "ieee11073"
    description: str = ""
    zone: str | None = None
    limits: Limits = Limits()
    association: Conversation = Conversation()
    clock: Clock = Clock()
    usb: Usb = Usb()

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str | None) -> str | None:
        try:
            return None if zone is None else ZoneInfo(zone).key
        except (KeyError, ValueError, OSError):
            raise ValueError("no IANA time zone; write one like Europe/Berlin") from None

    @model_validator(mode="after")
    def _zone_for_a_clock_that_is_set(self) -> Self:
        if self.clock.set is not TimePolicy.NEVER and self.zone is None:
            raise ValueError("a meter's clock can be set only where its zone is known; write zone = ...")
        return self

    @classmethod
    def read(cls, profile: Mapping[str, object]) -> Ieee11073Profile:
        """Check a profile.

        Raises:
            ValueError: names every key that is wrong.
        """
        try:
            return cls.model_validate(dict(profile))
        except ValidationError as error:
            problems = [
                f"{'.'.join(map(str, one['loc'])) or '(whole profile)'}: {one['msg'].removeprefix('Value error, ')}"
                for one in error.errors(include_url=False, include_input=False)
            ]
            raise ValueError("; ".join(problems)) from None

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
