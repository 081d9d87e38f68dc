"""The simulated meter on a Bluetooth controller, by bumble: real, or a software controller on a `LocalLink`.

`Peripheral` takes any HCI source and sink, as ``bumble.transport.open_transport`` gives them, and `on_link` a
`LocalLink`. Bumble itself takes every encrypted link for authenticated, so this module keeps book of how each key
was agreed on, refuses pairing without authentication where the meter requires it, and leaves it to `Sensor` to
serve nothing on a link that is not good enough.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Final, Self, TypeVar

from bumble import att, hci, smp
from bumble.controller import Controller
from bumble.core import UUID, AdvertisingData
from bumble.device import Connection, Device, DeviceConfiguration
from bumble.gatt import (
    GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR,
    Characteristic,
    CharacteristicValue,
    Descriptor,
    Service,
)
from bumble.keys import PairingKeys
from bumble.link import LocalLink
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.transport.common import TransportSink, TransportSource

from simulators.ble import gatt
from simulators.ble.gatt import AttError, Drop, Pause, Say
from simulators.ble.instrument import Instrument
from simulators.ble.table import GHS

__all__ = ["Peripheral", "virtual_adapter"]

T = TypeVar("T")

_INPUT_OUTPUT: Final = {
    "display": PairingDelegate.IoCapability.DISPLAY_OUTPUT_ONLY,
    "keyboard": PairingDelegate.IoCapability.KEYBOARD_INPUT_ONLY,
    "comparison": PairingDelegate.IoCapability.DISPLAY_OUTPUT_AND_YES_NO_INPUT,
    "nothing": PairingDelegate.IoCapability.NO_OUTPUT_NO_INPUT,
}
_PROPERTY: Final = {
    "read": Characteristic.Properties.READ,
    "write": Characteristic.Properties.WRITE,
    "notify": Characteristic.Properties.NOTIFY,
    "indicate": Characteristic.Properties.INDICATE,
}


class Peripheral:
    """One meter at one controller. One connection at a time; it falls silent meanwhile, as meters do.

    Args:
        keystore: where bonds are kept, as bumble names it (``JsonKeyStore:FILE``); None: in memory.
        advertising_interval_ms: 20 to 10240.
    """

    def __init__(
        self,
        instrument: Instrument,
        source: TransportSource,
        sink: TransportSink,
        *,
        keystore: str | None = None,
        advertising_interval_ms: float = 100.0,
    ) -> None:
        self.instrument = instrument
        configuration = DeviceConfiguration(
            name=instrument.name,
            address=hci.Address(instrument.address),
            irk=hashlib.sha256(b"irk" + instrument.address.encode()).digest()[:16],
            le_privacy_enabled=instrument.is_private,
            keystore=keystore,
            advertising_interval_min=advertising_interval_ms,
            advertising_interval_max=advertising_interval_ms,
            advertising_data=self._advertising_data(),
            scan_response_data=bytes(
                AdvertisingData([(AdvertisingData.COMPLETE_LOCAL_NAME, instrument.name.encode())])
            ),
        )
        self.device = Device.from_config_with_hci(configuration, source, sink)
        self.device.gatt_server.max_mtu = instrument.mtu
        self.device.pairing_config_factory = self._pairing_config
        self.device.smp_manager.session_proxy = partial(_Session, self._is_strict)  # type: ignore[assignment]  # called, never subclassed
        self.device.host.long_term_key_provider = self._long_term_key
        self.device.on(Device.EVENT_CONNECTION, self._connected)
        self._characteristics: dict[str, Characteristic[bytes]] = {}
        self._configured: dict[str, bytes] = {}
        self.device.add_services([self._service(each) for each in instrument.sensor.services])
        self._connection: Connection | None = None
        self._ready = asyncio.Event()
        self._advertising = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    def on_link(
        cls,
        instrument: Instrument,
        link: LocalLink,
        *,
        keystore: str | None = None,
        advertising_interval_ms: float = 100.0,
    ) -> Self:
        """The meter at a software controller of its own."""
        controller = Controller(instrument.name, link=link)
        return cls(
            instrument,
            controller,
            controller,
            keystore=keystore,
            advertising_interval_ms=advertising_interval_ms,
        )

    @property
    def is_connected(self) -> bool:
        """Whether a hub is there."""
        return self._connection is not None

    async def switch_on(self) -> None:
        """Power the controller up and, if the meter is to be found, advertise.

        Raises:
            Exception: the controller refuses; bumble has many kinds.
        """
        await self.device.power_on()
        assert self.device.keystore is not None
        for address, keys in await self.device.keystore.get_all():
            self._remember(address, keys)
        self.instrument.woken = lambda: self._spawn(self.advertise(is_on=self.instrument.is_advertising))
        await self.advertise(is_on=self.instrument.is_advertising)

    async def switch_off(self) -> None:
        """Stop advertising, let the link go, power down."""
        await self.advertise(is_on=False)
        await self.drop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.device.power_off()

    async def advertise(self, *, is_on: bool) -> None:
        """Be found, or not."""
        self.instrument.is_advertising = is_on
        await self._advertise_as_awake()
        if self.instrument.awake_s is not None and is_on:
            self._spawn(self._fall_asleep(self.instrument.awake_s))

    async def drop(self) -> None:
        """Let the link go."""
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(hci.HCI_Error, asyncio.CancelledError):
                await connection.disconnect()

    async def _advertise_as_awake(self) -> None:
        # Bumble loses its way when advertising starts and stops at the same time.
        async with self._advertising:
            is_wanted = self._connection is None and self.instrument.is_found
            if is_wanted and not self.device.is_advertising:
                await self.device.start_advertising()
            elif not is_wanted and self.device.is_advertising:
                await self.device.stop_advertising()

    async def _fall_asleep(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await self._advertise_as_awake()

    # On the air.

    def _advertising_data(self) -> bytes:
        flags = AdvertisingData.LE_GENERAL_DISCOVERABLE_MODE_FLAG | AdvertisingData.BR_EDR_NOT_SUPPORTED_FLAG
        structures = [
            (AdvertisingData.FLAGS, bytes([flags])),
            (AdvertisingData.INCOMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS, _uuid(GHS).to_bytes()),
        ]
        for uuid, octets in self.instrument.service_data.items():
            structures.append((AdvertisingData.SERVICE_DATA_16_BIT_UUID, _uuid(uuid).to_bytes() + octets))
        return bytes(AdvertisingData(structures))

    def _connected(self, connection: Connection) -> None:
        self._connection = connection
        self._configured.clear()
        self.instrument.meets()
        sensor = self.instrument.sensor
        sensor.connected()
        sensor.woken = self._ready.set
        pump = self._spawn(self._send(connection))
        connection.on(Connection.EVENT_CONNECTION_ENCRYPTION_CHANGE, lambda: self._encrypted(connection))
        connection.on(Connection.EVENT_PAIRING_FAILURE, lambda _reason: self._failed(connection))
        connection.on(Connection.EVENT_PAIRING, lambda keys: self._remember(str(connection.peer_address), keys))

        def gone(_reason: int) -> None:
            self._connection = None
            pump.cancel()
            sensor.woken = lambda: None
            sensor.disconnected()
            self._spawn(self._advertise_as_awake())

        connection.on(Connection.EVENT_DISCONNECTION, gone)

    def _spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _send(self, connection: Connection) -> None:
        sensor, server = self.instrument.sensor, self.device.gatt_server
        while True:
            sensor.mtu = min(connection.att_mtu, self.instrument.mtu)
            step = sensor.next_step()
            match step:
                case None:
                    await self._ready.wait()
                    self._ready.clear()
                case Pause():
                    await asyncio.sleep(step.seconds)
                case Drop():
                    await connection.disconnect()
                case Say():
                    say = server.indicate_subscriber if step.is_indication else server.notify_subscriber
                    await say(connection, self._characteristics[step.uuid], step.value, force=True)
                    sensor.left(step)

    # Keys.

    def _is_strict(self) -> bool:
        security = self.instrument.security
        return security.requires == "authenticated" and security.refuses_downgrade

    def _pairing_config(self, _connection: Connection) -> PairingConfig:
        security = self.instrument.security
        return PairingConfig(
            sc=True, mitm=security.requires == "authenticated", bonding=True, delegate=_Delegate(self.instrument)
        )

    def _remember(self, address: str, keys: PairingKeys) -> None:
        if keys.ltk is not None:
            self.instrument.bonds[address] = keys.ltk.authenticated

    def _failed(self, connection: Connection) -> None:
        """Bumble would answer the next attempt on this link from the session that failed."""
        manager = self.device.smp_manager
        session = manager.sessions.get(connection.handle)
        if session is not None:
            manager.on_session_end(session)

    async def _long_term_key(self, handle: int, rand: bytes, ediv: int) -> bytes | None:
        """The key of a pairing under way, or of a bond that the meter still has."""
        connection = self._connection
        is_pairing = handle in self.device.smp_manager.sessions
        if connection is None or (not is_pairing and str(connection.peer_address) not in self.instrument.bonds):
            return None
        return await self.device.get_long_term_key(handle, rand, ediv)

    def _encrypted(self, connection: Connection) -> None:
        session = self.device.smp_manager.sessions.get(connection.handle)
        if session is not None:
            is_authenticated = session.pairing_method is not smp.PairingMethod.JUST_WORKS
        else:
            is_authenticated = self.instrument.bonds.get(str(connection.peer_address), False)
        is_encrypted = bool(connection.encryption)
        self.instrument.sensor.secured(is_encrypted=is_encrypted, is_authenticated=is_authenticated)

    # Services.

    def _service(self, service: gatt.Service) -> Service:
        made: list[Characteristic[bytes]] = []
        for each in service.characteristics:
            properties = Characteristic.Properties(0)
            for name in each.properties:
                properties |= _PROPERTY[name]
            descriptors = [
                Descriptor(_uuid(one.uuid), att.Attribute.READABLE, one.value) for one in each.descriptors
            ]
            if {"notify", "indicate"} & set(each.properties):
                descriptors.append(self._configuration(each.uuid))
            value: CharacteristicValue[bytes] = CharacteristicValue(
                read=partial(self._read, each.uuid), write=partial(self._write, each.uuid)
            )
            permissions = att.Attribute.READABLE | att.Attribute.WRITEABLE
            characteristic: Characteristic[bytes] = Characteristic(
                _uuid(each.uuid), properties, permissions, value, descriptors
            )
            made.append(characteristic)
            self._characteristics[each.uuid] = characteristic
        return Service(_uuid(service.uuid), made)

    def _configuration(self, uuid: str) -> Descriptor:
        def write(_connection: Connection, value: bytes) -> None:
            self._guarded(partial(self.instrument.sensor.subscribe, uuid, value[0] & 3 if value else 0))
            self._configured[uuid] = value
            self._ready.set()

        permissions = att.Attribute.READABLE | att.Attribute.WRITEABLE
        value: CharacteristicValue[bytes] = CharacteristicValue(
            read=lambda _: self._configured.get(uuid, b"\0\0"), write=write
        )
        return Descriptor(GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR, permissions, value)

    def _read(self, uuid: str, _connection: Connection) -> bytes:
        return self._guarded(partial(self.instrument.sensor.read, uuid))

    def _write(self, uuid: str, _connection: Connection, value: bytes) -> None:
        self._guarded(partial(self.instrument.sensor.write, uuid, value))

    @staticmethod
    def _guarded(work: Callable[[], T]) -> T:
        try:
            return work()
        except AttError as error:
            raise att.ATT_Error(att.ErrorCode(error.code)) from error


class _Delegate(PairingDelegate):
    """The person who holds the meter."""

    def __init__(self, instrument: Instrument) -> None:
        super().__init__(_INPUT_OUTPUT[instrument.security.input_output])
        self._instrument = instrument

    async def generate_passkey(self) -> int:
        return self._instrument.passkey()

    async def display_number(self, number: int, digits: int = 6) -> None:  # noqa: ARG002 - always six
        await self._instrument.person.sees(number)

    async def get_number(self) -> int | None:
        return await self._instrument.person.types()

    async def compare_numbers(self, number: int, digits: int) -> bool:  # noqa: ARG002 - always six
        return await self._instrument.person.compares(number)


class _Session(smp.Session):
    """A pairing that ends where it would be less than the meter requires."""

    def __init__(self, is_strict: Callable[[], bool], *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]  # passed on as they came
        self._is_strict = is_strict

    def send_pairing_response_command(self) -> None:
        """Refuse before a key is agreed on (Core, vol. 3, part H, 3.5.5: authentication requirements)."""
        if self._is_strict() and (self.pairing_method is smp.PairingMethod.JUST_WORKS or not self.sc):
            self.send_pairing_failed(smp.ErrorCode.AUTHENTICATION_REQUIREMENTS)
            return
        super().send_pairing_response_command()


def virtual_adapter(source: TransportSource, sink: TransportSink, link: LocalLink) -> Controller:
    """A software controller for a host that drives it over a transport, as this kernel does over ``/dev/vhci``.

    Meters on the same link are in its range.
    """
    controller = Controller("adapter", host_source=source, host_sink=sink, link=link)
    # With these Linux insists on the enhanced connection event, which bumble 0.0.236 does not send.
    controller.le_features &= ~(hci.LeFeatureMask.LL_PRIVACY | hci.LeFeatureMask.LE_EXTENDED_ADVERTISING)
    return controller


def _uuid(uuid: str) -> UUID:
    number = gatt.short(uuid)
    return UUID(uuid) if number is None else UUID.from_16_bits(number)
