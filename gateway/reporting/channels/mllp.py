"""Sending over MLLP: one message in flight, and credit only for an answer that names it.

Source: HL7 "Transport Specification: MLLP, Release 1": a message stands between 0x0B and 0x1C 0x0D. Receivers in
the field close after each acknowledgement, repeat an older one on a connection that is used again, or answer in
halves; so whatever is not the whole acknowledgement of this very message leaves it open whether it arrived.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from contextlib import suppress
from urllib.parse import urlsplit

from gateway.reporting.channels import hl7v2_answer
from gateway.reporting.channels.base import Answer, Level, Outcome
from gateway.reporting.configuration import Delivery

__all__ = ["MllpSender", "frame", "parse_address"]

START, END = b"\x0b", b"\x1c\x0d"
BETWEEN_FRAMES = b"\r\n\x00 "
"""Octets that some receivers put between frames; anything else there is no answer."""
CLOSES_AT_ONCE_S = 1.0
"""A far end that ends the connection within this after an answer wants a new one for every message."""


def frame(message: bytes) -> bytes:
    """A message in its MLLP frame."""
    return START + message + END


def parse_address(address: str) -> tuple[str, int]:
    """Host and port of ``mllp://host:port``.

    Raises:
        ValueError: it is none.
    """
    parts = urlsplit(address)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme != "mllp" or not parts.hostname or not port or parts.path not in ("", "/") or parts.username:
        raise ValueError(f"{address!r} is no MLLP address; write it as mllp://host:port")
    return parts.hostname, port


class MllpSender:
    """A connection to one receiver, kept open between messages and made anew when it can no longer be trusted."""

    def __init__(self, address: str, settings: Delivery) -> None:
        """Raises ValueError when `address` is no ``mllp://host:port``."""
        self._host, self._port = parse_address(address)
        self._settings = settings
        self._line: _Line | None = None
        self._peer = f"{self._host}:{self._port}"
        # Learnt: this receiver closes, or repeats itself, when a connection is used for a second message.
        self._one_each = False

    @property
    def ready(self) -> bool:
        """Whether there is a connection on which nothing unexpected has come."""
        return self._line is not None and self._line.clean

    async def open(self) -> Answer | None:
        """Connect, unless the connection of the last message still stands."""
        if self.ready:
            return None
        await self.close()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                _, self._line = await loop.create_connection(
                    lambda: _Line(self._settings.answer_most_octets), self._host, self._port
                )
        except TimeoutError:
            return self._not_sent(f"no connection within {self._settings.connect_timeout_s:g} s")
        except OSError as error:
            number = error.errno or 0  # asyncio puts words of its own in the place of the system's
            return self._not_sent(f"cannot connect: {os.strerror(number) if number > 0 else error}")
        self._peer = self._line.peer
        return None

    async def send(self, octets: bytes, control_id: str) -> Answer:
        """Send one message and wait for the acknowledgement that names `control_id`."""
        line = self._line
        if line is None or not line.clean:
            return self._not_sent("the connection was closed before the first octet left")
        line.write(frame(octets))
        answer = await self._answer(line, control_id)
        if answer.outcome is Outcome.AMBIGUOUS or self._one_each:
            await self.close()
        return answer

    async def close(self) -> None:
        """Close the connection, if there is one."""
        line, self._line = self._line, None
        if line is not None:
            self._one_each = self._one_each or line.unfit_for_reuse
            line.close()

    async def _answer(self, line: _Line, control_id: str) -> Answer:
        level, evidence, peer, so_far = Level.SENT, b"", self._peer, ""
        try:
            async with asyncio.timeout(self._settings.answer_timeout_s):
                while True:
                    content = await line.next_frame()
                    said = hl7v2_answer.parse(content)
                    if level is Level.SENT:
                        evidence = content
                    if said is None:
                        raise _NoAnswerError("the answer is no HL7 acknowledgement")
                    if said.control_id != control_id:
                        line.stale = True
                        raise _NoAnswerError("the answer names another message in MSA-2 and is not counted")
                    verdict = hl7v2_answer.judge(said)
                    level, evidence = verdict.level, content
                    peer = f"{self._peer} ({said.sender})" if said.sender else self._peer
                    if verdict.outcome is not None:
                        return Answer(verdict.outcome, level, evidence, peer, verdict.text)
                    so_far = f"{verdict.text}; then "
        except TimeoutError:
            text = f"no whole answer within {self._settings.answer_timeout_s:g} s"
        except _NoAnswerError as problem:
            text = str(problem)
        return Answer(Outcome.AMBIGUOUS, level, evidence or line.rest(), peer, so_far + text)

    def _not_sent(self, text: str) -> Answer:
        return Answer(Outcome.NOT_SENT, None, b"", self._peer, text)


class _NoAnswerError(Exception):
    """What came is not the acknowledgement of the message sent."""


class _Line(asyncio.Protocol):
    """The octets of one connection: frames out, frames in, nothing else.

    Attributes:
        stale: it gave the answer to another message.
        failure: why nothing more can come; empty while the connection stands.
    """

    def __init__(self, most_octets: int) -> None:
        self._most_octets = most_octets
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self._news = asyncio.Event()
        self._messages = 0
        self._answered_at = 0.0
        self._lost_at = 0.0
        self.stale = False
        self.failure = ""
        self.peer = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        host, port = transport.get_extra_info("peername")[:2]
        self.peer = f"{host}:{port}"
        with suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) > self._most_octets:
            del self._received[self._most_octets :]
            self._fail(f"the answer is longer than {self._most_octets} octets")
        self._news.set()

    def eof_received(self) -> bool:
        self.connection_lost(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost_at = self._lost_at or time.monotonic()
        self._fail("the far end closed the connection" if exc is None else f"the connection broke: {exc}")

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
        assert self._transport is not None
        self._messages += 1
        self._received.clear()
        self._transport.write(octets)

    async def next_frame(self) -> bytes:
        """The content of the next whole frame. Raises _NoAnswerError when none can come any more."""
        while True:
            while self._received and self._received[0] in BETWEEN_FRAMES:
                del self._received[0]
            if self._received and not self._received.startswith(START):
                self._fail("the answer does not begin with the start of a frame (0x0B)")
            elif (end := self._received.find(END)) >= 0:
                content = bytes(self._received[1:end])
                del self._received[: end + len(END)]
                self._answered_at = time.monotonic()
                return content
            if self.failure:
                raise _NoAnswerError(self.failure)
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

    def _fail(self, reason: str) -> None:
        self.failure = self.failure or reason
        if self._transport is not None and not self._transport.is_closing():
            self._transport.abort()
        self._news.set()
