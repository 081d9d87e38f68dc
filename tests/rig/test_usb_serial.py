"""Unmodified pyserial on serial ports of the kernel's own drivers ftdi_sio and cdc_acm."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from drivers.errors import TransportError, TransportReason
from drivers.transports.serial_port import SerialTransport
from drivers.transports.sightings import serial_ports
from simulators.astm.faults import Fault, FaultKind
from simulators.mounts.link import discard_input
from simulators.usb.cdc_acm import CDC_ACM, CdcAcmDevice
from simulators.usb.ftdi import FTDI, FtdiAdapter
from simulators.usb.serial_port import LineSettings, SerialDevice, UsbMount
from simulators.usb.vhci import Vhci
from tests.rig.meters import PATIENCE_S, STORY, Home, Instrument, astm, at_work, driver, poct1a, until

FTDI_ADDRESS, ACM_ADDRESS = "usb:0403:6001:SN000123", "usb:0483:5740:SN000123"
KINDS: dict[str, tuple[Callable[[], SerialDevice], str]] = {
    "ftdi": (FtdiAdapter, FTDI_ADDRESS),
    "cdc_acm": (CdcAcmDevice, ACM_ADDRESS),
}
ONCE = [1] * len(STORY.memory)
SPEAKERS: dict[str, Callable[[], Instrument]] = {"astm": astm, "poct1a": poct1a}


@pytest.fixture(params=KINDS)
def plugged(request: pytest.FixtureRequest, kernel_usb: Vhci) -> tuple[SerialDevice, str]:
    """A device that the kernel has recognised, and its address."""
    make, address = KINDS[request.param]
    device = make()
    kernel_usb.plug(device)
    wait_for(address)
    return device, address


def wait_for(*addresses: str) -> None:
    until(lambda: set(addresses) <= {seen.address for seen in serial_ports()}, f"{addresses} plugged in")


@pytest.mark.parametrize("protocol", SPEAKERS)
def test_a_meter_is_found_by_its_usb_identity_and_read_whole(
    plugged: tuple[SerialDevice, str], protocol: str, tmp_path: Path
) -> None:
    device, address = plugged
    instrument = SPEAKERS[protocol]()
    home = Home(tmp_path, driver(protocol), address)
    with at_work(instrument, UsbMount(device)):
        home.read(lambda: not instrument.unsent)
    assert sorted(home.results().values()) == ONCE
    home.close()


def test_the_line_is_set_as_the_profile_says(plugged: tuple[SerialDevice, str]) -> None:
    device, address = plugged
    for wanted in (LineSettings(9600, 8, "N", 1), LineSettings(1200, 7, "E", 1), LineSettings(115_200, 7, "O", 2)):
        with SerialTransport(address, **wanted._asdict()):
            assert device.line._replace(baudrate=0) == wanted._replace(baudrate=0)
            assert device.line.baudrate == pytest.approx(wanted.baudrate, rel=0.01)
            assert device.dtr
            assert device.rts
        until(lambda: not device.dtr, "DTR lowered on closing")


def test_a_port_belongs_to_whoever_opened_it(plugged: tuple[SerialDevice, str]) -> None:
    _, address = plugged
    with SerialTransport(address):
        with pytest.raises(TransportError, match="another program holds the port") as caught:
            SerialTransport(address)
        assert caught.value.reason is TransportReason.BUSY
    SerialTransport(address).close()


def test_every_octet_passes_both_ways(plugged: tuple[SerialDevice, str]) -> None:
    device, address = plugged
    octets = bytes(range(256)) * 40
    with SerialTransport(address, baudrate=115_200) as port:
        end = device.take_contact()
        assert end is not None
        with end:
            end.settimeout(PATIENCE_S)
            discard_input(end.fileno())
            port.write(octets)
            heard = b""
            while len(heard) < len(octets):
                heard += end.recv(65_536)
            assert heard == octets
            end.setblocking(True)
            end.sendall(octets)
            heard = b""
            while len(heard) < len(octets):
                part = port.read(65_536, PATIENCE_S)
                assert part, "no more octets came"
                heard += part
            assert heard == octets


def test_of_two_equal_adapters_the_serial_number_names_one(kernel_usb: Vhci) -> None:
    adapters = {serial: FtdiAdapter(FTDI.model_copy(update={"serial": serial})) for serial in ("A1", "A2")}
    for adapter in adapters.values():
        kernel_usb.plug(adapter)
    wait_for("usb:0403:6001:A1", "usb:0403:6001:A2")
    with pytest.raises(TransportError, match="several such devices are plugged in") as caught:
        SerialTransport("usb:0403:6001")
    assert caught.value.reason is TransportReason.MISCONFIGURED
    with SerialTransport("usb:0403:6001:A2"):
        assert adapters["A2"].dtr
        assert not adapters["A1"].dtr


def test_an_adapter_without_a_serial_number_is_found_and_remarked(kernel_usb: Vhci) -> None:
    kernel_usb.plug(CdcAcmDevice(CDC_ACM.model_copy(update={"serial": ""})))
    wait_for("usb:0483:5740")
    (seen,) = [each for each in serial_ports() if each.address == "usb:0483:5740"]
    assert "two of these cannot be told apart" in seen.remark
    assert seen.text == "ACME HomeINR"
    SerialTransport("usb:0483:5740").close()


def test_unplugged_while_a_read_waits(plugged: tuple[SerialDevice, str], kernel_usb: Vhci) -> None:
    device, address = plugged
    with SerialTransport(address) as port:
        kernel_usb.unplug(device)
        began_s = time.monotonic()
        with pytest.raises(TransportError, match=r"the port went away .*plug the meter in again") as caught:
            port.read(100, PATIENCE_S)
        assert caught.value.reason is TransportReason.UNPLUGGED
        assert time.monotonic() - began_s < 5.0
        with pytest.raises(TransportError):
            port.write(b"\x06")
    with pytest.raises(TransportError, match="not plugged in") as caught:
        SerialTransport(address)
    assert caught.value.reason is TransportReason.NOT_FOUND
    kernel_usb.plug(device)
    wait_for(address)
    SerialTransport(address).close()


@pytest.mark.parametrize(("kind", "frame"), [("ftdi", 4), ("cdc_acm", 11)])
def test_the_cable_is_pulled_between_frames_and_nothing_is_lost_or_doubled(
    kernel_usb: Vhci, tmp_path: Path, kind: str, frame: int
) -> None:
    make, address = KINDS[kind]
    instrument = astm([Fault(kind=FaultKind.UNPLUG, frame=frame, seconds=0.2)])
    home = Home(tmp_path, driver("astm"), address)
    with at_work(instrument, UsbMount(make(), kernel_usb)):
        home.read(lambda: not instrument.unsent)
    assert home.contacts == 2
    assert sorted(home.results().values()) == ONCE
    home.close()


@pytest.mark.parametrize("kind", KINDS)
def test_the_cable_is_pulled_within_a_document_and_nothing_is_lost_or_doubled(
    kernel_usb: Vhci, tmp_path: Path, kind: str
) -> None:
    make, address = KINDS[kind]
    instrument = poct1a(["cut:octet=4000,seconds=0.2"])
    home = Home(tmp_path, driver("poct1a"), address)
    with at_work(instrument, UsbMount(make(), kernel_usb)):
        home.read(lambda: not instrument.unsent)
    assert home.contacts == 2
    assert sorted(home.results().values()) == ONCE
    home.close()
