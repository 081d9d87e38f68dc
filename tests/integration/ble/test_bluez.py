"""Unmodified bleak against the fake BlueZ, with the simulated meter behind it: by calls, and by bumble."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bleak import BleakClient, BleakScanner
from bleak.backends.bluezdbus.manager import _global_instances
from bleak.backends.device import BLEDevice
from bleak.exc import BleakDBusError, BleakError
from bumble.link import LocalLink
from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio import MessageBus

from simulators.ble.bluez import FakeBlueZ, PrivateBus
from simulators.ble.central import OverBumble
from simulators.ble.direct import Direct, Far
from simulators.ble.instrument import Instrument
from simulators.ble.peripheral import Peripheral
from simulators.ble.scenario import BleScenario
from simulators.ble.table import FEATURES, GHS, RACP, STORED
from simulators.ledger import Ledger

OPEN = {"requires": "none", "input_output": "nothing"}


class Agent:
    """org.bluez.Agent1 of the hub; the person reads the meter's display."""

    def __init__(self, meter: Instrument, bus: MessageBus) -> None:
        self.asked: list[str] = []
        self.answers: Callable[[int], int | None] = lambda shown: shown
        self._meter = meter
        self._bus = bus
        self._typing: asyncio.Task[None] | None = None

    def serve(self, message: Message) -> Message | bool | None:
        """A handler of messages, as a message bus takes it."""
        if message.interface != "org.bluez.Agent1" or message.message_type is not MessageType.METHOD_CALL:
            return None
        self.asked.append(str(message.member))
        if message.member == "RequestPasskey":
            self._typing = asyncio.ensure_future(self._type(message))
            return True
        if message.member == "DisplayPasskey":
            self._meter.person.told.put_nowait(message.body[1])
        return Message.new_method_return(message)

    async def _type(self, message: Message) -> None:
        async with asyncio.timeout(5):
            while self._meter.person.shown is None:
                await asyncio.sleep(0)
        passkey = self.answers(self._meter.person.shown)
        if passkey is None:
            reply = Message.new_error(message, "org.bluez.Error.Rejected", "nobody types")
        else:
            reply = Message.new_method_return(message, "u", [passkey])
        await self._bus.send(reply)


class Air:
    """The fake and what belongs to it, in the loop of the test."""

    def __init__(self, bus_address: str) -> None:
        self._address = bus_address
        self.bluez = FakeBlueZ([])
        self._buses: list[MessageBus] = []
        self._ends: list[Callable[[], Coroutine[Any, Any, None]]] = []

    async def start(self) -> None:
        await self.bluez.start(self._address)

    def meter(self, count: int = 5, **parts: Any) -> Instrument:
        start = datetime(2026, 3, 14, 12, tzinfo=UTC)
        memory = [{"at": start - timedelta(days=count - n), "inr": f"{2 + n / 100:.2f}"} for n in range(count)]
        return Instrument(BleScenario.model_validate({"starts": start, "memory": memory, **parts}), Ledger())

    async def put(self, meter: Instrument, *, by_bumble: bool = False) -> Far:
        far: Far = Direct(meter)
        if by_bumble:
            link = LocalLink()  # type: ignore[no-untyped-call]  # bumble's
            peripheral = Peripheral.on_link(meter, link, advertising_interval_ms=20.0)
            await peripheral.switch_on()
            central = OverBumble(peripheral, link)
            self._ends += [peripheral.switch_off, central.switch_off]
            far = central
        self.bluez.fars.append(far)
        return far

    async def agent(self, meter: Instrument, capability: str = "KeyboardDisplay") -> Agent:
        bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
        self._buses.append(bus)
        agent = Agent(meter, bus)
        bus.add_message_handler(agent.serve)
        for member, signature, body in (
            ("RegisterAgent", "os", ["/hub/agent", capability]),
            ("RequestDefaultAgent", "o", ["/hub/agent"]),
        ):
            reply = await bus.call(
                Message(
                    destination="org.bluez",
                    path="/org/bluez",
                    interface="org.bluez.AgentManager1",
                    member=member,
                    signature=signature,
                    body=body,
                )
            )
            assert reply.message_type is MessageType.METHOD_RETURN
        return agent

    async def stop(self) -> None:
        for end in self._ends:
            await end()
        manager = _global_instances.pop(asyncio.get_running_loop(), None)
        if manager is not None and manager._bus is not None:  # bleak keeps it for the life of the loop
            self._buses.append(manager._bus)
        for bus in self._buses:
            bus.disconnect()
            await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]  # dbus-fast's
        await self.bluez.stop()


