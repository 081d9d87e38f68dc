"""The actions of ``inr-gateway units``; the module of each is imported when it runs."""

from __future__ import annotations

import argparse
import importlib
import sys

from gateway.cli.units import arguments as declare

__all__ = ["add_arguments", "run"]

MODULES = {
    "statement": "gateway.cli.units.statement",
    "explain": "gateway.cli.units.statement",
    "evaluate": "gateway.cli.units.evaluate",
    "sign": "gateway.cli.units.claims",
    "export": "gateway.cli.units.claims",
    "claims": "gateway.cli.units.claims",
    "void": "gateway.cli.units.claims",
    "replace": "gateway.cli.units.claims",
    "denials": "gateway.cli.units.claims",
    "worklist": "gateway.cli.units.lists",
    "what-if": "gateway.cli.units.lists",
    "packet": "gateway.cli.units.packet",
    "recompute": "gateway.cli.units.recompute",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    declare.looking(actions)
    declare.claiming(actions)
    declare.listing(actions)


def run(arguments: argparse.Namespace) -> int:
    """Run the action: 0 done, 1 refused or different, 2 not understood."""
    from gateway.configuration import ConfigurationError
    from gateway.database import StoreError
    from gateway.reporting.claims.errors import ClaimError
    from gateway.reporting.statements import StatementError
    from gateway.reporting.units import UnitsError

    try:
        return int(importlib.import_module(MODULES[arguments.action]).run(arguments))
    except ConfigurationError as error:
        print(f"inr-gateway units: {error}", file=sys.stderr)
        return 2
    except (StoreError, StatementError, UnitsError, ClaimError) as error:
        print(f"inr-gateway units: {error}", file=sys.stderr)
        return 1
