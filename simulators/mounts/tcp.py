"""A meter on the network: it dials its host, or it listens for one."""

from __future__ import annotations

import contextlib
import select
import socket
from threading import Event

from simulators.mounts.link import SLICE_S, Link

__all__ = ["Dialer", "Listener"]

_CONNECT_S = 2.0
_FIRST_RETRY_S = 0.05
_LAST_RETRY_S = 2.0


class Dialer:
    """Dials a host again and again until it answers."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._socket: socket.socket | None = None

    def plug_in(self) -> dict[str, str]:
        """Nothing to do: a dialling meter has no address of its own."""
        return {"connect": f"{self._host}:{self._port}"}

    def wait(self, stop: Event) -> Link | None:
        """Dial until the host answers, with growing pauses."""
        pause_s = _FIRST_RETRY_S
        while not stop.is_set():
            try:
                self._socket = socket.create_connection((self._host, self._port), timeout=_CONNECT_S)
            except OSError:
                stop.wait(pause_s)
                pause_s = min(pause_s * 2, _LAST_RETRY_S)
                continue
            return _link(self._socket)
        return None

    def unplug(self) -> None:
        """Drop the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Listener:
    """Listens for one host at a time.

    Args:
        port: 0 takes a free one, which is kept when the meter is unplugged and plugged in again.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._listening: socket.socket | None = None
        self._socket: socket.socket | None = None

    def plug_in(self) -> dict[str, str]:
        """Begin to listen.

        Raises:
            OSError: the address is taken or not ours.
        """
        if self._listening is None:
            family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
            self._listening = socket.create_server((self._host, self._port), family=family)
            self._listening.setblocking(False)
            self._port = self._listening.getsockname()[1]
        return {"host": self._host, "port": str(self._port)}

    def wait(self, stop: Event) -> Link | None:
        """Wait for a host to connect; another one has to wait until this contact is over."""
        if self._listening is None:
            raise RuntimeError("plug it in first")
        poll = select.poll()
        poll.register(self._listening, select.POLLIN)
        while not stop.is_set():
            if poll.poll(SLICE_S * 1000):
                with contextlib.suppress(BlockingIOError, ConnectionError):  # it went away before we got to it
                    self._socket, _ = self._listening.accept()
                    return _link(self._socket)
        return None

    def unplug(self) -> None:
        """Drop the connection and stop listening."""
        for open_socket in (self._socket, self._listening):
            if open_socket is not None:
                open_socket.close()
        self._socket = self._listening = None


def _link(connected: socket.socket) -> Link:
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Link(connected.fileno(), close=connected.close)
