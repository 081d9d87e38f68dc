"""Published octets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

CONFIGURATION = bytes.fromhex(
    "e7000096009400010101008e0000ffffffff0d1c008440000003007e0006000100040024092f0004000272040a460002f040099600"
    "0219d00a55000c000200080a4c0002099000080006000200040024092f0004000272080a460002f0400996000208800a55000c0002"
    "00080a4c000209900008000500030003001e092f0004008072750a460002f0400a55000c000200080a66000209900008"
)
"""A configuration with INR (handle 1), PT in seconds (2) and device status (3), made by hand from the standard."""
REPORT = bytes.fromhex(
    "e7000036003400020101002e0000ffffffff0d1d0024f00000010002001c0001000af01920260314073005000002000af12820260314"
    "07300500"
)
"""INR 2.5 and PT 29.6 s at 2026-03-14 07:30:05."""
ABOVE_RANGE = bytes.fromhex(
    "e7000036003400030101002e0000ffffffff0d1d0024f00000020002001c0001000a07fe20260314073005000003000a040020260314"
    "07300500"
)
"""INR +INFINITY with the status "result too high"."""


@pytest.fixture(scope="session")
def vectors(shared: Path) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = json.loads((shared / "vectors" / "ieee11073_20601.json").read_text())
    return content


@pytest.fixture(scope="session")
def published(vectors: list[dict[str, Any]]) -> dict[str, bytes]:
    return {vector["name"]: bytes.fromhex(vector["hex"]) for vector in vectors}
