"""Whole APDUs out of a stream of octets: choice, length, so many octets. The same for TCP and USB."""

from __future__ import annotations

from drivers.errors import FramingError, FramingReason
from drivers.protocols.ieee11073.apdu import CHOICES
from drivers.protocols.ieee11073.mder import PAIR

__all__ = ["ApduStream"]

HEADER_OCTETS = 4
MAX_WAITING_OCTETS = 1 << 20
"""Sixteen of the largest APDUs; an agent waits for a confirmation long before."""


class ApduStream:
    """Puts APDUs together from any chunking. After an error it is of no more use: there is nothing to resume at."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._passed = 0

    def feed(self, octets: bytes) -> None:
        """Octets arrived.

        Raises:
            FramingError: far more has arrived than a session can leave waiting.
        """
        self._waiting += octets
        if len(self._waiting) > MAX_WAITING_OCTETS:
            raise FramingError(
                f"more than {MAX_WAITING_OCTETS} octets wait unread; the meter does not wait for its answers",
                FramingReason.TOO_LONG,
                offset=self._passed,
            )

    def next(self) -> bytes | None:
        """The next whole APDU, or None.

        Raises:
            FramingError: what stands where an APDU begins is none.
        """
        waiting = self._waiting
        if len(waiting) >= 2 and (choice := int.from_bytes(waiting[:2], "big")) not in CHOICES:
            raise FramingError(
                f"octet {self._passed}: 0x{choice:04X} begins no APDU (E200 to E700); octets were lost or this "
                "is no IEEE 11073-20601 meter. Unplug the meter and connect it again",
                FramingReason.UNEXPECTED,
                offset=self._passed,
            )
        if len(waiting) < HEADER_OCTETS:
            return None
        size = HEADER_OCTETS + PAIR.unpack_from(waiting)[1]
        if len(waiting) < size:
            return None
        apdu = bytes(waiting[:size])
        del waiting[:size]
        self._passed += size
        return apdu

    def rest(self) -> bytes:
        """What has arrived of an APDU that is not whole; it is forgotten."""
        rest = bytes(self._waiting)
        self._waiting.clear()
        return rest
