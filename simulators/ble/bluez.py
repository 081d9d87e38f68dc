"""A fake org.bluez on a private D-Bus, for unmodified bleak; behind it simulated meters without radio.

In a test::

    with PrivateBus() as bus:                                     # skip unless PrivateBus.is_possible()
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)  # before bleak connects; one bus, one event loop
        meter = Instrument(BleScenario(memory=...), Ledger())
        bluez = FakeBlueZ([Direct(meter)])
        await bluez.start(bus.address)
        ...                                                       # bleak scans, connects, pairs, reads
        await bluez.stop()

The hub's org.bluez.Agent1 must be registered *before* it connects, as with the real one: the input and output of
the hub are fixed when the link comes up, and an agent that comes later makes every pairing "just works".
``meter.person.shown`` is the passkey on the meter's display. What the radio does wrong is switched on `FakeBlueZ`
(power, adapter, failing calls, swallowed values, bonds), on the meter (``is_advertising``, faults of the scenario)
and on `Direct` (``drop``).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from typing import Final

from dbus_fast import Message, Variant

from simulators.ble.bluez_agent import Agents
from simulators.ble.bluez_device import CHARACTERISTIC, DESCRIPTOR, DEVICE, Device
from simulators.ble.dbus import Answer, BusError, PrivateBus, Tree
from simulators.ble.direct import Direct, Far

__all__ = ["Direct", "FakeBlueZ", "PrivateBus"]

ADAPTER: Final = "org.bluez.Adapter1"
_ROOT: Final = "/org/bluez"


class FakeBlueZ:
    """The daemon: one adapter, and the peripherals in its range.

    Args:
        fars: peripherals in range; the list may be changed at any time.
        advertising_interval_s: how often each is heard while somebody scans.
        temporary_s: an unpaired device that is not heard any more is forgotten after this.
        agentless: what becomes of a pairing that nobody at the hub can be asked about.

    Attributes:
        calls: method and path of every call, in order.
        bonds: identity addresses of the devices the hub has a key for; they outlive `stop`.
        swallows: so many values from the meter are confirmed and then lost on the way to the hub.
        pairs_by_itself: a value that needs a key makes the daemon pair, as the real one does.
    """

    def __init__(
        self,
        fars: Iterable[Far],
        *,
        adapter: str = "hci0",
        address: str = "00:1A:7D:DA:71:13",
        advertising_interval_s: float = 0.05,
        temporary_s: float = 30.0,
        agentless: str = "just works",
    ) -> None:
        self.fars = list(fars)
        self.address = address
        self.calls: list[tuple[str, str]] = []
        self.bonds: set[str] = set()
        self.swallows = 0
        self.pairs_by_itself = True
        self.agents = Agents(agentless)
        self.tree = Tree("org.bluez", self._answer, self._left)
        self._adapter = f"{_ROOT}/{adapter}"
        self._interval_s = advertising_interval_s
        self._temporary_s = temporary_s
        self._is_powered = True
        self._scanners: dict[str, set[str]] = {}
        self._filters: dict[str, set[str]] = {}
        self._devices: dict[str, Device] = {}
        self._heard_s: dict[str, float] = {}
        self._failures: deque[tuple[str, BusError]] = deque()
        self._scan: asyncio.Task[None] | None = None

    async def start(self, bus_address: str) -> None:
        """Appear on the bus; bonded devices are known at once."""
        await self.tree.start(bus_address)
        self.tree.add(_ROOT, {"org.bluez.AgentManager1": {}})
        self.add_adapter()

    async def stop(self, *, is_crash: bool = False) -> None:
        """Leave the bus, and let all links go. A crash tells nobody."""
        for device in list(self._devices.values()):
            await device.let_go()
        if not is_crash and self.tree.has(self._adapter):
            self.remove_adapter()
            await self.tree.flush()
        self._forget_adapter()
        self.agents.clear()
        await self.tree.stop()

    # What goes wrong.

    def set_powered(self, is_on: bool) -> None:
        """Somebody switches the adapter off (all links go, scanning ends) or on."""
        self._is_powered = is_on
        if not is_on:
            self.drop_links()
            self._scanners.clear()
            self._scanning()
        self.tree.change(self._adapter, ADAPTER, Powered=Variant("b", is_on))

    def remove_adapter(self) -> None:
        """The adapter is pulled out."""
        self.drop_links()
        self._forget_adapter()
        self.tree.remove(self._adapter)

    def add_adapter(self) -> None:
        """The adapter is plugged in."""
        self._is_powered = True
        properties = {
            "Address": Variant("s", self.address),
            "AddressType": Variant("s", "public"),
            "Name": Variant("s", "hub"),
            "Alias": Variant("s", "hub"),
            "Class": Variant("u", 0),
            "Powered": Variant("b", True),
            "Discovering": Variant("b", False),
            "Pairable": Variant("b", True),
            "UUIDs": Variant("as", []),
            "Roles": Variant("as", ["central", "peripheral"]),
        }
        self.tree.add(self._adapter, {ADAPTER: properties})
        for far in self.fars:
            if far.identity in self.bonds:
                self._device(far)

    def fail(self, member: str, error: str, text: str = "", times: int = 1) -> None:
        """Answer the next calls of a method with an error, for example ``StartDiscovery``, ``InProgress``.

        ``Connect`` with ``Failed`` and ``le-connection-abort-by-local`` shows the device connected for a moment, as
        the real one does.
        """
        self._failures.extend([(member, BusError(error, text))] * times)

    def lose_bonds(self) -> None:
        """The hub's keys are lost."""
        self.bonds.clear()
        for path in list(self._devices):
            self._remove(path)

    def lose_discovery(self) -> None:
        """Scanning ends without anybody having asked, and those who scan are not told."""
        self._scanners.clear()
        self._scanning()

    async def connect_for_another(self, far: Far) -> None:
        """Another program has connected the device already."""
        await self._device(far).connect()

    def drop_links(self) -> None:
        """Every link is lost."""
        for device in self._devices.values():
            device.cut()

    # Calls.

    async def _answer(self, message: Message) -> Answer:
        member, path = message.member or "", message.path or ""
        self.calls.append((member, path))
        for failure in self._failures:
            if failure[0] == member:
                self._failures.remove(failure)
                if member == "Connect":
                    await self._devices[path].flash()
                raise failure[1]
        match message.interface:
            case "org.bluez.AgentManager1":
                return self.agents.answer(message)
            case "org.bluez.Adapter1":
                return await self._adapter_answer(message)
            case "org.freedesktop.DBus.Properties" if member == "Set":
                self._set(path, *message.body)
                return None
        device = self._device_of(path)
        if device is not None and message.interface == DEVICE:
            return await device.answer(message)
        if device is not None and message.interface in (CHARACTERISTIC, DESCRIPTOR):
            return await device.gatt_answer(message)
        raise BusError("org.freedesktop.DBus.Error.UnknownMethod", f"{message.interface}.{member}")

    async def _adapter_answer(self, message: Message) -> Answer:
        sender = message.sender or ""
        match message.member:
            case "SetDiscoveryFilter":
                wanted = message.body[0].get("UUIDs")
                self._filters[sender] = set(wanted.value) if wanted is not None else set()
            case "StartDiscovery":
                if not self._is_powered:
                    raise BusError("NotReady", "Resource Not Ready")
                if sender in self._scanners:
                    raise BusError("InProgress", "Operation already in progress")
                self._scanners[sender] = self._filters.get(sender, set())
                self._scanning()
            case "StopDiscovery":
                if not self._is_powered:
                    raise BusError("NotReady", "Resource Not Ready")
                if self._scanners.pop(sender, None) is None:
                    raise BusError("Failed", "No discovery started")
                self._scanning()
            case "RemoveDevice":
                if message.body[0] not in self._devices:
                    raise BusError("DoesNotExist", "Does Not Exist")
                await self._devices[message.body[0]].let_go()
                self.bonds.discard(self._devices[message.body[0]].far.identity)
                self._remove(message.body[0])
            case _:
                raise BusError("org.freedesktop.DBus.Error.UnknownMethod", str(message.member))
        return None

    def _set(self, path: str, interface: str, name: str, value: Variant) -> None:
        if interface == ADAPTER and name == "Powered":
            self.set_powered(value.value)
        elif name in ("Trusted", "Alias", "Blocked", "Pairable", "Discoverable"):
            self.tree.change(path, interface, **{name: value})
        else:
            raise BusError("org.freedesktop.DBus.Error.PropertyReadOnly", name)

    def _left(self, client: str) -> None:
        """A client is gone: what it had asked for ends, but its links stay up, as with the real daemon."""
        self.agents.left(client)
        self._filters.pop(client, None)
        if self._scanners.pop(client, None) is not None:
            self._scanning()
        for device in self._devices.values():
            self.tree.spawn(device.left(client))

    # Devices.

    def _device_of(self, path: str) -> Device | None:
        return self._devices.get("/".join(path.split("/")[:5]))

    def _device(self, far: Far) -> Device:
        address = far.address
        if far.identity in self.bonds:
            known = [device for device in self._devices.values() if device.far is far and device.is_bonded]
            if known:
                return known[0]
            address = far.identity
        path = f"{self._adapter}/dev_{address.replace(':', '_')}"
        device = self._devices.get(path)
        if device is None:
            device = self._devices[path] = Device(self, far, address, path, self._adapter)
        return device

    def bonded(self, device: Device) -> None:
        """The hub has a key for a device now, and knows it behind its other private addresses."""
        others = [path for path, each in self._devices.items() if each.far is device.far and each is not device]
        for path in others:
            self._remove(path)
        self.bonds.add(device.far.identity)

    def _remove(self, path: str) -> None:
        self._devices.pop(path).cut()
        self._heard_s.pop(path, None)
        self.tree.remove(path)

    def _forget_adapter(self) -> None:
        self._scanners.clear()
        self._devices.clear()
        if self._scan is not None:
            self._scan.cancel()
            self._scan = None

    def _scanning(self) -> None:
        is_on = bool(self._scanners)
        if self.tree.has(self._adapter) and self.tree.get(self._adapter, ADAPTER, "Discovering") != is_on:
            self.tree.change(self._adapter, ADAPTER, Discovering=Variant("b", is_on))
        if is_on and self._scan is None:
            self._scan = self.tree.spawn(self._listen())
        elif not is_on and self._scan is not None:
            self._scan.cancel()
            self._scan = None
            asyncio.get_running_loop().call_later(self._temporary_s, self._forget_unheard)

    async def _listen(self) -> None:
        while True:
            for far in list(self.fars):
                uuids = set(far.service_uuids)
                is_wanted = any(not wanted or wanted & uuids for wanted in self._scanners.values())
                if far.is_advertising and is_wanted:
                    device = self._device(far)
                    self._heard_s[device.path] = time.monotonic()
                    await device.heard()
            self._forget_unheard()
            await asyncio.sleep(self._interval_s)

    def _forget_unheard(self) -> None:
        now_s = time.monotonic()
        for path, heard_s in list(self._heard_s.items()):
            device = self._devices.get(path)
            is_kept = device is not None and (device.is_connected or device.is_bonded)
            if device is not None and not is_kept and now_s - heard_s >= self._temporary_s:
                self._remove(path)
