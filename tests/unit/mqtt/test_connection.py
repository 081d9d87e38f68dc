"""The connection against a broker that does what brokers rarely do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.configuration import ConfigurationError
from gateway.mqtt import connection as connections
from gateway.mqtt.configuration import Mqtt, Tls
from gateway.mqtt.connection import Arrival, Connection, Token, Will
from tests.unit.mqtt.scripted_broker import (
    CONNACK_3,
    CONNACK_5,
    DISCONNECT,
    PUBLISH,
    REFUSED_VERSION,
    SUBSCRIBE,
    Packet,
    Peer,
    ScriptedBroker,
    mid_of,
)


def until(condition: Callable[[], object], within_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.005)


class Client:
    """A connection and what it was told."""

    def __init__(self, port: int, **changes: object) -> None:
        self.arrivals: list[Arrival] = []
        self.published: list[int] = []
        self.connected = 0
        self.disconnected = 0
        will = changes.pop("will", None)
        receive_maximum = changes.pop("receive_maximum", None)
        assert isinstance(will, Will | None)
        assert isinstance(receive_maximum, int | None)
        self.connection = Connection(
            Mqtt.model_validate({"port": port, **changes}),
            "client-1",
            on_arrival=self.arrivals.append,
            on_connected=self._on_connected,
            on_disconnected=self._on_disconnected,
            on_published=self.published.append,
            will=will,
            receive_maximum=receive_maximum,
        )

    def _on_connected(self) -> None:
        self.connected += 1

    def _on_disconnected(self) -> None:
        self.disconnected += 1


@contextmanager
def client(port: int, **changes: object) -> Iterator[Client]:
    made = Client(port, **changes)
    made.connection.start()
    try:
        yield made
    finally:
        made.connection.stop()


def hold(peer: Peer, connack: bytes = CONNACK_5) -> list[Packet]:
    """Accept, then collect what comes until the client leaves."""
    peer.send(connack)
    packets: list[Packet] = []
    try:
        while True:
            packets.append(peer.receive())
    except EOFError:
        return packets


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "FIRST_DELAY_S", 0.02)


def test_the_session_is_never_wiped_and_has_a_will() -> None:
    with ScriptedBroker(hold) as broker:
        will = Will("hub/status", b"gone")
        with client(broker.port, will=will, session_expiry_s=77, receive_maximum=9) as it:
            until(lambda: it.connection.connected)
            assert it.connection.protocol == "5"
            assert not it.connection.session_resumed
    _, connect = broker.connects[0]
    assert connect.body[:7] == b"\x00\x04MQTT\x05"
    flags = connect.body[7]
    assert not flags & 0x02  # clean start
    assert flags & 0x3C == 0x2C  # will, QoS 1, retained
    assert b"\x11\x00\x00\x00\x4d" in connect.body  # session expiry 77 s
    assert b"\x21\x00\x09" in connect.body  # receive maximum 9
    assert b"hub/status\x00\x04gone" in connect.body


def test_the_servers_receive_maximum_bounds_what_is_in_flight() -> None:
    """MQTT 5, 3.3.4: more than that is a protocol error, for which brokers close the connection."""
    seen: list[Packet] = []
    room = threading.Event()

    def script(peer: Peer) -> None:
        peer.send(b"\x20\x06\x00\x00\x03\x21\x00\x03")  # Receive Maximum 3
        for _ in range(3):
            seen.append(peer.receive())
        room.wait(10)
        peer.puback(mid_of(seen[0]))
        seen.append(peer.receive())
        hold(peer, b"")

    with ScriptedBroker(script) as broker, client(broker.port, inflight=20) as it:
        until(lambda: it.connection.connected)
        assert it.connection.window == 3
        numbers = [it.connection.publish("t", b"%d" % index) for index in range(5)]
        assert numbers[3:] == [None, None]
        assert len({number for number in numbers if number is not None}) == 3
        until(lambda: len(seen) == 3)
        room.set()
        until(lambda: it.published == [numbers[0]])
        assert it.connection.publish("t", b"next") is not None
        until(lambda: len(seen) == 4)
    assert [packet.kind for packet in seen] == [PUBLISH] * 4


def test_what_is_too_large_for_the_broker_is_refused_here() -> None:
    maximum_100 = b"\x20\x08\x00\x00\x05\x27\x00\x00\x00\x64"
    with ScriptedBroker(lambda peer: hold(peer, maximum_100)) as broker, client(broker.port) as it:
        until(lambda: it.connection.connected)
        with pytest.raises(ValueError, match="this broker takes packets of 100"):
            it.connection.publish("topic", b"x" * 100)
        assert it.connection.publish("topic", b"x" * 50) is not None


def test_nothing_is_published_while_away() -> None:
    it = Client(1)
    assert it.connection.publish("t", b"x") is None
    assert it.connection.window == 0
    assert it.connection.protocol == ""
    it.connection.acknowledge(Token(1, 1, 1))
    it.connection.stop()


@pytest.mark.usefixtures("at_once")
def test_an_acknowledgement_of_an_earlier_connection_is_discarded() -> None:
    """Sent on the new connection it would consume the redelivery of another message under the same identifier."""
    first_gone = threading.Event()
    acknowledged: list[int] = []

    def first(peer: Peer) -> None:
        peer.send(CONNACK_5)
        peer.publish("t", b"old", 7)
        first_gone.wait(10)

    def second(peer: Peer) -> None:
        peer.send(CONNACK_5)
        peer.publish("t", b"new", 7)
        acknowledged.append(mid_of(peer.receive()))
        acknowledged.append(-1 if peer.quiet(0.2) else mid_of(peer.receive()))
        hold(peer, b"")

    with ScriptedBroker(first, second) as broker, client(broker.port) as it:
        until(lambda: len(it.arrivals) == 1)
        first_gone.set()
        until(lambda: len(it.arrivals) == 2)
        old, new = it.arrivals
        assert old.token.mid == new.token.mid == 7
        it.connection.acknowledge(old.token)
        it.connection.acknowledge(new.token)
        until(lambda: len(acknowledged) == 2)
        assert acknowledged == [7, -1]
        assert (it.connected, it.disconnected) == (2, 1)


def test_nothing_is_acknowledged_unasked() -> None:
    quiet: list[bool] = []

    def script(peer: Peer) -> None:
        peer.send(CONNACK_5)
        peer.publish("t", b"x", 1)
        quiet.append(peer.quiet(0.3))
        hold(peer, b"")

    with ScriptedBroker(script) as broker, client(broker.port) as it:
        until(lambda: quiet)
        assert quiet == [True]
        assert [arrival.payload for arrival in it.arrivals] == [b"x"]


@pytest.mark.usefixtures("at_once")
def test_nothing_is_resent_behind_the_callers_back() -> None:
    later: list[Packet] = []

    def first(peer: Peer) -> None:
        peer.send(CONNACK_5)
        peer.receive()  # the publication; never acknowledged

    def second(peer: Peer) -> None:
        later.extend(hold(peer))

    with ScriptedBroker(first, second) as broker, client(broker.port) as it:
        until(lambda: it.connection.connected)
        before = it.connection.publish("t", b"first")
        until(lambda: it.connected == 2)
        after = it.connection.publish("t", b"second")
        assert before is not None
        assert after is not None
        assert before != after
    published = [packet for packet in later if packet.kind == PUBLISH]
    assert [packet.body[-6:] for packet in published] == [b"second"]
    assert it.published == []


@pytest.mark.parametrize(
    "refuse",
    [
        pytest.param(lambda peer: peer.send(REFUSED_VERSION), id="refused in the words of 3.1.1"),
        pytest.param(lambda peer: peer.send(b"\x20\x03\x00\x84\x00"), id="refused in the words of 5"),
        pytest.param(lambda _peer: None, id="closed without a word"),
    ],
)
def test_it_falls_back_to_3_1_1_at_once(refuse: Callable[[Peer], object]) -> None:
    with ScriptedBroker(refuse, lambda peer: hold(peer, CONNACK_3)) as broker, client(broker.port) as it:
        until(lambda: it.connection.connected)
        assert it.connection.protocol == "3.1.1"
        assert not it.connection.shared_subscriptions
    (first_s, first), (second_s, second) = broker.connects
    assert (first.body[6], second.body[6]) == (5, 4)
    assert not second.body[7] & 0x02  # clean session
    assert second_s - first_s < 1.0


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(("protocol", "level"), [("5", 5), ("3.1.1", 4)])
def test_a_configured_version_is_kept(protocol: str, level: int) -> None:
    with ScriptedBroker(lambda peer: peer.send(REFUSED_VERSION)) as broker, client(broker.port, protocol=protocol):
        until(lambda: len(broker.connects) >= 3)
    assert {packet.body[6] for _, packet in broker.connects} == {level}


@pytest.mark.usefixtures("at_once")
def test_the_next_broker_is_asked_for_version_5_again() -> None:
    def leave(peer: Peer) -> None:
        peer.send(CONNACK_3)

    scripts = [lambda peer: peer.send(REFUSED_VERSION), leave, hold]
    with ScriptedBroker(*scripts) as broker, client(broker.port) as it:
        until(lambda: it.connection.protocol == "5")
    assert [packet.body[6] for _, packet in broker.connects] == [5, 4, 5]


def test_attempts_grow_rarer_and_never_coincide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "FIRST_DELAY_S", 0.05)
    monkeypatch.setattr(connections, "LONGEST_DELAY_S", 0.4)
    refuse = b"\x20\x03\x00\x88\x00"  # server unavailable
    with ScriptedBroker(lambda peer: peer.send(refuse)) as broker, client(broker.port, protocol="5"):
        until(lambda: len(broker.connects) >= 8)
    times = [moment for moment, _ in broker.connects]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    limits = [0.05, 0.1, 0.2, 0.4, 0.4, 0.4, 0.4]
    for pause, limit in zip(pauses, limits, strict=False):
        assert limit * 0.5 <= pause
    assert len(set(pauses)) == len(pauses)
    assert pauses[0] < 0.4 * 0.5  # it began short


@pytest.mark.usefixtures("at_once")
def test_octets_that_are_no_packet_end_only_the_connection() -> None:
    def nonsense(peer: Peer) -> None:
        peer.send(CONNACK_5)
        peer.send(b"\x30\xff\xff\xff\xff\xff\xff")
        peer.quiet(0.5)

    def broken_publish(peer: Peer) -> None:
        peer.send(CONNACK_5)
        peer.send(b"\x32\x03\x00\x09\x74")  # a topic longer than the packet
        peer.quiet(0.5)

    with ScriptedBroker(nonsense, broken_publish, hold) as broker, client(broker.port) as it:
        until(lambda: it.connected == 3)
        until(lambda: it.connection.connected)


def test_a_callback_that_fails_does_not_end_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    def script(peer: Peer) -> None:
        peer.send(CONNACK_5)
        peer.publish("t", b"one", 1)
        peer.publish("t", b"two", 2)
        hold(peer, b"")

    arrived: list[bytes] = []

    def fail(arrival: Arrival) -> None:
        arrived.append(arrival.payload)
        raise ZeroDivisionError

    with ScriptedBroker(script) as broker:
        connection = Connection(
            Mqtt(port=broker.port),
            "c",
            on_arrival=fail,
            on_connected=lambda: None,
            on_disconnected=lambda: None,
        )
        connection.start()
        until(lambda: len(arrived) == 2)
        connection.stop()
    assert arrived == [b"one", b"two"]
    assert "a callback of the broker connection failed" in caplog.text


def test_a_refused_subscription_is_told_and_sharing_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    asked: list[Packet] = []

    def script(peer: Peer) -> None:
        peer.send(CONNACK_5)
        for code in (0x9E, 0x01, 0x87):  # no shared subscriptions; granted; not authorised
            packet = peer.receive()
            asked.append(packet)
            peer.send(b"\x90\x04" + packet.body[:2] + b"\x00" + bytes([code]))
        hold(peer, b"")

    with ScriptedBroker(script) as broker, client(broker.port) as it:
        until(lambda: it.connection.connected)
        it.connection.subscribe("a/+", share="group")
        until(lambda: len(asked) == 2)
        it.connection.subscribe("secret")
        until(lambda: "refuses the subscription to secret" in caplog.text)
    assert [packet.kind for packet in asked] == [SUBSCRIBE] * 3
    assert b"$share/group/a/+" in asked[0].body
    assert b"\x00\x03a/+" in asked[1].body


def test_a_refused_publication_frees_its_place_and_counts_for_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def script(peer: Peer) -> None:
        peer.send(CONNACK_5)
        mid = mid_of(peer.receive())
        peer.send(b"\x40\x04" + mid.to_bytes(2) + b"\x87\x00")  # not authorised
        peer.puback(mid_of(peer.receive()))
        hold(peer, b"")

    with ScriptedBroker(script) as broker, client(broker.port, inflight=1) as it:
        until(lambda: it.connection.connected)
        it.connection.publish("t", b"1")
        until(lambda: "refuses a publication" in caplog.text)
        second = it.connection.publish("t", b"2")
        until(lambda: it.published == [second])


def test_stopping_says_goodbye_after_what_was_handed_over() -> None:
    seen: list[Packet] = []
    with ScriptedBroker(lambda peer: seen.extend(hold(peer))) as broker:
        with client(broker.port) as it:
            until(lambda: it.connection.connected)
            it.connection.publish("t", b"last")
            began_s = time.monotonic()
            it.connection.stop()
            assert time.monotonic() - began_s < 1.0
        until(lambda: len(seen) == 2)
    assert [packet.kind for packet in seen] == [PUBLISH, DISCONNECT]


def test_a_broker_that_never_answers_does_not_hold_up_the_end() -> None:
    with ScriptedBroker(lambda peer: peer.quiet(5)) as broker:
        it = Client(broker.port)
        it.connection.start()
        until(lambda: broker.connects)
        began_s = time.monotonic()
        it.connection.stop(2.0)
        assert time.monotonic() - began_s < 2.0


@pytest.mark.usefixtures("at_once")
def test_several_threads_may_publish() -> None:
    seen: list[Packet] = []

    def script(peer: Peer) -> None:
        peer.send(CONNACK_5)
        while (packet := peer.receive()).kind == PUBLISH:
            seen.append(packet)
            peer.puback(mid_of(packet))

    with ScriptedBroker(script) as broker, client(broker.port, inflight=10) as it:
        until(lambda: it.connection.connected)

        def many(name: str) -> None:
            count = 0
            while count < 100:
                if it.connection.publish(f"t/{name}", b"%d" % count) is None:
                    time.sleep(0.001)
                else:
                    count += 1

        threads = [threading.Thread(target=many, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        until(lambda: len(it.published) == 400)
    for name in "abcd":  # each thread's messages came in its order, none cut up
        own = [packet.body for packet in seen if packet.body[4:5] == name.encode()]
        assert [body.rpartition(b"\x00")[2] for body in own] == [b"%d" % index for index in range(100)]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"username": "u", "password_file": Path("/nonexistent/password")}, "mqtt.password_file"),
        ({"tls": Tls(ca=Path("/nonexistent/ca.pem"))}, "mqtt.tls"),
    ],
)
def test_files_that_cannot_be_used_are_told_at_the_start(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Client(1883, **changes)
