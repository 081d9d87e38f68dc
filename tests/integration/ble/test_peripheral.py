"""The simulated meter on a software controller: a bumble central pairs with it and reads it, all in one process."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from simulators.ble.dialect import Fault
from simulators.ble.direct import Capability, Hub, KeyMissingError, Link, PairingFailedError
from simulators.ble.gatt import AttError, AttErrorCode
from simulators.ble.instrument import Instrument
from simulators.ble.scenario import BleScenario
from simulators.ble.table import CONTROL_POINT, ELAPSED_TIME, FEATURES, GHS, LIVE, RACP, STORED
from simulators.ledger import Ledger
from simulators.meter import Entry

pytest.importorskip("bumble", reason="the extra 'rig' is not installed: there is no bumble")

from bumble.core import AdvertisingData
from bumble.link import LocalLink

from simulators.ble.central import OverBumble
from simulators.ble.peripheral import Peripheral

HUB = "C0:00:00:00:00:01"
ALL = b"\x07\x01"


class Agent:
    """The person at the hub, who reads the meter's display."""

    def __init__(self, meter: Instrument, capability: Capability = "KeyboardDisplay") -> None:
        self.capability: Capability = capability
        self.asked: list[str] = []
        self.mistyped = 0
        self._meter = meter

    async def request_passkey(self) -> int:
        self.asked.append("passkey")
        async with asyncio.timeout(5):
            while self._meter.person.shown is None:
                await asyncio.sleep(0)
        return self._meter.person.shown ^ self.mistyped

    async def display_passkey(self, passkey: int) -> None:
        self.asked.append("display")
        self._meter.person.told.put_nowait(passkey)

    async def confirm(self, number: int) -> None:
        self.asked.append("confirm")
        async with asyncio.timeout(5):
            while self._meter.person.shown is None:
                await asyncio.sleep(0)
        if number != self._meter.person.shown:
            raise PairingFailedError("the numbers differ")

    async def authorize(self) -> None:
        self.asked.append("authorize")


class Pair:
    """A meter on the air and a hub in its range."""

    def __init__(self, meter: Instrument, link: LocalLink) -> None:
        self.meter = meter
        self.peripheral = Peripheral.on_link(meter, link, advertising_interval_ms=20.0)
        self.central = OverBumble(self.peripheral, link)
        self.values: list[tuple[str, bytes]] = []
        self.dropped = 0
        self._changed = asyncio.Event()

    async def connect(self) -> Link:
        return await self.central.connect(Hub(HUB, self._value, self._dropped))

    async def paired(self) -> Link:
        link = await self.connect()
        await link.pair(Agent(self.meter))
        return link

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def told(self, uuid: str) -> list[bytes]:
        return [value for which, value in self.values if which == uuid]

    async def _value(self, uuid: str, value: bytes) -> None:
        self.values.append((uuid, value))
        self._changed.set()

    def _dropped(self) -> None:
        self.dropped += 1
        self._changed.set()


Put = Callable[..., Any]


@pytest.fixture
async def put() -> AsyncIterator[Put]:
    made: list[Pair] = []

    async def on_the_air(count: int = 5, **parts: Any) -> Pair:
        start = datetime(2026, 3, 14, 12, tzinfo=UTC)
        memory = [{"at": start - timedelta(days=count - n), "inr": f"{2 + n / 100:.2f}"} for n in range(count)]
        meter = Instrument(BleScenario.model_validate({"starts": start, "memory": memory, **parts}), Ledger())
        pair = Pair(meter, LocalLink())  # type: ignore[no-untyped-call]  # bumble's
        made.append(pair)
        await pair.peripheral.switch_on()
        return pair

    yield on_the_air
    for pair in made:
        await pair.peripheral.switch_off()
        await pair.central.switch_off()


def numbers(segments: list[bytes]) -> list[int]:
    return [struct.unpack_from("<I", each, 1)[0] for each in segments if each[0] & 1]


async def listen(link: Link) -> None:
    for uuid in (STORED, LIVE, RACP, CONTROL_POINT):
        await link.subscribe(uuid, 2)


async def test_it_announces_the_inr_and_its_name(put: Put) -> None:
    pair: Pair = await put()
    data = AdvertisingData.from_bytes(pair.peripheral.device.advertising_data)
    assert data.get(AdvertisingData.SERVICE_DATA_16_BIT_UUID, raw=True) == b"\x40\x18\x01\x12\x10"
    assert pair.central.service_data == {GHS: b"\x01\x12\x10"}
    assert int(pair.meter.address[:2], 16) & 0xC0 == 0xC0


