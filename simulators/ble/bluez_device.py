"""One device as BlueZ shows it: org.bluez.Device1 and, once connected, its GATT services."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Final

from dbus_fast import Message, MessageType, Variant

from simulators.ble.bluez_agent import AgentOverBus
from simulators.ble.dbus import Answer, BusError
from simulators.ble.direct import Far, Hub, KeyMissingError, Link, LinkLostError, PairingFailedError
from simulators.ble.gatt import AttError, AttErrorCode, Characteristic, uuid16

if TYPE_CHECKING:
    from simulators.ble.bluez import FakeBlueZ

__all__ = ["CHARACTERISTIC", "DESCRIPTOR", "DEVICE", "Device"]

DEVICE: Final = "org.bluez.Device1"
SERVICE: Final = "org.bluez.GattService1"
CHARACTERISTIC: Final = "org.bluez.GattCharacteristic1"
DESCRIPTOR: Final = "org.bluez.GattDescriptor1"
_CCCD: Final = uuid16(0x2902)
_NEEDS_KEY: Final = (AttErrorCode.INSUFFICIENT_AUTHENTICATION, AttErrorCode.INSUFFICIENT_ENCRYPTION)


class Device:
    """A device the daemon knows. It stands in the tree from its creation until the daemon removes it."""

    def __init__(self, daemon: FakeBlueZ, far: Far, address: str, path: str, adapter: str) -> None:
        self.far = far
        self.path = path
        self._daemon = daemon
        self._tree = daemon.tree
        self._link: Link | None = None
        self._capability = daemon.agents.capability
        self._characteristics: dict[str, Characteristic] = {}
        self._descriptors: dict[str, bytes] = {}
        self._notified: dict[str, set[str]] = {}
        self._acquired: dict[str, tuple[str, socket.socket]] = {}
        self._pairing: asyncio.Task[None] | None = None
        self._tree.add(path, {DEVICE: self._properties(address, adapter)})

    def _properties(self, address: str, adapter: str) -> dict[str, Variant]:
        far, is_bonded = self.far, self.is_bonded
        data = {uuid: Variant("ay", octets) for uuid, octets in far.service_data.items()}
        return {
            "Address": Variant("s", address),
            "AddressType": Variant("s", "random"),
            "Name": Variant("s", far.name),
            "Alias": Variant("s", far.name),
            "Paired": Variant("b", is_bonded),
            "Bonded": Variant("b", is_bonded),
            "Trusted": Variant("b", False),
            "Blocked": Variant("b", False),
            "LegacyPairing": Variant("b", False),
            "Connected": Variant("b", False),
            "ServicesResolved": Variant("b", False),
            "UUIDs": Variant("as", list(far.service_uuids)),
            "ServiceData": Variant("a{sv}", data),
            "Adapter": Variant("o", adapter),
            "RSSI": Variant("n", -50),
        }

    @property
    def is_bonded(self) -> bool:
        """Whether the hub has a key for it."""
        return self.far.identity in self._daemon.bonds

    @property
    def is_connected(self) -> bool:
        """Whether there is a link."""
        return self._link is not None

    async def heard(self) -> None:
        """An advertisement came in."""
        await self._tree.change(self.path, DEVICE, RSSI=Variant("n", -50))

    async def flash(self) -> None:
        """The link comes up and goes at once, before anything can be asked."""
        self._tree.change(self.path, DEVICE, Connected=Variant("b", True))
        await self._tree.change(self.path, DEVICE, Connected=Variant("b", False))

    async def left(self, client: str) -> None:
        """A client is gone: its notifications end."""
        for path, clients in list(self._notified.items()):
            if client in clients:
                await self._stop_notify(path, client)
        for path in [path for path, (name, _) in self._acquired.items() if name == client]:
            await self._release(path)

    # Links.

    async def answer(self, message: Message) -> Answer:
        """Calls of Device1."""
        match message.member:
            case "Connect":
                await self.connect()
            case "Disconnect":
                if self._link is None:
                    raise BusError("NotConnected", "Not Connected")
                await self.let_go()
            case "Pair":
                await self._pair(message.sender or "")
            case "CancelPairing":
                if self._pairing is None:
                    raise BusError("DoesNotExist", "Does Not Exist")
                self._pairing.cancel()
            case _:
                raise BusError("org.freedesktop.DBus.Error.UnknownMethod", str(message.member))
        return None

    async def let_go(self) -> None:
        """The hub ends the link."""
        link = self._link
        self.lost()
        if link is not None:
            await link.disconnect()

    def cut(self) -> None:
        """The link breaks at this end."""
        link = self._link
        self.lost()
        if link is not None:
            self._tree.spawn(link.disconnect())

    def lost(self) -> None:
        """The link is gone."""
        if self._pairing is not None:
            self._pairing.cancel()
        if self._link is None:
            return
        self._link = None
        for path in list(self._acquired):
            self._close(path)
        for path, clients in self._notified.items():
            if clients:
                clients.clear()
                self._tree.change(path, CHARACTERISTIC, Notifying=Variant("b", False))
        self._tree.change(self.path, DEVICE, ServicesResolved=Variant("b", False))
        self._tree.change(self.path, DEVICE, Connected=Variant("b", False))

    async def connect(self) -> None:
        """Connect, unless there is a link already; services follow."""
        if self._link is not None:
            return
        self._capability = self._daemon.agents.capability
        try:
            self._link = await self.far.connect(Hub(self._daemon.address, self._value, self.lost))
        except LinkLostError:
            raise BusError("Failed", "le-connection-abort-by-local") from None
        self._tree.change(self.path, DEVICE, Connected=Variant("b", True))
        self._tree.spawn(self._resolve(self._link))

    async def _resolve(self, link: Link) -> None:
        if self.is_bonded:
            try:
                await link.encrypt()
            except (KeyMissingError, LinkLostError):
                self.lost()
                return
        self._show(link)
        if self._link is link:
            self._tree.change(self.path, DEVICE, ServicesResolved=Variant("b", True))

    def _show(self, link: Link) -> None:
        """Services stay in the tree when the link goes, as with the real daemon's cache."""
        handle = 1
        for service in link.services:
            service_path = f"{self.path}/service{handle:04x}"
            handle += 1
            if not self._tree.has(service_path):
                properties = {"UUID": Variant("s", service.uuid), "Device": Variant("o", self.path)}
                self._tree.add(service_path, {SERVICE: {**properties, "Primary": Variant("b", True)}})
            for characteristic in service.characteristics:
                path = f"{service_path}/char{handle:04x}"
                descriptors = [(each.uuid, each.value) for each in characteristic.descriptors]
                if _cccd(characteristic):
                    descriptors.insert(0, (_CCCD, b"\0\0"))
                if not self._tree.has(path):
                    self._show_characteristic(path, service_path, characteristic, link.mtu)
                for number, (uuid, value) in enumerate(descriptors, start=handle + 2):
                    self._show_descriptor(f"{path}/desc{number:04x}", path, uuid, value)
                handle += 2 + len(descriptors)

    def _show_characteristic(self, path: str, service: str, characteristic: Characteristic, mtu: int) -> None:
        self._characteristics[path] = characteristic
        properties = {
            "UUID": Variant("s", characteristic.uuid),
            "Service": Variant("o", service),
            "Value": Variant("ay", b""),
            "Notifying": Variant("b", False),
            "Flags": Variant("as", list(characteristic.properties)),
            "MTU": Variant("q", mtu),
        }
        if _cccd(characteristic):
            properties["NotifyAcquired"] = Variant("b", False)
        self._tree.add(path, {CHARACTERISTIC: properties})

    def _show_descriptor(self, path: str, characteristic: str, uuid: str, value: bytes) -> None:
        if not self._tree.has(path):
            self._descriptors[path] = value
            properties = {"UUID": Variant("s", uuid), "Characteristic": Variant("o", characteristic)}
            self._tree.add(path, {DESCRIPTOR: {**properties, "Value": Variant("ay", b"")}})

    # Pairing.

    async def _pair(self, client: str) -> None:
        if self.is_bonded:
            raise BusError("AlreadyExists", "Already Exists")
        if self._pairing is not None:
            raise BusError("InProgress", "In Progress")
        is_ours = self._link is None
        await self.connect()
        agent = self._daemon.agents.agent(self._tree, client, self.path, capability=self._capability)
        try:
            await self._agree(agent)
        except BusError:
            if is_ours:  # the link was only made to pair
                await self.let_go()
            raise

    async def _agree(self, agent: AgentOverBus) -> None:
        link = self._link
        if link is None:
            raise BusError("AuthenticationFailed", "Authentication Failed")
        self._pairing = asyncio.ensure_future(link.pair(agent))
        try:
            await self._pairing
        except (PairingFailedError, LinkLostError):
            raise BusError("AuthenticationFailed", "Authentication Failed") from None
        except asyncio.CancelledError:
            await agent.cancel()
            raise BusError("AuthenticationCanceled", "Authentication Canceled") from None
        finally:
            self._pairing = None
        self._daemon.bonded(self)
        paired = Variant("b", True)
        self._tree.change(self.path, DEVICE, Address=Variant("s", self.far.identity), Paired=paired, Bonded=paired)

    # GATT.

    async def gatt_answer(self, message: Message) -> Answer:
        """Calls of GattCharacteristic1 and GattDescriptor1."""
        path, client = message.path or "", message.sender or ""
        if self._link is None:
            raise BusError("NotConnected", "Not Connected")
        try:
            try:
                return await self._do(message, path, client)
            except AttError as error:
                if error.code not in _NEEDS_KEY or self.is_bonded or not self._daemon.pairs_by_itself:
                    raise
                with contextlib.suppress(BusError):
                    await self._pair(client)
                return await self._do(message, path, client)
        except AttError as error:
            raise _bus_error(error.code) from None
        except LinkLostError:
            raise BusError("Failed", "Operation failed with ATT error: 0x0e") from None

    async def _do(self, message: Message, path: str, client: str) -> Answer:
        link = self._link
        if link is None:
            raise LinkLostError
        if path in self._descriptors:
            if message.member != "ReadValue":
                raise AttError(AttErrorCode.WRITE_NOT_PERMITTED)
            return "ay", [self._descriptors[path]]
        uuid = self._characteristics[path].uuid
        match message.member:
            case "ReadValue":
                value = await link.read(uuid)
                # The real daemon shows what was read as a change, too: whoever is notified gets it twice.
                self._tree.change(path, CHARACTERISTIC, Value=Variant("ay", value))
                return "ay", [value]
            case "WriteValue":
                await link.write(uuid, bytes(message.body[0]))
            case "StartNotify":
                await self._start_notify(path, client)
            case "StopNotify":
                if client not in self._notified.get(path, ()):
                    raise BusError("Failed", "No notify session started")
                await self._stop_notify(path, client)
            case "AcquireNotify":
                return await self._acquire(message, path, client)
            case _:
                raise BusError("NotSupported", "Operation is not supported")
        return None

    async def _start_notify(self, path: str, client: str) -> None:
        clients = self._notified.setdefault(path, set())
        if path in self._acquired:
            raise BusError("NotPermitted", "Notify acquired")
        if client in clients:
            raise BusError("InProgress", "In Progress")
        await self._configure(path, is_on=True)
        clients.add(client)
        self._tree.change(path, CHARACTERISTIC, Notifying=Variant("b", True))

    async def _stop_notify(self, path: str, client: str) -> None:
        clients = self._notified[path]
        clients.discard(client)
        if not clients:
            with contextlib.suppress(LinkLostError, AttError):
                await self._configure(path, is_on=False)
            self._tree.change(path, CHARACTERISTIC, Notifying=Variant("b", False))

    async def _acquire(self, message: Message, path: str, client: str) -> Message:
        if path in self._acquired or self._notified.get(path):
            raise BusError("NotPermitted", "Notify acquired")
        await self._configure(path, is_on=True)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._acquired[path] = (client, ours)
        self._tree.change(path, CHARACTERISTIC, NotifyAcquired=Variant("b", True))
        loop = asyncio.get_running_loop()
        loop.add_reader(ours.fileno(), lambda: self._tree.spawn(self._release(path)))  # the client closed its end
        return Message(
            message_type=MessageType.METHOD_RETURN,
            reply_serial=message.serial,
            destination=message.sender,
            signature="hq",
            body=[0, self._link.mtu if self._link is not None else 23],
            unix_fds=[theirs.detach()],
        )

    async def _release(self, path: str) -> None:
        if self._close(path):
            with contextlib.suppress(LinkLostError, AttError):
                await self._configure(path, is_on=False)

    def _close(self, path: str) -> bool:
        acquired = self._acquired.pop(path, None)
        if acquired is None:
            return False
        asyncio.get_running_loop().remove_reader(acquired[1].fileno())
        acquired[1].close()
        self._tree.change(path, CHARACTERISTIC, NotifyAcquired=Variant("b", False))
        return True

    async def _configure(self, path: str, *, is_on: bool) -> None:
        link, characteristic = self._link, self._characteristics[path]
        bits = _cccd(characteristic)
        if not bits:
            raise BusError("NotSupported", "Operation is not supported")
        if link is None:
            raise LinkLostError
        await link.subscribe(characteristic.uuid, bits if is_on else 0)

    async def _value(self, uuid: str, value: bytes) -> None:
        """A value came; the stack confirms an indication as soon as this returns."""
        if self._daemon.swallows:
            self._daemon.swallows -= 1
            return
        for path, characteristic in self._characteristics.items():
            if characteristic.uuid != uuid:
                continue
            if path in self._acquired:
                await asyncio.get_running_loop().sock_sendall(self._acquired[path][1], value)
            elif self._notified.get(path):
                await self._tree.change(path, CHARACTERISTIC, Value=Variant("ay", value))


def _cccd(characteristic: Characteristic) -> int:
    """What BlueZ writes to be told of values: notifications where there are any, else indications."""
    return 1 if "notify" in characteristic.properties else 2 if "indicate" in characteristic.properties else 0


def _bus_error(code: int) -> BusError:
    """How BlueZ names an ATT error (create_gatt_dbus_error of its gatt-client.c)."""
    known: dict[int, tuple[str, str]] = {
        AttErrorCode.READ_NOT_PERMITTED: ("NotPermitted", "Read not permitted"),
        AttErrorCode.WRITE_NOT_PERMITTED: ("NotPermitted", "Write not permitted"),
        AttErrorCode.INSUFFICIENT_AUTHENTICATION: ("NotPermitted", "Not paired"),
        AttErrorCode.INSUFFICIENT_ENCRYPTION: ("NotPermitted", "Not paired"),
        AttErrorCode.INVALID_LENGTH: ("InvalidArguments", "Invalid Length"),
        AttErrorCode.CCCD_IMPROPERLY_CONFIGURED: ("ImproperlyConfigured", "Improperly configured"),
    }
    return BusError(*known.get(code, ("Failed", f"Operation failed with ATT error: 0x{code:02x}")))
