"""``inr-gateway drivers`` and ``meters``: what is supported, what is there, and what a port of the hub is."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from drivers import registry
from drivers.errors import TransportError, TransportReason
from drivers.transports.sightings import Sighting, phdc_devices, serial_ports, there
from gateway.cli.main import main
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
        path = tmp_path / "hub.toml"
        sections = "".join(
            f'[[attachment]]\nname = "{name}"\naddress = "{address}"\ndriver = "{driver}"\n'
            for name, address, driver in (
                ("kitchen", "usb:0403:6001:FT1", "astm"),
                ("gone", "usb:0403:6001:FT7", "astm"),
                ("vague", "usb:0403:6001", "astm"),
                ("wifi", "tcp-listen://:5050", "poct1a"),
                ("wrong", "phdc:", "astm"),
                ("unknown", "/dev/ttyS9", "nothing"),
            )
        )
        path.write_text(f'[hub]\nid = "h"\nzone = "UTC"\njournal = "j.db"\n{sections}')
        assert main(["meters", "--config", str(path)]) == 0
        devices, ports = capsys.readouterr().out.split("\n\n")
        assert "kitchen, vague" in next(line for line in devices.splitlines() if "FT1" in line)
        assert "no attachment names it" in next(line for line in devices.splitlines() if "10c4" in line)
        said = {line.split()[0]: line for line in ports.splitlines()}
        assert said["kitchen"].endswith("plugged in: /dev/ttyUSB0")
        assert "there is usb:0403:6001:FT1 with another serial number" in said["gone"]
        assert "names several devices (/dev/ttyUSB0, /dev/ttyUSB1)" in said["vague"]
        assert "a meter on the network" in said["wifi"]
        assert "driver astm is made for serial, tcp, not for usb" in said["wrong"]
        assert "no driver 'nothing'" in said["unknown"]

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
