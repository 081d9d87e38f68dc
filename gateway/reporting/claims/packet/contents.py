"""What a packet says: headed tables and lines of text, and the digest of each thing that they tell of. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["Contents", "Item", "Section", "Table"]


class Table(NamedTuple):
    """A table; `widths` are shares of the line."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    widths: Sequence[float]


class Section(NamedTuple):
    """A heading with text and tables under it."""

    title: str
    lines: Sequence[str] = ()
    table: Table | None = None


class Item(NamedTuple):
    """One thing that the packet rests on.

    Attributes:
        kind: ``result``, ``reading``, ``report``, ``later report``, ``evidence``, ``document``, ``attachment``,
            ``claim``, ``signature`` or ``policy``.
        name: what it is, within its kind.
        sha256: digest of its octets as the store keeps them.
        facts: what identifies it.
    """

    kind: str
    name: str
    sha256: str
    facts: Mapping[str, Any]


class Contents(NamedTuple):
    """The whole packet."""

    title: str
    subtitle: str
    sections: Sequence[Section]
    items: Sequence[Item]
