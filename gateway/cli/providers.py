"""``inr-gateway providers``: try a provider's destination with made-up results, and let results go there."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from gateway.cli.opened import add_config, opened

if TYPE_CHECKING:
    import sqlite3

    from gateway.server.configuration import ServerConfiguration

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    probe = actions.add_parser(
        "probe",
        help="send made-up results to a destination and say what it really does",
        description="Sends made-up results, marked as tests, the same one twice, and keeps what came of it. "
        "Nothing about a patient leaves. Exit status 1: a danger was seen.",
    )
    live = actions.add_parser(
        "go-live",
        help="let results go to a destination",
        description="From now on results go there. It must have been probed as it is registered now; a danger that "
        "the probe saw is accepted by its name, and kept with the name of who accepts it.",
    )
    for action in (probe, live):
        add_config(action)
        action.add_argument(
            "destination", metavar="DESTINATION", help="its id; 'deliveries destinations' lists them"
        )
    probe.add_argument("--by", metavar="NAME", help="who tries; default: the user of the operating system")
    live.add_argument("--by", metavar="NAME", required=True, help="who decides it; kept with the decision")
    live.add_argument(
        "--despite",
        metavar="DANGER",
        action="append",
        default=[],
        help="a danger that is accepted; may be repeated",
    )
    live.add_argument("--note", default="", help="why")


def run(arguments: argparse.Namespace) -> int:
    """Run the action: 0 done, 1 a danger or a refusal, 2 the configuration cannot be used."""
    from gateway.configuration import ConfigurationError
    from gateway.database import StoreError
    from gateway.store.destinations import NotLiveError

    try:
        with opened(arguments) as (configuration, database):
            act = _probe if arguments.action == "probe" else _go_live
            return act(database, arguments, configuration)
    except ConfigurationError as error:
        print(f"inr-gateway providers: {error}", file=sys.stderr)
        return 2
    except (NotLiveError, StoreError, ValueError) as error:
        print(f"inr-gateway providers: {error}", file=sys.stderr)
        return 1


def _probe(database: sqlite3.Connection, arguments: argparse.Namespace, configuration: ServerConfiguration) -> int:
    import asyncio
    import getpass

    from gateway.database import transaction
    from gateway.reporting.channels.base import Circumstances, Secrets
    from gateway.reporting.probing import probe
    from gateway.store import destinations

    destination = destinations.find(database, arguments.destination)
    if destination is None:
        raise destinations.NotLiveError(
            f"there is no destination {arguments.destination!r}; 'deliveries destinations' lists them"
        )
    clock = configuration.clock()
    delivery = configuration.delivery
    findings = asyncio.run(probe(destination, Circumstances(delivery, Secrets(delivery.secrets), clock)))
    kept = [(each.name, each.danger, each.text) for each in findings]
    with transaction(database):
        destinations.keep_probe(database, destination, kept, arguments.by or getpass.getuser(), clock.now())
    for name, danger, text in kept:
        print(f"{'DANGER ' if danger else ''}{name}: {text}")
    if any(danger for _, danger, _ in kept):
        return 1
    print(f"{destination.id}: no danger was seen" + ("" if destination.live else "; 'providers go-live' opens it"))
    return 0


def _go_live(
    database: sqlite3.Connection, arguments: argparse.Namespace, configuration: ServerConfiguration
) -> int:
    from gateway.database import transaction
    from gateway.store import destinations

    with transaction(database):
        destinations.go_live(
            database,
            arguments.destination,
            arguments.by,
            arguments.despite,
            configuration.clock().now(),
            arguments.note,
        )
    print(f"{arguments.destination} is live: results go there from now on, those that waited for it first")
    return 0
