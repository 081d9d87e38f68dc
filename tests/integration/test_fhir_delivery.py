"""Delivery from a real store to a FHIR server in a process of its own that answers in every bad way at once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.reporting.configuration import Delivery as Settings
from gateway.reporting.configuration import Supplier
from gateway.reporting.delivery import Delivery
from simulators.ledger import read
from tests.unit.reporting.receivers import within
from tests.unit.reporting.stores import Store

QUICK = Settings(
    supplier=Supplier(application_oid="2.25.1", npi="1234567893"),
    poll_s=0.05,
    connect_timeout_s=2,
    answer_timeout_s=0.5,
    retry_first_s=0.02,
    retry_most_s=0.1,
)


@contextmanager
def far_end(ledger: Path, *words: str) -> Iterator[str]:
    """Our own server, as ``inr-gateway simulate provider --kind fhir`` starts it."""
    program = "import sys; from gateway.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "simulate", "provider", "--kind", "fhir"]
    script = [part for word in words for part in ("--misbehave", word)]
    process = subprocess.Popen([*command, "--ledger", str(ledger), *script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        yield f"http://{ready['host']}:{ready['port']}/fhir"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        process.stdout.close()


def test_every_bad_answer_and_each_result_is_there_once(tmp_path: Path) -> None:
    ledger, count = tmp_path / "fhir.jsonl", 12
    words = (
        "1=status:422",
        "2=accepted",
        "3=status:412",
        "5=drop",
        "7=half",
        "9=stored-500",
        "11=status:503:1",
        "13=status:429:1",
        "15=short",
        "17=wrong",
        "19=late:2",
        "20=no-bundle",
    )
    store = Store(tmp_path / "store.db")

    def settled() -> bool:
        left = "SELECT count(*) FROM report WHERE state NOT IN ('delivered', 'refused', 'accepted')"
        return bool(store.value("SELECT count(*) FROM report") == count and store.value(left) == 0)

    with far_end(ledger, *words) as address:
        store.provider("a", address, channel="fhir", settings="{}")
        store.patient("p", "a")
        store.results("p", count)
        delivery = Delivery(store.path, QUICK, store.clock, "rig")
        delivery.start()
        try:
            within(30, settled)
        finally:
            delivery.stop(timeout_s=1)
    outcomes = Counter(row["outcome"] for row in store.rows("SELECT outcome FROM attempt"))
    states = Counter(row["state"] for row in store.rows("SELECT state FROM report"))
    waited = store.rows(
        "SELECT julianday(n.started_at) - julianday(a.ended_at) AS days FROM attempt a JOIN attempt n"
        " ON n.id = (SELECT min(id) FROM attempt m WHERE m.id > a.id) WHERE a.id IN (11, 13)"
    )
    store.close()
    lines = read(ledger)
    requests = [line for line in lines if line["event"] == "request"]
    stored = Counter(
        line["resource"]["identifier"][0]["value"]
        for line in lines
        if line["event"] == "stored" and line["kind"] == "DiagnosticReport"
    )
    assert states == {"delivered": count - 3, "refused": 2, "accepted": 1}
    assert outcomes == {"delivered": count - 3, "refused": 2, "accepted": 1, "ambiguous": 8, "busy": 1}
    assert set(stored.values()) == {1}
    assert len(stored) == count - 3
    assert len({line["sha256"] for line in requests}) == count  # a resend is the same octets
    assert all(row["days"] * 86_400 >= 0.99 for row in waited)  # Retry-After
    assert len(waited) == 2
