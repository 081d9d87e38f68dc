"""The simulated USB meter into the hub's real journal: every test committed, then confirmed, then readable."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest

from drivers.meters.ieee11073 import Ieee11073Driver
from drivers.transports.phdc import open_phdc
from gateway.hub.contact import Contact
from gateway.hub.entries import Line
from simulators.ieee11073.dialect import Dialect, Fault, FaultKind, Transfer
from simulators.ieee11073.instrument import Instrument
from simulators.ieee11073.scenario import Ieee11073Scenario
from simulators.ledger import Ledger
from simulators.usb.backend import Bus
from simulators.usb.phdc import PhdcMeter
from tests.protocol.ieee11073.conversation import SCENARIO
from tests.unit.hub.conftest import Bench

PATIENCE_S = 20.0


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    with suppress(Exception):
        bench.journal.close()


@pytest.mark.parametrize("transfer", [Transfer.LIVE, Transfer.STORE])
def test_a_whole_memory_stands_in_the_journal(bench: Bench, transfer: Transfer) -> None:
    scenario = Ieee11073Scenario(
        meter=SCENARIO.meter,
        clock=SCENARIO.clock,
        memory=SCENARIO.memory,
        starts=SCENARIO.starts,
        dialect=Dialect(transfer=transfer, entries_per_event=3),
        faults=(Fault(kind=FaultKind.STALE_FIRST),),
    )
    device = PhdcMeter(Instrument(scenario, Ledger()).agent)
    driver = Ieee11073Driver({"association": {"release_when_quiet_s": 0.2}})
    bench.driver = driver  # type: ignore[assignment]  # the bench asks it to decode, no more
    intake = bench.intake(Line("meter", "meter", "ieee11073"))
    stop = threading.Event()
    with open_phdc("phdc:", backend=Bus(device)) as transport:
        session = driver.session(intake.unfinished())
        contact = Contact("meter", transport, session, intake)
        conversing = threading.Thread(target=contact.run, args=(stop,))
        conversing.start()
        ends_s = time.monotonic() + PATIENCE_S
        while (
            device.agent.deliveries.unsent or device.agent.state != "unassociated"
        ) and time.monotonic() < ends_s:
            time.sleep(0.01)
        stop.set()
        conversing.join(PATIENCE_S)
    readings = bench.readings
    assert len(readings) == len(SCENARIO.memory)
    assert all(reading.fault is None for reading in readings)
    results = [reading.result for reading in readings if reading.result is not None]
    assert sorted(result.kind.value for result in results) == ["control", "error", *["patient"] * 6]
    assert {result.meter.serial for result in results} == {"SN000123"}
    for reading in readings:
        assert reading.meter_clock is not None
        assert reading.meter_clock.device_time.local is not None
        assert reading.meter_clock.device_time.local.replace(second=0) == datetime(2026, 3, 14, 12)
