"""A connection to the broker that comes back for ever: when to try, which version, what the caller may rely on.

Nothing waits in here. What was not acknowledged when a connection broke is forgotten, and `Connection.publish` says
None when there is no connection or no room: the caller, who keeps it on disk, publishes again.
"""

from __future__ import annotations

import logging
import random
import ssl
import threading
import time
from collections.abc import Callable

from gateway.configuration import ConfigurationError
from gateway.mqtt.configuration import Mqtt
from gateway.mqtt.link import Arrival, Link, Listener, Offer, Protocol, Token, Will

__all__ = ["Arrival", "Connection", "Token", "Will"]

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 60.0
STEADY_AFTER_S = 5.0
"""A connection that lived this long was a good one: the next attempt waits `FIRST_DELAY_S` again."""

_log = logging.getLogger("gateway.mqtt")


class Connection:
    """One MQTT client with a stable identity and a persistent session, connected whenever that is possible.

    All callbacks run in one background thread, the network's. They must return at once and must not take a lock
    that the caller holds around `publish`. ``on_published`` may come before `publish` has returned the number.
    """

    def __init__(
        self,
        settings: Mqtt,
        client_id: str,
        *,
        on_arrival: Callable[[Arrival], None],
        on_connected: Callable[[], None],
        on_disconnected: Callable[[], None],
        on_published: Callable[[int], None] = lambda _number: None,
        will: Will | None = None,
        receive_maximum: int | None = None,
    ) -> None:
        """Prepare; nothing is sent before `start`.

        Args:
            settings: the ``[mqtt]`` section.
            client_id: stable over restarts; the broker keeps the session under it.
            on_arrival: a message came; it stays unacknowledged until `acknowledge`.
            on_connected: subscribe and publish the birth here; called again after every reconnect.
            on_disconnected: once for each ``on_connected``; all tokens and unacknowledged numbers are void.
            on_published: the broker acknowledged the publication with this number; there is room for another.
            will: last will, retained, QoS 1.
            receive_maximum: most messages the broker may send unacknowledged (MQTT 5); default the section's.

        Raises:
            ConfigurationError: a password or certificate file cannot be used.
        """
        self._settings = settings
        self._client_id = client_id
        self._on_arrival = on_arrival
        self._on_connected = on_connected
        self._on_disconnected = on_disconnected
        self._on_published = on_published
        self._will = will
        self._receive_maximum = receive_maximum or settings.inflight
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._link: Link | None = None
        self._generation = 0
        self._offer = self._read_offer()

    def start(self) -> None:
        """Return at once and connect in the background, for ever."""
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Disconnect in order (the will is not published, the session stays) and end the background thread."""
        self._stopping.set()
        link = self._link
        if link is not None:
            link.disconnect()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def renew(self) -> None:
        """End the present connection and make a new one: the broker sends again what was not acknowledged."""
        link = self._link
        if link is not None:
            link.disconnect()

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted the connection and it has not been seen to break."""
        return self._link is not None

    @property
    def protocol(self) -> str:
        """``5``, ``3.1.1`` or, when not connected, the empty string."""
        link = self._link
        return link.protocol if link else ""

    @property
    def shared_subscriptions(self) -> bool:
        """Whether this broker offers them. Only MQTT 5 says so: some 3.1.1 brokers deliver nothing."""
        link = self._link
        return link is not None and link.shared_subscriptions

    @property
    def session_resumed(self) -> bool:
        """Whether the broker still had the session; if not, it may have lost what it acknowledged."""
        link = self._link
        return link is not None and link.session_present

    @property
    def window(self) -> int:
        """Most publications in flight: the section's ``inflight``, or less if the broker says so; 0 when away."""
        link = self._link
        return link.window if link else 0

    def subscribe(self, topic: str, *, qos: int = 1, share: str | None = None) -> None:
        """Subscribe for this connection; call it from ``on_connected``.

        Args:
            topic: filter.
            qos: 0 or 1.
            share: name of the group that shares the messages; plain when the broker offers no sharing.
        """
        link = self._link
        if link is not None:
            link.subscribe(topic, qos, share if link.shared_subscriptions else None)

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> int | None:
        """Hand a message to the network thread.

        Returns:
            A number that ``on_published`` will name, never used twice in this process. None when there is no
            connection or `window` publications are in flight: keep the message and try again after ``on_connected``
            or ``on_published``.

        Raises:
            ValueError: larger than this broker takes. Sending it would make the broker close the connection.
        """
        link = self._link
        return None if link is None else link.publish(topic, payload, qos, retain)

    def acknowledge(self, token: Token) -> None:
        """Send the PUBACK now. Call in the order of arrival. A token of an earlier connection is discarded."""
        link = self._link
        if link is not None:
            link.acknowledge(token)

    # ---------------------------------------------------------------- network thread

    def _run(self) -> None:
        wanted = self._settings.protocol
        protocol: Protocol = "3.1.1" if wanted == "3.1.1" else "5"
        delay_s = FIRST_DELAY_S
        while not self._stopping.is_set():
            link = self._serve(protocol)
            if self._stopping.is_set():
                return
            accepted = link.accepted_s is not None
            if wanted == "auto" and protocol == "5" and link.reached and not accepted:
                _log.info("broker %s takes no MQTT 5 connection (%s); trying 3.1.1", self._name, link.ended)
                protocol = "3.1.1"
                continue
            if wanted == "auto":
                protocol = "5"  # the broker may have been replaced by a better one; asking costs one round trip
            if link.accepted_s is not None and time.monotonic() - link.accepted_s >= STEADY_AFTER_S:
                delay_s = FIRST_DELAY_S
            pause_s = delay_s * random.uniform(0.5, 1.0)  # jitter: a thousand hubs must not return as one
            delay_s = min(delay_s * 2, LONGEST_DELAY_S)
            what = "lost" if accepted else "not made"
            _log.warning("connection to %s %s: %s; trying again in %.1f s", self._name, what, link.ended, pause_s)
            self._stopping.wait(pause_s)

    def _serve(self, protocol: Protocol) -> Link:
        self._generation += 1

        def accepted() -> None:
            self._link = link
            session = "resumed" if link.session_present else "new"
            _log.info("connected to broker %s: MQTT %s, session %s", self._name, link.protocol, session)
            self._call(self._on_connected)

        listener = Listener(
            accepted,
            lambda arrival: self._call(self._on_arrival, arrival),
            lambda number: self._call(self._on_published, number),
        )
        try:
            self._offer = self._read_offer()  # certificates and passwords are renewed under a running hub
        except ConfigurationError as error:
            _log.warning("%s; going on with what was read before", error)
        link = Link(self._generation, protocol, self._offer, self._settings.inflight, listener)
        link.serve(self._settings.host, self._settings.port, self._stopping)
        if self._link is link:
            self._link = None
            self._call(self._on_disconnected)
        link.close()
        return link

    def _read_offer(self) -> Offer:
        settings = self._settings
        return Offer(
            client_id=self._client_id,
            keepalive_s=settings.keepalive_s,
            session_expiry_s=settings.session_expiry_s,
            receive_maximum=self._receive_maximum,
            username=settings.username,
            password=_password(settings),
            will=self._will,
            tls=_tls_context(settings),
        )

    def _call(self, callback: Callable[..., None], *arguments: object) -> None:
        try:
            callback(*arguments)
        except Exception:  # a fault of ours in one callback must not end the network thread
            _log.exception("a callback of the broker connection failed")

    @property
    def _name(self) -> str:
        return f"{self._settings.host}:{self._settings.port}"


def _password(settings: Mqtt) -> str | None:
    if settings.password_file is None:
        return None
    try:
        return settings.password_file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"mqtt.password_file: {settings.password_file}: cannot be read: {error}; "
            "name a readable file that holds the password alone"
        ) from error


def _tls_context(settings: Mqtt) -> ssl.SSLContext | None:
    tls = settings.tls
    if tls is None:
        return None
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        if tls.certificate is not None:
            context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(str(path) for path in (tls.ca, tls.certificate, tls.key) if path is not None)
        raise ConfigurationError(f"mqtt.tls: {files}: cannot be used: {error}; PEM files are needed") from error
    return context
