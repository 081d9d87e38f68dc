"""The PHDC transport with unmodified pyusb on a bus of simulated devices."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
import usb.core

from drivers.contract import Context, Event, Finished, MeterRecord, Piece, Send
from drivers.errors import TransportError, TransportReason
from drivers.meters.ieee11073 import Ieee11073Driver
from drivers.transports.phdc import PhdcTransport, open_phdc
from drivers.transports.phdc_descriptors import descriptors, phdc_interfaces
from simulators.ieee11073.dialect import Dialect, Transfer
from simulators.ieee11073.instrument import Instrument
from simulators.ieee11073.scenario import Ieee11073Scenario
from simulators.ledger import Ledger
from simulators.scenario import five_weeks
from simulators.usb.backend import Bus
from simulators.usb.phdc import PhdcMeter, UsbIdentity

SCENARIO = five_weeks(date(2026, 3, 14))
PROFILE = {"association": {"release_when_quiet_s": 0.1}}
PATIENCE_S = 20.0
ROOT = Path(__file__).resolve().parents[3]


def meter(dialect: Dialect | None = None, identity: UsbIdentity | None = None) -> PhdcMeter:
    scenario = Ieee11073Scenario(
        meter=SCENARIO.meter,
        clock=SCENARIO.clock,
        memory=SCENARIO.memory,
        starts=SCENARIO.starts,
        dialect=dialect or Dialect(),
    )
    return PhdcMeter(Instrument(scenario, Ledger()).agent, identity)


def converse(
    transport: PhdcTransport, driver: Ieee11073Driver, *, stop_after: int | None = None
) -> list[MeterRecord]:
    """Read a meter to the end of the conversation, or until so many reports were stored."""
    session = driver.session()
    contexts: list[bytes] = []
    records: list[MeterRecord] = []
    todo: list[Event] = session.opened(time.monotonic())
    ends_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends_s:
        while todo:
            event = todo.pop(0)
            if isinstance(event, Send):
                transport.write(event.octets)
            elif isinstance(event, Context):
                contexts.append(event.octets)
            elif isinstance(event, Piece):
                items = driver.decode([*contexts, event.octets]).items
                records += [item for item in items if isinstance(item, MeterRecord)]
                if len(records) == stop_after:
                    return records
                todo = session.confirm(time.monotonic()) + todo
            elif isinstance(event, Finished):
                if event.error is not None:
                    raise event.error
                return records
        octets = transport.read(65_536, 0.05)
        now_s = time.monotonic()
        todo = session.receive(octets, now_s) if octets else session.tick(now_s)
    raise AssertionError("the conversation does not come to an end")


@pytest.mark.parametrize("transfer", Transfer)
@pytest.mark.parametrize("one_packet", [False, True])
def test_a_whole_memory_over_usb(transfer: Transfer, one_packet: bool) -> None:
    device = meter(Dialect(transfer=transfer), UsbIdentity(one_packet=one_packet))
    driver = Ieee11073Driver(PROFILE)
    with open_phdc("phdc:", backend=Bus(device), **driver.serial_parameters()) as transport:  # type: ignore[arg-type]  # the driver's own
        records = converse(transport, driver)
    assert len(records) == len(SCENARIO.memory)
    if transfer is not Transfer.ASKED:
        assert not device.agent.deliveries.unsent


def test_what_the_descriptors_say() -> None:
    device = meter()
    (seen,) = usb.core.find(find_all=True, backend=Bus(device))
    (interface,) = phdc_interfaces(seen)
    assert (interface.configuration, interface.number, interface.alternate) == (1, 0, 0)
    assert interface.specializations == (0x1012,)
    assert not interface.has_preamble
    assert (interface.bulk_in.address, interface.bulk_out.address) == (0x81, 0x01)
    assert interface.bulk_in.qos == ("medium.best",)
    assert interface.bulk_in.metadata == b"INR PHDC Tx\0"
    assert interface.bulk_in.packet_octets == 64


def test_the_configuration_is_that_of_a_shipping_meter_but_for_its_names() -> None:
    shipping = bytes.fromhex(
        "09025200010103809209040000020f000004042002000630000111100705810240000004210108"
        "1022526f63686520504844432054780007050102400000042101081022526f636865205048444320527800"
    )
    ours = meter().descriptors.configuration
    interface = shipping.index(bytes([9, 4]))
    assert ours[9:13] == shipping[interface : interface + 4]
    for part in (b"\x04\x20\x02\x00", b"\x04\x21\x01\x08", b"\x07\x05\x81\x02\x40\x00\x00"):
        assert part in ours
        assert part in shipping
    assert b"\x06\x30\x00\x01\x12\x10" in ours
    assert b"\x06\x30\x00\x01\x11\x10" in shipping


@pytest.mark.parametrize("extra", [b"", b"\x04", b"\x00\x20", b"\x09\x20\x02", b"\x02\x30\xff\xff"])
def test_descriptors_that_make_no_sense_are_left_out(extra: bytes) -> None:
    assert all(isinstance(kind, int) for kind, _ in descriptors(extra))


@pytest.mark.parametrize("address", ["phdc:", "phdc:1209:0F0F", "phdc:1209:f0f:SN000123"])
def test_a_meter_is_found_by_class_by_ids_and_by_serial_number(address: str) -> None:
    with open_phdc(address, backend=Bus(meter())) as transport:
        assert transport.peer == "phdc:1209:0F0F:SN000123"
        assert transport.kind == "usb"


@pytest.mark.parametrize("address", ["phdc:1209:0001", "phdc:1209:0F0F:SN000124", "phdc:173A:21D5"])
def test_another_meter_is_not_taken(address: str) -> None:
    with pytest.raises(TransportError) as caught:
        open_phdc(address, backend=Bus(meter()))
    assert caught.value.reason is TransportReason.NOT_FOUND


def test_another_specialization_is_taken_only_when_configured() -> None:
    bus = Bus(meter(identity=UsbIdentity(specializations=(0x1011, 0x1007))))
    with pytest.raises(TransportError, match="0x1012") as caught:
        open_phdc("phdc:", backend=bus)
    assert caught.value.reason is TransportReason.NOT_FOUND
    with open_phdc("phdc:", backend=bus, specializations=(0x1007,)) as transport:
        assert transport.interface.specializations == (0x1011, 0x1007)


def test_two_meters_have_to_be_told_apart() -> None:
    bus = Bus(meter(), meter(identity=UsbIdentity(serial="SN000999")))
    with pytest.raises(TransportError, match="SN000123, phdc:1209:0F0F:SN000999") as caught:
        open_phdc("phdc:", backend=bus)
    assert caught.value.reason is TransportReason.MISCONFIGURED
    with open_phdc("phdc:1209:0F0F:SN000999", backend=bus) as transport:
        assert transport.peer.endswith("SN000999")


@pytest.mark.parametrize("address", ["phdc", "phdc:1209", "phdc:xyz:1", "usb:1209:0F0F"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(TransportError) as caught:
        open_phdc(address, backend=Bus())
    assert caught.value.reason is TransportReason.MISCONFIGURED


def test_without_permission_the_udev_rule_is_named() -> None:
    with pytest.raises(TransportError, match=r"60-inr-phdc\.rules") as caught:
        open_phdc("phdc:", backend=Bus(meter(), permitted=False))
    assert caught.value.reason is TransportReason.NOT_PERMITTED
    assert (ROOT / "config" / "udev" / "60-inr-phdc.rules").is_file()


def test_a_meter_that_is_held_is_not_taken_twice() -> None:
    bus = Bus(meter())
    with open_phdc("phdc:", backend=bus):
        with pytest.raises(TransportError) as caught:
            open_phdc("phdc:", backend=bus)
        assert caught.value.reason is TransportReason.BUSY
    open_phdc("phdc:", backend=bus).close()


def test_a_halted_endpoint_is_cleared() -> None:
    driver = Ieee11073Driver(PROFILE)
    with open_phdc("phdc:", backend=Bus(meter(identity=UsbIdentity(stalls_once=True)))) as transport:
        assert len(converse(transport, driver)) == len(SCENARIO.memory)


def test_babble_is_told_in_words_a_user_understands() -> None:
    driver = Ieee11073Driver(PROFILE)
    with (
        open_phdc("phdc:", backend=Bus(meter(identity=UsbIdentity(babbles_at=4)))) as transport,
        pytest.raises(TransportError, match=r"left plugged in\. Unplug the meter"),
    ):
        converse(transport, driver)


def test_get_status_tells_which_endpoint_has_data() -> None:
    with open_phdc("phdc:", backend=Bus(meter())) as transport:
        assert transport.endpoints_with_data() == 0b10
        assert transport.read(65_536, 1.0)[:2] == b"\xe2\x00"
        assert transport.endpoints_with_data() == 0


def test_a_short_read_keeps_the_rest() -> None:
    with open_phdc("phdc:", backend=Bus(meter())) as transport:
        first = transport.read(10, 1.0)
        rest = transport.read(65_536, 1.0)
        assert len(first) == 10
        assert (first + rest)[:4] == bytes.fromhex("e2000032")
        assert len(first + rest) == 54


def test_silence_ends_at_the_time_limit() -> None:
    with open_phdc("phdc:", backend=Bus(meter())) as transport:
        transport.read(65_536, 1.0)
        began_s = time.monotonic()
        assert transport.read(65_536, 0.3) == b""
        assert 0.25 < time.monotonic() - began_s < 5.0


@pytest.mark.parametrize("after", range(1, len(SCENARIO.memory)))
def test_unplugged_at_any_report_and_plugged_in_again_nothing_is_lost(after: int) -> None:
    device = meter()
    bus = Bus(device)
    driver = Ieee11073Driver(PROFILE)
    with open_phdc("phdc:", backend=bus) as transport:
        stored = converse(transport, driver, stop_after=after)
        bus.unplug(device)
        with pytest.raises(TransportError, match="was unplugged") as caught:
            transport.read(65_536, 1.0)
        assert caught.value.reason is TransportReason.UNPLUGGED
        with pytest.raises(TransportError):
            transport.write(b"\xe5\x00\x00\x02\x00\x00")
    with pytest.raises(TransportError) as caught:
        open_phdc("phdc:", backend=bus)
    assert caught.value.reason is TransportReason.NOT_FOUND
    assert len(device.agent.deliveries.delivered) == after - 1
    bus.plug(device)
    with open_phdc("phdc:", backend=bus) as transport:
        again = converse(transport, driver)
    assert again[0].device_time == stored[-1].device_time
    assert len(again) == len(SCENARIO.memory) - after + 1
    assert not device.agent.deliveries.unsent


def test_unplugged_while_a_read_waits() -> None:
    device = meter()
    bus = Bus(device)
    with open_phdc("phdc:", backend=bus) as transport:
        transport.read(65_536, 1.0)
        threading.Timer(0.1, bus.unplug, [device]).start()
        with pytest.raises(TransportError) as caught:
            transport.read(65_536, PATIENCE_S)
        assert caught.value.reason is TransportReason.UNPLUGGED


def test_closed_by_another_thread_while_a_read_waits() -> None:
    transport = open_phdc("phdc:", backend=Bus(meter()))
    transport.read(65_536, 1.0)
    threading.Timer(0.1, transport.close).start()
    with pytest.raises(TransportError) as caught:
        transport.read(65_536, PATIENCE_S)
    assert caught.value.reason is TransportReason.CLOSED
    transport.close()


def test_a_meter_that_believes_in_an_earlier_association_starts_anew() -> None:
    device = meter()
    bus = Bus(device)
    driver = Ieee11073Driver(PROFILE)
    with open_phdc("phdc:", backend=bus) as transport:
        converse(transport, driver, stop_after=2)
    with open_phdc("phdc:", backend=bus) as transport:
        converse(transport, driver)
    assert not device.agent.deliveries.unsent


def test_a_test_made_while_the_cable_is_in_is_reported() -> None:
    device = meter()
    bus = Bus(device)
    driver = Ieee11073Driver(PROFILE)
    with open_phdc("phdc:", backend=bus) as transport:
        converse(transport, driver)
        device.agent.meter.make(SCENARIO.memory[-1].model_copy(update={"inr": "3.1"}))
        device.wake()
        records = converse(transport, driver)
    assert [record.inr.text for record in records if record.inr is not None] == ["3.1"]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    ends_s = time.monotonic() + PATIENCE_S
    while any(isinstance(thread, threading.Timer) for thread in threading.enumerate()):
        assert time.monotonic() < ends_s
        time.sleep(0.01)
