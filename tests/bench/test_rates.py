"""Speed, always as a ratio to something measured beside it, in the same minutes. ``make bench`` prints it."""

from __future__ import annotations

import base64
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from gateway.cli.demo.stage import Stage, until
from gateway.clock import moment
from gateway.hub.overview import overview
from gateway.mqtt import topics
from gateway.result import DeviceTime, Kind, Meter, Quantity, Result
from gateway.wire.reading import HubClock, MeterClockReading, Origin, Reading, encode
from tests.bench.beside import Disk, RawPublisher, fdatasyncs_per_s, median, rss_mib

pytestmark = pytest.mark.bench

NOW = datetime(2026, 3, 14, 16, 0, tzinfo=UTC)
ACK, ENQ, EOT = b"\x06", b"\x05", b"\x04"


def mosquitto_missing() -> bool:
    return shutil.which("mosquitto", path="/usr/sbin:/usr/bin") is None or shutil.which("mosquitto_sub") is None


needs_mosquitto = pytest.mark.skipif(mosquitto_missing(), reason="mosquitto or mosquitto-clients is not installed")


def report(text: str) -> None:
    print(f"\n    {text}", file=sys.stderr)


@contextmanager
def chain(folder: Path, registry: str) -> Iterator[Stage]:
    stage = Stage(folder, NOW, broker="mosquitto")
    try:
        stage.start_broker()
        stage.prepare(registry)
        yield stage
    finally:
        stage.stop()


# ---------------------------------------------------------------- hub


def one_frame_message(number: int) -> bytes:
    """One result, the whole message in one frame (E1381), each with its own time."""
    taken = datetime(2026, 1, 1) + timedelta(seconds=number)
    records = [
        rb"H|\^&|||ACME^HomeINR^SN000123^1.2|||||||P|LIS2-A2|20260314120000",
        b"P|1",
        b"O|1|%d||^^^INR|R" % number,
        b"R|1|^^^INR|2.5|INR||N||F||||" + taken.strftime("%Y%m%d%H%M%S").encode(),
        b"L|1|N",
    ]
    body = b"1" + b"\r".join(records) + b"\r\x03"
    return b"\x02" + body + b"%02X\r\n" % (sum(body) % 256)


HUB_ONLY = '[[hubs]]\nid = "demo-hub"\nkind = "rig"\n'


