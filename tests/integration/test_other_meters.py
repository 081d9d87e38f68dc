"""Meters that speak POCT1-A2 and IEEE 11073 over TCP: a whole memory reaches the provider and the tally, once."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli.demo.observation import observe
from gateway.cli.demo.stage import HUB, Stage, free_port, until
from gateway.cli.demo.story import NOW, PATIENT, TODAY, registry
from simulators.scenario import five_weeks

PATIENT_TESTS = 6
POCT1A_FAULTS = (
    *("--fault", "unplug:document=3,seconds=0.3"),  # results arrive, their acknowledgement does not
    *("--fault", "cut:octet=5500,seconds=0.3"),  # in the middle of others
    *("--fault", "duplicate:document=11"),
    *("--fault", "garbage:document=12,octets=00ff3c3c21"),
)
KINDS = {
    "poct1a": ("poct1a", "coag_sense_pt2", ("--dialect", "pt2", *POCT1A_FAULTS)),
    "ieee11073": ("ieee11073", "ieee11073_inr", ()),
}
SERIAL = "SN000123"


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def chain(kind: str, port: int, tmp_path: Path) -> Iterator[Stage]:
    driver, profile, options = KINDS[kind]
    stage = Stage(tmp_path / "chain", NOW)
    text = stage.hub_configuration.read_text(encoding="utf-8")
    text = text.replace(f'address = "{stage.port}"', f'address = "tcp-listen://127.0.0.1:{port}"')
    text = text.replace('driver = "astm"', f'driver = "{driver}"').replace("home_inr_astm", profile)
    stage.hub_configuration.write_text(text, encoding="utf-8")
    try:
        stage.start_broker()
        stage.prepare(registry(stage.mllp_port, HUB))
        stage.start_provider()
        stage.start_server()
        stage.start_hub()
        until(lambda: "hub: running" in stage.log("hub").read_text(), 20, "the hub running")
        words = ("simulate", driver, "--connect", f"127.0.0.1:{port}", "--five-weeks", TODAY.isoformat())
        ledger = ("--ledger", str(stage.meter_ledger))
        stage.start("meter", *stage.command(*words, *ledger, *options), wait_for='"ready"')
        yield stage
    finally:
        stage.stop()


def test_the_whole_memory_arrives_once(chain: Stage, kind: str, port: int) -> None:
    configuration = ("--config", str(chain.server_configuration))
    until(lambda: len(observe(chain).copies) == PATIENT_TESTS, 40, "every report arriving")
    until(lambda: all(test.told for test in observe(chain).memory), 20, "the meter being told of every test")
    until(lambda: observe(chain).receipts == observe(chain).readings, 20, "every receipt")
    now = observe(chain)
    stored = [json.loads(line) for line in chain.call("results", "list", "--json", *configuration).splitlines()]
    # Above its range a PT2 says HI and an 11073 meter infinity: neither says where its range ends.
    beyond = next(result["inr"] for result in stored if result["device_time"].startswith("2026-02-24"))
    displayed = [(result["kind"], result["device_time"], result["inr"]) for result in stored]
    assert displayed == [(test.kind, test.shown, beyond if test.inr == ">8.0" else test.inr) for test in now.memory]
    assert beyond in ("HI", "+INFINITY", ">8.0")
    if kind == "poct1a":
        assert chain.log("hub").read_text().count("connection ended") >= 3
    assert len(now.copies) == PATIENT_TESTS
    assert now.unexplained == ()
    statement = chain.call("units", "statement", *configuration, PATIENT, "--as-of", TODAY.isoformat())
    assert "G0249" in statement
    if kind == "ieee11073":
        check_clearing(chain, port)


def check_clearing(chain: Stage, port: int) -> None:
    """The same meter with a store, cleared from the command line: the server must have what is read in doing so."""
    chain.kill("meter")
    chain.kill("hub", signal.SIGTERM)
    story = json.loads(five_weeks(TODAY).model_dump_json(include={"starts", "meter", "clock", "memory"}))
    dialect = {"transfer": "store", "sent_once": False, "config_id": 0x4001}
    scenario, ledger = chain.folder / "store.json", chain.folder / "store.jsonl"
    scenario.write_text(json.dumps({"schema": "inr-gateway/ieee11073-scenario/1", **story, "dialect": dialect}))
    words = ("simulate", "ieee11073", "--connect", f"127.0.0.1:{port}", "--scenario", str(scenario))
    chain.start("meter", *chain.command(*words, "--ledger", str(ledger)), wait_for='"ready"')
    before = observe(chain)
    order = ("--port", "meter", "--meter", SERIAL, "--confirm", f"delete {SERIAL}", "--receipts-within", "20")
    said = chain.call("clear-meter", "--config", str(chain.hub_configuration), *order)
    assert said == f"deleted from meter {SERIAL}: segments 1, 2 of store 8, {len(before.memory)} records\n"
    cleared = [json.loads(line) for line in ledger.read_text().splitlines() if '"cleared"' in line]
    assert [line["segments"] for line in cleared] == [[1, 2]]
    after = observe(chain)
    assert after.receipts == after.readings >= before.readings + len(before.memory)
    assert after.copies == before.copies
    assert len(after.strange) == len(before.strange) == 1  # the infinity
