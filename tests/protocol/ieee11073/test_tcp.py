"""The simulated agent dials the driver over real TCP."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from drivers.contract import Context, Event, Finished, MeterRecord, Piece, Send
from drivers.errors import TransportError
from drivers.meters.ieee11073 import Ieee11073Driver
from drivers.transports.tcp import TcpListener, TcpTransport
from simulators.ieee11073.dialect import Dialect, Transfer
from simulators.ieee11073.instrument import Instrument
from simulators.ieee11073.scenario import Ieee11073Scenario
from simulators.ledger import Ledger, read
from simulators.mounts.tcp import Dialer
from tests.protocol.ieee11073.conversation import SCENARIO

PATIENCE_S = 20.0


def serve(transport: TcpTransport, driver: Ieee11073Driver) -> list[MeterRecord]:
    session = driver.session()
    contexts: list[bytes] = []
    records: list[MeterRecord] = []
    todo: list[Event] = session.opened(time.monotonic())
    while True:
        while todo:
            event = todo.pop(0)
            if isinstance(event, Send):
                transport.write(event.octets)
            elif isinstance(event, Context):
                contexts.append(event.octets)
            elif isinstance(event, Piece):
                items = driver.decode([*contexts, event.octets]).items
                records += [item for item in items if isinstance(item, MeterRecord)]
                todo = session.confirm(time.monotonic()) + todo
            elif isinstance(event, Finished):
                assert event.error is None
                return records
        try:
            octets = transport.read(65_536, 0.1)
        except TransportError:
            todo = session.lost(time.monotonic())
            continue
        todo = session.receive(octets, time.monotonic()) if octets else session.tick(time.monotonic())


@pytest.mark.parametrize("transfer", [Transfer.LIVE, Transfer.STORE])
def test_a_whole_memory_over_tcp(transfer: Transfer, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    scenario = Ieee11073Scenario(
        meter=SCENARIO.meter,
        clock=SCENARIO.clock,
        memory=SCENARIO.memory,
        starts=SCENARIO.starts,
        dialect=Dialect(transfer=transfer, entries_per_event=2),
    )
    ledger = Ledger(path)
    instrument = Instrument(scenario, ledger)
    stop = threading.Event()
    with TcpListener("tcp-listen://127.0.0.1:0") as listener:
        mount = Dialer("127.0.0.1", listener.port)
        dialling = threading.Thread(target=instrument.run, args=(mount, stop), kwargs={"until_delivered": True})
        dialling.start()
        try:
            transport = listener.accept(PATIENCE_S)
            assert transport is not None
            with transport:
                driver = Ieee11073Driver({"association": {"release_when_quiet_s": 0.1}})
                records = serve(transport, driver)
        finally:
            stop.set()
            dialling.join(PATIENCE_S)
            ledger.close()
    assert not dialling.is_alive()
    assert len(records) == len(SCENARIO.memory)
    received = [line for line in read(path) if line["event"] == "received"]
    assert sorted(entry for line in received for entry in line["entries"]) == list(range(len(SCENARIO.memory)))
