"""``inr-gateway pair``: agree with a Bluetooth meter on keys, with a person who compares or types a number."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from drivers import registry
from drivers.errors import DriverError
from gateway.cli.bluetooth import Wanted, add_config, bonds_path, in_configuration
from gateway.cli.records import driver_with_profile

if TYPE_CHECKING:
    from drivers.registry import Agreed, Pairing, Seen

__all__ = ["add_arguments", "run"]

MORE_S: Final = 3.0
"""After the first meter of the right kind was heard: there may be a second one in the room."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_config(parser)
    parser.add_argument("--driver", metavar="NAME", help="pair for this driver instead of those in hub.toml")
    parser.add_argument("--profile", metavar="NAME", help="the driver's profile: a file, or a shipped one's name")
    parser.add_argument(
        "--seconds",
        metavar="N",
        type=float,
        default=60.0,
        help="look for a meter this long, and try so long again to connect to it (default: 60)",
    )
    parser.add_argument("address", metavar="ADDRESS", nargs="?", help="pair with this meter and no other")
    parser.description = (
        "Looks for Bluetooth meters of the right kind, lists them, asks which one is meant and what it shows, and "
        "tells what was agreed. Put the meter into pairing mode first, as its manual says. Needs no other program; "
        "a hub may run meanwhile. A pairing that proves less than the driver's profile demands is refused, and no "
        "keys are kept. On Windows and macOS the system itself asks for the number; there it is untested."
    )


def run(arguments: argparse.Namespace) -> int:
    """Pair: 0 done, 1 nothing was paired, 2 not understood."""
    from gateway.configuration import ConfigurationError

    try:
        kinds = _kinds(arguments)
        path = bonds_path(arguments.config)
    except (ConfigurationError, registry.NotUsableError, ValueError, OSError) as error:
        print(f"inr-gateway pair: {error}", file=sys.stderr)
        return 2
    file = registry.bond_file(path)
    try:
        file.bonds()  # a list that cannot be used is found before anybody types a number
        with registry.pairing(_Terminal()) as radio:
            chosen = _choose(_found(radio, kinds, arguments), kinds)
            if chosen is None:
                return 1
            seen, kind = chosen
            again = f"a connection that breaks is tried again for {arguments.seconds:g} s"
            print(f"pairing with {_named(seen)} … ({again})", flush=True)
            agreed = radio.pair(seen.advertisement.address, kind.driver.security, arguments.seconds)
            file.put(
                agreed.address,
                agreed.name,
                agreed.security,
                at=datetime.now(UTC),
                by=getpass.getuser(),
                driver=kind.driver.name,
                profile=kind.profile,
            )
    except DriverError as error:
        print(f"inr-gateway pair: {error}", file=sys.stderr)
        return 1
    _tell(agreed, kind, str(path))
    return 0


def _kinds(arguments: argparse.Namespace) -> tuple[Wanted, ...]:
    if arguments.driver is not None:
        driver = driver_with_profile(arguments.driver, arguments.profile)
        if "ble" not in driver.transports:
            raise ValueError(f"driver {driver.name} does not read meters over Bluetooth")
        return (Wanted("", "ble:", driver, arguments.profile or ""),)
    kinds = in_configuration(arguments.config)
    if not kinds:
        raise ValueError("give --config with a hub.toml that has a Bluetooth attachment, or --driver")
    return kinds


def _found(radio: Pairing, kinds: Sequence[Wanted], arguments: argparse.Namespace) -> list[Seen]:
    """Meters of the right kind, the nearest first."""
    address = arguments.address.upper().removeprefix("BLE:") if arguments.address else None

    def is_meant(seen: Seen) -> bool:
        fits = any(kind.fits(seen.advertisement) for kind in kinds)
        return fits and address in (None, seen.advertisement.address)

    print(f"looking for a meter for {arguments.seconds:g} s; put it into pairing mode now …", flush=True)
    found = [seen for seen in radio.look(arguments.seconds, is_meant) if is_meant(seen)]
    if found and address is None:
        found = [seen for seen in radio.look(MORE_S) if is_meant(seen)]
    return found


def _choose(found: Sequence[Seen], kinds: Sequence[Wanted]) -> tuple[Seen, Wanted] | None:
    if not found:
        print("inr-gateway pair: no meter of the right kind was heard; is it awake and near?", file=sys.stderr)
        return None
    for number, seen in enumerate(found, 1):
        state = "already has keys, which will be replaced" if seen.bonded else "not paired"
        rssi = seen.advertisement.rssi
        print(f"  {number}  {_named(seen)}  {'' if rssi is None else f'{rssi} dBm, '}{state}")
    question = "pair with it? [y/N] " if len(found) == 1 else f"which one? [1-{len(found)}, Enter for none] "
    answer = _asked(question).lower()
    if len(found) == 1:
        answer = "1" if answer in ("y", "yes", "1") else ""
    if not answer.isdecimal() or not 1 <= int(answer) <= len(found):
        print("nothing was paired")
        return None
    seen = found[int(answer) - 1]
    return seen, next(kind for kind in kinds if kind.fits(seen.advertisement))


class _Terminal:
    """Asks the person at the terminal; called in threads of the radio's, one question at a time."""

    def passkey(self, meter: str) -> int | None:
        """The number on the meter."""
        while answer := _asked(f"number that the meter {meter} shows (Enter to give up): "):
            digits = answer.replace(" ", "")
            if digits.isascii() and digits.isdecimal() and len(digits) <= 6:
                return int(digits)
            print("that is no number of up to six digits")
        return None

    def show(self, meter: str, passkey: int) -> None:
        """The number for the meter."""
        print(f"type this number into the meter {meter}: {passkey:06d}", flush=True)

    def same(self, meter: str, passkey: int) -> bool:
        """The number on both."""
        return _asked(f"does the meter {meter} show {passkey:06d}? [y/N] ").lower() in ("y", "yes")

    def unproven(self, meter: str) -> bool:
        """No number at all."""
        question = f"the meter {meter} has no number to compare, so anybody near could imitate it; go on? [y/N] "
        return _asked(question).lower() in ("y", "yes")


def _asked(question: str) -> str:
    try:
        return input(question).strip()
    except EOFError:
        return ""


def _tell(agreed: Agreed, kind: Wanted, path: str) -> None:
    levels = {
        "authenticated": "authenticated: a number was compared or typed",
        "encrypted": "encrypted, without proof of who is at the other end",
        "none": "none",
    }
    print(f"paired     {agreed.address}  {agreed.name}")
    print(f"security   {levels[agreed.security]} (the profile demands: {kind.driver.security})")
    print(f"for        driver {kind.driver.name}{f', attachment {kind.attachment}' if kind.attachment else ''}")
    for service in agreed.link.services:
        print(f"service    {service.uuid}, {len(service.characteristics)} characteristics")
    print(f"kept in    {path}; the keys themselves stay with the system")


def _named(seen: Seen) -> str:
    return f"{seen.advertisement.address}  {seen.advertisement.name or 'without name'}"
