"""What the tests of the tally share: the golden cases, the diagnosis table, the policy files."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from gateway.reporting.units.diagnoses import DiagnosisTable, diagnosis_table

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    """The file of worked cases that stands beside the project; skips where it is absent."""
    path = ROOT.parent / "shared" / "billing" / "cases.json"
    if not path.is_file():
        pytest.skip("no billing/cases.json beside the project: no golden cases to compare with")
    document: dict[str, Any] = json.loads(path.read_text())
    return document


@pytest.fixture(scope="session")
def table() -> DiagnosisTable:
    """The diagnosis table that ships."""
    return diagnosis_table(tomllib.loads((ROOT / "config/diagnoses/ncd-190-11.toml").read_text()))


@pytest.fixture(scope="session")
def policy_files() -> list[dict[str, Any]]:
    """The policy files that ship, as read."""
    return [tomllib.loads(path.read_text()) for path in sorted((ROOT / "config/policies").glob("*.toml"))]
