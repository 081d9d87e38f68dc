"""``inr-gateway drivers`` and ``meters``: what is supported, what is there, and what a port of the hub is."""

from __future__ import annotations

import json
import re
import socket
import threading
from contextlib import suppress
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from drivers import registry
from drivers.errors import TransportError, TransportReason
from drivers.transports.sightings import Sighting, phdc_devices, serial_ports, there
from gateway.cli.main import main
from simulators.ledger import Ledger
from simulators.mounts.tcp import Dialer
from simulators.poct1a.dialect import PT2
from simulators.poct1a.instrument import Instrument
from simulators.scenario import five_weeks
from simulators.usb.backend import Bus
from tests.unit.drivers.test_phdc import meter


def port(device: str, vid: int | None = None, pid: int | None = None, serial: str | None = None) -> Any:
    return SimpleNamespace(
        device=device,
        vid=vid,
        pid=pid,
        serial_number=serial,
        manufacturer="FTDI" if vid else None,
        product="FT232R" if vid else None,
        description="n/a",
    )


PORTS = [
    port("/dev/ttyUSB1", 0x0403, 0x6001, "FT2"),
    port("/dev/ttyUSB0", 0x0403, 0x6001, "FT1"),
    port("/dev/ttyUSB2", 0x10C4, 0xEA60),
    port("/dev/ttyS9"),
]
RESTS_ON = re.compile(r"  (proven|specified|implemented|unknown|not done)\b")
SEEN = [*serial_ports(lambda: PORTS), Sighting("usb", "phdc:1234:5678:INR1", "bus 1 device 2", "", "")]


