"""Which messages a conversation still goes on with, and which wait for the meter to come back to them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Conversations"]


@dataclass(frozen=True, slots=True)
class _Loose:
    line: str
    touched_at: str


class Conversations:
    """The last message of each conversation: held while it goes on, loose once it broke off. Not locked here."""

    def __init__(self) -> None:
        self._held: set[int] = set()
        self._loose: dict[int, _Loose] = {}

    def is_held(self, message: int) -> bool:
        """Whether its conversation goes on now."""
        return message in self._held

    def hold(self, message: int) -> None:
        """A conversation goes on with this message."""
        self._held.add(message)

    def let_go(self, message: int) -> None:
        """Nothing of it will come any more in this conversation."""
        self._held.discard(message)

    def broke_off(self, message: int, line: str, touched_at: str) -> None:
        """Its conversation ended out of order; `touched_at` is the instant of its last piece as text."""
        self._loose[message] = _Loose(line, touched_at)

    def only_loose(self, line: str, oldest: str) -> int | None:
        """The one message that broke off on a line, or None; any touched before `oldest` is forgotten."""
        self._loose = {id_: loose for id_, loose in self._loose.items() if loose.touched_at >= oldest}
        found = [id_ for id_, loose in self._loose.items() if loose.line == line]
        return found[0] if len(found) == 1 else None

    def take_up(self, message: int) -> None:
        """A loose message is gone on with."""
        del self._loose[message]
        self._held.add(message)
