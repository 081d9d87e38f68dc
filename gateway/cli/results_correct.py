"""``inr-gateway results correct``: another time of a test; another value or meter of an entry by hand.

A corrected entry is one more reading of the desk beside the first: the form as it should have been filled in.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from gateway.cli.opened import add_config
from gateway.cli.results_enter import attest, refuse_a_like_one
from gateway.cli.results_form import EntryError, Form, checked, desk_reading, inr_shown, time_of_test
from gateway.clock import moment, utc

if TYPE_CHECKING:
    from gateway.result import Result
    from gateway.server.grouping import Identified
    from gateway.server.versions import Standing
    from gateway.store.readings import Member

__all__ = ["Changes", "add_arguments", "correct", "correct_entry"]


class Changes(NamedTuple):
    """What is to be corrected; an empty text leaves it as it is. Times and values as `results enter` takes them."""

    inr: str = ""
    taken_at: str = ""
    meter: str = ""
    attestation: str = ""
    another: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the action's arguments."""
    add_config(parser)
    parser.add_argument("result", type=int, metavar="RESULT", help="its number, as 'results list' shows it")
    parser.add_argument(
        "--taken-at", default="", metavar="TIME", help="when the test was done, as for 'results enter'"
    )
    parser.add_argument("--inr", default="", metavar="VALUE", help="what the display showed; entered by hand only")
    parser.add_argument("--meter", default="", metavar="VENDOR/SERIAL", help="which meter; entered by hand only")
    parser.add_argument(
        "--attest",
        default="",
        metavar="TEXT",
        help="how the corrected entry is known to be right; entered by hand only",
    )
    parser.add_argument("--another", action="store_true", help="it is another test than the like one that is here")


def correct(
    database: sqlite3.Connection, identifier: int, changes: Changes, by: str, why: str, now: datetime
) -> str:
    """Correct one result, as far as a person may.

    Args:
        database: the store.
        identifier: number of the result.
        changes: what is to be corrected.
        by: name of the person who decides.
        why: the reason; kept with the decision.
        now: the instant of the correction.

    Returns:
        What became of it, in words.

    Raises:
        EntryError: what was said cannot be right.
        DecisionError: the result is not to be corrected so. Either way nothing has changed.
    """
    from gateway.server.book import Book
    from gateway.server.copies import DecisionError
    from gateway.server.retiming import retime
    from gateway.server.versions import standing
    from gateway.store import readings
    from gateway.store.desk import DESK

    if not (changes.inr or changes.taken_at or changes.meter):
        raise EntryError("nothing is to be corrected; say --taken-at, or --inr or --meter of an entry by hand")
    of = standing(database, identifier)
    members = readings.members(database, identifier)
    if members and all(member.hub == DESK for member in members):
        return correct_entry(database, identifier, changes, by, why, now)
    if changes.inr or changes.meter or changes.attestation:
        raise DecisionError(
            f"result {identifier} was sent by the meter, and what a meter measured is never altered; "
            f"if it is no valid test: 'results retract {identifier}'; if somebody else did it: 'results move "
            f"{identifier} --to ID'"
        )
    zones = Book(database).zones(of.latest["patient_id"])
    return retime(database, identifier, time_of_test(changes.taken_at, zones, now), by, why, now)


def correct_entry(
    database: sqlite3.Connection, identifier: int, changes: Changes, by: str, why: str, now: datetime
) -> str:
    """Correct what was entered by hand; arguments and errors as for `correct`.

    A statement that stood for the entry as it was falls away with it.
    """
    from gateway.database import transaction
    from gateway.server.copies import DecisionError
    from gateway.server.versions import named, standing, told_of
    from gateway.store import decisions

    by, why = named(by, why)
    with transaction(database):
        of = standing(database, identifier)
        patient = of.latest["patient_id"]
        if of.is_taken_back:
            raise DecisionError(f"result {identifier} is nobody's now; 'results list' says why")
        form = replace(_form(database, of), entered_by=by, attestation=changes.attestation)
        form, new, columns = _new(database, of, form, changes, why, now)
        _refuse_what_is_here(database, of, new, now)
        if not changes.another:
            refuse_a_like_one(database, patient, new, but=identifier)
        _write(database, of, new, columns, why, now)
        _let_the_statement_fall(database, patient, identifier, by, now)
        decisions.record(database, now, by, "correct", f"result {identifier}", f"entered by hand: {why}")
        said = f"result {identifier} is corrected; {told_of(database, identifier, patient)}"
    return f"{said}; {attest(database, form, identifier, now)}"


def _form(database: sqlite3.Connection, of: Standing) -> Form:
    """The form as it was filled in last, as this patient's."""
    last = _last_entry(database, of)
    content = json.loads(_octets(last))
    fields = {name: content[name] for name in Form.__dataclass_fields__ if isinstance(content.get(name), str)}
    return Form(**{**fields, "patient": of.latest["patient_id"]})


def _last_entry(database: sqlite3.Connection, of: Standing) -> Member:
    from gateway.store import readings

    members = readings.members(database, of.known.id)
    return next((member for member in members if member.id == of.latest["reading_id"]), members[-1])


