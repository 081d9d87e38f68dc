"""The memory as the record access control point sees it: numbered records, some of them deleted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from simulators.deliveries import Deliveries
from simulators.ledger import Ledger
from simulators.meter import Meter, Stored

__all__ = ["Record", "Records"]

_LARGEST: Final = 0xFFFF_FFFF


class Record(NamedTuple):
    """A test and its record number."""

    number: int
    test: Stored


class Records:
    """What the meter still holds. What was sent and what was deleted stands in the ledger first.

    Raises:
        LedgerError: the ledger belongs to another meter or another memory.
    """

    def __init__(self, meter: Meter, ledger: Ledger) -> None:
        self._meter = meter
        self._deliveries = Deliveries(meter, ledger)
        self._deleted = {
            ordinal for line in ledger.lines if line["event"] == "cleared" for ordinal in line["segments"]
        }

    @property
    def held(self) -> list[Record]:
        """All records, in the order in which they were made."""
        return [Record(number_of(test), test) for test in self._meter.memory if test.ordinal not in self._deleted]

    @property
    def sent(self) -> tuple[Stored, ...]:
        """Tests whose last segment the far stack confirmed, oldest first."""
        return self._deliveries.delivered

    @property
    def unsent(self) -> tuple[Stored, ...]:
        """Tests whose last segment it did not, oldest first."""
        return tuple(test for test in self._deliveries.unsent if test.ordinal not in self._deleted)

    def chosen(self, fits: Callable[[int], bool]) -> list[Record]:
        """Records whose number fits."""
        return [record for record in self.held if fits(record.number)]

    def note_memory(self) -> None:
        """A test was made."""
        self._deliveries.note_memory()

    def note_sent(self, ordinal: int, octets: bytes) -> None:
        """The last segment of a test was confirmed."""
        self._deliveries.received([test for test in self._meter.memory if test.ordinal == ordinal], octets)

    def delete(self, records: Sequence[Record]) -> None:
        """Forget records for good."""
        ordinals = [record.test.ordinal for record in records]
        self._deliveries.cleared(ordinals)
        self._deleted.update(ordinals)


def number_of(test: Stored) -> int:
    """Record number of a test: what the meter shows if that is a number of 32 bits, else its own count from 1."""
    shown = test.number
    return int(shown) if shown.isdecimal() and int(shown) <= _LARGEST else test.ordinal + 1
