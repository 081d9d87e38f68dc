from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from drivers.errors import PairingReason, TransportError, TransportReason
from drivers.protocols.gatt import (
    Advertised,
    Disconnect,
    Failed,
    Frame,
    Link,
    Notified,
    Read,
    ReadDone,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Write,
    Written,
    encode,
    expanded,
)
from drivers.transports.ble.bonds import BondFile
from simulators.ble.table import CONTROL_POINT, FEATURES, GHS, LIVE, RACP
from tests.integration.ble.air import Air, meter, until
from tests.integration.ble.conftest import TIMING, Accept, Listen, Put
from tests.integration.ble.frames import Frames

OPEN = {"requires": "none", "input_output": "nothing"}


def other(serial: str, **scenario: object) -> dict[str, object]:
    identity = {"vendor": "INR Simulations", "model": "Sim INR", "serial": serial}
    return {"security": OPEN, "meter": identity, **scenario}


def test_a_meter_is_contacted_when_it_advertises_and_answers(air: Air, listen: Listen, accepted: Accept) -> None:
    far = air.add(meter(security=OPEN))
    transport = accepted(listen())
    assert transport.kind == "ble"
    assert transport.peer == f"ble:{far.address}"
    frames = Frames(transport)
    link = frames.next()
    assert isinstance(link, Link)
    assert (link.address, link.name, link.bonded) == (far.address, far.name, False)
    assert link.mtu == 247
    assert link.has(RACP)
    assert frames.next() == Advertised(GHS, b"\x01\x12\x10")
    features = frames.ask(Read(FEATURES))
    assert isinstance(features, ReadDone)
    assert features.value[0] == 1
    assert frames.ask(Subscribe(RACP)) == Subscribed(RACP)
    assert frames.ask(Write(RACP, b"\x04\x01")) == Written(RACP)  # number of all records
    assert frames.told() == Notified(RACP, b"\x05\x00\x00\x00\x00\x00")
    assert frames.ask(Unsubscribe(RACP)) == Unsubscribed(RACP)
    transport.write(encode(Disconnect()))
    with pytest.raises(TransportError) as caught:
        frames.next()
    assert caught.value.reason is TransportReason.CLOSED
    assert not far.instrument.unsent
    until(lambda: far.is_advertising)


def test_a_request_that_fails_leaves_the_connection(air: Air, listen: Listen, accepted: Accept) -> None:
    air.add(meter(security=OPEN))
    frames = Frames(accepted(listen()))
    frames.next()
    frames.next()
    for request in (Read(LIVE), Subscribe(expanded(0x2BF5)), Read(expanded(0x9999))):
        failed = frames.ask(request)
        assert isinstance(failed, Failed)
        assert failed.text.startswith(type(request).__name__)
    unsupported = frames.ask(Write(CONTROL_POINT, b"\x77"))
    assert isinstance(unsupported, Failed)
    assert unsupported.code != 0
    assert isinstance(frames.ask(Read(FEATURES)), ReadDone)


def test_the_driver_cannot_write_what_is_no_frame(air: Air, listen: Listen, accepted: Accept) -> None:
    air.add(meter(security=OPEN))
    transport = accepted(listen())
    with pytest.raises(TransportError, match="no frame"):
        transport.write(b"\xff\xff\xff")


def test_what_arrived_before_the_link_was_lost_is_read_first(air: Air, listen: Listen, accepted: Accept) -> None:
    far = air.add(meter(security=OPEN))
    listener = listen()
    transport = accepted(listener)
    frames = Frames(transport)
    frames.next()
    frames.next()
    transport.write(encode(Read(FEATURES)))
    until(lambda: air.called("ReadValue"))
    air.sync(far.drop)
    got: list[Frame] = []
    with pytest.raises(TransportError) as caught:
        got.extend(iter(frames.next, None))
    assert all(isinstance(frame, ReadDone) for frame in got)
    assert caught.value.reason is TransportReason.CLOSED
    transport.close()
    listener.concluded(transport, done=False)
    again = accepted(listener)
    assert again.peer == transport.peer


