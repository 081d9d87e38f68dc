"""Runs ``inr-gateway`` with one promise broken on purpose, so that a test can show that it would notice.

``python variants.py synchronous-normal hub run …`` commits without waiting for the disk;
``python variants.py acknowledge-first hub run …`` acknowledges a piece and commits it a moment later;
``python variants.py as-it-is hub run …`` breaks nothing.
"""

from __future__ import annotations

import sqlite3
import sys
import threading
from typing import Any

from drivers.contract import Piece
from gateway.cli.main import main
from gateway.hub.intake import Intake


class Careless(sqlite3.Connection):
    """``synchronous = FULL`` becomes ``NORMAL``: a commit to the log returns before its octets are on disk."""

    def execute(self, sql: str, /, *arguments: Any) -> sqlite3.Cursor:
        return super().execute(sql.replace("synchronous = FULL", "synchronous = NORMAL"), *arguments)


def be_careless() -> None:
    connect = sqlite3.connect

    def careless(*arguments: Any, **options: Any) -> sqlite3.Connection:
        return connect(*arguments, **options, factory=Careless)

    sqlite3.connect = careless  # type: ignore[assignment] # this process breaks its promise on purpose


def be_hasty() -> None:
    take = Intake.take

    def hasty(self: Intake, piece: Piece) -> bool:
        threading.Timer(0.3, take, (self, piece)).start()
        return True

    setattr(Intake, "take", hasty)  # noqa: B010 - this process breaks its promise on purpose


if __name__ == "__main__":
    variant, *words = sys.argv[1:]
    if variant == "synchronous-normal":
        be_careless()
    elif variant == "acknowledge-first":
        be_hasty()
    sys.exit(main(words))
