"""``inr-gateway deliveries``: where each report is, on what evidence, and why it waits."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.cli.opened import opened

if TYPE_CHECKING:
    import sqlite3

    from gateway.server.configuration import ServerConfiguration

__all__ = ["add_arguments", "run"]

STATES = ("waiting", "accepted", "delivered", "refused", "none")
COLUMNS = {
    "report": "REPORT",
    "patient": "PATIENT",
    "taken_at": "TAKEN AT",
    "version": "VERSION",
    "destination": "DESTINATION",
    "state": "STATE",
    "evidence": "EVIDENCE",
    "peer": "PEER",
    "attempts": "ATTEMPTS",
    "why": "WHY",
}
DESTINATION_COLUMNS = {
    "destination": "DESTINATION",
    "provider": "PROVIDER",
    "channel": "CHANNEL",
    "rank": "RANK",
    "mode": "MODE",
    "live": "LIVE",
    "breaker": "BREAKER",
    "since": "SINCE",
    "waiting": "WAITING",
    "in_batch": "IN BATCH",
    "refused": "REFUSED",
    "last_delivered": "LAST DELIVERED",
    "why": "WHY",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments."""
    parser.epilog = (
        "STATE: waiting (is sent again by itself), accepted (kept by the far end, which has not said yet, or never "
        "says, that the provider has it), delivered (the provider's system acknowledged this very report), refused "
        "(waits for a person), none (no report was made). EVIDENCE: sent < accepted < delivered < seen."
    )
    parser.add_argument("--config", type=Path, default=Path("server.toml"), help="default %(default)s")
    parser.add_argument("--patient", metavar="ID", help="only this patient's")
    parser.add_argument("--result", metavar="KEY", help="only this result's: its key or number, see 'results'")
    parser.add_argument("--state", choices=STATES, help="only those in this state")
    parser.add_argument("--json", action="store_true", help="one JSON object per line, with every field")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    resend = actions.add_parser("resend", help="have a refused or accepted report sent again, unchanged")
    seen = actions.add_parser("seen", help="state that somebody at the provider has seen a report")
    places = actions.add_parser(
        "destinations", help="list the destinations, their breakers and what waits for them"
    )
    for action in (resend, seen, places):
        action.add_argument("--config", type=Path, default=argparse.SUPPRESS, help="as above")
    places.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="as above")
    for action in (resend, seen):
        action.add_argument("report", type=int, metavar="REPORT", help="its number in the list")
        action.add_argument("--by", required=True, metavar="NAME", help="who decides it; kept with the decision")
    resend.add_argument("--note", default="", help="why")
    seen.add_argument("--how", required=True, metavar="TEXT", help="how that is known, like 'read back by phone'")


def run(arguments: argparse.Namespace) -> int:
    """List, or act on a report: 0 done, 1 refused or no store, 2 the configuration cannot be used."""
    from gateway.configuration import ConfigurationError
    from gateway.database import StoreError
    from gateway.store.sendings import SendingError

    acts = {"resend": _resend, "seen": _seen, "destinations": _destinations}
    try:
        with opened(arguments) as (configuration, database):
            acts.get(arguments.action, _list)(database, arguments, configuration)
    except ConfigurationError as error:
        print(f"inr-gateway deliveries: {error}", file=sys.stderr)
        return 2
    except (SendingError, StoreError) as error:
        print(f"inr-gateway deliveries: {error}", file=sys.stderr)
        return 1
    return 0


def _resend(
    database: sqlite3.Connection, arguments: argparse.Namespace, configuration: ServerConfiguration
) -> None:
    from gateway.database import transaction
    from gateway.store import sendings

    with transaction(database):
        sendings.resend(database, arguments.report, arguments.by, configuration.clock().now(), arguments.note)
    print(f"report {arguments.report} is sent again, with the same octets and control id")


def _seen(database: sqlite3.Connection, arguments: argparse.Namespace, configuration: ServerConfiguration) -> None:
    from gateway.database import transaction
    from gateway.store import sendings

    with transaction(database):
        sendings.seen(database, arguments.report, arguments.by, arguments.how, configuration.clock().now())
    print(f"report {arguments.report} was seen, says {arguments.by}")


def _list(database: sqlite3.Connection, arguments: argparse.Namespace, configuration: ServerConfiguration) -> None:
    from gateway.clock import utc
    from gateway.reporting.whereabouts import of_report, of_unqueued
    from gateway.store import epochs, report_list

    held, role, now = not epochs.may_deliver(database), configuration.server.role, utc(configuration.clock().now())
    of = (arguments.patient, arguments.result)
    rows = [of_report(each, held=held, now=now) for each in report_list.listing(database, *of)]
    rows += [of_unqueued(each, held=held, role=role) for each in report_list.unqueued(database, *of)]
    rows = [row for row in rows if arguments.state in (None, row["state"])]
    rows.sort(key=lambda row: (row["taken_at"], row["report"] or 0))
    _print(rows, COLUMNS, as_json=arguments.json)


def _destinations(
    database: sqlite3.Connection, arguments: argparse.Namespace, configuration: ServerConfiguration
) -> None:
    from gateway.clock import utc
    from gateway.store import destinations, report_list

    traffic = report_list.traffic(database, utc(configuration.clock().now()))
    rows = []
    for each in destinations.listing(database):
        breaker, behind = destinations.breaker(database, each.id), traffic.get(each.id)
        probed = destinations.last_probe(database, each.id)
        rows.append(
            {
                "destination": each.id,
                "provider": each.provider_id,
                "channel": each.channel,
                "address": each.address,
                "rank": each.rank,
                "fall_back_after_s": each.fall_back_after_s,
                "mode": each.mode,
                "schedule": each.schedule,
                "live": "yes" if each.live else "no",
                "breaker": breaker.state if breaker else "closed",
                "since": breaker.since if breaker else "",
                "failures": breaker.failures if breaker else 0,
                "tried_again_at": breaker.trial_at if breaker else None,
                "waiting": behind.waiting if behind else 0,
                "in_batch": behind.held_for_batch if behind else 0,
                "accepted": behind.accepted if behind else 0,
                "refused": behind.refused if behind else 0,
                "delivered": behind.delivered if behind else 0,
                "oldest_waiting": behind.oldest_waiting if behind else "",
                "last_delivered": behind.last_delivered if behind else "",
                "probed_at": probed.at if probed else None,
                "dangers": [name for name, danger, _ in probed.findings if danger] if probed else [],
                "why": breaker.why if breaker and breaker.state != "closed" else "",
            }
        )
    _print(rows, DESTINATION_COLUMNS, as_json=arguments.json)


def _print(rows: list[dict[str, Any]], columns: dict[str, str], *, as_json: bool) -> None:
    from gateway.cli.tables import print_table

    if as_json:
        for row in rows:
            print(json.dumps(row, ensure_ascii=False))
    else:
        print_table(tuple(columns.values()), [[row[name] for name in columns] for row in rows])
