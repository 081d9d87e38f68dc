"""The three parties of the hub's tests as processes and sockets: a hub, a meter's end, a server made by hand."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from gateway.wire.reading import Reading, digest
from tests.unit.mqtt.brokers import free_port

COMMAND = [sys.executable, "-m", "gateway.cli"]
ENQ, ACK, EOT = b"\x05", b"\x06", b"\x04"
VALUE = "7.77"
"""An INR that is easily found where it must not stand."""


def until(condition: Callable[[], object], within_s: float = 20.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.01)


class HubProcess:
    """``inr-gateway hub run`` with one port on which meters connect."""

    def __init__(self, folder: Path, mqtt_port: int, *, address: str | None = None, more: str = "") -> None:
        self.folder = folder
        self.meter_port = free_port()
        self.configuration = folder / "hub.toml"
        self.journal = folder / "journal.db"
        address = address or f"tcp-listen://127.0.0.1:{self.meter_port}"
        self.configuration.write_text(
            f"""
            [hub]
            id = "hub-1"
            zone = "America/New_York"
            journal = "{self.journal}"
            origin = "simulator"
            incomplete_after_s = 2.0
            [mqtt]
            port = {mqtt_port}
            [publish]
            receipt_within_s = 0.4
            longest_wait_s = 3
            [[attachment]]
            name = "meter"
            address = "{address}"
            driver = "astm"
            profile = "home_inr_astm"
            {more}
            [rig]
            now = 2026-03-20T12:00:00Z
            """
        )
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        with (self.folder / "hub.log").open("a") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "hub", "run", "--config", str(self.configuration), "--verbose"],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "hub: running\n", self.log

    def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        return code

    @property
    def log(self) -> str:
        return (self.folder / "hub.log").read_text()

    def ask(self, *words: str) -> str:
        asked = subprocess.run(
            [*COMMAND, "hub", *words, "--config", str(self.configuration)],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        return asked.stdout

    @property
    def waiting(self) -> int:
        """Readings without a receipt that are in the journal."""
        return self.ask("readings", "--waiting").count("waiting")


class MeterEnd:
    """A sender of E1381 frames, written from the standard: repeats what was not acknowledged."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._socket: socket.socket | None = None

    def send(self, number: int, within_s: float = 30.0) -> None:
        """One message with one result, whatever happens to the hub meanwhile, until its last frame is answered."""
        self.message(message(number), within_s)

    def message(self, records: list[bytes], within_s: float = 30.0) -> None:
        deadline_s = time.monotonic() + within_s
        while True:
            try:
                self._attempt(records)
                return
            except (OSError, ConnectionError):
                self.close()
                assert time.monotonic() < deadline_s, "the hub did not take the message in time"
                time.sleep(0.02)

    def _attempt(self, records: list[bytes]) -> None:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self.port), 5)
            self._socket.settimeout(5)
        self._say(ENQ)
        for index, record in enumerate(records):
            self._say(frame(index + 1, record))
        self._socket.sendall(EOT)

    def _say(self, octets: bytes) -> None:
        assert self._socket is not None
        self._socket.sendall(octets)
        answer = self._socket.recv(1)
        if answer != ACK:
            raise ConnectionError(f"answered {answer!r}")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def send(hub: HubProcess, *numbers: int) -> None:
    """Results with these record numbers, over a connection of their own."""
    with MeterEnd(hub.meter_port) as meter:
        for number in numbers:
            meter.send(number)


def frame(number: int, text: bytes) -> bytes:
    body = b"%d" % (number % 8) + text + b"\r\x03"
    return b"\x02" + body + b"%02X" % (sum(body) % 256) + b"\r\n"


def message(number: int, *, serial: str = "SN000123", inr: str = VALUE) -> list[bytes]:
    at = f"202603{1 + number // 1440 % 19:02}{number // 60 % 24:02}{number % 60:02}00"
    return [
        rf"H|\^&|||ACME^HomeINR^{serial}^1.2|||||||P|LIS2-A2|20260320080000".encode(),
        b"P|1",
        b"O|1|%d||^^^INR|R" % number,
        f"R|1|^^^INR|{inr}|INR||N||F||||{at}".encode(),
        b"L|1|N",
    ]


class Server:
    """The server's side of the wire, by hand: keeps readings, sends what the test tells it to."""

    def __init__(self, port: int, *, epoch: str | None = "e1", answers: bool = True) -> None:
        self.epoch = epoch
        self.answers = answers
        self.payloads: list[tuple[str, bytes]] = []
        self.statuses: list[dict[str, Any]] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2, "server", clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._connected
        self._client.on_message = self._arrived
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(self, *_: Any) -> None:
        self._client.subscribe([("inr/1/hub/+/reading/+/+", 1), ("inr/1/hub/+/status", 1)])
        if self.epoch is not None:
            self.announce(self.epoch)

    def _arrived(self, _client: paho.Client, _user: Any, message: paho.MQTTMessage) -> None:
        payload = bytes(message.payload)
        if message.topic.endswith("/status"):
            self.statuses.append(json.loads(payload))
            return
        self.payloads.append((message.topic, payload))
        if self.answers and self.epoch is not None:
            self.receipt(message.topic, payload, self.epoch)

    def announce(self, epoch: str, mark: int = 0, *, journal: str | None = None) -> None:
        marks = [] if journal is None else [{"journal": journal, "number": mark}]
        said = {"schema": "inr-gateway/epoch/1", "epoch": epoch, "marks": marks}
        self._client.publish("inr/1/hub/hub-1/epoch", json.dumps(said), qos=1, retain=True)

    def receipt(self, topic: str, payload: bytes, epoch: str, *, sha256: str | None = None) -> None:
        *_, journal, number = topic.split("/")
        one = {
            "journal": journal,
            "number": int(number),
            "sha256": sha256 or digest(payload),
            "verdict": "stored",
        }
        said = {"schema": "inr-gateway/receipts/1", "epoch": epoch, "receipts": [one]}
        self._client.publish("inr/1/hub/hub-1/receipts", json.dumps(said), qos=1)

    @property
    def journal(self) -> str:
        return self.payloads[0][0].split("/")[-2]

    @property
    def numbers(self) -> list[int]:
        return [int(topic.rpartition("/")[2]) for topic, _ in self.payloads]

    @property
    def results(self) -> set[str]:
        """Record numbers of the results that came."""
        readings = [Reading.model_validate_json(payload) for _, payload in self.payloads]
        return {reading.result.record_number or "" for reading in readings if reading.result is not None}
