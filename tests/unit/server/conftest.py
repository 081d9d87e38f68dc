"""A stage for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.server.stage import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A production store with one patient's meter in it."""
    stage = Stage(tmp_path)
    yield stage
    stage.close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Stage]:
    """The same on a rig."""
    stage = Stage(tmp_path, role="rig")
    yield stage
    stage.close()
