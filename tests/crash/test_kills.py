"""kill -9 of hub, broker and server, at durable boundaries and at random: nothing lost, nothing doubled.

The whole chain runs as separate processes (`gateway.cli.demo.stage`). A victim is started under strace, which
delivers SIGKILL when it enters its nth system call of one kind: the write of a frame to the log, the wait for the
disk, the write of an acknowledgement, the sending of a message. So every boundary between disk and promise is met,
without a line in the product that knows of it. Loss is judged by the simulated meter's and provider's own lists.
"""

from __future__ import annotations

import itertools
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli.demo.observation import Observation, observe
from gateway.cli.demo.stage import HUB, Stage, until
from gateway.cli.demo.story import NOW, TODAY, registry
from simulators.scenario import dump, long_use

BOUNDARIES = ("pwrite64", "fdatasync", "write", "sendto")
"""Into the log; onto the disk; to the meter (and the log file); to broker and provider."""
SETTLE_S = 90.0

pytestmark = [
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
    pytest.mark.timeout(280),
]


def mosquitto() -> str | None:
    return shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")


@pytest.fixture(params=["amqtt", "mosquitto"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    if request.param == "mosquitto" and mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    stage = Stage(tmp_path / "chain", NOW, broker=request.param)
    try:
        stage.start_broker()
        stage.prepare(registry(stage.mllp_port, HUB))
        stage.start_provider()
        yield stage
    finally:
        stage.stop()


def remember(stage: Stage, tests: int, gap_s: float) -> None:
    """Plug in a meter with so many tests."""
    scenario = stage.folder / "scenario.json"
    scenario.write_text(dump(long_use(TODAY, tests)), encoding="utf-8")
    stage.start_meter("--scenario", str(scenario), "--gap", str(gap_s), "--scale", "0.02")


STARTERS = {"hub": Stage.start_hub, "server": Stage.start_server, "broker": Stage.start_broker}


def start(stage: Stage, name: str) -> None:
    STARTERS[name](stage)


def kill_at(stage: Stage, victim: str, call: str, nth: int) -> bool:
    """Start the victim so that it is killed at its nth system call of a kind; at the latest after some seconds.

    Returns:
        Whether it met its end at that call.
    """
    inject = ["-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={nth}"]
    stage.prefix[victim] = ["strace", "-f", "-qq", "-o", "/dev/null", *inject]
    start(stage, victim)
    del stage.prefix[victim]
    try:
        return stage.processes[victim].wait(4) != 0
    except subprocess.TimeoutExpired:
        return False  # it has no such call left to make: it is killed where it stands
    finally:
        stage.kill(victim)


def kill_now(stage: Stage, victim: str, chance: random.Random) -> None:
    """Kill the running victim at a random moment."""
    time.sleep(chance.uniform(0.0, 0.4))
    stage.kill(victim)


def settled(stage: Stage) -> Observation:
    """Wait until everything has arrived."""
    until(lambda: observe(stage).settled, SETTLE_S, "everything arriving after the kills", step_s=0.3)
    return observe(stage)


def judge(now: Observation) -> None:
    """The store equals the meter's memory, none twice, every report at the far end, no copy without a reason."""
    assert now.lost == ()
    assert now.altered == ()
    assert now.doubled == ()
    assert now.strange == ()
    assert now.unexplained == ()
    patients = [test for test in now.memory if test.kind == "patient"]
    assert len(now.copies) == len(patients)


def bring_down_and_up(stage: Stage, kills: int, seed: int) -> int:
    """Kill so many times: two of three at a boundary counted from the victim's start, the third at random.

    Returns:
        How many died at the boundary that was meant.
    """
    at_boundary = 0
    chance = random.Random(seed)
    victims = itertools.cycle(["hub", "server", "hub", "server", "broker"])
    for name in ("server", "hub"):
        start(stage, name)
    for count, victim in zip(range(kills), victims, strict=False):
        if victim == "broker" or count % 3 == 2:
            kill_now(stage, victim, chance)
        else:
            stage.kill(victim)
            at_boundary += kill_at(stage, victim, chance.choice(BOUNDARIES), chance.randrange(1, 40))
        start(stage, victim)
    return at_boundary


def test_twenty_kills(stage: Stage) -> None:
    remember(stage, tests=40, gap_s=0.2)
    assert bring_down_and_up(stage, kills=10, seed=1) >= 3  # ten with each broker
    judge(settled(stage))


@pytest.mark.long
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("seed", range(2))
def test_hundred_kills(stage: Stage, seed: int) -> None:
    remember(stage, tests=400, gap_s=0.2)
    assert bring_down_and_up(stage, kills=100, seed=seed) >= 30
    judge(settled(stage))


@pytest.mark.parametrize("stage", ["mosquitto"], indirect=True)
def test_a_backup_older_than_the_last_receipts_is_filled_by_the_hub(stage: Stage, tmp_path: Path) -> None:
    configuration = ("--config", str(stage.server_configuration))
    stage.start_server()
    stage.start_hub()
    remember(stage, tests=40, gap_s=0.2)
    until(lambda: sum(bool(test.results) for test in observe(stage).memory) >= 5, 30, "a first part stored")
    backup = tmp_path / "backup.db"
    stage.call("server", "backup", *configuration, str(backup))
    complete = settled(stage)
    stage.kill("server")
    stage.call("server", "restore", *configuration, "--replace", str(backup))
    known = sum(bool(test.results) for test in observe(stage).memory)
    assert known < len(complete.memory)
    copies_before = sum(complete.copies.values())

    stage.start_server()
    until(lambda: all(test.results for test in observe(stage).memory), 60, "the hub filling the gap")
    filled = observe(stage)
    assert sum(filled.copies.values()) == copies_before, "nothing is delivered before a person has reconciled"
    stage.call("server", "reconcile", *configuration, "--by", "A. Person")
    after = settled(stage)
    assert [*after.lost, *after.doubled, *after.strange] == []
    assert after.copies.keys() == complete.copies.keys(), (
        "a control id follows from its content, so a restore repeats it"
    )
    assert len(after.unexplained) <= len(complete.memory) - known, (
        "only what the backup did not know was sent again"
    )
