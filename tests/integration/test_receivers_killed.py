"""Delivery and four MLLP receivers that others wrote, both sides killed with -9 again and again.

Every control id arrives; each further copy has an attempt of which it was not known whether it arrived; and nothing
is credited without an acknowledgement of its own. Run as a program, this file is the process that delivers.
"""

from __future__ import annotations

import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.clock import Clock
from gateway.reporting.channels import channel
from gateway.reporting.channels.base import Answer, Outcome
from gateway.reporting.channels.mllp import MllpSender
from gateway.reporting.channels.mllp_line import frame
from gateway.reporting.configuration import Delivery as Settings
from gateway.reporting.delivery import Delivery
from tests.unit.reporting.examples import PATIENT, reportable
from tests.unit.reporting.receivers import field, within
from tests.unit.reporting.stores import Store

HERE = Path(__file__).parent
NODE = HERE.parent / "node"
RECEIVERS = {
    "node-hl7-server": (NODE, "node_hl7_server.mjs"),
    "simple-hl7": (NODE, "simple_hl7.mjs"),
    "python-hl7": (HERE / "receivers", "python_hl7.py"),
    "hl7apy": (HERE / "receivers", "hl7apy_server.py"),
}
WAIT_S = 60
VICTIMS = ("receiver, instead of an answer", "sender, in flight", "receiver, at any time", "both, in flight")


def main(path: str) -> None:
    settings = Settings(poll_s=0.05, answer_timeout_s=5, retry_first_s=0.02, retry_most_s=0.2)
    Delivery(Path(path), settings, Clock(), "rig").start()
    signal.pause()


