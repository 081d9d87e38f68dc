"""``inr-gateway capture``: record a conversation with a meter, octet by octet."""

from __future__ import annotations

import argparse
from pathlib import Path

from gateway.cli.read import add_port_arguments, hold

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_port_arguments(parser)
    parser.add_argument(
        "--acknowledge",
        action="store_true",
        help="tell the meter that its results are received, once FILE has them on disk; many meters never send "
        "them again",
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="appended to; only its owner may read it")
    parser.description = (
        "Records one conversation with time and direction of every octet, for `inr-gateway replay`, "
        "`inr-gateway decode` and the driver conformance kit. The file holds patients' results."
    )


def run(arguments: argparse.Namespace) -> int:
    """Record: 0 something was recorded, 1 nothing was or the port failed, 2 not understood."""
    return hold(arguments, "capture", arguments.file, lambda _driver: None)
