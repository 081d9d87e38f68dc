"""``units packet``: the audit packet of one unit."""

from __future__ import annotations

import argparse

from gateway.cli.opened import opened
from gateway.cli.units.opening import made

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Write the PDF, its manifest, and the files that are attached to its documents."""
    from gateway.reporting.claims.packet import folder_of, packet, settled, write_packet

    with opened(arguments) as (configuration, database):
        database.execute("BEGIN")
        try:
            tallied = made(arguments, configuration, database, trace=True)
            number = arguments.unit
            if arguments.as_of is None:
                tallied, number = settled(database, tallied, number, configuration.server.role)
            written = packet(database, tallied, number)
        finally:
            database.execute("ROLLBACK")
    manifest = write_packet(written, arguments.to)
    count = len(written.attached)
    beside = f", {count} attached {'file' if count == 1 else 'files'} in {folder_of(arguments.to)}" if count else ""
    print(f"{arguments.to} and {manifest}{beside}")
    return 0
