"""A move of twenty results killed with -9 between writing, waiting for the disk and having committed: all or none.

strace delivers SIGKILL when the command enters its nth system call of one kind.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.corrections.bureau import Bureau

CALLS = {"pwrite64": 36, "fdatasync": 2}
"""Into the log and onto the disk; about so many of each the command makes."""
MANY = 20

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


def killed(bureau: Bureau, to: str, call: str, nth: int) -> bool:
    """Whether the command met its end before it was done."""
    traced = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}"]
    traced += ["-e", f"inject={call}:signal=SIGKILL:when={nth}"]
    words = ["results", "move", *map(str, range(1, MANY + 1)), "--to", to, "--by", "Ada", "--why", "mixed up"]
    command = [*traced, sys.executable, "-m", "gateway.cli", *words, "--config", str(bureau.configuration)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode != 0


def state(bureau: Bureau) -> set[tuple[str, int, int]]:
    """Whose the results are, and how many versions and decisions each has."""
    rows = bureau.stage.rows(
        "SELECT v.patient_id, v.version,"
        " (SELECT count(*) FROM decision d WHERE d.subject = 'result ' || v.result_id)"
        " FROM version v WHERE v.version = (SELECT max(w.version) FROM version w WHERE w.result_id = v.result_id)"
    )
    assert len(rows) == MANY
    return {(row[0], row[1], row[2]) for row in rows}


def live_and_die(bureau: Bureau, kills: int, seed: int) -> tuple[int, int]:
    """How many died, and how many of those had nothing to show for it."""
    chance = random.Random(seed)
    bureau.measured(*(f"2026-02-{day:02}T07:30:00" for day in range(1, MANY + 1)))
    bureau.deliver()
    died = undone = 0
    for _ in range(kills):
        ((patient, version, decided),) = state(bureau)
        to = "sam" if patient == "pat" else "pat"
        call = chance.choice(list(CALLS))
        dead = killed(bureau, to, call, chance.randint(1, CALLS[call]))
        died += dead
        after = state(bureau)
        if after == {(patient, version, decided)}:
            assert dead
            undone += 1
        else:
            assert after == {(to, version + 2, decided + 1)}
    assert [row[0] for row in bureau.stage.rows("PRAGMA integrity_check")] == ["ok"]
    bureau.deliver()
    ((patient, _, _),) = state(bureau)
    standing = {
        chart: [each for each in held if each[0] != "W"] for chart, held in bureau.charts("clinic-ehr").items()
    }
    assert standing.pop(f"C-{patient}", [])
    assert not any(standing.values())
    return died, undone


def test_killed_while_moving(tmp_path: Path) -> None:
    bureau = Bureau(tmp_path)
    died, undone = live_and_die(bureau, kills=6, seed=3)
    bureau.close()
    assert died >= 4
    assert undone >= 2


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(4))
def test_killed_many_times(tmp_path: Path, seed: int) -> None:
    bureau = Bureau(tmp_path)
    died, undone = live_and_die(bureau, kills=60, seed=seed)
    bureau.close()
    assert died >= 30
    assert undone >= 15
