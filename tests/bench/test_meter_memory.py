"""A meter's memory of 2,000 results into the journal over TCP, beside as many fdatasyncs; each part a process.

``pytest -m bench -s tests/bench/test_meter_memory.py`` prints it.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from gateway.cli.demo.stage import Stage, free_port, until
from gateway.clock import moment
from simulators.meter import Identity
from simulators.scenario import dump, long_use
from tests.bench.beside import Disk, fdatasyncs_per_s, median
from tests.bench.test_rates import HUB_ONLY, between, needs_mosquitto, report

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]

NOW = datetime(2026, 3, 14, 16, 0, tzinfo=UTC)
RESULTS = 2000
ROUNDS = 5


class Kind(NamedTuple):
    """One way for a memory to arrive."""

    driver: str
    profile: str
    options: tuple[str, ...] = ()
    dialect: dict[str, object] = {}  # noqa: RUF012  (read only)
    wanted: float | None = 2.0
    """At most so many times the time of as many fdatasyncs; None: only measured."""


KINDS = {
    "ieee11073, PM-store, 5 results in a report": Kind(
        "ieee11073", "ieee11073_inr", (), {"transfer": "store", "entries_per_segment": 500, "entries_per_event": 5}
    ),
    "ieee11073, one result in a report": Kind("ieee11073", "ieee11073_inr"),
    "poct1a, up to 5 results in a document (PT2)": Kind("poct1a", "coag_sense_pt2", ("--dialect", "pt2")),
    # A commit for each result, and a simulated meter that needs as long for its document as the hub for everything
    # but the disk: near the mark on two cores, and beyond it when anything else runs.
    "poct1a, one result in a document (CoaguChek)": Kind(
        "poct1a", "coaguchek_poct1a", ("--dialect", "coaguchek"), wanted=None
    ),
    "astm, a message in a frame": Kind(
        "astm", "home_inr_astm", ("--gap", "0"), {"framing": "message"}, wanted=None
    ),
    "astm, a record in a frame": Kind("astm", "home_inr_astm", ("--gap", "0"), wanted=None),
}


class Outcome(NamedTuple):
    """What stands in the journal.

    Attributes:
        pieces: how many commits the meter waited for.
        seconds: from the first piece that arrived to the last.
        readings: what was decoded in the end.
    """

    pieces: int
    seconds: float
    readings: int


def scenario(folder: Path, kind: Kind) -> Path:
    """A meter with so many results."""
    story = long_use(date(2026, 3, 14), RESULTS).model_copy(update={"starts": NOW})
    story = story.model_copy(update={"meter": Identity(capacity=RESULTS)})
    content = json.loads(dump(story))
    if kind.driver == "ieee11073":
        content = {key: content[key] for key in ("starts", "meter", "clock", "memory")}
        content["schema"] = "inr-gateway/ieee11073-scenario/1"
    content["dialect"] = kind.dialect if kind.driver != "poct1a" else {}
    path = folder / "meter.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def journalled(path: Path) -> Outcome:
    """Count it."""
    if not path.exists():
        return Outcome(0, 0.0, 0)
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as journal:
        try:
            rows = "SELECT count(*), min(received_at), max(received_at) FROM piece"
            pieces, first, last = journal.execute(rows).fetchone()
            (readings,) = journal.execute("SELECT count(*) FROM reading").fetchone()
        except sqlite3.OperationalError:  # the hub is just making it
            return Outcome(0, 0.0, 0)
    seconds = (moment(last) - moment(first)).total_seconds() if pieces else 0.0
    return Outcome(pieces, seconds, readings)


def one_round(folder: Path, kind: Kind) -> tuple[Outcome, Disk]:
    """A new hub reads a full meter."""
    stage = Stage(folder, NOW, broker="mosquitto")
    port = free_port()
    text = stage.hub_configuration.read_text(encoding="utf-8")
    text = text.replace(f'address = "{stage.port}"', f'address = "tcp-listen://127.0.0.1:{port}"')
    text = text.replace('driver = "astm"', f'driver = "{kind.driver}"').replace("home_inr_astm", kind.profile)
    stage.hub_configuration.write_text(text, encoding="utf-8")
    try:
        stage.start_broker()
        stage.prepare(HUB_ONLY)
        stage.start_hub()
        until(lambda: "hub: running" in stage.log("hub").read_text(), 20, "the hub running")
        before = fdatasyncs_per_s(folder, RESULTS)
        words = ("simulate", kind.driver, "--connect", f"127.0.0.1:{port}", "--until-delivered", *kind.options)
        stage.start("meter", *stage.command(*words, "--scenario", str(scenario(folder, kind))))
        until(lambda: stage.processes["meter"].poll() is not None, 120, "the meter being empty")
        disk = between(before, fdatasyncs_per_s(folder, RESULTS))
        until(lambda: journalled(stage.journal).readings >= RESULTS, 60, "everything decoded")
        assert stage.processes["meter"].returncode == 0, stage.log("meter").read_text()
        return journalled(stage.journal), disk
    finally:
        stage.stop()


@needs_mosquitto
@pytest.mark.parametrize("name", KINDS)
def test_a_full_memory(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    ratios = []
    for number in range(ROUNDS):
        found, disk = one_round(tmp_path / str(number), kind)
        assert found.readings == RESULTS
        ratios.append(found.seconds * disk.append / RESULTS)
        report(
            f"{name}: {RESULTS} results in {found.seconds:.2f} s, {found.pieces} commits, "
            f"{found.seconds / found.pieces * 1e6:.0f} µs each; {RESULTS} fdatasyncs take "
            f"{RESULTS / disk.append:.2f} s appending, {RESULTS / disk.overwrite:.2f} s overwriting: "
            f"{ratios[-1]:.2f} and {found.seconds * disk.overwrite / RESULTS:.2f} times as long"
        )
    assert kind.wanted is None or median(ratios) <= kind.wanted
