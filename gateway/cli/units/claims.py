"""``units sign``, ``export``, ``claims``, ``void``, ``replace`` and ``denials import``."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, NamedTuple

from gateway.cli.opened import opened
from gateway.cli.units.opening import day_of
from gateway.cli.units.printing import print_rows
from gateway.configuration import ConfigurationError

if TYPE_CHECKING:
    import sqlite3

    from gateway.reporting.claims.prices import Prices
    from gateway.server.configuration import ServerConfiguration

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Run the action."""
    action = {
        "sign": _sign,
        "export": _export,
        "claims": _claims,
        "void": _void,
        "replace": _replace,
        "denials": _denials,
    }[arguments.action]
    with opened(arguments) as (configuration, database):
        return action(arguments, configuration, database)


def _sign(arguments: argparse.Namespace, configuration: ServerConfiguration, database: sqlite3.Connection) -> int:
    if arguments.listed is None:
        if arguments.patient is None or arguments.unit is None:
            raise ConfigurationError("name a patient and a unit, or a list with --from")
        return _sign_one(arguments, configuration, database)
    if arguments.patient is not None or arguments.accept or arguments.as_of or arguments.period:
        raise ConfigurationError("a list with --from is signed as of today, without patient, --period and --accept")
    return _sign_list(arguments, configuration, database)


def _sign_list(
    arguments: argparse.Namespace, configuration: ServerConfiguration, database: sqlite3.Connection
) -> int:
    from gateway.reporting.claims.listed import Desk, sign_listed
    from gateway.reporting.claims.tallied import today

    clock = configuration.clock()
    server, supplier = configuration.server, configuration.delivery.supplier
    desk = Desk(
        arguments.by,
        clock.now(),
        arguments.note,
        server.role,
        supplier.kind,
        lambda facts: today(facts.zones, clock),
    )
    made = sign_listed(database, arguments.listed, desk)
    again = sum(each.again for each in made)
    print(f"{len(made) - again} units are signed by {arguments.by}, {again} were signed before")
    return 0


def _sign_one(
    arguments: argparse.Namespace, configuration: ServerConfiguration, database: sqlite3.Connection
) -> int:
    from gateway.reporting.claims.beside import beside_units
    from gateway.reporting.claims.errors import ClaimError
    from gateway.reporting.claims.signing import sign
    from gateway.reporting.claims.tallied import today
    from gateway.reporting.facts import facts_of
    from gateway.reporting.units.billers import doubt

    clock = configuration.clock()
    facts = facts_of(database, arguments.patient)
    as_of = day_of(arguments, configuration, facts)
    if as_of > today(facts.zones, clock):
        raise ClaimError(f"--as-of {as_of} lies in the future; a unit is signed on what is known today")
    signed = sign(
        database,
        arguments.patient,
        arguments.unit,
        as_of=as_of,
        role=configuration.server.role,
        by=arguments.by,
        at=clock.now(),
        accept=arguments.accept,
        note=arguments.note,
        period=arguments.period,
        service=arguments.service,
        biller=configuration.delivery.supplier.kind,
    )
    unit = signed.record
    what = f"unit of {unit.dos}, {'-'.join([unit.code, *unit.modifiers])}, tests {' '.join(unit.test_ids)}"
    if signed.again:
        print(f"patient {arguments.patient}: {what} was signed already by {signed.by} at {signed.at}")
    else:
        print(f"patient {arguments.patient}: {what} is signed by {signed.by}; content {unit.sha256[:16]}")
    for number in signed.before:
        print(f"note: unit {number} is not signed; claimed after this one it would get a later date")
    unsure = doubt(configuration.delivery.supplier.kind, unit.code)
    if unsure:
        print(f"note: {unsure}")
    if unit.code == "G0250":
        for caution in beside_units(facts, as_of, configuration.server.role):
            if caution.test in unit.test_ids:
                print(caution.line)
    return 0


