"""The kinds of rows that a registry holds, and what each column must look like.

The name of a kind is the stem of its CSV file and the name of its TOML tables; the names of the fields are the
columns. A field's description says what to write, and stands in every error about it.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from gateway.npi import checked_npi
from gateway.office_hours import OfficeHours
from gateway.reporting.registration import NAMES, check_address, check_schedule, check_settings
from gateway.result import meter_key
from gateway.server.zones import zone_named

__all__ = [
    "KINDS",
    "Assignment",
    "Contact",
    "Destination",
    "Enrollment",
    "Hub",
    "Level",
    "Limits",
    "Meter",
    "Patient",
    "Provider",
    "Row",
    "Treatment",
    "Zone",
]

_ICD10_CM = re.compile(r"[A-Z][0-9][0-9A-Z](\.[0-9A-Z]{1,4})?")


def _zone(text: str) -> str:
    if zone_named(text) is None:
        raise ValueError(f"{text!r} is no known zone")
    return text


def _channel(text: str) -> str:
    if text not in NAMES:
        raise ValueError(f"{text!r} is no channel")
    return text


def _limit(value: object) -> object:
    """An INR as decimal text, without zeros at its end, or ``inherit``."""
    text = str(value).strip() if isinstance(value, int | float | Decimal | str) else ""
    if value is None or text == "inherit":
        return value
    if not re.fullmatch(r"\d{1,2}(\.\d{1,2})?", text) or not Decimal(text):
        raise ValueError("is no INR")
    return f"{Decimal(text).normalize():f}"


def _hours(text: str) -> str:
    OfficeHours.parse(text)
    return text


def _codes(text: str) -> str:
    codes = text.replace(",", " ").replace(";", " ").split()
    for code in codes:
        if not _ICD10_CM.fullmatch(code):
            raise ValueError(f"{code!r} has not the form of an ICD-10-CM code")
    return " ".join(codes)


def _instant(text: str | None) -> str | None:
    """A local date or an instant with its offset; kept as text, because a date needs the patient's zone."""
    if text is None:
        return None
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            date.fromisoformat(text)
        elif datetime.fromisoformat(text).tzinfo is None:
            raise ValueError("is a time without an offset from UTC")
    except ValueError as error:
        raise ValueError(str(error) if "offset" in str(error) else "is no date and no instant") from None
    return text


_WORD = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"
Id = Annotated[
    str, StringConstraints(pattern=_WORD), Field(description="1 to 63 letters, digits, dots, hyphens, underscores")
]
Name = Annotated[str, StringConstraints(min_length=1, max_length=120), Field(description="1 to 120 characters")]
Note = Annotated[
    str, StringConstraints(max_length=120), Field(description="at most 120 characters, or leave it out")
]
_DAY = Field(description="a date like 2026-03-14")
Day = Annotated[date, _DAY]
OptionalDay = Annotated[date | None, _DAY]
_INSTANT = Field(
    description="a date like 2026-03-14 (its first moment in the patient's zone) or 2026-03-14T07:30:00-08:00"
)


_Limit = Annotated[
    str | None, BeforeValidator(_limit), Field(description="an INR like 2.0, inherit, or leave it out")
]