@pytest.fixture
async def here(bus: PrivateBus) -> AsyncIterator[Air]:
    air = Air(bus.address)
    await air.start()
    yield air
    await air.stop()


async def found() -> BLEDevice:
    async with asyncio.timeout(10):
        while True:
            try:
                device = await BleakScanner.find_device_by_filter(
                    lambda _, seen: GHS in seen.service_data, timeout=5
                )
            except BleakError:  # bleak has not heard yet that the adapter is back
                await asyncio.sleep(0.01)
                continue
            assert device is not None
            return device


async def memory(client: BleakClient, *, acquires: bool = False, missing: int = 0) -> list[int]:
    segments: list[bytes] = []
    over: asyncio.Queue[bytes] = asyncio.Queue()
    bluez: Any = {"use_start_notify": not acquires}
    await client.start_notify(STORED, lambda _, value: segments.append(bytes(value)), bluez=bluez)
    await client.start_notify(RACP, lambda _, value: over.put_nowait(bytes(value)))
    await client.write_gatt_char(RACP, b"\x07\x01", response=True)
    async with asyncio.timeout(10):
        (count,) = struct.unpack_from("<I", await over.get(), 2)
        while sum(each[0] & 1 for each in segments) < count - missing:  # a descriptor is no faster than the bus
            await asyncio.sleep(0)
    return [struct.unpack_from("<I", each, 1)[0] for each in segments if each[0] & 1]


@pytest.mark.parametrize("by_bumble", [False, True])
async def test_bleak_finds_pairs_with_the_passkey_and_reads_a_memory(here: Air, by_bumble: bool) -> None:
    meter = here.meter(100)
    await here.put(meter, by_bumble=by_bumble)
    agent = await here.agent(meter)
    async with BleakClient(await found()) as client:
        here.bluez.pairs_by_itself = False
        with pytest.raises(BleakDBusError, match="Not paired"):
            await client.read_gatt_char(FEATURES)
        await client.pair()
        assert agent.asked == ["RequestPasskey"]
        assert await client.read_gatt_char(FEATURES)
        assert await memory(client) == list(range(1, 101))
    async with BleakClient(await found()) as client:  # bonded now
        assert await memory(client) == list(range(1, 101))
    assert agent.asked == ["RequestPasskey"]


async def test_values_come_through_a_file_descriptor_as_well(here: Air) -> None:
    await here.put(here.meter(300, security=OPEN))
    async with BleakClient(await found()) as client:
        assert await memory(client, acquires=True) == list(range(1, 301))


@pytest.mark.parametrize(
    ("input_output", "asked"), [("keyboard", "DisplayPasskey"), ("comparison", "RequestConfirmation")]
)
async def test_the_agent_is_asked_what_the_meter_can(here: Air, input_output: str, asked: str) -> None:
    meter = here.meter(security={"input_output": input_output})
    await here.put(meter)
    agent = await here.agent(meter)
    async with BleakClient(await found()) as client:
        await client.pair()
        assert agent.asked == [asked]
        await client.read_gatt_char(FEATURES)


@pytest.mark.parametrize("by_bumble", [False, True])
async def test_an_agent_that_comes_after_the_connection_is_too_late(here: Air, by_bumble: bool) -> None:
    meter = here.meter()
    await here.put(meter, by_bumble=by_bumble)
    async with BleakClient(await found()) as client:
        agent = await here.agent(meter)
        with pytest.raises(BleakDBusError, match="AuthenticationFailed"):
            await client.pair()
        assert "RequestPasskey" not in agent.asked
        with pytest.raises(BleakDBusError, match="Not paired"):
            await client.read_gatt_char(FEATURES)


async def test_a_careless_meter_is_paired_silently_when_there_is_no_agent(here: Air) -> None:
    meter = here.meter(security={"requires": "encrypted", "refuses_downgrade": False})
    await here.put(meter)
    async with BleakClient(await found()) as client:
        await client.pair()
        await client.read_gatt_char(FEATURES)
    assert meter.bonds == {here.bluez.address: False}


@pytest.mark.parametrize("typed", [None, 1])
async def test_a_passkey_that_is_wrong_or_not_typed_fails(here: Air, typed: int | None) -> None:
    meter = here.meter(security={"passkey": 123456})
    await here.put(meter)
    agent = await here.agent(meter)
    agent.answers = lambda _: typed
    async with BleakClient(await found()) as client:
        with pytest.raises(BleakDBusError, match="AuthenticationFailed"):
            await client.pair()
    assert not meter.bonds


