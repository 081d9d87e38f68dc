"""What the supplier intends, and when somebody is reminded: three sections of server.toml."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Annotated, Final, Literal, NamedTuple, Self, get_args

from pydantic import Field, StringConstraints, model_validator

from gateway.configuration import Section

__all__ = ["KINDS", "NOT_STATED", "AlertKind", "Alerts", "Escalations", "IntendedUse", "Watching"]

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=180)]
AlertKind = Literal["out_of_target", "no_test", "not_live", "no_delivery", "hub_silent", "meter_clock"]
KINDS: Final[tuple[AlertKind, ...]] = get_args(AlertKind)
NOT_STATED: Final = (
    "the supplier has not stated the intended use ([intended_use] in server.toml): flags, time in range and "
    "escalation are off"
)


class IntendedUse(Section):
    """What the supplier uses flags, time in range and escalation for. Until all three stand here, they are off.

    Comparing a patient's results with limits goes beyond moving and storing them: somebody answers for it by name.
    """

    statement: Annotated[str, StringConstraints(strip_whitespace=True, min_length=10, max_length=2000)] | None = (
        None
    )
    stated_by: Name | None = None
    stated_on: dt.date | None = None

    @model_validator(mode="after")
    def _whole_or_not_at_all(self) -> Self:
        given = [each is not None for each in (self.statement, self.stated_by, self.stated_on)]
        if any(given) and not all(given):
            raise ValueError("statement, stated_by and stated_on belong together; give all three or none")
        return self

    @property
    def stated(self) -> bool:
        """Whether flags, time in range and escalation are on."""
        return self.statement is not None


class Escalations(Section):
    """How long an escalation may wait before somebody is reminded of it."""

    remind_after_min: Annotated[tuple[Annotated[int, Field(ge=1, le=10_080)], ...], Field(min_length=1)] = (
        15,
        30,
        60,
    )
    """Minutes until the first reminder, from it to the second, and so on; the last one repeats."""
    retry_after_min: Annotated[int, Field(ge=1, le=10_080)] = 15
    """After a call that reached nobody the next one is due."""
    close_within_h: Annotated[int, Field(ge=1, le=720)] = 24
    """What was acknowledged and not closed by then is reminded of."""


class Alerts(Section):
    """When an alert opens, and whose it is."""

    owner: Name = "the service desk"
    owners: dict[AlertKind, Name] = Field(default_factory=dict)
    """By kind, where it is somebody else's."""
    off: tuple[AlertKind, ...] = ()
    delivery_within_h: Annotated[int, Field(ge=1, le=720)] = 4
    """A result that no provider's system has acknowledged by then."""
    hub_silent_h: Annotated[int, Field(ge=2, le=720)] = 24
    """A hub says hourly that it is there."""
    clock_off_min: Annotated[int, Field(ge=3, le=1440)] = 15
    test_every_days: Annotated[int, Field(ge=1, le=90)] = 7
    """Where the order states no interval."""
    test_grace_days: Annotated[int, Field(ge=0, le=30)] = 1
    check_every_s: Annotated[float, Field(ge=0.05, le=600)] = 60.0

    def owner_of(self, kind: AlertKind) -> str:
        """Whose alerts of a kind are."""
        return self.owners.get(kind, self.owner)


class Watching(NamedTuple):
    """Everything that the watch goes by.

    Attributes:
        low, high: the limits of ``[safety]``, for results of which no critical limits are stated.
    """

    intended_use: IntendedUse = IntendedUse()
    escalations: Escalations = Escalations()
    alerts: Alerts = Alerts()
    low: Decimal | None = None
    high: Decimal | None = None
