"""``units packet``: the audit packet of one unit."""

from __future__ import annotations

import argparse

from gateway.cli.opened import opened
from gateway.cli.units.opening import made

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Write the PDF and its manifest."""
    from gateway.reporting.claims.packet import packet, write_packet

    with opened(arguments) as (configuration, database):
        database.execute("BEGIN")
        try:
            tallied = made(arguments, configuration, database, trace=True)
            written = packet(database, tallied, arguments.unit)
        finally:
            database.execute("ROLLBACK")
    manifest = write_packet(written, arguments.to)
    print(f"{arguments.to} and {manifest}")
    return 0