class Row(BaseModel):
    """Base: no unknown columns, no blanks around values."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, populate_by_name=True)


class Provider(Row):
    """A treating provider."""

    id: Id
    name: Name
    npi: Annotated[
        str | None, AfterValidator(checked_npi), Field(description="the ten digits of the NPI, or leave it out")
    ] = None
    zone: Annotated[
        str,
        AfterValidator(lambda text: _zone(text) if text else ""),
        Field(description="an IANA name like America/Los_Angeles, in which its batch hours are meant"),
    ] = ""


class Destination(Row):
    """Where the reports to a provider go. The channel itself judges address and settings."""

    id: Id
    provider: Id
    channel: Annotated[str, AfterValidator(_channel), Field(description=f"one of {', '.join(NAMES)}")] = "hl7v2"
    address: Annotated[str, Field(description="an address of the channel, like mllp://ehr.example:2575")]
    application: Note = ""
    facility: Note = ""
    settings: Annotated[
        str, Field(validate_default=True, description='a table of settings of the channel, like {"pause_s": 2}')
    ] = ""
    rank: Annotated[int, Field(ge=1, le=99, description="1 for the first choice, 2 for the next, up to 99")] = 1
    fall_back_after_s: Annotated[
        int | None, Field(ge=1, le=2_592_000, description="seconds until the next rank gets a report too")
    ] = None
    mode: Annotated[Literal["each", "batch", "exception"], Field(description="each, batch or exception")] = "each"
    schedule: Annotated[str, Field(description="batch hours like Mon-Fri 08:00 16:30")] = ""

    @field_validator("address")
    @classmethod
    def _of_the_channel(cls, text: str, row: ValidationInfo) -> str:
        return check_address(row.data["channel"], text) if "channel" in row.data else text

    @field_validator("settings", mode="before")
    @classmethod
    def _as_the_channel_wants(cls, table: Any, row: ValidationInfo) -> Any:
        return check_settings(row.data["channel"], table) if "channel" in row.data else ""

    @field_validator("schedule")
    @classmethod
    def _readable(cls, text: str) -> str:
        return check_schedule(text) if text else ""

    @model_validator(mode="after")
    def _has_hours(self) -> Self:
        if self.mode != "each" and not self.schedule:
            raise ValueError(f"mode {self.mode} needs schedule; write the batch hours, like Mon-Fri 08:00 16:30")
        return self


class Patient(Row):
    """A patient."""

    id: Id
    family_name: Name
    given_name: Name
    birth_date: Day
    sex: Annotated[Literal["F", "M", "O", "U"], Field(description="F, M, O (other) or U (unknown)")]


class Zone(Row):
    """A patient's zone of record from 00:00 of a date in that zone."""

    patient: Id
    from_date: Day
    zone: Annotated[str, AfterValidator(_zone), Field(description="an IANA name like America/Los_Angeles")]


class Hub(Row):
    """A hub. What a rig sends is simulated, whatever it says of itself."""

    id: Id
    kind: Annotated[Literal["home", "rig"], Field(description="home, or rig for simulated meters")]


class Meter(Row):
    """A meter, named as it names itself."""

    vendor: Name
    serial: Name
    model: Note = ""

    @model_validator(mode="after")
    def _has_a_key(self) -> Self:
        if meter_key(self.vendor, self.serial) is None:
            raise ValueError("serial holds neither letters nor digits; write it as the meter sends it")
        return self

    @property
    def key(self) -> str:
        """The key under which results find it."""
        return meter_key(self.vendor, self.serial) or ""


class _Period(Row):
    """From its first moment to just before its last; without an end it goes on."""

    from_: Annotated[str, AfterValidator(_instant), _INSTANT, Field(alias="from")]
    to: Annotated[str | None, AfterValidator(_instant), _INSTANT] = None


class Assignment(_Period):
    """A meter, or one patient id within it, belongs to a patient for a time."""

    vendor: Name
    serial: Name
    meter_patient_id: Note = ""
    patient: Id

    @property
    def key(self) -> str:
        """The meter's key."""
        return meter_key(self.vendor, self.serial) or ""


class Treatment(_Period):
    """A provider treats a patient for a time, and knows them by its own identifier."""

    patient: Id
    provider: Id
    provider_patient_id: Name
    order_id: Note = ""


class Enrollment(Row):
    """What eligibility rests on; a patient's newest one holds."""

    patient: Id
    payer: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.]{1,40}$"), Field(description="like medicare_ffs")]
    mac: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{0,40}$"), Field(description="like noridian")] = ""
    diagnosis: Annotated[
        str,
        StringConstraints(min_length=1),
        AfterValidator(_codes),
        Field(description="ICD-10-CM codes with their point, separated by blanks, like I48.20 Z79.01"),
    ]
    valve_type: Annotated[
        Literal["mechanical", "bioprosthetic"] | None,
        Field(description="mechanical, bioprosthetic, or nothing"),
    ] = None
    anticoagulant: Annotated[
        str, StringConstraints(pattern=r"^[a-z]{1,40}$"), Field(description="like warfarin")
    ] = "warfarin"
    warfarin_start: OptionalDay = None
    training_date: OptionalDay = None
    training_documented: Annotated[bool, Field(description="true or false")] = False
    order_signed_on: OptionalDay = None
    order_expires_on: OptionalDay = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.order_expires_on is not None and self.order_signed_on is None:
            raise ValueError("order_expires_on needs order_signed_on; write when the order was signed")
        if self.order_expires_on and self.order_signed_on and self.order_expires_on < self.order_signed_on:
            raise ValueError("order_expires_on lies before order_signed_on; correct one of them")
        if self.training_documented and self.training_date is None:
            raise ValueError("training_documented needs training_date; write the day of the training")
        return self


