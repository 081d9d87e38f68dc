"""``inr-gateway unpair``: forget a Bluetooth meter and its keys."""

from __future__ import annotations

import argparse
import sys

from drivers import registry
from drivers.errors import DriverError
from gateway.cli.bluetooth import add_config, bonds_path

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_config(parser)
    parser.add_argument("address", metavar="ADDRESS", help="as inr-gateway bonds lists it")
    parser.description = (
        "Removes this machine's keys for a Bluetooth meter and takes it off the list of paired meters. The meter "
        "keeps its own keys: remove this hub there too, as the meter's manual says, before pairing again."
    )


def run(arguments: argparse.Namespace) -> int:
    """Forget it: 0 done, 1 it was not known or the keys could not be removed, 2 the configuration is unusable."""
    from gateway.configuration import ConfigurationError

    try:
        path = bonds_path(arguments.config)
    except ConfigurationError as error:
        print(f"inr-gateway unpair: {error}", file=sys.stderr)
        return 2
    address = arguments.address.upper().removeprefix("BLE:")
    try:
        had_keys = registry.forget_keys(address)  # first: a list that says less than there is does no harm
        listed = registry.bond_file(path).remove(address)
    except DriverError as error:
        print(f"inr-gateway unpair: {error}", file=sys.stderr)
        return 1
    if not had_keys and listed is None:
        print(f"inr-gateway unpair: {address} is not paired (see inr-gateway bonds)", file=sys.stderr)
        return 1
    keys = "its keys were removed" if had_keys else "this machine had no keys for it any more"
    print(f"{address}: {keys}; it is {'off' if listed is not None else 'not on'} the list {path}")
    return 0
