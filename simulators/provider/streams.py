"""A far end that listens: connections of any number, each served until it ends."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from abc import ABC, abstractmethod

__all__ = ["StreamServer"]


class StreamServer(ABC):
    """Listens between `start` and `stop`."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        """`tls`: what connections are made with; None for none."""
        self._tls = tls
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> tuple[str, int]:
        """Listen; returns the address, with the real port when 0 was asked for.

        Raises:
            OSError: the address is taken or not ours.
        """
        self._server = await asyncio.start_server(self._serve, host, port, ssl=self._tls)
        address = self._server.sockets[0].getsockname()
        return str(address[0]), int(address[1])

    async def stop(self) -> None:
        """Stop listening and drop all connections."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    @abstractmethod
    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection; it is closed when this returns."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # a stream handler always runs in one
        self._connections.add(task)
        try:
            await self._converse(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # the far end, or `stop`, ended it: nothing that was not answered counts
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()