async def test_with_the_passkey_a_whole_memory_is_read(put: Put) -> None:
    pair: Pair = await put(100)
    link = await pair.connect()
    with pytest.raises(AttError) as refused:
        await link.read(FEATURES)
    assert refused.value.code == AttErrorCode.INSUFFICIENT_AUTHENTICATION
    agent = Agent(pair.meter)
    await link.pair(agent)
    assert agent.asked == ["passkey"]
    assert link.mtu == 247
    assert (await link.read(FEATURES))[2:6] == struct.pack("<I", 160260)
    assert len(await link.read(ELAPSED_TIME)) == 11
    await listen(link)
    await link.write(RACP, ALL)
    await pair.until(lambda: pair.told(RACP))
    assert numbers(pair.told(STORED)) == list(range(1, 101))
    assert pair.told(RACP) == [b"\x08\x00" + struct.pack("<I", 100)]
    await pair.until(lambda: not pair.meter.unsent)


@pytest.mark.parametrize(("input_output", "asked"), [("keyboard", "display"), ("comparison", "confirm")])
async def test_the_other_ways_to_authenticate(put: Put, input_output: str, asked: str) -> None:
    pair: Pair = await put(security={"input_output": input_output})
    link = await pair.connect()
    agent = Agent(pair.meter)
    await link.pair(agent)
    assert agent.asked == [asked]
    await link.read(FEATURES)


async def test_pairing_without_authentication_is_refused_and_nothing_served(put: Put) -> None:
    pair: Pair = await put()
    link = await pair.connect()
    with pytest.raises(PairingFailedError, match="AUTHENTICATION_REQUIREMENTS"):
        await link.pair(Agent(pair.meter, "NoInputNoOutput"))
    for attempt in (lambda: link.read(FEATURES), lambda: link.subscribe(STORED, 2), lambda: link.write(RACP, ALL)):
        with pytest.raises(AttError):
            await attempt()
    assert not pair.meter.bonds
    await link.pair(Agent(pair.meter))  # the person tries again, properly
    await link.read(FEATURES)


async def test_a_careless_meter_accepts_the_downgrade_and_still_serves_nothing(put: Put) -> None:
    pair: Pair = await put(security={"refuses_downgrade": False})
    link = await pair.connect()
    agent = Agent(pair.meter, "NoInputNoOutput")
    await link.pair(agent)
    with pytest.raises(AttError):
        await link.read(FEATURES)
    await link.disconnect()
    link = await pair.connect()
    await link.encrypt()
    with pytest.raises(AttError):
        await link.read(FEATURES)


async def test_a_wrong_passkey_fails(put: Put) -> None:
    pair: Pair = await put()
    link = await pair.connect()
    agent = Agent(pair.meter)
    agent.mistyped = 1
    with pytest.raises(PairingFailedError):
        await link.pair(agent)
    with pytest.raises(AttError):
        await link.read(FEATURES)


async def test_a_bond_is_kept_and_a_lost_one_shows(put: Put) -> None:
    pair: Pair = await put()
    await (await pair.paired()).disconnect()
    link = await pair.connect()
    await link.encrypt()
    await link.read(FEATURES)
    await link.disconnect()
    pair.meter.bonds.clear()
    link = await pair.connect()
    with pytest.raises(KeyMissingError):
        await link.encrypt()


async def test_a_test_made_now_is_indicated_at_once(put: Put) -> None:
    pair: Pair = await put()
    link = await pair.paired()
    await listen(link)
    await link.write(CONTROL_POINT, b"\x01")
    pair.meter.make(Entry(at=pair.meter.present, inr="3.3"))
    await pair.until(lambda: pair.told(LIVE))
    await link.write(RACP, b"\x07\x06")
    await pair.until(lambda: pair.told(RACP))
    (live,), (stored,) = pair.told(LIVE), pair.told(STORED)
    assert stored[1:] == struct.pack("<I", 6) + live[1:]


async def test_a_link_dropped_at_a_segment_comes_back_and_everything_arrives(put: Put) -> None:
    pair: Pair = await put(3, faults=[Fault.parse("drop:at=4")], dialect={"segment_octets": 20})
    link = await pair.paired()
    await listen(link)
    await link.write(RACP, ALL)
    await pair.until(lambda: pair.dropped)
    assert len(pair.told(STORED)) == 3
    pair.values.clear()
    link = await pair.connect()
    await link.encrypt()
    await listen(link)
    await link.write(RACP, ALL)
    await pair.until(lambda: pair.told(RACP))
    assert numbers(pair.told(STORED)) == [1, 2, 3]


async def test_a_meter_falls_asleep_and_a_test_wakes_it(put: Put) -> None:
    pair: Pair = await put(radio={"awake_s": 0.05})
    async with asyncio.timeout(5):
        while pair.peripheral.device.is_advertising:
            await asyncio.sleep(0.01)
        pair.meter.make(Entry(at=pair.meter.present, inr="3.3"))
        while not pair.peripheral.device.is_advertising:
            await asyncio.sleep(0)
