"""The session against the simulated meter, which knows nothing of it: every dialect, every fault, nothing lost."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, date, timedelta
from typing import Any

import pytest

from drivers.conformance import Host
from drivers.contract import MeterRecord, RecordKind
from drivers.meters.ble_ghs import BleGhsDriver
from drivers.protocols import gatt
from simulators.ble.dialect import Dialect, Fault, Radio, Security
from simulators.ble.gatt import AttError, Drop, Say, Service
from simulators.ble.instrument import Instrument
from simulators.ble.scenario import BleScenario
from simulators.ble.table import CONTROL_POINT, STORED
from simulators.ledger import Ledger
from simulators.meter import Clock, ClockKind
from simulators.scenario import five_weeks

SCENARIO = five_weeks(date(2026, 3, 14))
EXPECTED = {RecordKind.PATIENT: 6, RecordKind.CONTROL: 1, RecordKind.ERROR: 1}


def instrument(dialect: Dialect | None = None, faults: tuple[str, ...] = (), **more: Any) -> Instrument:
    scenario = BleScenario(
        starts=SCENARIO.starts,
        meter=SCENARIO.meter,
        clock=more.get("clock", SCENARIO.clock),
        dialect=dialect or Dialect(),
        security=Security(requires="none"),
        radio=Radio(),
        memory=SCENARIO.memory,
        faults=tuple(map(Fault.parse, faults)),
    )
    return Instrument(scenario, Ledger())


class Air:
    """One connection between a session and the sensor, without a radio."""

    def __init__(self, of: Instrument, host: Host) -> None:
        self._of = of
        self._sensor = of.sensor
        self.host = host
        self._seen = 0
        self.is_up = True

    def run(self, seconds: float = 120.0) -> Air:
        """Until the link is lost, or the host has closed it, or so much time has passed."""
        self._sensor.connected(self._of.mtu)
        self.host.opened()
        self._hears(gatt.Link(self._of.address, None, True, self._sensor.mtu, self._services()))
        end_s = self.host.now_s + seconds
        while self.is_up and not self.host.is_closed and self.host.now_s < end_s:
            if self._answers() or self._says():
                continue
            said = self.host.said
            self.host.wait(end_s - self.host.now_s, until_said=True)
            if self.host.said == said:
                self.host.now_s = end_s
        return self

    def _services(self) -> tuple[gatt.Service, ...]:
        def offered(service: Service) -> gatt.Service:
            each = tuple(gatt.Characteristic(one.uuid, one.properties) for one in service.characteristics)
            return gatt.Service(service.uuid, each)

        return tuple(map(offered, self._sensor.services))

    def _hears(self, frame: gatt.Frame) -> None:
        self.host.receive(gatt.encode(frame))

    def _answers(self) -> bool:
        sent = [octets for name, octets in self.host.log if name == "Send"][self._seen :]
        self._seen += len(sent)
        parser = gatt.Parser()
        for octets in sent:
            parser.feed(octets)
            while (frame := parser.next()) is not None:
                self._answer(frame)
        return bool(sent)

    def _answer(self, frame: gatt.Frame) -> None:
        try:
            match frame:
                case gatt.Read():
                    self._hears(gatt.ReadDone(frame.uuid, self._sensor.read(frame.uuid)))
                case gatt.Write():
                    self._sensor.write(frame.uuid, frame.value)
                    self._hears(gatt.Written(frame.uuid))
                case gatt.Subscribe():
                    every = (each for service in self._sensor.services for each in service.characteristics)
                    words = next(each.properties for each in every if each.uuid == frame.uuid)
                    self._sensor.subscribe(frame.uuid, 2 if "indicate" in words else 1)
                    self._hears(gatt.Subscribed(frame.uuid))
                case gatt.Disconnect():
                    self.is_up = False
        except AttError as error:
            self._hears(gatt.Failed(getattr(frame, "uuid", gatt.NO_UUID), int(error.code), str(error)))

    def _says(self) -> bool:
        step = self._sensor.next_step()
        if isinstance(step, Say):
            self._hears(gatt.Notified(step.uuid, step.value))
            self._sensor.left(step)
        elif isinstance(step, Drop):
            self.is_up = False
            self._sensor.disconnected()
            self.host.lost()
        return step is not None


def contact(of: Instrument, driver: BleGhsDriver, before: Host | None = None) -> Host:
    memos = {} if before is None else before.memos
    return Air(of, Host(driver.session((), memos), memos=dict(memos))).run().host


def records(driver: BleGhsDriver, *hosts: Host) -> list[MeterRecord]:
    items = [item for host in hosts for message in host.messages for item in driver.decode(message).items]
    assert all(isinstance(item, MeterRecord) for item in items), items
    return [item for item in items if isinstance(item, MeterRecord)]


def counted(found: list[MeterRecord]) -> dict[RecordKind, int]:
    unique = {each.record_number: each.kind for each in found}
    return {kind: list(unique.values()).count(kind) for kind in set(unique.values())}


DIALECTS = [
    {"length": length, "form": form, "lots": lots, "errors": errors}
    for length, form, lots, errors in itertools.product(
        ("rest", "total"), ("numeric", "compound", "bundle"), ("tlv", "member"), ("status", "nan")
    )
]


@pytest.mark.parametrize("fields", DIALECTS)
def test_every_dialect_is_read_whole(fields: dict[str, str]) -> None:
    driver = BleGhsDriver({})
    of = instrument(Dialect.model_validate(fields))
    host = contact(of, driver)
    found = records(driver, host)
    assert counted(found) == EXPECTED
    assert host.finished[0].error is None
    assert not of.unsent
    for entry, each in zip(SCENARIO.memory, found, strict=True):
        if entry.inr is not None:
            assert each.inr is not None
            shown = (each.inr.text, each.inr.comparator)
            assert shown == (("+INFINITY", ">") if entry.inr.startswith(">") else (entry.inr, None))
        if fields["lots"] == "tlv" or fields["form"] != "numeric":
            assert each.strip_lot == entry.strip_lot
        if fields["form"] != "numeric" and entry.inr is not None and entry.pt_seconds is not None:
            assert each.pt_seconds is not None
            assert each.pt_seconds.text == entry.pt_seconds


@pytest.mark.parametrize("stamp", ["local", "utc", "utc_offset", "local_offset", "ticks", "none"])
@pytest.mark.parametrize("resolution", ["1s", "100us"])
def test_every_kind_of_stamp(stamp: str, resolution: str) -> None:
    driver = BleGhsDriver({})
    host = contact(instrument(Dialect.model_validate({"stamp": stamp, "resolution": resolution})), driver)
    found = records(driver, host)
    assert len(found) == len(SCENARIO.memory)
    for entry, each in zip(SCENARIO.memory, found, strict=True):
        if stamp in ("ticks", "none"):
            assert each.device_time is None or each.device_time.local is None
            continue
        assert each.device_time is not None
        assert each.device_time.local is not None
        offset = each.device_time.utc_offset_min
        assert (offset is None) == (stamp == "local")
        true = entry.at if stamp == "local" else entry.at.astimezone(UTC)
        assert each.device_time.local - timedelta(minutes=offset or 0) == true.replace(tzinfo=None)


@pytest.mark.parametrize("segment_octets", [2, 6, 20, None])
@pytest.mark.parametrize("mtu", [23, 247])
def test_any_size_of_segments(segment_octets: int | None, mtu: int) -> None:
    driver = BleGhsDriver({})
    found = records(driver, contact(instrument(Dialect(segment_octets=segment_octets, mtu=mtu)), driver))
    assert counted(found) == EXPECTED


@pytest.mark.parametrize(
    "kind", ["drop", "drop_after", "lose", "duplicate", "reorder", "wrong_counter", "slow", "bad_length"]
)
def test_a_fault_at_every_segment_costs_no_result(kind: str) -> None:
    driver = BleGhsDriver({})
    dialect = Dialect(segment_octets=20)
    for at in range(1, 41, 3):
        of = instrument(dialect, (f"{kind}:at={at}" + (",seconds=1" if kind == "slow" else ""),))
        first = contact(of, driver)
        second = contact(of, driver, first)
        third = contact(of, driver, second)
        hosts = (first, second, third, contact(of, driver, third))  # a late fault hits the second or third
        if kind == "bad_length":  # it arrived whole: it is kept, and shown as what it is
            items = [item for host in hosts for message in host.messages for item in driver.decode(message).items]
            assert len(items) >= len(SCENARIO.memory)
            continue
        assert counted(records(driver, *hosts)) == EXPECTED, (kind, at)
        assert hosts[-1].finished[0].error is None
        assert len(records(driver, *hosts)) <= len(SCENARIO.memory) + 2


@pytest.mark.parametrize(
    "faults",
    [
        ("busy:at=2",),
        ("silent:at=1",),
        ("not_completed:at=1",),
        ("wrong_count:at=1",),
        ("wrong_count:at=1", "wrong_count:at=2"),
        ("silent:at=1", "abort_fails:at=2"),
    ],
)
def test_an_unwilling_control_point(faults: tuple[str, ...]) -> None:
    driver = BleGhsDriver({})
    of = instrument(faults=faults)
    first = contact(of, driver)
    hosts = (first, contact(of, driver, first))
    assert counted(records(driver, *hosts)) == EXPECTED


@pytest.mark.parametrize("operators", [(1,), (1, 3), (1, 3, 4), (1, 2, 3, 4, 5, 6)])
def test_a_meter_that_knows_few_operators(operators: tuple[int, ...]) -> None:
    driver = BleGhsDriver({})
    of = instrument(Dialect(operators=operators), ("lose:at=3",))
    first = contact(of, driver)
    second = contact(of, driver, first)
    assert counted(records(driver, first, second)) == EXPECTED
    assert second.finished[0].error is None


def test_live_results_and_their_stored_copies() -> None:
    driver = BleGhsDriver({})
    of = instrument()
    host = Host(driver.session())
    air = Air(of, host)
    makes: list[Callable[[], object]] = [lambda: of.make(SCENARIO.memory[0].model_copy(update={"inr": "3.3"}))]
    original = air._says

    def says() -> bool:
        if original():
            return True
        if makes and host.said >= 12:
            makes.pop()()
            return True
        return False

    air._says = says  # type: ignore[method-assign]  # a test is made while the hub listens
    air.run()
    live = [each for each in records(driver, host) if each.record_number is None]
    assert [each.inr.text for each in live if each.inr is not None] == ["3.3"]
    later = contact(of, driver, host)
    (stored,) = records(driver, later)
    assert (stored.inr, stored.device_time, stored.record_number) == (live[0].inr, live[0].device_time, "9")


def test_the_clock_is_set_after_the_memory_was_read() -> None:
    driver = BleGhsDriver({"zone": "America/New_York", "clock": {"set": "when_asked"}})
    of = instrument(clock=Clock(kind=ClockKind.UNSET))
    host = contact(of, driver)
    assert host.finished[0].error is None
    messages = [driver.decode(message) for message in host.messages]
    assert all(each.clock is not None and each.clock.time.local is not None for each in messages)
    assert of.meter.clock.kind is ClockKind.OFFSET


class TestMadeBeforeLiveBegins:
    """Tests made between the last indication of the memory report and the write that starts live observations."""

    @staticmethod
    def made_in_between(of: Instrument, *values: str) -> None:
        """Have tests made when the hub is about to write "start live" for the first time."""
        write, waiting = of.sensor.write, [SCENARIO.memory[0].model_copy(update={"inr": each}) for each in values]

        def after_tests(uuid: str, octets: bytes) -> None:
            if (uuid, octets) == (CONTROL_POINT, b"\x01"):
                while waiting:
                    of.make(waiting.pop(0))
            write(uuid, octets)

        of.sensor.write = after_tests  # type: ignore[assignment, method-assign]  # the person tests at this very moment

    @pytest.mark.parametrize("values", [("3.3",), ("3.3", "3.4", "3.5")])
    @pytest.mark.parametrize("is_known", [False, True])
    @pytest.mark.parametrize("dialect", [Dialect(), Dialect(segment_octets=6, mtu=23)])
    def test_they_are_read_at_the_same_contact(
        self, values: tuple[str, ...], is_known: bool, dialect: Dialect
    ) -> None:
        driver = BleGhsDriver({})
        of = instrument(dialect)
        before = contact(of, driver) if is_known else None
        self.made_in_between(of, *values)
        host = contact(of, driver, before)
        found = records(driver, host)
        assert sorted(each.inr.text for each in found[-len(values) :] if each.inr is not None) == list(values)
        assert len(found) == len(values) + (0 if is_known else len(SCENARIO.memory))
        assert host.finished[0].error is None
        assert not of.unsent
        assert records(driver, contact(of, driver, host)) == []

    @pytest.mark.parametrize("at", range(1, 13))
    @pytest.mark.parametrize("kind", ["lose", "duplicate", "reorder", "wrong_counter"])
    def test_a_fault_in_them_costs_nothing(self, kind: str, at: int) -> None:
        driver = BleGhsDriver({})
        dialect = Dialect(segment_octets=20)
        report = contact(instrument(dialect), driver)
        known = sum(octets.count(bytes.fromhex(STORED.replace("-", ""))) for octets in report.commits)
        of = instrument(dialect, (f"{kind}:at={known + at}",))
        self.made_in_between(of, "3.3", "3.4")
        host = contact(of, driver)
        later = contact(of, driver, host)
        assert len({each.record_number for each in records(driver, host, later)}) == len(SCENARIO.memory) + 2
