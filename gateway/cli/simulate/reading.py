"""Words on the command line of ``simulate``, and what it says to whoever started it."""

from __future__ import annotations

import argparse
import json
from datetime import date

__all__ = ["address", "day", "factor", "number", "say"]


def say(line: dict[str, object]) -> None:
    """One line that a program can read, out at once."""
    print(json.dumps(line), flush=True)


def address(text: str) -> tuple[str, int]:
    """``HOST:PORT``."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no address; write HOST:PORT, for example 127.0.0.1:4321")
    return host.strip("[]"), int(port)


def day(text: str) -> date:
    """``YYYY-MM-DD``."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day; write it like 2026-03-14") from None


def factor(text: str) -> float:
    """A number above 0."""
    found = number(text)
    if not found:
        raise argparse.ArgumentTypeError("timers cannot be 0; write a factor like 0.1")
    return found


def number(text: str) -> float:
    """A number from 0 up."""
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 up")
    return found
