"""``inr-gateway replay``: play a capture to a driver, as if the meter were there."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from drivers import registry
from drivers.errors import TransportError
from gateway.cli.read import Shown, tell
from gateway.cli.records import driver_with_profile

__all__ = ["add_arguments", "run"]

PATIENCE_S = 5.0
"""How long the replay waits for octets that the host wrote then; a receiver's own pauses are shorter."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("file", metavar="FILE", type=Path, help="a capture; see inr-gateway capture")
    parser.add_argument("--driver", required=True, metavar="NAME", help="see inr-gateway drivers")
    parser.add_argument("--profile", metavar="FILE", help="a profile's file, or a shipped one's name")
    parser.add_argument("--json", action="store_true", help="one JSON object for each message")
    parser.description = (
        "Plays what a meter sent to a driver and shows the results. Standard error names the first place where the "
        "driver answers otherwise than the host did then (times and control ids usually differ). Nothing is stored."
    )


def run(arguments: argparse.Namespace) -> int:
    """Replay: 0 something was read, 1 nothing was, 2 not understood."""
    from gateway.cli.session import Seen, converse

    logging.basicConfig(level=logging.WARNING, format="inr-gateway replay: %(message)s")
    try:
        driver = driver_with_profile(arguments.driver, arguments.profile)
        transport = registry.ReplayTransport(arguments.file, patience_s=PATIENCE_S)
    except (registry.NotUsableError, ValueError, OSError, TransportError) as error:
        print(f"inr-gateway replay: {error}", file=sys.stderr)
        return 2
    shown = Shown(driver, as_json=arguments.json)
    seen = Seen(lambda: None, shown.message)
    converse(transport, driver, seen)
    shown.end(seen.broken)
    if transport.differences:
        line = transport.differences[0].line
        place = f"first at line {line}" if line else "after its end"
        print(
            f"inr-gateway replay: {len(transport.differences)} answers differ from the capture's, {place}",
            file=sys.stderr,
        )
    if not transport.finished:
        print("inr-gateway replay: the driver did not read to the end of the capture", file=sys.stderr)
    return tell("replay", seen)
