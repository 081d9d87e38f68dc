"""The meter's own list of what it was told is received, on disk before anything follows from it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from simulators.ledger import Ledger, LedgerError, instant
from simulators.meter import Meter, Stored

__all__ = ["Deliveries"]


class Deliveries:
    """The memory, seen by who has what.

    The ledger gets one ``holds`` line for each test in the memory, a ``received`` line for each confirmation, a
    ``gave_up`` line for each attempt that had none, and a ``cleared`` line for each order to delete.

    Args:
        names_meter: the meter is recognised by its vendor and serial number, too, and not by its tests alone.

    Raises:
        LedgerError: the ledger belongs to another meter or another memory.
    """

    def __init__(self, meter: Meter, ledger: Ledger, *, names_meter: bool = False) -> None:
        self._meter = meter
        self._ledger = ledger
        self._names_meter = names_meter
        self._received: set[int] = set()
        self._known: dict[int, str] = {}
        for line in ledger.lines:
            if line["event"] == "holds":
                self._known[line["entry"]] = line["digest"]
            elif line["event"] == "received":
                self._received.update(line["entries"])
            elif line["event"] not in ("gave_up", "cleared"):
                raise LedgerError(
                    f"{ledger.name}: no ledger of a meter, it has a line {line['event']!r}; give a new file"
                )
        self.note_memory()

    def note_memory(self) -> None:
        """Write down tests that were made since."""
        fresh = []
        for test in self._meter.memory:
            digest = self._digest(test)
            if test.ordinal not in self._known:
                self._known[test.ordinal] = digest
                fresh.append(self._holds(test, digest))
            elif self._known[test.ordinal] != digest:
                raise LedgerError(
                    f"{self._ledger.name}: test {test.ordinal} is another one than in the scenario: the ledger "
                    "belongs to another meter or memory; give a new file, or only append to the memory"
                )
        self._ledger.write(*fresh)

    @property
    def delivered(self) -> tuple[Stored, ...]:
        """Tests still in the memory of which the meter was told that they are received, oldest first."""
        return tuple(test for test in self._meter.memory if test.ordinal in self._received)

    @property
    def unsent(self) -> tuple[Stored, ...]:
        """Tests in the memory of which it was not, oldest first."""
        return tuple(test for test in self._meter.memory if test.ordinal not in self._received)

    def received(self, tests: Sequence[Stored], octets: bytes) -> None:
        """The host confirmed octets that carried these tests; on disk when this returns."""
        ordinals = [test.ordinal for test in tests]
        digest = hashlib.sha256(octets).hexdigest()
        self._ledger.write({"event": "received", "entries": ordinals, "sha256": digest, "at": instant()})
        self._received.update(ordinals)

    def gave_up(self, tests: Sequence[Stored], reason: str) -> None:
        """These tests were not confirmed and stay to be offered."""
        ordinals = [test.ordinal for test in tests]
        self._ledger.write({"event": "gave_up", "entries": ordinals, "reason": reason, "at": instant()})

    def cleared(self, instances: Sequence[int]) -> None:
        """The host ordered stored segments or records to be deleted; none means all."""
        self._ledger.write({"event": "cleared", "segments": list(instances), "at": instant()})

    def _digest(self, test: Stored) -> str:
        if not self._names_meter:
            return test.digest
        identity = self._meter.identity
        return hashlib.sha256(f"{identity.vendor}\n{identity.serial}\n{test.digest}".encode()).hexdigest()[:16]

    def _holds(self, test: Stored, digest: str) -> dict[str, Any]:
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
            "digest": digest,
        }
