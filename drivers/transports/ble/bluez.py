"""BlueZ over a D-Bus connection of our own, for what bleak does not do: agent, adapters, bonds, restarts.

Interfaces as BlueZ documents them: org.bluez.Adapter, org.bluez.Device, org.bluez.AgentManager. Linux only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from drivers.errors import TransportError
from drivers.transports.ble.errors import explained, no_bus

if TYPE_CHECKING:
    from dbus_fast.aio import MessageBus
    from dbus_fast.message import Message

__all__ = ["Adapter", "BlueZ"]

SERVICE: Final = "org.bluez"
ADAPTER: Final = "org.bluez.Adapter1"
DEVICE: Final = "org.bluez.Device1"
_DBUS: Final = "org.freedesktop.DBus"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_OBJECTS: Final = "org.freedesktop.DBus.ObjectManager"
CALL_S: Final = 30.0
POWER_OFF_S: Final = 1.0
_RULES: Final = (
    f"type='signal',sender='{_DBUS}',interface='{_DBUS}',member='NameOwnerChanged',arg0='{SERVICE}'",
    f"type='signal',sender='{SERVICE}',interface='{_PROPERTIES}',member='PropertiesChanged',arg0='{ADAPTER}'",
    f"type='signal',sender='{SERVICE}',interface='{_OBJECTS}',member='InterfacesRemoved'",
    f"type='signal',sender='{SERVICE}',interface='{_OBJECTS}',member='InterfacesAdded'",
)


class DBusError(Exception):
    """An error reply. Its `dbus_error` is the error's name."""

    def __init__(self, name: str, *details: object) -> None:
        super().__init__(*details)
        self.dbus_error = name


@dataclass(frozen=True, slots=True)
class Adapter:
    """A radio as BlueZ shows it."""

    path: str
    powered: bool
    discovering: bool

    @property
    def name(self) -> str:
        """As in ``hci0``."""
        return self.path.rpartition("/")[2]


class BlueZ:
    """One connection to the system bus. Everything in one event loop.

    Attributes:
        gone: BlueZ was stopped, or the bus was lost; this object is of no more use then.
        running: BlueZ is there.
        adapters_changed: set whenever an adapter came, went, or changed a property; whoever looks clears it.
        interruptions: how often an adapter was switched off or went away: BlueZ then forgets who scanned.
    """

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus
        self.gone = asyncio.Event()
        self.running = asyncio.Event()
        self.adapters_changed = asyncio.Event()
        self.interruptions = 0
        self._watcher: asyncio.Task[None] | None = None

    @classmethod
    async def opened(cls) -> BlueZ:
        """Connect.

        Raises:
            TransportError: there is no D-Bus, or it refuses.
        """
        from dbus_fast import BusType
        from dbus_fast.aio import MessageBus
        from dbus_fast.errors import AuthError, InvalidAddressError

        bus = None
        try:
            bus = MessageBus(bus_type=BusType.SYSTEM)
            async with asyncio.timeout(CALL_S):
                await bus.connect()
        except AuthError as error:
            if bus is not None:
                bus.disconnect()
            raise explained(error, "Bluetooth") from error
        except (OSError, EOFError, InvalidAddressError) as error:
            if bus is not None:
                with suppress(Exception):  # what never connected still holds a socket
                    bus.disconnect()
            raise no_bus(error) from error
        self = cls(bus)
        bus.add_message_handler(self._signalled)
        self._watcher = asyncio.create_task(self._watch())
        try:
            for rule in _RULES:
                await self.call("/org/freedesktop/DBus", _DBUS, "AddMatch", "s", rule, service=_DBUS)
            (owned,) = await self.call("/org/freedesktop/DBus", _DBUS, "NameHasOwner", "s", SERVICE, service=_DBUS)
        except (DBusError, TransportError) as error:
            await self.close()
            raise explained(error, "Bluetooth") from error
        if owned:
            self.running.set()
        return self

    async def close(self) -> None:
        """Disconnect; what was registered with BlueZ goes with it."""
        self.gone.set()
        self._bus.disconnect()
        if self._watcher is not None:
            await self._watcher

    async def call(
        self, path: str, interface: str, member: str, signature: str = "", *body: Any, service: str = SERVICE
    ) -> list[Any]:
        """Call a method and give the values of its answer, variants unpacked.

        Raises:
            DBusError: it answers with an error.
            TransportError: it does not answer.
        """
        from dbus_fast import Message, MessageType, unpack_variants

        message = Message(
            destination=service,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=list(body),
        )
        try:
            async with asyncio.timeout(CALL_S):
                reply = await self._bus.call(message)
        except (OSError, EOFError) as error:
            raise no_bus(error) from error
        if reply.message_type is MessageType.ERROR:
            raise DBusError(reply.error_name or "", *reply.body)
        return list(unpack_variants(reply.body))

    def handle(self, handler: Callable[[Message], bool | None]) -> None:
        """Give every incoming message to this function, as `dbus_fast` describes it."""
        self._bus.add_message_handler(handler)

    def send(self, message: Message) -> None:
        """Send a message that needs no answer."""
        if self._bus.connected:
            self._bus.send(message)

    async def objects(self) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
        """Everything BlueZ knows: path, interface, properties. Raises like `call`."""
        (found,) = await self.call("/", _OBJECTS, "GetManagedObjects")
        return dict(found)

    async def adapters(self) -> list[Adapter]:
        """The radios that can be used for meters, by path. Raises like `call`."""
        found = []
        for path, interfaces in sorted((await self.objects()).items()):
            properties = interfaces.get(ADAPTER)
            if properties is not None and "central" in properties.get("Roles", ("central",)):
                found.append(Adapter(path, bool(properties.get("Powered")), bool(properties.get("Discovering"))))
        return found

    async def devices(self) -> dict[str, Mapping[str, Any]]:
        """Properties of all devices by path. Raises like `call`."""
        return {path: found[DEVICE] for path, found in (await self.objects()).items() if DEVICE in found}

    async def forget(self, address: str) -> bool:
        """Remove a device with its keys; whether there was one. Raises like `call`."""
        for path, properties in (await self.devices()).items():
            if str(properties.get("Address", "")).upper() == address.upper():
                await self.call(str(properties["Adapter"]), ADAPTER, "RemoveDevice", "o", path)
                return True
        return False

    async def power_cycle(self, adapter: Adapter) -> None:
        """Switch a radio off and on: the way out when BlueZ's idea of its state is stuck. Raises like `call`."""
        from dbus_fast import Variant

        for powered in (False, True):
            await self.call(adapter.path, _PROPERTIES, "Set", "ssv", ADAPTER, "Powered", Variant("b", powered))
            await asyncio.sleep(POWER_OFF_S)

    def _signalled(self, message: Message) -> bool | None:
        if message.member == "NameOwnerChanged" and message.body[0] == SERVICE:
            if message.body[1]:
                self.gone.set()  # even if another one took the name at once: it knows nothing of ours
            else:
                self.running.set()
        elif message.member in ("InterfacesAdded", "InterfacesRemoved"):
            if ADAPTER in message.body[1]:
                self.interruptions += message.member == "InterfacesRemoved"
                self.adapters_changed.set()
        elif message.member == "PropertiesChanged" and message.body[0] == ADAPTER:
            powered = message.body[1].get("Powered")
            self.interruptions += powered is not None and not powered.value
            self.adapters_changed.set()
        return None

    async def _watch(self) -> None:
        with suppress(Exception):  # it raises whatever broke the connection
            await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]  # dbus-fast forgot it
        self.gone.set()
        self.adapters_changed.set()