class Level(Row):
    """Base of what is stated for all patients (``clinic``), for those of a provider, or for one patient.

    It holds from a local day of the patient until a later statement of the same level; nothing is overwritten.
    """

    of: Annotated[Literal["clinic", "provider", "patient"], Field(description="clinic, provider or patient")]
    id: Annotated[Id | None, Field(description="the id of the provider or the patient; nothing for clinic")] = None
    from_: Annotated[Day, Field(alias="from")]
    stated_by: Annotated[Name | None, Field(description="who states it; without it, whoever imports it")] = None

    @model_validator(mode="after")
    def _names_whom(self) -> Self:
        if self.of != "clinic" and self.id is None:
            raise ValueError(f"id is missing; write the id of the {self.of}")
        if self.of == "clinic" and self.id is not None:
            raise ValueError("id stands beside clinic; leave it out, or write provider or patient for of")
        return self


class Limits(Level):
    """A target range, critical limits, or both. What is left out goes on as stated before, ``inherit`` ends it."""

    target_low: _Limit = None
    target_high: _Limit = None
    critical_low: _Limit = None
    critical_high: _Limit = None

    @property
    def pairs(self) -> dict[Literal["target", "critical"], tuple[str, str]]:
        """The pairs that the row states; ``inherit`` twice for one that is inherited again."""
        found: dict[Literal["target", "critical"], tuple[str, str]] = {}
        if self.target_low is not None and self.target_high is not None:
            found["target"] = (self.target_low, self.target_high)
        if self.critical_low is not None and self.critical_high is not None:
            found["critical"] = (self.critical_low, self.critical_high)
        return found

    @model_validator(mode="after")
    def _whole_pairs(self) -> Self:
        for name, low, high in (
            ("target", self.target_low, self.target_high),
            ("critical", self.critical_low, self.critical_high),
        ):
            if (low is None) != (high is None):
                raise ValueError(f"{name}_low and {name}_high belong together; write both or neither")
            if (low == "inherit") != (high == "inherit"):
                raise ValueError(f"{name}: inherit stands beside a number; write it in both columns or in neither")
        if not self.pairs:
            raise ValueError("states nothing; write a target range, critical limits, or both")
        return self


class Contact(Level):
    """Who is told of a critical result, and under which number, in office hours and after them."""

    person: Name
    number: Annotated[Name, Field(description="the telephone number that answers in office hours")]
    hours: Annotated[
        str,
        AfterValidator(lambda text: _hours(text) if text else ""),
        Field(description="office hours like Mon-Fri 08:00-17:00, or leave it out: at any time"),
    ] = ""
    zone: Annotated[
        str,
        AfterValidator(lambda text: _zone(text) if text else ""),
        Field(description="an IANA name like America/Los_Angeles, in which the hours are meant"),
    ] = ""
    after_hours_person: Note = ""
    after_hours_number: Note = ""

    @model_validator(mode="after")
    def _hours_somewhere(self) -> Self:
        if bool(self.hours) != bool(self.zone):
            raise ValueError("hours and zone belong together; write both, or leave both out")
        if self.hours and not self.after_hours_number:
            raise ValueError("after_hours_number is missing; write the one that answers outside the hours")
        return self


KINDS: dict[str, type[Row]] = {
    "providers": Provider,
    "destinations": Destination,
    "patients": Patient,
    "zones": Zone,
    "hubs": Hub,
    "meters": Meter,
    "assignments": Assignment,
    "treatments": Treatment,
    "enrollments": Enrollment,
    "limits": Limits,
    "contacts": Contact,
}
"""By name, in the order in which they must be written: each refers only to those before it."""
