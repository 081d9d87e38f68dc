"""The meter's own list of what the manager confirmed, on disk before anything follows from it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from simulators.ledger import Ledger, LedgerError, instant
from simulators.meter import Meter, Stored

__all__ = ["Deliveries"]


class Deliveries:
    """One ``holds`` line for each test in the memory, one ``received`` line for each confirmation.

    Raises:
        LedgerError: the ledger belongs to another meter or another memory.
    """

    def __init__(self, meter: Meter, ledger: Ledger) -> None:
        self._meter = meter
        self._ledger = ledger
        self._received: set[int] = set()
        self._known: dict[int, str] = {}
        for line in ledger.lines:
            if line["event"] == "holds":
                self._known[line["entry"]] = line["digest"]
            elif line["event"] == "received":
                self._received.update(line["entries"])
            elif line["event"] != "cleared":
                raise LedgerError(
                    f"{ledger.name}: no ledger of a meter, it has a line {line['event']!r}; give a new file"
                )
        self.note_memory()

    def note_memory(self) -> None:
        """Write down tests that were made since."""
        fresh = []
        for test in self._meter.memory:
            known = self._known.get(test.ordinal)
            if known is None:
                self._known[test.ordinal] = test.digest
                fresh.append(self._holds(test))
            elif known != test.digest:
                raise LedgerError(
                    f"{self._ledger.name}: test {test.ordinal} is another one than in the scenario; give a new file"
                )
        self._ledger.write(*fresh)

    @property
    def delivered(self) -> tuple[Stored, ...]:
        """Tests of which the meter was told that they are received, oldest first."""
        return tuple(test for test in self._meter.memory if test.ordinal in self._received)

    @property
    def unsent(self) -> tuple[Stored, ...]:
        """Tests of which it was not, oldest first."""
        return tuple(test for test in self._meter.memory if test.ordinal not in self._received)

    def received(self, tests: Sequence[Stored], octets: bytes) -> None:
        """The manager confirmed an APDU that carried these tests; on disk when this returns."""
        ordinals = [test.ordinal for test in tests]
        digest = hashlib.sha256(octets).hexdigest()
        self._ledger.write({"event": "received", "entries": ordinals, "sha256": digest, "at": instant()})
        self._received.update(ordinals)

    def cleared(self, instances: Sequence[int]) -> None:
        """The manager ordered stored segments to be deleted; none means all."""
        self._ledger.write({"event": "cleared", "segments": list(instances), "at": instant()})

    def _holds(self, test: Stored) -> dict[str, Any]:
        identity, entry = self._meter.identity, test.entry
        return {
            "event": "holds",
            "entry": test.ordinal,
            "vendor": identity.vendor,
            "serial": identity.serial,
            "kind": entry.kind.value,
            "inr": entry.inr,
            "number": test.number,
            "shown": None if test.shown is None else test.shown.isoformat(),
            "device_time": entry.device_time,
            "digest": test.digest,
        }
