"""Real brokers on free loopback ports, to be killed and started again."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import pytest

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class BrokerProcess:
    """A broker process."""

    name: ClassVar[str]
    protocol: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        log = (self.folder / f"{self.name}.log").open("ab")
        with log:
            self._process = subprocess.Popen(self.command(), stdout=log, stderr=log)
        deadline_s = time.monotonic() + 15
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self._process.poll() is None, self.log
                assert time.monotonic() < deadline_s, self.log
                time.sleep(0.02)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(10)
            self._process = None

    @property
    def log(self) -> str:
        return (self.folder / f"{self.name}.log").read_text()


class Mosquitto(BrokerProcess):
    """Mosquitto, in memory or with a configuration of its own."""

    name: ClassVar[str] = "mosquitto"
    protocol: ClassVar[str] = "5"

    def __init__(self, folder: Path, configuration: str | None = None) -> None:
        if MOSQUITTO is None:
            pytest.skip("mosquitto is not installed (apt install mosquitto)")
        super().__init__(folder)
        text = configuration or "listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n"
        self._file = folder / "mosquitto.conf"
        self._file.write_text(text.replace("{port}", str(self.port)))

    def command(self) -> list[str]:
        assert MOSQUITTO is not None
        return [MOSQUITTO, "-c", str(self._file)]


class Embedded(BrokerProcess):
    """Our embedded broker, as ``inr-gateway broker run`` starts it."""

    name: ClassVar[str] = "embedded"
    protocol: ClassVar[str] = "3.1.1"

    def command(self) -> list[str]:
        return [sys.executable, "-m", "gateway.cli", "broker", "run", "--port", str(self.port)]


KINDS: tuple[type[Mosquitto] | type[Embedded], ...] = (Mosquitto, Embedded)
