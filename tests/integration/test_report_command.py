"""``inr-gateway report``: a patient's results of a time on paper."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.cli.main import main
from tests.unit.reporting.stores import TAKEN, Store, quantity

INTENDED = """
[intended_use]
statement = "Flags and time in range for the treating provider."
stated_by = "Q. Officer"
stated_on = 2026-01-02
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store.db")
    (tmp_path / "server.toml").write_text(
        f'[server]\nname = "test"\nstore = "{store.path}"\nrole = "rig"\n', encoding="utf-8"
    )
    store.provider("a", "mllp://127.0.0.1:2575")
    store.patient("p", "a")
    for at, inr in enumerate(("2.5", "3.4", "2.8", "1.9", "8.0")):
        taken = TAKEN - timedelta(days=28 - 7 * at)
        off = ">" if inr == "8.0" else None
        number = store.result("p", f"k{at}", taken, inr=quantity(inr, off))
        store.write("UPDATE result SET inr = ? WHERE id = ?", f"{off or ''}{inr}", number)
    yield store
    store.close()


def report(store: Store, *words: str) -> int:
    config = store.path.parent / "server.toml"
    return main(["report", "p", "--config", str(config), *words])


def text(file: Path) -> str:
    if shutil.which("pdftotext") is None:
        pytest.skip("no pdftotext (poppler-utils)")
    return subprocess.run(["pdftotext", "-layout", file, "-"], capture_output=True, check=True).stdout.decode()


def test_it_shows_the_results_of_the_time(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "report.pdf"
    assert report(store, "--pdf", str(file), "--from", "2026-02-20", "--to", "2026-03-14") == 0
    assert "Doe" not in capsys.readouterr().out
    assert file.stat().st_mode & 0o777 == 0o600
    said = text(file)
    for word in (
        "Home INR summary",
        "Doe, Jane",
        "18 Mar 1948",
        "Clinic a, patient id there MRN-p",
        "> 8.0",
        "TEST",
    ):
        assert word in said
    assert "none on record" in said
    assert "14 Feb" not in said  # before the time
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


def test_target_and_time_in_range_stand_there_once_somebody_answers_for_them(store: Store, tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    config.write_text(config.read_text(encoding="utf-8") + INTENDED, encoding="utf-8")
    (tmp_path / "limits.csv").write_text(
        "of,id,from,stated_by,target_low,target_high,critical_low,critical_high\n"
        "patient,p,2026-01-01,Dr. Rivera,2.0,3.0,1.5,5.0\n",
        encoding="utf-8",
    )
    assert main(["registry", "import", "--config", str(config), "--by", "Pat", str(tmp_path / "limits.csv")]) == 0
    file = tmp_path / "report.pdf"
    assert report(store, "--pdf", str(file), "--from", "2026-02-01", "--to", "2026-03-14") == 0
    said = text(file)
    for word in (
        "2.0 to 3.0 (set for this patient)",
        "CRITICALLY HIGH",
        "Time in target range (Rosendaal)",
        "2 of 5",
    ):
        assert word in said


def test_a_time_without_results_is_a_report_too(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "report.pdf"
    assert report(store, "--pdf", str(file), "--to", "2025-03-14") == 0
    assert "No result in this time" in text(file)


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("--pdf", "{}/r.pdf", "--from", "2026-03-14", "--to", "2026-03-13"), 2, "must not lie after"),
        (("--pdf", "{}/no/r.pdf"), 1, "cannot be written"),
        (("--pdf", "{}/r.pdf", "--font", "{}/server.toml"), 1, "no TrueType font"),
    ],
)
def test_what_cannot_be_done_is_said(
    store: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    status: int,
    says: str,
) -> None:
    assert report(store, *(word.format(tmp_path) for word in words)) == status
    assert says in capsys.readouterr().err
    assert not (tmp_path / "r.pdf").exists()


def test_an_unknown_patient_is_named(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(store.path.parent / "server.toml")
    assert main(["report", "nobody", "--config", config, "--pdf", str(tmp_path / "r.pdf")]) == 1
    assert "there is no patient 'nobody'" in capsys.readouterr().err
