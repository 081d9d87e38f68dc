"""``units recompute``: tallies of all patients, or of those about whom something was written."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing

from gateway.cli.opened import opened

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Recompute and keep; 1 when a kept tally, or a test kept for it, was not as its facts say."""
    from gateway.reporting.claims.recompute import recompute, renew_tests, update
    from gateway.store.opening import open_store

    with opened(arguments) as (configuration, database):
        server, clock = configuration.server, configuration.clock()
        started_s, wrong = clock.monotonic_s(), 0
        if arguments.changed:
            done = update(database, arguments.as_of, server.role, clock.now())
        else:
            with closing(open_store(server.store, server.role)) as writer:
                wrong = renew_tests(database, writer)
                done = recompute(database, writer, arguments.as_of, server.role, clock.now())
        took_s = clock.monotonic_s() - started_s
    print(
        f"{done.patients} patients tallied as of {arguments.as_of} in {took_s:.1f} s, "
        f"{done.refused} of them without a statement"
    )
    for patient in done.different:
        print(f"inr-gateway units: the kept tally of patient {patient} was another", file=sys.stderr)
    if wrong:
        print(
            f"inr-gateway units: {wrong} results stood otherwise in tally_test than in the tables it is made from; "
            "they are right now. Report this as a defect",
            file=sys.stderr,
        )
    return 1 if done.different or wrong else 0
