"""Hub and broker are killed; nothing is lost, and no name ever stands for two readings."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

from tests.integration.conftest import Start
from tests.unit.hub.parties import (
    HubProcess,
    MeterEnd,
    Server,
    send,
    until,
)
from tests.unit.mqtt.brokers import BrokerProcess


def test_a_killed_broker_costs_nothing(broker: BrokerProcess, tmp_path: Path, started: Start) -> None:
    hub = started(HubProcess(tmp_path, broker.port))
    server = Server(broker.port)
    for number in range(1, 41):
        send(hub, number)
        if number in (10, 25):
            broker.kill()
        if number in (15, 30):
            broker.start()
    wanted = {str(number) for number in range(1, 41)}
    until(lambda: wanted <= server.results, 40)
    until(lambda: hub.waiting == 0)
    server.close()


def test_a_hub_killed_at_random_loses_nothing_and_doubles_no_name(
    broker: BrokerProcess, tmp_path: Path, started: Start
) -> None:
    hub = started(HubProcess(tmp_path, broker.port))
    server = Server(broker.port)
    chance = random.Random(20260314)
    done = threading.Event()
    sent: list[int] = []

    def stream() -> None:
        number = 0
        with MeterEnd(hub.meter_port) as meter:
            while not done.is_set():
                number += 1
                meter.send(number, 60)
                sent.append(number)

    sender = threading.Thread(target=stream)
    sender.start()
    for _ in range(5):
        enough = len(sent) + 1
        until(lambda enough=enough: len(sent) >= enough)  # type: ignore[misc]  # mypy cannot infer defaults
        time.sleep(chance.uniform(0.0, 0.3))  # where in its work the hub dies is left to chance
        hub.end()
        hub.start()
    done.set()
    sender.join(60)
    until(lambda: {str(number) for number in sent} <= server.results, 40)
    until(lambda: hub.waiting == 0)
    by_name: dict[str, set[bytes]] = {}
    for topic, payload in server.payloads:
        by_name.setdefault(topic, set()).add(payload)
    assert all(len(payloads) == 1 for payloads in by_name.values())
    server.close()