async def test_a_link_that_goes_while_the_person_types_cancels_the_question(here: Air) -> None:
    meter = here.meter()
    far = await here.put(meter)
    assert isinstance(far, Direct)
    agent = await here.agent(meter)

    def walks_away(_: int) -> int:
        asyncio.get_running_loop().call_soon(far.drop)
        return 0

    agent.answers = walks_away
    async with BleakClient(await found()) as client:
        with pytest.raises(BleakDBusError, match="Authentication"):
            await client.pair()


async def test_the_adapter_goes_off_away_and_comes_back(here: Air) -> None:
    await here.put(here.meter(security=OPEN))
    client = BleakClient(await found())
    await client.connect()
    here.bluez.set_powered(False)
    async with asyncio.timeout(5):
        while client.is_connected:
            await asyncio.sleep(0)
    await client.disconnect()  # bleak keeps its own bus connection until then
    with pytest.raises(BleakError, match=r"powered|Powered"):
        await BleakScanner.discover(timeout=0.1)
    here.bluez.set_powered(True)
    await found()
    here.bluez.remove_adapter()
    async with asyncio.timeout(5):
        while True:
            try:
                await BleakScanner.discover(timeout=0.1)
            except BleakError as error:
                if "No Bluetooth adapters" in str(error):
                    break
    here.bluez.add_adapter()
    await found()


@pytest.mark.parametrize("is_crash", [False, True])
async def test_the_daemon_restarts_and_keeps_its_bonds(here: Air, is_crash: bool) -> None:
    meter = here.meter()
    await here.put(meter)
    agent = await here.agent(meter)
    async with BleakClient(await found()) as client:
        await client.pair()
    await here.bluez.stop(is_crash=is_crash)
    await here.start()
    async with BleakClient(await found()) as client:
        await client.read_gatt_char(FEATURES)
    assert agent.asked == ["RequestPasskey"]


async def test_a_bond_lost_at_the_meter_ends_the_link_and_one_lost_here_asks_again(here: Air) -> None:
    meter = here.meter()
    await here.put(meter)
    agent = await here.agent(meter)
    async with BleakClient(await found()) as client:
        await client.pair()
    meter.bonds.clear()
    with pytest.raises(BleakError):
        async with BleakClient(await found()):
            pass
    here.bluez.lose_bonds()
    async with BleakClient(await found()) as client:
        await client.pair()
        await client.read_gatt_char(FEATURES)
    assert agent.asked == ["RequestPasskey"] * 2


async def test_a_value_may_be_lost_after_the_stack_confirmed_it(here: Air) -> None:
    meter = here.meter(5, security=OPEN)
    await here.put(meter)
    async with BleakClient(await found()) as client:
        here.bluez.swallows = 1
        assert await memory(client, missing=1) == [2, 3, 4, 5]
    assert not meter.unsent


async def test_a_private_address_changes_until_the_bond_tells_who_it_is(here: Air) -> None:
    meter = here.meter(radio={"private": True})
    far = await here.put(meter)
    assert isinstance(far, Direct)
    await here.agent(meter)
    first = await found()
    assert first.address == far.address != meter.address
    far.rotate()
    async with asyncio.timeout(5):
        while (device := await found()).address == first.address:
            pass
    async with BleakClient(device) as client:
        await client.pair()
        assert client.address == meter.address
    far.rotate()
    async with BleakClient(meter.address, timeout=5) as client:
        await client.read_gatt_char(FEATURES)


async def test_two_meters_at_once(here: Air) -> None:
    for serial in ("A1", "B2"):
        await here.put(here.meter(20, meter={"serial": serial}, security=OPEN))

    async def read(device: BLEDevice) -> list[int]:
        async with BleakClient(device) as client:
            return await memory(client)

    devices = [await BleakScanner.find_device_by_address(far.address, timeout=5) for far in here.bluez.fars]
    assert await asyncio.gather(*(read(device) for device in devices if device)) == [list(range(1, 21))] * 2


async def test_a_device_that_is_not_heard_any_more_is_forgotten(bus: PrivateBus) -> None:
    air = Air(bus.address)
    air.bluez = FakeBlueZ([], temporary_s=0.05)
    await air.start()
    try:
        meter = air.meter()
        await air.put(meter)
        device = await found()
        meter.is_advertising = False
        async with asyncio.timeout(5):
            while air.bluez.tree.has(device.details["path"]):
                await asyncio.sleep(0.01)
    finally:
        await air.stop()
