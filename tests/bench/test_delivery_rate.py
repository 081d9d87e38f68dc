"""How fast reports are made and delivered, and whether dead destinations hold up the others."""

from __future__ import annotations

import itertools
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.clock import moment
from gateway.database import transaction
from gateway.reporting.channels import channel
from gateway.reporting.channels.mllp_line import frame
from gateway.reporting.configuration import Delivery as Settings
from gateway.reporting.delivery import Delivery
from tests.bench.beside import fdatasyncs_per_s
from tests.unit.reporting import receivers
from tests.unit.reporting.examples import reportable
from tests.unit.reporting.stores import TAKEN, Store, body, quantity

pytestmark = pytest.mark.bench

DESTINATIONS, DEAD = 1000, 50
RATE_PER_S, FOR_S = 60, 20


def say(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with capsys.disabled():
        print(f"\n{text}")


@contextmanager
def far_end(*command: str) -> Iterator[str]:
    """A receiver in a process of its own; gives its address."""
    process = subprocess.Popen(
        [sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline().strip()
        if line.startswith("{"):
            said = json.loads(line)
            line = f"mllp://{said['host']}:{said['port']}"
        yield line
    finally:
        process.terminate()
        process.wait(10)
        process.stdin.close()
        process.stdout.close()


def simulated(*words: str) -> tuple[str, ...]:
    return ("-m", "gateway.cli", "simulate", "provider", "--port", "0", *words)


@pytest.mark.parametrize(("name", "what"), [("hl7v2", "ORU^R01"), ("pcd01", "PCD-01")])
def test_rendering(name: str, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Best of three, so that what else runs on the machine counts less."""
    count = 10_000
    report = reportable(result=body(pt_seconds=quantity("29.6"), quick_percent=quantity("31")))
    way = channel(name)
    settings = way.settings()
    took_s = []
    for _ in range(3):
        begun = time.perf_counter()
        for _ in range(count):
            way.render(report, settings)
        took_s.append(time.perf_counter() - begun)
    rate = count / min(took_s)
    say(capsys, f"{what} with INR, PT and Quick: {rate:,.0f} per second and core")
    assert rate > 20_000


def test_one_after_another_to_one_fast_receiver(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its attempt on disk before the first octet and its evidence on disk before the next.

    Beside it the same messages over a bare socket to the same receiver, nothing kept. The disk decides: where it is
    busy otherwise the bound is a quarter of its rate, measured beside it.
    """
    count = 3000
    store = Store(tmp_path / "store.db")
    with far_end(receivers.__file__) as address:
        store.provider("a", address)
        store.patient("p", "a")
        store.results("p", count)
        delivery = Delivery(store.path, Settings(), store.clock, "rig")
        try:
            begun = time.perf_counter()
            delivery.start()
            while store.value("SELECT count(*) FROM report WHERE state = 'delivered'") < count:
                time.sleep(0.05)  # asking more often would slow down what is measured
                assert time.perf_counter() < begun + 50
            rate = count / (time.perf_counter() - begun)
        finally:
            delivery.stop()
        echo = echoes_per_s(address, [row[0] for row in store.rows("SELECT octets FROM report LIMIT 2000")])
    store.close()
    disk = fdatasyncs_per_s(tmp_path).append
    say(
        capsys,
        f"MLLP deliveries to one receiver: {rate:,.0f} per second; bare MLLP echo {echo:,.0f}, ratio"
        f" {rate / echo:.2f}; fdatasync of an append {disk:,.0f}, ratio {rate / disk:.2f}",
    )
    assert rate > min(500, disk / 4)


def echoes_per_s(address: str, messages: list[bytes]) -> float:
    """The same messages, one in flight, with nothing written down."""
    host, _, port = address.removeprefix("mllp://").partition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begun = time.perf_counter()
        for message in messages:
            connection.sendall(frame(message))
            answer = b""
            while not answer.endswith(b"\x1c\r"):
                answer += connection.recv(65536)
        return len(messages) / (time.perf_counter() - begun)


def test_dead_destinations_hold_up_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A thousand destinations, fifty of them dead in three ways; results come all the time, and once for all."""
    store = Store(tmp_path / "store.db")
    with ExitStack() as stack:
        live = [stack.enter_context(far_end(*simulated())) for _ in range(2)]
        silent = stack.enter_context(far_end(*simulated("--misbehave", "*=silent")))
        closing = stack.enter_context(far_end(*simulated("--misbehave", "*=hang-up")))
        dead = [closed_port(), silent, closing]
        for number in range(DESTINATIONS):
            ways = dead if number % (DESTINATIONS // DEAD) == 0 else live
            store.provider(f"c{number}", ways[number % len(ways)])
            store.patient(f"p{number}", f"c{number}")
        delivery = Delivery(store.path, Settings(answer_timeout_s=10), store.clock, "rig")
        delivery.start()
        try:
            steady = delays(store, delivery, itertools.islice(steadily(), RATE_PER_S * FOR_S))
            burst = delays(store, delivery, ((0.0, number) for number in range(DESTINATIONS)))
        finally:
            delivery.stop()
    breakers = store.value("SELECT count(*) FROM breaker WHERE state <> 'closed'")
    store.close()
    disk = fdatasyncs_per_s(tmp_path).append
    for name, seconds in ((f"{RATE_PER_S} results/s", steady), ("one result for each at once", burst)):
        p50, p95, most = statistics.median(seconds), statistics.quantiles(seconds, n=20)[18], max(seconds)
        say(
            capsys,
            f"{DESTINATIONS} destinations, {DEAD} dead, {name}: {len(seconds)} delivered; from commit to evidence"
            f" median {p50:.3f} s, p95 {p95:.3f} s, most {most:.3f} s; breakers not closed {breakers};"
            f" fdatasync of an append {disk:,.0f}/s",
        )
        assert p95 < 2


def steadily() -> Iterator[tuple[float, int]]:
    """Seconds after the beginning, and to which destination, so that each has its turn."""
    for number in itertools.count():
        yield number / RATE_PER_S, number * 7 % DESTINATIONS


def delays(store: Store, delivery: Delivery, results: Iterator[tuple[float, int]]) -> list[float]:
    """Commit results at their times; seconds from commit to evidence of those whose destination lives."""
    begun, first = time.perf_counter(), store.value("SELECT coalesce(max(id), 0) FROM result")
    alive = 0
    for _, batch in itertools.groupby(results, key=lambda each: each[0]):
        wanted = list(batch)
        time.sleep(max(0.0, begun + wanted[0][0] - time.perf_counter()))
        with transaction(store.database):
            for _, number in wanted:
                count = store.value("SELECT coalesce(max(id), 0) FROM result")
                store._result(f"p{number}", f"r{count}", TAKEN + timedelta(minutes=count), {})
                alive += number % (DESTINATIONS // DEAD) != 0
        delivery.notify()
    query = (
        "SELECT v.recorded_at, e.at FROM evidence e JOIN report r ON r.id = e.report_id JOIN version v"
        " ON v.result_id = r.result_id WHERE e.level = 'delivered' AND r.result_id > ?"
    )
    while len(rows := store.rows(query, first)) < alive:
        assert time.perf_counter() < begun + FOR_S + 60, f"{len(rows)} of {alive}"
        time.sleep(0.1)
    return [(moment(row[1]) - moment(row[0])).total_seconds() for row in rows]


def closed_port() -> str:
    with suppress(OSError), socket.create_server(("127.0.0.1", 0)) as listener:
        return f"mllp://127.0.0.1:{listener.getsockname()[1]}"
    raise AssertionError("no port")
