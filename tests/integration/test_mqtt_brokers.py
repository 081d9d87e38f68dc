"""The connection on the brokers that we run on: Mosquitto, with the shipped configuration too, and the embedded."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.configuration import shipped
from gateway.mqtt import connection as connections
from gateway.mqtt import topics
from gateway.mqtt.configuration import Mqtt, Tls
from gateway.mqtt.connection import Arrival, Connection, Will
from tests.unit.mqtt.brokers import KINDS, BrokerProcess, Embedded, Mosquitto, free_port


def until(condition: Callable[[], object], within_s: float = 15.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "FIRST_DELAY_S", 0.05)
    monkeypatch.setattr(connections, "LONGEST_DELAY_S", 0.5)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BrokerProcess]:
    made: BrokerProcess = request.param(tmp_path)
    made.start()
    yield made
    made.stop()


class Client:
    """A connection that keeps what it gets, and acknowledges it if told so."""

    def __init__(
        self,
        settings: Mqtt,
        client_id: str,
        *filters: str,
        share: str | None = None,
        acknowledges: bool = True,
        will: Will | None = None,
    ) -> None:
        self.arrivals: list[Arrival] = []
        self.published: set[int] = set()
        self.acknowledges = acknowledges
        self._filters = filters
        self._share = share
        self.connection = Connection(
            settings,
            client_id,
            on_arrival=self._arrived,
            on_connected=self._connected,
            on_disconnected=lambda: None,
            on_published=self.published.add,
            will=will,
        )
        self.connection.start()
        until(lambda: self.connection.connected)

    def _connected(self) -> None:
        for topic in self._filters:
            self.connection.subscribe(topic, share=self._share)

    def _arrived(self, arrival: Arrival) -> None:
        self.arrivals.append(arrival)
        if self.acknowledges:
            self.connection.acknowledge(arrival.token)

    @property
    def payloads(self) -> list[bytes]:
        return [arrival.payload for arrival in self.arrivals]

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        deadline_s = time.monotonic() + 15
        while (number := self.connection.publish(topic, payload, retain=retain)) is None:
            assert time.monotonic() < deadline_s
            time.sleep(0.002)
        return number

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.stop()


def test_messages_travel_in_order_and_each_is_acknowledged(broker: BrokerProcess) -> None:
    settings = Mqtt(port=broker.port)
    with Client(settings, "server", "t/+") as server, Client(settings, "hub") as hub:
        assert hub.connection.protocol == broker.protocol
        assert hub.connection.shared_subscriptions is (broker.protocol == "5")
        hub.publish("t/first", b"first")  # the subscription may still be on its way: retried until it stands
        until(lambda: server.arrivals or (hub.publish("t/first", b"first") and False))
        server.arrivals.clear()
        numbers = {hub.publish("t/x", b"%d" % index) for index in range(200)}
        until(lambda: numbers <= hub.published)
        until(lambda: server.payloads[-200:] == [b"%d" % index for index in range(200)])


def test_what_was_not_acknowledged_comes_again_to_the_same_client(tmp_path: Path) -> None:
    """Not so on the embedded broker: there only the hub's repetition brings it back."""
    broker = Mosquitto(tmp_path)
    broker.start()
    settings = Mqtt(port=broker.port)
    with Client(settings, "hub") as hub:
        with Client(settings, "server", "t", acknowledges=False) as server:
            until(lambda: server.arrivals or (hub.publish("t", b"kept") and False))
        with Client(settings, "server", "t") as server:
            assert server.connection.session_resumed
            until(lambda: b"kept" in server.payloads)
    broker.stop()


def test_what_is_published_while_the_client_is_away_waits_for_it(broker: BrokerProcess) -> None:
    settings = Mqtt(port=broker.port)
    with Client(settings, "server", "t") as server, Client(settings, "hub") as hub:
        until(lambda: server.arrivals or (hub.publish("t", b"there?") and False))
    with Client(settings, "hub") as hub:
        numbers = {hub.publish("t", b"%d" % index) for index in range(15)}
        until(lambda: numbers <= hub.published)
        with Client(settings, "server", "t") as server:
            until(lambda: {b"%d" % index for index in range(15)} <= set(server.payloads))


def test_it_comes_back_after_the_broker_was_killed(broker: BrokerProcess) -> None:
    settings = Mqtt(port=broker.port)
    with Client(settings, "server", "t") as server, Client(settings, "hub") as hub:
        broker.kill()
        until(lambda: not hub.connection.connected and not server.connection.connected)
        assert hub.connection.publish("t", b"x") is None
        broker.start()
        until(lambda: hub.connection.connected and server.connection.connected)
        assert not hub.connection.session_resumed
        until(lambda: b"again" in server.payloads or (hub.publish("t", b"again") and False))