def _export(arguments: argparse.Namespace, configuration: ServerConfiguration, database: sqlite3.Connection) -> int:
    from gateway.reporting.claims.errors import ClaimError
    from gateway.reporting.claims.exporting import export
    from gateway.reporting.claims.files import alone_in, files_of, left_over, write_files
    from gateway.reporting.claims.tallied import today
    from gateway.store import registry

    clock = configuration.clock()
    if arguments.patient is not None and not registry.exists(database, "patients", arguments.patient):
        raise ClaimError(f"there is no patient {arguments.patient}; 'registry list patients' shows who is")
    prices = _prices(arguments)
    with alone_in(arguments.to):
        exported = export(
            database,
            role=configuration.server.role,
            prices=prices,
            by=arguments.by,
            at=clock.now(),
            today=lambda facts: today(facts.zones, clock),
            patient_id=arguments.patient,
            biller=configuration.delivery.supplier.kind,
        )
        files = files_of(exported.claims)
        write_files(arguments.to, files)
        others = [] if arguments.patient else left_over(arguments.to, files)
    print(
        f"{len(exported.new)} new and {len(exported.claims) - len(exported.new)} earlier claims in {arguments.to}"
    )
    for identifier in exported.new:
        print(f"new: {identifier}")
    if others:
        print(f"files of an earlier export, not to be submitted again: {' '.join(others)}")
    unnamed = [made.id for made in exported.claims if made.orderer is None or made.orderer.npi is None]
    if unnamed:
        print(f"no NPI of the ordering practitioner: {' '.join(unnamed)}")
    if exported.claims and prices.table.institutional is None:
        print("no lines for 837I: the price table has no [institutional] revenue_code")
    for problem in (*exported.stale, *(f"patient {each.patient_id}: {each.why}" for each in exported.refused)):
        print(f"inr-gateway units: not exported: {problem}", file=sys.stderr)
    return 1 if exported.stale or exported.refused else 0


class _Listed(NamedTuple):
    claim: str
    patient: str
    code: str
    frequency: int
    follows: str | None
    date_of_service: str
    charge_cents: int
    file_by: str
    state: str
    cause: str
    exported_by: str
    exported_at: str


def _claims(arguments: argparse.Namespace, configuration: ServerConfiguration, database: sqlite3.Connection) -> int:
    from gateway.reporting.claims.remittances import denial_of
    from gateway.store import claims as store

    rows = []
    for row in store.claims(database, arguments.patient, state=arguments.state):
        denial = denial_of(database, row.id)
        rows.append(
            _Listed(
                row.id,
                row.patient_id,
                "-".join([row.code, *row.modifiers.split()]),
                row.frequency,
                row.follows,
                row.dos,
                row.charge_cents,
                row.file_by,
                row.state,
                "" if denial is None else denial.cause,
                row.exported_by,
                row.exported_at,
            )
        )
    print_rows(arguments, _Listed._fields, rows, f"no claims in the store {configuration.server.store}")
    return 0


def _void(arguments: argparse.Namespace, configuration: ServerConfiguration, database: sqlite3.Connection) -> int:
    from gateway.reporting.claims.correcting import void_claim

    made = void_claim(
        database, arguments.claim, by=arguments.by, at=configuration.clock().now(), note=arguments.note
    )
    print(f"claim {arguments.claim} is void by {made.id}, frequency code 8; the next export holds it")
    return 0


def _replace(
    arguments: argparse.Namespace, configuration: ServerConfiguration, database: sqlite3.Connection
) -> int:
    from gateway.reporting.claims.correcting import replace_claim
    from gateway.reporting.claims.errors import ClaimError
    from gateway.reporting.claims.tallied import today
    from gateway.store import claims as store
    from gateway.store import tested

    clock = configuration.clock()
    row = store.claim(database, arguments.claim)
    if row is None:
        raise ClaimError(f"there is no claim {arguments.claim}; 'inr-gateway units claims' lists them")
    made = replace_claim(
        database,
        arguments.claim,
        as_of=today(tested.zones(database, row.patient_id), clock),
        role=configuration.server.role,
        prices=_prices(arguments),
        by=arguments.by,
        at=clock.now(),
        note=arguments.note,
        accept=arguments.accept,
        biller=configuration.delivery.supplier.kind,
    )
    print(f"claim {arguments.claim} is replaced by {made.id}, frequency code 7; the next export holds it")
    return 0


def _denials(
    arguments: argparse.Namespace, configuration: ServerConfiguration, database: sqlite3.Connection
) -> int:
    from gateway.reporting.claims.remittances import import_remittances

    posted = import_remittances(database, arguments.file, by=arguments.by, at=configuration.clock().now())
    print(
        f"{posted.new} rows posted, {posted.known} known before: {posted.denied} claims denied, {posted.paid} paid"
    )
    for cause, count in sorted(posted.causes.items()):
        print(f"denied: {cause} {count}")
    return 0


def _prices(arguments: argparse.Namespace) -> Prices:
    from gateway.reporting.claims.prices import read_prices

    return read_prices(arguments.prices or arguments.config.parent / "prices.toml")
