"""What a meter says in one connection, cut where it waits for the host."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from drivers.transports.capture import FROM_METER, REMARK, TO_METER, Line, read_capture

__all__ = ["Conversation"]


@dataclass(frozen=True, init=False)
class Conversation:
    """The meter's side of one connection.

    Attributes:
        turns: octets that the meter sends without waiting; before the next turn it waits for an answer, or a moment
            if none comes.
    """

    turns: tuple[bytes, ...]

    def __init__(self, *turns: bytes) -> None:
        object.__setattr__(self, "turns", tuple(turn for turn in turns if turn))
        if not self.turns:
            raise ValueError("a conversation needs at least one octet of the meter")

    def __len__(self) -> int:
        return sum(len(turn) for turn in self.turns)

    @classmethod
    def from_capture(cls, path: Path, connection: int = 1) -> Self:
        """Read a capture (`inr-gateway capture`, or the hub's).

        Args:
            path: the file.
            connection: which of its connections, counted from 1, among those in which the meter said something.

        Raises:
            FramingError: it is no capture.
            ValueError: it has no such connection.
        """
        found = [turns for lines in _connections(read_capture(path.read_bytes())) if (turns := _turns(lines))]
        if not 1 <= connection <= len(found):
            raise ValueError(f"{path}: it holds {len(found)} connections in which the meter said something")
        return cls(*found[connection - 1])


def _connections(lines: Iterable[Line]) -> list[list[Line]]:
    found: list[list[Line]] = [[]]
    for line in lines:
        if line.direction == REMARK and line.remark.startswith("open"):
            found.append([])
        found[-1].append(line)
    return found


def _turns(lines: Iterable[Line]) -> list[bytes]:
    turns: list[bytes] = []
    waited = True
    for line in lines:
        if line.direction == TO_METER:
            waited = True
        elif line.direction == FROM_METER:
            if waited:
                turns.append(b"")
            turns[-1] += line.octets
            waited = False
    return turns
