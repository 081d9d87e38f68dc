"""The session against a meter that was written without it: in one process, and over a real TCP socket."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from drivers.contract import MeterRecord
from drivers.errors import ProtocolError
from drivers.meters.poct1a import Poct1aDriver
from simulators.ledger import Ledger, read
from simulators.meter import Meter, Stored
from simulators.mounts.steps import Unplug
from simulators.mounts.tcp import Dialer
from simulators.poct1a.device import Accepted, Device, HangUp, Transmit
from simulators.poct1a.dialect import COAGUCHEK, PT2, Dialect
from simulators.poct1a.faults import Fault, Line
from simulators.poct1a.instrument import Instrument
from simulators.scenario import Scenario, five_weeks, long_use
from tests.protocol.poct1a.conftest import shipped
from tests.protocol.poct1a.made import Host

TODAY = date(2026, 3, 14)
DRIVERS = {"pt2": (PT2, "coag_sense_pt2"), "coaguchek": (COAGUCHEK, "coaguchek_poct1a")}


class Bench:
    """A meter with a memory and a host with a journal, wired together without a line."""

    def __init__(self, scenario: Scenario, dialect: Dialect, driver: Poct1aDriver, faults: list[Fault]) -> None:
        self.meter = Meter(scenario.meter, scenario.clock, scenario.memory)
        self.sent: set[int] = set()
        self.now_s = 0.0
        assert scenario.starts is not None
        self.present: datetime = scenario.starts
        self.driver = driver
        self.device = Device(self.meter, dialect, self.unsent, self.shown)
        self.line = Line(faults)
        self.journal: list[bytes] = []
        self.messages: list[list[bytes]] = []

    def unsent(self) -> list[Stored]:
        return [test for test in self.meter.memory if test.ordinal not in self.sent]

    def shown(self) -> datetime | None:
        return self.meter.clock.shows(self.present)

    def contact(self, *, full: bool = False, size: int | None = None) -> Host:
        """One connection until one side ends it. `size`: octets arrive in chunks of so many."""
        host = Host(self.driver.session(), full=full)
        host.journal, host.messages = self.journal, self.messages
        host.open()
        to_host, is_up = self.perform(self.device.connected(self.now_s))
        while True:
            to_device = b""
            for start in range(0, len(to_host), size or len(to_host) or 1):
                to_device += host.receive(to_host[start : start + (size or len(to_host))])
            if host.finished and not to_device:
                break
            if not is_up:
                host.lost()
                break
            if to_device:
                to_host, is_up = self.perform(self.device.receive(to_device, self.now_s))
            else:
                self.now_s = host.now_s = min(
                    at
                    for at in (self.device.deadline_s, host.session.deadline_s, self.now_s + 500)
                    if at is not None
                )
                to_host, is_up = self.perform(self.device.tick(self.now_s))
                answer = host.wait(0)
                if answer:
                    more, is_up_still = self.perform(self.device.receive(answer, self.now_s))
                    to_host, is_up = to_host + more, is_up and is_up_still
        self.device.lost()
        return host

    def perform(self, actions: list[Any]) -> tuple[bytes, bool]:
        octets = b""
        for action in actions:
            if isinstance(action, Transmit):
                for step in self.line.leaves(action.octets):
                    if isinstance(step, Unplug):
                        return octets, False
                    octets += step if isinstance(step, bytes) else b""
            elif isinstance(action, Accepted):
                tests = action.octets[action.octets.index(b"<SVC>") :].strip(b"\r\n\x1c")
                assert any(entry.rstrip().endswith(tests) for entry in self.journal), (
                    "told before the journal had it"
                )
                self.sent.update(test.ordinal for test in action.tests)
            elif isinstance(action, HangUp):
                return octets, False
        return octets, True

    def records(self) -> list[MeterRecord]:
        return decoded(self.driver, self.messages)


def decoded(driver: Poct1aDriver, messages: list[list[bytes]]) -> list[MeterRecord]:
    records = []
    for pieces in messages:
        for item in driver.decode(pieces).items:
            assert isinstance(item, MeterRecord), item.error
            records.append(item)
    return records


def expected(meter: Meter) -> set[tuple[str, str | None, str | None]]:
    """Kind, INR as the meter displayed it, and time of each test in the memory."""
    return {
        (test.entry.kind.value, test.entry.inr, None if test.shown is None else test.shown.isoformat())
        for test in meter.memory
    }


def told(records: list[MeterRecord]) -> set[tuple[str, str | None, str | None]]:
    return {
        (
            record.kind.value,
            None if record.inr is None else f"{record.inr.comparator or ''}{record.inr.value}",
            None
            if record.device_time is None or record.device_time.local is None
            else record.device_time.local.isoformat(),
        )
        for record in records
    }


def bench(name: str, scenario: Scenario | None = None, faults: tuple[str, ...] = (), **habits: Any) -> Bench:
    dialect, profile = DRIVERS[name]
    driver = Poct1aDriver(shipped(profile), wall_clock=lambda: datetime(2026, 3, 14, 16, tzinfo=UTC))
    habits = {key: value for key, value in habits.items() if value is not None}
    wrong = [Fault.parse(fault) for fault in faults]
    return Bench(scenario or five_weeks(TODAY), dialect.model_copy(update=habits), driver, wrong)


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.parametrize("size", [None, 1, 100])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_whole_memory_arrives_as_it_is(name: str, size: int | None, wrapped: bool) -> None:
    line = bench(name, wrapped=wrapped)
    host = line.contact(size=size)
    assert [finished.error for finished in host.finished] == [None]
    assert host.rejected == []
    assert line.unsent() == []
    assert told(line.records()) == expected(line.meter)
    assert len(line.records()) == len(line.meter.memory)
    clock = line.driver.decode(line.messages[0]).clock
    assert clock is not None
    assert clock.time.local == datetime(2026, 3, 14, 12)


@pytest.mark.parametrize("name", DRIVERS)
def test_what_was_acknowledged_is_never_offered_again(name: str) -> None:
    line = bench(name)
    line.contact()
    before = len(line.journal)
    host = line.contact()
    assert [finished.error for finished in host.finished] == [None]
    assert len(line.journal) == before


@pytest.mark.parametrize("errors", ["zero", "null", "status"])
@pytest.mark.parametrize("beyond", ["text", "interpretation", "status"])
@pytest.mark.parametrize("controls", ["R01", "R02"])
def test_every_way_to_say_it_comes_to_the_same(errors: str, beyond: str, controls: str) -> None:
    line = bench("pt2", long_use(TODAY, 40, seed=3), errors=errors, beyond=beyond, controls=controls)
    line.contact()
    assert told(line.records()) == expected(line.meter)


@pytest.mark.parametrize("name", DRIVERS)
def test_cut_anywhere_nothing_is_lost(name: str) -> None:
    whole = five_weeks(TODAY)
    scenario = whole.model_copy(update={"memory": whole.memory[:2]})
    line = bench(name, scenario)
    line.contact()
    octets = sum(map(len, line.journal)) + 2500  # results, and what is said around them
    for octet in range(1, octets, 4):
        line = bench(name, scenario, (f"cut:octet={octet},seconds=0",))
        for _ in range(2):
            line.contact()
        assert line.unsent() == [], octet
        assert told(line.records()) == expected(line.meter), octet


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.parametrize("document", range(1, 9))
@pytest.mark.parametrize(
    "fault", ["drop", "duplicate", "garbage:octets=00ff3c3c,", "unplug:seconds=0,", "split:size=3,"]
)
def test_a_disturbed_line_loses_and_invents_nothing(name: str, document: int, fault: str) -> None:
    kind, _, rest = fault.partition(":")
    line = bench(name, faults=(f"{kind}:{rest}document={document}",))
    for _ in range(4):
        line.contact()
    assert line.unsent() == []
    assert told(line.records()) == expected(line.meter)
    assert len({record.octets.partition(b"<SVC>")[2] for record in line.records()}) == len(line.meter.memory)


@pytest.mark.parametrize("name", DRIVERS)
def test_a_document_with_wrong_xml_is_kept_and_the_rest_arrives(name: str) -> None:
    line = bench(name, faults=("wrong_xml:document=3",))
    line.contact()
    unreadable = [pieces for pieces in line.messages if b"</HDR>" not in pieces[-1]]
    assert len(unreadable) == 1
    with pytest.raises(ProtocolError, match="mismatched tag"):
        line.driver.decode(unreadable[0])
    line.messages.remove(unreadable[0])
    assert len(line.records()) == len(line.meter.memory) - 1
    assert line.unsent() == []


@pytest.mark.parametrize("name", DRIVERS)
def test_a_full_journal_leaves_everything_with_the_meter(name: str) -> None:
    line = bench(name)
    host = line.contact(full=True)
    assert host.finished[-1].close
    assert len(line.unsent()) == len(line.meter.memory)
    line.contact()
    assert line.unsent() == []
    assert told(line.records()) == expected(line.meter)


@contextmanager
def listening(driver: Poct1aDriver) -> Iterator[tuple[int, list[list[bytes]], list[Host]]]:
    """A TCP host with a list as its journal."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.05)
    messages: list[list[bytes]] = []
    hosts: list[Host] = []
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            try:
                connection, _ = server.accept()
            except TimeoutError:
                continue
            host = Host(driver.session())
            host.messages = messages
            hosts.append(host)
            with connection:
                connection.settimeout(0.05)
                converse(connection, host, stop)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server.getsockname()[1], messages, hosts
    finally:
        stop.set()
        thread.join()
        server.close()


