"""``inr-gateway server``: run the ingestion server; make, back up, restore and reconcile its store."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.opened import add_config, opened

if TYPE_CHECKING:
    from gateway.server.configuration import ServerConfiguration

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, summary, more in (
        ("run", "run until SIGTERM", "Takes in readings, sends receipts, delivers reports to the providers."),
        ("init", "make the store", "Makes an empty store. Its role (production or rig) is fixed for ever."),
        ("backup", "copy the store, beside a running server too", "Writes one file that 'restore' takes."),
        (
            "restore",
            "put a backup in the store's place",
            "The restored store has a new epoch: the hubs fill what came after the backup. Nothing is delivered or "
            "exported until a named person says 'reconcile'. Stop the server first.",
        ),
        (
            "reconcile",
            "let a restored store deliver again",
            "To be said once the hubs have filled the gap.",
        ),
        ("status", "what the store holds and what waits", "Counts; without values and names."),
    ):
        action = actions.add_parser(name, help=summary, description=more)
        add_config(action)
        if name == "run":
            action.add_argument("--verbose", action="store_true", help="log every connection and batch")
        if name == "backup":
            action.add_argument("file", type=Path, help="file to write; must not exist")
        if name == "restore":
            action.add_argument("file", type=Path, help="file that 'server backup' wrote")
            action.add_argument("--replace", action="store_true", help="move the store that stands there aside")
        if name == "reconcile":
            action.add_argument("--by", required=True, metavar="NAME", help="who decides")
            action.add_argument("--note", default="", help="why")


def run(arguments: argparse.Namespace) -> int:
    """Run the action: 0 done, 1 refused or failed, 2 the configuration cannot be used."""
    from gateway.configuration import ConfigurationError, load
    from gateway.database import StoreError
    from gateway.server.configuration import ServerConfiguration

    actions = {"run": _run, "init": _init, "backup": _backup, "restore": _restore}
    try:
        if arguments.action in actions:
            return actions[arguments.action](arguments, load(arguments.config, ServerConfiguration))
        return _reconcile(arguments) if arguments.action == "reconcile" else _status(arguments)
    except ConfigurationError as error:
        print(f"inr-gateway server: {error}", file=sys.stderr)
        return 2
    except StoreError as error:
        print(f"inr-gateway server: {error}", file=sys.stderr)
        return 1


def _run(arguments: argparse.Namespace, configuration: ServerConfiguration) -> int:
    from gateway.reporting.alerts.watch import Watch
    from gateway.reporting.claims.keeping import Tallying
    from gateway.reporting.delivery import Delivery
    from gateway.server.consumer import Consumer
    from gateway.server.service import serve

    logging.basicConfig(
        level=logging.DEBUG if arguments.verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    server, clock = configuration.server, configuration.clock()
    delivery = Delivery(server.store, configuration.delivery, clock, server.role, configuration.intended_use)
    tallying = Tallying(server.store, clock, server.role)
    watch = Watch(server.store, configuration.watching, clock, server.role)

    def committed() -> None:
        watch.notify()
        delivery.notify()

    consumer = Consumer(configuration, clock, on_committed=committed)
    return serve(
        server, [tallying, watch, delivery, consumer], on_ready=lambda: print("server: running", flush=True)
    )


def _init(_arguments: argparse.Namespace, configuration: ServerConfiguration) -> int:
    from gateway.store.opening import create_store

    server = configuration.server
    create_store(server.store, server.role, configuration.clock().now())
    print(f"made {server.store}, role {server.role}; next: 'inr-gateway registry import'")
    return 0


def _backup(arguments: argparse.Namespace, configuration: ServerConfiguration) -> int:
    from gateway.store.backup import back_up

    print(f"wrote {arguments.file}: {back_up(configuration.server.store, arguments.file)}")
    return 0


def _restore(arguments: argparse.Namespace, configuration: ServerConfiguration) -> int:
    from gateway.store.backup import restore

    server, now = configuration.server, configuration.clock().now()
    found, aside = restore(arguments.file, server.store, server.role, now, replace=arguments.replace)
    print(f"restored {server.store}: {found}")
    if aside is not None:
        print(f"the former store is kept as {aside}")
    print("nothing is delivered or exported until 'inr-gateway server reconcile --by NAME'; start the server, let")
    print("the hubs fill the gap ('inr-gateway server status'), then reconcile")
    return 0


def _reconcile(arguments: argparse.Namespace) -> int:
    from gateway.database import transaction
    from gateway.store import epochs

    with opened(arguments) as (configuration, database):
        with transaction(database):
            done = epochs.reconcile(database, arguments.by, configuration.clock().now(), arguments.note)
        epoch = epochs.current(database)
    print(f"epoch {epoch.id} {'is' if done else 'was already'} reconciled by {epoch.reconciled_by}")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    from gateway.reporting.alerts.configuration import NOT_STATED
    from gateway.store.overview import overview

    with opened(arguments) as (configuration, database):
        found = overview(database)
    intended, epoch = configuration.intended_use, found.epoch
    said = f"reconciled by {epoch.reconciled_by}" if epoch.reconciled_at else "NOT RECONCILED: nothing is delivered"
    said = "nothing to reconcile" if epoch.reason == "created" else said
    print(f"role       {found.role}")
    print(f"epoch      {epoch.id}, {epoch.reason} {epoch.began_at}, {said}")
    print(
        f"use        {f'stated by {intended.stated_by} on {intended.stated_on}' if intended.stated else NOT_STATED}"
    )
    print(f"readings   {found.readings}" + (f", and {found.strays} strays" if found.strays else ""))
    print(f"results    {_listed(found.results)}; {found.attributed} with a patient")
    print(f"waiting    {_listed(found.waiting)}" + (f"; {found.urgent} URGENT" if found.urgent else ""))
    print(f"reports    {_listed(found.reports)}")
    for hub, journal, mark, highest in found.marks:
        gap = "" if mark == highest else f", with gaps up to {highest}"
        print(f"journal    {hub}/{journal}: complete up to {mark}{gap}")
    return 0


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items())) or "none"
