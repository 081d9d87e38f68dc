"""As much of HTTP/1.1 as a far end needs (RFC 9112): requests with a length, answers whole or broken off."""

from __future__ import annotations

import asyncio
import contextlib
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote, urlsplit

from simulators.provider.streams import StreamServer

__all__ = ["Broken", "HttpServer", "Reply", "Request"]

MOST_OCTETS = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Names of `headers` are in lower case; `query` keeps order and repetitions."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes


class Broken(StrEnum):
    """How an answer fails to arrive; the connection ends with it."""

    NOT = "not"
    HALF = "half"
    """Head and half of the body."""
    SILENT = "silent"
    """Nothing at all."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    broken: Broken = Broken.NOT


class HttpServer(StreamServer):
    """Answers requests of any number of connections, one after another on each."""

    @abstractmethod
    async def _answer(self, request: Request) -> Reply:
        """The answer to one request."""

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # What is no HTTP ends the connection, as its end does.
        with contextlib.suppress(EOFError, ValueError, asyncio.LimitOverrunError):
            while await self._one(reader, writer):
                pass

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer. Returns whether the connection goes on."""
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
        }
        size = int(headers.get("content-length", "0"))
        if not 0 <= size <= MOST_OCTETS:
            raise ValueError("no such length")
        body = await reader.readexactly(size)
        parts = urlsplit(target)
        query = tuple(parse_qsl(parts.query, keep_blank_values=True))
        reply = await self._answer(Request(method, unquote(parts.path), query, headers, body))
        if reply.broken is Broken.SILENT:
            return False
        octets = _head(reply) + reply.body
        half = reply.broken is Broken.HALF
        writer.write(octets[: len(octets) - (len(reply.body) + 1) // 2] if half else octets)
        await writer.drain()
        return not half and headers.get("connection", "").lower() != "close"


def _head(reply: Reply) -> bytes:
    try:
        reason = HTTPStatus(reply.status).phrase
    except ValueError:
        reason = "Status"
    fields = {"Content-Length": str(len(reply.body)), **reply.headers}
    lines = [f"HTTP/1.1 {reply.status} {reason}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
