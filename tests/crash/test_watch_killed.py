"""The watch killed with -9 while it opens escalations: each critical result has one, opened once.

Run as a program, this file is the process that gets killed. strace delivers SIGKILL when it enters its nth system
call of one kind, so the kills fall between writing, waiting for the disk and having committed.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.clock import Clock
from gateway.reporting.alerts.configuration import Alerts, Escalations, IntendedUse, Watching
from gateway.reporting.alerts.watch import Watch
from gateway.store import watched
from tests.unit.reporting.stores import Store, quantity

CALLS = {"pwrite64": 18, "fdatasync": 2}
"""Into the log and onto the disk; so many of each a thread makes while it judges the results of one life."""
PER_LIFE = 6
WATCHING = Watching(
    IntendedUse.model_validate({"statement": "told by our staff", "stated_by": "Ada", "stated_on": "2026-03-01"}),
    Escalations(),
    Alerts(),
    Decimal("1.5"),
    Decimal("5.0"),
)

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


def main(path: str) -> None:
    watch = Watch(Path(path), WATCHING, Clock(), "rig")
    watch.start()
    signal.pause()


def begin(path: Path, call: str | None = None, nth: int = 0) -> subprocess.Popen[bytes]:
    traced = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}"]
    traced += ["-e", f"inject={call}:signal=SIGKILL:when={nth}"]
    words = [] if call is None else traced
    return subprocess.Popen([*words, sys.executable, __file__, str(path)], start_new_session=True)


def end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(20)


def unjudged(store: Store) -> int:
    return watched.unjudged(store.database)


def wait_until_judged(store: Store, process: subprocess.Popen[bytes], within_s: float) -> bool:
    """False when the process met its end first."""
    deadline_s = time.monotonic() + within_s
    while unjudged(store):
        if process.poll() is not None:
            return False
        assert time.monotonic() < deadline_s, "results are not judged"
        time.sleep(0.02)
    return True


def live_and_die(folder: Path, kills: int, seed: int) -> int:
    chance = random.Random(seed)
    store = Store(folder / "store.db")
    store.patient("p")
    died = count = 0
    critical: list[int] = []
    for _ in range(kills):
        for _ in range(PER_LIFE):
            value = chance.choice(["2.5", "6.1", "0.9"])
            identifier = store.result("p", f"result {count}", inr=quantity(value))
            critical += [identifier] if value != "2.5" else []
            count += 1
        call = chance.choice(list(CALLS))
        victim = begin(store.path, call, chance.randint(1, CALLS[call]))
        try:
            died += not wait_until_judged(store, victim, 30)
        finally:
            end(victim)
    survivor = begin(store.path)
    try:
        assert wait_until_judged(store, survivor, 30)
    finally:
        end(survivor)
    opened = [row[0] for row in store.rows("SELECT result_id FROM escalation ORDER BY result_id")]
    assert opened == critical
    events = store.rows("SELECT escalation_id, count(*) FROM escalation_event WHERE what = 'opened' GROUP BY 1")
    assert [tuple(row) for row in events] == [(number, 1) for number in range(1, len(critical) + 1)]
    assert store.value("SELECT count(*) FROM escalation WHERE state <> 'open'") == 0
    assert [row[0] for row in store.rows("PRAGMA integrity_check")] == ["ok"]
    store.close()
    return died


def test_killed_while_opening(tmp_path: Path) -> None:
    assert live_and_die(tmp_path, kills=8, seed=1) >= 5


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(4))
def test_killed_many_times(tmp_path: Path, seed: int) -> None:
    assert live_and_die(tmp_path, kills=60, seed=seed) >= 30


if __name__ == "__main__":
    main(sys.argv[1])
