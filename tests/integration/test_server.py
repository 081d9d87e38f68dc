"""The server on real brokers: committed first, then acknowledged, then receipted; killed and restored at will."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import Clock
from gateway.configuration import load
from gateway.mqtt import connection as connections
from gateway.mqtt import topics
from gateway.server import consumer as consuming
from gateway.server.configuration import ServerConfiguration
from gateway.server.consumer import Consumer
from gateway.server.ingest import CommitError, ingest
from gateway.store.backup import back_up, restore
from gateway.store.opening import open_store
from gateway.wire.reading import encode
from tests.unit.mqtt.brokers import KINDS, BrokerProcess, Embedded, Mosquitto
from tests.unit.server.stage import JOURNAL, NOW, OTHER_JOURNAL, Stage, reading, result
from tests.unit.server.wires import Hub, server_toml, until

Serve = Callable[..., Consumer]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "FIRST_DELAY_S", 0.05)
    monkeypatch.setattr(connections, "LONGEST_DELAY_S", 0.5)


@pytest.fixture(params=[*KINDS, "3.1.1"], ids=["mosquitto", "embedded", "mosquitto-3.1.1"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BrokerProcess]:
    broker: BrokerProcess = Mosquitto(tmp_path) if request.param == "3.1.1" else request.param(tmp_path)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[BrokerProcess]:
    broker = Mosquitto(tmp_path)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[BrokerProcess]:
    broker = Embedded(tmp_path)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def serve(stage: Stage) -> Iterator[Serve]:
    running: list[Consumer] = []

    def start(broker: BrokerProcess, **mqtt: Any) -> Consumer:
        file = stage.folder / "server.toml"
        file.write_text(server_toml(broker.port, str(stage.path)))
        configuration = load(file, ServerConfiguration)
        configuration = configuration.model_copy(update={"mqtt": configuration.mqtt.model_copy(update=mqtt)})
        consumer = Consumer(configuration, Clock(NOW))
        consumer.start()
        running.append(consumer)
        return consumer

    yield start
    for consumer in running:
        consumer.stop()
        assert consumer.failed is None


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.close()


@pytest.fixture
def hub_on() -> Iterator[Callable[..., Hub]]:
    hubs: list[Hub] = []

    def connect(broker: BrokerProcess, name: str = "home-1") -> Hub:
        hubs.append(Hub(broker.port, name))
        return hubs[-1]

    yield connect
    for hub in hubs:
        hub.close()


def readings(first: int, last: int, hub: str = "home-1", **more: Any) -> list[tuple[str, bytes]]:
    made = []
    for number in range(first, last + 1):
        what = reading(number, result(f"2026-03-{number // 24 + 1:02}T{number % 24:02}:00:00"), hub=hub, **more)
        made.append((topics.reading(hub, what.journal, number), encode(what)))
    return made


def test_what_is_published_is_stored_and_receipted_in_few_messages(
    broker: BrokerProcess, serve: Serve, stage: Stage, hub_on: Callable[..., Hub], request: pytest.FixtureRequest
) -> None:
    protocol = {"protocol": "3.1.1"} if "3.1.1" in request.node.name else {}
    serve(broker, **protocol)
    hub = hub_on(broker)
    until(lambda: hub.epochs)
    sent = readings(1, 60)
    bad = (topics.reading("home-1", OTHER_JOURNAL, 1), b"no reading")
    for topic, payload in (*sent[:30], bad, *sent[30:]):
        hub.publish(topic, payload)
    until(lambda: all(hub.holds(payload) for _topic, payload in (*sent, bad)))
    assert {hub.verdicts()[key] for key in hub.verdicts()} == {"stored", "quarantined"}
    assert list(hub.verdicts().values()).count("quarantined") == 1
    assert len(hub.receipts) < len(sent)
    assert (stage.count("reading"), stage.count("version")) == (61, 60)
    assert stage.marks() == {str(JOURNAL): 60, str(OTHER_JOURNAL): 1}
    again = len(hub.receipts)
    hub.publish(*sent[0])
    until(lambda: len(hub.receipts) > again)
    assert stage.count("reading") == 61


def test_a_birth_is_answered_with_the_epoch_and_the_marks(
    broker: BrokerProcess, serve: Serve, stage: Stage, hub_on: Callable[..., Hub]
) -> None:
    stage.take(*(reading(number, result(f"2026-03-0{number}T07:00:00")) for number in (1, 2, 4)))
    serve(broker)
    hub, stranger = hub_on(broker), hub_on(broker, "stranger")
    until(lambda: hub.epochs)
    assert [(mark.journal, mark.number) for mark in hub.epochs[-1].marks] == [(JOURNAL, 2)]
    stranger.birth()
    until(lambda: stranger.epochs)
    assert stranger.epochs[-1].epoch == hub.epochs[-1].epoch
    assert stranger.epochs[-1].marks == ()
    assert stage.count("stray") == 0


def test_nothing_is_acknowledged_while_the_store_cannot_commit_and_nothing_is_lost(
    mosquitto: BrokerProcess,
    serve: Serve,
    stage: Stage,
    hub_on: Callable[..., Hub],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    refusals = [CommitError("disk full")] * 3
    acknowledged: list[int] = []

    def failing(*arguments: Any) -> Any:
        if refusals:
            assert acknowledged == []
            raise refusals.pop()
        return ingest(*arguments)

    acknowledge = connections.Connection.acknowledge

    def noted(self: connections.Connection, token: connections.Token) -> None:
        acknowledged.append(stage.count("reading"))
        acknowledge(self, token)

    monkeypatch.setattr(consuming, "ingest", failing)
    monkeypatch.setattr(connections.Connection, "acknowledge", noted)
    monkeypatch.setattr(consuming, "FIRST_DELAY_S", 0.05)
    serve(mosquitto)
    hub = hub_on(mosquitto)
    until(lambda: hub.epochs)
    sent = readings(1, 20)
    for each in sent:
        hub.publish(*each)
    until(lambda: all(hub.holds(payload) for _topic, payload in sent))
    # Each acknowledgement came after the commit that holds its reading.
    assert all(stored >= position for position, stored in enumerate(acknowledged, 1))
    assert caplog.text.count("cannot commit (disk full)") == 3
    assert stage.count("reading") == 20


def test_what_did_not_fit_while_the_store_was_stuck_comes_again_by_itself(
    mosquitto: BrokerProcess,
    serve: Serve,
    stage: Stage,
    hub_on: Callable[..., Hub],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stuck, overrun = threading.Event(), threading.Event()

    def waiting(*arguments: Any) -> Any:
        stuck.set()
        assert overrun.wait(20)
        return ingest(*arguments)

    monkeypatch.setattr(consuming, "ingest", waiting)
    monkeypatch.setattr(consuming, "MOST_WAITING", 5)
    monkeypatch.setattr(consuming, "PATIENCE_S", 0.05)
    serve(mosquitto)
    hub = hub_on(mosquitto)
    until(lambda: hub.epochs)
    sent = readings(1, 60)
    for each in sent:
        hub.publish(*each)
    assert stuck.wait(20)
    until(lambda: "more arrives than can be committed" in caplog.text)
    monkeypatch.setattr(consuming, "PATIENCE_S", 5.0)  # the store is well again: no need to run over once more
    overrun.set()
    until(lambda: stage.count("reading") == 60)
    for each in sent:  # receipts that left on the ended connection are lost; a hub asks by publishing again
        if not hub.holds(each[1]):
            hub.publish(*each)
    until(lambda: all(hub.holds(payload) for _topic, payload in sent))
    assert stage.count("reading") == 60


def test_a_broker_that_dies_and_forgets_everything_loses_nothing(
    serve: Serve, stage: Stage, hub_on: Callable[..., Hub], mosquitto: BrokerProcess
) -> None:
    serve(mosquitto)
    first = hub_on(mosquitto)
    until(lambda: first.epochs)
    sent = readings(1, 40)
    for each in sent[:20]:
        first.publish(*each)
    mosquitto.kill()
    mosquitto.start()
    second = hub_on(mosquitto)
    until(lambda: second.epochs)
    for each in sent:  # a hub publishes again what has no receipt
        second.publish(*each)
    until(lambda: all(second.holds(payload) for _topic, payload in sent))
    assert (stage.count("reading"), stage.count("version")) == (40, 40)


# ---------------------------------------------------------------- as a process


KILLED_BEFORE_ACKNOWLEDGING = """
import os, signal, sys
from gateway.cli.main import main
from gateway.mqtt.connection import Connection
def acknowledge(self, token):
    os.kill(os.getpid(), signal.SIGKILL)
