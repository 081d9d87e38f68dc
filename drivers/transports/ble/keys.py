"""The keys that the system keeps, looked at and removed without any radio.

Linux only; elsewhere the system's settings do that.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

from drivers.errors import TransportError, TransportReason
from drivers.transports.ble.bluez import BlueZ, DBusError
from drivers.transports.ble.errors import explained, missing_library, not_running

__all__ = ["forget", "kept"]

T = TypeVar("T")


def kept() -> frozenset[str]:
    """Addresses of all devices that the system has keys for, upper case.

    Raises:
        TransportError: BlueZ cannot be asked; the message names the remedy.
    """

    async def addresses(bluez: BlueZ) -> frozenset[str]:
        devices = (await bluez.devices()).values()
        return frozenset(str(each["Address"]).upper() for each in devices if each.get("Bonded", each.get("Paired")))

    return _asked(addresses)


def forget(address: str) -> bool:
    """Remove the keys for a device; whether there was one. Raises like `kept`."""
    return _asked(lambda bluez: bluez.forget(address))


def _asked(question: Callable[[BlueZ], Awaitable[T]]) -> T:
    async def ask() -> T:
        bluez = await BlueZ.opened()
        try:
            if not bluez.running.is_set():
                raise not_running()
            return await question(bluez)
        except DBusError as error:
            raise explained(error, "Bluetooth") from error
        finally:
            await bluez.close()

    if sys.platform != "linux":
        message = "Bluetooth: on this system keys are listed and removed in the system's own settings"
        raise TransportError(message, TransportReason.NOT_PERMITTED)
    try:
        return asyncio.run(ask())
    except ImportError as error:
        raise missing_library(error) from error
