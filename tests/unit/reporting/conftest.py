"""A store file of a rig, and one of a production server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.reporting.stores import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store.db")
    yield store
    store.close()


@pytest.fixture
def production(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "production.db", role="production")
    yield store
    store.close()
