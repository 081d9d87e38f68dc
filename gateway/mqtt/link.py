"""One network connection to the broker, with the paho client that is used for it and for no other.

What paho 2.x does otherwise, and what stands here instead:

* Its default wipes the session at each start (``clean_start`` FIRST_ONLY): here the session is always kept.
* Its ``ack`` knows no connection: an acknowledgement of an earlier connection would consume another message. A
  link has a generation, and a `Token` of an earlier one is discarded.
* It resends by itself after a reconnect, past the in-flight limit (paho.mqtt.python#698), and queues without
  bound: a link never reconnects, and nothing waits inside paho.
* It scans all that is in flight at every PUBACK when it bounds it itself: here a counter does.
* It never reads the server's Receive Maximum: the window is the smaller of the two.
* It falls back from MQTT 3.1.1 to 3.1 unasked, and writes from whichever thread publishes: both are turned off.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

__all__ = ["Arrival", "Link", "Listener", "Offer", "Token", "Will"]

Protocol = Literal["5", "3.1.1"]

CONNECT_TIMEOUT_S = 5.0
CONNACK_TIMEOUT_S = 10.0

_log = logging.getLogger("gateway.mqtt")


@dataclass(frozen=True, slots=True)
class Token:
    """Names one arrival for its acknowledgement; opaque to everybody else."""

    generation: int
    mid: int
    qos: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message from the broker. `retained`: it stood there before, and was not published just now."""

    topic: str
    payload: bytes
    retained: bool
    token: Token


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes, retained, when this client vanishes without a word."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Listener:
    """Whom a link tells. Called in the thread that serves the link."""

    accepted: Callable[[], None]
    arrived: Callable[[Arrival], None]
    published: Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Offer:
    """What the client says in CONNECT."""

    client_id: str
    keepalive_s: int
    session_expiry_s: int
    receive_maximum: int
    username: str | None
    password: str | None
    will: Will | None
    tls: ssl.SSLContext | None


