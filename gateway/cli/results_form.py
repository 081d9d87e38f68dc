"""What the desk writes down of a test: the form, what can be wrong with it, and the reading that it makes."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

from gateway.clock import EARLIEST, utc

if TYPE_CHECKING:
    from gateway.result import Quantity, Result
    from gateway.server.book import Book
    from gateway.server.grouping import Identified
    from gateway.store.people import ZoneFrom
    from gateway.wire.reading import Reading

__all__ = ["EntryError", "Form", "checked", "desk_reading", "inr_shown", "time_of_test"]

HIGHEST_INR: Final = Decimal(30)
"""No home meter shows more; a larger number is a slip of the finger."""


class EntryError(Exception):
    """The entry is refused; the message says why and what to do. Nothing has changed."""


@dataclass(frozen=True, slots=True)
class Form:
    """What the desk writes down.

    Attributes:
        inr: as the display shows it: ``2.5``, ``>8.0``, ``<0.8``.
        taken_at: local time of the patient, or with an offset from UTC.
        vendor, serial: of the meter.
        entered_by: name of the person who enters it.
        attestation: the statement by which that person stands for it; empty: none.
    """

    patient: str
    inr: str
    taken_at: str
    vendor: str
    serial: str
    entered_by: str
    attestation: str = ""


def checked(database: sqlite3.Connection, form: Form, now: datetime) -> Identified:
    """The reading that the entry makes, under no name yet.

    Raises:
        EntryError: everything that can be wrong with it is said here.
    """
    from gateway.result import DeviceTime, Kind, Meter, Result, meter_key
    from gateway.server.book import Book
    from gateway.server.grouping import Identified
    from gateway.server.placement import attributed
    from gateway.server.refusals import REMEDY, Refusal
    from gateway.store import registry

    inr = inr_shown(form.inr)
    if not registry.exists(database, "patients", form.patient):
        raise EntryError(f"there is no patient {form.patient}; import the patient first ('registry import')")
    book = Book(database)
    taken_at = time_of_test(form.taken_at, book.zones(form.patient), now)
    key = meter_key(form.vendor, form.serial)
    row = next(iter(registry.row(database, "meters", key or "")), None)
    if row is None:
        raise EntryError(
            f"the meter {form.vendor}/{form.serial} is not registered; see 'registry list meters', or import it"
        )
    offset = taken_at.utcoffset() or timedelta()
    result = Result(
        kind=Kind.PATIENT,
        meter=Meter(vendor=row["vendor"], serial=row["serial"], model=row["model"] or None),
        device_time=DeviceTime(
            raw=form.taken_at,
            local=taken_at.replace(tzinfo=None),
            utc_offset_min=round(offset.total_seconds() / 60),
        ),
        inr=inr,
        patient_id=_id_within(book, row["key"], form.patient, taken_at),
    )
    reading = desk_reading(asdict(form), result, str(taken_at.tzinfo), now)
    found = attributed(book, reading, result, now)
    if isinstance(found, Refusal):
        raise EntryError(f"{found.detail}; {REMEDY[found.reason]}")
    if found.patient_id != form.patient:
        raise EntryError(f"the meter was not patient {form.patient}'s at that time; correct --meter or --taken-at")
    new = Identified.of(reading)
    if new is None:
        raise EntryError("the entry makes no result")
    return new


def inr_shown(text: str) -> Quantity:
    """An INR as the display shows it.

    Raises:
        EntryError: it is none.
    """
    from typing import Literal

    from pydantic import ValidationError

    from gateway.result import Quantity

    comparator: Literal["<", ">"] | None = None
    if text[:1] in ("<", ">"):
        comparator = "<" if text[0] == "<" else ">"
    value = text.lstrip("<>").strip() if comparator else text
    try:
        number = Decimal(value)
        if not Decimal(0) < number <= HIGHEST_INR:
            raise EntryError(f"{text!r} is no INR; write what the display shows, like 2.5 or >8.0")
        return Quantity(text=text, value=value, comparator=comparator, unit="INR")
    except (InvalidOperation, ValidationError):
        raise EntryError(f"{text!r} is no INR; write what the display shows, like 2.5 or >8.0") from None


def time_of_test(text: str, history: Sequence[ZoneFrom], now: datetime) -> datetime:
    """The time of the test, in the patient's zone of record.

    Raises:
        EntryError: it is none, exists twice or not at all there, or cannot be right.
    """
    from gateway.server.zones import zone_at, zone_named, zone_on

    if not history:
        raise EntryError("the patient has no zone of record; import one (kind zones)")
    try:
        stated = datetime.fromisoformat(text)
        if len(text) <= len("2026-03-14"):
            raise ValueError
    except ValueError:
        raise EntryError(f"{text!r} is no time; write it like 2026-03-14T07:30") from None
    name = zone_on(history, text[:10]) if stated.tzinfo is None else zone_at(history, stated)
    zone = zone_named(name or "")
    if zone is None:
        raise EntryError(f"the patient's zone of record, {name}, is not known here; correct it (kind zones)")
    if stated.tzinfo is not None:
        taken_at = stated.astimezone(zone)
    else:
        taken_at = stated.replace(tzinfo=zone)
        if taken_at.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != stated:
            raise EntryError(f"the clocks skipped {text} in {name}; ask again when it was")
        if taken_at.utcoffset() != taken_at.replace(fold=1).utcoffset():
            raise EntryError(f"{text} comes twice that night in {name}; add the offset from UTC, like -05:00")
    if taken_at > now:
        raise EntryError("the time of the test lies in the future; correct --taken-at")
    if taken_at.replace(tzinfo=None) < EARLIEST:
        raise EntryError(f"the time of the test lies before {EARLIEST:%Y}; correct --taken-at")
    return taken_at


def _id_within(book: Book, meter: str, patient: str, taken_at: datetime) -> str | None:
    """The id by which a meter that several patients share knows this one."""
    for each in book.assignments(meter):
        if (
            each.patient_id == patient
            and each.from_at <= taken_at
            and (each.to_at is None or taken_at < each.to_at)
        ):
            return each.meter_patient_id or None
    return None


def desk_reading(content: Mapping[str, object], result: Result, zone: str, now: datetime) -> Reading:
    """What the desk wrote down, as a reading under no name yet.

    Args:
        content: everything that was said, by field; the octets of the reading.
        result: what it says of the test.
        zone: in which its time is meant.
        now: when it was written down.
    """
    from uuid import UUID

    from gateway import __version__
    from gateway.store.desk import DESK
    from gateway.store.documents import canonical
    from gateway.wire.reading import HubClock, Origin, Reading

    octets = canonical({**content, "entered_at": utc(now)}).encode()
    return Reading(
        journal=UUID(int=0),
        number=1,
        hub=DESK,
        origin=Origin.PERSON,
        software=f"inr-gateway {__version__}",
        driver=DESK,
        port=DESK,
        message=1,
        position=0,
        read_at=now,
        hub_clock=HubClock(synchronised=None, boot_id="", monotonic_s=0.0),
        meter_clock=None,
        zone=zone,
        meter=result.meter,
        result=result,
        fault=None,
        raw=base64.b64encode(octets).decode("ascii"),
    )