def test_closing_from_another_thread_ends_a_read(air: Air, listen: Listen, accepted: Accept) -> None:
    far = air.add(meter(security=OPEN))
    transport = accepted(listen())
    while transport.read(65_536, 0.2):
        pass
    closing = threading.Timer(0.1, transport.close)
    closing.start()
    began_s = time.monotonic()
    with pytest.raises(TransportError):
        transport.read(1, 20)
    closing.join()
    assert time.monotonic() - began_s < 5
    until(lambda: far.is_advertising, what="the meter to be free")


def test_a_connection_outlives_its_listener(air: Air, listen: Listen, accepted: Accept) -> None:
    air.add(meter(security=OPEN))
    listener = listen()
    frames = Frames(accepted(listener))
    listener.close()
    with pytest.raises(TransportError):
        listener.accept(0)
    assert isinstance(frames.next(), Link)
    frames.next()
    assert isinstance(frames.ask(Read(FEATURES)), ReadDone)


def test_two_meters_at_once(air: Air, listen: Listen, accepted: Accept) -> None:
    air.add(meter(**other("SN1")))
    air.add(meter(**other("SN2")))
    listener = listen()
    first, second = Frames(accepted(listener)), Frames(accepted(listener))
    assert first.transport.peer != second.transport.peer
    for frames in (first, second):
        frames.next()
        frames.next()
        assert isinstance(frames.ask(Read(FEATURES)), ReadDone)


def test_two_ports_do_not_take_the_same_meter(air: Air, listen: Listen) -> None:
    far = air.add(meter(security=OPEN))
    listeners = [listen("ble:ghs"), listen(f"ble:{far.address}")]
    transport = until(lambda: listeners[0].accept(0.05) or listeners[1].accept(0.05))
    assert air.called("Connect") == 1
    assert all(listener.accept(0.2) is None for listener in listeners)
    transport.close()


def test_one_meter_is_named_by_its_address(air: Air, listen: Listen, accepted: Accept) -> None:
    air.add(meter(**other("SN1")))
    wanted = air.add(meter(**other("SN2")))
    listener = listen(f"ble:{wanted.address.lower()}")
    assert accepted(listener).peer == f"ble:{wanted.address}"
    assert listener.accept(0.3) is None


def test_a_meter_that_goes_on_advertising_is_left_in_peace(air: Air, listen: Listen, accepted: Accept) -> None:
    air.add(meter(security=OPEN))
    listener = listen(again_after_s=1.0)
    transport = accepted(listener)
    transport.close()
    ended_s = time.monotonic()
    listener.concluded(transport, done=True)
    accepted(listener)
    assert time.monotonic() - ended_s >= 0.9
    assert air.called("Connect") == 2


def test_failures_in_a_row_are_tried_ever_more_rarely(air: Air, listen: Listen, accepted: Accept) -> None:
    air.add(meter(security=OPEN))
    listener = listen(timing=replace(TIMING, retry_s=0.3))
    pauses = []
    for _ in range(4):
        began_s = time.monotonic()
        transport = accepted(listener)
        pauses.append(time.monotonic() - began_s)
        transport.close()
        listener.concluded(transport, done=False)
    assert pauses[2] > 0.5
    assert pauses[3] > 1.1


def test_a_meter_that_cannot_be_reached_delays_no_other(air: Air, listen: Listen, accepted: Accept) -> None:
    gone = air.add(meter(**other("SN1")))
    listener = listen()
    transport = accepted(listener)
    transport.close()
    air.sync(lambda: setattr(gone.instrument, "is_advertising", False))
    air.sync(lambda: air.bluez.fail("Connect", "Failed", "le-connection-abort-by-local", times=2))
    listener.concluded(transport, done=False)
    here = air.add(meter(**other("SN2")))
    assert accepted(listener).peer == f"ble:{here.address}"


# ---------------------------------------------------------------- whose meter it is


def test_a_meter_that_must_be_paired_is_left_alone_and_named(air: Air, listen: Listen) -> None:
    far = air.add(meter())
    listener = listen(f"ble:{far.address}", "authenticated")
    (trouble,) = until(lambda: listener.troubles)
    assert trouble.reason is PairingReason.NOT_PAIRED
    assert f"inr-gateway pair {far.address}" in str(trouble)
    assert air.called("Connect") == 0


def test_a_neighbours_meter_is_mentioned_and_left_alone(air: Air, listen: Listen) -> None:
    air.add(meter())
    listener = listen("ble:ghs", "encrypted")
    (trouble,) = until(lambda: listener.troubles)
    assert trouble.reason is PairingReason.UNKNOWN_METER
    assert air.called("Connect") == 0


