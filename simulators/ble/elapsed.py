"""The meter's clock as the Elapsed Time service 1.0 shows it, and the stamps of tests that follow from it.

A clock that was never set counts from the beginning of 2000 and asks to be set. Whenever it is changed, tests made
before stay with the stamps they had and lose the flag "current timeline".
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from simulators.ble.dialect import Dialect
from simulators.ble.encoding import Stamp, StampFlag, seconds_since_2000
from simulators.ble.gatt import AttError, AttErrorCode
from simulators.meter import Clock, ClockKind, Meter, Stored

__all__ = ["Elapsed"]

_FORM: Final = {
    "local": 0,
    "utc": StampFlag.UTC,
    "utc_offset": StampFlag.UTC | StampFlag.OFFSET,
    "local_offset": StampFlag.OFFSET,
    "ticks": StampFlag.TICKS,
    "none": StampFlag.UTC,
}
_RESOLUTION: Final = {
    "1s": (0, 1),
    "100ms": (StampFlag.TENTHS, 10),
    "1ms": (StampFlag.MILLISECONDS, 1000),
    "100us": (StampFlag.HUNDRED_MICROSECONDS, 10_000),
}
_EPOCH: Final = datetime(2000, 1, 1)
_LATEST_S: Final = seconds_since_2000(datetime(2100, 1, 1))
_NOT_SYNCHRONISED: Final = 7
_QUARTER_S: Final = 900


class Elapsed:
    """The clock of one meter.

    Args:
        present: the true present.
    """

    def __init__(self, meter: Meter, dialect: Dialect, present: Callable[[], datetime]) -> None:
        self._meter = meter
        self._dialect = dialect
        self._present = present
        resolution, self._per_second = _RESOLUTION[dialect.resolution]
        self._flags = _FORM[dialect.stamp] | resolution
        self._source = dialect.source
        self._frozen: dict[int, Stamp] = {}
        made = [test.entry.at for test in meter.memory]
        self._began = min([*made, present()]) - timedelta(days=1)  # when the battery was put in

    def read(self) -> bytes:
        """Current Elapsed Time: stamp, status (bit 0: needs to be set), capabilities (bit 0 DST, bit 1 zone)."""
        at = self._present()
        is_unset = self._is_unset
        capabilities = 3 if self._flags & StampFlag.OFFSET else 0
        return self._stamp(at, self._meter.clock.shows(at)).octets() + bytes([is_unset, capabilities])

    def write(self, octets: bytes) -> None:
        """A host sets the clock.

        Raises:
            AttError: it cannot be set, or not so.
        """
        if not self._dialect.settable:
            raise AttError(AttErrorCode.WRITE_NOT_PERMITTED)
        try:
            told = Stamp.of(octets)
        except ValueError:
            raise AttError(AttErrorCode.INCORRECT_TIME_FORMAT) from None
        if (told.flags ^ self._flags) & 0x1F:
            raise AttError(AttErrorCode.INCORRECT_TIME_FORMAT)
        if told.source in self._dialect.rejects_sources:
            raise AttError(AttErrorCode.TIME_SOURCE_QUALITY_TOO_LOW)
        if told.count > _LATEST_S * self._per_second:
            raise AttError(AttErrorCode.OUT_OF_RANGE)
        elapsed = timedelta(seconds=told.count / self._per_second)
        for test in self._meter.memory:
            self._frozen.setdefault(test.ordinal, self._current(test))
        self._source = told.source
        if told.flags & StampFlag.TICKS:
            self._began = self._present() - elapsed
            return
        self._set(_EPOCH + elapsed, told)

    def stamp_of(self, test: Stored) -> bytes | None:
        """The stamp of a test, or None when the meter sends none."""
        if test.entry.device_time is not None:
            return bytes.fromhex(test.entry.device_time)
        if self._dialect.stamp == "none":
            return None
        stamp = self._frozen.get(test.ordinal)
        is_old = stamp is not None or test.ordinal < self._dialect.old_timeline
        stamp = stamp or self._current(test)
        flags = stamp.flags & ~StampFlag.CURRENT if is_old else stamp.flags
        return Stamp(flags, stamp.count, stamp.source, stamp.offset).octets()

    @property
    def _is_unset(self) -> bool:
        return self._meter.clock.kind is ClockKind.UNSET and not self._flags & StampFlag.TICKS

    def _current(self, test: Stored) -> Stamp:
        return self._stamp(test.entry.at, test.shown)

    def _stamp(self, at: datetime, shown: datetime | None) -> Stamp:
        flags = self._flags | StampFlag.CURRENT
        if flags & StampFlag.TICKS or shown is None:
            source = self._source if flags & StampFlag.TICKS else _NOT_SYNCHRONISED
            return Stamp(flags, int((at - self._began).total_seconds() * self._per_second), source)
        offset_s = self._offset_s(at)
        seconds = seconds_since_2000(shown) - (offset_s if flags & StampFlag.UTC else 0)
        quarters = offset_s // _QUARTER_S if flags & StampFlag.OFFSET else 0
        return Stamp(flags, seconds * self._per_second, self._source, quarters)

    def _offset_s(self, at: datetime) -> int:
        offset = at.astimezone(ZoneInfo(self._meter.clock.zone)).utcoffset()
        return int(offset.total_seconds()) if offset is not None else 0

    def _set(self, told: datetime, stamp: Stamp) -> None:
        """From now on the clock is wrong by what the host is wrong."""
        at, zone = self._present(), self._meter.clock.zone
        if stamp.flags & StampFlag.UTC:
            told += timedelta(seconds=self._offset_s(at))
        right = Clock(zone=zone).shows(at)
        if right is not None:
            wrong_s = (told - right).total_seconds()
            self._meter.clock = Clock(kind=ClockKind.OFFSET, zone=zone, offset_s=wrong_s)
