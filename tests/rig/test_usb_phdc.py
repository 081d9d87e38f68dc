"""Unmodified pyusb over libusb and usbfs on a meter of the Personal Healthcare Device Class."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import usb.core

from drivers.errors import TransportError, TransportReason
from drivers.transports.phdc import open_phdc
from drivers.transports.phdc_descriptors import phdc_interfaces
from drivers.transports.sightings import phdc_devices
from simulators.ieee11073.dialect import Dialect, Fault, FaultKind, Transfer
from simulators.usb.phdc import PhdcMeter, UsbIdentity
from simulators.usb.vhci import Vhci
from tests.rig.meters import PATIENCE_S, STORY, Home, driver, phdc, until

ADDRESS = "phdc:1209:0f0f:SN000123"
AARQ = b"\xe2\x00"
TESTS = len(STORY.memory)
SEGMENT = 3
"""Tests in a stored segment. One that was not confirmed whole when the cable was pulled comes again; each of its
tests is then read twice and is one result."""


def plug(hub: Vhci, meter: PhdcMeter) -> None:
    hub.plug(meter)
    until(lambda: [seen.address for seen in phdc_devices()] == [ADDRESS], "the meter seen")


def test_it_is_sighted_by_its_class_and_names(kernel_usb: Vhci) -> None:
    assert phdc_devices() == []
    plug(kernel_usb, phdc())
    (seen,) = phdc_devices()
    assert seen.text == "ACME HomeINR"
    assert seen.remark == "specializations 0x1012"
    assert seen.place.startswith("bus ")
    (device,) = usb.core.find(find_all=True, idVendor=0x1209)
    (interface,) = phdc_interfaces(device)
    assert (interface.bulk_in.address, interface.bulk_in.qos) == (0x81, ("medium.best",))
    assert interface.bulk_in.metadata == b"INR PHDC Tx\0"


def test_it_belongs_to_whoever_claimed_it(kernel_usb: Vhci) -> None:
    plug(kernel_usb, phdc())
    with open_phdc("phdc:") as transport:
        assert transport.peer == "phdc:1209:0F0F:SN000123"
        assert transport.read(65_536, PATIENCE_S)[:2] == AARQ
        with pytest.raises(TransportError) as caught:
            open_phdc(ADDRESS, reset=False)
        assert caught.value.reason is TransportReason.BUSY
    open_phdc(ADDRESS).close()


@pytest.mark.parametrize("transfer", Transfer)
def test_the_whole_memory_is_read(kernel_usb: Vhci, tmp_path: Path, transfer: Transfer) -> None:
    meter = phdc(Dialect(transfer=transfer), UsbIdentity(one_packet=transfer is Transfer.STORE))
    plug(kernel_usb, meter)
    home = Home(tmp_path, driver("ieee11073"), ADDRESS)
    home.read(lambda: len(home.results()) == TESTS)
    assert sorted(home.results().values()) == [1] * TESTS
    home.close()


@pytest.mark.parametrize("transfer", [Transfer.LIVE, Transfer.STORE])
def test_unplugged_while_it_sends_and_plugged_in_again(
    kernel_usb: Vhci, tmp_path: Path, transfer: Transfer
) -> None:
    meter = phdc(Dialect(transfer=transfer, entries_per_event=2, entries_per_segment=SEGMENT))
    plug(kernel_usb, meter)
    home = Home(tmp_path, driver("ieee11073"), ADDRESS)

    pulled: list[int] = []

    def pulled_once_and_read() -> bool:
        received = len(meter.agent.deliveries.delivered)
        if received and not pulled:
            pulled.append(received)
            kernel_usb.unplug(meter)
            kernel_usb.plug(meter)
        return not meter.agent.deliveries.unsent

    home.read(pulled_once_and_read)
    assert pulled[0] < TESTS
    assert home.contacts == 2
    assert len(home.results()) == TESTS
    # A store is not cleared, so the second contact reads it from its start.
    assert home.results().total() <= 2 * TESTS
    home.close()


def test_unplugged_while_a_read_waits(kernel_usb: Vhci) -> None:
    meter = phdc()
    plug(kernel_usb, meter)
    with open_phdc(ADDRESS) as transport:
        assert transport.read(65_536, PATIENCE_S)[:2] == AARQ
        pull = threading.Timer(0.2, kernel_usb.unplug, [meter])
        pull.start()
        began_s = time.monotonic()
        with pytest.raises(TransportError, match="the meter was unplugged") as caught:
            transport.read(65_536, PATIENCE_S)
        pull.join()
        assert caught.value.reason is TransportReason.UNPLUGGED
        assert time.monotonic() - began_s < 5.0
    with pytest.raises(TransportError) as caught:
        open_phdc(ADDRESS)
    assert caught.value.reason is TransportReason.NOT_FOUND


def test_closed_by_another_thread_while_a_read_waits(kernel_usb: Vhci) -> None:
    plug(kernel_usb, phdc())
    transport = open_phdc(ADDRESS)
    assert transport.read(65_536, PATIENCE_S)[:2] == AARQ
    closing = threading.Timer(0.2, transport.close)
    closing.start()
    with pytest.raises(TransportError) as caught:
        transport.read(65_536, PATIENCE_S)
    closing.join()
    assert caught.value.reason is TransportReason.CLOSED


def test_babble_is_told_in_words_a_user_understands_and_the_next_contact_goes_on(
    kernel_usb: Vhci, tmp_path: Path
) -> None:
    meter = phdc(usb=UsbIdentity(babbles_at=1))
    plug(kernel_usb, meter)
    with open_phdc(ADDRESS) as transport, pytest.raises(TransportError, match=r"babble.*Unplug the meter"):
        transport.read(65_536, PATIENCE_S)
    kernel_usb.unplug(meter)
    plug(kernel_usb, meter)
    home = Home(tmp_path, driver("ieee11073"), ADDRESS)
    home.read(lambda: not meter.agent.deliveries.unsent)
    assert sorted(home.results().values()) == [1] * TESTS
    home.close()


@pytest.mark.parametrize(
    ("usb_fault", "fault"),
    [(UsbIdentity(stalls_once=True), None), (None, Fault(kind=FaultKind.STALE_FIRST))],
    ids=["halted", "stale"],
)
def test_a_bad_beginning_does_not_stand_in_the_way(
    kernel_usb: Vhci, tmp_path: Path, usb_fault: UsbIdentity | None, fault: Fault | None
) -> None:
    meter = phdc(usb=usb_fault, faults=[] if fault is None else [fault])
    plug(kernel_usb, meter)
    home = Home(tmp_path, driver("ieee11073"), ADDRESS)
    home.read(lambda: not meter.agent.deliveries.unsent)
    assert sorted(home.results().values()) == [1] * TESTS
    home.close()


def test_a_meter_that_never_asks_to_associate_is_named_to_a_person(
    kernel_usb: Vhci, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    meter = phdc(faults=[Fault(kind=FaultKind.SILENT)])
    plug(kernel_usb, meter)
    home = Home(tmp_path, driver("ieee11073"), ADDRESS)
    home.read(lambda: "the conversation ended badly" in caplog.text)
    assert "nplug" in caplog.text
    home.close()


def test_a_meter_that_believes_in_an_earlier_association_starts_anew(kernel_usb: Vhci, tmp_path: Path) -> None:
    meter = phdc()
    plug(kernel_usb, meter)
    with open_phdc(ADDRESS) as transport:
        assert transport.read(65_536, PATIENCE_S)[:2] == AARQ
    home = Home(tmp_path, driver("ieee11073"), ADDRESS)
    home.read(lambda: not meter.agent.deliveries.unsent)
    assert sorted(home.results().values()) == [1] * TESTS
    home.close()
