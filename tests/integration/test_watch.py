"""The watch beside the server: told at once, one at a time, silent when nothing happens; hubs that are heard."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from gateway.clock import Clock, utc
from gateway.configuration import load
from gateway.hub import publisher
from gateway.hub.alarms import Alarms
from gateway.hub.configuration import Publishing
from gateway.hub.opening import open_journal
from gateway.mqtt import connection as connections
from gateway.mqtt import topics
from gateway.mqtt.configuration import Mqtt
from gateway.reporting.alerts.configuration import Alerts, Escalations, Watching
from gateway.reporting.alerts.judging import judge
from gateway.reporting.alerts.watch import Watch
from gateway.server.configuration import ServerConfiguration
from gateway.server.consumer import Consumer
from gateway.store import escalations, presence
from gateway.store.opening import open_store
from gateway.wire.reading import encode
from tests.unit.alerts.scene import STATED, STATEMENT, Scene
from tests.unit.mqtt.brokers import Embedded
from tests.unit.server.stage import NOW, reading, result
from tests.unit.server.wires import Hub, server_toml, until


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    scene.close()


@pytest.fixture
def watching() -> Iterator[Callable[..., Watch]]:
    running: list[Watch] = []

    def start(scene: Scene, **alerts: Any) -> Watch:
        settings = Watching(STATED, Escalations(), Alerts(**alerts))
        watch = Watch(scene.path, settings, Clock(scene.now), scene.role)
        watch.start()
        running.append(watch)
        return watch

    yield start
    for watch in running:
        watch.stop()
        assert watch.failed is None


def test_what_is_stored_is_escalated_as_soon_as_it_is_told(
    scene: Scene, watching: Callable[..., Watch], caplog: pytest.LogCaptureFixture
) -> None:
    watch = watching(scene, check_every_s=600)
    time_s = time.monotonic()
    scene.comes("6.1")
    watch.notify()
    until(scene.escalations, 5)
    assert time.monotonic() - time_s < 5
    until(lambda: "escalation 1 is open" in caplog.text, 5)
    for secret in ("pat", "Secretname", "6.1", "Nightshade"):
        assert secret not in caplog.text.replace(str(scene.folder), "")


def test_what_was_stored_while_it_was_away_is_judged_at_its_start(
    scene: Scene, watching: Callable[..., Watch]
) -> None:
    scene.comes("6.1")
    watching(scene, check_every_s=600)
    until(scene.escalations, 5)


def test_two_watches_open_nothing_twice_and_the_second_takes_over(
    scene: Scene, watching: Callable[..., Watch], caplog: pytest.LogCaptureFixture
) -> None:
    first, second = watching(scene), watching(scene)
    until(lambda: "standing by" in caplog.text, 5)
    scene.comes("6.1")
    for watch in (first, second):
        watch.notify()
    until(scene.escalations, 5)
    first.stop()
    scene.comes("6.2", "2026-03-14T09:00:00")
    until(lambda: len(scene.escalations()) == 2, 10)
    assert [scene.happened(each.id).count("opened") for each in scene.escalations()] == [1, 1]


def test_a_store_that_is_locked_is_met_again(
    scene: Scene, watching: Callable[..., Watch], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = threading.Event()

    def fails(*arguments: Any) -> Any:
        if not broken.is_set():
            broken.set()
            raise sqlite3.OperationalError("disk I/O error")
        return judge(*arguments)

    monkeypatch.setattr("gateway.reporting.alerts.watch.judge", fails)
    scene.comes("6.1")
    watching(scene)
    until(scene.escalations, 10)
    assert "the watch stumbled (OperationalError)" in caplog.text


def test_a_reminder_comes_by_itself(tmp_path: Path, watching: Callable[..., Watch]) -> None:
    scene = Scene(tmp_path)
    scene.comes("6.1")
    scene.look()
    scene.later(minutes=14, seconds=58)
    watching(scene, check_every_s=600)
    until(lambda: scene.happened(1) == ["opened", "reminded"], 10)
    scene.close()


def test_the_whole_server_escalates_and_keeps_names_out_of_its_log(scene: Scene, tmp_path: Path) -> None:
    broker = Embedded(tmp_path)
    broker.start()
    file = scene.folder / "server.toml"
    use = f'statement = "{STATEMENT}"\nstated_by = "Dr. Ada"\nstated_on = 2026-03-01'
    file.write_text(server_toml(broker.port, str(scene.path), intended_use=use))
    log = tmp_path / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", "server", "run", "--config", str(file)],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        until(lambda: b"server: running" in log.read_bytes(), 20)
        hub = Hub(broker.port)
        until(lambda: hub.epochs)
        what = reading(1, result(inr="6.1"))
        hub.publish(topics.reading(what.hub, what.journal, what.number), encode(what))
        hub.birth()
        until(scene.escalations, 10)
        until(lambda: presence.home_hubs(scene.database, "desk")[0].online, 10)
        hub.close()
    finally:
        server.terminate()
        server.wait(20)
        broker.stop()
    said = log.read_text()
    assert "escalation 1 is open" in said
    assert re.search(r"alert \d+ \(not_live\) is open", said)
    for secret in ("Secretname", "6.1", "Nightshade", "MRN-1", "patient pat"):
        assert secret not in said
    assert server.returncode == 0


# ---------------------------------------------------------------- hubs


def test_statuses_and_readings_are_signs_of_life(scene: Scene, tmp_path: Path) -> None:
    broker = Embedded(tmp_path)
    broker.start()
    file = scene.folder / "server.toml"
    file.write_text(server_toml(broker.port, str(scene.path)))
    consumer = Consumer(load(file, ServerConfiguration), Clock(NOW))
    consumer.start()
    hub = Hub(broker.port, "home-2")
    try:
        until(lambda: hub.epochs)
        hub.birth()
        until(lambda: presence.home_hubs(scene.database, "desk")[1].online is True)
        assert presence.home_hubs(scene.database, "desk")[0].heard_at is None
    finally:
        hub.close()
        consumer.stop()
        broker.stop()


def test_a_hub_with_nothing_new_says_now_and_then_that_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "STATUS_EVERY_S", 0.05)
    monkeypatch.setattr(publisher, "STATUS_AT_LEAST_EVERY_S", 0.3)
    monkeypatch.setattr(connections, "FIRST_DELAY_S", 0.05)
    broker = Embedded(tmp_path)
    broker.start()
    came: list[bool] = []
    listener = paho.Client(CallbackAPIVersion.VERSION2, "listener", protocol=paho.MQTTv311)
    listener.on_connect = lambda client, *_: client.subscribe(topics.status("home-9"), 1)
    listener.on_message = lambda _client, _user, message: came.append(message.retain)
    listener.connect("127.0.0.1", broker.port)
    listener.loop_start()
    journal = open_journal(tmp_path / "journal.db", NOW)
    made = publisher.Publisher("home-9", Mqtt(port=broker.port), Publishing(), journal, Alarms(), Clock(), ())
    made.start()
    try:
        until(lambda: len(came) >= 3, 10)
        assert came[-1] is False
    finally:
        made.stop()
        journal.close()
        listener.disconnect()
        listener.loop_stop()
        broker.stop()


def test_a_server_that_was_away_does_not_call_its_hubs_silent(scene: Scene, watching: Callable[..., Watch]) -> None:
    scene.now = NOW + timedelta(days=9)
    scene.comes("6.1")
    watching(scene, check_every_s=0.05)
    until(lambda: scene.alerts("no_delivery") or scene.escalations(), 5)
    assert scene.alerts("hub_silent") == []
    with closing(open_store(scene.path)) as database:
        assert escalations.listing(database)[0].opened_at >= utc(scene.now)
