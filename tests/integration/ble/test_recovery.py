"""Radios that recover: nothing here needs a restart of the hub."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from drivers.errors import TransportError, TransportReason
from drivers.protocols.gatt import Read, ReadDone
from drivers.transports.base import Transport
from simulators.ble.dbus import PrivateBus
from simulators.ble.table import FEATURES
from tests.integration.ble.air import Air, meter, until
from tests.integration.ble.conftest import TIMING, Accept, Listen, Put
from tests.integration.ble.frames import Frames

OPEN = {"requires": "none", "input_output": "nothing"}


def works(transport: Transport) -> None:
    frames = Frames(transport)
    frames.next()
    frames.next()
    assert isinstance(frames.ask(Read(FEATURES)), ReadDone)


def ends(transport: Transport) -> None:
    def ended() -> bool:
        try:
            transport.read(65_536, 0.1)
        except TransportError:
            return True
        return False

    until(ended, what="the connection to end")
    transport.close()


def test_no_dbus_is_told_and_waited_for(listen: Listen, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    listener = listen()
    (trouble,) = until(lambda: listener.troubles)
    assert trouble.reason is TransportReason.NOT_FOUND
    assert "D-Bus" in str(trouble)
    with PrivateBus() as bus:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
        until(lambda: "BlueZ is not running" in str(listener.troubles))
        listener.close()


def test_bluez_that_comes_late_is_found(bus: PrivateBus, listen: Listen, accepted: Accept) -> None:
    air = Air(bus.address)
    listener = listen()
    (trouble,) = until(lambda: listener.troubles)
    assert "systemctl enable --now bluetooth" in str(trouble)
    air.start()
    air.add(meter(security=OPEN))
    works(accepted(listener))
    assert listener.troubles == ()
    listener.close()
    air.close()


@pytest.mark.parametrize("is_crash", [False, True])
def test_bluez_is_restarted(air: Air, listen: Listen, accepted: Accept, put: Put, is_crash: bool) -> None:
    far = air.add(meter(), bonded=True)
    put(far.address)
    listener = listen("ble:ghs", "authenticated")
    transport = accepted(listener)
    works(transport)
    air.stop(is_crash=is_crash)
    ends(transport)
    listener.concluded(transport, done=False)
    until(lambda: "BlueZ is not running" in str(listener.troubles))
    registered = air.called("RegisterAgent")
    air.start()
    works(accepted(listener))
    assert air.called("RegisterAgent") == registered + 1
    assert listener.troubles == ()


def test_the_agent_is_there_before_anything_else(air: Air, listen: Listen, accepted: Accept) -> None:
    air.add(meter(security=OPEN))
    accepted(listen())
    members = [member for member, _ in air.bluez.calls]
    assert members.index("RequestDefaultAgent") < members.index("StartDiscovery") < members.index("Connect")


def test_the_adapter_is_switched_off_and_on(air: Air, listen: Listen, accepted: Accept) -> None:
    far = air.add(meter(security=OPEN))
    listener = listen()
    transport = accepted(listener)
    works(transport)
    air.sync(lambda: air.bluez.set_powered(False))
    air.sync(far.drop)  # it notices, too
    ends(transport)
    until(lambda: "switched off" in str(listener.troubles))
    air.sync(lambda: air.bluez.set_powered(True))
    works(accepted(listener))
    assert listener.troubles == ()


def test_an_adapter_switched_off_for_a_moment_is_noticed(air: Air, listen: Listen, accepted: Accept) -> None:
    listener = listen()
    until(lambda: air.called("StartDiscovery"))

    def blink() -> None:
        air.bluez.set_powered(False)
        air.bluez.set_powered(True)

    air.sync(blink)
    air.add(meter(security=OPEN))
    works(accepted(listener))


def test_the_adapter_is_pulled_and_plugged_in(air: Air, listen: Listen, accepted: Accept) -> None:
    far = air.add(meter(security=OPEN))
    listener = listen()
    transport = accepted(listener)
    works(transport)
    air.sync(air.bluez.remove_adapter)
    air.sync(far.drop)
    ends(transport)
    until(lambda: "no adapter" in str(listener.troubles))
    air.sync(air.bluez.add_adapter)
    works(accepted(listener))


def test_a_scan_that_is_refused_is_tried_again(air: Air, listen: Listen, accepted: Accept) -> None:
    air.sync(lambda: air.bluez.fail("StartDiscovery", "InProgress", "Operation already in progress", times=2))
    air.add(meter(security=OPEN))
    listener = listen()
    works(accepted(listener))
    assert air.called("StartDiscovery") == 3
    assert listener.troubles == ()


def test_an_adapter_that_is_stuck_is_switched_off_and_on(air: Air, listen: Listen, accepted: Accept) -> None:
    air.sync(lambda: air.bluez.fail("StartDiscovery", "InProgress", "Operation already in progress", times=3))
    air.add(meter(security=OPEN))
    works(accepted(listen()))
    assert air.called("Set") >= 2


def test_a_scan_that_hears_nothing_is_started_again(air: Air, listen: Listen, accepted: Accept) -> None:
    listener = listen(timing=replace(TIMING, silence_s=0.5, look_s=0.1))
    until(lambda: air.called("StartDiscovery") >= 3, what="the watchdog")
    assert listener.troubles == ()
    air.add(meter(security=OPEN))
    works(accepted(listener))


def test_a_scan_that_bluez_ended_is_started_again(air: Air, listen: Listen, accepted: Accept) -> None:
    listener = listen()
    until(lambda: air.called("StartDiscovery"))

    def forget() -> None:
        air.bluez.lose_discovery()

    air.sync(forget)
    air.add(meter(security=OPEN))
    works(accepted(listener))


def test_a_connection_that_is_aborted_is_tried_again(air: Air, listen: Listen, accepted: Accept) -> None:
    air.sync(lambda: air.bluez.fail("Connect", "Failed", "le-connection-abort-by-local"))
    air.sync(lambda: air.bluez.fail("Connect", "InProgress", "In Progress"))
    air.sync(lambda: air.bluez.fail("Connect", "Failed", "Software caused connection abort"))
    air.add(meter(security=OPEN))
    works(accepted(listen()))
    assert air.called("Connect") == 4


def test_a_connection_that_a_killed_hub_left_is_taken_over(air: Air, listen: Listen, accepted: Accept) -> None:
    far = air.add(meter(security=OPEN))

    async def connect() -> None:  # BlueZ keeps the link of a process that is killed
        await air.bluez.connect_for_another(air.bluez.fars[0])

    air.do(connect())
    assert not far.is_advertising
    works(accepted(listen()))
