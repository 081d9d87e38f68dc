"""The USB/IP server against the host side of the package `usbip`, which knows nothing of it; serial adapters."""

from __future__ import annotations

import errno
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from usbip.core import Stall
from usbip.host import Connection, Handle

from simulators.ieee11073.instrument import Instrument
from simulators.ieee11073.scenario import Ieee11073Scenario
from simulators.ledger import Ledger
from simulators.usb.cdc_acm import CdcAcmDevice
from simulators.usb.device import UsbDevice
from simulators.usb.ftdi import FtdiAdapter
from simulators.usb.phdc import PhdcMeter, UsbIdentity
from simulators.usb.serial_port import LineSettings, SerialDevice, UsbMount
from simulators.usb.usbip import Server
from simulators.usb.vhci import Vhci, VhciError

GET_DESCRIPTOR, SET_CONFIGURATION = 6, 9
PATIENCE_S = 10.0

Attach = Callable[[UsbDevice], Handle]


@pytest.fixture
def attach() -> Iterator[Attach]:
    open_ends: list[tuple[socket.socket, Server]] = []

    def attached(device: UsbDevice) -> Handle:
        ours, hosts = socket.socketpair()
        hosts.settimeout(PATIENCE_S)
        server = Server(device, ours)
        server.start()
        open_ends.append((hosts, server))
        handle = Handle(Connection(hosts), None)
        handle.control(0x00, SET_CONFIGURATION, 1, 0, b"")
        return handle

    yield attached
    for hosts, server in open_ends:
        hosts.close()
        server.close()


def phdc(**usb: object) -> PhdcMeter:
    return PhdcMeter(Instrument(Ieee11073Scenario(), Ledger()).agent, UsbIdentity.model_validate(usb))


def test_descriptors_and_strings(attach: Attach) -> None:
    handle = attach(phdc())
    device = handle.control(0x80, GET_DESCRIPTOR, 0x0100, 0, 18)
    assert struct.unpack_from("<HH", device, 8) == (0x1209, 0x0F0F)
    configuration = handle.control(0x80, GET_DESCRIPTOR, 0x0200, 0, 255)
    assert len(configuration) == int.from_bytes(configuration[2:4], "little")
    assert handle.control(0x80, GET_DESCRIPTOR, 0x0200, 0, 9) == configuration[:9]
    assert handle.control(0x80, GET_DESCRIPTOR, 0x0303, 0x0409, 255)[2:].decode("utf-16-le") == "SN000123"


def test_what_the_device_refuses_is_a_stall(attach: Attach) -> None:
    handle = attach(phdc())
    for request in (0x77, GET_DESCRIPTOR):
        with pytest.raises(Stall):
            handle.control(0x80, request, 0x0900, 0, 2)
    assert len(handle.control(0x80, GET_DESCRIPTOR, 0x0100, 0, 18)) == 18


def test_a_meter_speaks_over_bulk_endpoints(attach: Attach) -> None:
    handle = attach(phdc())
    assert handle.bulk_in(0x81, 1024)[:2] == b"\xe2\x00"
    handle.bulk_out(0x01, bytes.fromhex("e60000020000"))


def test_a_halted_endpoint_stalls_until_it_is_cleared(attach: Attach) -> None:
    handle = attach(phdc(stalls_once=True))
    with pytest.raises(Stall):
        handle.bulk_in(0x81, 1024)
    handle.clear_halt(0x81)
    assert handle.bulk_in(0x81, 1024)[:2] == b"\xe2\x00"


def test_more_than_was_asked_for_is_an_overflow(attach: Attach) -> None:
    with pytest.raises(Stall, match=str(-errno.EOVERFLOW)):
        attach(phdc()).bulk_in(0x81, 10)


