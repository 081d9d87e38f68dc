"""Between the network thread and the worker: bounded, and slow to refuse.

A broker's own window does not bound what comes: Mosquitto 2.0.11 was seen to send thousands of messages beyond a
receive maximum of 50 while acknowledgements went back. When this is full, the network thread waits a moment, so
that the TCP connection fills up and the broker keeps the rest.
"""

from __future__ import annotations

import threading
import time
from collections import deque

from gateway.mqtt.connection import Arrival

__all__ = ["Handover"]


class Handover:
    """Arrivals in their order, from one thread that puts to one that takes."""

    def __init__(self, most: int, most_octets: int) -> None:
        """Args: most: arrivals kept; most_octets: octets of their payloads kept, but always one arrival."""
        self._most = most
        self._most_octets = most_octets
        self._arrivals: deque[Arrival] = deque()
        self._octets_put = 0  # written by the one thread,
        self._octets_taken = 0  # and this by the other: no lock is needed to add up
        self._woken = False
        self._enough = 1
        lock = threading.Lock()
        self._filled = threading.Condition(lock)
        self._drained = threading.Condition(lock)

    def put(self, arrival: Arrival, patience_s: float) -> bool:
        """Hand over; wait for room up to `patience_s`. False when there was none."""
        size = len(arrival.payload)
        if not self._has_room(size):
            with self._drained:
                if not self._drained.wait_for(lambda: self._has_room(size), patience_s):
                    return False
        self._octets_put += size
        self._arrivals.append(arrival)
        # `take` says how many are enough before it counts them and waits: one of the two always sees the other.
        if len(self._arrivals) >= self._enough:
            with self._filled:
                self._filled.notify()
        return True

    def take(self, most: int, wait_s: float, gather_s: float) -> list[Arrival]:
        """The next batch: up to `most`, waiting `wait_s` for the first and `gather_s` more for the others.

        Returns at once, perhaps with nothing, when somebody called `wake`.
        """
        with self._filled:
            self._enough = 1
            self._filled.wait_for(lambda: self._arrivals or self._woken, wait_s)
            if self._arrivals and not self._woken:
                self._enough = min(most, self._most)
                until_s = time.monotonic() + gather_s
                while len(self._arrivals) < self._enough and not self._woken:
                    if not self._filled.wait(max(0.0, until_s - time.monotonic())):
                        break
            self._woken = False
            self._enough = self._most  # nobody waits now: spare the other thread the lock
            batch = [self._arrivals.popleft() for _ in range(min(most, len(self._arrivals)))]
            self._octets_taken += sum(len(arrival.payload) for arrival in batch)
            self._drained.notify()
        return batch

    def wake(self) -> None:
        """Let `take` return: there is something else to do."""
        with self._filled:
            self._woken = True
            self._filled.notify()

    @property
    def empty(self) -> bool:
        """Whether nothing is waiting now."""
        return not self._arrivals

    def _has_room(self, size: int) -> bool:
        if not self._arrivals:
            return True
        waiting = self._octets_put - self._octets_taken
        return len(self._arrivals) < self._most and waiting + size <= self._most_octets
