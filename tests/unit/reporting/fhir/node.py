"""Programs of tests/node: found, or the test is skipped with the reason."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "node"
DEFINITIONS = FOLDER / "node_modules" / "@medplum" / "definitions" / "dist" / "fhir" / "r4"


def wanted() -> None:
    """Skip unless Node.js and the locked packages are here."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    if not DEFINITIONS.is_dir():
        pytest.skip("tests/node/node_modules is not there: run .ci/setup where npm is installed")


def begin(script: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a script; it ends when its standard input is closed."""
    wanted()
    return subprocess.Popen(
        ["node", str(FOLDER / script), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