def test_the_host_goes_away_and_the_meter_is_reset() -> None:
    device = phdc()
    ended = threading.Event()
    ours, hosts = socket.socketpair()
    server = Server(device, ours, ended.set)
    server.start()
    Handle(Connection(hosts), None).control(0x00, SET_CONFIGURATION, 1, 0, b"")
    assert device.configured
    hosts.close()
    assert ended.wait(PATIENCE_S)
    assert not device.configured
    server.close()


def submit(sequence: int, length: int, *, flags: int = 0) -> bytes:
    return struct.pack("!5IIi3I8x", 1, sequence, 0x10001, 1, 1, flags, length, 0, 0, 0)


def answer(host: socket.socket) -> tuple[int, int, int, int]:
    """Command, sequence, status, length."""
    octets = b""
    while len(octets) < 48:
        octets += host.recv(48 - len(octets))
    command, sequence, _, _, _, status, length = struct.unpack_from("!5Iii", octets)
    if command == 3:
        host.recv(length, socket.MSG_WAITALL)
    return command, sequence, status, length


def test_a_waiting_transfer_can_be_taken_back(attach: Attach) -> None:
    handle = attach(CdcAcmDevice())
    host = handle.conn.sock
    host.sendall(submit(100, 64) + struct.pack("!5II24x", 2, 101, 0x10001, 0, 0, 100))
    assert answer(host) == (4, 101, -errno.ECONNRESET, 0)
    host.sendall(struct.pack("!5II24x", 2, 102, 0x10001, 0, 0, 100))
    assert answer(host) == (4, 102, 0, 0)


def test_a_short_transfer_is_an_error_only_where_the_host_says_so(attach: Attach) -> None:
    device = FtdiAdapter()
    host = attach(device).conn.sock
    host.sendall(submit(7, 64, flags=1))
    assert answer(host) == (3, 7, -errno.EREMOTEIO, 2)
    host.sendall(submit(8, 64))
    assert answer(host) == (3, 8, 0, 2)


def test_each_endpoint_answers_in_order(attach: Attach) -> None:
    device = CdcAcmDevice()
    handle = attach(device)
    open_port(handle, device)
    end = device.take_contact()
    assert end is not None
    host = handle.conn.sock
    host.sendall(submit(11, 64) + submit(12, 64))
    with end:
        end.sendall(b"x" * 100)
        assert [answer(host)[1::2] for _ in range(2)] == [(11, 64), (12, 36)]


# Serial adapters ----------------------------------------------------------------------------------------------


def open_port(handle: Handle, device: SerialDevice) -> None:
    """Raise DTR and RTS as the drivers of the kernel do."""
    if isinstance(device, FtdiAdapter):
        handle.control(0x40, 1, 0x0101, 0, b"")
        handle.control(0x40, 1, 0x0202, 0, b"")
    else:
        handle.control(0x21, 0x22, 3, 0, b"")


def close_port(handle: Handle, device: SerialDevice) -> None:
    if isinstance(device, FtdiAdapter):
        handle.control(0x40, 1, 0x0100, 0, b"")
    else:
        handle.control(0x21, 0x22, 0, 0, b"")


@pytest.fixture(params=[FtdiAdapter, CdcAcmDevice])
def adapter(request: pytest.FixtureRequest) -> SerialDevice:
    made: SerialDevice = request.param()
    return made


def test_a_meter_hears_and_is_heard_while_the_port_is_open(attach: Attach, adapter: SerialDevice) -> None:
    handle = attach(adapter)
    out = 0x02 if isinstance(adapter, FtdiAdapter) else 0x01
    status = 2 if isinstance(adapter, FtdiAdapter) else 0
    handle.bulk_out(out, b"nobody listens")
    stop = threading.Event()
    mount = UsbMount(adapter, ready_s=0)
    assert mount.plug_in()["usb"].endswith("SN000123")
    threading.Timer(0.1, open_port, [handle, adapter]).start()
    link = mount.wait(stop)
    assert link is not None
    assert (adapter.dtr, adapter.rts) == (True, True)
    handle.bulk_out(out, b"\x06")
    assert link.read(PATIENCE_S) == b"\x06"
    link.write(b"\x05" * 70, stop)
    heard = b""
    while len(heard) < 70:
        heard += handle.bulk_in(0x81, 64)[status:]
    assert heard == b"\x05" * 70
    close_port(handle, adapter)
    with pytest.raises(Exception, match="closed by the host"):
        link.read(PATIENCE_S)
    link.close()
    stop.set()
    assert mount.wait(stop) is None


