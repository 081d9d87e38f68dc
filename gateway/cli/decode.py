"""``inr-gateway decode``: captured octets of a meter as JSON, one object for each message."""

from __future__ import annotations

import argparse
import base64
import inspect
import json
import sys
from collections import deque
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from drivers import registry
from drivers.contract import Driver
from drivers.errors import DriverError
from gateway.cli.records import plain, read_profile

__all__ = ["add_arguments", "run"]

_HEX_BLANKS = b" \t\r\n:"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--protocol", required=True, choices=registry.protocols(), help="what the octets are")
    parser.add_argument("--hex", action="store_true", help="all input is hexadecimal digits; blanks are allowed")
    parser.add_argument(
        "--profile",
        metavar="FILE",
        help="also decode to results with this profile (a file, or a shipped one's name)",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="ieee11073: the meter's configuration report, and what else of its conversation came before a scan "
        "report, so that the report's observations are named; not needed if FILE holds it too",
    )
    parser.add_argument(
        "file", metavar="FILE", help="captured octets, a capture file of the hub, or - for standard input"
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = """Prints one JSON object a line, for each message, document or APDU, with every field by name.
Exit status: 0 done; 1 a file or profile cannot be read; 2 the input is not of this protocol: standard error names
the offset.

examples:
  inr-gateway decode --protocol astm --profile home_inr_astm meter.capture
  inr-gateway decode --protocol poct1a --profile coag_sense_pt2 documents.xml
  inr-gateway decode --protocol ieee11073 --hex --config configuration.hex report.hex
  echo 011500030004720200 22FDCA47310000 0700D019190000FF | inr-gateway decode --protocol ghs --hex -"""


def run(arguments: argparse.Namespace) -> int:
    """Decode and print."""
    name = "standard input" if arguments.file == "-" else arguments.file
    try:
        octets = sys.stdin.buffer.read() if arguments.file == "-" else Path(arguments.file).read_bytes()
        driver = _driver(arguments.protocol, arguments.profile) if arguments.profile else None
        decode = registry.decoder(arguments.protocol)
        if arguments.config is not None:
            before = arguments.config.read_bytes()
            _check_takes_configuration(arguments.protocol, decode)
    except OSError as error:
        print(f"inr-gateway decode: {error.filename or name}: {error.strerror}", file=sys.stderr)
        return 1
    except (registry.NotUsableError, ValueError) as error:
        print(f"inr-gateway decode: {error}", file=sys.stderr)
        return 1
    read = name
    try:
        if arguments.config is not None:
            read = str(arguments.config)
            configuration = _octets(before, hexadecimal=arguments.hex)
            deque(decode(configuration), maxlen=0)  # what is wrong with it is said of it
            decode, read = partial(decode, configuration=configuration), name
        for message in decode(_octets(octets, hexadecimal=arguments.hex)):
            if driver is not None:
                message["decoded"] = _decoded(driver, message)
            print(json.dumps(message, ensure_ascii=False), flush=True)
    except (_NotHexError, DriverError) as error:
        print(f"inr-gateway decode: {read}: offset {error.offset or 0}: {error}", file=sys.stderr)
        return 2
    return 0


def _check_takes_configuration(protocol: str, decode: registry.Decoder) -> None:
    if "configuration" not in inspect.signature(decode).parameters:
        raise ValueError(f"--config is of no use with {protocol}: its messages say themselves what they hold")


def _octets(content: bytes, *, hexadecimal: bool) -> bytes:
    """What the meter sent, out of a file that may be a capture."""
    octets = _from_hex(content) if hexadecimal else content
    captured = registry.captured_octets(octets)
    return octets if captured is None else captured


class _NotHexError(Exception):
    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


def _from_hex(text: bytes) -> bytes:
    digits = bytearray()
    for offset, character in enumerate(text):
        if character in b"0123456789abcdefABCDEF":
            digits.append(character)
        elif character not in _HEX_BLANKS:
            raise _NotHexError("this is no hexadecimal digit", offset)
    if len(digits) % 2:
        raise _NotHexError("the last octet has one digit only", len(text))
    return bytes.fromhex(digits.decode())


def _driver(protocol: str, profile: str) -> Driver:
    path, content = read_profile(profile)
    try:
        return registry.get(str(content.get("driver", protocol)))(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _decoded(driver: Driver, message: Mapping[str, Any]) -> dict[str, Any]:
    try:
        decoded = driver.decode([base64.b64decode(message["octets"])])
    except DriverError as error:
        return {"error": {"reason": str(error.reason), "text": str(error)}}
    said: dict[str, Any] = plain(decoded)
    return said
