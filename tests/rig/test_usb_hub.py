"""A real hub process on three meters at once: FTDI and CDC-ACM through pyserial, PHDC through pyusb."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from simulators.meter import Identity, Meter, Stored
from simulators.scenario import long_use
from simulators.usb.cdc_acm import CdcAcmDevice
from simulators.usb.device import UsbDevice
from simulators.usb.ftdi import FtdiAdapter
from simulators.usb.serial_port import SerialDevice, UsbMount
from simulators.usb.vhci import Vhci
from tests.rig.meters import STORY, Instrument, astm, at_work, phdc, poct1a, results, until
from tests.unit.hub.parties import COMMAND, HubProcess
from tests.unit.mqtt.brokers import free_port

TESTS = 24
MORE = """
            again_after_s = 1
            [[attachment]]
            name = "acm"
            address = "usb:0483:5740:SN000123"
            driver = "poct1a"
            profile = "coaguchek_poct1a"
            again_after_s = 1
            [[attachment]]
            name = "phdc"
            address = "phdc:1209:0F0F:SN000123"
            driver = "ieee11073"
            profile = "ieee11073_inr"
            again_after_s = 1
"""


class Desk:
    """Three meters with a memory each, on three cables, and the hub that reads them."""

    def __init__(self, folder: Path, usb: Vhci) -> None:
        stories = [
            long_use(date(2026, 3, 14), TESTS, seed=number).model_copy(
                update={"meter": Identity(serial=f"SN{number}", capacity=500), "timers": STORY.timers}
            )
            for number in range(3)
        ]
        self.instruments: tuple[Instrument, ...] = (astm(story=stories[0]), poct1a(story=stories[1]))
        self.agent = phdc(story=stories[2])
        self.serial: tuple[SerialDevice, ...] = (FtdiAdapter(), CdcAcmDevice())
        self.devices: tuple[UsbDevice, ...] = (*self.serial, self.agent)
        self.usb = usb
        self.hub = HubProcess(folder, free_port(), address="usb:0403:6001:SN000123", more=MORE)

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Every cable is in."""
        with contextlib.ExitStack() as stack:
            for instrument, adapter in zip(self.instruments, self.serial, strict=True):
                stack.enter_context(at_work(instrument, UsbMount(adapter)))
            for device in self.devices:
                self.usb.plug(device)
            yield

    @property
    def meters(self) -> list[Meter]:
        return [*(instrument.meter for instrument in self.instruments), self.agent.agent.meter]

    @property
    def unsent(self) -> list[tuple[Stored, ...]]:
        return [*(instrument.unsent for instrument in self.instruments), self.agent.agent.deliveries.unsent]


@pytest.fixture
def desk(tmp_path: Path, kernel_usb: Vhci) -> Iterator[Desk]:
    desk = Desk(tmp_path, kernel_usb)
    try:
        with desk.at_work():
            yield desk
    finally:
        if desk.hub.process is not None:
            desk.hub.end()
        print("not sent:", [len(tests) for tests in desk.unsent])
        print(desk.hub.log)


def test_three_meters_are_listed_read_pulled_and_read_again(desk: Desk) -> None:
    hub = desk.hub
    hub.start()
    until(lambda: not any(desk.unsent), "three memories read", 20)
    listed = subprocess.run(
        [*COMMAND, "meters", "--config", str(hub.configuration)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout
    for address, name in (
        ("usb:0403:6001:SN000123", "meter"),
        ("usb:0483:5740:SN000123", "acm"),
        ("phdc:1209:0f0f:SN000123", "phdc"),
    ):
        assert any({address, name} <= set(line.split()) for line in listed.splitlines()), listed
    assert listed.count("plugged in: ") == 3

    for device in desk.devices:
        desk.usb.unplug(device)
    last = STORY.memory[-1]
    for meter in desk.meters:
        meter.make(last.model_copy(update={"at": last.at + timedelta(days=7), "inr": "3.3"}))
    desk.agent.wake()
    for device in reversed(desk.devices):
        desk.usb.plug(device)
    until(lambda: not any(desk.unsent), "three new tests read", 15)
    until(lambda: len(results(desk.hub.journal)) == 3 * (TESTS + 1), "everything decoded")
    assert set(results(desk.hub.journal).values()) == {1}
    assert hub.end(signal.SIGTERM) == 0
    assert "Traceback" not in hub.log


def test_killed_while_it_reads_nothing_is_lost(desk: Desk) -> None:
    kills = 0
    for stop_at in (4, 20):
        desk.hub.start()
        until(lambda: sum(map(len, desk.unsent)) <= 3 * TESTS - stop_at, "some tests read")  # noqa: B023
        assert any(desk.unsent)
        desk.hub.end()
        kills += 1
    desk.hub.start()
    until(lambda: not any(desk.unsent), "three memories read", 20)
    until(lambda: len(results(desk.hub.journal)) == 3 * TESTS, "everything decoded")
    # What was on disk when the meter had no answer yet comes again: one message of each meter at each kill.
    assert results(desk.hub.journal).total() <= 3 * TESTS + 3 * kills * 2
