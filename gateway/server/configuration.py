"""server.toml."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Self

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from gateway.clock import Clock
from gateway.configuration import Section
from gateway.mqtt.configuration import Mqtt
from gateway.reporting.alerts.configuration import Alerts, Escalations, IntendedUse, Watching
from gateway.reporting.configuration import Delivery
from gateway.store.opening import Role

__all__ = ["Ingest", "Rig", "Safety", "Server", "ServerConfiguration"]


class Server(Section):
    """Who this server is and where its store stands."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,40}$")]
    """Stable: the broker keeps the server's session under it. Every server on one broker has its own."""
    store: Path
    role: Role
    """Must be the store's own, which `server init` fixed for ever."""


class Ingest(Section):
    """How many readings go into one commit. A larger batch is faster, a longer wait makes receipts later."""

    batch: Annotated[int, Field(ge=1, le=5000)] = 500
    wait_ms: Annotated[int, Field(ge=0, le=1000)] = 10


class Safety(Section):
    """Beyond which INR a quarantined result is reported as urgent. There is no default: a clinician states them."""

    low: Annotated[Decimal, Field(gt=0, lt=100)] | None = None
    high: Annotated[Decimal, Field(gt=0, lt=100)] | None = None

    @model_validator(mode="after")
    def _low_below_high(self) -> Self:
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError("low must lie below high")
        return self


class Rig(Section):
    """For rigs only."""

    now: AwareDatetime | None = None
    """The instant at which the server's clock starts, with an offset from UTC; None for the system's clock."""


class ServerConfiguration(Section):
    """The whole file."""

    server: Server
    mqtt: Mqtt = Mqtt()
    ingest: Ingest = Ingest()
    safety: Safety = Safety()
    intended_use: IntendedUse = IntendedUse()
    escalations: Escalations = Escalations()
    alerts: Alerts = Alerts()
    delivery: Delivery = Delivery()
    rig: Rig = Rig()

    @model_validator(mode="after")
    def _only_a_rig_pretends(self) -> Self:
        if self.rig.now is not None and self.server.role != "rig":
            raise ValueError('[rig] now is for role = "rig" only; a production server uses the system\'s clock')
        return self

    @property
    def watching(self) -> Watching:
        """What the watch goes by."""
        return Watching(self.intended_use, self.escalations, self.alerts, self.safety.low, self.safety.high)

    def clock(self) -> Clock:
        """The server's source of *now*."""
        return Clock(self.rig.now)
