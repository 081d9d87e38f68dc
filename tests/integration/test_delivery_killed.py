"""Delivery killed with -9, again and again: nothing is lost, and every further copy at the far end is explained.

Run as a program, this file is the process that gets killed.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from gateway.clock import Clock
from gateway.reporting.configuration import Delivery as Settings
from gateway.reporting.delivery import Delivery
from tests.unit.reporting import receivers
from tests.unit.reporting.receivers import receiver, within
from tests.unit.reporting.stores import Store

PER_LIFE = 8
"""Results that come while one process lives."""


def main(path: str) -> None:
    settings = Settings(poll_s=0.05, answer_timeout_s=2, retry_first_s=0.02, retry_most_s=0.1)
    Delivery(Path(path), settings, Clock(), "rig").start()
    signal.pause()


class Killer:
    """Kills a process when its far end has a message: before it answers, or as soon as it has answered."""

    def __init__(self) -> None:
        self.victim: subprocess.Popen[bytes] | None = None
        self.when = ""
        self.after = 0
        self.lock = threading.Lock()

    def habit(self, visit: receivers.Visit, octets: bytes) -> bool:
        with self.lock:
            self.after -= 1
            struck = self.after == 0 and self.victim is not None
        if struck and self.when == "before the answer":
            self.strike()
        if not (struck and self.when == "instead of an answer"):
            receivers.accepts(visit, octets)
        if struck:
            self.strike()
        return True

    def strike(self) -> None:
        assert self.victim is not None
        self.victim.kill()


def begin(path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, __file__, str(path)])


def live_and_die(tmp_path: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    killer = Killer()
    store = Store(tmp_path / "store.db")
    with receiver(killer.habit) as far_end:
        store.provider("a", far_end.address)
        store.patient("p", "a")
        count = 0
        for life in range(kills):
            killer.when = ("before the answer", "instead of an answer", "after the answer", "at any time")[life % 4]
            killer.victim = None
            victim = begin(store.path)
            with killer.lock:
                killer.victim, killer.after = victim, chance.randint(1, PER_LIFE)
            for _ in range(PER_LIFE):
                store.result("p", f"result {count}")
                count += 1
            if killer.when == "at any time":
                killer.after = -1
                time.sleep(chance.uniform(0.2, 0.6))
                killer.strike()
            assert victim.wait(30) == -signal.SIGKILL
        survivor = begin(store.path)
        try:
            within(30, lambda: store.value("SELECT count(*) FROM report WHERE state = 'delivered'") == count)
        finally:
            survivor.kill()
            survivor.wait()
    copies = Counter(far_end.control_ids)
    attempts = store.rows(
        "SELECT control_id, count(*) AS sent, sum(outcome IS NULL OR outcome = 'ambiguous') AS unknown,"
        " sum(outcome = 'delivered') AS delivered"
        " FROM report JOIN attempt ON attempt.report_id = report.id WHERE outcome IS NOT 'not_sent'"
        " GROUP BY control_id"
    )
    assert len(attempts) == len(copies) == count
    for row in attempts:
        assert row["delivered"] == 1
        assert 1 <= copies[row["control_id"]] <= 1 + row["unknown"]
    assert sum(row["unknown"] for row in attempts) >= kills // 2  # the kills did hit sendings
    octets = Counter(octets for octets in far_end.messages)
    assert len(octets) == count  # a resend is the same octets
    store.close()


def test_killed_at_every_step(tmp_path: Path) -> None:
    live_and_die(tmp_path, kills=8, seed=1)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(4))
def test_killed_many_times(tmp_path: Path, seed: int) -> None:
    live_and_die(tmp_path, kills=50, seed=seed)


if __name__ == "__main__":
    main(sys.argv[1])