def converse(connection: socket.socket, host: Host, stop: threading.Event) -> None:
    host.open()
    while not (host.finished or stop.is_set()):
        host.now_s = time.monotonic()
        try:
            octets = connection.recv(65_536)
            if not octets:
                host.lost()
                return
            connection.sendall(host.receive(octets))
        except TimeoutError:
            connection.sendall(host.wait(0))
        except OSError:
            host.lost()


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.parametrize(
    "faults",
    [(), ("cut:octet=3000,seconds=0.05", "duplicate:document=6", "split:document=9,size=50", "drop:document=11")],
)
def test_over_a_real_socket(name: str, faults: tuple[str, ...], tmp_path: Path) -> None:
    dialect, profile = DRIVERS[name]
    dialect = dialect.model_copy(update={"application_timeout_s": 1.0, "services_per_message": 1})
    driver = Poct1aDriver(shipped(profile))
    scenario = five_weeks(TODAY)
    ledger = Ledger(tmp_path / "meter.jsonl")
    instrument = Instrument(scenario, dialect, ledger, [Fault.parse(fault) for fault in faults], redial_s=0.05)
    with listening(driver) as (port, messages, hosts):
        stop = threading.Event()
        timer = threading.Timer(30, stop.set)
        timer.start()
        instrument.run(Dialer("127.0.0.1", port), stop, until_delivered=True)
        timer.cancel()
    ledger.close()
    assert instrument.unsent == ()
    assert told(decoded(driver, messages)) == expected(instrument.meter)
    received = [line for line in read(tmp_path / "meter.jsonl") if line["event"] == "received"]
    assert sorted(entry for line in received for entry in line["entries"]) == list(range(len(scenario.memory)))
    assert json.dumps(received)
    assert hosts
    again = Instrument(scenario, dialect, Ledger(tmp_path / "meter.jsonl"))
    assert again.unsent == ()


