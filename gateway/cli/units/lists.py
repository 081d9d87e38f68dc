"""``units worklist`` and ``units what-if``."""

from __future__ import annotations

import argparse
import datetime as dt
from typing import TYPE_CHECKING, NamedTuple

from gateway.cli.opened import opened
from gateway.cli.units.arguments import WEEKDAYS
from gateway.cli.units.printing import print_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.reporting.facts import Facts
    from gateway.reporting.worklists.book import Book
    from gateway.server.configuration import ServerConfiguration

__all__ = ["run"]

ORDERS_WITHIN_DAYS = 30
FILING_WITHIN_DAYS = 90


def run(arguments: argparse.Namespace) -> int:
    """Print a worklist, or what another policy would change."""
    return _worklist(arguments) if arguments.action == "worklist" else _what_if(arguments)


def _worklist(arguments: argparse.Namespace) -> int:
    from gateway.reporting.worklists import interval, patients, pattern, units
    from gateway.reporting.worklists.book import read_book

    with opened(arguments) as (configuration, database):
        weekday = WEEKDAYS.index(arguments.weekday)
        supplier = configuration.delivery.supplier.name
        lists: dict[str, tuple[type[NamedTuple], Callable[[Book], Sequence[NamedTuple]]]] = {
            "ready": (units.Ready, units.ready),
            "held": (units.Held, units.held),
            "aging": (patients.Aging, patients.aging),
            "missed-week": (patients.Missed, lambda book: patients.missed_week(book, weekday)),
            "ending": (units.Ending, units.ending),
            "orders": (
                patients.Orders,
                lambda book: patients.orders(book, _within(arguments, ORDERS_WITHIN_DAYS)),
            ),
            "filing": (units.Filing, lambda book: units.filing(book, _within(arguments, FILING_WITHIN_DAYS))),
            "interval": (interval.Off, lambda book: interval.interval(book, arguments.tolerance)),
            "pattern": (pattern.Pattern, lambda book: pattern.pattern(book, supplier)),
            "supplies": (patients.Supplies, patients.supplies),
        }
        kind, made = lists[arguments.name]
        database.execute("BEGIN")  # one moment of the store for all tables
        try:
            role, service = configuration.server.role, arguments.service
            rows = made(read_book(database, _day_for(arguments, configuration), role, service=service))
        finally:
            database.execute("ROLLBACK")
    print_rows(arguments, kind._fields, rows, f"{arguments.name}: nothing")
    return 0


def _what_if(arguments: argparse.Namespace) -> int:
    from gateway.reporting.facts import every_facts, facts_of
    from gateway.reporting.policies import shipped_policies
    from gateway.reporting.worklists.what_if import Change, policy_called, what_if

    with opened(arguments) as (configuration, database):
        day_for = _day_for(arguments, configuration)
        on = arguments.as_of or configuration.clock().now().date()
        policy = policy_called(shipped_policies(), arguments.policy, on)
        database.execute("BEGIN")
        try:
            found = every_facts(database) if arguments.all else iter((facts_of(database, arguments.patient),))
            changes = list(what_if(((facts, day_for(facts)) for facts in found), policy, configuration.server.role))
        finally:
            database.execute("ROLLBACK")
    print_rows(arguments, Change._fields, changes, f"nothing would change under {policy.id}")
    return 0


def _within(arguments: argparse.Namespace, otherwise: int) -> int:
    return otherwise if arguments.within is None else int(arguments.within)


def _day_for(arguments: argparse.Namespace, configuration: ServerConfiguration) -> Callable[[Facts], dt.date]:
    """``--as-of`` for everybody, or each patient's own today."""
    from gateway.reporting.claims.tallied import today

    clock = configuration.clock()
    return lambda facts: arguments.as_of or today(facts.zones, clock)
