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
    from gateway.store.opening import Role
    from gateway.store.report_list import Listed, Unqueued

__all__ = ["add_arguments", "run"]

STATES = ("waiting", "delivered", "refused", "none")
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments."""
    parser.epilog = (
        "STATE: waiting (is sent again by itself), delivered (the provider's system acknowledged this very "
        "report), refused (waits for a person), none (no report was made). EVIDENCE: sent < accepted < delivered "
        "< seen."
    )
    parser.add_argument("--config", type=Path, default=Path("server.toml"), help="default %(default)s")
    parser.add_argument("--patient", metavar="ID", help="only this patient's")
    parser.add_argument("--state", choices=STATES, help="only those in this state")
    parser.add_argument("--json", action="store_true", help="one JSON object per line, with every field")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    resend = actions.add_parser("resend", help="have a refused report sent again, unchanged")
    resend.add_argument("--config", type=Path, default=argparse.SUPPRESS, help="as above")
    resend.add_argument("report", type=int, metavar="REPORT", help="its number in the list")
    resend.add_argument("--by", required=True, metavar="NAME", help="who decides it; kept with the decision")
    resend.add_argument("--note", default="", help="why")


def run(arguments: argparse.Namespace) -> int:
    """List, or have a report sent again: 0 done, 1 refused or no store, 2 the configuration cannot be used."""
    from gateway.configuration import ConfigurationError
    from gateway.database import StoreError
    from gateway.store.reports import ResendError

    try:
        with opened(arguments) as (configuration, database):
            act = _resend if arguments.action == "resend" else _list
            act(database, arguments, configuration)
    except ConfigurationError as error:
        print(f"inr-gateway deliveries: {error}", file=sys.stderr)
        return 2
    except (ResendError, StoreError) as error:
        print(f"inr-gateway deliveries: {error}", file=sys.stderr)
        return 1
    return 0


def _resend(
    database: sqlite3.Connection, arguments: argparse.Namespace, configuration: ServerConfiguration
) -> None:
    from gateway.database import transaction
    from gateway.store import reports

    with transaction(database):
        reports.resend(database, arguments.report, arguments.by, configuration.clock().now(), arguments.note)
    print(f"report {arguments.report} is sent again, with the same octets and control id")


def _list(database: sqlite3.Connection, arguments: argparse.Namespace, configuration: ServerConfiguration) -> None:
    from gateway.cli.tables import print_table
    from gateway.clock import utc
    from gateway.store import epochs, report_list

    held, role, now = not epochs.may_deliver(database), configuration.server.role, utc(configuration.clock().now())
    rows = [_reported(each, held, now) for each in report_list.listing(database, arguments.patient)]
    rows += [_unreported(each, held, role) for each in report_list.unqueued(database, arguments.patient)]
    rows = [row for row in rows if arguments.state in (None, row["state"])]
    rows.sort(key=lambda row: (row["taken_at"], row["report"] or 0))
    if arguments.json:
        for row in rows:
            print(json.dumps(row, ensure_ascii=False))
        return
    print_table(tuple(COLUMNS.values()), [[row[name] for name in COLUMNS] for row in rows])


RESTORED = "the store was restored and nobody has reconciled it yet ('inr-gateway server reconcile')"


def _reported(report: Listed, held: bool, now: str) -> dict[str, Any]:
    return {
        "report": report.report_id,
        "patient": report.patient_id,
        "result": report.result_key,
        "taken_at": report.taken_at,
        "version": report.version,
        "status": report.status,
        "destination": report.destination_id,
        "address": report.address,
        "control_id": report.control_id,
        "state": report.state,
        "evidence": report.level,
        "evidence_at": report.evidence_at,
        "peer": report.peer,
        "attempts": report.attempts,
        "next_attempt_at": report.next_attempt_at if report.state == "waiting" else "",
        "why": _why_not_delivered(report, held, now),
    }


def _why_not_delivered(report: Listed, held: bool, now: str) -> str:
    if report.state == "delivered":
        return ""
    if report.state == "refused":
        return f"waits for a person: {report.last_error} ('deliveries resend {report.report_id} --by NAME')"
    if held:
        return RESTORED
    if report.waits_for_version is not None:
        return f"version {report.waits_for_version} has not been answered yet"
    if report.last_error:
        again = f"not before {report.next_attempt_at}" if report.next_attempt_at > now else "at growing intervals"
        return f"{report.last_error}; tried again {again}"
    if report.destination_error:
        return f"behind earlier reports to {report.destination_id}: {report.destination_error}"
    return "about to be sent"


def _unreported(result: Unqueued, held: bool, role: Role) -> dict[str, Any]:
    if held:
        why = RESTORED
    elif result.held:
        why = "waits for a person, or was dismissed by one ('inr-gateway quarantine list')"
    elif role == "production" and result.origin in ("simulator", "replay"):
        why = f"of origin {result.origin}: never reported"
    elif not result.treated:
        why = "no provider treats the patient at the time of the test"
    elif not result.reachable:
        why = "the treating provider has no destination"
    else:
        why = "about to be made"
    known = {"patient": result.patient_id, "result": result.result_key, "taken_at": result.taken_at}
    rest = dict.fromkeys(("report", "destination", "evidence", "peer", "attempts"))
    return {**rest, **known, "version": result.version, "state": "none", "why": why}
