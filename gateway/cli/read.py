"""``inr-gateway read``: one conversation with a meter, to the terminal."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from drivers import registry
from drivers.contract import Decoded, Driver
from drivers.errors import DriverError
from gateway.cli.records import driver_with_profile, plain, print_records

if TYPE_CHECKING:
    from gateway.cli.session import Seen

__all__ = ["Shown", "add_arguments", "add_port_arguments", "hold", "run", "tell"]

KEEP_OCTETS = 2**40
"""A file that is the only copy is never cut into several."""


def add_port_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `read` and `capture` share."""
    parser.add_argument(
        "--address", required=True, metavar="ADDRESS", help="as in hub.toml; see inr-gateway meters"
    )
    parser.add_argument("--driver", required=True, metavar="NAME", help="see inr-gateway drivers")
    parser.add_argument("--profile", metavar="FILE", help="a profile's file, or a shipped one's name")
    parser.add_argument(
        "--config", metavar="FILE", type=Path, help="hub.toml whose paired Bluetooth meters may be read"
    )
    parser.add_argument(
        "--seconds", metavar="N", type=_seconds, default=30.0, help="end after so long a silence (default: 30)"
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_port_arguments(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object for each message")
    parser.add_argument(
        "--acknowledge",
        action="store_true",
        help="tell the meter that its results are received; many meters never send them again. Needs --keep",
    )
    parser.add_argument(
        "--keep", metavar="FILE", type=Path, help="write everything here (a capture), on disk first"
    )
    parser.description = (
        "Reads one conversation with a meter and shows it. Without --acknowledge the meter hears nothing after its "
        "first result (or part of one) and keeps everything. Stop the hub first if it reads the same port."
    )


def run(arguments: argparse.Namespace) -> int:
    """Read and show: 0 something was read, 1 nothing was or the port failed, 2 not understood."""
    if arguments.acknowledge and arguments.keep is None:
        print(
            "inr-gateway read: --acknowledge needs --keep FILE: the meter may never send again what it was told is "
            "received",
            file=sys.stderr,
        )
        return 2
    return hold(arguments, "read", arguments.keep, lambda driver: Shown(driver, as_json=arguments.json))


class Shown:
    """Shows messages: JSON at once, a table at the end."""

    def __init__(self, driver: Driver, *, as_json: bool) -> None:
        self._driver = driver
        self._as_json = as_json
        self._decoded: list[Decoded] = []
        self.unreadable: list[str] = []

    def message(self, pieces: Sequence[bytes]) -> None:
        """A whole message."""
        from gateway.cli.session import decoded

        said = decoded(self._driver, pieces)
        if isinstance(said, DriverError):
            self.unreadable.append(str(said))
        if self._as_json:
            print(json.dumps({"error": plain(said)} if isinstance(said, DriverError) else plain(said)), flush=True)
        elif isinstance(said, Decoded):
            self._decoded.append(said)

    def end(self, broken: Sequence[bytes] = ()) -> None:
        """Print what is still to be printed. Args: broken: pieces of a message without its end."""
        if broken and self._as_json:
            print(json.dumps({"incomplete": [piece.hex() for piece in broken]}))
        elif broken:
            print("of a message without its end came:")
            for piece in broken:
                print(f"  {piece.decode('ascii', 'backslashreplace').encode('unicode_escape').decode()}")
        print_records(self._decoded)
        if not self._as_json:
            for text in self.unreadable:
                print(f"a message that cannot be understood: {text}")


def hold(
    arguments: argparse.Namespace, command: str, file: Path | None, show: Callable[[Driver], Shown | None]
) -> int:
    """Hold the conversation that the arguments describe; returns the exit status.

    Args:
        arguments: see `add_port_arguments`, and ``acknowledge``.
        command: for messages.
        file: gets every octet; must have them on disk before anything is acknowledged.
        show: makes what shows the messages, or nothing.
    """
    from gateway.cli.bluetooth import bonds_path
    from gateway.cli.session import Seen, converse, opened
    from gateway.configuration import ConfigurationError

    # What goes wrong in a conversation is said by the hub's own code, to its log.
    logging.basicConfig(level=logging.WARNING, format=f"inr-gateway {command}: %(message)s")
    os.umask(0o077)  # what is written holds a patient's results
    try:
        driver = driver_with_profile(arguments.driver, arguments.profile)
        bonds = bonds_path(arguments.config) if arguments.address.startswith("ble:") else None
    except (registry.NotUsableError, ConfigurationError, ValueError, OSError) as error:
        print(f"inr-gateway {command}: {error}", file=sys.stderr)
        return 2
    shown = show(driver)
    try:
        transport = opened(arguments.address, driver, arguments.seconds, bonds)
    except DriverError as error:
        print(f"inr-gateway {command}: {error}", file=sys.stderr)
        return 1
    commit: Callable[[], None] | None = None
    if file is not None:
        transport = captured = registry.CapturingTransport(transport, file, max_octets=KEEP_OCTETS)
        try:
            captured.sync()
        except OSError as error:
            transport.close()
            print(f"inr-gateway {command}: {error.filename}: {error.strerror}", file=sys.stderr)
            return 1
        commit = captured.sync if arguments.acknowledge else None
    seen = Seen(commit, shown.message if shown is not None else lambda _pieces: None)
    try:
        converse(transport, driver, seen, arguments.seconds)
    except KeyboardInterrupt:
        transport.close()
    if shown is not None:
        shown.end(seen.broken)
    return tell(command, seen)


def tell(command: str, seen: Seen) -> int:
    """Say on standard error how it ended; returns the exit status."""
    say = [f"{seen.messages} whole messages"]
    if seen.broken:
        say.append(f"{len(seen.broken)} pieces of a message without its end")
    if seen.rejected:
        say.append(f"{len(seen.rejected)} times damaged octets ({seen.rejected[0].error})")
    if seen.unacknowledged:
        say.append("nothing was acknowledged, so the meter keeps it and says no more; --acknowledge reads on")
    if seen.problem is not None:
        say.append(f"nothing more was acknowledged: {seen.problem.filename}: {seen.problem.strerror}")
    print(f"inr-gateway {command}: {'; '.join(say)}", file=sys.stderr)
    return 0 if (seen.messages or seen.broken) and seen.problem is None else 1


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds up to a day")
    return seconds
