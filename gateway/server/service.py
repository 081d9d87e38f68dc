"""Running the server: its services, from start to an orderly end."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.server.configuration import Server
from gateway.store.opening import in_use, open_store

__all__ = ["Service", "serve"]

_log = logging.getLogger("gateway.server")


class Service(Protocol):
    """Something that runs in threads of its own."""

    def start(self) -> None:
        """Begin; return at once."""

    def stop(self) -> None:
        """End in order; return when it has ended."""


def serve(server: Server, services: Sequence[Service], on_ready: Callable[[], None]) -> int:
    """Run services until SIGTERM or SIGINT, or until one of them has failed.

    Args:
        server: the ``[server]`` section; its store must be there.
        services: started in this order and stopped in the opposite one. One with an attribute ``failed`` that is
            not None has failed.
        on_ready: called once when all have been started.

    Returns:
        0 after an orderly end, 1 when a service failed.

    Raises:
        StoreError: no such store, of another role, or being restored.
    """
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    with in_use(server.store):
        open_store(server.store, server.role).close()
        running: list[Service] = []
        try:
            for service in services:
                service.start()
                running.append(service)
            on_ready()
            failed = False
            while not failed and not ending.wait(0.5):
                failed = any(getattr(service, "failed", None) is not None for service in services)
        finally:
            for service in reversed(running):
                service.stop()
    _log.info("ended")
    return int(failed)
