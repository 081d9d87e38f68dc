"""The store that server.toml names, for the sub-commands that look into it or change it."""

from __future__ import annotations

import argparse
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.server.configuration import ServerConfiguration

__all__ = ["add_config", "instant", "opened"]


def add_config(parser: argparse.ArgumentParser) -> None:
    """Declare ``--config``."""
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="server.toml")


def instant(text: str) -> datetime:
    """An instant on the command line; a local time without its offset says too little."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise argparse.ArgumentTypeError("needs an offset from UTC, like 2026-03-14T07:30-08:00")
    return found


@contextmanager
def opened(arguments: argparse.Namespace) -> Iterator[tuple[ServerConfiguration, sqlite3.Connection]]:
    """Configuration and open store; no restore can take the store away meanwhile.

    Raises:
        ConfigurationError: the file cannot be used.
        StoreError: the store cannot be used.
    """
    from gateway.configuration import load
    from gateway.server.configuration import ServerConfiguration
    from gateway.store.opening import in_use, open_store

    configuration = load(arguments.config, ServerConfiguration)
    server = configuration.server
    with in_use(server.store), closing(open_store(server.store, server.role)) as database:
        yield configuration, database
