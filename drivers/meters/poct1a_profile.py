"""What a meter family says in POCT1-A2 documents: the profile of `drivers.meters.poct1a`, read and checked."""

from __future__ import annotations

from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    Field,
    StrictBool,
    StrictInt,
    model_validator,
)

from drivers.meters.astm_profile import Serial
from drivers.meters.profile import Profile, Table, Zone
from drivers.protocols.poct1a.framing import MAX_DOCUMENT_OCTETS
from drivers.protocols.poct1a.replies import AckDialect
from drivers.protocols.poct1a.session import SessionSettings

__all__ = ["Observation", "Poct1aProfile"]


class Host(Table):
    """``[host]``: how the gateway speaks to this meter."""

    ack: AckDialect = AckDialect.ACK_CONTROL_ID
    declaration: StrictBool = False
    max_document_octets: Annotated[StrictInt, Field(ge=4096, le=16_777_216)] = MAX_DOCUMENT_OCTETS
    hello_timeout_s: Annotated[float, Field(ge=0, le=3600)] = SessionSettings().hello_timeout_s
    continuous: StrictBool = False
    continuous_silence_s: Annotated[float, Field(ge=1, le=86400)] = SessionSettings().continuous_silence_s
    end_after_s: Annotated[float, Field(ge=0, le=600)] = 0.0
    set_time: StrictBool = False
    set_time_beyond_s: Annotated[float, Field(ge=1)] = SessionSettings().set_time_beyond_s


class Meter(Table):
    """``[meter]``: how the meter names itself.

    Attributes:
        vendor: used when HEL names none.
        packed_vendor: DEV.vendor_id holds vendor, model and name with ``&`` between.
        utc_offset: whether the offset from UTC in its times is believed.
    """

    vendor: str | None = None
    packed_vendor: StrictBool = False
    utc_offset: Literal["believed", "ignored"] = "believed"


class Observation(Table):
    """``[[observation]]``: one row of the table that says which observation is which quantity.

    Attributes:
        means: the quantity.
        code: OBS.observation_id as its attribute V has it.
        display: the same as its attribute DN has it; with `code`, both must match.
        units: accepted units as written (an empty string: none given); absent: any.
        vendor, model: of the meter, with ``*`` for any characters; upper and lower case are one.
        proven: a real meter of this family was seen to send it.
        source: where that is known from.
    """

    means: Literal["inr", "pt_seconds", "quick_percent"]
    code: str | None = None
    display: str | None = None
    units: tuple[str, ...] | None = None
    vendor: str = "*"
    model: str = "*"
    proven: StrictBool = False
    source: str = ""

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not self.code and not self.display:
            raise ValueError("an observation is recognised by its code or display; give one of them")
        return self

    def matches(self, code: str, display: str, unit: str) -> bool:
        """Whether this is the row for an observation."""
        return (
            self.code in (None, code)
            and self.display in (None, display)
            and (self.units is None or unit in self.units)
        )

    def is_for(self, vendor: str | None, model: str | None) -> bool:
        """Whether the row holds for this meter. A meter that does not name itself has only rows for all meters."""
        return fnmatchcase((vendor or "").casefold(), self.vendor.casefold()) and fnmatchcase(
            (model or "").casefold(), self.model.casefold()
        )


class Limits(Table):
    """``[range]``: the measuring range of the INR, for readings beyond it that come without a number."""

    low: Annotated[Decimal, Field(gt=0, lt=100)]
    high: Annotated[Decimal, Field(gt=0, lt=100)]
    source: str = ""


class Kinds(Table):
    """``[kind]``: what the meter's marks mean, besides what the standard says."""

    control_roles: tuple[str, ...] = ()
    accepted_status: tuple[str, ...] = ("A",)


class Poct1aProfile(Profile):
    """A whole profile; its keys are explained in `drivers.meters.poct1a`."""

    driver: Literal["poct1a"] = "poct1a"
    zone: Zone | None = None
    host: Host = Host()
    serial: Serial = Serial()
    meter: Meter = Meter()
    observation: Annotated[tuple[Observation, ...], Field(min_length=1)]
    range: Limits | None = None
    kind: Kinds = Kinds()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.host.set_time and self.zone is None:
            raise ValueError("host.set_time needs zone, to know which local time the meter is to show")
        if not any(row.means == "inr" for row in self.observation):
            raise ValueError("no observation means inr; name the meter's code for the INR")
        return self

    @property
    def session(self) -> SessionSettings:
        """The part that the session needs."""
        zone = None if self.zone is None else ZoneInfo(self.zone)
        return SessionSettings(**self.host.model_dump(), zone=zone)
