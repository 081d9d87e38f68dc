"""The embedded broker: amqtt on loopback, so that a demo or a small set-up needs no other software.

Known holes of amqtt 0.12.1, seen in its source and by trial; the server's receipts make good what it loses:

* It acknowledges a publication when it is queued, and drops the queue of a publisher that disconnects: most of a
  burst can vanish although every message of it was acknowledged.
* What a client had not acknowledged when its connection broke is not delivered again, session or not.
* Sessions, queues and retained messages live in memory; a restart forgets them.
* It speaks MQTT 3.1.1 only and has no shared subscriptions: one server process, not several. It reads a CONNECT of
  MQTT 5 as if it were 3.1.1 and may wait for octets that never come; `_Door` answers those instead.

Mosquitto is the broker for production (``config/mosquitto/``).
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
from collections.abc import Callable
from typing import Any

__all__ = ["BrokerError", "serve"]

SESSION_EXPIRY_S = 7 * 24 * 3600
CONNECT_WITHIN_S = 10.0
UNACCEPTABLE_VERSION = b"\x20\x02\x00\x01"
"""CONNACK, *unacceptable protocol version* (MQTT 3.1.1, clause 3.2.2.3): the sign to fall back."""

_log = logging.getLogger("gateway.mqtt.broker")


class BrokerError(Exception):
    """The embedded broker cannot run; the message says what to do."""


def serve(host: str, port: int, *, on_ready: Callable[[], None] = lambda: None) -> None:
    """Run the broker until SIGTERM or SIGINT.

    Args:
        host: address to listen on. Everybody who reaches it may read and write: there is no password and no TLS.
        port: TCP port.
        on_ready: called once when clients can connect.

    Raises:
        BrokerError: amqtt is not installed, or the port cannot be opened.
    """
    try:
        from amqtt.broker import Broker  # type: ignore[import-untyped]  # amqtt has no py.typed
        from amqtt.contexts import BrokerConfig, ListenerConfig, ListenerType  # type: ignore[import-untyped]
    except ImportError as error:
        raise BrokerError(
            f"the embedded broker needs amqtt ({error}): pip install 'inr-gateway[broker]', or run Mosquitto"
        ) from error
    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if not _is_loopback(host):
        _log.warning("the embedded broker listens on %s: whoever reaches it can read and write everything", host)
    configuration = BrokerConfig(
        listeners={"default": ListenerConfig(type=ListenerType.EXTERNAL)},
        session_expiry_interval=SESSION_EXPIRY_S,
        # Lets everybody in, as AnonymousAuthPlugin does; but that one also forgets the sessions of its clients.
        plugins={"amqtt.plugins.base.BaseAuthPlugin": {}},
    )

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        broker = Broker(configuration, loop=loop)
        try:
            listener = await asyncio.start_server(_Door(broker).entered, host, port, start_serving=False)
        except OSError as error:
            raise BrokerError(f"cannot listen on {host}:{port}: {error}; choose another port") from error
        await broker.start()
        await listener.start_serving()
        _log.info("embedded broker listens on %s:%d (MQTT 3.1.1)", host, port)
        on_ready()
        await stop.wait()
        listener.close()
        await broker.shutdown()

    asyncio.run(run())


class _Door:
    """Takes connections, turns away what is not MQTT 3.1.1, and hands the rest to amqtt."""

    def __init__(self, broker: Any) -> None:
        self._broker = broker

    async def entered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from amqtt.adapters import StreamWriterAdapter  # type: ignore[import-untyped]  # amqtt has no py.typed

        try:
            head = await asyncio.wait_for(_connect_head(reader), CONNECT_WITHIN_S)
        except (TimeoutError, OSError, asyncio.IncompleteReadError, ValueError):
            writer.close()
            return
        if head[-1] > 4:
            writer.write(UNACCEPTABLE_VERSION)
            writer.close()
            return
        try:
            await self._broker.external_connected(_Resumed(head, reader), StreamWriterAdapter(writer), "default")
        except (OSError, asyncio.IncompleteReadError) as error:
            _log.info("a client left: %s", error)
        finally:
            writer.close()


class _Resumed:
    """A reader that first repeats octets already taken from the stream; has what amqtt's ReaderAdapter has."""

    def __init__(self, head: bytes, reader: asyncio.StreamReader) -> None:
        self._head = head
        self._reader = reader

    async def read(self, n: int = -1) -> bytes:
        if n < 0:
            return await self._reader.read(n)
        taken, self._head = self._head[:n], self._head[n:]
        return taken if len(taken) == n else taken + await self._reader.readexactly(n - len(taken))

    def feed_eof(self) -> None:
        self._reader.feed_eof()


async def _connect_head(reader: asyncio.StreamReader) -> bytes:
    """The octets of a CONNECT up to and including its protocol level (MQTT 3.1.1, clause 3.1).

    Raises:
        ValueError: something else came.
    """
    head = await reader.readexactly(2)
    while head[-1] & 0x80 and len(head) < 5:  # remaining length: up to four octets
        head += await reader.readexactly(1)
    name = await reader.readexactly(2)
    length = int.from_bytes(name)
    if head[0] != 0x10 or length > 6:
        raise ValueError("not an MQTT CONNECT")
    return head + name + await reader.readexactly(length + 1)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