class Link:
    """A connection from CONNECT to its end.

    Attributes:
        reached: the socket opened; only then can a silent end mean *I do not speak this version*.
        session_present: the broker still had the session.
        accepted_s: monotonic time of the broker's acceptance, or None.
        ended: why it ended.
    """

    def __init__(
        self, generation: int, protocol: Protocol, offer: Offer, inflight: int, listener: Listener
    ) -> None:
        self.generation = generation
        self.protocol = protocol
        self.window = inflight
        self.shared_subscriptions = False
        self.session_present = False
        self.reached = False
        self.accepted_s: float | None = None
        self.ended = ""
        self._offer = offer
        self._listener = listener
        self._largest_octets: int | None = None
        self._lock = threading.Lock()  # never held while paho is called: paho calls back under a lock of its own
        self._in_flight = 0
        self._asked: dict[int, tuple[str, int, str | None]] = {}
        self._client = self._new_client()

    def _new_client(self) -> paho.Client:
        offer, is_5 = self._offer, self.protocol == "5"
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            offer.client_id,
            clean_session=None if is_5 else False,
            protocol=MQTTProtocolVersion.MQTTv5 if is_5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(0)
        client.on_connect = self._accept
        client.on_disconnect = self._disconnected
        client.on_message = self._arrived
        client.on_publish = self._published
        client.on_subscribe = self._subscribed
        # With an external writer registered, paho leaves all writing to `loop` in the serving thread. Without one
        # it writes from the thread that calls publish or ack, and two threads can interleave their octets.
        client.on_socket_register_write = _nothing
        client.on_socket_open = _no_delay
        if offer.will is not None:
            client.will_set(offer.will.topic, offer.will.payload, qos=1, retain=True)
        if offer.username is not None:
            client.username_pw_set(offer.username, offer.password)
        if offer.tls is not None:
            client.tls_set_context(offer.tls)
        return client

    def serve(self, host: str, port: int, stopping: threading.Event) -> None:
        """Connect and move octets until the connection ends; `ended` then says why. Raises nothing."""
        try:
            self._connect(host, port)
            self.reached = True
            began_s = time.monotonic()
            while self._client.socket() is not None:
                if self._client.loop(1.0) is not MQTTErrorCode.MQTT_ERR_SUCCESS:
                    break
                if self.accepted_s is None:
                    if stopping.is_set():
                        break
                    if time.monotonic() - began_s > CONNACK_TIMEOUT_S:
                        self.ended = f"no answer to CONNECT within {CONNACK_TIMEOUT_S:.0f} s"
                        break
            self.ended = self.ended or "the broker closed the connection"
        except OSError as error:  # ssl errors are OSErrors too
            self.ended = str(error) or type(error).__name__
        except Exception as error:  # paho raises whatever a malformed packet makes it raise: end this link only
            _log.exception("the connection to the broker ended by an error")
            self.ended = type(error).__name__

    def _connect(self, host: str, port: int) -> None:
        if self.protocol == "5":
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's is untyped
            properties.SessionExpiryInterval = self._offer.session_expiry_s
            properties.ReceiveMaximum = self._offer.receive_maximum
            self._client.connect(host, port, self._offer.keepalive_s, clean_start=False, properties=properties)
        else:
            self._client.connect(host, port, self._offer.keepalive_s)

    def disconnect(self) -> None:
        """Send DISCONNECT after what was handed over before it; the broker then keeps the will to itself."""
        self._client.disconnect()

    def close(self) -> None:
        """Release the socket, and break the reference cycle through paho's callbacks so that its buffers go too."""
        client = self._client
        connection = client.socket()
        if connection is not None:
            connection.close()
        client.on_connect = client.on_disconnect = client.on_message = client.on_publish = None
        client.on_subscribe = client.on_socket_open = client.on_socket_register_write = None

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> int | None:
        """See `Connection.publish`."""
        if self._largest_octets is not None and len(topic) + len(payload) + 16 > self._largest_octets:
            raise ValueError(f"{topic}: {len(payload)} octets; this broker takes packets of {self._largest_octets}")
        with self._lock:
            if self._in_flight >= self.window:
                return None
            self._in_flight += 1
        sent = self._client.publish(topic, payload, qos, retain)
        if sent.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._release()
            return None
        return self._number(sent.mid)

    def acknowledge(self, token: Token) -> None:
        """Send PUBACK, if the message came over this very connection."""
        if token.generation == self.generation and token.qos > 0:
            self._client.ack(token.mid, token.qos)

    def subscribe(self, topic: str, qos: int, share: str | None) -> None:
        """Send SUBSCRIBE; a refusal is logged, and a refused sharing is replaced by a plain subscription."""
        _result, mid = self._client.subscribe(f"$share/{share}/{topic}" if share else topic, qos)
        if mid is not None:
            self._asked[mid] = (topic, qos, share)

    # ---------------------------------------------------------------- called by paho in the serving thread

    def _accept(
        self,
        _client: paho.Client,
        _user: Any,
        flags: paho.ConnectFlags,
        reason: ReasonCode,
        granted: Properties | None,
    ) -> None:
        if reason.is_failure:
            self.ended = f"the broker refuses: {reason}"
            return
        self.accepted_s = time.monotonic()
        if self.protocol == "5":  # what the broker grants: MQTT 5, clause 3.2.2.3; 3.1.1 says nothing
            self.window = min(self.window, getattr(granted, "ReceiveMaximum", 65535))
            self.shared_subscriptions = bool(getattr(granted, "SharedSubscriptionAvailable", 1))
            self._largest_octets = getattr(granted, "MaximumPacketSize", None)
        self.session_present = flags.session_present
        self._listener.accepted()

    def _arrived(self, _client: paho.Client, _user: Any, message: paho.MQTTMessage) -> None:
        token = Token(self.generation, message.mid, message.qos)
        self._listener.arrived(Arrival(message.topic, bytes(message.payload), message.retain, token))

    def _published(
        self, _client: paho.Client, _user: Any, mid: int, reason: ReasonCode, _properties: Properties
    ) -> None:
        self._release()
        if reason.is_failure:
            _log.error("the broker refuses a publication: %s; check its access list and quotas", reason)
        else:
            self._listener.published(self._number(mid))

    def _subscribed(
        self, _client: paho.Client, _user: Any, mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        topic, qos, share = self._asked.pop(mid, ("?", 0, None))
        if not any(reason.is_failure for reason in reasons):
            return
        if share is not None:
            _log.warning("the broker refuses to share %s: %s; subscribing alone", topic, reasons[0])
            self.subscribe(topic, qos, None)
        else:
            _log.error("the broker refuses the subscription to %s: %s; check its access list", topic, reasons[0])

    def _disconnected(
        self,
        _client: paho.Client,
        _user: Any,
        flags: paho.DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if (
            flags.is_disconnect_packet_from_server or str(reason) != "Unspecified error"
        ):  # paho's word for a lost one
            self.ended = self.ended or str(reason)

    def _release(self) -> None:
        with self._lock:
            self._in_flight -= 1

    def _number(self, mid: int) -> int:
        return self.generation << 16 | mid


def _nothing(*_arguments: object) -> None:
    return None


def _no_delay(_client: paho.Client, _user: Any, connection: Any) -> None:
    """Small messages leave at once instead of waiting for an acknowledgement (RFC 896)."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
