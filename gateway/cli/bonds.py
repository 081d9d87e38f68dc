"""``inr-gateway bonds``: the Bluetooth meters that were paired, and what of hub.toml they are for."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from drivers import registry
from drivers.errors import DriverError
from gateway.cli.bluetooth import Wanted, add_config, bonds_path, in_configuration
from gateway.cli.tables import print_table

if TYPE_CHECKING:
    from drivers.registry import Bond

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_config(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object for each meter")
    parser.description = (
        "Lists the Bluetooth meters that were paired: how well, when, by whom, for which attachment, and "
        "whether this machine still has the keys. Uses no radio, so it can be run beside a hub."
    )


def run(arguments: argparse.Namespace) -> int:
    """List them: 0 done, 1 the list cannot be used, 2 the configuration cannot be used."""
    from gateway.configuration import ConfigurationError

    try:
        path = bonds_path(arguments.config)
        kinds = in_configuration(arguments.config)
    except ConfigurationError as error:
        print(f"inr-gateway bonds: {error}", file=sys.stderr)
        return 2
    try:
        bonds = registry.bond_file(path).bonds()
    except DriverError as error:
        print(f"inr-gateway bonds: {error}", file=sys.stderr)
        return 1
    kept: frozenset[str] | None = frozenset()
    try:
        kept = registry.kept_keys() if bonds else kept
    except DriverError as error:
        print(f"inr-gateway bonds: whether the keys are still there cannot be said: {error}", file=sys.stderr)
        kept = None
    rows = []
    for address, bond in sorted(bonds.items()):
        keys = "unknown" if kept is None else "kept" if address in kept else "lost: pair again"
        fits = [kind for kind in kinds if kind.driver.name == bond.driver and kind.is_for(address)]
        places = ", ".join(kind.attachment for kind in fits)
        if arguments.json:
            print(json.dumps({**asdict(bond), "keys": keys, "attachments": [kind.attachment for kind in fits]}))
        remark = "" if arguments.config is None else _remark(bond, fits)
        rows.append((address, bond.name, bond.security, bond.paired_at, bond.paired_by, keys, places, remark))
    if arguments.json:
        return 0
    if rows:
        print_table(("address", "calls itself", "security", "paired", "by", "keys", "attachment", "remarks"), rows)
    else:
        print(f"no meter is paired ({path})")
    return 0


def _remark(bond: Bond, fits: Sequence[Wanted]) -> str:
    if not fits:
        return f"no attachment with driver {bond.driver} is for it"
    if not all(bond.satisfies(kind.driver.security) for kind in fits):
        return "its profile demands more: pair again"
    return ""
