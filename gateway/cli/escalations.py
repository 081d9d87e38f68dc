"""``inr-gateway escalations``: critical results that somebody must be told of, and who was."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from gateway.cli.opened import add_config, instant, opened

if TYPE_CHECKING:
    import sqlite3

    from gateway.server.configuration import ServerConfiguration
    from gateway.store.escalations import Escalation

__all__ = ["add_arguments", "run"]

NAME = "inr-gateway escalations"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-command's arguments."""
    parser.epilog = (
        "An escalation opens with a result at or beyond critical limits, is reminded of until it is acknowledged, "
        "and is closed by a person alone. It has nothing to do with delivery: an acknowledgement of the provider's "
        "system is nobody who has read the value."
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list what stands open", description="Lists what stands open.")
    add_config(listing)
    listing.add_argument("--patient", metavar="ID", help="only this patient's")
    listing.add_argument("--closed", action="store_true", help="also closed ones")
    listing.add_argument("--json", action="store_true", help="one JSON object per escalation")

    show = actions.add_parser(
        "show", help="show one, and whom to call now", description="Shows one whole, and who answers at this hour."
    )
    add_config(show)
    show.add_argument("id", type=int)
    show.add_argument("--json", action="store_true", help="one JSON object")

    tried = actions.add_parser(
        "attempt", help="write down a call", description="Writes down a call, and when the next one is due."
    )
    add_config(tried)
    tried.add_argument("id", type=int)
    tried.add_argument("--by", required=True, metavar="NAME", help="who called")
    outcome = tried.add_mutually_exclusive_group(required=True)
    outcome.add_argument("--reached", metavar="PERSON", help="whom it reached")
    outcome.add_argument("--not-reached", metavar="PERSON", help="whom it should have reached")
    tried.add_argument("--number", default="", help="that was called")
    tried.add_argument("--note", default="", help="what was said")
    tried.add_argument(
        "--again-at", type=instant, metavar="INSTANT", help="next contact, like 2026-03-14T07:30-08:00"
    )

    read = actions.add_parser(
        "acknowledge",
        help="somebody read the value back",
        description="Somebody was told, and read the value back. It stays on the list until it is closed.",
    )
    add_config(read)
    read.add_argument("id", type=int)
    read.add_argument("--by", required=True, metavar="NAME", help="who told them")
    read.add_argument(
        "--read-back", required=True, metavar="TEXT", help="who read it back, and what: 'Dr. Jones: 6.2'"
    )

    close = actions.add_parser(
        "close",
        help="close it",
        description="Closes one that was acknowledged, or, with the reason in --note, one that was not.",
    )
    add_config(close)
    close.add_argument("id", type=int)
    close.add_argument("--by", required=True, metavar="NAME", help="who closes it")
    close.add_argument("--note", default="", help="why; needed where nobody read the value back")


def run(arguments: argparse.Namespace) -> int:
    """Run the action: 0 done, 1 refused or not found, 2 the configuration or the arguments cannot be used."""
    from gateway.configuration import ConfigurationError
    from gateway.database import StoreError
    from gateway.store.escalations import EscalationError

    actions = {"list": _list, "show": _show, "attempt": _attempt, "acknowledge": _acknowledge, "close": _close}
    try:
        with opened(arguments) as (configuration, database):
            return actions[arguments.action](arguments, configuration, database)
    except ConfigurationError as error:
        print(f"{NAME}: {error}", file=sys.stderr)
        return 2
    except (StoreError, EscalationError) as error:
        print(f"{NAME}: {error}", file=sys.stderr)
        return 1


def _list(arguments: argparse.Namespace, configuration: ServerConfiguration, database: sqlite3.Connection) -> int:
    from gateway.cli.tables import print_table
    from gateway.reporting.alerts.configuration import NOT_STATED
    from gateway.store import escalations, watched

    if not configuration.intended_use.stated:
        print(f"{NAME}: {NOT_STATED}", file=sys.stderr)
    waiting = watched.unjudged(database)
    if waiting:
        print(f"{NAME}: {waiting} results wait to be judged; is the server running?", file=sys.stderr)
    rows = escalations.listing(database, patient=arguments.patient, closed=arguments.closed)
    if arguments.json:
        for row in rows:
            print(json.dumps(_plain(row), ensure_ascii=False))
        return 0
    print_table(
        (
            "ID",
            "STATE",
            "SINCE",
            "CAUSE",
            "PATIENT",
            "INR",
            "WHY",
            "OWNER",
            "NEXT CONTACT",
            "REMINDED",
            "READ BACK",
        ),
        [
            (
                row.id,
                row.state,
                row.opened_at,
                row.cause,
                row.patient_id,
                row.inr,
                row.limit_text,
                row.owner,
                row.next_contact_at,
                row.reminders or "",
                row.read_back,
            )
            for row in rows
        ],
    )
    return 0


def _plain(row: Escalation) -> dict[str, object]:
    return {**row._asdict(), "contacts": json.loads(row.contacts)}


def _show(arguments: argparse.Namespace, configuration: ServerConfiguration, database: sqlite3.Connection) -> int:
    from gateway.reporting.alerts import calling
    from gateway.store import escalations

    row = escalations.find(database, arguments.id)
    if row is None:
        print(f"{NAME}: there is no escalation {arguments.id}; see 'escalations list'", file=sys.stderr)
        return 1
    now, told = configuration.clock().now(), calling.read(row.contacts)
    numbers = [calling.answering(contact, now) for contact in told]
    happened = escalations.events(database, row.id)
    if arguments.json:
        call_now = [{"person": person, "number": number} for person, number in numbers]
        events = [event._asdict() for event in happened]
        print(json.dumps({**_plain(row), "call_now": call_now, "events": events}, ensure_ascii=False))
        return 0
    print(f"escalation {row.id}: {row.state}, {row.cause}, since {row.opened_at}, of {row.owner}")
    print(f"  {_about(row)}: INR {row.inr or '?'}, {row.limit_text}")
    if row.state != "closed":
        for person, number in numbers:
            print(f"  call now: {person}, {number}")
        if not numbers:
            print(f"  call now: {calling.NOBODY} ('registry import')")
    for contact in told:
        after = f"; else {contact.after_hours_person or contact.person}, {contact.after_hours_number}"
        hours = f"{contact.hours} {contact.zone}" if contact.hours else "at any time"
        print(f"  {contact.person}, {contact.number}, {hours}{after if contact.hours else ''}")
    if row.next_contact_at is not None:
        print(f"  next contact due: {row.next_contact_at}")
    for event in happened:
        said = " ".join(each for each in (event.person, event.number, event.note) if each)
        print(f"  {event.at} {event.what} by {event.by_name}" + (f": {said}" if said else ""))
    return 0


def _about(row: Escalation) -> str:
    whose = f"patient {row.patient_id}" if row.patient_id is not None else "patient not known yet"
    what = f"quarantine {row.quarantine_id}" if row.result_id is None else f"result {row.result_id}"
    return f"{whose}, {what}, taken {row.taken_at or 'at a time not known yet'}"


def _attempt(
    arguments: argparse.Namespace, configuration: ServerConfiguration, database: sqlite3.Connection
) -> int:
    from gateway.clock import utc
    from gateway.database import transaction
    from gateway.store import escalations

    now = configuration.clock().now()
    again = arguments.again_at or now + timedelta(minutes=configuration.escalations.retry_after_min)
    if again <= now:
        print(f"{NAME}: {utc(again)} has passed; name a later time (--again-at)", file=sys.stderr)
        return 1
    reached = arguments.reached is not None
    call = escalations.Call(reached, arguments.number, arguments.reached or arguments.not_reached, arguments.note)
    with transaction(database):
        escalations.attempt(database, arguments.id, arguments.by, now, call, again)
    said = "reached; when the value is read back: 'escalations acknowledge'" if reached else "not reached"
    print(f"escalation {arguments.id}: {said}; next contact due {utc(again)}")
    return 0


def _acknowledge(
    arguments: argparse.Namespace, configuration: ServerConfiguration, database: sqlite3.Connection
) -> int:
    from gateway.database import transaction
    from gateway.store import escalations

    now: datetime = configuration.clock().now()
    remind_at = now + timedelta(hours=configuration.escalations.close_within_h)
    with transaction(database):
        escalations.acknowledge(database, arguments.id, arguments.by, now, arguments.read_back, remind_at)
    print(f"escalation {arguments.id}: acknowledged; close it when all is done ('escalations close')")
    return 0


def _close(arguments: argparse.Namespace, configuration: ServerConfiguration, database: sqlite3.Connection) -> int:
    from gateway.database import transaction
    from gateway.store import escalations

    with transaction(database):
        escalations.close(database, arguments.id, arguments.by, configuration.clock().now(), arguments.note)
    print(f"escalation {arguments.id}: closed by {arguments.by}")
    return 0
