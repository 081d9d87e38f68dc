"""The hub's own clock at the moment something arrived, and whether it can be believed."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from uuid import uuid4

from gateway.clock import Clock

__all__ = ["Stamp", "Stamper", "clock_synchronised", "give_back_memory"]

STA_UNSYNC = 0x0040
TIME_ERROR = 5
_STATUS_OFFSET = struct.calcsize("Illll")
"""Where ``status`` stands in ``struct timex``: after modes, offset, freq, maxerror, esterror (adjtimex(2))."""
_TIMEX_OCTETS = 256
"""More than any Linux's ``struct timex`` has."""
ASK_EVERY_S = 1.0
"""How long the kernel's word about its clock is good for stamps."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Stamp:
    """When octets arrived by the hub's clock.

    Attributes:
        received_at: UTC.
        synchronised: whether the operating system's clock is disciplined by a time server; None if unknown.
        boot_id: changes with every boot.
        monotonic_s: monotonic seconds of this boot at `received_at`.
    """

    received_at: datetime
    synchronised: bool | None
    boot_id: str
    monotonic_s: float


class Stamper:
    """Makes stamps from one clock."""

    def __init__(self, clock: Clock, *, rig: bool = False) -> None:
        """Args: clock: the hub's. rig: it runs from a fixed start, which counts as synchronised."""
        self._clock = clock
        self._rig = rig
        self._boot_id = boot_id()
        self._asked_s = -ASK_EVERY_S
        self._synchronised: bool | None = None

    @property
    def synchronised(self) -> bool | None:
        """Whether the clock can be believed now."""
        return True if self._rig else clock_synchronised()

    def stamp(self) -> Stamp:
        """Now, in whole milliseconds, as it stands in the journal."""
        now, monotonic_s = self._clock.now(), self._clock.monotonic_s()
        if monotonic_s - self._asked_s >= ASK_EVERY_S:
            self._asked_s, self._synchronised = monotonic_s, self.synchronised
        received_at = now.replace(microsecond=now.microsecond // 1000 * 1000)
        return Stamp(received_at, self._synchronised, self._boot_id, monotonic_s)


def clock_synchronised() -> bool | None:
    """Ask the kernel, whichever time daemon disciplines it; None where the kernel does not answer."""
    adjtimex = _adjtimex()
    if adjtimex is None:
        return None
    timex = ctypes.create_string_buffer(_TIMEX_OCTETS)  # modes = 0: only read
    state = adjtimex(timex)
    if state < 0:
        return None
    (status,) = struct.unpack_from("i", timex.raw, _STATUS_OFFSET)
    return state != TIME_ERROR and not status & STA_UNSYNC


@cache
def _adjtimex() -> Callable[..., int] | None:
    try:
        found: Callable[..., int] = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return None
    return found


def boot_id() -> str:
    """The kernel's identifier of this boot; a random one where the kernel has none."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return str(uuid4())


def give_back_memory() -> None:
    """Hand freed memory back to the system: starting up uses several MiB that an idle hub does not need."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return  # not glibc
