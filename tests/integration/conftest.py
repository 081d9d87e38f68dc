"""Brokers and hubs for the integration tests; each test gets its own, and none outlives it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.hub.parties import HubProcess
from tests.unit.mqtt.brokers import KINDS, BrokerProcess, Mosquitto

Start = Callable[[HubProcess], HubProcess]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BrokerProcess]:
    made: BrokerProcess = request.param(tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    made = Mosquitto(tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def started() -> Iterator[Callable[[HubProcess], HubProcess]]:
    hubs: list[HubProcess] = []

    def start(hub: HubProcess) -> HubProcess:
        hub.start()
        hubs.append(hub)
        return hub

    yield start
    for hub in hubs:
        if hub.process is not None:
            hub.end()
