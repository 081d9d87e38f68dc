"""Bluetooth over unmodified bleak and a fake BlueZ: a memory of 100 results, and a hub that only listens.

Behind the fake stands the meter itself, or a bumble central that reaches a bumble peripheral.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from bumble.link import LocalLink

from drivers.transports.ble.bonds import BondFile
from gateway.hub.overview import overview
from simulators.ble.central import OverBumble
from simulators.ble.dbus import PrivateBus
from simulators.ble.direct import Hub
from simulators.ble.instrument import Instrument
from simulators.ble.peripheral import Peripheral
from simulators.scenario import long_use
from tests.bench.beside import rss_mib
from tests.integration.ble.air import Air, meter, until
from tests.integration.ble.test_peripheral import Agent

pytestmark = pytest.mark.bench

HUB = """\
[hub]
id = "hub-1"
zone = "America/New_York"
journal = "{folder}/journal.db"
origin = "simulator"
[mqtt]
port = 1
[[attachment]]
name = "meter"
address = "ble:ghs"
driver = "ble_ghs"
profile = "ghs_inr"
"""
RESULTS = 100
LISTEN_S = 20.0
STRANGERS = 20
Ends = list[Callable[[], Coroutine[Any, Any, None]]]


def report(text: str) -> None:
    print(f"\n    {text}", file=sys.stderr)


@pytest.fixture
def air(monkeypatch: pytest.MonkeyPatch) -> Iterator[Air]:
    if not PrivateBus.is_possible():
        pytest.skip("no dbus-daemon on this machine: install the package dbus")
    with PrivateBus() as bus:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
        made = Air(bus.address)
        made.start()
        yield made
        made.close()


@contextmanager
def hub(folder: Path) -> Iterator[int]:
    configuration = folder / "hub.toml"
    configuration.write_text(HUB.format(folder=folder), encoding="utf-8")
    words = [sys.executable, "-P", "-m", "gateway.cli", "hub", "run", "--config", str(configuration)]
    with (folder / "hub.log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        until(lambda: "hub: running" in (folder / "hub.log").read_text(), 20, "the hub running")
        yield process.pid
    finally:
        process.terminate()
        process.wait(10)


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def put_by_bumble(air: Air, instrument: Instrument) -> Ends:
    """Pair the fake's bumble central with the meter, then let the hub hear it. Returns: what switches both off."""

    async def heard(uuid: str, value: bytes) -> None:
        pass

    link = LocalLink()  # type: ignore[no-untyped-call]  # bumble's
    peripheral = Peripheral.on_link(instrument, link, advertising_interval_ms=20.0)
    await peripheral.switch_on()
    central = OverBumble(peripheral, link)
    connection = await central.connect(Hub(air.bluez.address, heard, lambda: None))
    await connection.pair(Agent(instrument))
    await connection.disconnect()
    air.bluez.bonds.add(central.identity)
    air.bluez.fars.append(central)
    return [peripheral.switch_off, central.switch_off]


@pytest.mark.parametrize("by_bumble", [False, True], ids=["the meter itself", "bumble to bumble"])
def test_a_memory_of_a_hundred(air: Air, tmp_path: Path, by_bumble: bool) -> None:
    memory = long_use(date(2026, 3, 14), RESULTS).memory
    instrument = meter(memory=memory)
    ends: Ends = []
    file = BondFile(tmp_path / "journal.bonds.json")
    file.put(instrument.address, "", "authenticated", at=datetime.now(UTC), by="bench", driver="ble_ghs")
    with hub(tmp_path):
        if by_bumble:
            ends = air.do(put_by_bumble(air, instrument))
        else:
            air.add(instrument, bonded=True)
        until(lambda: air.called("Connect"), 20)
        began_s = time.monotonic()
        journal = tmp_path / "journal.db"
        until(lambda: overview(journal).readings >= RESULTS, 60, "everything in the journal")
        taken_s = time.monotonic() - began_s
    for end in ends:
        air.do(end())
    behind = "bumble to bumble" if by_bumble else "the meter itself"
    report(f"{behind}: link up → last of {RESULTS} stored results in the journal: {taken_s:.2f} s")
    assert taken_s < 10


def test_only_listening(air: Air, tmp_path: Path) -> None:
    """Devices that are no meters, each heard several times a second: more than a home has."""
    for number in range(STRANGERS):
        serial = {"vendor": "Elsewhere", "model": "Watch", "serial": f"W{number}"}
        air.add(meter(meter=serial, radio={"announces": [0x1007]}))
    with hub(tmp_path) as pid:
        until(lambda: air.called("StartDiscovery"))
        time.sleep(1)
        before_s = cpu_s(pid)
        time.sleep(LISTEN_S)
        share = (cpu_s(pid) - before_s) / LISTEN_S
        resident = rss_mib(pid)
    report(f"only listening, {STRANGERS} strangers near: {share:.1%} of a core, {resident:.1f} MiB")
    assert share < 0.5
