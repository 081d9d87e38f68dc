"""What the meter still has to send, and its own list of what it was told is received."""

from __future__ import annotations

import hashlib
from collections import deque
from datetime import datetime
from typing import Any

from simulators.astm.dialect import Dialect, Grouping
from simulators.astm.frames import frames
from simulators.astm.records import records
from simulators.astm.sender import Message
from simulators.ledger import Ledger, LedgerError, instant
from simulators.meter import Meter, Stored

__all__ = ["Outbox"]


class Outbox:
    """The meter's memory, seen by who has what.

    The ledger gets one ``holds`` line for each test in the memory, a ``received`` line for each message that was
    acknowledged in full, and a ``gave_up`` line for each attempt that was not.

    Raises:
        LedgerError: the ledger belongs to another meter or another memory.
    """

    def __init__(self, meter: Meter, dialect: Dialect, ledger: Ledger) -> None:
        self._meter = meter
        self._dialect = dialect
        self._ledger = ledger
        known: dict[int, str] = {}
        self._received: set[int] = set()
        for line in ledger.lines:
            if line["event"] == "holds":
                known[line["entry"]] = line["digest"]
            elif line["event"] == "received":
                self._received.update(line["entries"])
            elif line["event"] != "gave_up":
                raise LedgerError(
                    f"{ledger.name}: no ledger of a meter, it has a line {line['event']!r}; give a new file"
                )
        new = []
        for test in meter.memory:
            digest = self._digest(test)
            if test.ordinal not in known:
                new.append(self._holds(test, digest))
            elif known[test.ordinal] != digest:
                raise LedgerError(
                    f"{ledger.name}: test {test.ordinal} is another one than in the scenario: the ledger "
                    "belongs to another meter or memory; give a new file, or only append to the memory"
                )
        ledger.write(*new)
        self._pending: deque[Stored] = deque()

    @property
    def delivered(self) -> tuple[Stored, ...]:
        """Tests still in the memory of which the meter was told that they are received, oldest first."""
        return tuple(test for test in self._meter.memory if test.ordinal in self._received)

    @property
    def unsent(self) -> tuple[Stored, ...]:
        """Tests in the memory of which it was not, oldest first."""
        return tuple(test for test in self._meter.memory if test.ordinal not in self._received)

    def begin_contact(self) -> None:
        """A host is there: decide what to offer to it."""
        self._pending = deque(self.unsent if self._dialect.sent_once else self._meter.memory)

    def next(self, now: datetime) -> Message | None:
        """The message to offer now, or None when there is none (left) for this contact."""
        if not self._pending:
            return None
        whole = self._dialect.grouping is Grouping.MEMORY
        tests = tuple(self._pending) if whole else (self._pending[0],)
        shown = self._meter.clock.shows(now)
        return Message(tests, frames(records(self._meter.identity, tests, shown, self._dialect), self._dialect))

    def received(self, message: Message) -> None:
        """The host acknowledged the message in full; on disk when this returns."""
        ordinals = [test.ordinal for test in message.tests]
        digest = hashlib.sha256(b"".join(message.frames)).hexdigest()
        self._ledger.write({"event": "received", "entries": ordinals, "sha256": digest, "at": instant()})
        self._received.update(ordinals)
        while self._pending and self._pending[0].ordinal in ordinals:  # they were offered from the front
            self._pending.popleft()

    def gave_up(self, message: Message, reason: str) -> None:
        """The message was not acknowledged in full and stays to be offered."""
        ordinals = [test.ordinal for test in message.tests]
        self._ledger.write({"event": "gave_up", "entries": ordinals, "reason": reason, "at": instant()})

    def _digest(self, test: Stored) -> str:
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
