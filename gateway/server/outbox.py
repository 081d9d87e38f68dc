"""What the server has to tell the hubs, until the broker has room for it.

Kept in memory only: a receipt that is lost is given again when the hub publishes its reading again.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from uuid import UUID

from gateway.mqtt import topics
from gateway.wire.receipt import Epoch, HighWater, Receipt, Receipts

__all__ = ["Outbox"]

MOST_RECEIPTS = 100_000
"""More are not kept while the broker is away; their hubs ask again."""
MOST_IN_ONE = 500

_log = logging.getLogger("gateway.server.outbox")

Publish = Callable[[str, bytes, bool], int | None]
"""Topic, payload, retain; None when there is no room now; ValueError when the broker takes nothing so large."""


class Outbox:
    """Receipts, gathered into one message for each hub, and epochs. Used by one thread."""

    def __init__(self, publish: Publish, epoch: str, marks: Callable[[str], list[tuple[str, int]]]) -> None:
        """Prepare.

        Args:
            publish: hands a message to the broker connection.
            epoch: id of the store's epoch.
            marks: journal and high-water mark of every journal of a hub; asked when the epoch is sent.
        """
        self._publish = publish
        self._epoch = epoch
        self._marks = marks
        self._receipts: dict[str, deque[Receipt]] = {}
        self._waiting = 0
        self._announcements: dict[str, None] = {}
        self._most_in_one = MOST_IN_ONE

    def receipt(self, hub: str, receipt: Receipt) -> None:
        """Tell a hub that a reading is committed."""
        if self._waiting < MOST_RECEIPTS:
            self._receipts.setdefault(hub, deque()).append(receipt)
            self._waiting += 1

    def announce(self, hub: str) -> None:
        """Tell a hub the epoch and its marks, retained."""
        self._announcements[hub] = None

    def flush(self) -> bool:
        """Hand over as much as the broker takes now. False when something is left; try again when there is room."""
        for hub in list(self._announcements):
            if not self._send_epoch(hub):
                return False
            del self._announcements[hub]
        for hub in list(self._receipts):
            waiting = self._receipts[hub]
            while waiting:
                if not self._send_receipts(hub, waiting):
                    return False
            del self._receipts[hub]
        return True

    def _send_epoch(self, hub: str) -> bool:
        marks = tuple(HighWater(journal=UUID(journal), number=number) for journal, number in self._marks(hub))
        payload = Epoch(epoch=self._epoch, marks=marks).model_dump_json(by_alias=True).encode()
        try:
            return self._publish(topics.epoch(hub), payload, True) is not None
        except ValueError:
            _log.exception("the epoch for hub %s is too large for the broker; raise its packet limit", hub)
            return True

    def _send_receipts(self, hub: str, waiting: deque[Receipt]) -> bool:
        count = min(len(waiting), self._most_in_one)
        batch = Receipts(epoch=self._epoch, receipts=tuple(waiting[index] for index in range(count)))
        try:
            if self._publish(topics.receipts(hub), batch.model_dump_json(by_alias=True).encode(), False) is None:
                return False
        except ValueError:
            if count > 1:
                self._most_in_one = count // 2
                return True
            _log.exception("a receipt for hub %s is too large for the broker; raise its packet limit", hub)
        for _ in range(count):
            waiting.popleft()
        self._waiting -= count
        return True
