"""What the meter still has to send."""

from __future__ import annotations

from collections import deque
from datetime import datetime

from simulators.astm.dialect import Dialect, Grouping
from simulators.astm.frames import frames
from simulators.astm.records import records
from simulators.astm.sender import Message
from simulators.deliveries import Deliveries
from simulators.meter import Meter, Stored

__all__ = ["Outbox"]


class Outbox:
    """What is offered to a host, message by message, and what of it was received."""

    def __init__(self, meter: Meter, dialect: Dialect, deliveries: Deliveries) -> None:
        self._meter = meter
        self._dialect = dialect
        self._deliveries = deliveries
        self._pending: deque[Stored] = deque()

    def begin_contact(self) -> None:
        """A host is there: decide what to offer to it."""
        self._pending = deque(self._deliveries.unsent if self._dialect.sent_once else self._meter.memory)

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
        self._deliveries.received(message.tests, b"".join(message.frames))
        ordinals = {test.ordinal for test in message.tests}
        while self._pending and self._pending[0].ordinal in ordinals:  # they were offered from the front
            self._pending.popleft()
