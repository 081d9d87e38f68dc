"""What the hub's status says when a person must act, and that it says so no more afterwards."""

from __future__ import annotations

from datetime import UTC, datetime

from drivers.transports.ble.bonds import BondFile
from simulators.ble.dbus import PrivateBus
from tests.integration.ble.air import Air, meter, until
from tests.integration.ble.home import Home


def test_a_radio_that_does_not_work_is_an_alarm_until_it_does(bus: PrivateBus, home: Home) -> None:
    until(lambda: "radio_unavailable" in home.alarms)
    air = Air(bus.address)
    air.start()
    until(lambda: "radio_unavailable" not in home.alarms)
    air.close()


def test_lost_keys_are_an_alarm_until_the_meter_is_paired(air: Air, home: Home) -> None:
    instrument = meter()
    far = air.add(instrument)
    file = BondFile(home.configuration.hub.bonds)

    def pair() -> None:
        file.put(far.address, "", "authenticated", at=datetime.now(UTC), by="somebody", driver="ble_ghs")

    pair()  # and BlueZ has no keys
    until(lambda: "meter_not_paired" in home.alarms)
    air.stop()
    air.sync(lambda: air.bluez.bonds.add(far.identity))
    air.sync(lambda: instrument.bonds.update({air.bluez.address: True}))
    air.start()
    until(lambda: "meter_not_paired" not in home.alarms)


def test_a_neighbours_meter_is_no_alarm(air: Air, home: Home) -> None:
    air.add(meter())
    until(lambda: home.troubles)
    assert "meter_not_paired" not in home.alarms