def listening(stage: Stage) -> int:
    """Give the hub a TCP port for its meter and return it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    text = stage.hub_configuration.read_text(encoding="utf-8")
    text = text.replace(f'address = "{stage.port}"', f'address = "tcp-listen://127.0.0.1:{port}"')
    stage.hub_configuration.write_text(text, encoding="utf-8")
    return port


def capture_of(messages: list[bytes]) -> str:
    """A conversation as `drivers.transports.capture` writes it: what the meter sent, and each answer awaited."""
    stamp = "2026-03-14T12:00:00.000000Z"
    lines = [f"{stamp} < {octets.hex()}\n{stamp} > 06" for octets in [ENQ, *messages]]
    return "\n".join(
        ["# inr-gateway capture 1", f"{stamp} ! open", *lines, f"{stamp} < 04", f"{stamp} ! close", ""]
    )


@needs_mosquitto
def test_hub_path_one_at_a_time(tmp_path: Path) -> None:
    """The hub's own path, from octets to acknowledgement, a commit for each result, published meanwhile.

    A capture stands for the meter, so that no meter's own turnaround is measured with it.
    """
    count, ratios = 2000, []
    for part in range(5):
        folder = tmp_path / f"chain{part}"
        with chain(folder, HUB_ONLY) as stage:
            capture = folder / "meter.capture"
            capture.write_text(capture_of([one_frame_message(each) for each in range(count)]), encoding="ascii")
            text = stage.hub_configuration.read_text(encoding="utf-8")
            text = text.replace(f'address = "{stage.port}"', f'address = "replay:{capture}"')
            stage.hub_configuration.write_text(text, encoding="utf-8")
            disk = fdatasyncs_per_s(tmp_path)
            stage.start_hub()
            until(lambda stage=stage: pieces(stage)[0] == count, 60, "the whole capture")  # type: ignore[misc]
            disk = between(disk, fdatasyncs_per_s(tmp_path))
            rate = count / pieces(stage)[1]
            ratios.append(rate / disk.append)
            report(f"hub: {rate:.0f} results/s, one commit each; {beside(rate, disk)}")
    assert median(ratios) >= 0.4


def between(before: Disk, after: Disk) -> Disk:
    return Disk((before.append + after.append) / 2, (before.overwrite + after.overwrite) / 2)


def beside(rate: float, disk: Disk) -> str:
    return (
        f"{rate / disk.append:.2f} of {disk.append:.0f} appends with fdatasync/s, "
        f"{rate / disk.overwrite:.2f} of {disk.overwrite:.0f} overwrites"
    )


def pieces(stage: Stage) -> tuple[int, float]:
    """How many pieces the journal holds, and the seconds between the first and the last."""
    if not stage.journal.exists():
        return 0, 0.0
    with closing(sqlite3.connect(f"file:{stage.journal}?mode=ro", uri=True)) as journal:
        try:
            rows = "SELECT count(*), min(received_at), max(received_at) FROM piece"
            count, first, last = journal.execute(rows).fetchone()
        except sqlite3.OperationalError:  # the hub is just making it
            return 0, 0.0
    return count, (moment(last) - moment(first)).total_seconds() if count else 0.0


@needs_mosquitto
def test_hub_with_a_meter_on_tcp(tmp_path: Path) -> None:
    """The same with a meter on TCP and a server that receipts on the same two cores: each waits for the other."""
    count = 400
    with chain(tmp_path / "chain", HUB_ONLY) as stage:
        port = listening(stage)
        stage.start_server()
        stage.start_hub()
        until(lambda: "running" in stage.log("hub").read_text(), 20, "the hub listening")
        ratios, number = [], 0
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", port)) as meter:
                meter.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                messages = [one_frame_message(number + each) for each in range(count)]
                number += count
                disk = fdatasyncs_per_s(tmp_path)
                meter.sendall(ENQ)
                assert meter.recv(1) == ACK
                began_s = time.perf_counter()
                for message in messages:
                    meter.sendall(message)
                    assert meter.recv(1) == ACK
                rate = count / (time.perf_counter() - began_s)
                disk = between(disk, fdatasyncs_per_s(tmp_path))
                ratios.append(rate / disk.append)
                report(f"meter on TCP: {rate:.0f} results/s; {beside(rate, disk)}")

        def receipted() -> bool:
            found = overview(stage.journal)
            return found.readings == number and found.waiting == 0

        began_s = time.perf_counter()
        until(receipted, 60, "all receipts")
        report(f"hub: last receipt {time.perf_counter() - began_s:.1f} s after the last acknowledgement")
    assert median(ratios) > 0.05


@needs_mosquitto
def test_idle_hub_memory(tmp_path: Path) -> None:
    with chain(tmp_path / "chain", HUB_ONLY) as stage:
        listening(stage)
        stage.start_server()
        stage.start_hub()
        until(lambda: "adopted" in stage.log("hub").read_text(), 20, "the hub hearing the server")
        time.sleep(3)  # idle means idle: nothing to wait for
        resident = rss_mib(stage.processes["hub"].pid)
    report(f"hub: {resident:.1f} MiB resident when idle")
    assert resident <= 45


# ---------------------------------------------------------------- command line


def test_help_is_quick() -> None:
    def seconds(*words: str) -> float:
        began_s = time.perf_counter()
        subprocess.run([sys.executable, *words], check=True, capture_output=True)
        return time.perf_counter() - began_s

    bare = median([seconds("-c", "pass") for _ in range(9)])
    ours = median([seconds("-m", "gateway.cli", "--help") for _ in range(9)])
    report(f"--help: {ours * 1000:.0f} ms beside {bare * 1000:.0f} ms of bare Python")
    assert ours <= 0.3


# ---------------------------------------------------------------- server

HUBS, METERS = 20, 20


def server_registry() -> str:
    lines = [
        '[[patients]]\nid = "P-1"\nfamily_name = "A"\ngiven_name = "B"\nbirth_date = 1950-01-01\nsex = "F"',
        '[[zones]]\npatient = "P-1"\nfrom_date = 2020-01-01\nzone = "America/New_York"',
    ]
    lines += [f'[[hubs]]\nid = "hub-{each}"\nkind = "rig"' for each in range(HUBS)]
    lines += [f'[[meters]]\nvendor = "ACME"\nserial = "SN{each}"' for each in range(METERS)]
    lines += [
        f'[[assignments]]\nvendor = "ACME"\nserial = "SN{each}"\npatient = "P-1"\nfrom = 2020-01-01'
        for each in range(METERS)
    ]
    return "\n".join(lines)


def readings(count: int) -> list[tuple[str, bytes]]:
    """Readings as hubs publish them: many hubs, each with its own journal and meter, in turn."""
    journals = [uuid4() for _ in range(HUBS)]
    made = []
    raw = base64.b64encode(one_frame_message(1)[1:-5]).decode()
    for index in range(count):
        hub, number = index % HUBS, index // HUBS + 1
        taken = datetime(2025, 1, 1) + timedelta(minutes=number * 7)
        reading = Reading(
            schema="inr-gateway/reading/1",
            journal=journals[hub],
            number=number,
            hub=f"hub-{hub}",
            origin=Origin.SIMULATOR,
            software="bench",
            driver="astm",
            port="meter",
            message=number,
            position=0,
            read_at=NOW,
            hub_clock=HubClock(synchronised=True, boot_id="b", monotonic_s=1.0),
            meter_clock=MeterClockReading(
                device_time=DeviceTime(raw="20260314120000", local=datetime(2026, 3, 14, 12, 0)), hub_time=NOW
            ),
            zone="America/New_York",
            meter=Meter(vendor="ACME", serial=f"SN{hub}"),
            result=Result(
                schema="inr-gateway/result/1",
                kind=Kind.PATIENT,
                meter=Meter(vendor="ACME", serial=f"SN{hub}"),
                device_time=DeviceTime(raw=taken.strftime("%Y%m%d%H%M%S"), local=taken),
                inr=Quantity(text="2.5", value="2.5", unit="INR"),
                strip_lot="564636",
            ),
            fault=None,
            raw=raw,
        )
        made.append((topics.reading(f"hub-{hub}", journals[hub], number), encode(reading)))
    return made


@contextmanager
def counting(port: int, topic: str, count: int) -> Iterator[subprocess.Popen[bytes]]:
    """A C client (mosquitto_sub) that ends when so many messages have come."""
    words = ["mosquitto_sub", "-p", str(port), "-t", topic, "-q", "1", "-C", str(count), "-N", "-F", "."]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        time.sleep(0.5)  # mosquitto_sub says nothing when it has subscribed
        yield process
    finally:
        process.kill()
        process.wait()


@needs_mosquitto
def test_server_rate_beside_the_brokers(tmp_path: Path) -> None:
    """Broker to committed and receipted, beside broker to a C subscriber that does nothing, in turns."""
    count, rounds = 6000, 3
    with chain(tmp_path / "chain", server_registry()) as stage:
        messages = readings(count * rounds)
        stage.start_server()
        until(lambda: "connected" in stage.log("server").read_text(), 20, "the server connecting")
        until(lambda: "running" in stage.log("server").read_text(), 20, "the server running")
        ratios = []
        for part in range(rounds):
            publisher = RawPublisher(stage.mqtt_port)
            raw = RawPublisher.encode([(f"raw/{index}", body) for index, (_, body) in enumerate(messages[:count])])
            with counting(stage.mqtt_port, "raw/#", count) as subscriber:
                began_s = time.perf_counter()
                publisher.publish(raw)
                subscriber.wait(60)
                broker_rate = count / (time.perf_counter() - began_s)
            packets = RawPublisher.encode(messages[part * count : (part + 1) * count])
            wanted = (part + 1) * count

            def stored(wanted: int = wanted) -> bool:
                with closing(sqlite3.connect(f"file:{stage.store}?mode=ro", uri=True)) as store:
                    return bool(store.execute("SELECT sum(number) FROM high_water").fetchone()[0] == wanted)

            began_s = time.perf_counter()
            publisher.publish(packets)
            until(stored, 60, "all readings stored", step_s=0.01)
            server_rate = count / (time.perf_counter() - began_s)
            publisher.close()
            ratios.append(server_rate / broker_rate)
            report(
                f"server: {server_rate:.0f} readings/s committed and receipted; "
                f"Mosquitto raw {broker_rate:.0f}/s; {ratios[-1]:.3f}"
            )
    assert median(ratios) >= 0.06
