"""``units worklist`` and ``units what-if``."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from gateway.cli.opened import opened
from gateway.cli.units.arguments import WEEKDAYS
from gateway.cli.units.printing import print_rows

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from gateway.reporting.claims.prices import Prices
    from gateway.reporting.facts import Facts
    from gateway.reporting.units.model import Code
    from gateway.reporting.worklists.book import Book
    from gateway.server.configuration import ServerConfiguration

__all__ = ["run"]

ORDERS_WITHIN_DAYS = 30
FILING_WITHIN_DAYS = 90
ENDED_WITHIN_DAYS = 90
ASIDE = {"ending": ("sv101", "nte", "sv202", "block_80")}
"""Columns of CSV and JSON that make a table too wide, and say there what another column says."""


def run(arguments: argparse.Namespace) -> int:
    """Print a worklist, or what another policy would change."""
    return _worklist(arguments) if arguments.action == "worklist" else _what_if(arguments)


def _worklist(arguments: argparse.Namespace) -> int:
    from gateway.reporting.units.billers import doubt, obstacle
    from gateway.reporting.worklists import (
        beside,
        ending,
        extras,
        held,
        interval,
        missed,
        patients,
        pattern,
        strips,
        units,
    )
    from gateway.reporting.worklists.book import read_book

    with opened(arguments) as (configuration, database):
        weekday = WEEKDAYS.index(arguments.weekday)
        supplier = configuration.delivery.supplier.name
        price = _pricing(arguments)
        lists: dict[str, tuple[type[NamedTuple], Callable[[Book], Sequence[NamedTuple]]]] = {
            "ready": (units.Ready, units.ready),
            "held": (held.Held, held.held),
            "aging": (patients.Aging, lambda book: patients.aging(book, price)),
            "missed-week": (missed.Missed, lambda book: missed.missed_week(book, weekday)),
            "ending": (
                ending.Ending,
                lambda book: ending.ending(book, price, _within(arguments, ENDED_WITHIN_DAYS)),
            ),
            "orders": (
                patients.Orders,
                lambda book: patients.orders(book, _within(arguments, ORDERS_WITHIN_DAYS)),
            ),
            "filing": (units.Filing, lambda book: units.filing(book, _within(arguments, FILING_WITHIN_DAYS))),
            "interval": (
                interval.Off,
                lambda book: interval.interval(book, arguments.tolerance, arguments.within),
            ),
            "extras": (extras.Extra, lambda book: extras.extras(book, arguments.within)),
            "pattern": (pattern.Pattern, lambda book: pattern.pattern(book, supplier)),
            "supplies": (strips.Supplies, lambda book: strips.supplies(book, arguments.shipping_days)),
            "beside": (beside.Beside, beside.beside),
        }
        service: Code = "G0250" if arguments.name == "beside" else arguments.service
        kind_of_biller = configuration.delivery.supplier.kind
        hindered = obstacle(kind_of_biller, arguments.service)
        unsure = doubt(kind_of_biller, arguments.service) if arguments.name == "ready" else ""
        database.execute("BEGIN")  # one moment of the store for all tables
        try:
            role, day_for = configuration.server.role, _day_for(arguments, configuration)
            if arguments.name == "practices":
                kind, rows = _practices(database, configuration, day_for)
            else:
                kind, made = lists[arguments.name]
                rows = made(read_book(database, day_for, role, service=service))
        finally:
            database.execute("ROLLBACK")
    if hindered and arguments.name == "ready":
        rows = []
    print_rows(arguments, kind._fields, rows, f"{arguments.name}: nothing", aside=ASIDE.get(arguments.name, ()))
    if hindered or unsure:
        print(f"inr-gateway units: {hindered or unsure}", file=sys.stderr)
    return 0


def _practices(
    database: sqlite3.Connection, configuration: ServerConfiguration, day_for: Callable[[Facts], dt.date]
) -> tuple[type[NamedTuple], Sequence[NamedTuple]]:
    from gateway.clock import utc
    from gateway.reporting.worklists.book import Entry, read_book
    from gateway.reporting.worklists.practices import Practice, practices
    from gateway.store.people import treating

    role, now = configuration.server.role, utc(configuration.clock().now())

    def names(entry: Entry) -> list[str]:
        return list(dict.fromkeys(each.provider_name for each in treating(database, entry.patient_id, now)))

    supplier = read_book(database, day_for, role, service="G0249")
    return Practice, practices(supplier, read_book(database, day_for, role, service="G0250"), names)


def _pricing(arguments: argparse.Namespace) -> Callable[[str, str, dt.date], int | None]:
    """What a whole unit is charged at, if there is a price table and it says so; read for the lists that ask."""
    from gateway.reporting.claims.errors import PriceError
    from gateway.reporting.claims.prices import read_prices

    @cache
    def table() -> Prices | None:
        path = arguments.prices or arguments.config.parent / "prices.toml"
        return read_prices(path) if arguments.prices or path.is_file() else None

    def price(code: str, payer: str, on: dt.date) -> int | None:
        known = table()
        try:
            return None if known is None else known.full_cents(code, payer, on)
        except PriceError:
            return None

    return price


def _what_if(arguments: argparse.Namespace) -> int:
    from gateway.reporting.facts import every_facts, facts_of
    from gateway.reporting.policies import shipped_policies
    from gateway.reporting.statements import StatementError
    from gateway.reporting.worklists.what_if import Change, policy_called, what_if
    from gateway.store import registry

    with opened(arguments) as (configuration, database):
        day_for = _day_for(arguments, configuration)
        on = arguments.as_of or configuration.clock().now().date()
        policy = policy_called(shipped_policies(), arguments.policy, on)
        if not arguments.all and not registry.exists(database, "patients", arguments.patient):
            raise StatementError(f"there is no patient {arguments.patient}; 'registry list patients' shows who is")
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
