"""``inr-gateway quarantine``: what waits for a person, and what the person decides."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from gateway.cli.opened import add_config, instant, opened

if TYPE_CHECKING:
    import sqlite3

    from gateway.server.configuration import ServerConfiguration
    from gateway.store.quarantine import Entry

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list what waits", description="Lists what waits, urgent first.")
    add_config(listing)
    listing.add_argument("--reason", help="only this reason")
    listing.add_argument("--closed", action="store_true", help="also what was decided")
    listing.add_argument("--json", action="store_true", help="one JSON object per row")

    show = actions.add_parser("show", help="show one row whole", description="Shows a row with its readings.")
    add_config(show)
    show.add_argument("id", type=int)
    show.add_argument("--octets", action="store_true", help="also the original octets, as hex and as text")

    release = actions.add_parser(
        "release",
        help="let it go on",
        description="Asks again by the same rules, on today's registry. A contradiction needs --keep or --as-two, "
        "a time that nobody knows --taken-at, a test that could be of two patients --patient.",
    )
    add_config(release)
    release.add_argument("id", type=int, nargs="*")
    release.add_argument("--all", action="store_true", help="all that wait for the reason given with --reason")
    release.add_argument("--reason", help="with --all: which")
    release.add_argument("--by", required=True, metavar="NAME", help="who decides")
    release.add_argument("--keep", type=int, metavar="READING", help="one test, and this reading has it right")
    release.add_argument("--as-two", action="store_true", help="the reading that brought it up is another test")
    release.add_argument("--patient", metavar="ID", help="who did the test")
    release.add_argument("--taken-at", type=instant, metavar="INSTANT", help="when, like 2026-03-14T07:30-08:00")

    dismiss = actions.add_parser(
        "dismiss",
        help="never use it",
        description="It stays in the store, and is never reported nor counted. "
        "Where the result was reported before, it is taken back there; 'results restore' undoes that.",
    )
    add_config(dismiss)
    dismiss.add_argument("id", type=int, nargs="+")
    dismiss.add_argument("--by", required=True, metavar="NAME", help="who decides")
    dismiss.add_argument("--note", required=True, help="why")


def run(arguments: argparse.Namespace) -> int:
    """Run the action: 0 done, 1 refused or not found, 2 the configuration or the arguments cannot be used."""
    from gateway.configuration import ConfigurationError
    from gateway.database import StoreError

    if arguments.action == "release" and (why := _misused(arguments)):
        print(f"inr-gateway quarantine: {why}", file=sys.stderr)
        return 2
    actions = {"list": _list, "show": _show, "release": _decide, "dismiss": _decide}
    try:
        with opened(arguments) as (configuration, database):
            return actions[arguments.action](arguments, configuration, database)
    except ConfigurationError as error:
        print(f"inr-gateway quarantine: {error}", file=sys.stderr)
        return 2
    except StoreError as error:
        print(f"inr-gateway quarantine: {error}", file=sys.stderr)
        return 1


def _misused(arguments: argparse.Namespace) -> str | None:
    if bool(arguments.id) == arguments.all:
        return "name rows, or say --all with --reason"
    if arguments.all and not arguments.reason:
        return "--all needs --reason: one decision for one kind of question"
    answered = arguments.keep is not None or arguments.as_two or arguments.patient or arguments.taken_at
    if answered and len(arguments.id) != 1:
        return "an answer (--keep, --as-two, --patient, --taken-at) is for one row; name that one"
    return None


def _list(arguments: argparse.Namespace, _configuration: ServerConfiguration, database: sqlite3.Connection) -> int:
    from gateway.cli.tables import print_table
    from gateway.store import quarantine

    rows = quarantine.open_entries(database, arguments.reason, closed=arguments.closed)
    if arguments.json:
        for row in rows:
            print(json.dumps(row._asdict(), ensure_ascii=False))
        return 0
    columns = ("ID", "URGENT", "SINCE", "REASON", "ABOUT", "DETAIL", "DECIDED")
    print_table(
        columns,
        [
            (
                row.id,
                "URGENT" if row.urgent else "",
                row.opened_at,
                row.reason,
                _about(row),
                row.detail,
                f"{row.action} by {row.closed_by}" if row.action else "",
            )
            for row in rows
        ],
    )
    return 0


def _about(row: Entry) -> str:
    if row.result_id is not None:
        return f"result {row.result_id}"
    return f"reading {row.reading_id}" if row.reading_id is not None else f"stray {row.stray_id}"


def _show(arguments: argparse.Namespace, _configuration: ServerConfiguration, database: sqlite3.Connection) -> int:
    from gateway.server.refusals import REMEDY, Reason
    from gateway.store import decisions, quarantine, readings

    row = quarantine.entry(database, arguments.id)
    if row is None:
        print(f"inr-gateway quarantine: no row {arguments.id}; see 'quarantine list'", file=sys.stderr)
        return 1
    print(f"quarantine {row.id}: {row.reason}{' (URGENT)' if row.urgent else ''}, since {row.opened_at}")
    print(f"  {row.detail}")
    if row.closed_at is None:
        print(f"  to do: {REMEDY[Reason(row.reason)]}")
    for decision in decisions.about(database, f"quarantine {row.id}"):
        print(f"  {decision['act']} by {decision['by_name']} at {decision['at']}: {decision['note']}")
    if row.stray_id is not None:
        stray = readings.stray(database, row.stray_id)
        print(f"stray {row.stray_id}: topic {stray['topic']!r}, {stray['size']} octets, {stray['received_at']}")
        if arguments.octets:
            _print_octets(stray["payload"])
        return 0
    members = [] if row.result_id is None else [member.id for member in readings.members(database, row.result_id)]
    for identifier in members or ([] if row.reading_id is None else [row.reading_id]):
        _print_reading(database, identifier, octets=arguments.octets, brought_up=identifier == row.reading_id)
    return 0


def _print_reading(database: sqlite3.Connection, identifier: int, *, octets: bool, brought_up: bool) -> None:
    from gateway.server.validation import understand
    from gateway.store import readings
    from gateway.wire.reading import Reading

    row = readings.find(database, identifier)
    if row is None:
        return
    print(f"reading {identifier}{' (brought this up)' if brought_up else ''}: hub {row['hub']}, ", end="")
    print(f"journal {row['journal']}, number {row['number']}, {row['size']} octets, received {row['received_at']}")
    reading = understand(row["payload"])
    if isinstance(reading, Reading):
        said = reading.result if reading.result is not None else reading.fault
        read_at = reading.read_at.isoformat()
        print(f"  read at {read_at} by {reading.driver} on {reading.port}, origin {reading.origin}")
        print("  " + (said.model_dump_json(by_alias=True, exclude_none=True) if said is not None else "nothing"))
        if octets:
            print("  octets of the meter:")
            _print_octets(reading.octets)
    if octets:
        print("  octets of the payload:")
        _print_octets(row["payload"])


def _print_octets(octets: bytes) -> None:
    for start in range(0, len(octets), 16):
        part = octets[start : start + 16]
        text = "".join(chr(octet) if 32 <= octet < 127 else "." for octet in part)
        print(f"  {start:08x}  {part.hex(' '):<47}  {text}")


def _decide(arguments: argparse.Namespace, configuration: ServerConfiguration, database: sqlite3.Connection) -> int:
    from gateway.server.release import Choice, DecisionError, dismiss, release
    from gateway.store import quarantine

    now, by, releases = configuration.clock().now(), arguments.by, arguments.action == "release"
    rows = arguments.id
    if releases and arguments.all:
        rows = [row.id for row in quarantine.open_entries(database, arguments.reason)]
    refused = 0
    for row in rows:
        try:
            if releases:
                choice = Choice(arguments.keep, arguments.as_two, arguments.patient, arguments.taken_at)
                said = release(database, row, by, now, choice, configuration.safety)
            else:
                said = dismiss(database, row, by, now, arguments.note)
            print(f"quarantine {row}: {said}")
        except DecisionError as error:
            print(error, file=sys.stderr)
            refused += 1
    if releases and arguments.all:
        print(f"{len(rows) - refused} released, {refused} wait on")
    return int(refused > 0)
