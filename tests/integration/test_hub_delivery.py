"""The hub as a process between a meter and a server made by hand: publications, receipts, epochs."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from gateway.wire.reading import Reading
from tests.integration.conftest import Start
from tests.unit.hub.parties import (
    VALUE,
    HubProcess,
    MeterEnd,
    Server,
    send,
    until,
)
from tests.unit.mqtt.brokers import BrokerProcess, Mosquitto


def test_a_result_travels_and_its_receipt_comes_back(broker: BrokerProcess, tmp_path: Path, started: Start) -> None:
    hub = started(HubProcess(tmp_path, broker.port))
    server = Server(broker.port)
    send(hub, 17)
    until(lambda: server.payloads)
    topic, payload = server.payloads[0]
    reading = Reading.model_validate_json(payload)
    assert topic == f"inr/1/hub/hub-1/reading/{reading.journal}/1"
    assert reading.result is not None
    assert reading.result.inr is not None
    assert (reading.result.inr.value, reading.result.record_number) == (VALUE, "17")
    assert reading.hub_clock.synchronised is True
    until(lambda: hub.waiting == 0)
    assert "epoch      e1" in hub.ask("status")
    until(lambda: server.statuses and server.statuses[-1]["epoch"] == "e1")
    assert server.statuses[-1]["online"] is True
    began_s = time.monotonic()
    assert hub.end(signal.SIGTERM) == 0
    assert time.monotonic() - began_s < 2.0
    until(lambda: server.statuses[-1]["online"] is False)
    server.close()


def test_values_and_meters_are_told_only_on_request(mosquitto: Mosquitto, tmp_path: Path, started: Start) -> None:
    hub = started(HubProcess(tmp_path, mosquitto.port))
    server = Server(mosquitto.port)
    send(hub, 17)
    until(lambda: server.payloads)
    with MeterEnd(hub.meter_port) as meter:
        meter.message([b"H|nonsense", b"X|" + VALUE.encode(), b"L|1|N"])
    until(lambda: len(server.payloads) >= 2)
    until(lambda: hub.waiting == 0)
    said = hub.log + hub.ask("status") + hub.ask("readings") + str(server.statuses)
    for secret in (VALUE, "SN000123"):
        assert secret not in said
    whole = hub.ask("readings", "--number", "1")
    assert VALUE in whole
    assert f"|{VALUE}|".encode().hex(" ")[:11] in whole or VALUE.encode().hex(" ") in whole
    server.close()


def test_what_came_while_the_broker_was_away_comes_in_order(tmp_path: Path, started: Start) -> None:
    broker = Mosquitto(tmp_path)
    hub = started(HubProcess(tmp_path, broker.port))
    send(hub, *range(1, 31))
    assert hub.waiting == 30
    broker.start()
    server = Server(broker.port)
    until(lambda: hub.waiting == 0)
    first = {number: server.numbers.index(number) for number in range(1, 31)}
    assert sorted(first, key=first.__getitem__) == list(range(1, 31))
    server.close()
    broker.stop()


def test_a_will_speaks_for_a_killed_hub(broker: BrokerProcess, tmp_path: Path, started: Start) -> None:
    hub = started(HubProcess(tmp_path, broker.port))
    server = Server(broker.port)
    until(lambda: server.statuses and server.statuses[-1]["online"])
    hub.end()
    until(lambda: not server.statuses[-1]["online"])
    hub.start()
    until(lambda: server.statuses[-1]["online"])
    server.close()


def test_without_a_receipt_the_same_octets_come_again(mosquitto: Mosquitto, tmp_path: Path, started: Start) -> None:
    hub = started(HubProcess(tmp_path, mosquitto.port))
    server = Server(mosquitto.port, answers=False)
    send(hub, 1)
    until(lambda: len(server.payloads) >= 3)
    assert len({payload for _, payload in server.payloads}) == 1
    assert hub.waiting == 1
    server.answers = True
    until(lambda: hub.waiting == 0)
    server.close()


def test_a_receipt_for_other_octets_counts_for_nothing(
    mosquitto: Mosquitto, tmp_path: Path, started: Start
) -> None:
    hub = started(HubProcess(tmp_path, mosquitto.port))
    server = Server(mosquitto.port, answers=False)
    send(hub, 1)
    until(lambda: server.payloads)
    server.receipt(*server.payloads[0], "e1", sha256="0" * 64)
    until(lambda: "receipt_mismatch" in server.statuses[-1]["alarms"])
    assert hub.waiting == 1
    server.close()


def test_a_receipt_of_an_epoch_that_is_not_adopted_counts_for_nothing(
    mosquitto: Mosquitto, tmp_path: Path, started: Start
) -> None:
    hub = started(HubProcess(tmp_path, mosquitto.port))
    server = Server(mosquitto.port, epoch=None)
    send(hub, 1)
    until(lambda: server.payloads)
    server.receipt(*server.payloads[0], "e1")
    until(lambda: "epoch e1 are not credited" in hub.log)
    assert hub.waiting == 1
    server.epoch = "e1"
    server.announce("e1")
    until(lambda: hub.waiting == 0)
    server.close()


def test_a_restored_store_gets_what_lies_above_its_mark_and_an_old_epoch_gets_nothing(
    mosquitto: Mosquitto, tmp_path: Path, started: Start
) -> None:
    hub = started(HubProcess(tmp_path, mosquitto.port))
    server = Server(mosquitto.port)
    send(hub, *range(1, 6))
    until(lambda: hub.waiting == 0)
    before = dict(server.payloads)
    hub.end()  # adoption and receipts must both outlive it
    hub.start()
    journal = server.journal
    server.payloads.clear()
    server.epoch = "e2"
    server.announce("e2", 2, journal=journal)
    until(lambda: set(server.numbers) == {3, 4, 5})
    assert all(before[topic] == payload for topic, payload in server.payloads)
    until(lambda: hub.waiting == 0)
    server.payloads.clear()
    server.announce("e1", 0, journal=journal)
    until(lambda: "epoch e1 was left before" in hub.log)
    assert hub.waiting == 0
    assert server.payloads == []
    hub.end()
    hub.start()
    server.announce("e2", 0, journal=journal)  # the present epoch again: no reason to publish anything
    send(hub, 6)
    until(lambda: hub.waiting == 0)
    assert set(server.numbers) == {6}
    server.close()


def test_words_of_the_server_that_make_no_sense_are_ignored(
    mosquitto: Mosquitto, tmp_path: Path, started: Start
) -> None:
    hub = started(HubProcess(tmp_path, mosquitto.port))
    server = Server(mosquitto.port)
    until(lambda: "epoch e1 adopted" in hub.log)
    for topic in ("receipts", "epoch"):
        for payload in (b"", b"{", b"[1]", b"\xff\xfe", b'{"schema": "inr-gateway/receipts/9"}', b"9" * 100_000):
            server._client.publish(f"inr/1/hub/hub-1/{topic}", payload, qos=1)
    send(hub, 1)
    until(lambda: hub.waiting == 0)
    assert hub.log.count("not understood and ignored") == 12
    assert "Traceback" not in hub.log
    server.close()
