"""``inr-gateway results enter``: a result that was phoned in, or read from the meter's display.

The entry becomes a reading like any other, under the desk's own journal, so that grouping, attribution, delivery
and tally treat it as what a meter sent. Its octets are the form as it was filled in: who, when, which meter.
"""

from __future__ import annotations

import argparse
import base64
import sqlite3
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

from gateway.cli.opened import add_config, opened
from gateway.clock import EARLIEST, moment, utc

if TYPE_CHECKING:
    from gateway.result import Quantity, Result
    from gateway.server.book import Book
    from gateway.server.configuration import Safety
    from gateway.server.grouping import Identified
    from gateway.store.people import ZoneFrom
    from gateway.store.results import Known
    from gateway.wire.reading import Reading

__all__ = ["EntryError", "Form", "add_arguments", "enter", "run"]

HIGHEST_INR: Final = Decimal(30)
"""No home meter shows more; a larger number is a slip of the finger."""
SAME_TEST_WITHIN: Final = timedelta(hours=2)
"""A value that is here already, this close, is most likely the same test (rule R21)."""


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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the action's arguments."""
    add_config(parser)
    parser.add_argument("--patient", required=True, metavar="ID", help="whose test it is")
    parser.add_argument("--inr", required=True, metavar="VALUE", help="as the display shows it: 2.5, >8.0, <0.8")
    parser.add_argument(
        "--taken-at",
        required=True,
        metavar="TIME",
        help="when: 2026-03-14T07:30 in the patient's zone, or with an offset: 2026-03-14T07:30-08:00",
    )
    parser.add_argument(
        "--meter", required=True, metavar="VENDOR/SERIAL", help="as 'registry list meters' shows it"
    )
    parser.add_argument("--by", required=True, metavar="NAME", help="who enters it")
    parser.add_argument(
        "--attest",
        default="",
        metavar="TEXT",
        help="how it is known to be right; without it the result is reported, but policies may not count it",
    )
    parser.add_argument("--another", action="store_true", help="it is another test than the like one that is here")


def run(arguments: argparse.Namespace) -> int:
    """Enter one result: 0 done or here already, 1 refused, or it waits in quarantine."""
    vendor, slash, serial = arguments.meter.partition("/")
    if not slash:
        print(f"inr-gateway results: {arguments.meter!r} is no meter; write VENDOR/SERIAL", file=sys.stderr)
        return 1
    form = Form(
        arguments.patient,
        arguments.inr.strip(),
        arguments.taken_at.strip(),
        vendor.strip(),
        serial.strip(),
        arguments.by.strip(),
        arguments.attest.strip(),
    )
    try:
        with opened(arguments) as (configuration, database):
            now = configuration.clock().now()
            waits, said = enter(database, form, now, configuration.safety, another=arguments.another)
    except EntryError as error:
        print(f"inr-gateway results: {error}; nothing was entered", file=sys.stderr)
        return 1
    print(said)
    return int(waits)


def enter(
    database: sqlite3.Connection, form: Form, now: datetime, safety: Safety, *, another: bool = False
) -> tuple[bool, str]:
    """Take in one entry.

    Args:
        database: the store.
        form: what the desk wrote down.
        now: the instant of entry.
        safety: limits beyond which what waits is urgent.
        another: it is another test than one of the same value that is here already.

    Returns:
        Whether it waits in quarantine, and what became of it in words.

    Raises:
        EntryError: it cannot be entered; nothing has changed.
    """
    from gateway.database import transaction
    from gateway.mqtt import topics
    from gateway.server.ingest import Message, ingest
    from gateway.store import decisions, desk, readings, results
    from gateway.wire.reading import encode

    if not form.entered_by:
        raise EntryError("--by needs the name of a person")
    new = _checked(database, form, now)
    known = _here_already(database, new, now)
    if known is not None:
        subject, said = known.id, f"result {known.id} is this test already: not entered again"
        if not _is_by_hand(database, form.patient, known.id):
            return False, f"{said}; a meter sent it"
    else:
        if not another:
            _refuse_a_like_one(database, form, new)
        with transaction(database):
            journal, number = desk.next_name(database, utc(now))
        reading = new.reading.model_copy(update={"journal": journal, "number": number, "message": number})
        message = Message(topics.reading(desk.DESK, journal, number), encode(reading))
        taken = ingest(database, [message], now, safety)[0]
        result = readings.result_of(database, str(journal), number)
        if result is None or results.latest_version(database, result) is None:
            rows = ", ".join(str(opened.id) for opened in taken.opened)
            return True, f"the entry is kept, and waits in quarantine {rows}"
        subject, said = result, f"result {result} entered"
        with transaction(database):
            decisions.record(database, now, form.entered_by, "enter", f"result {result}", "by hand")
    return False, f"{said}; {_attest(database, form, subject, now)}"


