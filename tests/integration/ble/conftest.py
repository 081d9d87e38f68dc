from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drivers.contract import Advertisement, Security
from drivers.transports.base import Transport
from drivers.transports.ble import radio
from drivers.transports.ble.bonds import BondFile
from drivers.transports.ble.listener import BleListener
from drivers.transports.ble.scanner import Timing
from simulators.ble.dbus import PrivateBus
from simulators.ble.table import GHS
from tests.integration.ble.air import Air
from tests.integration.ble.home import Home

TIMING = Timing(silence_s=60, look_s=0.2, retry_s=0.1, longest_s=0.5, dark_s=0.5, stuck=3)
"""As the real one, but for people who wait for a test."""

Listen = Callable[..., BleListener]
Put = Callable[..., None]
Accept = Callable[[BleListener], Transport]


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateBus]:
    if not PrivateBus.is_possible():
        pytest.skip("no dbus-daemon on this machine: install the package dbus")
    with PrivateBus() as daemon:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", daemon.address)
        yield daemon


@pytest.fixture
def air(bus: PrivateBus) -> Iterator[Air]:
    made = Air(bus.address)
    made.start()
    yield made
    made.close()


@pytest.fixture
def bonds(tmp_path: Path) -> BondFile:
    return BondFile(tmp_path / "bonds.json")


@pytest.fixture
def put(bonds: BondFile) -> Put:
    def one(address: str, security: Security = "authenticated") -> None:
        bonds.put(address, "meter", security, at=datetime(2026, 3, 14, tzinfo=UTC), by="somebody", driver="ble_ghs")

    return one


def recognises(seen: Advertisement) -> bool:
    return GHS in seen.service_data


@pytest.fixture
def listen(bus: PrivateBus, bonds: BondFile) -> Iterator[Listen]:
    assert bus.address  # it must be there before anybody asks
    made: list[BleListener] = []

    def start(
        address: str = "ble:ghs", security: Security = "none", *, timing: Timing = TIMING, **more: object
    ) -> BleListener:
        listener = BleListener(
            address,
            recognises=recognises,
            security=security,
            bonds=bonds.path,
            timing=timing,
            **more,  # type: ignore[arg-type]  # forwarded as they are
        )
        made.append(listener)
        return listener

    yield start
    for listener in made:
        listener.close()


@pytest.fixture
def home(bus: PrivateBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    assert bus.address
    monkeypatch.setattr(radio, "Timing", lambda: TIMING)
    made = Home(tmp_path)
    made.hub.start()
    yield made
    made.hub.stop()


@pytest.fixture
def accepted() -> Iterator[Accept]:
    transports: list[Transport] = []

    def accept(listener: BleListener, timeout_s: float = 10) -> Transport:
        transport = listener.accept(timeout_s)
        assert transport is not None, listener.troubles
        transports.append(transport)
        return transport

    yield accept
    for transport in transports:
        transport.close()
