"""The claims' commands as processes: two at once, and one that is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.claims.desk import MONDAYS, Desk

PATIENTS = [f"P{number}" for number in range(12)]


@pytest.fixture
def signed(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    for patient in PATIENTS:
        desk.patient(patient)
        for taken in MONDAYS[:4]:
            desk.test(patient, taken)
        assert desk.units("sign", patient, "1", "--by", "Bea").code == 0
    yield desk
    desk.close()


def exporting(desk: Desk, folder: str) -> subprocess.Popen[bytes]:
    words = ["units", "export", "--config", str(desk.folder / "server.toml"), "--by", "Eve"]
    return subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", *words, "--to", str(desk.folder / folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_two_exports_at_once_make_each_claim_once(signed: Desk) -> None:
    both = [exporting(signed, "left"), exporting(signed, "right")]
    said = [process.communicate(timeout=50) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert len(signed.rows("claims")) == len(PATIENTS)
    new = sum(int(out.split()[0]) for out, _ in said)
    assert new == len(PATIENTS)
    assert contents(signed.folder / "left") == contents(signed.folder / "right")


@pytest.mark.parametrize("after_ms", [150, 250, 350, 500])
def test_a_killed_export_is_run_again_and_nothing_is_claimed_twice(signed: Desk, after_ms: int) -> None:
    process = exporting(signed, "out")
    time.sleep(after_ms / 1000)  # anywhere: before the commit, between it and the files, or after both
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=50)
    again = exporting(signed, "out")
    again.communicate(timeout=50)
    assert again.returncode == 0
    reference = exporting(signed, "reference")
    reference.communicate(timeout=50)
    written = {name: octets for name, octets in contents(signed.folder / "out").items() if name[-5:] != ".part"}
    written.pop(".probe", None)
    assert written == contents(signed.folder / "reference")
    assert [row["patient"] for row in signed.rows("claims")] == sorted(PATIENTS)
    assert signed.value("SELECT count(*) FROM claim_event WHERE what = 'exported'") == len(PATIENTS)
