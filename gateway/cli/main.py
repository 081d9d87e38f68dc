"""The one command, ``inr-gateway``. Only the module of the chosen sub-command is imported."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

from gateway import __version__

__all__ = ["COMMANDS", "main"]


class Command(NamedTuple):
    """A sub-command: its module has ``add_arguments(parser)`` and ``run(arguments) -> int``."""

    module: str
    summary: str


COMMANDS: dict[str, Command] = {
    "hub": Command("gateway.cli.hub", "run the hub in the patient's home; look into its journal"),
    "server": Command("gateway.cli.server", "run the ingestion server; back up, restore, reconcile its store"),
    "broker": Command("gateway.cli.broker", "run the embedded MQTT broker (demo and small set-ups)"),
    "registry": Command("gateway.cli.registry", "import, list, show providers, patients, meters, assignments"),
    "results": Command("gateway.cli.results", "list, enter, correct, move and take back results"),
    "quarantine": Command("gateway.cli.quarantine", "list, show, release, dismiss what waits for a person"),
    "deliveries": Command("gateway.cli.deliveries", "where is each report, on what evidence, why it waits"),
    "providers": Command("gateway.cli.providers", "try a provider's system with made-up results, and go live"),
    "escalations": Command("gateway.cli.escalations", "critical results, who must be told of them, and who was"),
    "alerts": Command("gateway.cli.alerts", "what somebody should look at, whose it is, who has seen it"),
    "report": Command("gateway.cli.report", "one patient's results of a time as a PDF, with trend and target"),
    "patients": Command("gateway.cli.patients", "who is live, which limits hold, how the INR has been"),
    "documents": Command("gateway.cli.documents", "orders, training, diagnoses, supplies: what units rest on"),
    "units": Command("gateway.cli.units", "tally tests toward units of service, with the reason for each"),
    "drivers": Command("gateway.cli.drivers", "list supported meters, and on what evidence each driver rests"),
    "meters": Command("gateway.cli.meters", "list what is plugged in, and which port of hub.toml it is"),
    "pair": Command("gateway.cli.pair", "pair with a Bluetooth meter: asks for its passkey, shows what was agreed"),
    "bonds": Command("gateway.cli.bonds", "list the Bluetooth meters that were paired"),
    "unpair": Command("gateway.cli.unpair", "forget a Bluetooth meter and its keys"),
    "read": Command("gateway.cli.read", "read a meter once, to the terminal; acknowledges nothing unless asked"),
    "clear-meter": Command("gateway.cli.clear_meter", "delete from a meter's memory what the server has"),
    "capture": Command("gateway.cli.capture", "record a conversation with a meter in a file"),
    "replay": Command("gateway.cli.replay", "play a recorded conversation to a driver"),
    "decode": Command("gateway.cli.decode", "decode captured octets of a meter to JSON, one object per message"),
    "simulate": Command("gateway.cli.simulate", "run a simulated meter or provider system"),
    "schemas": Command("gateway.cli.schemas", "write the JSON Schemas of everything that travels"),
    "demo": Command("gateway.cli.demo", "show one patient's five weeks travel the whole way"),
}

_EPILOG = "Try 'inr-gateway demo' first. Every sub-command explains itself with --help."


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 0 done, 1 refused or failed, 2 not understood."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="inr-gateway",
        description="Carries each home INR result from the meter's memory to the provider's chart, proves that it "
        "arrived, and tallies tests toward units of service.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    chosen = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    wanted = next((word for word in words if not word.startswith("-")), None)
    for name, command in COMMANDS.items():
        sub = chosen.add_parser(name, help=command.summary, description=command.summary)
        if name == wanted:
            importlib.import_module(command.module).add_arguments(sub)
    arguments = parser.parse_args(words)
    module = importlib.import_module(COMMANDS[arguments.command].module)
    try:
        return int(module.run(arguments))
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return 130
