"""Unmodified bleak over the real bluetoothd and this kernel's Bluetooth, on a meter made of software."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from drivers.contract import Security
from drivers.errors import PairingError, PairingReason
from drivers.meters.ble_ghs import BleGhsDriver
from drivers.transports.ble.bonds import BondFile
from drivers.transports.ble.keys import kept
from drivers.transports.ble.listener import BleListener
from drivers.transports.ble.pairing import Agreed, pairing
from drivers.transports.ble.scanner import Timing
from simulators.ble import dialect
from simulators.scenario import long_use
from tests.rig.meters import STORY, Home, results, until
from tests.unit.hub.parties import HubProcess
from tests.unit.mqtt.brokers import free_port

if TYPE_CHECKING:
    from simulators.ble.instrument import Instrument
    from tests.rig.air import Air

TIMING = Timing(retry_s=0.2, longest_s=2.0, look_s=0.5)
"""As the real one, but for people who wait for a test."""
PROFILE = {"bluetooth": {"security": "authenticated"}}
ALL = [1] * len(STORY.memory)


@pytest.fixture(scope="session")
def dbus() -> Iterator[None]:
    Path("/run/dbus").mkdir(exist_ok=True)
    with subprocess.Popen(["dbus-daemon", "--system", "--nofork", "--nopidfile"]) as daemon:
        until(Path("/run/dbus/system_bus_socket").is_socket, "the system bus")
        yield
        daemon.terminate()


@pytest.fixture
def air(dbus: None) -> Iterator[Air]:  # noqa: ARG001 - must run first
    from tests.rig.air import Air

    made = Air()
    made.start_bluetoothd()
    made.plug_adapter()
    yield made
    made.close()


def pair(air: Air, instrument: Instrument, security: Security = "authenticated", **habits: bool) -> Agreed:
    from tests.rig.air import AtTheHub

    address = instrument.address
    air.wait_until_free(instrument)
    with pairing(AtTheHub(air, instrument, **habits), TIMING) as radio:
        radio.look(20, lambda seen: seen.advertisement.address == address)
        return radio.pair(address, security)


class TestPairing:
    def test_a_meter_is_discovered_by_what_it_advertises(self, air: Air) -> None:
        from tests.rig.air import meter

        instrument = meter()
        air.add(instrument)
        driver = BleGhsDriver(PROFILE)
        with pairing(None, TIMING) as radio:
            found = radio.look(20, lambda seen: driver.recognises(seen.advertisement))
        (seen,) = [each for each in found if driver.recognises(each.advertisement)]
        assert seen.advertisement.address == instrument.address
        assert not seen.bonded

    @pytest.mark.parametrize(
        ("shows", "asked"), [("display", "passkey"), ("keyboard", "show"), ("comparison", "same")]
    )
    def test_pairing_proves_who_is_at_the_other_end(self, air: Air, shows: str, asked: str) -> None:
        from tests.rig.air import AtTheHub, meter

        instrument = meter(dialect.Security.model_validate({"input_output": shows}))
        air.add(instrument)
        person = AtTheHub(air, instrument)
        with pairing(person, TIMING) as radio:
            radio.look(20, lambda seen: seen.advertisement.address == instrument.address)
            agreed = radio.pair(instrument.address, "authenticated")
        assert person.asked == [asked]
        assert (agreed.address, agreed.security) == (instrument.address, "authenticated")
        assert kept() == {instrument.address}
        assert list(instrument.bonds.values()) == [True]

    def test_a_wrong_passkey_is_refused_and_leaves_no_keys(self, air: Air) -> None:
        from tests.rig.air import meter

        instrument = meter()
        air.add(instrument)
        with pytest.raises(PairingError) as caught:
            pair(air, instrument, mistypes=True)
        assert caught.value.reason is PairingReason.REJECTED
        assert kept() == frozenset()
        assert pair(air, instrument).security == "authenticated"

    def test_a_pairing_without_a_number_is_refused_where_the_profile_demands_one(self, air: Air) -> None:
        from tests.rig.air import meter

        instrument = meter(dialect.Security(requires="encrypted", input_output="nothing"))
        air.add(instrument)
        with pytest.raises(PairingError) as caught:
            pair(air, instrument)
        assert caught.value.reason is PairingReason.DOWNGRADED
        assert kept() == frozenset()
        assert pair(air, instrument, "encrypted").security == "encrypted"


class Room:
    """A paired meter, and the home that reads it."""

    def __init__(self, air: Air, instrument: Instrument, folder: Path) -> None:
        self.air = air
        self.instrument = instrument
        self.peripheral = air.add(instrument)
        driver = BleGhsDriver(PROFILE)
        agreed = pair(air, instrument)
        bonds = BondFile(folder / "bonds.json")
        at = datetime(2026, 3, 14, tzinfo=UTC)
        bonds.put(agreed.address, agreed.name, agreed.security, at=at, by="somebody", driver=driver.name)
        self.listener = BleListener(
            "ble:ghs",
            recognises=driver.recognises,
            security=driver.security,
            bonds=bonds.path,
            again_after_s=1.0,
            timing=TIMING,
        )
        self.home = Home(folder, driver, "ble:ghs", self.listener)

    def close(self) -> None:
        self.listener.close()
        self.home.close()

    def has_all(self) -> bool:
        return len(self.home.results()) == len(self.instrument.meter.memory)

    def make(self, inr: str) -> None:
        """A test while the link may be up."""
        last = self.instrument.meter.memory[-1].entry

        async def make() -> None:
            self.instrument.make(last.model_copy(update={"at": last.at + timedelta(hours=1), "inr": inr}))

        self.air.do(make())


def room(air: Air, folder: Path, *faults: str) -> Room:
    from tests.rig.air import meter

    return Room(air, meter(faults=[dialect.Fault.parse(fault) for fault in faults]), folder)


def test_the_whole_memory_is_read_once_and_live_results_follow(air: Air, tmp_path: Path) -> None:
    here = room(air, tmp_path)
    with here.home.reading():
        until(here.has_all, "the memory read")
        assert sorted(here.home.results().values()) == ALL
        for inr in ("3.1", "3.2"):
            here.make(inr)
            until(here.has_all, f"the live result {inr}")
    # A live copy and the stored copy read later are one result.
    assert not here.instrument.unsent
    here.close()


def test_a_hundred_stored_results_are_read_in_one_contact(
    air: Air, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    from tests.rig.air import meter

    here = Room(air, meter(story=long_use(date(2026, 3, 14), 100)), tmp_path)
    here.home.read(lambda: not here.instrument.unsent)
    took_s = time.monotonic() - here.home.began_s
    until(here.has_all, "everything decoded")
    assert here.home.contacts == 1
    record_property("link up to the last of 100 stored results journalled", f"{took_s:.1f} s")
    here.close()


@pytest.mark.parametrize("fault", ["drop:at=4", "drop_after:at=5"])
def test_the_link_is_lost_and_what_is_missing_is_read_at_the_next_contact(
    air: Air, tmp_path: Path, fault: str
) -> None:
    here = room(air, tmp_path, fault)
    here.home.read(here.has_all)
    assert here.home.contacts >= 2
    here.close()


def works_after(here: Room, disturb: Callable[[], None]) -> None:
    """The memory is read, something happens to the radio, and a later result still arrives."""
    with here.home.reading():
        until(here.has_all, "the memory read")
        disturb()
        here.make("3.3")
        until(here.has_all, "a result after the radio came back", 40)
    here.close()


def test_the_adapter_is_switched_off_and_on(air: Air, tmp_path: Path) -> None:
    here = room(air, tmp_path)

    def disturb() -> None:
        air.power(is_on=False)
        until(lambda: "switched off" in str(here.listener.troubles), "the trouble told")
        air.power(is_on=True)

    works_after(here, disturb)


def test_the_adapter_is_pulled_and_plugged_in(air: Air, tmp_path: Path) -> None:
    here = room(air, tmp_path)

    def disturb() -> None:
        air.pull_adapter()
        until(lambda: "no adapter" in str(here.listener.troubles), "the trouble told")
        air.plug_adapter()

    works_after(here, disturb)


@pytest.mark.parametrize("is_crash", [False, True], ids=["stopped", "killed"])
def test_bluetoothd_is_restarted(air: Air, tmp_path: Path, is_crash: bool) -> None:
    here = room(air, tmp_path)

    def disturb() -> None:
        air.stop_bluetoothd(is_crash=is_crash)
        until(lambda: "BlueZ is not running" in str(here.listener.troubles), "the trouble told")
        air.start_bluetoothd()
        air.power(is_on=True)

    works_after(here, disturb)


HUB = """
            again_after_s = 1
            [[attachment]]
            name = "ble"
            address = "ble:ghs"
            driver = "ble_ghs"
            profile = "ghs_inr"
"""


def test_a_hub_is_killed_while_it_reads_and_nothing_is_lost(air: Air, tmp_path: Path) -> None:
    from tests.rig.air import meter

    instrument = meter(faults=[dialect.Fault.parse("slow:at=3,seconds=2")])
    air.add(instrument)
    hub = HubProcess(tmp_path, free_port(), address="usb:0403:6001:NONE", more=HUB)
    agreed = pair(air, instrument)
    at = datetime(2026, 3, 14, tzinfo=UTC)
    bonds = BondFile(hub.journal.with_suffix(".bonds.json"))
    bonds.put(agreed.address, agreed.name, agreed.security, at=at, by="somebody", driver="ble_ghs")
    try:
        hub.start()
        until(lambda: len(instrument.sent) >= 2, "two tests sent")
        hub.end()
        assert instrument.unsent
        hub.start()
        until(lambda: len(results(hub.journal)) == len(ALL), "everything in the journal", 50)
        assert hub.end(signal.SIGTERM) == 0
        assert "Traceback" not in hub.log
    finally:
        if hub.process is not None:
            hub.end()
        print(hub.log)
