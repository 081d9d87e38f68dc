"""A biller's acts killed with -9 between writing, waiting for the disk and having committed: all of one or none.

strace delivers SIGKILL when the command enters its nth system call of one kind.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.claims.desk import MONDAYS, PRICES, Desk

CALLS = {"pwrite64": 24, "fdatasync": 2, "rename": 4}
"""Into the log, onto the disk, and files put in their places; about so many of each a command makes."""

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


class Biller:
    """Signs, exports, voids and replaces the claim of one unit, again and again."""

    def __init__(self, folder: Path) -> None:
        self.desk = Desk(folder)
        self.cents = 12345
        self.desk.patient()
        for taken in MONDAYS[:4]:
            self.desk.test("P1", taken)

    def next_act(self, chance: random.Random) -> list[str]:
        """What may be done now."""
        standing = [row for row in self.desk.rows("claims") if row["state"] == "exported" and row["frequency"] != 8]
        if not standing:
            (ready,) = self.desk.rows("worklist", "ready")
            return ["export", "--to", str(self.desk.folder / "out")] if ready["signed_by"] else ["sign", "P1", "1"]
        if chance.random() < 0.5:
            return ["void", standing[0]["claim"], "--note", "why"]
        self.cents += 1
        (self.desk.folder / "prices.toml").write_text(PRICES.replace("12345", str(self.cents)), encoding="utf-8")
        return ["replace", standing[0]["claim"], "--note", "why"]

    def killed(self, act: list[str], call: str, nth: int) -> bool:
        """Whether the command met its end before it was done."""
        traced = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}"]
        traced += ["-e", f"inject={call}:signal=SIGKILL:when={nth}"]
        words = ["units", *act, "--by", "Bea", "--config", str(self.desk.folder / "server.toml")]
        command = [*traced, sys.executable, "-m", "gateway.cli", *words]
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode != 0

    def counts(self) -> tuple[int, ...]:
        """How much there is of everything that an act writes; the acts of a person among it."""
        tables = ("sign_off", "claim", "claim_test", "claim_event", "decision")
        return tuple(self.desk.value(f"SELECT count(*) FROM {table}") for table in tables)

    def check(self) -> None:
        """What must be so after whatever happened."""
        followed = "SELECT count(*) FROM claim c WHERE (c.state IN ('void', 'replaced')) <> (EXISTS (SELECT 1 FROM"
        assert self.desk.value(f"{followed} claim n WHERE n.follows = c.id))") == 0
        held = "(c.frequency <> 8 AND c.state IN ('exported', 'denied', 'paid'))"
        wrong = f"SELECT count(*) FROM claim_test t JOIN claim c ON c.id = t.claim_id WHERE t.standing <> {held}"
        assert self.desk.value(wrong) == 0
        assert self.desk.value("SELECT count(*) FROM claim_test") == 4 * self.desk.value(
            "SELECT count(*) FROM claim"
        )
        once = "SELECT count(*) FROM claim_event WHERE what = 'exported'"
        assert self.desk.value(once) == self.desk.value("SELECT count(*) FROM claim")
        rests = self.desk.value("SELECT count(*) FROM claim_event WHERE what = 'rests on'")
        assert rests == self.desk.value("SELECT count(*) FROM claim WHERE frequency <> 8")


def live_and_die(folder: Path, kills: int, seed: int) -> tuple[int, int]:
    """How many died, and how many of those had nothing to show for it."""
    chance, biller = random.Random(seed), Biller(folder)
    died = undone = 0
    for _ in range(kills):
        act = biller.next_act(chance)
        before = biller.counts()
        call = chance.choice(list(CALLS))
        died += biller.killed(act, call, chance.randint(1, CALLS[call]))
        if biller.counts() == before:
            undone += 1
            again = biller.desk.units(*act, "--by", "Bea")
            assert again.code == 0, again.err
        assert biller.counts() > before
        biller.check()
    for name in ("out", "reference"):
        assert biller.desk.units("export", "--to", str(folder / name), "--by", "Bea").code == 0
    reference = {path.name: path.read_bytes() for path in (folder / "reference").iterdir()}
    found = {path.name: path.read_bytes() for path in (folder / "out").iterdir()}
    assert reference.items() <= found.items()
    assert biller.desk.value("PRAGMA integrity_check") == "ok"
    biller.desk.close()
    return died, undone


def test_killed_while_billing(tmp_path: Path) -> None:
    died, undone = live_and_die(tmp_path, kills=6, seed=5)
    assert died >= 3
    assert undone >= 2


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(4))
def test_killed_many_times(tmp_path: Path, seed: int) -> None:
    died, undone = live_and_die(tmp_path, kills=60, seed=seed)
    assert died >= 20
    assert undone >= 10
