"""``inr-gateway alerts``: what somebody should look at, whose it is, and who has seen it."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from gateway.cli.opened import add_config, instant, opened

if TYPE_CHECKING:
    import sqlite3

    from gateway.server.configuration import ServerConfiguration

__all__ = ["add_arguments", "run"]

NAME = "inr-gateway alerts"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser(
        "list",
        help="list what stands open",
        description="Lists open alerts that nobody has put off, oldest first. An alert closes by itself when its "
        "cause has gone: out_of_target with the next test in range, no_test with a test, not_live when the patient "
        "goes live, no_delivery, hub_silent and meter_clock when all is well again.",
    )
    add_config(listing)
    listing.add_argument("--kind", help="only these, like no_delivery")
    listing.add_argument("--owner", help="only those of this owner")
    listing.add_argument("--all", action="store_true", help="also those put off, and those closed")
    listing.add_argument("--json", action="store_true", help="one JSON object per alert")

    show = actions.add_parser("show", help="show one whole", description="Shows one with all that happened to it.")
    add_config(show)
    show.add_argument("id", type=int)
    show.add_argument("--json", action="store_true", help="one JSON object")

    seen = actions.add_parser(
        "acknowledge",
        help="say who has seen it",
        description="It stays open until its cause has gone; with --until it leaves the list till then.",
    )
    add_config(seen)
    seen.add_argument("id", type=int, nargs="+")
    seen.add_argument("--by", required=True, metavar="NAME", help="who has seen it")
    seen.add_argument("--until", type=instant, metavar="INSTANT", help="put it off, like 2026-03-14T07:30-08:00")
    seen.add_argument("--note", default="", help="what is done about it")


def run(arguments: argparse.Namespace) -> int:
    """Run the action: 0 done, 1 refused or not found, 2 the configuration or the arguments cannot be used."""
    from gateway.configuration import ConfigurationError
    from gateway.database import StoreError

    actions = {"list": _list, "show": _show, "acknowledge": _acknowledge}
    try:
        with opened(arguments) as (configuration, database):
            return actions[arguments.action](arguments, configuration, database)
    except ConfigurationError as error:
        print(f"{NAME}: {error}", file=sys.stderr)
        return 2
    except StoreError as error:
        print(f"{NAME}: {error}", file=sys.stderr)
        return 1


def _list(arguments: argparse.Namespace, configuration: ServerConfiguration, database: sqlite3.Connection) -> int:
    from gateway.cli.tables import print_table
    from gateway.reporting.alerts.configuration import KINDS, NOT_STATED
    from gateway.store import alerts

    if arguments.kind is not None and arguments.kind not in KINDS:
        print(f"{NAME}: no kind {arguments.kind!r}; the kinds are {', '.join(KINDS)}", file=sys.stderr)
        return 2
    if not configuration.intended_use.stated:
        print(f"{NAME}: {NOT_STATED}; no out_of_target and not_live", file=sys.stderr)
    rows = alerts.listing(
        database,
        configuration.clock().now(),
        kind=arguments.kind,
        owner=arguments.owner,
        everything=arguments.all,
    )
    if arguments.json:
        for row in rows:
            print(json.dumps(row._asdict(), ensure_ascii=False))
        return 0
    print_table(
        ("ID", "KIND", "OWNER", "ABOUT", "SINCE", "DETAIL", "SEEN BY", "PUT OFF", "CLOSED"),
        [
            (
                row.id,
                row.kind,
                row.owner,
                row.subject,
                row.opened_at,
                row.detail,
                row.acknowledged_by,
                row.snoozed_until,
                row.closed_at,
            )
            for row in rows
        ],
    )
    return 0


def _show(arguments: argparse.Namespace, _configuration: ServerConfiguration, database: sqlite3.Connection) -> int:
    from gateway.store import alerts

    row = alerts.find(database, arguments.id)
    if row is None:
        print(f"{NAME}: there is no alert {arguments.id}; see 'alerts list'", file=sys.stderr)
        return 1
    happened = alerts.events(database, row.id)
    if arguments.json:
        names = ("at", "by_name", "what", "note")
        events = [dict(zip(names, event, strict=True)) for event in happened]
        print(json.dumps({**row._asdict(), "events": events}, ensure_ascii=False))
        return 0
    print(f"alert {row.id}: {row.kind}, {row.subject}, since {row.opened_at}, of {row.owner}")
    print(f"  {row.detail}")
    for at, by, what, note in happened:
        print(f"  {at} {what} by {by}" + (f": {note}" if note else ""))
    return 0


def _acknowledge(
    arguments: argparse.Namespace, configuration: ServerConfiguration, database: sqlite3.Connection
) -> int:
    from gateway.database import transaction
    from gateway.store import alerts
    from gateway.store.escalations import EscalationError

    refused, now = 0, configuration.clock().now()
    for identifier in arguments.id:
        try:
            with transaction(database):
                alerts.acknowledge(
                    database, identifier, arguments.by, now, until=arguments.until, note=arguments.note
                )
            print(f"alert {identifier}: seen by {arguments.by}")
        except (alerts.AlertError, EscalationError) as error:
            print(f"{NAME}: {error}", file=sys.stderr)
            refused += 1
    return int(refused > 0)
