"""``inr-gateway documents``: orders, training, diagnoses and whatever else stands behind a unit of service."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.cli.opened import add_config, opened

if TYPE_CHECKING:
    from gateway.reporting.documents.recording import Attached, Recorded
    from gateway.store.documents import Document

__all__ = ["add_arguments", "run"]

MOST_PROBLEMS = 100
"""Shown of one import; a file of the wrong form has as many as it has rows."""
MOST_OCTETS = 64 * 1024 * 1024
_KINDS = (
    "order, training, warfarin, anticoagulant, infusion, diagnosis, valve, coverage, eligibility, contact, event, "
    "early_reason, extra_order, abn, review, attestation, billed_service, supply_delivery, supply_contact or "
    "supply_waste"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _declare_recording(actions)
    listing = actions.add_parser("list", help="list a patient's documents")
    listing.add_argument("--patient", required=True, metavar="ID", help="whose")
    listing.add_argument("--kind", help="only this kind")
    listing.add_argument("--all", action="store_true", help="also those that were corrected or voided")
    show = actions.add_parser("show", help="show one document whole, with its corrections")
    show.add_argument("id", type=int)
    show.add_argument("--save", type=Path, metavar="PATH", help="write the attached file there")
    supplies = actions.add_parser(
        "supplies",
        help="a patient's strips: on hand, and from when one may ask and deliver",
        description="Strips delivered less those that tests, errors and controls used and those wasted. Seven days "
        "before shipping one may ask about a refill, five days before the last strip is used one may deliver.",
    )
    supplies.add_argument("--patient", required=True, metavar="ID", help="whose")
    supplies.add_argument(
        "--as-of", type=_day, metavar="DAY", help="local day; default: today in the patient's zone"
    )
    supplies.add_argument("--shipping-days", type=int, default=0, metavar="N", help="days that a parcel takes")
    for action in (listing, show, supplies):
        add_config(action)
        action.add_argument("--json", action="store_true", help="as JSON")


def _declare_recording(actions: Any) -> None:
    into = actions.add_parser(
        "import",
        help="import CSV and TOML files",
        description="Imports files, or all CSV and TOML files of a folder: everything or, if anything is wrong, "
        "nothing. The same import again changes nothing. A CSV file is named after its kind, as order.csv. "
        "Examples are in documents.example.",
    )
    into.add_argument("path", type=Path, nargs="+", help="file or folder")
    new = actions.add_parser(
        "add",
        help="record one document",
        description=f"Records one document. KIND is {_KINDS}. The same one again changes nothing.",
    )
    new.add_argument("kind", metavar="KIND", help="what it is")
    new.add_argument("--patient", required=True, metavar="ID", help="whose")
    again = actions.add_parser(
        "supersede",
        help="correct a document",
        description="A new document takes its place; what is not named stays as it was, and column= takes one "
        "away. Both are kept.",
    )
    attach = actions.add_parser(
        "attach", help="attach a file to a document", description="A new document, with the file, takes its place."
    )
    void = actions.add_parser(
        "void", help="take a document away", description="For one that should never have been recorded. It is kept."
    )
    void.add_argument("--note", required=True, help="why")
    for action in (again, attach, void):
        action.add_argument("id", type=int)
    for action in (new, again):
        action.add_argument("column", nargs="+", metavar="column=value", help="what it says")
    for action in (new, again, attach):
        action.add_argument(
            "--file", type=Path, metavar="PATH", required=action is attach, help="a file to keep with it"
        )
    for action in (into, new, again, attach, void):
        add_config(action)
        action.add_argument("--by", required=True, metavar="NAME", help="who records it")


def run(arguments: argparse.Namespace) -> int:
    """Run the action: 0 done, 1 refused or not found, 2 the configuration or the arguments cannot be used."""
    from gateway.configuration import ConfigurationError
    from gateway.database import StoreError
    from gateway.reporting.documents.recording import DocumentError, RefusedError
    from gateway.reporting.statements import StatementError
    from gateway.reporting.units import UnitsError

    actions = {"import": _import, "list": _list, "show": _show, "supplies": _supplies}
    try:
        return actions.get(arguments.action, _record)(arguments)
    except RefusedError as error:
        count = len(error.problems)
        for problem in error.problems[:MOST_PROBLEMS]:
            print(problem, file=sys.stderr)
        if count > MOST_PROBLEMS:
            print(f"and {count - MOST_PROBLEMS} more", file=sys.stderr)
        print(f"nothing was recorded: {count} {'problem' if count == 1 else 'problems'}", file=sys.stderr)
        return 1
    except (ConfigurationError, argparse.ArgumentTypeError) as error:
        print(f"inr-gateway documents: {error}", file=sys.stderr)
        return 2
    except (DocumentError, StoreError, StatementError, UnitsError) as error:
        print(f"inr-gateway documents: {error}", file=sys.stderr)
        return 1


# ---------------------------------------------------------------- recording


def _import(arguments: argparse.Namespace) -> int:
    from gateway.reporting.documents.recording import import_documents

    by = _named(arguments)
    with opened(arguments) as (configuration, database):
        print(import_documents(database, arguments.path, by, configuration.clock().now()))
    return 0


def _record(arguments: argparse.Namespace) -> int:
    from gateway.reporting.documents import recording

    by = _named(arguments)
    attached = _attached(getattr(arguments, "file", None))
    columns = _columns(getattr(arguments, "column", []))
    with opened(arguments) as (configuration, database):
        now = configuration.clock().now()
        if arguments.action == "add":
            content = {"patient": arguments.patient, **columns}
            made = recording.add_document(database, arguments.kind, content, by, now, attached)
        elif arguments.action == "void":
            made = recording.void_document(database, arguments.id, by, now, arguments.note)
        else:
            made = recording.supersede_document(database, arguments.id, columns, by, now, attached)
    print(_said(arguments, made))
    return 0


def _said(arguments: argparse.Namespace, made: Recorded) -> str:
    if not made.new:
        return f"document {made.id} says the same already: nothing new"
    if arguments.action == "add":
        return f"document {made.id} recorded"
    return f"document {made.id} {'voids' if arguments.action == 'void' else 'supersedes'} document {arguments.id}"


def _named(arguments: argparse.Namespace) -> str:
    by = str(arguments.by).strip()
    if not by:
        raise argparse.ArgumentTypeError("--by needs the name of a person")
    return by


def _columns(words: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or not name.strip():
            raise argparse.ArgumentTypeError(f"{word!r} says no column; write column=value")
        if name.strip() in found:
            raise argparse.ArgumentTypeError(f"column {name.strip()} is given twice")
        found[name.strip()] = value.strip()
    return found


def _attached(path: Path | None) -> Attached | None:
    from gateway.reporting.documents.recording import Attached

    if path is None:
        return None
    try:
        if path.stat().st_size > MOST_OCTETS:
            raise argparse.ArgumentTypeError(f"{path}: is larger than {MOST_OCTETS} octets; attach a smaller file")
        return Attached(path.name, path.read_bytes())
    except OSError as error:
        raise argparse.ArgumentTypeError(
            f"{path}: cannot be read: {error.strerror}; name a readable file"
        ) from error


# ---------------------------------------------------------------- looking


def _list(arguments: argparse.Namespace) -> int:
    from gateway.cli.tables import print_table
    from gateway.reporting.claims.beside import beside_units
    from gateway.reporting.claims.tallied import today
    from gateway.reporting.documents.kinds import KINDS
    from gateway.reporting.facts import facts_of
    from gateway.store import documents, registry

    if arguments.kind is not None and arguments.kind not in KINDS:
        raise argparse.ArgumentTypeError(f"no kind {arguments.kind!r}; the kinds are {', '.join(KINDS)}")
    with opened(arguments) as (configuration, database):
        known = registry.exists(database, "patients", arguments.patient)
        rows = documents.listing(database, arguments.patient, kind=arguments.kind, superseded=arguments.all)
        facts = facts_of(database, arguments.patient)
        cautions = beside_units(facts, today(facts.zones, configuration.clock()), configuration.server.role)
    if not known:
        print(f"inr-gateway documents: there is no patient {arguments.patient}", file=sys.stderr)
        return 1
    if arguments.json:
        for row in rows:
            print(json.dumps(_as_json(row), ensure_ascii=False))
        return 0
    columns = ("ID", "KIND", "SAYS", "FILE", "RECORDED", "BY", "SOURCE", "STATE")
    print_table(
        columns,
        [
            (
                row.id,
                row.kind,
                ", ".join(f"{name}={_plain(value)}" for name, value in json.loads(row.body).items()),
                row.attachment_name,
                row.recorded_at,
                row.recorded_by,
                row.source,
                _state(row),
            )
            for row in rows
        ],
    )
    for caution in cautions:
        print(caution.line)
    return 0


def _show(arguments: argparse.Namespace) -> int:
    from gateway.store import documents

    with opened(arguments) as (_configuration, database):
        row = documents.find(database, arguments.id)
        octets = None if row is None or row.attachment is None else documents.attachment(database, row.attachment)
    if row is None:
        print(f"inr-gateway documents: there is no document {arguments.id}", file=sys.stderr)
        return 1
    if arguments.save is not None:
        if octets is None:
            print(f"inr-gateway documents: document {row.id} has no file", file=sys.stderr)
            return 1
        try:
            with arguments.save.open("xb") as file:
                file.write(octets)
        except OSError as error:
            print(f"inr-gateway documents: {arguments.save}: cannot be written: {error.strerror}", file=sys.stderr)
            return 1
    if arguments.json:
        print(json.dumps(_as_json(row), ensure_ascii=False))
        return 0
    print(f"document {row.id}: {row.kind} of patient {row.patient_id}, {_state(row)}")
    for name, value in json.loads(row.body).items():
        print(f"  {name} = {_plain(value)}")
    print(f"  recorded by {row.recorded_by} at {row.recorded_at}, source {row.source}")
    print(f"  sha256 {row.sha256}")
    if octets is not None:
        print(f"  file {row.attachment_name}, {len(octets)} octets, sha256 {row.attachment}")
    if row.supersedes is not None:
        print(f"  {'voids' if row.voids else 'supersedes'} document {row.supersedes}")
    return 0


def _supplies(arguments: argparse.Namespace) -> int:
    from zoneinfo import ZoneInfo

    from gateway.reporting.documents.supply import stock_of
    from gateway.store.tested import zones

    with opened(arguments) as (configuration, database):
        as_of = arguments.as_of
        if as_of is None:
            history = zones(database, arguments.patient)
            here = ZoneInfo(history[-1][1] if history else "UTC")
            as_of = configuration.clock().now().astimezone(here).date()
        stock = stock_of(
            database, arguments.patient, as_of, configuration.server.role, shipping_days=arguments.shipping_days
        )
    found = stock.supply
    if arguments.json:
        print(
            json.dumps(
                {
                    "patient": arguments.patient,
                    "as_of": str(as_of),
                    "on_hand": found.on_hand,
                    "used": stock.used,
                    "wasted": stock.wasted,
                    "interval_days": stock.interval_days,
                    "exhausted_on": str(found.exhausted_on),
                    "contact_from": str(found.contact_from),
                    "deliver_from": str(found.deliver_from),
                    "deliveries": [
                        {"date": str(each.date), "strips": each.strips, "proof": each.proof}
                        for each in stock.deliveries
                    ],
                    "unproven": [str(day) for day in found.unproven],
                    "contacts": [str(day) for day in stock.contacts],
                }
            )
        )
        return 0
    print(f"patient {arguments.patient}, as of {as_of}: {found.on_hand} strips on hand")
    delivered = sum(each.strips for each in stock.deliveries)
    print(f"  {delivered} delivered, {stock.used} used by tests, errors and controls, {stock.wasted} wasted")
    print(f"  one test every {stock.interval_days} days: no strip is left for {found.exhausted_on}")
    print(f"  ask about a refill from {found.contact_from}, deliver from {found.deliver_from}")
    for day in found.unproven:
        print(f"  no proof of the delivery on {day}")
    print(f"  last contact: {stock.contacts[-1] if stock.contacts else 'none on record'}")
    if found.on_hand < 0:
        print("  more strips were used than delivered: a delivery is missing from the record")
    return 0


def _as_json(row: Document) -> dict[str, Any]:
    return {**row._asdict(), "body": json.loads(row.body), "voids": bool(row.voids), "holds": row.holds}


def _state(row: Document) -> str:
    if row.superseded_by is not None:
        return f"superseded by {row.superseded_by}"
    return f"voids {row.supersedes}" if row.voids else "holds"


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _day(text: str) -> Any:
    from datetime import date

    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day; write it like 2026-03-14") from None