def test_the_last_will_speaks_for_a_killed_client(broker: BrokerProcess) -> None:
    settings = Mqtt(port=broker.port, keepalive_s=5)
    program = (
        "import sys, time\n"
        "from gateway.mqtt.configuration import Mqtt\n"
        "from gateway.mqtt.connection import Connection, Will\n"
        "def ready(): print('up', flush=True)\n"
        "c = Connection(Mqtt(port=int(sys.argv[1])), 'hub', on_arrival=print, on_connected=ready,\n"
        "               on_disconnected=ready, will=Will('status', b'gone'))\n"
        "c.start(); sys.stdin.read(); c.stop()\n"
    )
    for goodbye in (False, True):
        with subprocess.Popen(
            [sys.executable, "-c", program, str(broker.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as hub:
            assert hub.stdout is not None
            assert hub.stdout.readline() == b"up\n"
            with Client(settings, f"watch-{goodbye}", "status") as watch:
                if goodbye:
                    watch.publish("status", b"there?")
                    until(lambda: b"there?" in watch.payloads)
                    watch.arrivals.clear()
                    hub.communicate()
                    watch.publish("status", b"after")
                    until(lambda: b"after" in watch.payloads)
                    assert b"gone" not in watch.payloads
                else:
                    watch.publish("status", b"there?")
                    until(lambda: b"there?" in watch.payloads)
                    hub.kill()
                    hub.communicate()
                    until(lambda: b"gone" in watch.payloads)


def test_retained_messages_greet_who_subscribes(broker: BrokerProcess) -> None:
    settings = Mqtt(port=broker.port)
    with Client(settings, "server") as server:
        number = server.publish("epoch", b"e1", retain=True)
        until(lambda: number in server.published)
        with Client(settings, "hub", "epoch") as hub:
            until(lambda: hub.arrivals)
            assert (hub.arrivals[0].payload, hub.arrivals[0].retained) == (b"e1", True)


def test_a_shared_subscription_gives_each_message_to_one(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    broker.start()
    settings = Mqtt(port=broker.port)
    with (
        Client(settings, "s1", "t", share="servers") as one,
        Client(settings, "s2", "t", share="servers") as two,
        Client(settings, "hub") as hub,
    ):
        until(lambda: (one.arrivals and two.arrivals) or (hub.publish("t", b"there?") and False))
        before = len(one.arrivals) + len(two.arrivals)
        wanted = {b"%d" % index for index in range(100)}
        for payload in wanted:
            hub.publish("t", payload)
        until(lambda: wanted <= {*one.payloads, *two.payloads})
        assert len(one.arrivals) + len(two.arrivals) - before <= 100 + before
    broker.stop()


def test_a_second_embedded_broker_is_refused_clearly(tmp_path: Path) -> None:
    broker = Embedded(tmp_path)
    broker.start()
    second = subprocess.run(broker.command(), capture_output=True, text=True, timeout=30, check=False)
    broker.stop()
    assert second.returncode == 1
    assert f"cannot listen on 127.0.0.1:{broker.port}" in second.stderr
    assert "Traceback" not in second.stderr


def test_the_embedded_broker_outlives_nonsense(tmp_path: Path) -> None:
    import socket

    broker = Embedded(tmp_path)
    broker.start()
    for octets in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x10\xff\xff\xff\xff", b"\x10\x05\x00\x04MQTT", bytes(100)):
        with socket.create_connection(("127.0.0.1", broker.port), 5) as peer:
            peer.sendall(octets)
    settings = Mqtt(port=broker.port)
    with Client(settings, "a", "t") as one, Client(settings, "b") as two:
        until(lambda: one.arrivals or (two.publish("t", b"x") and False))
    broker.stop()
    assert "Traceback" not in broker.log


# ---------------------------------------------------------------- the shipped configuration of Mosquitto


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test authority",
            "-keyout", "ca.key", "-out", "ca.pem",
        )  # fmt: skip

    def issue(self, name: str) -> Tls:
        self._openssl(
            "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
            "-out", f"{name}.csr",
        )  # fmt: skip
        (self.folder / "san").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        self._openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "2", "-extfile", "san", "-out", f"{name}.pem",
        )  # fmt: skip
        folder = self.folder
        return Tls(ca=folder / "ca.pem", certificate=folder / f"{name}.pem", key=folder / f"{name}.key")

    def _openssl(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True, timeout=60)


@pytest.fixture
def production(tmp_path: Path) -> Iterator[tuple[Mosquitto, Authority]]:
    """Mosquitto with our shipped configuration; only port and folders are the test's own."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    authority = Authority(tmp_path / "certs")
    authority.issue("broker")
    folder = shipped() / "mosquitto"
    shutil.copy(folder / "acl", tmp_path / "acl")
    (tmp_path / "acl").chmod(0o600)
    text = (
        (folder / "mosquitto.conf")
        .read_text()
        .replace("listener 8883", "listener {port} 127.0.0.1")
        .replace("/etc/mosquitto", str(tmp_path))
        .replace("/var/lib/mosquitto/", f"{tmp_path}/")
        .replace("log_dest syslog", "log_dest stderr")
    )
    broker = Mosquitto(tmp_path, text + "\nuser root\n")
    broker.start()
    yield broker, authority
    broker.stop()


def test_each_hub_speaks_for_itself_alone(
    production: tuple[Mosquitto, Authority], caplog: pytest.LogCaptureFixture
) -> None:
    broker, authority = production

    def as_(name: str, *filters: str) -> Client:
        return Client(Mqtt(host="localhost", port=broker.port, tls=authority.issue(name)), f"id-{name}", *filters)

    with as_("inr-server", topics.READINGS, topics.STATUSES) as server, as_("hub-1", topics.epoch("hub-1")) as hub:
        until(lambda: server.arrivals or (hub.publish(topics.status("hub-1"), b"birth") and False))
        own = topics.READINGS.replace("+", "hub-1", 1).replace("+", "j", 1).replace("+", "1", 1)
        hub.publish(own, b"mine")
        until(lambda: b"mine" in server.payloads)
        hub.publish(own.replace("hub-1", "hub-2"), b"forged")
        until(lambda: "refuses a publication" in caplog.text)
        hub.publish(own, b"later")
        until(lambda: b"later" in server.payloads)
        assert b"forged" not in server.payloads
        server.publish(topics.epoch("hub-1"), b"for you", retain=True)
        until(lambda: b"for you" in hub.payloads)
        with as_("hub-2", topics.epoch("hub-1"), topics.epoch("hub-2")) as other:
            server.publish(topics.epoch("hub-2"), b"for the other", retain=True)
            until(lambda: b"for the other" in other.payloads)
            assert b"for you" not in other.payloads


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket")
def test_without_a_certificate_nobody_gets_in(
    production: tuple[Mosquitto, Authority], caplog: pytest.LogCaptureFixture
) -> None:
    broker, authority = production
    stranger = Authority(authority.folder.parent / "strangers").issue("hub-1")
    own_authority = authority.folder / "ca.pem"
    for tls in (
        Tls(ca=own_authority),
        Tls(ca=own_authority, certificate=stranger.certificate, key=stranger.key),
        stranger,
        None,
    ):
        settings = Mqtt(host="localhost", port=broker.port, tls=tls)
        caplog.clear()
        connection = Connection(
            settings, "x", on_arrival=print, on_connected=lambda: None, on_disconnected=lambda: None
        )
        connection.start()
        until(lambda: "not made" in caplog.text or "lost" in caplog.text)
        assert not connection.connected
        connection.stop()


def test_a_password_is_read_from_its_file(tmp_path: Path) -> None:
    if shutil.which("mosquitto_passwd") is None:
        pytest.skip("mosquitto_passwd is not installed")
    subprocess.run(
        ["mosquitto_passwd", "-b", "-c", str(tmp_path / "passwords"), "hub-1", "secret"], check=True, timeout=30
    )
    (tmp_path / "passwords").chmod(0o644)
    text = f"listener {{port}} 127.0.0.1\nallow_anonymous false\npassword_file {tmp_path}/passwords\nuser root\n"
    broker = Mosquitto(tmp_path, text)
    broker.start()
    file = tmp_path / "password"
    file.write_text("secret\n")
    with Client(Mqtt(port=broker.port, username="hub-1", password_file=file), "hub-1") as hub:
        assert hub.connection.protocol == "5"
    broker.stop()


def test_a_broker_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    port = free_port()
    connection = Connection(
        Mqtt(port=port), "x", on_arrival=print, on_connected=lambda: None, on_disconnected=lambda: None
    )
    connection.start()
    broker = Mosquitto(tmp_path, f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    broker.port = port
    broker.start()
    until(lambda: connection.connected)
    connection.stop()
    broker.stop()
