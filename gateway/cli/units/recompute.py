"""``units recompute``: tallies of all patients, or of those about whom something was written."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing

from gateway.cli.opened import opened

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Recompute and keep; 1 when a kept tally differs although nothing was written since."""
    from gateway.reporting.claims.recompute import recompute, update
    from gateway.store.opening import open_store

    with opened(arguments) as (configuration, database):
        server, clock = configuration.server, configuration.clock()
        started_s = clock.monotonic_s()
        if arguments.changed:
            done = update(database, arguments.as_of, server.role, clock.now())
        else:
            with closing(open_store(server.store, server.role)) as writer:
                done = recompute(database, writer, arguments.as_of, server.role, clock.now())
        took_s = clock.monotonic_s() - started_s
    print(
        f"{done.patients} patients tallied as of {arguments.as_of} in {took_s:.1f} s, "
        f"{done.refused} of them without a statement"
    )
    for patient in done.different:
        print(f"inr-gateway units: the kept tally of patient {patient} was another", file=sys.stderr)
    return 1 if done.different else 0
