"""A hub as the server sees it, made with plain paho: it publishes octets and keeps what it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from gateway.mqtt import topics
from gateway.wire.reading import digest
from gateway.wire.receipt import Epoch, HubStatus, Receipts


def until(condition: Callable[[], object], within_s: float = 20.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.01)


class Hub:
    """Publishes readings; remembers receipts and epochs."""

    def __init__(self, port: int, name: str = "home-1") -> None:
        self.name = name
        self.receipts: list[Receipts] = []
        self.epochs: list[Epoch] = []
        self._subscribed = threading.Event()
        client_id = f"hub-{name}-{uuid4()}"  # two at a time must not drive each other out
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv311)
        self.client.on_message = self._told
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        filters = [(topics.receipts(name), 1), (topics.epoch(name), 1)]
        self.client.on_connect = lambda client, *_: client.subscribe(filters)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self._subscribed.wait(10)

    def _told(self, _client: Any, _user: Any, message: paho.MQTTMessage) -> None:
        if message.topic == topics.epoch(self.name):
            self.epochs.append(Epoch.model_validate_json(message.payload))
        elif message.topic == topics.receipts(self.name):
            self.receipts.append(Receipts.model_validate_json(message.payload))

    def publish(self, topic: str, payload: bytes) -> None:
        self.client.publish(topic, payload, qos=1)

    def birth(self) -> None:
        status = HubStatus(hub=self.name, online=True, software="0").model_dump_json(by_alias=True)
        self.client.publish(topics.status(self.name), status, qos=1, retain=True)

    def verdicts(self) -> dict[str, str]:
        """By the digest of the payload."""
        return {each.sha256: each.verdict.value for told in list(self.receipts) for each in told.receipts}

    def holds(self, payload: bytes) -> bool:
        return digest(payload) in self.verdicts()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def server_toml(port: int, store: str, role: str = "production", **more: Any) -> str:
    """A server.toml for a test."""
    lines = [
        f'[server]\nname = "test"\nstore = {json.dumps(store)}\nrole = "{role}"',
        f"[mqtt]\nport = {port}",
        *(f"[{section}]\n{text}" for section, text in more.items()),
    ]
    return "\n".join(lines) + "\n"
