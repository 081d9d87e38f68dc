"""TCP: meters behind a terminal server are dialled; others connect by themselves.

A connection whose far end vanished without a word (power, Wi-Fi) is found by keepalive probes within about a
minute, and by `idle_timeout_s` where a far end answers probes but never sends.
"""

from __future__ import annotations

import errno
import re
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from drivers.errors import TransportError, TransportReason
from drivers.transports.base import Listener, Transport

__all__ = ["TIMEOUTS", "TcpListener", "TcpTransport", "dial"]

TIMEOUTS: Final = ("connect_timeout_s", "write_timeout_s", "idle_timeout_s")
BACKLOG = 64
"""Connections that may wait for `TcpListener.accept`; those too many are turned away there, not left waiting."""
_ADDRESS = re.compile(r"tcp(?:-listen)?://(?:\[([0-9A-Fa-f:.%\w]+)\]|([^:/\[\]]*)):(\d{1,5})/?")
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 60_000))


class TcpTransport(Transport):
    """One TCP connection.

    Args:
        connection: a connected socket, which this object then owns.
        peer: the far end as ``tcp://host:port``.
        write_timeout_s: how long the far end may refuse to take octets.
        idle_timeout_s: silence after which `read` gives the connection up; None for never.
        on_close: called once when the connection is closed.
    """

    kind = "tcp"

    def __init__(
        self,
        connection: socket.socket,
        peer: str,
        *,
        write_timeout_s: float = 10.0,
        idle_timeout_s: float | None = None,
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        self.peer = peer
        self._socket = connection
        self._write_timeout_s = write_timeout_s
        self._idle_timeout_s = idle_timeout_s
        self._on_close = on_close
        self._heard_s = time.monotonic()
        self._closing = threading.Lock()
        self._reading = threading.Lock()
        self._closed = False
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for name, value in _KEEPALIVE:
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self._readable = selectors.DefaultSelector()
        self._readable.register(connection, selectors.EVENT_READ)

    def read(self, max_octets: int, timeout_s: float) -> bytes:
        """Wait for octets."""
        with self._reading:
            if self._closed:
                raise self._was_closed()
            try:
                ready = self._readable.select(max(0.0, timeout_s))
                octets = self._socket.recv(max_octets) if ready else b""
            except BlockingIOError:
                return b""
            except OSError as error:
                raise self._gone(error) from error
        if not ready:
            self._give_up_when_idle()
            return b""
        if not octets:
            if self._closed:
                raise self._was_closed()
            raise TransportError(f"{self.peer}: the far end closed the connection", TransportReason.CLOSED)
        self._heard_s = time.monotonic()
        return octets

    def write(self, octets: bytes) -> None:
        """Send octets."""
        left = memoryview(octets)
        deadline_s = time.monotonic() + self._write_timeout_s
        while left:
            try:
                left = left[self._socket.send(left) :]
            except BlockingIOError:
                self._wait_until_writable(deadline_s - time.monotonic())
            except OSError as error:
                raise self._gone(error) from error

    def _wait_until_writable(self, left_s: float) -> None:
        try:
            with selectors.DefaultSelector() as writable:
                writable.register(self._socket, selectors.EVENT_WRITE)
                ready = writable.select(max(0.0, left_s))
        except (OSError, ValueError) as error:  # closed by another thread
            raise self._was_closed() from error
        if not ready:
            why = f"{self.peer}: the far end did not take everything within {self._write_timeout_s:g} s"
            raise TransportError(why, TransportReason.TIMED_OUT)

    def close(self) -> None:
        """Close the connection."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        with suppress(OSError):  # wakes a read that waits in another thread
            self._socket.shutdown(socket.SHUT_RDWR)
        with self._reading:
            self._readable.close()
            self._socket.close()
        self._on_close()

    def _give_up_when_idle(self) -> None:
        if self._idle_timeout_s is not None and time.monotonic() - self._heard_s > self._idle_timeout_s:
            raise TransportError(
                f"{self.peer}: nothing came for {self._idle_timeout_s:g} s; the meter may connect again",
                TransportReason.TIMED_OUT,
            )

    def _was_closed(self) -> TransportError:
        return TransportError(f"{self.peer}: the connection was closed", TransportReason.CLOSED)

    def _gone(self, error: OSError) -> TransportError:
        if self._closed:
            return self._was_closed()
        if error.errno in (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH):
            return TransportError(
                f"{self.peer}: the far end does not answer any more; is it switched on and in the network?",
                TransportReason.TIMED_OUT,
            )
        return TransportError(f"{self.peer}: the connection broke ({error})", TransportReason.CLOSED)


def dial(
    address: str,
    *,
    connect_timeout_s: float = 10.0,
    write_timeout_s: float = 10.0,
    idle_timeout_s: float | None = None,
) -> TcpTransport:
    """Connect to ``tcp://host:port``.

    Raises:
        TransportError: NOT_FOUND, TIMED_OUT or MISCONFIGURED.
    """
    host, port = _parse(address)
    if not host or port == 0:
        raise TransportError(
            f"{address}: write the host and port to dial, as in tcp://192.0.2.7:4001", _MISCONFIGURED
        )
    try:
        connection = socket.create_connection((host, port), connect_timeout_s)
    except TimeoutError as error:
        raise TransportError(
            f"{address}: no answer for {connect_timeout_s:g} s; is the meter switched on and in this network?",
            TransportReason.TIMED_OUT,
        ) from error
    except OSError as error:
        raise TransportError(
            f"{address}: cannot be reached ({error}); compare host and port with the meter's settings",
            TransportReason.NOT_FOUND,
        ) from error
    return TcpTransport(connection, address, write_timeout_s=write_timeout_s, idle_timeout_s=idle_timeout_s)


class TcpListener(Listener):
    """Waits for meters that connect by themselves.

    Args:
        address: ``tcp-listen://host:port``; without host only this machine can connect, port 0 takes a free one.
        max_connections: further meters are turned away while so many are connected.
        write_timeout_s: for each connection.
        idle_timeout_s: for each connection; a far end that never sends must not hold its place for ever.

    Raises:
        TransportError: BUSY, NOT_PERMITTED, NOT_FOUND or MISCONFIGURED.
    """

    def __init__(
        self,
        address: str,
        *,
        max_connections: int = 8,
        write_timeout_s: float = 10.0,
        idle_timeout_s: float | None = 900.0,
    ) -> None:
        host, port = _parse(address)
        host = host or "127.0.0.1"
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server((host, port), family=family, backlog=BACKLOG)
        except OSError as error:
            raise _cannot_listen(address, error) from error
        self.port: int = self._socket.getsockname()[1]
        self.address = f"tcp-listen://{_bracketed(host)}:{self.port}"
        self.refused = 0
        self._max = max_connections
        self._write_timeout_s = write_timeout_s
        self._idle_timeout_s = idle_timeout_s
        self._lock = threading.Lock()
        self._open = 0
        self._closed = False

    def accept(self, timeout_s: float) -> TcpTransport | None:
        """Wait for the next meter."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            try:
                self._socket.settimeout(max(0.001, deadline_s - time.monotonic()))
                connection, far = self._socket.accept()
            except TimeoutError:
                return None
            except OSError as error:
                if self._closed:
                    raise TransportError(
                        f"{self.address}: the listener was closed", TransportReason.CLOSED
                    ) from error
                if error.errno == errno.ECONNABORTED:
                    continue
                raise TransportError(f"{self.address}: cannot accept: {error}", TransportReason.CLOSED) from error
            with self._lock:
                full = self._open >= self._max
                self._open += not full
            if not full:
                return TcpTransport(
                    connection,
                    f"tcp://{_bracketed(far[0])}:{far[1]}",
                    write_timeout_s=self._write_timeout_s,
                    idle_timeout_s=self._idle_timeout_s,
                    on_close=self._release,
                )
            self.refused += 1
            connection.close()

    def close(self) -> None:
        """Stop listening."""
        self._closed = True
        with suppress(OSError):  # wakes an accept that waits in another thread
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _release(self) -> None:
        with self._lock:
            self._open -= 1


def _parse(address: str) -> tuple[str, int]:
    found = _ADDRESS.fullmatch(address)
    port = int(found.group(3)) if found else 0
    if found is None or port > 65535:
        raise TransportError(
            f"{address}: write a TCP address as tcp://host:port or tcp-listen://host:port", _MISCONFIGURED
        )
    return found.group(1) or found.group(2), port


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _cannot_listen(address: str, error: OSError) -> TransportError:
    if error.errno == errno.EADDRINUSE:
        return TransportError(f"{address}: another program listens there; end it or take another port", _BUSY)
    if error.errno in (errno.EACCES, errno.EPERM):
        return TransportError(f"{address}: not permitted; take a port above 1023", TransportReason.NOT_PERMITTED)
    return TransportError(f"{address}: cannot listen there ({error}); is this host's address right?", _NOT_FOUND)


_MISCONFIGURED = TransportReason.MISCONFIGURED
_BUSY = TransportReason.BUSY
_NOT_FOUND = TransportReason.NOT_FOUND
