"""What is wrong with the hub now, in short machine-readable words that travel in its status."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from enum import StrEnum

__all__ = ["Alarm", "Alarms"]

_log = logging.getLogger(__name__)


class Alarm(StrEnum):
    """Each needs a person."""

    JOURNAL_SET_ASIDE = "journal_set_aside"
    """A damaged journal stands beside the present one; it may hold readings that never got a receipt."""
    JOURNAL_CANNOT_COMMIT = "journal_cannot_commit"
    """Disk full, read-only or failing: meters are told that nothing was taken."""
    CLOCK_NOT_SYNCHRONISED = "clock_not_synchronised"
    """The hub's clock proves nothing about a meter's clock."""
    RECEIPT_MISMATCH = "receipt_mismatch"
    """The server committed other octets under the name of one of our readings."""
    READING_TOO_LARGE = "reading_too_large"
    """The broker takes no packets of that size; the reading waits in the journal."""
    DRIVER_FAULT = "driver_fault"
    """A driver failed in a way it must not; the octets are kept."""
    RADIO_UNAVAILABLE = "radio_unavailable"
    """Bluetooth does not work: no adapter, switched off, BlueZ or D-Bus missing. The log says what to do."""
    METER_NOT_PAIRED = "meter_not_paired"
    """A Bluetooth meter of the configuration is not paired, or one side has lost the keys: run inr-gateway pair."""


class Alarms:
    """The set of raised alarms; safe for use by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._raised: set[Alarm] = set()
        self.on_change: Callable[[], None] = lambda: None
        """Called after every change, in the thread that made it."""

    def raise_(self, alarm: Alarm, why: object = "") -> None:
        """Raise an alarm and log why; raising it again changes nothing and logs nothing."""
        self._set(alarm, True, why)

    def clear(self, alarm: Alarm) -> None:
        """The cause is gone."""
        if alarm in self._raised:
            self._set(alarm, False, "")

    def _set(self, alarm: Alarm, raised: bool, why: object) -> None:
        with self._lock:
            if (alarm in self._raised) == raised:
                return
            (self._raised.add if raised else self._raised.discard)(alarm)
        if raised:
            _log.error("alarm %s raised%s", alarm, f": {why}" if why else "")
        else:
            _log.info("alarm %s cleared", alarm)
        self.on_change()

    @property
    def words(self) -> tuple[str, ...]:
        """All raised alarms in alphabetical order."""
        with self._lock:
            return tuple(sorted(alarm.value for alarm in self._raised))

    def __contains__(self, alarm: Alarm) -> bool:
        return alarm in self._raised
