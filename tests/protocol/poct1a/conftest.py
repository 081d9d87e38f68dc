"""What the tests of POCT1-A share: the vectors and drivers."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from drivers.meters.poct1a import Poct1aDriver

ROOT = Path(__file__).resolve().parents[3]
WALL = datetime(2026, 3, 14, 12, 0, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def vector(shared: Path) -> Callable[[str], bytes]:
    folder = shared / "vectors" / "poct1a"
    return lambda name: (folder / name).read_bytes()


def shipped(name: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / "config" / "profiles" / f"{name}.toml").read_text(encoding="utf-8"))


@pytest.fixture
def profile() -> Callable[[str], dict[str, Any]]:
    return shipped


@pytest.fixture
def pt2() -> Poct1aDriver:
    return Poct1aDriver(shipped("coag_sense_pt2"), wall_clock=lambda: WALL)


@pytest.fixture
def driver() -> Callable[..., Poct1aDriver]:
    """A driver with the PT2's codes and other habits: driver(ack="control_id", zone=...)."""

    def make(zone: str | None = None, **host: Any) -> Poct1aDriver:
        content = {**shipped("coag_sense_pt2"), "host": host}
        if zone is not None:
            content["zone"] = zone
        return Poct1aDriver(content, wall_clock=lambda: WALL)

    return make
