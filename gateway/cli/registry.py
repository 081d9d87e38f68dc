"""``inr-gateway registry``: import, list and show providers, patients, meters, assignments and the like."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.opened import add_config, opened

if TYPE_CHECKING:
    import sqlite3

    from gateway.server.configuration import ServerConfiguration
    from gateway.server.registry.corrections import Correction

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    into = actions.add_parser(
        "import",
        help="import CSV and TOML files",
        description="Imports files, or all CSV and TOML files of a folder: everything or, if anything is wrong, "
        "nothing. The same import again changes nothing. Nothing is ever removed: end a period with 'to'. "
        "What waits in quarantine goes on only by 'quarantine release'. Examples are in registry.example. An "
        "import that would take known results from their patients, or shift their times, is refused; --correct "
        "lists them, and with --apply takes them back where they were reported and reports them anew.",
    )
    add_config(into)
    into.add_argument("path", type=Path, nargs="+", help="file or folder")
    into.add_argument("--by", metavar="NAME", help="who decides; default: the user of the operating system")
    into.add_argument("--correct", action="store_true", help="show which known results the import would correct")
    into.add_argument("--apply", action="store_true", help="with --correct, --by and --why: do it")
    into.add_argument("--why", default="", metavar="TEXT", help="with --apply: the reason; kept with each decision")
    into.add_argument("--json", action="store_true", help="with --correct: one JSON object per known result")
    kind_help = "providers, destinations, patients, zones, hubs, meters, assignments, treatments or enrollments"
    for name, summary in (("list", "list the rows of a kind"), ("show", "show one, with what belongs to it")):
        action = actions.add_parser(name, help=summary, description=summary)
        add_config(action)
        action.add_argument("kind", help=kind_help)
        if name == "show":
            action.add_argument("id", help="id; of a meter 'vendor/serial', as 'list' shows it")
        action.add_argument("--json", action="store_true", help="one JSON object per row")


def run(arguments: argparse.Namespace) -> int:
    """Run the action: 0 done, 1 refused or not found, 2 the configuration or the kind cannot be used."""
    from gateway.configuration import ConfigurationError
    from gateway.database import StoreError
    from gateway.server.registry.importing import ImportRefusedError

    if arguments.action == "import" and (why := _misused(arguments)):
        print(f"inr-gateway registry: {why}", file=sys.stderr)
        return 2
    try:
        return _import(arguments) if arguments.action == "import" else _look(arguments)
    except ImportRefusedError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        print(f"nothing was imported: {len(error.problems)} problems", file=sys.stderr)
        return 1
    except ConfigurationError as error:
        print(f"inr-gateway registry: {error}", file=sys.stderr)
        return 2
    except StoreError as error:
        print(f"inr-gateway registry: {error}", file=sys.stderr)
        return 1


def _misused(arguments: argparse.Namespace) -> str | None:
    if not arguments.correct and (arguments.apply or arguments.why or arguments.json):
        return "--apply, --why and --json belong to --correct"
    if arguments.apply and not ((arguments.by or "").strip() and arguments.why.strip()):
        return "--apply needs --by NAME and --why TEXT: who decides, and the reason"
    return None


def _import(arguments: argparse.Namespace) -> int:
    import getpass

    from gateway.server.registry.importing import import_registry
    from gateway.store import destinations, quarantine

    with opened(arguments) as (configuration, database):
        if arguments.correct:
            return _correct(arguments, configuration, database)
        by = arguments.by or getpass.getuser()
        print(import_registry(database, arguments.path, by, configuration.clock().now()))
        waiting = len(quarantine.open_entries(database))
        for destination in destinations.not_live(database):
            print(f"{destination} is not live: 'providers probe {destination}', then 'providers go-live'")
    if waiting:
        print(f"{waiting} rows wait in quarantine; 'inr-gateway quarantine list' says which can go on now")
    return 0


def _correct(
    arguments: argparse.Namespace, configuration: ServerConfiguration, database: sqlite3.Connection
) -> int:
    from gateway.cli.tables import print_table
    from gateway.server.registry.corrections import correct_registry

    now, by = configuration.clock().now(), arguments.by or ""
    plan = correct_registry(
        database, arguments.path, by, arguments.why, now, configuration.safety, apply=arguments.apply
    )
    if arguments.json:
        for each in plan.corrections:
            print(json.dumps({**asdict(each), "done": plan.done}, ensure_ascii=False))
        return 0
    print(plan.imported)
    if plan.corrections:
        columns = ("RESULT", "TAKEN AT", "FROM", "TO", "TAKEN AT FROM NOW ON", "TOLD", "CLAIMS", "BECAUSE")
        print_table(columns, [_cells(each) for each in plan.corrections])
    changed = sum(1 for each in plan.corrections if each.changes)
    if plan.done:
        print(f"done: {changed} known results corrected; 'deliveries' shows who has been told of it")
    else:
        print(f"nothing was changed: {changed} known results would be; to do it, add --apply --by NAME --why TEXT")
    return 0


def _cells(each: Correction) -> tuple[object, ...]:
    to = "(quarantine)" if each.to is None else each.to
    told, claims = ", ".join(each.told), ", ".join(each.claims)
    return (each.result_id, each.taken_at, each.was, to, each.becomes, told, claims, each.said)


def _look(arguments: argparse.Namespace) -> int:
    from gateway.cli.tables import print_table
    from gateway.store import registry

    kind = arguments.kind
    if kind not in registry.TABLES:
        print(
            f"inr-gateway registry: no kind {kind!r}; the kinds are {', '.join(registry.TABLES)}", file=sys.stderr
        )
        return 2
    with opened(arguments) as (_configuration, database):
        if arguments.action == "list":
            found = {kind: registry.listing(database, kind)}
        else:
            found = {kind: registry.row(database, kind, arguments.id)}
            if found[kind]:
                found |= registry.related(database, kind, arguments.id)
    if arguments.action == "show" and not found[kind]:
        print(
            f"inr-gateway registry: no {arguments.id!r} among {kind}; see 'registry list {kind}'", file=sys.stderr
        )
        return 1
    for name, rows in found.items():
        if arguments.json:
            for row in rows:
                print(json.dumps({"kind": name, **dict(row)}, ensure_ascii=False))
            continue
        if arguments.action == "show":
            print(f"{name}:")
        table = registry.TABLES[name]
        print_table([column.upper() for column in (*table.key, *table.columns)], [tuple(row) for row in rows])
    return 0
