"""Which readings were published and have no receipt yet, and when each is published again. Pure: told the time."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Outstanding"]

PROBES = 20
"""While the server is silent, so many are repeated at a time; more would only fill the broker's queue."""
STUCK_AFTER = 4
"""Repeated so often beside a server that answers others, a reading no longer holds back those behind it."""
MOST_STUCK = 10
"""Times the window: so many stuck readings stop everything, and memory stays bounded."""


@dataclass(slots=True)
class _Sent:
    sha256: str
    sent_s: float
    due_s: float
    attempt: int
    lost: bool = False


class Outstanding:
    """Readings on their way, by number. Back-off doubles for each and starts anew when the server is heard."""

    def __init__(
        self,
        window: int,
        receipt_within_s: float,
        longest_s: float,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """Make an empty window.

        Args:
            window: most readings on their way.
            receipt_within_s: first wait for a receipt.
            longest_s: longest wait between two repetitions.
            jitter: a number between two; so that a thousand hubs do not repeat as one.
        """
        self._window = window
        self._first_s = receipt_within_s
        self._longest_s = longest_s
        self._jitter = jitter
        self._sent: dict[int, _Sent] = {}
        self._earliest_s = float("inf")
        self._heard_s = float("-inf")

    def __len__(self) -> int:
        return len(self._sent)

    @property
    def full(self) -> bool:
        """Whether further readings have to wait."""
        if len(self._sent) < self._window:
            return False
        stuck = sum(sent.attempt >= STUCK_AFTER and sent.sent_s <= self._heard_s for sent in self._sent.values())
        return len(self._sent) - min(stuck, MOST_STUCK * self._window) >= self._window

    def sent(self, number: int, sha256: str, now_s: float) -> None:
        """A reading was published, for the first time or again."""
        before = self._sent.get(number)
        attempt = 0 if before is None else before.attempt + 1
        due_s = now_s + self._wait_s(attempt)
        self._sent[number] = _Sent(sha256, now_s, due_s, attempt)
        if before is None:
            self._earliest_s = min(self._earliest_s, due_s)
        else:
            self._look_again()

    def digest(self, number: int) -> str | None:
        """SHA-256 of what was published under this number, if it is on its way."""
        found = self._sent.get(number)
        return None if found is None else found.sha256

    def arrived(self, number: int, now_s: float) -> None:
        """A valid receipt came."""
        self._heard_s = now_s
        self._sent.pop(number, None)

    def lost(self, number: int, now_s: float) -> None:
        """It is certain, or as good as certain, that the broker does not have it."""
        found = self._sent.get(number)
        if found is not None:
            found.lost = True
            found.due_s = self._earliest_s = min(now_s, self._earliest_s)

    def all_lost(self, now_s: float) -> None:
        """The broker forgot everything."""
        for number in self._sent:
            self.lost(number, now_s)

    def server_lives(self, now_s: float) -> None:
        """The server was heard: what has no receipt soon was lost on the way."""
        self._heard_s = now_s
        for sent in self._sent.values():
            sent.attempt = min(sent.attempt, STUCK_AFTER)
            sent.due_s = min(sent.due_s, now_s + self._wait_s(0))
            self._earliest_s = min(self._earliest_s, sent.due_s)

    def forget(self) -> None:
        """Start over: everything without a receipt will be published again."""
        self._sent.clear()
        self._earliest_s = float("inf")

    @property
    def next_due_s(self) -> float:
        """Not before this does `due` yield anything; infinity when nothing is on its way."""
        return self._earliest_s if self._sent else float("inf")

    def due(self, now_s: float) -> list[int]:
        """Numbers to publish again now, lowest first."""
        if now_s < self._earliest_s:
            return []
        again = []
        probes = PROBES
        for number in sorted(number for number, sent in self._sent.items() if sent.due_s <= now_s):
            sent = self._sent[number]
            if sent.lost or sent.sent_s <= self._heard_s:
                again.append(number)
            elif probes > 0:
                probes -= 1
                again.append(number)
            else:
                sent.attempt += 1
                sent.due_s = now_s + self._wait_s(sent.attempt)
        self._look_again()
        return again

    def _look_again(self) -> None:
        self._earliest_s = min((sent.due_s for sent in self._sent.values()), default=float("inf"))

    def _wait_s(self, attempt: int) -> float:
        return min(self._first_s * 2.0 ** min(attempt, 30), self._longest_s) * self._jitter(0.75, 1.25)