Connection.acknowledge = acknowledge
sys.exit(main(sys.argv[1:]))
"""


def command(file: Path, *, fatal: bool = False) -> list[str]:
    start = ["-c", KILLED_BEFORE_ACKNOWLEDGING] if fatal else ["-m", "gateway.cli"]
    return [sys.executable, *start, "server", "run", "--config", str(file)]


def test_killed_between_commit_and_acknowledgement_nothing_is_lost_or_doubled(
    mosquitto: BrokerProcess, stage: Stage, hub_on: Callable[..., Hub]
) -> None:
    file = stage.folder / "server.toml"
    file.write_text(server_toml(mosquitto.port, str(stage.path), rig=""))
    sent = readings(1, 30)
    hub = hub_on(mosquitto)
    with subprocess.Popen(command(file, fatal=True), stderr=subprocess.DEVNULL) as doomed:
        until(lambda: hub.epochs)
        for each in sent:
            hub.publish(*each)
        assert doomed.wait(20) == -signal.SIGKILL
    committed = stage.count("reading")
    assert committed > 0
    assert hub.receipts == []
    with subprocess.Popen(command(file), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
        # No hub publishes again: the broker kept the session of this server and what it had not acknowledged.
        until(lambda: all(hub.holds(payload) for _topic, payload in sent))
        server.send_signal(signal.SIGTERM)
        out, _errors = server.communicate(timeout=20)
        assert server.returncode == 0
    assert out == b"server: running\n"
    assert (stage.count("reading"), stage.count("version")) == (30, 30)


def test_a_server_without_a_store_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text(server_toml(1, str(tmp_path / "none.db")))
    ended = subprocess.run(command(file), capture_output=True, text=True, check=False, timeout=30)
    assert ended.returncode == 1
    assert "server init" in ended.stderr


def test_no_log_line_names_a_person_or_a_value(
    mosquitto: BrokerProcess, stage: Stage, hub_on: Callable[..., Hub]
) -> None:
    file = stage.folder / "server.toml"
    text = server_toml(mosquitto.port, str(stage.path), safety="high = 5.0")
    file.write_text(text)
    hub = hub_on(mosquitto)
    secret = result("2026-03-01T07:00:00", "7.77", strip_lot="LOT4711", patient_id="MRN-0815")
    what = [
        reading(1, secret),
        reading(2, secret.model_copy(update={"strip_lot": "LOT4712"})),
        reading(3, secret, hub="unknown-hub"),
    ]
    arguments = [*command(file), "--verbose"]
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as server:
        until(lambda: hub.epochs)
        for each in what:
            hub.publish(topics.reading(each.hub, each.journal, each.number), encode(each))
        hub.publish(topics.reading("home-1", OTHER_JOURNAL, 1), b'{"inr": "7.77", "patient": "MRN-0815"}')
        until(lambda: stage.count("reading") == 4)
        server.send_signal(signal.SIGTERM)
        _out, log = server.communicate(timeout=20)
    assert "safety limits" in log
    for word in ("7.77", "LOT471", "MRN-0815", "SN000123", "Secretname", "sn000123"):
        assert word not in log


# ---------------------------------------------------------------- restore


def test_a_restored_store_asks_the_hubs_for_what_came_after_the_backup(
    serve: Serve, stage: Stage, hub_on: Callable[..., Hub], mosquitto: BrokerProcess, tmp_path: Path
) -> None:
    hub = hub_on(mosquitto)
    consumer = serve(mosquitto)
    until(lambda: hub.epochs)
    sent = readings(1, 30)
    for each in sent[:10]:
        hub.publish(*each)
    until(lambda: all(hub.holds(payload) for _topic, payload in sent[:10]))
    back_up(stage.path, tmp_path / "backup")
    for each in sent[10:]:
        hub.publish(*each)
    until(lambda: all(hub.holds(payload) for _topic, payload in sent))
    consumer.stop()
    stage.close()
    old = hub.epochs[-1].epoch
    restore(tmp_path / "backup", stage.path, "production", datetime.now(UTC), replace=True)
    serve(mosquitto)
    until(lambda: hub.epochs[-1].epoch != old)
    assert [(mark.journal, mark.number) for mark in hub.epochs[-1].marks] == [(JOURNAL, 10)]
    already = len(hub.receipts)
    for each in sent[10:]:
        hub.publish(*each)
    new = hub.epochs[-1].epoch
    until(lambda: sum(len(told.receipts) for told in hub.receipts[already:]) >= 20)
    assert {told.epoch for told in hub.receipts[already:]} == {new}
    with closing(open_store(stage.path)) as database:
        assert tuple(database.execute("SELECT COUNT(*), COUNT(DISTINCT number) FROM reading").fetchone()) == (
            30,
            30,
        )


def test_what_an_embedded_broker_sends_unasked_is_not_taken_in(
    embedded: BrokerProcess, serve: Serve, stage: Stage, hub_on: Callable[..., Hub]
) -> None:
    first = serve(embedded)
    hub = hub_on(embedded)
    until(lambda: hub.epochs)
    first.stop()
    told = len(hub.epochs)
    serve(embedded)  # amqtt sends it the hub's retained epoch
    until(lambda: len(hub.epochs) > told)
    hub.publish(*readings(1, 1)[0])
    until(lambda: hub.receipts)
    assert (stage.count("stray"), stage.count("reading")) == (0, 1)


def test_an_embedded_broker_that_restarts_gets_the_epoch_again(
    embedded: BrokerProcess, serve: Serve, hub_on: Callable[..., Hub]
) -> None:
    serve(embedded)
    before = hub_on(embedded)
    until(lambda: before.epochs)
    embedded.kill()
    embedded.start()
    after = hub_on(embedded)
    until(lambda: after.epochs)
