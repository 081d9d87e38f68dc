"""A scene for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.alerts.scene import Scene


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A production store whose supplier has stated the intended use."""
    scene = Scene(tmp_path)
    yield scene
    scene.close()
