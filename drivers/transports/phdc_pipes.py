"""Reads the bulk and the interrupt endpoint of one PHDC interface at the same time, as one stream of APDUs.

A device sends each APDU whole through the endpoint whose quality of service suits it: what is urgent through
interrupt IN, everything else through bulk IN (PHDC 1.0, QoS). The endpoints know nothing of each other: an APDU of
one must not be passed on in the middle of an APDU of the other, and which one comes first says nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final

from drivers.errors import TransportError
from drivers.transports.phdc_descriptors import Endpoint

__all__ = ["Pipes", "whole_apdus"]

MOST_WAITING_OCTETS: Final = 1 << 20
"""A device that sends more without being read has to wait, as USB has it."""
_HEADER_OCTETS: Final = 4

Transfer = Callable[[Endpoint, float], bytes]
"""Octets of one endpoint, waiting so many seconds for them; raises TransportError."""


def whole_apdus(octets: bytes | bytearray) -> int:
    """How many octets from the start are whole APDUs (choice E2 to E7, length, so many octets).

    What does not begin like an APDU counts as a whole: whoever reads it can say what is wrong with it.
    """
    end = 0
    while len(octets) - end >= _HEADER_OCTETS:
        if not (0xE2 <= octets[end] <= 0xE7 and octets[end + 1] == 0):
            return len(octets)
        following = end + _HEADER_OCTETS + int.from_bytes(octets[end + 2 : end + _HEADER_OCTETS], "big")
        if following > len(octets):
            break
        end = following
    return end


class Pipes:
    """Several IN endpoints, each read by a thread of its own.

    Args:
        transfer: see `Transfer`.
        endpoints: which ones.
        slice_s: the longest that one transfer waits, and so the longest that `close` does.
        name: for the threads.
    """

    def __init__(self, transfer: Transfer, endpoints: Sequence[Endpoint], slice_s: float, name: str) -> None:
        self._transfer = transfer
        self._slice_s = slice_s
        self._changed = threading.Condition()
        self._partial = {endpoint.address: bytearray() for endpoint in endpoints}
        self._whole = bytearray()
        self._error: TransportError | None = None
        self._closed = False
        self._threads = [
            threading.Thread(target=self._read, args=(each,), name=f"{name}-{each.address:02X}", daemon=True)
            for each in endpoints
        ]
        for thread in self._threads:
            thread.start()

    def take(self, timeout_s: float) -> bytes:
        """What has come, waiting for it; none when nothing came in time.

        Raises:
            TransportError: an endpoint cannot be read any more, and everything that had come was taken.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._whole or self._error or self._closed, timeout_s)
            if self._error is not None and not self._whole:
                for partial in self._partial.values():  # what was cut off is for the reader to judge
                    self._whole += partial
                    partial.clear()
                if not self._whole:
                    raise self._error
            octets = bytes(self._whole)
            self._whole.clear()
            self._changed.notify_all()
            return octets

    def close(self) -> None:
        """End the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _read(self, endpoint: Endpoint) -> None:
        partial = self._partial[endpoint.address]
        while not (self._closed or self._error):
            try:
                octets = self._transfer(endpoint, self._slice_s)
            except TransportError as error:
                with self._changed:
                    self._error = self._error or error
                    self._changed.notify_all()
                return
            if not octets:
                continue
            with self._changed:
                partial += octets
                end = whole_apdus(partial)
                self._whole += partial[:end]
                del partial[:end]
                self._changed.notify_all()
                self._changed.wait_for(
                    lambda: len(self._whole) <= MOST_WAITING_OCTETS or self._error or self._closed
                )
