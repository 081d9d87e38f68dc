"""A Bluetooth meter's results over their whole way, with unmodified bleak and a fake BlueZ."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.cli.demo.observation import observe
from gateway.cli.demo.stage import HUB, Stage
from gateway.cli.demo.story import NOW, PATIENT, TODAY, registry
from gateway.cli.main import main
from simulators.ble.instrument import Instrument
from simulators.ble.scenario import BleScenario
from simulators.ble.table import LIVE
from simulators.ledger import Ledger
from simulators.meter import Entry
from simulators.scenario import five_weeks
from tests.integration.ble.air import Air, until

PATIENT_TESTS = 6
NEW = Entry(at=NOW - timedelta(minutes=5), inr="2.6", pt_seconds="30.7", strip_lot="571204")
PROFILE = """\
driver = "ble_ghs"
[bluetooth]
security = "authenticated"
[conversation]
close_when_quiet_s = 1
[limits]
above = "8.0"
below = "0.8"
source = "instructions for use"
"""


@pytest.fixture
def instrument(tmp_path: Path) -> Instrument:
    story = five_weeks(TODAY)
    scenario = BleScenario(meter=story.meter, clock=story.clock, memory=story.memory, starts=story.starts)
    (tmp_path / "chain").mkdir(exist_ok=True)
    return Instrument(scenario, Ledger(tmp_path / "chain" / "meter.jsonl"))


@pytest.fixture
def chain(tmp_path: Path, air: Air) -> Iterator[Stage]:
    assert air.bluez.address
    stage = Stage(tmp_path / "chain", NOW)
    profile = tmp_path / "ghs.toml"
    profile.write_text(PROFILE, encoding="utf-8")
    text = stage.hub_configuration.read_text(encoding="utf-8")
    text = text.replace(f'address = "{stage.port}"', 'address = "ble:ghs"\nagain_after_s = 1')
    text = text.replace('driver = "astm"', 'driver = "ble_ghs"').replace("home_inr_astm", str(profile))
    stage.hub_configuration.write_text(text, encoding="utf-8")
    try:
        stage.start_broker()
        stage.prepare(registry(stage.mllp_port, HUB))
        stage.start_provider()
        stage.start_server()
        stage.start_hub()
        until(lambda: "hub: running" in stage.log("hub").read_text(), 20, "the hub running")
        yield stage
    finally:
        stage.stop()


def pair(stage: Stage, instrument: Instrument, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a person does: choose the meter, and type what it shows."""

    def answer(question: str) -> str:
        if "pair with it" in question:
            return "y"
        assert instrument.address in question
        shown: int = until(lambda: instrument.person.shown, what="the meter to show a number")
        return f"{shown:06d}"

    monkeypatch.setattr("builtins.input", answer)
    assert main(["pair", "--config", str(stage.hub_configuration), "--seconds", "10"]) == 0


def test_paired_read_live_and_tallied_once(
    air: Air,
    chain: Stage,
    instrument: Instrument,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    air.add(instrument)
    until(lambda: "is not paired" in chain.log("hub").read_text(), 20, "the hub asking for a pairing")
    assert not any(test.told for test in observe(chain).memory)
    pair(chain, instrument, monkeypatch)
    said = capsys.readouterr().out
    assert f"paired     {instrument.address}" in said
    assert "authenticated" in said

    until(lambda: len(observe(chain).copies) == PATIENT_TESTS, 40, "every report arriving")
    until(lambda: air.meters[0].is_advertising, 20, "the hub letting the meter go")
    until(lambda: listens(instrument), 20, "the hub asking for live results")
    air.sync(lambda: instrument.make(NEW))
    until(lambda: len(observe(chain).copies) == PATIENT_TESTS + 1, 40, "the new report arriving")
    # Live and then out of the memory: two readings of one test, one result.
    until(lambda: observe(chain).receipts >= len(observe(chain).memory) + 1, 20, "the stored copy's receipt")
    now = observe(chain)
    assert now.readings == len(now.memory) + 1
    assert all(test.told for test in now.memory)
    assert now.doubled == ()
    assert now.unexplained == ()
    configuration = ("--config", str(chain.server_configuration))
    stored = [json.loads(line) for line in chain.call("results", "list", "--json", *configuration).splitlines()]
    displayed = [(result["kind"], result["device_time"], result["inr"]) for result in stored]
    # Above its range the meter sends infinity, which does not say where the range ends.
    expected = ["+INFINITY" if test.inr == ">8.0" else test.inr for test in now.memory]
    assert displayed == [(test.kind, test.shown, inr) for test, inr in zip(now.memory, expected, strict=True)]
    statement = chain.call("units", "statement", *configuration, PATIENT, "--as-of", TODAY.isoformat())
    assert "G0249" in statement


def listens(instrument: Instrument) -> bool:
    sensor = instrument.sensor
    return sensor._is_live and bool(sensor._subscribed.get(LIVE))
