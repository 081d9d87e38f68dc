r"""What the kit wants of a simulated meter. Twenty lines are enough, because all mischief is done by the kit.

The kit chooses what the meter remembers and what its clock shows, and may choose anew between two connections. It
cuts the line, loses answers, is silent, slow or noisy, switches the meter off and on, and has it forget what it was
told. The meter only speaks its protocol, as its specification has it::

    class SimulatedThing(SimulatedMeter):
        def connected(self, now_s):
            self.waiting = [*self.unsent]
            return self.offer(now_s)

        def receive(self, octets, now_s):
            if octets == b"+":  # the host has it
                self.told.add(self.waiting.pop(0))
            return self.offer(now_s)

        def tick(self, now_s):  # no answer: once more
            return self.offer(now_s)

        def offer(self, now_s):
            self.deadline_s = now_s + 10 if self.waiting else None
            return line_of(self.waiting[0]) if self.waiting else b"BYE\n"
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from drivers.contract import RecordKind

__all__ = ["CannotError", "SimulatedMeter", "StoredTest"]


class CannotError(Exception):
    """Raise it where this meter cannot be as the kit wants it, for example if its records always have a number.

    What was to be checked is then skipped, with these words.
    """


@dataclass(frozen=True, slots=True)
class StoredTest:
    """One test in the meter's memory. No two of them are equal.

    Attributes:
        kind: patient, control or error.
        shown: what the meter's clock showed during the test; None: it was never set.
        inr: as it was displayed: ``2.5``, or ``>8.0`` and ``<0.8`` beyond the measuring range; None for an error.
        number: record number; may be repeated, in any order, or empty.
    """

    kind: RecordKind
    shown: datetime | None
    inr: str | None
    number: str


class SimulatedMeter(ABC):
    """A meter without input or output: octets in, octets out; times are seconds of any monotonic clock.

    Args:
        memory: oldest first.
        shows: what its clock shows now; None: it was never set.

    Attributes:
        memory: what it remembers. The kit may change it while nobody is connected.
        shows: what its clock shows. The kit may change it while nobody is connected.
        told: tests of which the host has said that it has them. The kit may take some out.
        has_hung_up: it has closed the connection.
        deadline_s: when `tick` has something to do, or None.
        clock_step_s: its stamps are multiples of so many seconds; None: it has no clock.
    """

    clock_step_s: ClassVar[int | None] = 1

    def __init__(self, memory: Sequence[StoredTest], shows: datetime | None) -> None:
        self.memory = tuple(memory)
        self.shows = shows
        self.told: set[StoredTest] = set()
        self.has_hung_up = False
        self.deadline_s: float | None = None

    @property
    def unsent(self) -> list[StoredTest]:
        """What it was not told of, oldest first."""
        return [test for test in self.memory if test not in self.told]

    def connected(self, now_s: float) -> bytes:  # noqa: ARG002 - for subclasses
        """A host is there, or the meter was switched on again with a host there. Returns what it says first.

        Everything but `memory`, `shows` and `told` begins anew here; `has_hung_up` and `deadline_s` were reset.
        """
        return b""

    @abstractmethod
    def receive(self, octets: bytes, now_s: float) -> bytes:
        """The host said this at once. Returns what the meter says to it."""

    def tick(self, now_s: float) -> bytes:  # noqa: ARG002 - for subclasses
        """`deadline_s` has come. It must be moved on, or the meter is asked again."""
        return b""
