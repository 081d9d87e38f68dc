"""What happens on a line that misbehaves on script, in order."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Pause", "Step", "Unplug"]


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing leaves for a while."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Unplug:
    """The connection breaks; after `seconds` it may come back. What was to follow never leaves."""

    seconds: float


Step = bytes | Pause | Unplug
