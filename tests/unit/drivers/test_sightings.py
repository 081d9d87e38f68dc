"""What is plugged in: names that stay, while devices come and go."""

from __future__ import annotations

from pathlib import Path

import pytest
from serial.tools.list_ports_common import ListPortInfo

from drivers.transports import sightings


def test_a_port_without_usb_is_named_by_the_link_that_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "by-id"
    monkeypatch.setattr(sightings, "_BY_ID", folder)
    port = ListPortInfo(str(tmp_path / "ttyS7"))

    def address() -> str:
        (seen,) = sightings.serial_ports(lambda: [port])
        return seen.address

    assert address() == port.device  # the folder is there only while there are links
    folder.mkdir()
    assert address() == port.device
    (folder / "meter").symlink_to(port.device)
    assert address() == str(folder / "meter")
