"""What the columns of documents look like. A description says what to write, and stands in every error about it."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, StringConstraints

from gateway.reporting.units.diagnoses import icd10
from gateway.reporting.units.errors import BadCodeError

__all__ = [
    "Amount",
    "Codes",
    "Day",
    "Id",
    "Moment",
    "Name",
    "OptionalDay",
    "Payer",
    "ResultNumber",
    "Text",
]

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
EARLIEST: Final = dt.date(1900, 1, 1)


def _day(value: object) -> object:
    """Only the one form: a number, or a date written another way, could be taken for a wrong day."""
    if value is None or (isinstance(value, dt.date) and not isinstance(value, dt.datetime)):
        return value
    if not isinstance(value, str) or not _DAY.fullmatch(value.strip()):
        raise ValueError("is no date")
    try:
        day = dt.date.fromisoformat(value.strip())
    except ValueError:
        raise ValueError("is no date of the calendar") from None
    if day < EARLIEST:
        raise ValueError(f"lies before {EARLIEST}")
    return day


def _moment(value: object) -> object:
    if isinstance(value, dt.datetime):
        return value
    if not isinstance(value, str) or len(value.strip()) <= len("2026-03-14"):
        raise ValueError("is no time")
    try:
        moment = dt.datetime.fromisoformat(value.strip())
    except ValueError:
        raise ValueError("is no time") from None
    if moment.date() < EARLIEST:
        raise ValueError(f"lies before {EARLIEST}")
    return moment


def _codes(value: object) -> object:
    """A list, or a text with blanks, commas or semicolons between the codes."""
    if isinstance(value, str):
        value = value.replace(",", " ").replace(";", " ").split()
    if not isinstance(value, list | tuple) or not value or not all(isinstance(code, str) for code in value):
        raise ValueError("names no codes")
    try:
        return tuple(dict.fromkeys(icd10(code, "codes") for code in value))
    except BadCodeError as error:
        raise ValueError(error.problem) from None


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("is blank")
    return text


Id = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"),
    Field(description="1 to 63 letters, digits, dots, hyphens, underscores"),
]
Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=120),
    AfterValidator(_not_blank),
    Field(description="a name of 1 to 120 characters"),
]
Text = Annotated[
    str,
    StringConstraints(min_length=1, max_length=2000),
    AfterValidator(_not_blank),
    Field(description="a text of 1 to 2000 characters"),
]
Payer = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.]{1,60}$"), Field(description="like medicare_ffs")]
Day = Annotated[dt.date, BeforeValidator(_day), Field(description="a date like 2026-03-14")]
OptionalDay = Annotated[
    dt.date | None, BeforeValidator(_day), Field(description="a date like 2026-03-14, or leave it out")
]
Moment = Annotated[
    dt.datetime,
    BeforeValidator(_moment),
    PlainSerializer(lambda moment: moment.isoformat(), return_type=str, when_used="json"),
    Field(description="a time like 2026-03-14T07:30, in the patient's zone, or 2026-03-14T07:30-08:00"),
]
Amount = Annotated[int, Field(ge=1, le=1000, description="a whole number from 1 to 1000")]
ResultNumber = Annotated[int, Field(ge=1, description="the number of a result, as 'results list' shows it")]
Codes = Annotated[
    tuple[str, ...],
    BeforeValidator(_codes),
    Field(description="ICD-10-CM codes separated by blanks, like I48.20 Z79.01"),
]
