"""Serial ports on a real pty, through pyserial's URLs, and by USB identity."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import serial
from serial.tools.list_ports_common import ListPortInfo

from drivers.errors import TransportError, TransportReason
from drivers.registry import open_transport
from drivers.transports.serial_port import SerialTransport, resolve_usb
from tests.unit.drivers.conftest import Pty, reasons_of_a_read_that_close_ends
from tests.unit.drivers.rfc2217_server import Rfc2217Server


def port(device: str, vid: int | None, pid: int = 0x6001, number: str | None = None) -> ListPortInfo:
    info = ListPortInfo(device)
    info.vid, info.pid, info.serial_number = vid, pid, number
    return info


class TestPty:
    def test_octets_go_both_ways(self, pty: Pty) -> None:
        with SerialTransport(pty.path, baudrate=19200) as transport:
            assert (transport.kind, transport.peer) == ("serial", pty.path)
            pty.send(b"\x05")
            assert transport.read(100, 5) == b"\x05"
            transport.write(b"\x06")
            assert pty.heard(1) == b"\x06"

    def test_what_is_there_is_returned_at_once_and_within_the_limit(self, pty: Pty) -> None:
        with SerialTransport(pty.path) as transport:
            pty.send(bytes(range(200)))
            started_s = time.monotonic()
            octets = b""
            while len(octets) < 200:
                part = transport.read(64, 5)
                assert 0 < len(part) <= 64
                octets += part
            assert octets == bytes(range(200))
            assert time.monotonic() - started_s < 4

    def test_silence_gives_nothing_when_the_time_is_over(self, pty: Pty) -> None:
        with SerialTransport(pty.path) as transport:
            started_s = time.monotonic()
            assert transport.read(10, 0.05) == b""
            assert 0.04 <= time.monotonic() - started_s < 2
            assert transport.read(10, 0) == b""

    def test_unplugging_is_an_error_that_names_the_port(self, pty: Pty) -> None:
        with SerialTransport(pty.path) as transport:
            pty.unplug()
            with pytest.raises(TransportError, match=pty.path) as raised:
                transport.read(10, 5)
            assert raised.value.reason is TransportReason.UNPLUGGED
            with pytest.raises(TransportError) as again:
                transport.write(b"\x06")
            assert again.value.reason is TransportReason.UNPLUGGED

    def test_a_port_that_another_program_holds_is_busy(self, pty: Pty) -> None:
        with SerialTransport(pty.path), pytest.raises(TransportError, match="another program") as raised:
            SerialTransport(pty.path)
        assert raised.value.reason is TransportReason.BUSY
        SerialTransport(pty.path).close()

    def test_after_close_nothing_works_and_closing_again_does(self, pty: Pty) -> None:
        transport = SerialTransport(pty.path)
        transport.close()
        transport.close()
        for call in (lambda: transport.read(1, 1), lambda: transport.write(b"x")):
            with pytest.raises(TransportError) as raised:
                call()
            assert raised.value.reason is TransportReason.CLOSED

    def test_closing_ends_a_read_in_another_thread(self, pty: Pty) -> None:
        transport = SerialTransport(pty.path)
        assert reasons_of_a_read_that_close_ends(transport) == [TransportReason.CLOSED]

    def test_closing_leaves_no_descriptor_open(self, pty: Pty) -> None:
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(5):
            SerialTransport(pty.path).close()
        assert len(list(Path("/proc/self/fd").iterdir())) == before


class TestUrls:
    def test_socket_url(self, server: tuple[str, Callable[[], socket.socket]]) -> None:
        address, accept = server
        with SerialTransport(address.replace("tcp://", "socket://"), baudrate=9600) as transport:
            far = accept()
            far.sendall(b"\x05")
            assert transport.read(10, 5) == b"\x05"
            transport.write(b"\x06")
            assert far.recv(10) == b"\x06"
            far.close()
            with pytest.raises(TransportError) as raised:
                transport.read(10, 5)
            assert raised.value.reason is TransportReason.UNPLUGGED

    def test_a_url_without_descriptor(self) -> None:
        with open_transport("loop://", baudrate=9600) as transport:
            transport.write(b"abc")
            assert transport.read(10, 5) == b"abc"
            assert transport.read(10, 0.01) == b""

    @pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning")  # pyserial 3.5 itself calls them
    def test_rfc2217(self) -> None:
        with Rfc2217Server() as far, SerialTransport(far.url, baudrate=19200, parity="E") as transport:
            far.send(b"\x05")
            assert transport.read(10, 5) == b"\x05"
            transport.write(b"\x06")
            assert far.heard(1) == b"\x06"
            assert (far.uart.baudrate, far.uart.parity) == (19200, "E")

    @pytest.mark.parametrize(
        ("address", "reason"),
        [
            ("/dev/no-such-port", TransportReason.NOT_FOUND),
            ("bogus://x", TransportReason.MISCONFIGURED),
            ("socket://127.0.0.1:1", TransportReason.NOT_FOUND),
        ],
    )
    def test_what_cannot_be_opened_says_why(self, address: str, reason: TransportReason) -> None:
        with pytest.raises(TransportError, match=address) as raised:
            SerialTransport(address)
        assert raised.value.reason is reason

    @pytest.mark.parametrize("parameters", [{"baudrate": -1}, {"parity": "X"}, {"speed": 9600}])
    def test_impossible_parameters_say_so(self, pty: Pty, parameters: dict[str, Any]) -> None:
        with pytest.raises(TransportError) as raised:
            SerialTransport(pty.path, **parameters)
        assert raised.value.reason is TransportReason.MISCONFIGURED

    @pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
    def test_a_port_without_permission_names_the_remedy(self, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        def refuse(*_arguments: object, **_parameters: object) -> None:
            raise serial.SerialException(number, "could not open port")

        monkeypatch.setattr(serial, "serial_for_url", refuse)
        with pytest.raises(TransportError, match="dialout") as raised:
            SerialTransport("/dev/ttyS0")
        assert raised.value.reason is TransportReason.NOT_PERMITTED


class TestUsbIdentity:
    PORTS = (
        port("/dev/ttyS0", None),
        port("/dev/ttyUSB0", 0x0403, number="FT0001AB"),
        port("/dev/ttyUSB1", 0x0403, number="FT0002CD"),
        port("/dev/ttyACM0", 0x10C4, 0xEA60),
    )

    @pytest.mark.parametrize(
        ("address", "device"),
        [
            ("usb:0403:6001:FT0001AB", "/dev/ttyUSB0"),
            ("usb:0403:6001:FT0002CD", "/dev/ttyUSB1"),
            ("usb:10C4:EA60", "/dev/ttyACM0"),
            ("usb:10c4:ea60", "/dev/ttyACM0"),
        ],
    )
    def test_the_device_is_found_wherever_it_is(self, address: str, device: str) -> None:
        assert resolve_usb(address, lambda: self.PORTS) == device
        assert resolve_usb(address, lambda: reversed(self.PORTS)) == device

    @pytest.mark.parametrize(
        ("address", "reason", "says"),
        [
            ("usb:0403:6001:FT0003", TransportReason.NOT_FOUND, "usb:0403:6001:FT0001AB"),
            ("usb:1234:5678", TransportReason.NOT_FOUND, "not plugged in"),
            ("usb:0403:6001", TransportReason.MISCONFIGURED, "add the serial number"),
            ("usb:403:6001", TransportReason.MISCONFIGURED, "four hexadecimal digits"),
            ("usb:", TransportReason.MISCONFIGURED, "four hexadecimal digits"),
        ],
    )
    def test_what_is_not_there_or_not_clear_says_so(self, address: str, reason: TransportReason, says: str) -> None:
        with pytest.raises(TransportError, match=says) as raised:
            resolve_usb(address, lambda: self.PORTS)
        assert raised.value.reason is reason

    def test_a_port_is_opened_by_its_identity(self, pty: Pty) -> None:
        ports = [port(pty.path, 0x0403, number="FT0001AB")]
        with SerialTransport("usb:0403:6001:FT0001AB", enumerate_ports=lambda: ports) as transport:
            assert transport.peer == "usb:0403:6001:FT0001AB"
            pty.send(b"\x05")
            assert transport.read(10, 5) == b"\x05"

    @pytest.mark.parametrize("name", ["/dev/ttyUSB0", "/dev/ttyACM0", "/dev/ttyUSB17"])
    def test_a_name_that_changes_is_refused_with_the_one_that_stays(self, name: str) -> None:
        with pytest.raises(TransportError, match="usb:") as raised:
            SerialTransport(name, enumerate_ports=lambda: self.PORTS)
        assert raised.value.reason is TransportReason.MISCONFIGURED

    def test_the_system_is_asked_by_default(self) -> None:
        with pytest.raises(TransportError) as raised:
            open_transport("usb:dead:beef:NONE")
        assert raised.value.reason is TransportReason.NOT_FOUND


def test_an_address_of_no_kind_is_an_error() -> None:
    for address in ("ttyUSB0", "COM3", "", "tcp:", "tcp://", "tcp-listen://127.0.0.1:0"):
        with pytest.raises(TransportError) as raised:
            open_transport(address)
        assert raised.value.reason is TransportReason.MISCONFIGURED
        assert address in str(raised.value)


def test_a_missing_replay_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TransportError) as raised:
        open_transport(f"replay:{tmp_path / 'none'}")
    assert raised.value.reason is TransportReason.NOT_FOUND
