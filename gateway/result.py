"""The canonical Result: what one record of a meter says, in one form for every protocol.

Numbers are decimal strings, so that ``2.70`` stays ``2.70`` from the meter's memory to the chart. A reading off
the measuring range keeps its limit and a comparator (``value "8.0", comparator ">"``) and is never a plain number.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from drivers import contract

RESULT_SCHEMA: Final = "inr-gateway/result/1"
IDENTITY_RECIPE = 1
"""Number of the frozen recipe by which `identity` is computed. A new recipe gets a new number."""
_compact = json.JSONEncoder(separators=(",", ":")).encode

Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]
DecimalText = Annotated[str, StringConstraints(pattern=r"^-?\d{1,9}(\.\d{1,9})?$")]


class Frozen(BaseModel):
    """Base of everything that travels or is stored: strict, immutable, no unknown fields."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Kind(StrEnum):
    """What the record is; only ``patient`` may ever reach a provider or a unit."""

    PATIENT = "patient"
    CONTROL = "control"
    CALIBRATION = "calibration"
    ERROR = "error"
    TEST = "test"


class Meter(Frozen):
    """The meter that made the record. Vendor and serial are its key."""

    vendor: Text | None
    serial: Text | None
    model: Text | None = None
    firmware: Text | None = None

    @property
    def key(self) -> str | None:
        """``vendor/serial`` in lower case, letters and digits only; None when the meter has no serial.

        Two protocols of one meter may spell its vendor with other blanks, case or punctuation.
        """
        return meter_key(self.vendor, self.serial)


class Quantity(Frozen):
    """A measured quantity as the meter gave it.

    ``value`` is None when the meter gave none (for example ``+INF`` without a published limit); ``text`` always
    holds what it wrote.
    """

    text: Text
    value: DecimalText | None
    comparator: Literal["<", ">"] | None = None
    unit: Text | None = None


class DeviceTime(Frozen):
    """A time as the meter wrote it: no zone unless the meter itself gave an offset (minutes east of UTC)."""

    raw: Annotated[str, StringConstraints(max_length=100)]
    local: datetime | None
    utc_offset_min: Annotated[int, Field(ge=-1080, le=1080)] | None = None

    @model_validator(mode="after")
    def _local_is_naive(self) -> Self:
        if self.local is not None and self.local.tzinfo is not None:
            raise ValueError("device_time.local must not carry a zone; put the offset into utc_offset_min")
        return self


class Result(Frozen):
    """One record of a meter, normalised. Nothing in it is computed from the hub's surroundings."""

    schema_: Literal["inr-gateway/result/1"] = Field(default=RESULT_SCHEMA, alias="schema")
    kind: Kind
    meter: Meter
    device_time: DeviceTime | None
    inr: Quantity | None
    pt_seconds: Quantity | None = None
    quick_percent: Quantity | None = None
    record_number: Text | None = None
    strip_lot: Text | None = None
    control_lot: Text | None = None
    control_level: Text | None = None
    operator_id: Text | None = None
    patient_id: Text | None = None
    error_code: Text | None = None
    flags: tuple[Text, ...] = ()
    notes: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _patient_result_has_an_inr(self) -> Self:
        if self.kind is Kind.PATIENT and self.inr is None:
            raise ValueError("a patient result needs an inr; a record without one has kind 'error'")
        return self

    @classmethod
    def from_record(cls, meter: contract.MeterIdentity, record: contract.MeterRecord) -> Result:
        """Normalise a driver's record.

        Raises:
            pydantic.ValidationError: a field is too long or no decimal; the caller keeps the octets.
        """
        time = record.device_time
        return cls(
            schema=RESULT_SCHEMA,
            kind=Kind(record.kind.value),
            meter=Meter(
                vendor=meter.vendor or None,
                serial=meter.serial or None,
                model=meter.model or None,
                firmware=meter.firmware or None,
            ),
            device_time=None
            if time is None
            else DeviceTime(raw=time.raw, local=time.local, utc_offset_min=time.utc_offset_min),
            inr=_quantity(record.inr),
            pt_seconds=_quantity(record.pt_seconds),
            quick_percent=_quantity(record.quick_percent),
            record_number=record.record_number or None,
            strip_lot=record.strip_lot or None,
            control_lot=record.control_lot or None,
            control_level=record.control_level or None,
            operator_id=record.operator_id or None,
            patient_id=record.patient_id or None,
            error_code=record.error_code or None,
            flags=tuple(flag for flag in record.flags if flag),
            notes=tuple(note for note in record.notes if note),
        )


