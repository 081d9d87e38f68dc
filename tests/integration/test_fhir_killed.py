"""Delivery and a FHIR server that others wrote, both killed with -9 again and again: each result is there once.

Run as a program, this file is the process that delivers.
"""

from __future__ import annotations

import json
import random
import signal
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import httpx
import pytest

from gateway.clock import Clock
from gateway.reporting.configuration import Delivery as Settings
from gateway.reporting.configuration import Supplier
from gateway.reporting.delivery import Delivery
from tests.unit.reporting.fhir import node
from tests.unit.reporting.receivers import within
from tests.unit.reporting.stores import Store

SYSTEM = "urn:oid:2.25.1"
WAIT_S = 60


def main(path: str) -> None:
    settings = Settings(
        supplier=Supplier(application_oid="2.25.1"),
        poll_s=0.05,
        answer_timeout_s=5,
        retry_first_s=0.05,
        retry_most_s=0.3,
    )
    Delivery(Path(path), settings, Clock(), "rig").start()
    signal.pause()


class Server:
    """Medplum's FHIR router with a journal on disk, always at the same port."""

    def __init__(self, folder: Path) -> None:
        self.journal = folder / "medplum.jsonl"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.address = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[str] | None = None

    def begin(self, *, dies_at: int = 0) -> None:
        """Start, and wait until it listens."""
        self.process = node.begin("fhir_server.mjs", str(self.journal), str(self.port), str(dies_at))
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

    def taken(self) -> list[list[str]]:
        """The identifiers of every transaction that it ever took, copies included."""
        bundles = [json.loads(line) for line in self.journal.read_text(encoding="utf-8").splitlines()]
        return [identifiers(bundle) for bundle in bundles]

    def held(self, kind: str) -> Counter[str]:
        """Resources by our identifier."""
        bundle = httpx.get(f"{self.address}/{kind}", params={"_count": "10000"}, timeout=WAIT_S).json()
        return Counter(entry["resource"]["identifier"][0]["value"] for entry in bundle.get("entry", []))


def identifiers(bundle: dict[str, object]) -> list[str]:
    entries = bundle["entry"]
    assert isinstance(entries, list)
    kinds = ("Observation", "DiagnosticReport")
    resources = [entry["resource"] for entry in entries if entry["resource"]["resourceType"] in kinds]
    return [f"{each['resourceType']} {each['identifier'][0]['value']}" for each in resources]


def live_and_die(tmp_path: Path, results: int, kills: int, seed: int) -> None:
    node.wanted()
    chance = random.Random(seed)
    server = Server(tmp_path)
    store = Store(tmp_path / "store.db")
    store.provider("a", server.address, channel="fhir", settings="{}")
    store.patient("p", "a")
    each = results // (kills + 1)
    sender: subprocess.Popen[bytes] | None = None

    def delivered() -> int:
        return int(store.value("SELECT count(*) FROM report WHERE state = 'delivered'"))

    def in_flight() -> bool:
        return bool(store.value("SELECT count(*) FROM attempt WHERE outcome IS NULL"))

    try:
        for life in range(kills):
            victim = ("server, instead of an answer", "sender, in flight", "both, in flight")[life % 3]
            if server.process is None:
                server.begin(dies_at=chance.randint(1, each) if victim.startswith("server") else 0)
            elif victim.startswith("server"):
                server.end()
                server.begin(dies_at=chance.randint(1, each))
            sender = sender or subprocess.Popen([sys.executable, __file__, str(store.path)])
            done = delivered()
            for number in range(each):
                store.result("p", f"{life}/{number}")
            if victim.startswith("server"):
                process = server.process
                assert process is not None
                assert process.wait(WAIT_S) == -signal.SIGKILL
            else:
                some = done + chance.randint(0, each - 2)
                within(WAIT_S, lambda some=some: delivered() >= some and in_flight())  # type: ignore[misc]
                sender.kill()
                sender.wait(10)
                sender = None
            if not victim.startswith("sender"):
                server.end()
        if server.process is None:
            server.begin()
        sender = sender or subprocess.Popen([sys.executable, __file__, str(store.path)])
        for number in range(results - kills * each):
            store.result("p", f"last/{number}")
        within(WAIT_S * 3, lambda: delivered() == results)
        held = {kind: server.held(kind) for kind in ("Observation", "DiagnosticReport")}
    finally:
        if sender is not None:
            sender.kill()
            sender.wait(10)
        server.end()
    reports = store.rows(
        "SELECT r.octets, e.octets AS answer, sum(a.outcome = 'delivered') AS credited,"
        " sum(a.outcome IS NULL OR a.outcome = 'ambiguous') AS unknown"
        " FROM report r JOIN evidence e ON e.report_id = r.id AND e.level = 'delivered'"
        " JOIN attempt a ON a.report_id = r.id GROUP BY r.id, e.id"
    )
    store.close()
    copies = Counter(names[-1] for names in server.taken())
    wanted: Counter[str] = Counter()
    for report in reports:
        names = identifiers(json.loads(report["octets"]))
        wanted.update(names)
        # Credited once, on the strength of an answer of its own; and each further copy has its open attempt.
        assert report["credited"] == 1
        entries = json.loads(report["answer"].partition(b"\r\n\r\n")[2])["entry"]
        assert {entry["response"]["status"] for entry in entries} <= {"200", "201"}
        assert 1 <= copies[names[-1]] <= 1 + report["unknown"]
    assert len(reports) == results
    assert set(wanted.values()) == {1}
    assert Counter(f"{kind} {value}" for kind in held for value in held[kind].elements()) == wanted
    assert sum(report["unknown"] for report in reports) >= kills // 3  # the kills did hit sendings
    assert sum(copies.values()) > results  # and some results arrived twice


def test_each_is_there_once_whoever_is_killed(tmp_path: Path) -> None:
    live_and_die(tmp_path, results=40, kills=3, seed=1)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(2))
def test_a_thousand_results_and_forty_kills(tmp_path: Path, seed: int) -> None:
    live_and_die(tmp_path, results=1000, kills=40, seed=seed)


if __name__ == "__main__":
    main(sys.argv[1])
