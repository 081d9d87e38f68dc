"""Time stamps of observations, and the Elapsed Time service's Current Elapsed Time.

Nine octets: flags, a count of 48 bits, time source, offset from UTC in quarters of an hour. The count is of seconds
(or of 100 ms, 1 ms, 100 us, by the flags) since 2000-01-01, or of ticks without any relation to a calendar. A clear
bit 5 says that the clock was changed since ("old timeline"): what the count meant then is not known now.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from struct import Struct
from typing import Final

from drivers.contract import DeviceTime
from drivers.protocols.ghs.octets import GattReader
from drivers.protocols.ieee11073.mder import malformed

__all__ = ["STAMP_OCTETS", "ElapsedTime", "TimeStamp", "setting"]

STAMP_OCTETS: Final = 9
CURRENT_TIMELINE: Final = 0x20
_TICKS: Final = 0x01
_UTC: Final = 0x02
_OFFSET: Final = 0x10
_EPOCH: Final = datetime(2000, 1, 1)
_RESOLUTION_US: Final = (1_000_000, 100_000, 1_000, 100)
_QUARTER_MIN: Final = 15
_OFFSETS: Final = range(-48, 57)
"""Quarters of an hour from UTC that exist on Earth; also the range of the Time Zone characteristic."""
_TAIL = Struct("<Bb")


@dataclass(frozen=True, slots=True)
class TimeStamp:
    """A time as a sensor wrote it.

    Attributes:
        raw: the nine octets.
        count: units of `resolution_us` since 2000, or ticks.
        source: how the clock is kept; see `names.SYNC_SOURCES`.
        quarters: offset from UTC in quarters of an hour, of a meaning only when `has_offset`.
    """

    raw: bytes
    flags: int
    count: int
    source: int
    quarters: int

    @classmethod
    def of(cls, raw: bytes) -> TimeStamp:
        """Read nine octets."""
        source, quarters = _TAIL.unpack_from(raw, 7)
        return cls(raw, raw[0], int.from_bytes(raw[1:7], "little"), source, quarters)

    @property
    def is_ticks(self) -> bool:
        """The count has no relation to a calendar."""
        return bool(self.flags & _TICKS)

    @property
    def is_utc(self) -> bool:
        """The count is of UTC; else of local time."""
        return bool(self.flags & _UTC)

    @property
    def has_offset(self) -> bool:
        """The offset is used."""
        return bool(self.flags & _OFFSET)

    @property
    def is_current(self) -> bool:
        """The clock was not changed since."""
        return bool(self.flags & CURRENT_TIMELINE)

    @property
    def resolution_us(self) -> int:
        """Unit of the count in microseconds."""
        return _RESOLUTION_US[self.flags >> 2 & 3]

    @property
    def local(self) -> datetime | None:
        """What the sensor showed; None for ticks, an impossible offset, or a count beyond the calendar."""
        if self.is_ticks or (self.has_offset and self.quarters not in _OFFSETS):
            return None
        shift_min = self.quarters * _QUARTER_MIN if self.is_utc and self.has_offset else 0
        try:
            return _EPOCH + timedelta(microseconds=self.count * self.resolution_us, minutes=shift_min)
        except OverflowError:
            return None

    @property
    def utc_offset_min(self) -> int | None:
        """Minutes east of UTC, if the sensor says so."""
        if self.local is None:
            return None
        if self.has_offset:
            return self.quarters * _QUARTER_MIN
        return 0 if self.is_utc else None

    def device_time(self, *, old_is_believed: bool = False) -> DeviceTime:
        """The same in the words of the contract. A stamp of an old timeline has no readable time.

        Args:
            old_is_believed: of this meter it has: its clock is changed only when it is right afterwards and was
                before.
        """
        if not (self.is_current or old_is_believed):
            return DeviceTime(self.raw.hex(), None)
        return DeviceTime(self.raw.hex(), self.local, self.utc_offset_min)


@dataclass(frozen=True, slots=True)
class ElapsedTime:
    """Current Elapsed Time (0x2BF2).

    Attributes:
        status: bit 0: the clock needs to be set.
        capabilities: bit 0: the offset follows daylight saving; bit 1: it follows the zone.
    """

    stamp: TimeStamp
    status: int
    capabilities: int

    @property
    def needs_set(self) -> bool:
        """The sensor itself says that its clock is wrong."""
        return bool(self.status & 1)

    @classmethod
    def of(cls, value: bytes, base: int = 0) -> ElapsedTime:
        """Read 11 octets.

        Raises:
            ProtocolError: there are fewer or more.
        """
        if len(value) != STAMP_OCTETS + 2:
            raise malformed(f"Current Elapsed Time has 11 octets, {len(value)} are there", base)
        reader = GattReader(value, base)
        stamp = TimeStamp.of(reader.take(STAMP_OCTETS, "time"))
        return cls(stamp, reader.u8("clock status"), reader.u8("clock capabilities"))


def setting(now: datetime, like: TimeStamp, source: int) -> bytes:
    """The nine octets that set a sensor's clock; the flags must be those that the sensor itself shows.

    Args:
        now: the present with the zone in which the sensor is used.
        like: what the sensor shows.
        source: how the hub's own clock is kept.

    Raises:
        ValueError: the sensor only counts ticks, or the present lies before 2000.
    """
    if like.is_ticks:
        raise ValueError("a clock that counts ticks cannot be set")
    offset = now.utcoffset() or timedelta(0)
    shown = now.replace(tzinfo=None) - (offset if like.is_utc else timedelta(0))
    count = (shown - _EPOCH) // timedelta(microseconds=like.resolution_us)
    if not 0 <= count < 1 << 48:
        raise ValueError(f"{shown.year} cannot be written as an elapsed time")
    quarters = offset // timedelta(minutes=_QUARTER_MIN) if like.has_offset else 0
    return bytes([like.flags]) + count.to_bytes(6, "little") + _TAIL.pack(source, quarters)
