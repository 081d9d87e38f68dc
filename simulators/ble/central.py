"""A bumble central that reaches the bumble peripheral over a `LocalLink`: real ATT and SMP octets under BlueZ.

`OverBumble` stands where `simulators.ble.direct.Direct` stands.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Iterator, Mapping
from typing import Final

from bumble import hci
from bumble.controller import Controller
from bumble.core import UUID, BaseBumbleError, ProtocolError
from bumble.device import Connection, Device, DeviceConfiguration, Peer
from bumble.gatt_client import CharacteristicProxy
from bumble.link import LocalLink
from bumble.pairing import PairingConfig, PairingDelegate

from simulators.ble.direct import Agent, Hub, KeyMissingError, Link, LinkLostError, PairingFailedError
from simulators.ble.gatt import AttError, AttErrorCode, Service
from simulators.ble.peripheral import Peripheral
from simulators.ble.table import GHS

__all__ = ["OverBumble"]

_ADDRESS: Final = "C0:00:00:00:00:01"
_CAPABILITY: Final = {
    "DisplayOnly": PairingDelegate.IoCapability.DISPLAY_OUTPUT_ONLY,
    "DisplayYesNo": PairingDelegate.IoCapability.DISPLAY_OUTPUT_AND_YES_NO_INPUT,
    "KeyboardOnly": PairingDelegate.IoCapability.KEYBOARD_INPUT_ONLY,
    "NoInputNoOutput": PairingDelegate.IoCapability.NO_OUTPUT_NO_INPUT,
    "KeyboardDisplay": PairingDelegate.IoCapability.DISPLAY_OUTPUT_AND_KEYBOARD_INPUT,
}
_LONGEST_MTU: Final = 517


class OverBumble:
    """A meter on a link, seen from a central of its own."""

    def __init__(self, peripheral: Peripheral, link: LocalLink) -> None:
        instrument = peripheral.instrument
        self.address = self.identity = instrument.address
        self.name = instrument.name
        self.service_data: Mapping[str, bytes] = instrument.service_data
        self.service_uuids: tuple[str, ...] = (GHS,)
        self._peripheral = peripheral
        controller = Controller("central", link=link)
        configuration = DeviceConfiguration(name="central", address=hci.Address(_ADDRESS))
        self._central = Device.from_config_with_hci(configuration, controller, controller)

    @property
    def is_advertising(self) -> bool:
        """Whether the peripheral is heard."""
        return bool(self._peripheral.device.is_advertising)

    async def connect(self, hub: Hub) -> Link:
        """Connect, agree on an MTU, discover; raises LinkLostError."""
        if not self._central.powered_on:
            await self._central.power_on()
        try:
            connection = await self._central.connect(hci.Address(self.address), timeout=5)
            peer = Peer(connection)
            mtu = await peer.request_mtu(_LONGEST_MTU)
            await peer.discover_all()  # type: ignore[no-untyped-call]  # bumble's
        except (BaseBumbleError, TimeoutError) as error:
            raise LinkLostError from error
        connection.on(Connection.EVENT_DISCONNECTION, lambda _reason: hub.dropped())
        return _BumbleLink(self._central, connection, peer, mtu, hub, self._peripheral.instrument.sensor.services)

    async def switch_off(self) -> None:
        """Power the central down."""
        if self._central.powered_on:
            await self._central.power_off()


class _BumbleLink:
    def __init__(
        self, central: Device, connection: Connection, peer: Peer, mtu: int, hub: Hub, services: tuple[Service, ...]
    ) -> None:
        self.mtu = mtu
        self.services = services
        self._central = central
        self._connection = connection
        self._values: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self._pump = asyncio.ensure_future(self._pass_on(hub))
        connection.on(Connection.EVENT_DISCONNECTION, lambda _reason: self._pump.cancel())
        found = {
            bytes(proxy.uuid.to_bytes(force_128=True)): proxy
            for service in peer.services
            for proxy in service.characteristics
        }
        self._proxies: dict[str, CharacteristicProxy[bytes]] = {
            each.uuid: found[UUID(each.uuid).to_bytes(force_128=True)]
            for service in services
            for each in service.characteristics
        }

    async def read(self, uuid: str) -> bytes:
        with _as_ours():
            return bytes(await self._proxies[uuid].read_value())

    async def write(self, uuid: str, value: bytes) -> None:
        with _as_ours():
            await self._proxies[uuid].write_value(value, with_response=True)

    async def subscribe(self, uuid: str, bits: int) -> None:
        proxy = self._proxies[uuid]
        with _as_ours():
            if bits:
                await proxy.subscribe(lambda value: self._values.put_nowait((uuid, bytes(value))))
            else:
                await proxy.unsubscribe()

    async def pair(self, agent: Agent) -> None:
        asks = agent.capability != "NoInputNoOutput"
        self._central.pairing_config_factory = lambda _connection: PairingConfig(
            sc=True, mitm=asks, bonding=True, delegate=_Delegate(agent)
        )
        try:
            await self._connection.pair()
        except (BaseBumbleError, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and self._connection in self._connections:
                raise
            raise PairingFailedError(str(error)) from error

    async def encrypt(self) -> None:
        try:
            await self._connection.encrypt()
        except (BaseBumbleError, asyncio.CancelledError) as error:
            await self.disconnect()
            raise KeyMissingError from error

    async def disconnect(self) -> None:
        if self._connection in self._connections:
            with contextlib.suppress(BaseBumbleError, asyncio.CancelledError):
                await self._connection.disconnect()

    @property
    def _connections(self) -> list[Connection]:
        return list(self._central.connections.values())

    async def _pass_on(self, hub: Hub) -> None:
        """Bumble confirms an indication as soon as it arrives, as radio stacks do; the hub gets it afterwards."""
        while True:
            await hub.value(*await self._values.get())


class _Delegate(PairingDelegate):
    """The agent at the hub, as bumble asks it."""

    def __init__(self, agent: Agent) -> None:
        super().__init__(_CAPABILITY[agent.capability])
        self._agent = agent

    async def confirm(self, auto: bool = False) -> bool:  # noqa: ARG002 - bumble's signature
        return await _agreed(self._agent.authorize())

    async def compare_numbers(self, number: int, digits: int) -> bool:  # noqa: ARG002 - always six
        return await _agreed(self._agent.confirm(number))

    async def get_number(self) -> int | None:
        try:
            return await self._agent.request_passkey()
        except PairingFailedError:
            return None

    async def display_number(self, number: int, digits: int = 6) -> None:  # noqa: ARG002 - always six
        with contextlib.suppress(PairingFailedError):
            await self._agent.display_passkey(number)


async def _agreed(question: Awaitable[None]) -> bool:
    try:
        await question
    except PairingFailedError:
        return False
    return True


@contextlib.contextmanager
def _as_ours() -> Iterator[None]:
    """Bumble's errors under the names used here."""
    try:
        yield
    except ProtocolError as error:
        raise AttError(AttErrorCode(error.error_code or 0)) from error
    except (BaseBumbleError, TimeoutError) as error:
        raise LinkLostError from error
