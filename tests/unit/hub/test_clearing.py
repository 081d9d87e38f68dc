"""Clearing a meter on a person's order: only what the server is known to have, of the meter that was named."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from drivers.conformance import Host
from drivers.contract import Session
from drivers.errors import DeviceError
from drivers.meters.ble_ghs import BleGhsDriver
from drivers.meters.ieee11073 import Ieee11073Driver
from drivers.transports.phdc import open_phdc
from gateway.cli.main import main
from gateway.hub.clearing import ClearingOrder
from gateway.hub.contact import Contact
from gateway.hub.entries import Line as Origin
from gateway.hub.entries import StoredPiece
from simulators.ieee11073.agent import Agent
from simulators.ieee11073.dialect import Dialect, Transfer
from simulators.usb.backend import Bus
from simulators.usb.phdc import PhdcMeter
from tests.protocol.ghs import peer as p
from tests.protocol.ghs.peer import Line, Peer
from tests.protocol.ieee11073.conversation import SCENARIO, agent
from tests.unit.hub.conftest import Bench

PORT = Origin("meter", "meter", "ieee11073")
STORE = Dialect(transfer=Transfer.STORE, entries_per_event=3)
PATIENCE_S = 20.0


def until(condition: Callable[[], object]) -> None:
    ends_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < ends_s, "it did not happen in time"
        time.sleep(0.01)


@contextmanager
def reading(bench: Bench, meter: Agent, order: ClearingOrder) -> Iterator[None]:
    """The meter is read as the hub does, with an order; inside everything is read and nothing receipted."""
    driver = Ieee11073Driver({"association": {"release_when_quiet_s": 0.3}})
    bench.driver = driver  # type: ignore[assignment]  # the bench asks it to decode, no more
    intake = bench.intake(PORT)
    stop = threading.Event()
    with open_phdc("phdc:", backend=Bus(PhdcMeter(meter))) as transport:
        session = order.around(bench.journal)(driver.session())
        conversing = threading.Thread(target=Contact("meter", transport, session, intake).run, args=(stop,))
        conversing.start()
        try:
            until(lambda: not meter.deliveries.unsent)
            yield
        finally:
            stop.set()
            conversing.join(PATIENCE_S)


def receipt(bench: Bench, *, but: int = 0) -> None:
    """The server has everything that was read."""
    for row in list(bench.readings) and bench.journal.waiting(0, 1000):
        if row.number != but:
            bench.journal.credit(row.number, "stored", "epoch", bench.stamper.stamp().received_at)
    bench.journal.flush()


def test_what_the_server_has_is_deleted_and_nothing_sooner(bench: Bench) -> None:
    meter, order = agent(STORE), ClearingOrder("meter", "SN000123", PATIENCE_S)
    with reading(bench, meter, order):
        assert not order.is_settled.wait(0.5)
        assert len(meter.meter.memory) == len(SCENARIO.memory)
        receipt(bench)
        assert order.is_settled.wait(PATIENCE_S)
    assert order.refused is None
    assert order.cleared is not None
    assert order.cleared.what == "segments 1, 2 of store 8, 8 records"
    assert meter.meter.memory == ()


def test_one_missing_receipt_keeps_everything(bench: Bench) -> None:
    meter, order = agent(STORE), ClearingOrder("meter", "SN000123", 0.5)
    with reading(bench, meter, order):
        receipt(bench, but=4)
        assert order.is_settled.wait(PATIENCE_S)
    assert order.cleared is None
    assert "1 of what was read at port meter has no receipt" in str(order.refused)
    assert len(meter.meter.memory) == len(SCENARIO.memory)


def test_what_came_at_another_time_through_the_port_counts_too(bench: Bench) -> None:
    stored = StoredPiece(b"E7", bench.stamper.stamp())
    bench.journal.add_piece(PORT, stored, message=None)
    bench.journal.add_piece(Origin("other", "other", "ieee11073"), stored, message=None)
    assert (bench.journal.unreceipted("meter"), bench.journal.unreceipted("none")) == (1, 0)
    meter, order = agent(STORE), ClearingOrder("meter", "SN000123", 0.5)
    with reading(bench, meter, order):
        receipt(bench)
        assert order.is_settled.wait(PATIENCE_S)
    assert order.cleared is None
    assert len(meter.meter.memory) == len(SCENARIO.memory)


def test_another_meter_keeps_its_memory(bench: Bench) -> None:
    meter, order = agent(STORE), ClearingOrder("meter", "SN000999", PATIENCE_S)
    with reading(bench, meter, order):
        receipt(bench)
        until(lambda: meter.state == "unassociated")
    assert not order.is_settled.is_set()
    assert len(meter.meter.memory) == len(SCENARIO.memory)


def test_a_test_that_is_made_meanwhile_is_not_lost(bench: Bench) -> None:
    meter, order = agent(STORE), ClearingOrder("meter", "SN000123", PATIENCE_S)
    with reading(bench, meter, order):
        meter.meter.make(SCENARIO.memory[0])
        receipt(bench)
        assert order.is_settled.wait(PATIENCE_S)
    assert order.cleared is None
    assert "does not hold the 7 results that were read" in str(order.refused)
    assert len(meter.meter.memory) == len(SCENARIO.memory) + 1


def sensor(session: Session, *numbers: int) -> Line:
    records = {number: p.inr(20 + number, p.T0 + 86_400 * number) for number in numbers}
    return Line(Host(session), Peer(records)).begin()


def test_a_health_sensor_deletes_its_records_up_to_the_last_one_read(bench: Bench) -> None:
    order = ClearingOrder("meter", "SN123", 5)
    line = sensor(order.around(bench.journal)(BleGhsDriver({}).session()), 1, 2, 3)
    line.wait(1)
    assert order.cleared is not None
    assert order.cleared.what == "records up to number 3"
    assert line.peer.memory == {}
    assert line.peer.is_over
    assert line.error is None


def test_a_health_sensor_keeps_what_has_no_receipt(bench: Bench) -> None:
    bench.journal.add_piece(PORT, StoredPiece(b"x", bench.stamper.stamp()), message=None)
    order = ClearingOrder("meter", "SN123", 5)
    line = sensor(order.around(bench.journal)(BleGhsDriver({}).session()), 1, 2, 3)
    line.wait(60)
    assert "no receipt" in str(order.refused)
    assert list(line.peer.memory) == [1, 2, 3]
    assert line.error is None


def test_a_health_sensor_that_refuses_is_believed(bench: Bench) -> None:
    order = ClearingOrder("meter", "SN123", 5)
    session = order.around(bench.journal)(BleGhsDriver({}).session())
    records = {1: p.inr(21, p.T0)}
    peer = Peer(records)
    peer.opcodes = tuple(code for code in peer.opcodes if code != 2)
    line = Line(Host(session), peer).begin().wait(5)
    assert order.cleared is None
    assert "did not delete" in str(order.refused)
    assert list(line.peer.memory) == [1]


def test_nothing_can_be_cleared_before_it_was_read() -> None:
    for session in (Ieee11073Driver({}).session(), BleGhsDriver({}).session()):
        assert session.clearable is None
        with pytest.raises(DeviceError):
            session.clear(0.0)


CONFIGURATION = """
[hub]
id = "h"
zone = "America/New_York"
journal = "{folder}/journal.db"
[mqtt]
port = 1
[[attachment]]
name = "usb"
address = "phdc:"
driver = "ieee11073"
profile = "ieee11073_inr"
[[attachment]]
name = "old"
address = "tcp-listen://127.0.0.1:0"
driver = "astm"
profile = "home_inr_astm"
"""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--port", "none", "--meter", "S1", "--confirm", "delete S1"), "there are usb, old"),
        (("--port", "old", "--meter", "S1", "--confirm", "delete S1"), "driver astm cannot clear"),
        (("--port", "usb", "--meter", "S1", "--confirm", "delete S2"), "the words are: delete S1"),
        (("--port", "usb", "--meter", "S1"), "the words are: delete S1"),
    ],
)
def test_the_command_does_nothing_without_the_right_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    configuration = tmp_path / "hub.toml"
    configuration.write_text(CONFIGURATION.format(folder=tmp_path))
    assert main(["clear-meter", "--config", str(configuration), *words]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "journal.db").exists()
