"""What the simulators' tests share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from .host import WITHIN_S, Running


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
