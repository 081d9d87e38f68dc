"""The whole chain on one machine, each part a process of its own, in one folder: for the demo and the crash tests.

Nothing here is a shortcut: every process is the command that a hub, a server or a rig runs for real, with its own
configuration file, and they meet over a serial line, MQTT and MLLP on loopback.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

__all__ = ["HUB", "Stage", "StageError", "free_port", "until"]

HUB = "demo-hub"

HUB_TOML = """\
[hub]
id = "{hub}"
zone = "America/New_York"
journal = "{journal}"
origin = "simulator"

[mqtt]
port = {mqtt}

[publish]
receipt_within_s = 2

[[attachment]]
name = "meter"
address = "{port}"
driver = "astm"
profile = "home_inr_astm"

[rig]
now = {now}
"""

SERVER_TOML = """\
[server]
name = "demo"
store = "{store}"
role = "rig"

[mqtt]
port = {mqtt}

[delivery]
retry_first_s = 0.2
retry_most_s = 2
answer_timeout_s = 2

[rig]
now = {now}
"""

MOSQUITTO_CONF = """\
listener {mqtt} 127.0.0.1
allow_anonymous true
persistence false
max_queued_messages 0
"""


class StageError(Exception):
    """A part of the chain did not do what it should; the message names it and its log."""


def free_port() -> int:
    """A TCP port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], bool], timeout_s: float, what: str, step_s: float = 0.05) -> None:
    """Wait for a condition.

    Raises:
        StageError: it did not come true in time.
    """
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise StageError(f"{what}: not within {timeout_s:.0f} s")
        time.sleep(step_s)


class Stage:
    """Broker, server, provider, meter and hub as processes; `start`, `kill` and `stop` them by name.

    Attributes:
        folder: configuration, stores, ledgers and logs of this chain.
        port: pty that the meter is plugged into, as a symlink that survives re-plugging.
    """

    def __init__(self, folder: Path, now: datetime, *, broker: str = "amqtt") -> None:
        """Lay out the folder.

        Args:
            folder: made if it is not there.
            now: the fixed instant at which the clocks of hub and server start.
            broker: ``amqtt`` or ``mosquitto``.
        """
        self.folder = folder
        self.now = now
        self.broker = broker
        self.mqtt_port = free_port()
        self.mllp_port = free_port()
        self.port = folder / "meter.tty"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.prefix: dict[str, Sequence[str]] = {}
        """Words put before a part's command, for example a tracer's."""
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        folder.mkdir(parents=True, exist_ok=True)
        self._write_configuration()

    @property
    def hub_configuration(self) -> Path:
        """The hub's hub.toml."""
        return self.folder / "hub.toml"

    @property
    def server_configuration(self) -> Path:
        """The server's server.toml."""
        return self.folder / "server.toml"

    def log(self, name: str) -> Path:
        """Where a part's output goes."""
        return self.folder / f"{name}.log"

    def command(self, *words: str) -> list[str]:
        """The command line of an ``inr-gateway`` sub-command in this installation."""
        return [sys.executable, "-P", "-m", "gateway.cli", *words]  # -P: this installation, whatever stands here

    def call(self, *words: str) -> str:
        """Run a sub-command to its end and return what it printed.

        Raises:
            StageError: it failed; the message holds its words.
        """
        done = subprocess.run(
            self.command(*words), env=self._environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise StageError(f"inr-gateway {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    # ---------------------------------------------------------------- processes

    def start(self, name: str, *words: str, wait_for: str | None = None) -> None:
        """Start a part in the background; its output is appended to its log.

        Args:
            name: one of ``broker``, ``server``, ``provider``, ``meter``, ``hub``, or any other.
            words: the command line.
            wait_for: text that its output must show before this returns.

        Raises:
            StageError: it ended at once, or did not say what was waited for.
        """
        log = self.log(name)
        before = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self.processes[name] = subprocess.Popen(
                [*self.prefix.get(name, ()), *words],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if wait_for is None:
            return

        def said() -> bool:
            if wait_for.encode() in log.read_bytes()[before:]:
                return True
            if self.processes[name].poll() is not None:
                raise StageError(f"{name} ended at once:\n{log.read_text(errors='replace')[-2000:]}")
            return False

        until(said, 20, f"{name} saying {wait_for!r} in {log}")

    def start_broker(self) -> None:
        """The broker, embedded or Mosquitto."""
        if self.broker == "mosquitto":
            self.start("broker", "mosquitto", "-c", str(self.folder / "mosquitto.conf"))
            until(self._broker_answers, 10, "Mosquitto listening")
        else:
            words = self.command("broker", "run", "--port", str(self.mqtt_port))
            self.start("broker", *words, wait_for="listening")

    def start_provider(self, *options: str) -> None:
        """The treating provider's system, with its ledger."""
        words = ("simulate", "provider", "--port", str(self.mllp_port), "--ledger", str(self.provider_ledger))
        self.start("provider", *self.command(*words, *options), wait_for='"ready"')

    def start_server(self) -> None:
        """The ingestion server with delivery."""
        self.start("server", *self.command("server", "run", "--config", str(self.server_configuration)))

    def start_hub(self) -> None:
        """The hub in the patient's home."""
        self.start("hub", *self.command("hub", "run", "--config", str(self.hub_configuration)))

    def start_meter(self, *options: str) -> None:
        """The simulated meter on its pty."""
        words = ("simulate", "astm", "--pty", str(self.port), "--ledger", str(self.meter_ledger))
        self.start("meter", *self.command(*words, *options), wait_for='"ready"')

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to a part (and its tracer), and wait until it is gone."""
        process = self.processes.pop(name)
        if process.poll() is None:
            os.killpg(process.pid, number)
        process.wait(20)

    def stop(self) -> None:
        """End all parts, the last started first."""
        for name in reversed(list(self.processes)):
            process = self.processes.pop(name)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(5)

    def _broker_answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.mqtt_port)) == 0

    # ---------------------------------------------------------------- configuration

    @property
    def meter_ledger(self) -> Path:
        """What the meter was told is received."""
        return self.folder / "meter.jsonl"

    @property
    def provider_ledger(self) -> Path:
        """What reached the provider's system."""
        return self.folder / "provider.jsonl"

    @property
    def store(self) -> Path:
        """The server's store."""
        return self.folder / "store.db"

    @property
    def journal(self) -> Path:
        """The hub's journal."""
        return self.folder / "journal.db"

    def _write_configuration(self) -> None:
        now = self.now.isoformat()
        self.hub_configuration.write_text(
            HUB_TOML.format(hub=HUB, journal=self.journal, mqtt=self.mqtt_port, port=self.port, now=now),
            encoding="utf-8",
        )
        self.server_configuration.write_text(
            SERVER_TOML.format(store=self.store, mqtt=self.mqtt_port, now=now), encoding="utf-8"
        )
        (self.folder / "mosquitto.conf").write_text(MOSQUITTO_CONF.format(mqtt=self.mqtt_port), encoding="utf-8")

    def prepare(self, registry: str) -> None:
        """Make the store and import a registry (TOML)."""
        file = self.folder / "registry.toml"
        file.write_text(registry, encoding="utf-8")
        self.call("server", "init", "--config", str(self.server_configuration))
        words = ("registry", "import", "--config", str(self.server_configuration), "--by", "demo", str(file))
        self.call(*words)