def _octets(member: Member) -> bytes:
    from gateway.wire.reading import Reading

    return Reading.model_validate_json(member.payload).octets


def _new(
    database: sqlite3.Connection, of: Standing, form: Form, changes: Changes, why: str, now: datetime
) -> tuple[Form, Identified, dict[str, object]]:
    """The form as it should have been, the reading that it makes, and what changes of time and patient."""
    from gateway.result import Result
    from gateway.server.grouping import Identified
    from gateway.server.validation import contradictions

    latest = of.latest
    before = Result.model_validate_json(latest["body"])
    columns: dict[str, object] = {}
    if changes.inr:
        form = replace(form, inr=changes.inr)
    if changes.meter:
        vendor, slash, serial = (part.strip() for part in changes.meter.partition("/"))
        if not slash:
            raise EntryError(f"{changes.meter!r} is no meter; write VENDOR/SERIAL")
        form = replace(form, vendor=vendor, serial=serial)
    if changes.taken_at or changes.meter:
        form = replace(form, taken_at=changes.taken_at or moment(latest["taken_at"]).isoformat())
        result = checked(database, form, now).result
        columns = _time_of(database, of, result, form, now)
    else:  # whose test it is, and when it was done, is settled: perhaps by a person
        result = before.model_copy(update={"inr": inr_shown(form.inr)})
    if not contradictions(before, result) and (before.meter, before.device_time) == (
        result.meter,
        result.device_time,
    ):
        raise EntryError(f"result {of.known.id} says this already")
    last = _last_entry(database, of)
    content = {
        **{name: getattr(form, name) for name in Form.__dataclass_fields__},
        "corrects": f"{last.journal}/{last.number}",
        "why": why,
    }
    new = Identified.of(desk_reading(content, result, str(columns.get("zone", latest["zone"])), now))
    if new is None:
        raise EntryError("the entry makes no result")
    return form, new, columns


def _time_of(
    database: sqlite3.Connection, of: Standing, result: Result, form: Form, now: datetime
) -> dict[str, object]:
    """When the corrected entry was done, and by whom: as at its first entry."""
    from gateway.server.book import Book
    from gateway.server.placement import attributed
    from gateway.server.refusals import Refusal
    from gateway.server.versions import columns_of

    found = attributed(Book(database), desk_reading({}, result, of.latest["zone"], now), result, now)
    if isinstance(found, Refusal) or found.patient_id != form.patient:
        raise EntryError(f"the meter was not patient {form.patient}'s at that time; correct --meter or --taken-at")
    return columns_of(found)


def _refuse_what_is_here(database: sqlite3.Connection, of: Standing, new: Identified, now: datetime) -> None:
    """The corrected entry may turn out to be a test that is here already."""
    from gateway.server.grouping import group
    from gateway.server.refusals import Refusal

    found = group(database, new, now)
    if not isinstance(found, Refusal) and found.known is not None and found.known.id != of.known.id:
        raise EntryError(
            f"result {found.known.id} is this very test; take this one back: 'results retract {of.known.id}'"
        )


def _write(
    database: sqlite3.Connection,
    of: Standing,
    new: Identified,
    columns: dict[str, object],
    why: str,
    now: datetime,
) -> None:
    """The reading, the result as it is described from now on, and the version."""
    from gateway.result import normalised_inr
    from gateway.server.placement import shown_time
    from gateway.server.versions import follow
    from gateway.store import desk, readings, results
    from gateway.wire.reading import digest, encode

    at, identifier, result = utc(now), of.known.id, new.result
    journal, number = desk.next_name(database, at)
    reading = new.reading.model_copy(update={"journal": journal, "number": number, "message": number})
    payload = encode(reading)
    arrived = readings.Arrived(
        str(journal),
        number,
        digest(payload),
        desk.DESK,
        payload,
        at,
        size=len(payload),
        message=number,
        position=0,
        content=new.content,
        record=new.record,
    )
    reading_id = readings.insert(database, arrived, "stored", identifier)
    readings.advance(database, str(journal), desk.DESK, [number])
    results.settle_readings(database, identifier)
    results.describe(
        database,
        identifier,
        result.kind.value,
        normalised_inr(result.inr),
        shown_time(result),
        meter_key=result.meter.key,
    )
    body = result.model_dump_json(by_alias=True)
    follow(
        database,
        identifier,
        of.latest,
        at=at,
        why=f"entry corrected: {why}",
        body=body,
        reading_id=reading_id,
        **columns,
    )


def _let_the_statement_fall(
    database: sqlite3.Connection, patient: str, identifier: int, by: str, now: datetime
) -> None:
    """What was attested was the entry as it stood; it says nothing for the corrected one."""
    from gateway.reporting.documents.recording import void_within
    from gateway.store import documents

    for paper in documents.effective(database, patient):
        if paper.kind == "attestation" and paper.result_id == identifier:
            void_within(database, paper.id, by, now, f"result {identifier} was corrected after it")
