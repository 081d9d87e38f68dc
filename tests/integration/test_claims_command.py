"""The claims' commands as processes: two at once, and one that is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.clock import Clock
from gateway.reporting.claims.keeping import Tallying
from gateway.reporting.claims.recompute import outcome, update
from gateway.reporting.facts import every_facts
from gateway.store import tallies
from tests.unit.claims.desk import MONDAYS, PRICES, Desk

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


def test_two_exports_at_once_into_one_folder_leave_whole_files_of_everything(signed: Desk) -> None:
    both = [exporting(signed, "out") for _ in range(3)]
    said = [process.communicate(timeout=50) for process in both]
    assert [process.returncode for process in both] == [0, 0, 0], said
    exporting(signed, "reference").communicate(timeout=50)
    assert contents(signed.folder / "out") == contents(signed.folder / "reference")


def started(desk: Desk, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", *words, "--config", str(desk.folder / "server.toml"), "--by", "Eve"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_of_several_people_at_once_one_decides_while_tallies_are_kept(signed: Desk) -> None:
    exporting(signed, "out").communicate(timeout=50)
    claims = {row["patient"]: row["claim"] for row in signed.rows("claims")}
    order = signed.paper("P1", "order", signed_on="2026-01-10", practitioner="Dr. Roe")
    (signed.folder / "prices.toml").write_text(PRICES.replace("12345", "12500"), encoding="utf-8")
    service = Tallying(signed.store, Clock(signed.now), "rig")
    service.start()
    try:
        voids = [started(signed, "units", "void", claims["P0"], "--note", "x") for _ in range(2)]
        replaces = [started(signed, "units", "replace", claims["P0"], "--note", "x")]
        corrects = [
            started(signed, "documents", "supersede", str(order), f"expires_on=2026-0{month}-01")
            for month in (6, 7)
        ]
        for group, done_already in (([*voids, *replaces], "already"), (corrects, "was superseded")):
            said = [process.communicate(timeout=50) for process in group]
            assert sorted(process.returncode for process in group) == [0] + [1] * (len(group) - 1), said
            assert sum(done_already in err for _, err in said) == len(group) - 1, said
        exporting(signed, "out").communicate(timeout=50)
    finally:
        service.stop()
    update(signed.database, signed.now.date(), "rig", signed.now)
    for facts in every_facts(signed.database):
        kept = tallies.computed(signed.database, facts.patient_id)
        assert kept is not None
        assert kept.sha256 == outcome(facts, signed.now.date(), "rig")[0]
    first = [row for row in signed.rows("claims") if row["patient"] == "P0"]
    assert sorted(row["frequency"] for row in first) in ([1, 7], [1, 8])
    assert signed.value("SELECT count(*) FROM document WHERE supersedes = ?", order) == 1


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
