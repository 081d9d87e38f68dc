"""``inr-gateway results``: each result, where it is, and why it waits; results by hand; and corrections."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from gateway.cli import results_acts, results_enter
from gateway.cli.opened import add_config, opened

if TYPE_CHECKING:
    from gateway.store.overview import Listed

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser(
        "list",
        help="list results",
        description="Lists each result: its readings (hub/journal/number), version, reports with their evidence, "
        "and why it waits. Shows INR values: they are what it is asked for.",
    )
    add_config(listing)
    listing.add_argument("--patient", metavar="ID", help="only this patient's")
    listing.add_argument("--waiting", action="store_true", help="only those that wait for a person")
    listing.add_argument("--json", action="store_true", help="one JSON object per result")
    results_enter.add_arguments(
        actions.add_parser(
            "enter",
            help="enter a result that was phoned in or read from the display",
            description="Reported to the provider like any other, with a note that it was entered by hand; flagged "
            "in the tally, and replaced there by the meter's own record of the same value within two hours. "
            "Entered twice, it stands once.",
        )
    )
    results_acts.add_arguments(actions)


def run(arguments: argparse.Namespace) -> int:
    """Run the action: 0 done, 1 refused, or the store cannot be used, 2 the configuration cannot be used."""
    from gateway.configuration import ConfigurationError
    from gateway.database import StoreError

    try:
        if arguments.action in results_acts.ACTS:
            return results_acts.run(arguments)
        return results_enter.run(arguments) if arguments.action == "enter" else _list(arguments)
    except ConfigurationError as error:
        print(f"inr-gateway results: {error}", file=sys.stderr)
        return 2
    except StoreError as error:
        print(f"inr-gateway results: {error}", file=sys.stderr)
        return 1


def _list(arguments: argparse.Namespace) -> int:
    from gateway.cli.tables import print_table
    from gateway.store.overview import listed

    with opened(arguments) as (_configuration, database):
        found = [row for row in listed(database, patient=arguments.patient) if row.waits or not arguments.waiting]
    if arguments.json:
        for row in found:
            print(json.dumps(asdict(row), ensure_ascii=False))
        return 0
    columns = ("RESULT", "KIND", "METER", "METER'S TIME", "INR", "READINGS", "VERSION", "PATIENT", "TAKEN AT")
    print_table((*columns, "REPORTS", "WAITS"), [_cells(row) for row in found])
    return 0


def _cells(row: Listed) -> tuple[object, ...]:
    more = f" +{len(row.readings) - 1}" if len(row.readings) > 1 else ""
    version = None if row.version is None else f"{row.version} {row.status}"
    reports = ", ".join(f"{each.destination}: {each.evidence or each.state}" for each in row.reports)
    waits = "; ".join(f"{reason} (quarantine {number})" for number, reason, _detail in row.waits)
    if not waits and row.dismissed is not None:
        waits = "taken back" if row.status == "retracted" else "dismissed"
    return (
        row.id,
        row.kind,
        row.meter,
        row.device_time,
        row.inr,
        (row.readings[0] if row.readings else "") + more,
        version,
        row.patient,
        row.taken_at,
        reports,
        waits,
    )
