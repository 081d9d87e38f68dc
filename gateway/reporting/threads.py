"""Threads for what an event loop cannot wait for itself, above all the resolver of names."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

__all__ = ["Threads"]


class Threads(ThreadPoolExecutor):
    """A thread for each piece of work, begun at once and waited for by nobody.

    The default executor of asyncio has a handful of threads for all, and its end waits for them: a few destinations
    whose names nobody resolves would hold up the names of all others, and the stopping of the server.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Begin `fn` in a thread of its own."""
        future: Future[Any] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                value = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(value)

        threading.Thread(target=run, name="delivery-aside", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nothing is waited for: what still runs has nobody left to tell."""
