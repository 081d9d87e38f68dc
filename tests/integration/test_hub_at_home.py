"""What goes wrong in a home: full disk, damaged journal, broken messages, noise, plugs; and the command."""

from __future__ import annotations

import os
import random
import resource
import signal
import socket
import subprocess
import time
from functools import partial
from pathlib import Path

from gateway.wire.reading import Reading
from tests.integration.conftest import Start
from tests.unit.hub.parties import (
    ACK,
    COMMAND,
    ENQ,
    EOT,
    HubProcess,
    MeterEnd,
    Server,
    frame,
    message,
    send,
    until,
)
from tests.unit.mqtt.brokers import Mosquitto


def test_a_full_disk_is_told_to_the_meter_and_overcome(
    mosquitto: Mosquitto, tmp_path: Path, started: Start
) -> None:
    hub = started(HubProcess(tmp_path, mosquitto.port))
    server = Server(mosquitto.port)
    send(hub, 1)
    assert hub.process is not None
    full = max(path.stat().st_size for path in tmp_path.glob("journal.db*")) + 4096
    resource.prlimit(hub.process.pid, resource.RLIMIT_FSIZE, (full, resource.RLIM_INFINITY))
    number = 1
    with MeterEnd(hub.meter_port) as meter:
        while number < 200:
            number += 1
            try:
                meter.send(number, within_s=1.0)
            except AssertionError:
                break
    assert number < 200
    until(lambda: "journal_cannot_commit" in server.statuses[-1]["alarms"])
    resource.prlimit(hub.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    send(hub, number)
    until(lambda: {str(index) for index in range(1, number + 1)} <= server.results)
    until(lambda: "journal_cannot_commit" not in server.statuses[-1]["alarms"])
    assert hub.end(signal.SIGTERM) == 0
    server.close()


def test_a_journal_that_breaks_is_set_aside_and_the_hub_goes_on(
    mosquitto: Mosquitto, tmp_path: Path, started: Start
) -> None:
    hub = started(HubProcess(tmp_path, mosquitto.port))
    server = Server(mosquitto.port)
    send(hub, 1)
    until(lambda: hub.waiting == 0)
    hub.end(signal.SIGTERM)
    with hub.journal.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(8192))
    hub.start()
    until(lambda: "journal_set_aside" in server.statuses[-1]["alarms"])
    send(hub, 2)
    until(lambda: "2" in server.results)
    assert len({topic.split("/")[-2] for topic, _ in server.payloads}) == 2
    assert "ALARM      journal_set_aside: journal.db.damaged-" in hub.ask("status")
    server.close()


