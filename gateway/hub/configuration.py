"""hub.toml: which meters the hub reads, where its journal is, how it reaches the broker."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints, field_validator, model_validator

from drivers import registry
from drivers.contract import Driver
from gateway.configuration import ConfigurationError, Section, load, shipped
from gateway.mqtt.configuration import Mqtt
from gateway.wire.reading import HubId

__all__ = ["AttachmentSection", "HubConfiguration", "HubSection", "Publishing", "Rig", "driver_of", "read"]


def _known_zone(zone: str) -> str:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"no such zone {zone!r}; write an IANA name such as America/New_York") from None
    return zone


Zone = Annotated[str, AfterValidator(_known_zone)]


class HubSection(Section):
    """``[hub]``: who and where this hub is."""

    id: HubId
    zone: Zone
    """IANA name of the zone in which the meters are used."""
    journal: Path
    origin: Literal["meter", "simulator", "replay"] = "meter"
    """What every reading of this hub says of itself; a rig says simulator or replay."""
    incomplete_after_s: Annotated[float, Field(gt=0, le=86_400)] = 900.0
    """A message that got no piece for so long becomes a fault reading with all its octets."""
    keep_days: Annotated[int, Field(ge=1, le=3660)] = 400
    """How long a reading stays after its receipt; not shorter than the server's oldest usable backup."""

    @property
    def bonds(self) -> Path:
        """List of the Bluetooth meters that were paired with this hub; beside the journal."""
        return self.journal.with_suffix(".bonds.json")


class Publishing(Section):
    """``[publish]``: how readings without a receipt are repeated."""

    window: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Most readings that are published and wait for their receipts."""
    receipt_within_s: Annotated[float, Field(gt=0, le=3600)] = 10.0
    """A reading without a receipt is published again after this, then after twice this, and so on."""
    longest_wait_s: Annotated[float, Field(gt=0, le=86_400)] = 3600.0


class AttachmentSection(Section):
    """``[[attachment]]``: one port with one kind of meter on it."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
    address: str
    driver: str
    profile: str | None = None
    """Name of a shipped profile, or path of a TOML file."""
    zone: Zone | None = None
    """Zone in which these meters are used, if not the hub's or the profile's."""
    capture: Path | None = None
    """File that gets every octet of every conversation; holds patients' results."""
    again_after_s: Annotated[float, Field(ge=1, le=86_400)] = 300.0
    """Where the hub asks the meter: how long after everything was read it asks again, if the meter is there."""
    max_connections: Annotated[int, Field(ge=1, le=500)] = 8
    """For addresses at which meters connect by themselves."""


class Rig(Section):
    """``[rig]``: only for hubs that read no real meter."""

    now: AwareDatetime | None = None
    """The hub's clock starts here and counts as synchronised."""

    @field_validator("now", mode="before")
    @classmethod
    def _utc(cls, value: object) -> object:
        return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo else value


class HubConfiguration(Section):
    """The whole file."""

    hub: HubSection
    mqtt: Mqtt = Mqtt()
    publish: Publishing = Publishing()
    attachment: tuple[AttachmentSection, ...] = ()
    rig: Rig | None = None

    @model_validator(mode="after")
    def _only_rigs_have_a_rig(self) -> Self:
        if self.rig is not None and self.hub.origin == "meter":
            raise ValueError("[rig] is allowed only where hub.origin is simulator or replay; remove the section")
        return self

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        for what in ("name", "address"):
            seen = [getattr(attachment, what) for attachment in self.attachment]
            twice = sorted({value for value in seen if seen.count(value) > 1 and not value.endswith(":0")})
            if twice:
                raise ValueError(f"attachment.{what}: {', '.join(twice)} stands there twice; each needs its own")
        return self


def read(path: Path) -> HubConfiguration:
    """Read hub.toml.

    Raises:
        ConfigurationError: the message names file, key and remedy.
    """
    return load(path, HubConfiguration)


def driver_of(attachment: AttachmentSection) -> Driver:
    """The driver of an attachment with its profile.

    Raises:
        ConfigurationError: no such driver or profile, or they do not fit each other.
    """
    place = f"attachment {attachment.name}"
    try:
        kind = registry.get(attachment.driver)
    except registry.NotUsableError as error:
        raise ConfigurationError(f"{place}: driver: {error}") from error
    try:
        return kind(_profile(attachment))
    except ValueError as error:
        raise ConfigurationError(f"{place}: profile {attachment.profile}: {error}") from error


def _profile(attachment: AttachmentSection) -> Mapping[str, object]:
    name = attachment.profile
    if name is None:
        return {}
    path = Path(name) if name.endswith(".toml") else shipped() / "profiles" / f"{name}.toml"
    place = f"attachment {attachment.name}: profile: {path}"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(sorted(found.stem for found in (shipped() / "profiles").glob("*.toml")))
        raise ConfigurationError(f"{place}: no such file; shipped profiles are {known}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{place}: cannot be read: {error}") from error
