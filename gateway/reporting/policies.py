"""The policies and the diagnosis tables that shipped with this installation, or stand in a folder of one's own."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TypeVar

from gateway.configuration import ConfigurationError, shipped
from gateway.reporting.units import DiagnosisTable, Policy, UnitsError, diagnosis_table, policies

__all__ = ["read_policies", "shipped_diagnoses", "shipped_policies"]

T = TypeVar("T")


@cache
def shipped_policies() -> tuple[Policy, ...]:
    """The policies in ``config/policies`` with the diagnosis tables in ``config/diagnoses``."""
    return read_policies(shipped() / "policies", shipped() / "diagnoses")


@cache
def shipped_diagnoses() -> DiagnosisTable:
    """The table of covered diagnoses in ``config/diagnoses``; where there are several, the last by name."""
    return list(_tables(shipped() / "diagnoses").values())[-1]


def read_policies(folder: Path, diagnoses: Path) -> tuple[Policy, ...]:
    """Read every policy of a folder.

    Raises:
        ConfigurationError: a file cannot be read or does not fit; the message names it.
    """
    tables = _tables(diagnoses)
    found: list[Policy] = []
    for path in sorted(folder.glob("*.toml")):
        found += _made(path, lambda content: policies(content, tables))
    if not found:
        raise ConfigurationError(f"{folder}: holds no policy; name the right folder")
    return tuple(found)


def _tables(folder: Path) -> dict[str, DiagnosisTable]:
    made = [_made(path, diagnosis_table) for path in sorted(folder.glob("*.toml"))]
    if not made:
        raise ConfigurationError(f"{folder}: holds no table of diagnoses; name the right folder")
    return {table.id: table for table in made}


def _made(path: Path, make: Callable[[Mapping[str, object]], T]) -> T:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        return make(content)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, UnitsError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
