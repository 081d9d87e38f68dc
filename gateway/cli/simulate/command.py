"""The sub-commands of ``inr-gateway simulate``."""

from __future__ import annotations

import argparse
import sys

from gateway.cli.simulate import bluetooth, instruments, provider

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``simulate`` takes."""
    what = parser.add_subparsers(dest="simulated", metavar="WHAT", required=True)
    instruments.add_arguments(what)
    bluetooth.add_arguments(what)
    provider.add_arguments(what)


def run(arguments: argparse.Namespace) -> int:
    """Run the simulator until it is done or gets SIGTERM: 0 done or told to stop, 1 failed, 2 not understood.

    An instrument told to stop before ``--until-delivered`` was reached returns 1.
    """
    from simulators.ledger import LedgerError
    from simulators.scenario import ScenarioError

    try:
        if arguments.simulated == "provider":
            return provider.run(arguments)
        if arguments.simulated == "ble":
            return bluetooth.run(arguments)
        return instruments.run(arguments)
    except ScenarioError as error:
        print(error, file=sys.stderr)
        return 2
    except LedgerError as error:
        print(error, file=sys.stderr)
        return 1