def test_the_host_sets_a_wrong_clock() -> None:
    scenario = five_weeks(TODAY)
    clock = scenario.clock.model_validate({"kind": "offset", "offset_s": -3600, "zone": "America/New_York"})
    content = shipped("coaguchek_poct1a") | {"zone": "America/New_York"}
    content["host"] = content["host"] | {"set_time": True}
    right = datetime(2026, 3, 14, 16, tzinfo=UTC)
    driver = Poct1aDriver(content, wall_clock=lambda: right)
    told_times: list[str] = []
    line = Bench(scenario.model_copy(update={"clock": clock}), COAGUCHEK, driver, [])
    line.device = Device(line.meter, COAGUCHEK, line.unsent, line.shown, told_times.append)
    line.contact()
    assert told_times == ["2026-03-14T12:00:00-04:00"]
    assert line.unsent() == []


def test_continuous_mode_reads_what_is_made(
    profile: Callable[[str], dict[str, Any]],
) -> None:
    content = profile("coaguchek_poct1a")
    content["host"]["continuous"] = True
    driver = Poct1aDriver(content)
    line = Bench(five_weeks(TODAY), COAGUCHEK, driver, [])
    host = Host(driver.session())
    host.open()
    line.journal, host.messages = host.journal, line.messages
    to_host, _ = line.perform(line.device.connected(0))
    while to_host:
        to_host, _ = line.perform(line.device.receive(host.receive(to_host), 0))
    assert line.unsent() == []
    new = line.meter.make(line.meter.memory[-1].entry.model_copy(update={"at": line.present + timedelta(days=1)}))
    to_host, _ = line.perform(line.device.made(10))
    while to_host:
        to_host, _ = line.perform(line.device.receive(host.receive(to_host), 10))
    assert new.ordinal in line.sent
    assert host.finished == []
    line.device.lost()
    host.lost()
    assert [finished.error for finished in host.finished] == [None]
