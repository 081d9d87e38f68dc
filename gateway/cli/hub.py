"""``inr-gateway hub``: run the hub, and look into its journal."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, summary, more in (
        (
            "run",
            "run until SIGTERM",
            "Reads the meters of the configuration and carries every result to the server.",
        ),
        ("status", "what the journal holds and what is wrong", "Looks into the journal, beside a running hub too."),
        (
            "readings",
            "list readings; show one whole",
            "Lists readings and where each is, without values. With --number it shows one reading whole: values, "
            "patient id if the meter has one, and the original octets.",
        ),
    ):
        action = actions.add_parser(name, help=summary, description=more)
        action.add_argument("--config", type=Path, required=True, metavar="FILE", help="hub.toml")
        if name == "run":
            action.add_argument("--verbose", action="store_true", help="log every message and connection")
        if name == "readings":
            action.add_argument("--number", type=int, metavar="N", help="show this reading whole")
            action.add_argument("--waiting", action="store_true", help="only those without a receipt")


def run(arguments: argparse.Namespace) -> int:
    """Run the action: 0 done, 1 failed, 2 the configuration cannot be used."""
    from gateway.configuration import ConfigurationError
    from gateway.database import StoreError

    try:
        if arguments.action == "run":
            return _run(arguments.config, verbose=arguments.verbose)
        if arguments.action == "status":
            return _status(arguments.config)
        return _readings(arguments.config, arguments.number, only_waiting=arguments.waiting)
    except ConfigurationError as error:
        print(f"inr-gateway hub: {error}", file=sys.stderr)
        return 2
    except StoreError as error:
        print(f"inr-gateway hub: {error}", file=sys.stderr)
        return 1


def _run(path: Path, *, verbose: bool) -> int:
    from gateway.hub.configuration import read
    from gateway.hub.run import serve

    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    os.umask(0o077)  # journal and captures hold patients' results
    return serve(read(path), on_ready=lambda: print("hub: running", flush=True))


def _status(path: Path) -> int:
    from gateway.hub.configuration import read
    from gateway.hub.overview import overview
    from gateway.hub.surroundings import clock_synchronised

    configuration = read(path)
    found = overview(configuration.hub.journal)
    states = ", ".join(f"{count} {state}" for state, count in found.messages.items())
    since = f", the oldest since {found.oldest_waiting}" if found.oldest_waiting else ""
    print(f"journal    {found.uuid}")
    print(f"epoch      {f'{found.epoch}, mark {found.mark}' if found.epoch else 'none: no server was heard yet'}")
    print(f"readings   {found.readings}, last number {found.last_number}")
    print(f"receipted  {found.readings - found.waiting}, of them quarantined {found.quarantined}")
    print(f"waiting    {found.waiting}{since}")
    print(f"messages   {states or 'none'}")
    for line, count in found.damaged_octets.items():
        print(f"damaged    {count} times damaged octets on {line}, kept")
    for name in found.set_aside:
        print(f"ALARM      journal_set_aside: {name} may hold readings without a receipt")
    if configuration.rig is None and clock_synchronised() is False:
        print("ALARM      clock_not_synchronised: meters' clocks cannot be compared with this machine's")
    return 0


def _readings(path: Path, number: int | None, *, only_waiting: bool) -> int:
    from gateway.hub.configuration import read
    from gateway.hub.overview import readings

    journal = read(path).hub.journal
    if number is not None:
        return _show(journal, number)
    print(f"{'number':>8} {'message':>8} {'record':>6}  {'read at':24}  {'port':16}  receipt")
    for row in readings(journal, only_waiting=only_waiting):
        receipt = f"{row.verdict} {row.receipt_at}" if row.receipt_at else "waiting"
        fault = "  (no message)" if row.message_state == "undecodable" else ""
        print(
            f"{row.number:>8} {row.message:>8} {row.position:>6}  {row.read_at:24}  {row.port:16}  {receipt}{fault}"
        )
    return 0


def _show(journal: Path, number: int) -> int:
    import base64
    import json

    from gateway.hub.overview import whole_reading

    found = whole_reading(journal, number)
    if found is None:
        print(f"inr-gateway hub: the journal has no reading {number}", file=sys.stderr)
        return 1
    content = json.loads(found.payload)
    octets = base64.b64decode(content.pop("raw"))
    print(json.dumps(content, indent=2, ensure_ascii=False))
    print(f"sha256   {found.sha256}")
    receipt = f"{found.verdict} at {found.receipt_at}, epoch {found.receipt_epoch}"
    print(f"receipt  {receipt if found.receipt_at else 'waiting'}")
    print(f"octets   {len(octets)}")
    for start in range(0, len(octets), 16):
        part = octets[start : start + 16]
        text = "".join(chr(octet) if 32 <= octet < 127 else "." for octet in part)
        print(f"{start:08x}  {part.hex(' '):<47}  {text}")
    return 0
