"""``inr-gateway results enter``: a result that was phoned in, or read from the meter's display.

The entry becomes a reading like any other, under the desk's own journal, so that grouping, attribution, delivery
and tally treat it as what a meter sent. Its octets are the form as it was filled in: who, when, which meter.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from gateway.cli.opened import add_config, opened
from gateway.cli.results_form import EntryError, Form, checked
from gateway.clock import moment, utc

if TYPE_CHECKING:
    from gateway.server.configuration import Safety
    from gateway.server.grouping import Identified
    from gateway.store.results import Known

__all__ = ["EntryError", "Form", "add_arguments", "attest", "enter", "here_already", "refuse_a_like_one", "run"]

SAME_TEST_WITHIN: Final = timedelta(hours=2)
"""A value that is here already, this close, is most likely the same test (rule R21)."""


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
    new = checked(database, form, now)
    known = here_already(database, new, now)
    if known is not None:
        subject, said = known.id, f"result {known.id} is this test already: not entered again"
        if not is_by_hand(database, form.patient, known.id):
            return False, f"{said}; a meter sent it"
    else:
        if not another:
            refuse_a_like_one(database, form.patient, new)
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
    return False, f"{said}; {attest(database, form, subject, now)}"


# ---------------------------------------------------------------- what is here already


def here_already(database: sqlite3.Connection, new: Identified, now: datetime) -> Known | None:
    """The result that this very test has: the same meter, time and value.

    Raises:
        EntryError: it has one that waits, was taken back, or says something else now.
    """
    from gateway.result import normalised_inr
    from gateway.server.grouping import group
    from gateway.server.refusals import Refusal
    from gateway.store import results

    found = group(database, new, now)
    if isinstance(found, Refusal) or found.known is None:
        return None
    number, latest = found.known.id, results.latest_version(database, found.known.id)
    if latest is None:
        raise EntryError(f"result {number} is this test, and waits in quarantine; decide there")
    if latest["status"] == "retracted":
        raise EntryError(f"result {number} is this test, and was taken back; see 'results restore {number}'")
    if found.known.inr != normalised_inr(new.result.inr):
        raise EntryError(f"result {number} is this test, and its value was corrected since; see 'results list'")
    return found.known


def is_by_hand(database: sqlite3.Connection, patient: str, result: int) -> bool:
    from gateway.store.tallies import tested

    return any(test.result_id == result and test.by_hand for test in tested(database, patient))


def refuse_a_like_one(database: sqlite3.Connection, patient: str, new: Identified, but: int | None = None) -> None:
    """Two clerks, or a clerk and the meter, may tell of one test with a few minutes between.

    Args:
        database: the store.
        patient: whose test it is.
        new: the entry.
        but: number of the result that the entry corrects.

    Raises:
        EntryError: another result is most likely this test.
    """
    from gateway.result import normalised_inr
    from gateway.store.tallies import tested

    time = new.result.device_time
    if time is None or time.local is None:
        return
    at = time.local.replace(tzinfo=UTC) - timedelta(minutes=time.utc_offset_min or 0)
    for test in tested(database, patient):
        if (
            test.kind == "patient"
            and test.result_id != but
            and test.status != "retracted"
            and test.inr == normalised_inr(new.result.inr)
            and abs(moment(test.taken_at) - at) <= SAME_TEST_WITHIN
        ):
            raise EntryError(
                f"result {test.result_id} has the same value, less than two hours apart: most likely this test. If "
                "it is another one, say --another"
            )


# ---------------------------------------------------------------- attestation


def attest(database: sqlite3.Connection, form: Form, result: int, now: datetime) -> str:
    """Keep the form's statement with the result, once; says what that means for the tally."""
    from gateway.reporting.documents.kinds import Attestation
    from gateway.reporting.documents.papers import papers_of
    from gateway.reporting.documents.recording import DocumentError, RefusedError, add_document

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
    except (DocumentError, RefusedError) as error:
        return f"NOT attested: {error}"
    return f"attested in document {made.id}"
