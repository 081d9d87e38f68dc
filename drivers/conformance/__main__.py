"""``python -m drivers.conformance``: prove a driver with a capture, without writing a test."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import tomllib
import traceback
from collections.abc import Sequence
from pathlib import Path
from unittest import SkipTest

from drivers.conformance import BrokenPromiseError, Conversation, DriverConformance
from drivers.contract import Driver
from drivers.errors import DriverError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Print each promise and whether it is kept: 0 all kept, 1 some broken, 2 the input cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m drivers.conformance", description="Check that a driver keeps the promises of its contract."
    )
    parser.add_argument("--driver", required=True, help="name of an installed driver, or MODULE:CLASS")
    parser.add_argument("--profile", metavar="FILE", type=Path, help="the driver's profile (TOML)")
    parser.add_argument("--connection", metavar="N", type=int, default=1, help="connection of the capture")
    parser.add_argument("capture", metavar="CAPTURE", type=Path, help="a conversation: see inr-gateway capture")
    arguments = parser.parse_args(argv)
    try:
        made = _suite(arguments.driver, arguments.profile, arguments.capture, arguments.connection)
    except (OSError, ValueError, LookupError, ImportError, DriverError) as error:
        print(f"python -m drivers.conformance: {error}", file=sys.stderr)
        return 2
    return 1 if [name for name in _checks(made) if not _kept(made, name)] else 0


def _suite(name: str, profile: Path | None, capture: Path, connection: int) -> type[DriverConformance]:
    content = {} if profile is None else tomllib.loads(profile.read_text(encoding="utf-8"))
    chosen = _driver(name)
    chosen(content)  # an unusable profile is said now, once

    class Proven(DriverConformance):
        driver = chosen
        profile = content
        conversation = Conversation.from_capture(capture, connection)
        most_cuts = 500

    return Proven


def _driver(name: str) -> type[Driver]:
    module, colon, member = name.partition(":")
    if not colon:
        from drivers import registry

        return registry.get(name)
    found = getattr(importlib.import_module(module), member, None)
    if isinstance(found, type) and issubclass(found, Driver):
        return found
    raise LookupError(f"{name}: this is no subclass of drivers.contract.Driver")


def _checks(suite: type[DriverConformance]) -> list[str]:
    return [name for name in vars(DriverConformance) if name.startswith("test_") and callable(getattr(suite, name))]


def _kept(suite: type[DriverConformance], name: str) -> bool:
    started_s = time.monotonic()
    promise = name.removeprefix("test_").replace("_", " ")
    try:
        getattr(suite(), name)()
    except SkipTest as why:
        print(f"skipped  {promise}: {why}", flush=True)
        return True
    except BrokenPromiseError as error:
        print(f"BROKEN   {promise}: {error}", flush=True)
        return False
    except Exception as error:
        print(f"BROKEN   {promise}: {type(error).__name__} is raised, only DriverError may be", flush=True)
        traceback.print_exc()
        return False
    print(f"kept     {promise} ({time.monotonic() - started_s:.1f} s)", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
