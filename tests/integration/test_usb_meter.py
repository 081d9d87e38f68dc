"""An 11073 meter at a USB bus inside this process, a real hub, and the rest of the chain as processes; with faults.

Unmodified pyusb sees the simulated device; see `simulators.usb.backend`.
"""

from __future__ import annotations

import functools
import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from drivers.transports import phdc
from gateway.cli.demo.observation import observe
from gateway.cli.demo.stage import HUB, Stage, until
from gateway.cli.demo.story import NOW, PATIENT, TODAY, registry
from gateway.hub.configuration import read
from gateway.hub.opening import alone
from gateway.hub.run import Hub
from simulators.ieee11073.dialect import Dialect, Fault, FaultKind, Transfer
from simulators.ieee11073.instrument import Instrument
from simulators.ieee11073.scenario import Ieee11073Scenario
from simulators.ledger import Ledger
from simulators.scenario import five_weeks
from simulators.usb.backend import Bus
from simulators.usb.phdc import PhdcMeter, UsbIdentity

PATIENT_TESTS = 6
STORY = five_weeks(TODAY)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path / "chain", NOW)
    text = stage.hub_configuration.read_text(encoding="utf-8")
    text = text.replace(f'address = "{stage.port}"', 'address = "phdc:"').replace('"astm"', '"ieee11073"')
    stage.hub_configuration.write_text(text.replace("home_inr_astm", "ieee11073_inr"), encoding="utf-8")
    try:
        stage.start_broker()
        stage.prepare(registry(stage.mllp_port, HUB))
        stage.start_provider()
        stage.start_server()
        yield stage
    finally:
        stage.stop()


@contextmanager
def hub(stage: Stage) -> Iterator[None]:
    """The hub of the configuration, in this process because the bus is."""
    configuration = read(stage.hub_configuration)
    over = threading.Event()

    def keep_house() -> None:
        while not over.wait(0.5):
            running.tick()

    with alone(configuration.hub.journal):
        running = Hub(configuration)
        running.start()
        ticking = threading.Thread(target=keep_house)
        ticking.start()
        try:
            yield
        finally:
            over.set()
            ticking.join()
            running.stop()


def told(stage: Stage) -> int:
    return sum(test.told for test in observe(stage).memory)


@pytest.mark.parametrize(("transfer", "prompt_octets"), [(Transfer.STORE, 0), (Transfer.LIVE, 0xFFFF)])
def test_the_whole_memory_arrives_once_over_usb(
    stage: Stage,
    transfer: Transfer,
    prompt_octets: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "gateway.hub.contact")
    scenario = Ieee11073Scenario(
        meter=STORY.meter,
        clock=STORY.clock,
        memory=STORY.memory,
        starts=STORY.starts,
        dialect=Dialect(transfer=transfer, entries_per_event=1, entries_per_segment=4),
        faults=(Fault(kind=FaultKind.STALE_FIRST), Fault(kind=FaultKind.LOST_CONFIRMATION, at=2)),
    )
    ledger = Ledger(stage.meter_ledger)
    identity = UsbIdentity(babbles_at=10, stalls_once=True, prompt_octets=prompt_octets)
    meter = PhdcMeter(Instrument(scenario, ledger).agent, identity)
    bus = Bus(meter)
    monkeypatch.setattr(phdc, "open_phdc", functools.partial(phdc.open_phdc, backend=bus))
    pulled = threading.Event()
    take = meter.bulk_out

    def pull(endpoint: int, octets: bytes) -> None:
        """The cable goes when the third report's confirmation has just arrived."""
        take(endpoint, octets)
        if not pulled.is_set() and len(meter.agent.deliveries.delivered) == 3:
            pulled.set()
            bus.unplug(meter)

    monkeypatch.setattr(meter, "bulk_out", pull)
    try:
        with hub(stage):
            until(lambda: "was unplugged" in caplog.text, 20, "the hub missing its meter")
            assert told(stage) == 3
            bus.plug(meter)
            until(lambda: len(observe(stage).copies) == PATIENT_TESTS, 40, "every report arriving")
            until(lambda: told(stage) == len(STORY.memory), 20, "the meter being told of every test")
            until(lambda: observe(stage).receipts == observe(stage).readings > 0, 20, "every receipt")
            assert "babble" in caplog.text
            now = observe(stage)
            began_s = time.monotonic()
            while time.monotonic() - began_s < 1.5:  # a meter that is still plugged in brings nothing twice
                assert observe(stage).copies == now.copies
                time.sleep(0.25)
    finally:
        ledger.close()
    configuration = ("--config", str(stage.server_configuration))
    stored = [json.loads(line) for line in stage.call("results", "list", "--json", *configuration).splitlines()]
    displayed = [(result["kind"], result["device_time"], result["inr"]) for result in stored]
    # Above its range an 11073 meter says infinity and not where its range ends.
    in_memory = [(test.kind, test.shown, test.inr.replace(">8.0", "+INFINITY")) for test in now.memory]
    assert displayed == in_memory
    assert now.unexplained == ()
    statement = stage.call("units", "statement", *configuration, PATIENT, "--as-of", TODAY.isoformat())
    assert "G0249" in statement