def test_a_message_that_breaks_off_goes_on_or_is_given_up_with_all_its_octets(
    mosquitto: Mosquitto, tmp_path: Path, started: Start
) -> None:
    hub = started(HubProcess(tmp_path, mosquitto.port))
    server = Server(mosquitto.port)
    frames = [frame(index + 1, record) for index, record in enumerate(message(1))]

    def say(*octets: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", hub.meter_port), 5) as meter:
            meter.settimeout(5)
            answers = b""
            for part in octets:
                meter.sendall(part)
                if part != EOT:
                    answers += meter.recv(1)
            return answers

    assert say(ENQ, *frames[:3]) == ACK * 4
    hub.end()
    hub.start()
    assert say(ENQ, *frames[3:], EOT) == ACK * 3
    until(lambda: server.results == {"1"})
    assert say(ENQ, *frames[:2]) == ACK * 3
    until(lambda: len(set(server.numbers)) == 2)
    fault = Reading.model_validate_json(server.payloads[-1][1])
    assert fault.fault is not None
    assert fault.fault.reason == "no_end"
    assert all(record in fault.octets for record in message(1)[:2])
    server.close()


def test_noise_and_strangers_do_not_stand_in_the_way(mosquitto: Mosquitto, tmp_path: Path, started: Start) -> None:
    hub = started(HubProcess(tmp_path, mosquitto.port, more="max_connections = 3"))
    server = Server(mosquitto.port)
    silent = [socket.create_connection(("127.0.0.1", hub.meter_port), 5) for _ in range(2)]
    with socket.create_connection(("127.0.0.1", hub.meter_port), 5) as noisy:
        noisy.sendall(random.Random(1).randbytes(300_000) + b"\x02" + b"9" * 1_000_000)
    send(hub, 1)
    until(lambda: server.results == {"1"})
    for one in silent:
        one.close()
    assert "Traceback" not in hub.log
    server.close()


def test_a_port_is_read_soon_after_it_appears(mosquitto: Mosquitto, tmp_path: Path, started: Start) -> None:
    place = tmp_path / "by-id"
    hub = started(HubProcess(tmp_path, mosquitto.port, address=str(place)))
    server = Server(mosquitto.port)
    until(lambda: "port meter:" in hub.log)

    def opened(times: int) -> bool:
        return hub.log.count("port meter: open:") == times

    def arrived(number: int) -> bool:
        return str(number) in server.results

    for number in (1, 2):  # plugged in, pulled, plugged in again
        ours, theirs = os.openpty()
        place.symlink_to(os.ttyname(theirs))
        plugged_s = time.monotonic()
        until(partial(opened, number))
        assert time.monotonic() - plugged_s < 2.0
        for octets in (ENQ, *(frame(index + 1, record) for index, record in enumerate(message(number)))):
            os.write(ours, octets)
            assert os.read(ours, 1) == ACK
        os.write(ours, EOT)
        until(partial(arrived, number))
        place.unlink()
        os.close(theirs)
        os.close(ours)
    until(lambda: hub.waiting == 0)
    server.close()


def test_a_capture_plays_back_as_what_it_is(mosquitto: Mosquitto, tmp_path: Path, started: Start) -> None:
    capture = tmp_path / "meter.capture"
    hub = started(HubProcess(tmp_path, mosquitto.port, more=f'capture = "{capture}"'))
    send(hub, 1)
    until(lambda: hub.waiting == 1)
    hub.end(signal.SIGTERM)
    again = tmp_path / "again"
    again.mkdir()
    replay = started(HubProcess(again, mosquitto.port, address=f"replay:{capture}"))
    server = Server(mosquitto.port)
    until(lambda: server.results == {"1"})
    until(lambda: replay.waiting == 0)
    reading = Reading.model_validate_json(server.payloads[-1][1])
    assert reading.origin.value == "replay"
    assert len(set(server.numbers)) == 1
    server.close()


def test_a_wrong_configuration_ends_at_once_and_names_the_key(tmp_path: Path) -> None:
    path = tmp_path / "hub.toml"
    path.write_text('[hub]\nid = "h"\nzone = "Mars/Olympus"\njournal = "j.db"\n')
    for action in ("run", "status"):
        said = subprocess.run(
            [*COMMAND, "hub", action, "--config", str(path)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert said.returncode == 2
        assert "hub.zone" in said.stderr
        assert "Mars/Olympus" in said.stderr
        assert "Traceback" not in said.stderr


def test_a_second_hub_on_one_journal_is_refused(mosquitto: Mosquitto, tmp_path: Path, started: Start) -> None:
    hub = started(HubProcess(tmp_path, mosquitto.port))
    second = subprocess.run(
        [*COMMAND, "hub", "run", "--config", str(hub.configuration)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 1
    assert "another hub uses this journal" in second.stderr


def test_an_idle_hub_stays_small(mosquitto: Mosquitto, tmp_path: Path, started: Start) -> None:
    hub = started(HubProcess(tmp_path, mosquitto.port))
    server = Server(mosquitto.port)
    send(hub, 1)
    until(lambda: hub.waiting == 0)
    assert hub.process is not None
    status = Path(f"/proc/{hub.process.pid}/status")

    def resident_mib() -> float:
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    until(lambda: resident_mib() <= 45.0, 10)
    server.close()
