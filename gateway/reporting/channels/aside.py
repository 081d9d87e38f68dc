"""Work that blocks, in a thread of its own.

The event loop's own threads are few and shared by all destinations: some that do not answer would hold up the rest.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

__all__ = ["aside"]

T = TypeVar("T")


async def aside(work: Callable[..., T], *arguments: Any) -> T:
    """Run `work` and give back what it returns or raises. Whoever is cancelled meanwhile does not wait for it."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            value = work(*arguments)
        except BaseException as error:
            _tell(loop, done, None, error)
        else:
            _tell(loop, done, value, None)

    threading.Thread(target=run, name="aside", daemon=True).start()
    return await done


def _tell(
    loop: asyncio.AbstractEventLoop,
    done: asyncio.Future[Any],
    value: Any = None,
    error: BaseException | None = None,
) -> None:
    def settle() -> None:
        if done.done():  # cancelled
            return
        if error is None:
            done.set_result(value)
        else:
            done.set_exception(error)

    with suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(settle)
