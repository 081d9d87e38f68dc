"""One MLLP connection as octets: frames out, frames in.

Source: HL7 "Transport Specification: MLLP, Release 1": a message stands between 0x0B and 0x1C 0x0D.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import time
from contextlib import suppress

from gateway.reporting.channels.mllp_tls import Tls

__all__ = ["CLOSES_AT_ONCE_S", "Line", "NoAnswerError", "connect", "frame"]

START, END = b"\x0b", b"\x1c\x0d"
TLS_RECORDS = (b"\x15\x03", b"\x16\x03")
"""How an alert or a handshake of TLS begins (RFC 8446 5.1)."""
BETWEEN_FRAMES = b"\r\n\x00 "
"""Octets that some receivers put between frames; anything else there is no answer."""
CLOSES_AT_ONCE_S = 1.0
"""A far end that ends the connection within this after an answer wants a new one for every message."""


def frame(message: bytes) -> bytes:
    """A message in its MLLP frame."""
    return START + message + END


async def connect(host: str, port: int, *, timeout_s: float, most_octets: int, tls: Tls | None = None) -> Line:
    """A connection to a receiver.

    Args:
        host: name or address.
        port: TCP port.
        timeout_s: for everything, the TLS handshake included.
        most_octets: of one answer.
        tls: None for a connection in the clear.

    Raises:
        TimeoutError: none came about in time.
        OSError: it was refused, the name is not known, or TLS failed (ssl.SSLError).
        ValueError: a file that TLS needs cannot be used.
    """
    context = None if tls is None else tls.context()
    async with asyncio.timeout(timeout_s):
        _, line = await asyncio.get_running_loop().create_connection(
            lambda: Line(most_octets, tls),
            host,
            port,
            ssl=context,
            server_hostname=None if tls is None else tls.server_name,
        )
    return line


class NoAnswerError(Exception):
    """What came is not the acknowledgement of the message sent."""


class Line(asyncio.Protocol):
    """The octets of one connection: frames out, frames in, nothing else.

    Attributes:
        stale: it gave the answer to another message.
        failure: why nothing more can come; empty while the connection stands.
        certificate: SHA-256 of the receiver's certificate (DER) in hexadecimal, empty without TLS.
    """

    def __init__(self, most_octets: int, tls: Tls | None = None) -> None:
        """Args: most_octets: a longer answer is cut off and counts as none; tls: to explain its failures."""
        self._most_octets = most_octets
        self._tls = tls
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self._news = asyncio.Event()
        self._messages = 0
        self._answered_at = 0.0
        self._lost_at = 0.0
        self.stale = False
        self.failure = ""
        self.peer = ""
        self.certificate = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        host, port = transport.get_extra_info("peername")[:2]
        self.peer = f"{host}:{port}"
        if (tls := transport.get_extra_info("ssl_object")) is not None:
            self.certificate = hashlib.sha256(tls.getpeercert(binary_form=True)).hexdigest()
        with suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._received += data
        if len(self._received) > self._most_octets:
            del self._received[self._most_octets :]
            self._fail(f"the answer is longer than {self._most_octets} octets")
        self._news.set()

    def eof_received(self) -> bool:
        """Called by the loop."""
        self.connection_lost(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop, and when the far end will say no more."""
        self._lost_at = self._lost_at or time.monotonic()
        self._fail(self._why_lost(exc))

    @property
    def clean(self) -> bool:
        """Standing, and no octet waits that would be taken for the answer to the next message."""
        return not self.failure and not self._received.strip(BETWEEN_FRAMES)

    @property
    def unfit_for_reuse(self) -> bool:
        """It ended on its own soon after an answer, or gave to a second message what belonged to the first."""
        closes = self._answered_at > 0 and 0 < self._lost_at - self._answered_at < CLOSES_AT_ONCE_S
        return (self.stale and self._messages > 1) or closes

    def write(self, octets: bytes) -> None:
        """Send octets; what came before them is forgotten."""
        assert self._transport is not None
        self._messages += 1
        self._received.clear()
        self._transport.write(octets)

    async def next_frame(self) -> bytes:
        """The content of the next whole frame. Raises NoAnswerError when none can come any more."""
        while True:
            while self._received and self._received[0] in BETWEEN_FRAMES:
                del self._received[0]
            if self._received and not self._received.startswith(START):
                speaks_tls = self._received.startswith(TLS_RECORDS)
                hint = "; the receiver speaks TLS, so write the address as mllps://" if speaks_tls else ""
                self._fail(f"the answer does not begin with the start of a frame (0x0B){hint}")
            elif (end := self._received.find(END)) >= 0:
                content = bytes(self._received[1:end])
                del self._received[: end + len(END)]
                self._answered_at = time.monotonic()
                return content
            if self.failure:
                raise NoAnswerError(self.failure)
            self._news.clear()
            await self._news.wait()

    def rest(self) -> bytes:
        """What came and is no whole frame."""
        return bytes(self._received)

    def close(self) -> None:
        """End the connection in order, as long as it stands."""
        if self._transport is not None and not self.failure:
            self._transport.close()
        self._fail("closed by us")

    def _why_lost(self, exc: Exception | None) -> str:
        refused = self._tls is not None and not self._answered_at
        if refused and (exc is None or isinstance(exc, ConnectionResetError)):
            # A handshake of TLS 1.3 ends before the receiver has looked at our certificate, and its alert is lost
            # when it closes with our message unread.
            return (
                "the far end closed the connection without an answer; does it take our certificate (setting"
                " client_certificate)?"
            )
        words = "" if exc is None or self._tls is None else self._tls.words(exc)
        return words or ("the far end closed the connection" if exc is None else f"the connection broke: {exc}")

    def _fail(self, reason: str) -> None:
        self.failure = self.failure or reason
        if self._transport is not None and not self._transport.is_closing():
            self._transport.abort()
        self._news.set()