class TestDrivers:
    def test_each_with_its_evidence(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["drivers", "--json"]) == 0
        offers = {offer["name"]: offer for offer in map(json.loads, capsys.readouterr().out.splitlines())}
        assert offers["astm"]["transports"] == ["serial", "tcp"]
        assert offers["poct1a"]["confirmed_by"] == "caller"
        assert "no INR meter was tested" in offers["ieee11073"]["evidence"]
        assert set(offers["poct1a"]["profiles"]) == {"coag_sense_pt2", "coaguchek_poct1a"}

    def test_a_broken_one_with_the_reason(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        information = tmp_path / "broken_meters-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-meters\nVersion: 1.0\n")
        (information / "entry_points.txt").write_text("[inr_gateway.drivers]\nbroken = not_there:Driver\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        assert main(["drivers"]) == 0
        text = " ".join(capsys.readouterr().out.split())
        assert "broken not usable driver 'broken' of broken-meters cannot be loaded" in text
        assert "astm what ASTM E1394 records" in text

    @pytest.mark.parametrize("offer", registry.available(), ids=lambda offer: str(offer.name))
    def test_one_with_its_checklist(self, offer: registry.Offer, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["drivers", offer.name]) == 0
        said = capsys.readouterr().out
        assert said.startswith(f"{offer.name}\n  what ")
        _, heading, checklist = said.partition("\nChecklist (")
        assert heading
        rows = checklist.split("==\n")[1:-1]
        assert len(rows[-1].splitlines()) > 3
        assert all(RESTS_ON.search(row) for row in rows[-1].splitlines()[:-1]), rows
        assert main(["drivers", offer.name, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["checklist"] == f"Checklist ({checklist}".rstrip()

    def test_none_of_that_name(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["drivers", "none"]) == 2
        assert "no driver 'none' is installed" in capsys.readouterr().err


class TestSightings:
    def test_serial_ports_by_their_own_identity(self) -> None:
        assert [(each.address, each.place) for each in SEEN[:4]] == [
            ("/dev/ttyS9", "/dev/ttyS9"),
            ("usb:0403:6001:FT1", "/dev/ttyUSB0"),
            ("usb:0403:6001:FT2", "/dev/ttyUSB1"),
            ("usb:10c4:ea60", "/dev/ttyUSB2"),
        ]
        assert SEEN[1].text == "FTDI FT232R"
        assert "no serial number" in SEEN[3].remark

    def test_health_devices_on_the_usb(self) -> None:
        (seen,) = phdc_devices(Bus(meter()))
        assert seen.kind == "usb"
        assert seen.address.startswith("phdc:")
        assert "0x1012" in seen.remark
        assert there("phdc:", [seen]) == there(seen.address, [seen]) == [seen]

    @pytest.mark.parametrize(
        ("address", "places"),
        [
            ("usb:0403:6001:FT2", ["/dev/ttyUSB1"]),
            ("usb:10C4:EA60", ["/dev/ttyUSB2"]),
            ("usb:0403:6001", ["/dev/ttyUSB0", "/dev/ttyUSB1"]),
            ("/dev/ttyS9", ["/dev/ttyS9"]),
            ("phdc:", ["bus 1 device 2"]),
            ("phdc:1234:5678:INR1", ["bus 1 device 2"]),
        ],
    )
    def test_what_an_address_names(self, address: str, places: list[str]) -> None:
        assert [each.place for each in there(address, SEEN)] == places

    @pytest.mark.parametrize(
        ("address", "reason"),
        [
            ("usb:0403:6001:FT3", TransportReason.NOT_FOUND),
            ("phdc:1234:5678:INR2", TransportReason.NOT_FOUND),
            ("/dev/serial/by-id/none", TransportReason.NOT_FOUND),
            ("tcp://192.0.2.1:4001", TransportReason.MISCONFIGURED),
            ("tcp-listen://:4001", TransportReason.MISCONFIGURED),
            ("rfc2217://192.0.2.1:4001", TransportReason.MISCONFIGURED),
            ("replay:meter.capture", TransportReason.MISCONFIGURED),
        ],
    )
    def test_what_is_not_there(self, address: str, reason: TransportReason) -> None:
        with pytest.raises(TransportError) as raised:
            there(address, SEEN)
        assert raised.value.reason is reason
        assert address in str(raised.value)


def configuration(folder: Path, *attachments: tuple[str, ...]) -> Path:
    """A hub.toml. Args: attachments: name, address, driver, and maybe profile."""
    path = folder / "hub.toml"
    sections = ""
    for name, address, driver, *profile in attachments:
        sections += f'[[attachment]]\nname = "{name}"\naddress = "{address}"\ndriver = "{driver}"\n'
        sections += "".join(f'profile = "{each}"\n' for each in profile)
    path.write_text(f'[hub]\nid = "h"\nzone = "UTC"\njournal = "j.db"\n{sections}')
    return path


class TestMeters:
    @pytest.fixture(autouse=True)
    def _seen(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(registry, "serial_ports", lambda: SEEN[:4])
        monkeypatch.setattr(registry, "phdc_devices", lambda: SEEN[4:])

    def test_without_a_configuration(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["meters"]) == 0
        text = capsys.readouterr().out
        assert "usb:0403:6001:FT1" in text
        assert "phdc:1234:5678:INR1" in text
        assert "no attachment" not in text

    def test_what_matches_and_why_not(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = configuration(
            tmp_path,
            ("kitchen", "usb:0403:6001:FT1", "astm"),
            ("gone", "usb:0403:6001:FT7", "astm"),
            ("vague", "usb:0403:6001", "astm"),
            ("wifi", "tcp-listen://:5050", "poct1a"),
            ("wrong", "phdc:", "astm"),
            ("unknown", "/dev/ttyS9", "nothing"),
        )
        assert main(["meters", "--config", str(path)]) == 0
        devices, ports = capsys.readouterr().out.split("\n\n")
        assert "kitchen, vague" in next(line for line in devices.splitlines() if "FT1" in line)
        assert "no attachment names it" in next(line for line in devices.splitlines() if "10c4" in line)
        said = {line.split()[0]: line for line in ports.splitlines()}
        assert said["kitchen"].endswith("plugged in: /dev/ttyUSB0")
        assert "there is usb:0403:6001:FT1 with another serial number" in said["gone"]
        assert "names several devices (/dev/ttyUSB0, /dev/ttyUSB1)" in said["vague"]
        assert said["wifi"].endswith("meters dial in there; --dialling waits for one")
        assert "driver astm is made for serial, tcp, not for usb" in said["wrong"]
        assert "no driver 'nothing'" in said["unknown"]

    def test_a_health_device_that_measures_something_else(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        oximeter = Sighting("usb", "phdc:1234:5678:OX", "bus 1 device 3", "", "", (0x1004,))
        monkeypatch.setattr(registry, "phdc_devices", lambda: [oximeter])
        path = configuration(tmp_path, ("meter", "phdc:", "ieee11073"))
        assert main(["meters", "--config", str(path)]) == 0
        said = capsys.readouterr().out
        assert "says that it is a 0x1004; the profile reads 0x1012" in said
        assert "no attachment names it" in next(line for line in said.splitlines() if "phdc:1234:5678:OX" in line)

    def test_without_libusb_the_serial_ports_are_still_listed(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def fails() -> list[Sighting]:
            raise TransportError("libusb is not installed", TransportReason.MISSING_LIBRARY)

        monkeypatch.setattr(registry, "phdc_devices", fails)
        assert main(["meters"]) == 0
        captured = capsys.readouterr()
        assert "FT1" in captured.out
        assert "libusb is not installed" in captured.err

    def test_a_configuration_that_cannot_be_used(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["meters", "--config", str(tmp_path / "none.toml")]) == 2
        assert "no such file" in capsys.readouterr().err


class TestDialling:
    """Meters that come over the network."""

    @pytest.fixture(autouse=True)
    def _nothing_else(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(registry, "serial_ports", list)
        monkeypatch.setattr(registry, "phdc_devices", list)

    @staticmethod
    def free_port() -> int:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port: int = taken.getsockname()[1]
        return port

    def said(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], port: int, *driver: str, seconds: str = "0.2"
    ) -> str:
        path = configuration(tmp_path, ("wifi", f"tcp-listen://127.0.0.1:{port}", *driver))
        assert main(["meters", "--dialling", "--config", str(path), "--seconds", seconds]) == 0
        return capsys.readouterr().out.splitlines()[-1]

    def test_a_meter_is_heard_out_and_keeps_everything(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        port, stop = self.free_port(), threading.Event()
        meter = Instrument(five_weeks(date(2026, 3, 14)), PT2, Ledger(), redial_s=0.05)
        mount = Dialer("127.0.0.1", port)
        at_work = threading.Thread(target=meter.run, args=(mount, stop))
        at_work.start()
        try:
            said = self.said(tmp_path, capsys, port, "poct1a", "coag_sense_pt2", seconds="20")
        finally:
            stop.set()
            at_work.join()
        assert "dialled in and speaks poct1a: ACME HomeINR SN000123" in said
        assert meter.delivered == ()

    def test_what_another_program_says(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        port = self.free_port()
        stop = threading.Event()

        def dial() -> None:
            while not stop.is_set():
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
                    connection.sendall(b"GET / HTTP/1.1\r\n\r\n" + b"\0" * 100)
                    connection.recv(1)

        at_work = threading.Thread(target=dial)
        at_work.start()
        try:
            said = self.said(tmp_path, capsys, port, "ieee11073", seconds="20")
        finally:
            stop.set()
            at_work.join()
        assert "dialled in and says what driver ieee11073 does not understand" in said

    def test_nobody_comes(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert "no meter dialled tcp-listen://" in self.said(
            tmp_path, capsys, self.free_port(), "astm", "sysmex_cs"
        )

    def test_somebody_else_listens(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            said = self.said(tmp_path, capsys, taken.getsockname()[1], "astm", "sysmex_cs")
        assert "if that is the hub, its log says who dials in" in said

    def test_a_profile_that_cannot_be_used(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert "needs a profile" in self.said(tmp_path, capsys, self.free_port(), "astm")
