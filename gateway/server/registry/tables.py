"""The registry's files: `gateway.tables` with the registry's kinds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gateway import tables
from gateway.server.registry.kinds import KINDS
from gateway.tables import Place, Placed, Problem

__all__ = ["Place", "Placed", "Problem", "read_files"]


def read_files(paths: Sequence[Path]) -> tuple[list[Placed], list[Problem]]:
    """Read files, or every CSV and TOML file of a folder."""
    return tables.read_files(paths, KINDS)
