"""``inr-gateway clear-meter``: delete from a meter's memory what the server has."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.hub.clearing import ClearingOrder
    from gateway.hub.configuration import HubConfiguration

__all__ = ["add_arguments", "run"]

TICK_S = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="hub.toml")
    parser.add_argument(
        "--port", required=True, metavar="NAME", help="attachment of hub.toml at which the meter is"
    )
    parser.add_argument("--meter", required=True, metavar="SERIAL", help="serial number of the meter")
    parser.add_argument(
        "--confirm", metavar="WORDS", help="the words that are asked for otherwise: delete SERIAL (for scripts)"
    )
    parser.add_argument(
        "--seconds", metavar="N", type=float, default=120.0, help="how long to wait for the meter (default: 120)"
    )
    parser.add_argument(
        "--receipts-within",
        metavar="N",
        type=float,
        default=60.0,
        help="how long to wait for the server's receipts after it was read (default: 60)",
    )
    parser.description = (
        "Reads the meter like the hub, waits until the server has everything that ever came through this port, and "
        "only then deletes what was read from the meter's memory. It cannot be undone, and is never needed: a "
        "meter overwrites its oldest results by itself. Stop the hub first; broker and server must run."
    )


def run(arguments: argparse.Namespace) -> int:
    """Clear: 0 it is done, 1 nothing was deleted or nobody knows what, 2 not understood."""
    from gateway.configuration import ConfigurationError
    from gateway.database import StoreError
    from gateway.hub.clearing import ClearingOrder, can_clear
    from gateway.hub.configuration import driver_of, read

    logging.basicConfig(level=logging.WARNING, format="inr-gateway clear-meter: %(message)s")
    os.umask(0o077)  # the journal holds patients' results
    try:
        configuration = read(arguments.config)
        ports = [section.name for section in configuration.attachment]
        if arguments.port not in ports:
            print(
                f"inr-gateway clear-meter: no port {arguments.port}; there are {', '.join(ports)}", file=sys.stderr
            )
            return 2
        driver = driver_of(configuration.attachment[ports.index(arguments.port)])
        if not can_clear(driver):
            print(f"inr-gateway clear-meter: driver {driver.name} cannot clear a meter's memory", file=sys.stderr)
            return 2
        if not _confirmed(arguments):
            return 2
        order = ClearingOrder(arguments.port, arguments.meter, arguments.receipts_within)
        _carry_out(configuration, order, arguments.seconds)
    except ConfigurationError as error:
        print(f"inr-gateway clear-meter: {error}", file=sys.stderr)
        return 2
    except StoreError as error:
        print(f"inr-gateway clear-meter: {error}", file=sys.stderr)
        return 1
    if order.cleared is None:
        why = order.refused or f"nothing stored in meter {order.serial} was read at port {order.port} in time"
        if order.given is not None:
            why = order.refused or f"the meter was told to delete {order.given.what}, and has not answered"
        print(f"inr-gateway clear-meter: nothing is known to be deleted: {why}", file=sys.stderr)
        return 1
    print(f"deleted from meter {order.cleared.serial}: {order.cleared.what}")
    return 0


def _confirmed(arguments: argparse.Namespace) -> bool:
    wanted = f"delete {arguments.meter}"
    said = arguments.confirm
    if said is None and sys.stdin.isatty():
        said = input(f"This deletes results from the meter's memory for good. To do it, type: {wanted}\n> ")
    if said is not None and said.strip() == wanted:
        return True
    print(f"inr-gateway clear-meter: not confirmed; the words are: {wanted}", file=sys.stderr)
    return False


def _carry_out(configuration: HubConfiguration, order: ClearingOrder, seconds: float) -> None:
    """Be the hub for as long as it takes."""
    from gateway.hub.opening import alone
    from gateway.hub.run import Hub

    with alone(configuration.hub.journal):
        hub = Hub(configuration, order)
        hub.start()
        until_s = time.monotonic() + seconds
        try:
            while not order.is_settled.wait(TICK_S) and time.monotonic() < until_s:
                hub.tick()
        finally:
            hub.stop()
