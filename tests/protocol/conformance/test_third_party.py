"""The example of docs/drivers.md, as a stranger has it: a package that is installed, found and proven."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from drivers import registry
from drivers.contract import RecordKind
from gateway.cli.main import main

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "tests" / "examples" / "third_party_driver"
PAGE = (ROOT / "docs" / "drivers.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which pip put the package, without a network."""
    target = tmp_path_factory.mktemp("installed")
    words = ["install", "--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target", str(target)]
    subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *words, str(EXAMPLE)], check=True, timeout=55
    )
    return target


def run(installed: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(installed), str(ROOT)))}
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )


def test_it_is_found_by_its_entry_point_and_reads_its_capture(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(installed))
    offer = next(offer for offer in registry.available() if offer.name == "fingertip")
    assert (offer.provider, offer.problem) == ("inr-fingertip", None)
    driver = registry.get("fingertip")({"vendor": "Acme"})
    octets = registry.captured_octets((EXAMPLE / "fingertip.capture").read_bytes())
    assert octets is not None
    hello, result, *_ = octets.splitlines(keepends=True)
    decoded = driver.decode([hello, result])
    assert (decoded.meter.vendor, decoded.meter.serial, decoded.meter.model) == ("Acme", "0012345", "FT-200")
    (record,) = decoded.items
    assert record.octets == hello + result
    assert getattr(record, "kind", None) is RecordKind.PATIENT


def test_it_passes_the_kit_as_tests_of_its_own(installed: Path, tmp_path: Path) -> None:
    for name in ("proof.py", "simulated_fingertip.py", "fingertip.capture"):
        (tmp_path / name).write_bytes((EXAMPLE / name).read_bytes())
    done = run(installed, tmp_path, "pytest", "-q", "-p", "no:cacheprovider", "proof.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d\d passed", done.stdout)
    assert "skipped" not in done.stdout


def test_it_passes_the_kit_by_its_door(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "simulated_fingertip.py").write_bytes((EXAMPLE / "simulated_fingertip.py").read_bytes())
    simulator = "simulated_fingertip:SimulatedFingertip"
    capture = str(EXAMPLE / "fingertip.capture")
    done = run(
        installed, tmp_path, "drivers.conformance", "--driver", "fingertip", "--simulator", simulator, capture
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert {line.split()[0] for line in done.stdout.splitlines()} == {"kept"}


@pytest.mark.parametrize("line", re.findall(r"^inr-gateway .*", PAGE, re.MULTILINE))
def test_a_command_of_the_page_is_known(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = line.split()[1:3]
    with pytest.raises(SystemExit) as ended:
        main([*words[: 2 if words[0] == "simulate" else 1], "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for option in re.findall(r"--[a-z-]+", line):
        assert option in text


def test_the_page_names_what_is_there() -> None:
    names = re.findall(r"\]\(([^)#:]+)\)", PAGE)
    assert names
    for name in names:
        assert (ROOT / "docs" / name).exists(), name
