"""The blocking side of a connection: octets that wait for a thread of the hub, and frames that go to the radio."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from drivers.errors import FramingError, TransportError, TransportReason
from drivers.protocols.gatt import Disconnect, Frame, Parser
from drivers.transports.base import Transport

__all__ = ["BleTransport", "Mailbox"]

MAX_OCTETS: Final = 4 << 20
"""What a meter may send before the hub reads it: more than a minute of the fastest radio."""
CLOSE_S: Final = 3.0


class Mailbox:
    """Octets in their order, from the radio's thread to the hub's."""

    def __init__(self, max_octets: int = MAX_OCTETS) -> None:
        self._octets = bytearray()
        self._max = max_octets
        self._changed = threading.Condition()
        self._end: TransportError | None = None
        self.useful = False
        """The meter has said something: more than that it is there."""

    def put(self, octets: bytes) -> bool:
        """Add octets; False when nobody takes them and there is no more room."""
        with self._changed:
            if len(self._octets) + len(octets) > self._max:
                return False
            self._octets += octets
            self._changed.notify_all()
            return True

    def end(self, error: TransportError) -> None:
        """No more will come, for this reason. The first reason stays."""
        with self._changed:
            self._end = self._end or error
            self._changed.notify_all()

    def take(self, max_octets: int, timeout_s: float) -> bytes:
        """What is there, or none in time; raises the reason of the end when everything was taken."""
        until_s = time.monotonic() + timeout_s
        with self._changed:
            while not self._octets:
                if self._end is not None:
                    raise self._end
                left_s = until_s - time.monotonic()
                if left_s <= 0:
                    return b""
                self._changed.wait(left_s)
            octets = bytes(self._octets[:max_octets])
            del self._octets[:max_octets]
            return octets

    def discard(self) -> None:
        """Throw away what nobody will take."""
        with self._changed:
            self._octets.clear()

    def wait_for_end(self, timeout_s: float) -> bool:
        """Whether the end came in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._end is not None, timeout_s)


class BleTransport(Transport):
    """One connection to one meter; see `drivers.protocols.gatt` for what moves.

    Args:
        address: the meter's identity address.
        mailbox: what comes from the meter.
        post: hands a frame to the radio; `Disconnect` ends the connection.
        on_close: called once when the connection is closed, in the thread that closed it.
    """

    kind = "ble"

    def __init__(
        self,
        address: str,
        mailbox: Mailbox,
        post: Callable[[Frame], None],
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        self.peer = f"ble:{address}"
        self._on_close = on_close
        self._closing = threading.Lock()
        self._mailbox = mailbox
        self._post = post
        self._parser = Parser()
        self._closed = False

    def read(self, max_octets: int, timeout_s: float) -> bytes:
        """Wait for octets."""
        if self._closed:
            raise TransportError(f"{self.peer}: the connection was closed", TransportReason.CLOSED)
        return self._mailbox.take(max_octets, timeout_s)

    def write(self, octets: bytes) -> None:
        """Hand frames to the radio; what of a frame is missing may come with the next call."""
        try:
            self._parser.feed(octets)
            while (frame := self._parser.next()) is not None:
                self._post(frame)
        except FramingError as error:
            message = f"{self.peer}: the driver wrote what is no frame: {error}"
            raise TransportError(message, TransportReason.MISCONFIGURED) from error

    def close(self) -> None:
        """End the connection, and wait a moment until the meter is free again."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        self._mailbox.discard()
        self._post(Disconnect())
        if not self._mailbox.wait_for_end(CLOSE_S):
            self._mailbox.end(TransportError(f"{self.peer}: the connection was closed", TransportReason.CLOSED))
        self._on_close()
