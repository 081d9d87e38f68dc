"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with vectors and golden cases that stands beside the project; skips where it is absent."""
    folder = ROOT.parent / "shared"
    if not (folder / "vectors").is_dir():
        pytest.skip(f"no vectors beside the project ({folder.name}/vectors): nothing to compare with")
    return folder
