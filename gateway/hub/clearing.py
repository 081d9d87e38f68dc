"""Clearing a meter's memory, on a person's order: only what is on disk at the server goes.

A session is put around the driver's own. It lets the meter be read as always; when everything was read, it waits
until the server's store has sent a receipt for all that ever came through the port, and only then gives the order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from drivers.contract import Clearable, Driver, Event, Finished, Session
from drivers.errors import DeviceError
from gateway.hub.journal import Journal, JournalError

__all__ = ["ClearingOrder", "can_clear"]

LOOK_EVERY_S = 0.2


def can_clear(driver: Driver) -> bool:
    """Whether a driver knows how to clear a meter's memory."""
    return type(driver.session()).clear is not Session.clear


class ClearingOrder:
    """A person's order to clear one meter.

    Args:
        port: the attachment at which the meter is.
        serial: of the meter; another one is read, but keeps its memory.
        receipts_within_s: how long to wait for the server after everything was read.

    Attributes:
        given: what the meter was told to delete.
        cleared: what it has deleted.
        refused: why nothing was.
    """

    def __init__(self, port: str, serial: str, receipts_within_s: float) -> None:
        self.port = port
        self.serial = serial
        self.receipts_within_s = receipts_within_s
        self.given: Clearable | None = None
        self.cleared: Clearable | None = None
        self.refused: str | None = None
        self.is_settled = threading.Event()

    def around(self, journal: Journal) -> Callable[[Session], Session]:
        """What puts the order around a session."""
        return lambda session: _Clearing(session, self, journal)

    def done(self, what: Clearable) -> None:
        """The meter has deleted it."""
        self.cleared = what
        self.is_settled.set()

    def refuse(self, why: str) -> None:
        """Nothing was deleted, or nobody knows what."""
        self.refused = self.refused or why
        self.is_settled.set()


class _Clearing(Session):
    """Everything as the session inside does it, with one order more when the time has come."""

    def __init__(self, inner: Session, order: ClearingOrder, journal: Journal) -> None:
        self._inner = inner
        self._order = order
        self._journal = journal
        self._waits_since_s: float | None = None
        self._look_s = 0.0
        self._ordered: Clearable | None = None

    def opened(self, now_s: float) -> list[Event]:
        return self._after(self._inner.opened(now_s), now_s)

    def receive(self, octets: bytes, now_s: float) -> list[Event]:
        return self._after(self._inner.receive(octets, now_s), now_s)

    def confirm(self, now_s: float) -> list[Event]:
        return self._after(self._inner.confirm(now_s), now_s)

    def refuse(self, now_s: float) -> list[Event]:
        return self._after(self._inner.refuse(now_s), now_s)

    def lost(self, now_s: float) -> list[Event]:
        return self._after(self._inner.lost(now_s), now_s)

    def tick(self, now_s: float) -> list[Event]:
        if self._waits_since_s is None:
            return self._after(self._inner.tick(now_s), now_s)
        if now_s < self._look_s:
            return []
        self._look_s = now_s + LOOK_EVERY_S
        return self._look(self._waits_since_s, now_s)

    @property
    def deadline_s(self) -> float | None:
        return self._inner.deadline_s if self._waits_since_s is None else self._look_s

    def _after(self, events: list[Event], now_s: float) -> list[Event]:
        """See where the conversation stands now."""
        for event in events:
            if isinstance(event, Finished) and self._ordered is not None:
                self._concluded(self._ordered, event)
        ready = self._inner.clearable
        if ready is None or self._ordered is not None or self._order.is_settled.is_set():
            self._waits_since_s = None
        elif ready.serial != self._order.serial:
            # Others may follow where several meters connect, so this refuses nothing yet.
            self._waits_since_s = None
        elif self._waits_since_s is None:
            self._waits_since_s = self._look_s = now_s
        return events

    def _look(self, since_s: float, now_s: float) -> list[Event]:
        try:
            left = self._journal.unreceipted(self._order.port)
        except JournalError as error:
            self._refuse(str(error))
            return []
        ready = self._inner.clearable
        if left == 0 and ready is not None:
            return self._give(ready, now_s)
        if now_s - since_s > self._order.receipts_within_s:
            self._refuse(
                f"{left} of what was read at port {self._order.port} has no receipt of the server after "
                f"{self._order.receipts_within_s:g} s; is the server running, and the broker reachable?"
            )
        return []

    def _give(self, ready: Clearable, now_s: float) -> list[Event]:
        try:
            events = self._inner.clear(now_s)
        except DeviceError as error:
            self._refuse(str(error))
            return []
        self._waits_since_s, self._ordered, self._order.given = None, ready, ready
        return self._after(events, now_s)

    def _refuse(self, why: str) -> None:
        self._waits_since_s = None
        self._order.refuse(why)

    def _concluded(self, ready: Clearable, end: Finished) -> None:
        if end.error is None:
            self._order.done(ready)
        else:
            self._order.refuse(f"the meter was told to delete {ready.what}, but: {end.error}")