@lru_cache(maxsize=4096)  # a server sees the same few thousand meters for years
def meter_key(vendor: str | None, serial: str | None) -> str | None:
    """The key under which a meter is known; None without a serial, because such a meter cannot be told apart.

    >>> meter_key("Acme Diagnostics, Inc.", "AB-0012")
    'acmediagnosticsinc/ab0012'
    """
    bare_serial = _bare(serial)
    return f"{_bare(vendor)}/{bare_serial}" if bare_serial else None


def _bare(text: str | None) -> str:
    return re.sub(r"[\W_]+", "", (text or "").casefold())


def identity(result: Result) -> str | None:
    """Identity of the test behind a result under recipe 1, as 32 hexadecimal digits.

    Recipe 1: meter key, device time as shown by the meter to the second, and INR (comparator and value without
    trailing zeros). Kind, lot, model and record number are left out on purpose: real meters repeat, renumber or
    omit them, and a live report may lack what the stored copy has. So is the offset from UTC: one protocol of a
    meter sends it and another does not; two different offsets are a conflict (`content_differs`).

    Returns:
        None when the result cannot be identified by itself: no meter serial or no readable device time. Whether the
        time is *believable* is not asked here; `gateway.clock` does.
    """
    key = result.meter.key
    time = result.device_time
    if key is None or time is None or time.local is None:
        return None
    recipe = [IDENTITY_RECIPE, key, normalised_time(time), normalised_inr(result.inr)]
    return hashlib.sha256(_compact(recipe).encode()).hexdigest()[:32]


def normalised_time(time: DeviceTime) -> str:
    """A readable device time to the second as ``2026-03-14T07:30:05``, without zone.

    Raises:
        ValueError: the meter's time is no date.
    """
    if time.local is None:
        raise ValueError(f"device time {time.raw!r} is no date; only a readable one can be normalised")
    return time.local.replace(microsecond=0).isoformat()


def normalised_inr(inr: Quantity | None) -> str:
    """``>8``, ``2.5``, or the text when there is no number; ``2.50`` and ``2.5`` are one."""
    if inr is None:
        return ""
    if inr.value is None:
        return (inr.comparator or "") + inr.text.strip()
    return (inr.comparator or "") + _bare_number(inr.value)


@lru_cache(maxsize=4096)
def _bare_number(decimal: str) -> str:
    return f"{Decimal(decimal).normalize():f}"


def content_differs(left: Result, right: Result) -> tuple[str, ...]:
    """Names of the fields in which two copies of one test contradict each other.

    A field that only one copy has is no contradiction, nor is another record number: meters renumber.
    """
    names = (
        "pt_seconds",
        "quick_percent",
        "strip_lot",
        "control_lot",
        "control_level",
        "error_code",
        "patient_id",
    )
    found = [] if left.kind is right.kind else ["kind"]
    for name in names:
        mine, other = getattr(left, name), getattr(right, name)
        if isinstance(mine, Quantity) and isinstance(other, Quantity):
            differs = normalised_inr(mine) != normalised_inr(other)
        else:
            differs = None not in (mine, other) and mine != other
        if differs:
            found.append(name)
    if left.device_time is not None and right.device_time is not None:
        offsets = (left.device_time.utc_offset_min, right.device_time.utc_offset_min)
        if None not in offsets and offsets[0] != offsets[1]:
            found.append("device_time")
    return tuple(found)


def _quantity(measured: contract.Quantity | None) -> Quantity | None:
    if measured is None:
        return None
    value = None if measured.value is None else f"{measured.value:f}"
    return Quantity(text=measured.text, value=value, comparator=measured.comparator, unit=measured.unit or None)
