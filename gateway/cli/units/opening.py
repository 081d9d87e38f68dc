"""What the actions on one patient share: the patient's day and tally."""

from __future__ import annotations

import argparse
import datetime as dt
import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.reporting.claims.tallied import Tallied
    from gateway.reporting.facts import Facts
    from gateway.server.configuration import ServerConfiguration

__all__ = ["day_of", "made"]


def day_of(arguments: argparse.Namespace, configuration: ServerConfiguration, facts: Facts) -> dt.date:
    """The day that ``--as-of`` names, or today in the patient's zone."""
    from gateway.reporting.claims.tallied import today

    named: dt.date | None = arguments.as_of
    return named or today(facts.zones, configuration.clock())


def made(
    arguments: argparse.Namespace, configuration: ServerConfiguration, database: sqlite3.Connection, *, trace: bool
) -> Tallied:
    """The tally that ``PATIENT``, ``--as-of`` and ``--period`` name.

    Raises:
        ClaimError: there is no such period.
        StatementError: no statement can be made.
        UnitsError: a recorded fact cannot be used.
    """
    from gateway.reporting.claims.signing import period_numbered
    from gateway.reporting.claims.tallied import tallied
    from gateway.reporting.facts import facts_of

    facts = facts_of(database, arguments.patient)
    return tallied(
        facts,
        day_of(arguments, configuration, facts),
        configuration.server.role,
        period=period_numbered(facts, arguments.period),
        service=arguments.service,
        trace=trace,
    )
