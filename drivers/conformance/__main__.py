"""``python -m drivers.conformance``: prove a driver with a capture or a simulated meter, without writing a test."""

from __future__ import annotations

import argparse
import importlib
import inspect
import sys
import time
import tomllib
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import SkipTest

from drivers.conformance import (
    BrokenPromiseError,
    Conversation,
    DriverConformance,
    SimulatedMeter,
    SimulatorConformance,
)
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
    parser.add_argument(
        "--simulator", metavar="MODULE:CLASS", help="a simulated meter: see drivers.conformance.simulator"
    )
    parser.add_argument(
        "capture", metavar="CAPTURE", nargs="?", type=Path, help="a conversation: see inr-gateway capture"
    )
    arguments = parser.parse_args(argv)
    if arguments.simulator is None and arguments.capture is None:
        parser.error("give a CAPTURE, a --simulator, or both")
    try:
        made = _suite(arguments)
    except (OSError, ValueError, LookupError, ImportError, DriverError) as error:
        print(f"python -m drivers.conformance: {error}", file=sys.stderr)
        return 2
    return 1 if [name for name in _checks(made) if not _kept(made, name)] else 0


def _suite(arguments: argparse.Namespace) -> type[DriverConformance]:
    profile: Path | None = arguments.profile
    members: dict[str, object] = {
        "profile": {} if profile is None else tomllib.loads(profile.read_text(encoding="utf-8")),
        "driver": _driver(arguments.driver),
        "most_cuts": 500,
        "most_live_cuts": 500,
    }
    members["driver"](members["profile"])  # type: ignore[operator]  # an unusable profile is said now, once
    if arguments.capture is not None:
        members["conversation"] = Conversation.from_capture(arguments.capture, arguments.connection)
    if arguments.simulator is None:
        return type("Proven", (DriverConformance,), members)
    members["simulator"] = _member(arguments.simulator, SimulatedMeter)
    return type("Proven", (SimulatorConformance,), members)


def _driver(name: str) -> type[Driver]:
    if ":" in name:
        chosen: type[Driver] = _member(name, Driver)
        return chosen
    from drivers import registry

    return registry.get(name)


def _member(name: str, kind: type[Any]) -> Any:
    module, _, member = name.partition(":")
    found = getattr(importlib.import_module(module), member, None)
    if isinstance(found, type) and issubclass(found, kind) and not inspect.isabstract(found):
        return found
    raise LookupError(f"{name}: this is no whole subclass of {kind.__module__}.{kind.__name__}")


def _checks(suite: type[DriverConformance]) -> list[str]:
    kinds = [kind for kind in reversed(suite.__mro__) if kind.__module__.startswith("drivers.conformance.")]
    return [name for kind in kinds for name in vars(kind) if name.startswith("test_")]


def _kept(suite: type[DriverConformance], name: str) -> bool:
    started_s = time.monotonic()
    promise = name.removeprefix("test_").replace("live_", "live: ").replace("_", " ")
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
