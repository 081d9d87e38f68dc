"""``inr-gateway simulate`` in processes of its own."""

from __future__ import annotations

import json
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["Command", "Run", "commands"]

WITHIN_S = 40.0
RUN = "from gateway.cli.main import main; raise SystemExit(main())"


class Command:
    """One process; its standard input stays open."""

    def __init__(self, *words: str | Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, "simulate", *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,  # what is waited for stands in the pipe, never in a buffer of ours
        )

    def line(self) -> dict[str, Any]:
        """The next JSON line."""
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            assert selector.select(WITHIN_S), "nothing was printed"
        parsed = json.loads(self.process.stdout.readline().decode() or self.end()[1])
        assert isinstance(parsed, dict)
        return parsed

    def end(self, number: signal.Signals | None = None) -> tuple[int, str]:
        """Exit status and what was said on stderr."""
        if number is not None:
            self.process.send_signal(number)
        _, said = self.process.communicate(timeout=WITHIN_S)
        return self.process.returncode, said.decode()


Run = Callable[..., Command]


@contextmanager
def commands() -> Iterator[Run]:
    """Starts processes; none outlives it."""
    started: list[Command] = []

    def start(*words: str | Path) -> Command:
        started.append(Command(*words))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()
