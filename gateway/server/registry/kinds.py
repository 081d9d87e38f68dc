"""The kinds of rows that a registry holds, and what each column must look like.

The name of a kind is the stem of its CSV file and the name of its TOML tables; the names of the fields are the
columns. A field's description says what to write, and stands in every error about it.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from gateway.result import meter_key
from gateway.server.zones import zone_named

__all__ = [
    "KINDS",
    "Assignment",
    "Destination",
    "Enrollment",
    "Hub",
    "Meter",
    "Patient",
    "Provider",
    "Row",
    "Treatment",
    "Zone",
]

_ICD10_CM = re.compile(r"[A-Z][0-9][0-9A-Z](\.[0-9A-Z]{1,4})?")
_MLLP = re.compile(r"mllp://(?P<host>[^\s/:\[\]]+|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})")


def _npi(text: str | None) -> str | None:
    """National Provider Identifier: ten digits whose check digit is Luhn's over ``80840`` and the number (CMS)."""
    if text is None:
        return None
    digits = [int(digit) for digit in "80840" + text] if re.fullmatch(r"\d{10}", text) else [1]
    doubled = [digit if index % 2 == 0 else sum(divmod(2 * digit, 10)) for index, digit in enumerate(digits[::-1])]
    if sum(doubled) % 10:
        raise ValueError("is no National Provider Identifier (its check digit is wrong)")
    return text


def _zone(text: str) -> str:
    if zone_named(text) is None:
        raise ValueError(f"{text!r} is no known zone")
    return text


def _mllp(text: str) -> str:
    found = _MLLP.fullmatch(text)
    if found is None or not 1 <= int(found["port"]) <= 65535:
        raise ValueError("is no MLLP address")
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
Drug = Annotated[str, StringConstraints(pattern=r"^[a-z]{1,40}$"), Field(description="a drug like warfarin")]
_DAY = Field(description="a date like 2026-03-14")
Day = Annotated[date, _DAY]
OptionalDay = Annotated[date | None, _DAY]
_INSTANT = Field(
    description="a date like 2026-03-14 (its first moment in the patient's zone) or 2026-03-14T07:30:00-08:00"
)


class Row(BaseModel):
    """Base: no unknown columns, no blanks around values."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, populate_by_name=True)


class Provider(Row):
    """A treating provider."""

    id: Id
    name: Name
    npi: Annotated[
        str | None, AfterValidator(_npi), Field(description="the ten digits of the NPI, or leave it out")
    ] = None


class Destination(Row):
    """Where the reports to a provider go."""

    id: Id
    provider: Id
    channel: Annotated[Literal["hl7v2"], Field(description="hl7v2")] = "hl7v2"
    address: Annotated[str, AfterValidator(_mllp), Field(description="an address like mllp://ehr.example:2575")]
    application: Note = ""
    facility: Note = ""


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


class Enrollment(Row):
    """What eligibility rests on; a patient's newest one holds."""

    patient: Id
    payer: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,40}$"), Field(description="like medicare_ffs")]
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
}
"""By name, in the order in which they must be written: each refers only to those before it."""