def free_port() -> int:
    """A port that no outgoing connection of this machine gets by chance while its receiver is dead."""
    for port in random.Random().sample(range(20_000, 32_000), 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no free port")


class Receiver:
    """A receiver in a process of its own, always at the same port, with a ledger that outlives it."""

    def __init__(self, name: str, folder: Path) -> None:
        place, self._script = RECEIVERS[name]
        self._path = place / self._script
        if self._path.suffix == ".mjs":
            if shutil.which("node") is None:
                pytest.skip("node is not installed")
            if not (NODE / "node_modules" / name).is_dir():
                pytest.skip("tests/node/node_modules is not there: run .ci/setup where npm is installed")
        self.ledger = folder / f"{name}.ledger"
        self.port = free_port()
        self.address = f"mllp://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[str] | None = None

    def begin(self, *, dies_at: int = 0) -> None:
        """Start, and wait until it listens."""
        program = "node" if self._path.suffix == ".mjs" else sys.executable
        self.process = subprocess.Popen(
            [program, str(self._path), str(self.ledger), str(self.port), str(dies_at)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert int(self.process.stdout.readline()) == self.port

    def end(self) -> None:
        """Kill it, unless it did so itself."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait(10)
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                pipe.close()

    def died(self) -> bool:
        return self.process is not None and self.process.poll() == -signal.SIGKILL

    def arrived(self) -> list[str]:
        """Every control id that it ever took, copies included."""
        if not self.ledger.exists():
            return []
        return [line for line in self.ledger.read_text(encoding="ascii").split("\n")[:-1] if line]


def live_and_die(name: str, tmp_path: Path, results: int, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    receiver = Receiver(name, tmp_path)
    store = Store(tmp_path / "store.db")
    store.provider("a", receiver.address)
    each = results // (kills + 1)
    sender: subprocess.Popen[bytes] | None = None

    def delivered() -> int:
        return int(store.value("SELECT count(*) FROM report WHERE state = 'delivered'"))

    def in_flight() -> bool:
        return bool(store.value("SELECT count(*) FROM attempt WHERE outcome IS NULL"))

    try:
        for life in range(kills):
            victim = VICTIMS[life % len(VICTIMS)]
            dies = chance.randint(1, each) if victim.endswith("of an answer") else 0
            if receiver.process is None or dies:
                receiver.end()
                receiver.begin(dies_at=dies)
            sender = sender or subprocess.Popen([sys.executable, __file__, str(store.path)])
            done = delivered()
            store.results(store.patient(f"p{life}", "a"), each)
            if dies:
                within(WAIT_S, receiver.died)
                receiver.end()
                continue
            some = done + chance.randint(0, each - 2)
            within(WAIT_S, lambda some=some: delivered() >= some)  # type: ignore[misc]
            if victim == "receiver, at any time":
                time.sleep(chance.uniform(0, 0.02))
            else:
                within(WAIT_S, in_flight)
                sender.kill()
                sender.wait(10)
                sender = None
            if not victim.startswith("sender"):
                receiver.end()
        if receiver.process is None:
            receiver.begin()
        sender = sender or subprocess.Popen([sys.executable, __file__, str(store.path)])
        store.results(store.patient("p", "a"), results - kills * each)
        within(WAIT_S * 3, lambda: delivered() == results)
    finally:
        if sender is not None:
            sender.kill()
            sender.wait(10)
        receiver.end()
    every_copy_is_explained(store, receiver.arrived(), results, kills)
    store.close()


def every_copy_is_explained(store: Store, arrived: list[str], results: int, kills: int) -> None:
    copies = Counter(arrived)
    reports = store.rows(
        "SELECT r.control_id, count(*) AS sent, sum(a.outcome IS NULL OR a.outcome = 'ambiguous') AS unknown,"
        " sum(a.outcome = 'delivered') AS credited FROM report r JOIN attempt a ON a.report_id = r.id"
        " WHERE a.outcome IS NOT 'not_sent' GROUP BY r.id"
    )
    assert len(reports) == results
    assert set(copies) == {report["control_id"] for report in reports}
    for report in reports:
        assert report["credited"] == 1
        assert report["sent"] == report["credited"] + report["unknown"]
        assert 1 <= copies[report["control_id"]] <= 1 + report["unknown"]
    evidence = store.rows(
        "SELECT r.control_id, e.octets FROM evidence e JOIN report r ON r.id = e.report_id"
        " WHERE e.level = 'delivered'"
    )
    assert len(evidence) == results
    for row in evidence:
        assert field(row["octets"], "MSA", 1) == "AA"
        assert field(row["octets"], "MSA", 2) == row["control_id"]
    assert sum(report["unknown"] for report in reports) >= kills // 4  # the kills did hit sendings


@pytest.mark.parametrize("name", RECEIVERS)
def test_every_control_id_arrives_whoever_is_killed(name: str, tmp_path: Path) -> None:
    live_and_die(name, tmp_path, results=40, kills=3, seed=1)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", RECEIVERS)
def test_a_thousand_results_and_forty_kills(name: str, tmp_path: Path) -> None:
    live_and_die(name, tmp_path, results=1000, kills=40, seed=7)


# ---------------------------------------------------------------- what each of them does, and what that costs


@contextmanager
def living(name: str, folder: Path) -> Iterator[Receiver]:
    receiver = Receiver(name, folder)
    receiver.begin()
    try:
        yield receiver
    finally:
        receiver.end()


async def deliver(sender: MllpSender, number: int, family_name: str = "Doe", event: bytes = b"R01") -> Answer:
    report = reportable(control_id=f"CONTROL{number}", patient=replace(PATIENT, family_name=family_name))
    way = channel("hl7v2")
    octets = way.render(report, way.settings()).replace(b"ORU^R01^ORU_R01", b"ORU^%s^ORU_%s" % (event, event))
    return await sender.open() or await sender.send(octets, report.control_id)


QUICK = Settings(connect_timeout_s=5, answer_timeout_s=5)


async def test_a_stale_answer_costs_one_message_once_and_nothing_when_it_is_known(tmp_path: Path) -> None:
    with living("node-hl7-server", tmp_path) as receiver:
        sender = MllpSender(receiver.address, QUICK)
        answers = [await deliver(sender, number) for number in (1, 2, 2, 3, 4)]
        await sender.close()
        assert [answer.outcome for answer in answers] == [
            Outcome.DELIVERED,
            Outcome.AMBIGUOUS,
            *[Outcome.DELIVERED] * 3,
        ]
        assert "another message" in answers[1].text
        assert field(answers[1].evidence, "MSA", 2) == "CONTROL1"
        way = channel("hl7v2")
        known = MllpSender(receiver.address, QUICK, way.settings(connection_each=True))
        assert {(await deliver(known, number)).outcome for number in (5, 6, 7)} == {Outcome.DELIVERED}
        await known.close()
        assert receiver.arrived() == [f"CONTROL{number}" for number in (1, 2, 2, 3, 4, 5, 6, 7)]


async def test_what_pipelining_would_lose_is_never_pipelined(tmp_path: Path) -> None:
    """Of two frames in one write this receiver loses one; one after another it takes all."""
    way = channel("hl7v2")
    both = b"".join(frame(way.render(reportable(control_id=f"PIPED{n}"), way.settings())) for n in (1, 2))
    with living("simple-hl7", tmp_path) as receiver:
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=5) as connection:
            connection.sendall(both)
            assert connection.recv(65536).count(b"MSA|") == 1
        lost = {"PIPED1", "PIPED2"} - set(receiver.arrived())
        assert len(lost) == 1
        sender = MllpSender(receiver.address, QUICK)
        answers = [await deliver(sender, number) for number in range(20)]
        await sender.close()
        assert {answer.outcome for answer in answers} == {Outcome.DELIVERED}
        assert receiver.arrived()[-20:] == [f"CONTROL{number}" for number in range(20)]
        assert field(answers[0].evidence, "MSH", 12) == "2.3"


async def test_an_end_of_the_connection_after_each_answer(tmp_path: Path) -> None:
    with living("hl7apy", tmp_path) as receiver:
        sender = MllpSender(receiver.address, QUICK)
        answers = [await deliver(sender, number) for number in range(10)]
        assert sum(answer.outcome is not Outcome.DELIVERED for answer in answers) <= 1
        assert not sender.ready
        await sender.close()


async def test_a_refusal_with_words(tmp_path: Path) -> None:
    with living("hl7apy", tmp_path) as receiver:
        sender = MllpSender(receiver.address, QUICK)
        answer = await deliver(sender, 1, event=b"R99")
        await sender.close()
        assert answer.outcome is Outcome.REFUSED
        assert answer.text == "AR: UnsupportedMessageType: Unsupported message type ORU^R99^ORU_R99"
        assert receiver.arrived() == []


@pytest.mark.parametrize("name", RECEIVERS)
async def test_letters_outside_ascii_and_both_channels(name: str, tmp_path: Path) -> None:
    with living(name, tmp_path) as receiver:
        sender = MllpSender(receiver.address, QUICK, channel("hl7v2").settings(connection_each=True))
        assert (await deliver(sender, 1, "Œuvré-李")).outcome is Outcome.DELIVERED
        way, report = channel("pcd01"), reportable(control_id="CONTROL2")
        assert await sender.open() is None
        answer = await sender.send(way.render(report, way.settings()), report.control_id)
        await sender.close()
        assert answer.outcome is Outcome.DELIVERED
        assert receiver.arrived() == ["CONTROL1", "CONTROL2"]


if __name__ == "__main__":
    main(sys.argv[1])
