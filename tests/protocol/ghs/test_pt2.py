"""The PT2 over Bluetooth is recognised, and the driver says honestly that it cannot read it."""

from __future__ import annotations

import pytest

from drivers import registry
from drivers.conformance import Host
from drivers.contract import Advertisement, Unreadable
from drivers.errors import DriverError, ProtocolError, ProtocolReason, TransportError
from drivers.meters.coag_sense_pt2_ble import SERVICE, CoagSensePt2BleDriver
from tests.protocol.ghs import peer as p
from tests.protocol.ghs.test_conformance import frame


def connected(profile: dict[str, object]) -> Host:
    host = Host(CoagSensePt2BleDriver(profile).session())
    host.opened()
    host.receive(p.link())
    return host


def test_it_is_found_and_recognised() -> None:
    assert registry.get("coag_sense_pt2_ble") is CoagSensePt2BleDriver
    for uuids, is_one in (((SERVICE,), True), (("00001840-0000-1000-8000-00805f9b34fb",), False)):
        seen = Advertisement("C0:11:22:33:44:55", "PT2", uuids, {}, {}, -60)
        assert CoagSensePt2BleDriver({}).recognises(seen) is is_one


def test_it_is_off_by_default_and_names_the_way_that_works() -> None:
    host = connected({})
    (finished,) = host.finished
    assert isinstance(finished.error, ProtocolError)
    assert "not public" in str(finished.error)
    assert "poct1a" in str(finished.error)
    assert [kind for kind, _, _ in p.requests(b"".join(o for name, o in host.log if name == "Send"))] == [6]


def test_what_is_captured_is_never_a_result() -> None:
    host = connected({"capture": True})
    host.receive(frame(0x84) + p.frame(0x87, 0, b"\x0anone") + frame(0x86, b"INR 2.5"))
    (message,) = host.messages
    (item,) = CoagSensePt2BleDriver({}).decode(message).items
    assert isinstance(item, Unreadable)
    assert item.octets == frame(0x86, b"INR 2.5")
    assert item.error.reason is ProtocolReason.UNSUPPORTED
    host.wait(59)
    assert not host.is_closed
    host.wait(2)
    assert host.finished[0].error is None


def test_a_meter_that_does_not_answer_is_left() -> None:
    host = connected({"capture": True})
    host.wait(40)
    assert isinstance(host.finished[0].error, TransportError)


def test_a_loss_that_cannot_be_stored_is_told() -> None:
    host = Host(CoagSensePt2BleDriver({"capture": True}).session(), refuses={0})
    host.opened()
    host.receive(p.link() + frame(0x84) * 2 + frame(0x86, b"x"))
    assert isinstance(host.finished[0].error, DriverError)


@pytest.mark.parametrize("profile", [{"capture": "yes"}, {"captures": True}, {"driver": "ble_ghs"}])
def test_an_unusable_profile(profile: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"capture|driver"):
        CoagSensePt2BleDriver(profile)