# ---------------------------------------------------------------- checking


def _checked(database: sqlite3.Connection, form: Form, now: datetime) -> Identified:
    """The reading that the entry makes, under no name yet; everything that can be wrong with it is said here."""
    from gateway.result import DeviceTime, Kind, Meter, Result, meter_key
    from gateway.server.book import Book
    from gateway.server.grouping import Identified
    from gateway.server.placement import attributed
    from gateway.server.refusals import REMEDY, Refusal
    from gateway.store import registry

    inr = _inr(form.inr)
    if not registry.exists(database, "patients", form.patient):
        raise EntryError(f"there is no patient {form.patient}; import the patient first ('registry import')")
    book = Book(database)
    taken_at = _taken_at(form.taken_at, book.zones(form.patient), now)
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
    reading = _reading(form, result, taken_at, now)
    found = attributed(book, reading, result, now)
    if isinstance(found, Refusal):
        raise EntryError(f"{found.detail}; {REMEDY[found.reason]}")
    if found.patient_id != form.patient:
        raise EntryError(f"the meter was not patient {form.patient}'s at that time; correct --meter or --taken-at")
    new = Identified.of(reading)
    if new is None:
        raise EntryError("the entry makes no result")
    return new


def _inr(text: str) -> Quantity:
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


def _taken_at(text: str, history: list[ZoneFrom], now: datetime) -> datetime:
    """The time of the test, in the patient's zone of record."""
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


def _reading(form: Form, result: Result, taken_at: datetime, now: datetime) -> Reading:
    from uuid import UUID

    from gateway import __version__
    from gateway.store.desk import DESK
    from gateway.store.documents import canonical
    from gateway.wire.reading import HubClock, Origin, Reading

    octets = canonical({**asdict(form), "entered_at": utc(now)}).encode()
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
        zone=str(taken_at.tzinfo),
        meter=result.meter,
        result=result,
        fault=None,
        raw=base64.b64encode(octets).decode("ascii"),
    )


# ---------------------------------------------------------------- what is here already


def _here_already(database: sqlite3.Connection, new: Identified, now: datetime) -> Known | None:
    """The result that this very test has: the same meter, time and value."""
    from gateway.server.grouping import group
    from gateway.server.refusals import Refusal
    from gateway.store import results

    found = group(database, new, now)
    if isinstance(found, Refusal) or found.known is None:
        return None
    if results.latest_version(database, found.known.id) is None:
        raise EntryError(f"result {found.known.id} is this test, and waits in quarantine; decide there")
    return found.known


def _is_by_hand(database: sqlite3.Connection, patient: str, result: int) -> bool:
    from gateway.store.tallies import tested

    return any(test.result_id == result and test.by_hand for test in tested(database, patient))


def _refuse_a_like_one(database: sqlite3.Connection, form: Form, new: Identified) -> None:
    """Two clerks, or a clerk and the meter, may tell of one test with a few minutes between."""
    from gateway.result import normalised_inr
    from gateway.store.tallies import tested

    time = new.result.device_time
    if time is None or time.local is None:
        return
    at = time.local.replace(tzinfo=UTC) - timedelta(minutes=time.utc_offset_min or 0)
    for test in tested(database, form.patient):
        if (
            test.kind == "patient"
            and test.status != "retracted"
            and test.inr == normalised_inr(new.result.inr)
            and abs(moment(test.taken_at) - at) <= SAME_TEST_WITHIN
        ):
            raise EntryError(
                f"result {test.result_id} has the same value, less than two hours apart: most likely this test. If "
                "it is another one, say --another"
            )


# ---------------------------------------------------------------- attestation


def _attest(database: sqlite3.Connection, form: Form, result: int, now: datetime) -> str:
    """Keep the statement with the result, once; says what that means for the tally."""
    from gateway.reporting.documents.kinds import Attestation
    from gateway.reporting.documents.papers import papers_of
    from gateway.reporting.documents.recording import RefusedError, add_document

    if result in papers_of(database, form.patient).by_result(Attestation):
        return "attested"
    if not form.attestation:
        return "not attested: policies may not count it. To attest: 'documents add attestation' for this result"
    content = {
        "patient": form.patient,
        "result": result,
        "statement": form.attestation,
        "attested_by": form.entered_by,
        "attested_at": utc(now),
    }
    try:
        made = add_document(database, "attestation", content, form.entered_by, now)
    except RefusedError as error:
        return f"NOT attested: {error}"
    return f"attested in document {made.id}"