@pytest.mark.parametrize(
    ("value", "index", "baudrate"),
    [
        (0x4138, 0, 9600),
        (0x809C, 0, 19_200),
        (0xC04E, 0, 38_400),
        (0x001A, 0, 115_385),
        (0x000A, 1, 289_157),
        (0, 0, 3_000_000),
        (1, 0, 2_000_000),
    ],
)
def test_ftdi_divisors(attach: Attach, value: int, index: int, baudrate: int) -> None:
    device = FtdiAdapter()
    attach(device).control(0x40, 3, value, index, b"")
    assert device.line.baudrate == baudrate


def test_ftdi_formats_and_latency(attach: Attach) -> None:
    device = FtdiAdapter()
    handle = attach(device)
    handle.control(0x40, 4, 7 | 2 << 8 | 2 << 11, 0, b"")
    assert device.line == LineSettings(9600, 7, "E", 2)
    handle.control(0x40, 9, 1, 0, b"")
    assert handle.control(0xC0, 10, 0, 0, 1) == b"\x01"
    assert handle.control(0xC0, 5, 0, 0, 2)[0] & 0x30 == 0x30
    for value in (5 << 8, 3 << 11):
        with pytest.raises(Stall):
            handle.control(0x40, 4, value, 0, b"")


def test_cdc_line_coding_is_kept_and_told(attach: Attach) -> None:
    device = CdcAcmDevice()
    handle = attach(device)
    handle.control(0x21, 0x20, 0, 0, struct.pack("<IBBB", 1200, 2, 1, 7))
    assert device.line == LineSettings(1200, 7, "O", 2)
    assert handle.control(0xA1, 0x21, 0, 0, 7) == struct.pack("<IBBB", 1200, 2, 1, 7)
    for wrong in (b"\0", struct.pack("<IBBB", 1200, 3, 0, 8), struct.pack("<IBBB", 1200, 0, 5, 8)):
        with pytest.raises(Stall):
            handle.control(0x21, 0x20, 0, 0, wrong)


# The kernel's side --------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What vhci_hcd shows, without a kernel behind."""
    for name in ("attach", "detach"):
        (tmp_path / name).touch()
    head = "hub port sta spd dev      sockfd local_busid\n"
    ports = "hs  0000 006 002 00010001 000003 1-1\nhs  0001 004 000 00000000 000000 0-0\n"
    (tmp_path / "status").write_text(f"{head}{ports}ss  0008 004 000 00000000 000000 0-0\n")
    return tmp_path


def test_a_device_takes_the_first_free_port_at_full_speed(folder: Path) -> None:
    hub = Vhci(folder)
    device = CdcAcmDevice()
    hub.plug(device)
    port, _, identifier, speed = (folder / "attach").read_text().split()
    assert (port, identifier, speed) == ("1", str(0x10002), "2")
    hub.close()
    assert (folder / "detach").read_text() == "1"
    hub.unplug(device)


def test_a_full_hub_and_no_hub_are_told(folder: Path, tmp_path: Path) -> None:
    status = folder / "status"
    status.write_text(status.read_text().replace(" 004 ", " 006 "))
    with pytest.raises(VhciError, match="every virtual port is taken"):
        Vhci(folder).plug(CdcAcmDevice())
    with pytest.raises(VhciError, match="load the module vhci-hcd"):
        Vhci(tmp_path / "none")
