"""Meters that speak POCT1-A2 and IEEE 11073 over TCP: their whole memory reaches the provider and the tally."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli.demo.observation import observe
from gateway.cli.demo.stage import HUB, Stage, free_port, until
from gateway.cli.demo.story import NOW, PATIENT, TODAY, registry

PATIENT_TESTS = 6
KINDS = {
    "poct1a": ("poct1a", "coag_sense_pt2", ("--dialect", "pt2", "--fault", "cut:octet=4000,seconds=0.5")),
    "ieee11073": ("ieee11073", "ieee11073_inr", ()),
}


@pytest.fixture(params=KINDS)
def chain(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    driver, profile, options = KINDS[request.param]
    stage = Stage(tmp_path / "chain", NOW)
    port = free_port()
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


def test_the_whole_memory_arrives_once(chain: Stage) -> None:
    configuration = ("--config", str(chain.server_configuration))
    until(lambda: len(observe(chain).copies) == PATIENT_TESTS, 40, "every report arriving")
    until(lambda: observe(chain).receipts >= len(observe(chain).memory), 20, "every receipt")
    now = observe(chain)
    assert all(test.told for test in now.memory)
    stored = [json.loads(line) for line in chain.call("results", "list", "--json", *configuration).splitlines()]
    # Above its range a PT2 says HI and an 11073 meter infinity: neither says where its range ends.
    beyond = next(result["inr"] for result in stored if result["device_time"].startswith("2026-02-24"))
    displayed = [(result["kind"], result["device_time"], result["inr"]) for result in stored]
    assert displayed == [(test.kind, test.shown, beyond if test.inr == ">8.0" else test.inr) for test in now.memory]
    assert beyond in ("HI", "+INFINITY")
    assert now.unexplained == ()
    statement = chain.call("units", "statement", *configuration, PATIENT, "--as-of", TODAY.isoformat())
    assert "G0249" in statement
