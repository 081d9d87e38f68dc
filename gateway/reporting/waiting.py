"""Waiting for an event, or for a time, whichever comes first."""

from __future__ import annotations

import asyncio
from contextlib import suppress

__all__ = ["until"]


async def until(event: asyncio.Event, timeout_s: float | None) -> None:
    """Return when the event is set or, not later, after so many seconds; None waits for the event alone."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