def test_a_bonded_meter_is_read(air: Air, listen: Listen, accepted: Accept, put: Put) -> None:
    far = air.add(meter(), bonded=True)
    put(far.address)
    frames = Frames(accepted(listen("ble:ghs", "authenticated")))
    link = frames.next()
    assert isinstance(link, Link)
    assert link.bonded
    frames.next()
    assert isinstance(frames.ask(Read(FEATURES)), ReadDone)


def test_a_pairing_made_while_the_hub_runs_is_noticed(air: Air, listen: Listen, accepted: Accept, put: Put) -> None:
    far = air.add(meter(), bonded=True)
    listener = listen(f"ble:{far.address}", "authenticated")
    (trouble,) = until(lambda: listener.troubles)
    assert trouble.reason is PairingReason.DOWNGRADED  # BlueZ has keys, and nobody knows how they came about
    put(far.address)
    accepted(listener)
    assert listener.troubles == ()


def test_a_weaker_pairing_than_the_profile_demands_is_refused(air: Air, listen: Listen, put: Put) -> None:
    far = air.add(meter(), bonded=True, authenticated=False)
    put(far.address, "encrypted")
    listener = listen("ble:ghs", "authenticated")
    (trouble,) = until(lambda: listener.troubles)
    assert trouble.reason is PairingReason.DOWNGRADED
    assert air.called("Connect") == 0


def test_keys_lost_on_this_side_are_told(air: Air, listen: Listen, put: Put) -> None:
    far = air.add(meter())
    put(far.address)
    listener = listen("ble:ghs", "authenticated")
    (trouble,) = until(lambda: listener.troubles)
    assert trouble.reason is PairingReason.BOND_LOST
    assert f"inr-gateway pair {far.address}" in str(trouble)


def test_keys_lost_on_the_meters_side_are_told(air: Air, listen: Listen, put: Put) -> None:
    far = air.add(meter(), bonded=True)
    put(far.address)
    air.sync(far.instrument.bonds.clear)
    listener = listen("ble:ghs", "authenticated")
    (trouble,) = until(lambda: listener.troubles)
    assert trouble.reason is PairingReason.BOND_LOST
    assert f"inr-gateway unpair {far.address}" in str(trouble)


def test_links_that_are_lost_at_once_are_not_made_again_and_again(air: Air, listen: Listen, put: Put) -> None:
    """So BlueZ 5.66 shows that the meter has lost its keys; left alone bleak connects several times a second."""
    far = air.add(meter(), bonded=True)
    put(far.address)
    air.sync(lambda: air.bluez.fail("Connect", "Failed", "le-connection-abort-by-local", times=100))
    listener = listen("ble:ghs", "authenticated")
    (trouble,) = until(lambda: listener.troubles)
    assert trouble.reason is PairingReason.BOND_LOST
    assert "if it is near" in str(trouble)
    assert air.called("Connect") <= 8


def test_the_hub_refuses_a_pairing_that_nobody_asked_for(air: Air, listen: Listen, accepted: Accept) -> None:
    far = air.add(meter(security={"requires": "encrypted", "input_output": "nothing"}))
    frames = Frames(accepted(listen()))
    frames.next()
    frames.next()
    failed = frames.ask(Read(FEATURES))  # BlueZ pairs by itself where a value needs it
    assert isinstance(failed, Failed)
    assert failed.code == 0x05
    assert not air.bluez.bonds
    assert not far.instrument.bonds


def test_a_damaged_list_of_pairings_is_named(air: Air, listen: Listen, bonds: BondFile) -> None:
    air.add(meter(), bonded=True)
    bonds.path.write_text("{", encoding="utf-8")
    listener = listen("ble:ghs", "authenticated")
    (trouble,) = until(lambda: listener.troubles)
    assert str(bonds.path) in str(trouble)
    assert air.called("Connect") == 0


@pytest.mark.parametrize("address", ["ble:AA:BB", "ble:Ghs 1", "ble:AA:BB:CC:DD:EE:FG"])
def test_an_address_that_is_none_is_refused(address: str, listen: Listen) -> None:
    with pytest.raises(TransportError) as caught:
        listen(address)
    assert caught.value.reason is TransportReason.MISCONFIGURED
