"""What the simulators' tests share."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from simulators.ledger import read

from .host import WITHIN_S, Running

Syncs = Callable[[Path], list[int]]
"""How many lines a ledger had at each moment when something of it was put on disk, from now on."""


@pytest.fixture
def running() -> Iterator[Running]:
    runs = Running()
    yield runs
    runs.end()


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], None]:
    def wait(holds: Callable[[], object]) -> None:
        deadline_s = time.monotonic() + WITHIN_S
        while not holds():
            assert time.monotonic() < deadline_s, "did not happen in time"
            time.sleep(0.01)

    return wait


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> Syncs:
    really = os.fsync

    def watch(path: Path) -> list[int]:
        synced: list[int] = []

        def fsync(file: int) -> None:
            really(file)
            synced.append(len(read(path)))

        monkeypatch.setattr(os, "fsync", fsync)
        return synced

    return watch
