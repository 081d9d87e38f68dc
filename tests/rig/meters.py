"""Simulated meters on the kernel's USB ports, and the journal of a home that reads them."""

from __future__ import annotations

import threading
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Protocol

from drivers.contract import Driver
from drivers.errors import TransportError, TransportReason
from drivers.meters.astm import AstmDriver
from drivers.meters.ieee11073 import Ieee11073Driver
from drivers.meters.poct1a import Poct1aDriver
from drivers.registry import Listener, Transport, open_transport
from gateway.hub.contact import Contact
from gateway.hub.overview import readings, whole_reading
from gateway.result import identity
from gateway.wire.reading import Reading
from simulators.astm.dialect import Timers
from simulators.astm.faults import Fault as AstmFault
from simulators.astm.instrument import Instrument as AstmInstrument
from simulators.ieee11073.dialect import Dialect, Fault
from simulators.ieee11073.instrument import Instrument as Agent
from simulators.ieee11073.scenario import Ieee11073Scenario
from simulators.ledger import Ledger
from simulators.meter import Meter, Stored
from simulators.mounts.link import Mount
from simulators.poct1a.dialect import COAGUCHEK
from simulators.poct1a.faults import Fault as Poct1aFault
from simulators.poct1a.instrument import Instrument as Poct1aInstrument
from simulators.scenario import Scenario, five_weeks
from simulators.usb.phdc import PhdcMeter, UsbIdentity
from tests.unit.hub.conftest import Bench

STORY = five_weeks(date(2026, 3, 14)).model_copy(update={"timers": Timers(scale=0.05)})
PATIENCE_S = 20.0
PROFILES = Path(__file__).resolve().parents[2] / "config" / "profiles"


class Instrument(Protocol):
    """A meter that speaks over a serial line."""

    meter: Meter

    @property
    def unsent(self) -> tuple[Stored, ...]: ...

    def run(self, mount: Mount, stop: threading.Event, *, until_delivered: bool = False) -> None: ...


def astm(faults: Sequence[AstmFault] = (), *, story: Scenario = STORY) -> AstmInstrument:
    return AstmInstrument(story.model_copy(update={"faults": tuple(faults)}), Ledger())


def poct1a(faults: Sequence[str] = (), *, story: Scenario = STORY) -> Poct1aInstrument:
    wrong = [Poct1aFault.parse(fault) for fault in faults]
    return Poct1aInstrument(story, COAGUCHEK, Ledger(), wrong, redial_s=0.2)


def phdc(
    dialect: Dialect | None = None,
    usb: UsbIdentity | None = None,
    faults: Sequence[Fault] = (),
    *,
    story: Scenario = STORY,
) -> PhdcMeter:
    scenario = Ieee11073Scenario(
        meter=story.meter,
        clock=story.clock,
        memory=story.memory,
        starts=story.starts,
        dialect=dialect or Dialect(),
        faults=tuple(faults),
    )
    return PhdcMeter(Agent(scenario, Ledger()).agent, usb)


def driver(name: str) -> Driver:
    if name == "ieee11073":
        return Ieee11073Driver({"association": {"association_s": 2, "release_when_quiet_s": 0.3}})
    profile = {"astm": "home_inr_astm", "poct1a": "coaguchek_poct1a"}[name]
    kinds: dict[str, type[Driver]] = {"astm": AstmDriver, "poct1a": Poct1aDriver}
    return kinds[name](tomllib.loads((PROFILES / f"{profile}.toml").read_text(encoding="utf-8")))


@contextmanager
def at_work(instrument: Instrument, mount: Mount) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=instrument.run, args=(mount, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE_S)
    assert not thread.is_alive()


def until(condition: Callable[[], object], what: str, within_s: float = PATIENCE_S) -> None:
    ends_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < ends_s, f"{what}: not within {within_s:g} s"
        time.sleep(0.01)


def results(journal: Path) -> Counter[str]:
    """How often each test stands in the journal of a running hub; its faults are messages that were broken off."""
    found: Counter[str] = Counter()
    for row in readings(journal):
        whole = whole_reading(journal, row.number)
        assert whole is not None
        reading = Reading.model_validate_json(whole.payload)
        if reading.result is None:
            assert reading.fault is not None
            assert reading.fault.reason == "no_end"
        else:
            found[identity(reading.result) or ""] += 1
    return found


class Home:
    """A hub's journal, and one port whose meters are read into it as a hub does, contact after contact.

    Args:
        address: of the port; a listener stands for it where meters connect by themselves.
    """

    def __init__(self, folder: Path, made: Driver, address: str, listener: Listener | None = None) -> None:
        self._bench = Bench(folder)
        self._bench.driver = made  # type: ignore[assignment]  # any driver will do
        self._driver = made
        self._address = address
        self._listener = listener
        self.contacts = 0
        self.began_s = 0.0

    def read(self, is_over: Callable[[], bool], within_s: float = 40.0) -> None:
        """Converse whenever the meter is there, until it is over."""
        with self.reading():
            until(is_over, "everything read", within_s)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Converse whenever the meter is there."""
        stop = threading.Event()
        reader = threading.Thread(target=self._read, args=(stop,))
        reader.start()
        try:
            yield
        finally:
            stop.set()
            reader.join(PATIENCE_S)
        assert not reader.is_alive()

    def _read(self, stop: threading.Event) -> None:
        while not stop.is_set():
            transport = self._opened()
            if transport is None:
                stop.wait(0.05)
                continue
            self.contacts += 1
            self.began_s = time.monotonic()
            intake = self._bench.intake()
            session = self._driver.session(intake.unfinished(), intake.memos())
            with transport:
                done = Contact("meter", transport, session, intake).run(stop)
            if self._listener is not None:
                self._listener.concluded(transport, done=done)

    def _opened(self) -> Transport | None:
        if self._listener is not None:
            return self._listener.accept(0.2)
        try:
            return open_transport(self._address, **self._driver.serial_parameters())
        except TransportError as error:
            if error.reason not in (TransportReason.NOT_FOUND, TransportReason.BUSY):
                raise
            return None

    def close(self) -> None:
        """Close the journal."""
        self._bench.journal.close()

    def results(self) -> Counter[str]:
        """How often each test stands in the journal."""
        readings = self._bench.readings
        assert all(reading.fault is None for reading in readings)
        return Counter(identity(reading.result) or "" for reading in readings if reading.result is not None)
