"""``inr-gateway broker``: the embedded MQTT broker."""

from __future__ import annotations

import argparse
import logging
import sys

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    start = actions.add_parser(
        "run",
        help="run until SIGTERM",
        description="Runs the embedded broker (amqtt, MQTT 3.1.1, everything in memory, no password, no TLS). For "
        "the demo and small set-ups on one machine; production runs Mosquitto, see config/mosquitto.",
    )
    start.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    start.add_argument("--port", type=int, default=1883, help="TCP port (default %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Run the broker; 1 when it cannot."""
    from gateway.mqtt.broker import BrokerError, serve

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    ready = f"broker: listening on {arguments.host}:{arguments.port}"
    try:
        serve(arguments.host, arguments.port, on_ready=lambda: print(ready, flush=True))
    except BrokerError as error:
        print(f"inr-gateway broker: {error}", file=sys.stderr)
        return 1
    return 0
