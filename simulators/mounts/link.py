"""A stream of octets to a host, and what offers one."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from threading import Event
from typing import Protocol

__all__ = ["SLICE_S", "LineLost", "Link", "Mount"]

SLICE_S = 0.05
"""The longest that anything blocks before it looks whether it should stop."""
_CHUNK = 4096


class LineLost(Exception):  # noqa: N818 - it is an event on the line, not a mistake
    """The host is gone: it closed, or the cable was pulled."""


class Link:
    """An open stream on a file descriptor.

    Args:
        descriptor: set to non-blocking; `close` is what closes it.
    """

    def __init__(self, descriptor: int, close: Callable[[], None]) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._readable, self._writable = select.poll(), select.poll()
        self._readable.register(descriptor, select.POLLIN)
        self._writable.register(descriptor, select.POLLOUT)
        self._close = close
        self._hung_up = False

    def read(self, timeout_s: float) -> bytes:
        """What has arrived, waiting for it a while; empty when nothing came.

        Raises:
            LineLost: the host is gone and everything it sent has been read.
        """
        if self._hung_up:
            raise LineLost("closed by the host")
        events = self._readable.poll(timeout_s * 1000)
        if not events:
            return b""
        # Remembered, because a host that opens the port again at once would make it unseen.
        self._hung_up = bool(events[0][1] & (select.POLLHUP | select.POLLERR))
        try:
            octets = os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return b""
        except OSError as error:  # a pty whose other side closed says EIO
            raise LineLost(str(error)) from error
        if not octets:
            raise LineLost("closed by the host")
        return octets

    def write(self, octets: bytes, stop: Event) -> None:
        """Send octets; waits as long as the host does not take them, unless it is told to stop.

        Raises:
            LineLost: the host is gone before it took all.
        """
        while octets and not stop.is_set():
            for _, event in self._writable.poll(SLICE_S * 1000):
                if event & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
                    raise LineLost("closed by the host")
                try:
                    octets = octets[os.write(self._descriptor, octets) :]
                except BlockingIOError:
                    continue
                except OSError as error:
                    raise LineLost(str(error)) from error

    def close(self) -> None:
        """End this contact from the meter's side."""
        self._close()


class Mount(Protocol):
    """A place where the meter is plugged in. May be unplugged and plugged in again, at the same address."""

    def plug_in(self) -> dict[str, str]:
        """Make the meter reachable and tell how, as names and values. Does nothing when it is plugged in."""
        ...

    def wait(self, stop: Event) -> Link | None:
        """Wait for a host on the other side; None when told to stop first."""
        ...

    def unplug(self) -> None:
        """Pull the cable. Does nothing when it is not plugged in."""
        ...


def discard_input(descriptor: int) -> None:
    """Throw away what arrived for an earlier contact."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while any(event & select.POLLIN for _, event in poll.poll(0)):
        try:
            if not os.read(descriptor, _CHUNK):
                return
        except OSError:
            return
