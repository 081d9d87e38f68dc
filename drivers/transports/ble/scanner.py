"""Listens for advertisements, for ever: a scan that fell silent, an adapter that is off, pulled or stuck.

BlueZ reports every advertising device at least once in each of the kernel's scan periods of about 10 s, so silence
where something is near means a scan that is dead without having said so; that happens (bluez issue 807, fixed in
5.88). Starting again costs nothing where really nothing is near.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from drivers.contract import Advertisement
from drivers.errors import DriverError
from drivers.transports.ble.bluez import Adapter, BlueZ, DBusError
from drivers.transports.ble.errors import explained, is_in_progress, no_adapter, switched_off

if TYPE_CHECKING:
    from bleak.backends.device import BLEDevice
    from bleak.backends.scanner import AdvertisementData

__all__ = ["Heard", "Scanner", "Timing", "connected"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Timing:
    """How patient a radio is.

    Attributes:
        silence_s: without any advertisement for so long the scan is started again.
        dark_s: so long BlueZ may say that it does not scan. It pauses 5 s in each of the kernel's scan periods.
        look_s: how often a running scan is looked after.
        retry_s: pause after a first failure; it doubles with each further one.
        longest_s: up to this.
        stuck: after so many refusals of a scan in a row the adapter is switched off and on.
    """

    silence_s: float = 90.0
    dark_s: float = 20.0
    look_s: float = 5.0
    retry_s: float = 1.0
    longest_s: float = 30.0
    stuck: int = 5

    def pause_s(self, failures: int) -> float:
        """How long to wait after so many failures in a row, 1 or more."""
        return float(min(self.retry_s * 2 ** min(failures - 1, 16), self.longest_s))


STOP_S: Final = 5.0
START_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Heard:
    """An advertisement, and what the system knows of the device.

    Attributes:
        device: bleak's own object, for connecting.
        bonded: the system has keys for it; None where that cannot be learned.
        connected: some program is connected to it.
        left_over: nothing was heard: a program that ended without a word has left it connected.
    """

    advertisement: Advertisement
    device: BLEDevice
    bonded: bool | None
    connected: bool
    left_over: bool = False


async def connected(bluez: BlueZ) -> list[Heard]:
    """Devices that are connected now.

    BlueZ keeps a connection whose program was killed (bluez issue 89), and what is connected does not advertise: a
    hub that starts again would wait for such a meter for ever.

    Raises:
        DriverError: BlueZ does not answer.
    """
    from bleak.backends.device import BLEDevice

    try:
        devices = await bluez.devices()
    except DBusError as error:
        raise explained(error, "Bluetooth") from error
    found = []
    for path, properties in devices.items():
        if not properties.get("Connected"):
            continue
        address, name = str(properties.get("Address", "")).upper(), properties.get("Name")
        advertisement = Advertisement(
            address=address,
            name=name,
            service_uuids=tuple(str(uuid).lower() for uuid in properties.get("UUIDs", ())),
            service_data={str(u).lower(): bytes(v) for u, v in properties.get("ServiceData", {}).items()},
            manufacturer_data={int(c): bytes(v) for c, v in properties.get("ManufacturerData", {}).items()},
            rssi=None,
        )
        device = BLEDevice(address, name, {"path": path, "props": properties})
        found.append(Heard(advertisement, device, _bonded(properties), connected=True, left_over=True))
    return found


class Scanner:
    """Scans in the event loop that runs it, until it is cancelled."""

    def __init__(
        self,
        bluez: BlueZ | None,
        heard: Callable[[Heard], None],
        tell: Callable[[DriverError | None], None],
        timing: Timing,
    ) -> None:
        """Args: bluez: None where there is none. heard: gets advertisements. tell: gets troubles and their end."""
        self._bluez = bluez
        self._heard = heard
        self._tell = tell
        self._timing = timing
        self._last_s = 0.0
        self._interruptions = 0

    async def run(self) -> None:
        """Scan for ever; every failure is told and tried again."""
        from bleak import BleakScanner

        failures = busy = 0
        while True:
            adapter = await self._adapter()
            self._interruptions = 0 if self._bluez is None else self._bluez.interruptions
            scanner = BleakScanner(self._detected, bluez={} if adapter is None else {"adapter": adapter.name})
            try:
                async with asyncio.timeout(START_S):
                    await scanner.start()
            except Exception as error:
                failures += 1
                busy = busy + 1 if is_in_progress(error) else 0
                self._tell(explained(error, "Bluetooth"))
                if adapter is not None and busy >= self._timing.stuck:
                    busy = 0
                    await self._unstick(adapter)
                await self._rest(self._timing.pause_s(failures))
                continue
            failures = busy = 0
            self._tell(None)
            try:
                await self._look_after(adapter)
            finally:
                with contextlib.suppress(Exception):  # it may be gone already, with its adapter
                    async with asyncio.timeout(STOP_S):
                        await scanner.stop()

    async def _adapter(self) -> Adapter | None:
        """The first radio that is on; waits for it."""
        if self._bluez is None:
            return None
        while True:
            self._bluez.adapters_changed.clear()
            try:
                adapters = await self._bluez.adapters()
            except (DBusError, DriverError) as error:
                self._tell(explained(error, "Bluetooth"))
            else:
                powered = [adapter for adapter in adapters if adapter.powered]
                if powered:
                    return powered[0]
                self._tell(switched_off() if adapters else no_adapter())
            await self._rest(self._timing.longest_s)

    async def _look_after(self, adapter: Adapter | None) -> None:
        """Returns when the scan must be started again."""
        self._last_s = lit_s = time.monotonic()
        interruptions = self._interruptions
        while True:
            await self._rest(self._timing.look_s)
            silent_s = time.monotonic() - self._last_s
            if silent_s >= self._timing.silence_s:
                _log.info("Bluetooth: nothing was heard for %.0f s; the scan is started again", silent_s)
                return
            if adapter is None or self._bluez is None:
                continue
            self._bluez.adapters_changed.clear()
            try:
                now = {each.path: each for each in await self._bluez.adapters()}.get(adapter.path)
            except (DBusError, DriverError):
                return
            if now is None or not now.powered or self._bluez.interruptions != interruptions:
                return
            lit_s = time.monotonic() if now.discovering else lit_s
            if time.monotonic() - lit_s >= self._timing.dark_s:
                _log.info("Bluetooth: %s stopped to scan by itself; the scan is started again", adapter.name)
                return

    async def _rest(self, seconds: float) -> None:
        """Wait, but not beyond a change of the adapters."""
        if self._bluez is None:
            await asyncio.sleep(seconds)
            return
        # Not wait_for: before Python 3.12 it may lose a cancellation that comes with the change (cpython 86296).
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._bluez.adapters_changed.wait()

    async def _unstick(self, adapter: Adapter) -> None:
        assert self._bluez is not None
        _log.warning("Bluetooth: %s refuses to scan; it is switched off and on", adapter.name)
        try:
            await self._bluez.power_cycle(adapter)
        except (DBusError, DriverError) as error:
            self._tell(explained(error, "Bluetooth"))

    def _detected(self, device: BLEDevice, seen: AdvertisementData) -> None:
        self._last_s = time.monotonic()
        properties = _properties(device, seen)
        connected = bool(properties.get("Connected", False))
        if not connected and "RSSI" not in properties and sys.platform == "linux":
            return  # BlueZ speaks of a device that it does not hear
        advertisement = Advertisement(
            address=str(properties.get("Address", device.address)).upper(),
            name=seen.local_name or device.name,
            service_uuids=tuple(uuid.lower() for uuid in seen.service_uuids),
            service_data={uuid.lower(): bytes(octets) for uuid, octets in seen.service_data.items()},
            manufacturer_data={company: bytes(octets) for company, octets in seen.manufacturer_data.items()},
            rssi=seen.rssi,
        )
        self._heard(Heard(advertisement, device, _bonded(properties), connected))


def _properties(device: BLEDevice, seen: AdvertisementData) -> Mapping[str, Any]:
    """BlueZ's own properties of the device, as they are now; nothing on other systems."""
    data = seen.platform_data
    if sys.platform == "linux" and len(data) > 1 and isinstance(data[1], Mapping):
        return data[1]
    details = device.details
    return details.get("props", {}) if isinstance(details, dict) else {}


def _bonded(properties: Mapping[str, Any]) -> bool | None:
    if sys.platform != "linux":
        return None
    return bool(properties.get("Bonded", properties.get("Paired", False)))
