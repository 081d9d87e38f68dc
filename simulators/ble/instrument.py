"""The whole Bluetooth meter: memory, sensor, ledger, who it is on the air, and the person who holds it."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable
from datetime import datetime

from simulators.ble import table
from simulators.ble.dialect import FaultKind
from simulators.ble.elapsed import Elapsed
from simulators.ble.records import Records
from simulators.ble.scenario import BleScenario
from simulators.ble.sensor import Sensor
from simulators.ieee11073.instrument import present_of
from simulators.ledger import Ledger
from simulators.meter import Entry, Meter, Stored

__all__ = ["Instrument", "Person"]


class Person:
    """Who holds the meter during pairing: reads its display, presses its keys, compares numbers.

    Attributes:
        shown: the passkey or number on the meter's display, while and after it is shown.
        told: the passkey that the hub shows, to be typed into the meter; set by whoever reads the hub's screen.
        agrees: what the person answers when the two numbers are to be compared.
    """

    def __init__(self) -> None:
        self.shown: int | None = None
        self.told: asyncio.Queue[int] = asyncio.Queue()
        self.agrees = True

    async def sees(self, passkey: int) -> None:
        """The meter shows a passkey."""
        self.shown = passkey

    async def types(self) -> int:
        """The passkey that is typed into the meter."""
        return await self.told.get()

    async def compares(self, number: int) -> bool:
        """Whether the number on the meter is confirmed."""
        self.shown = number
        return self.agrees


class Instrument:
    """A simulated meter that can be put on the air by `simulators.ble.peripheral` or `simulators.ble.direct`.

    Attributes:
        is_advertising: whether it can be found at all.
        woken: called when it begins to advertise again, because a test was made.
        bonds: hosts it is bonded with, by address: whether they were authenticated.

    Raises:
        LedgerError: the ledger belongs to another meter or another memory.
    """

    def __init__(self, scenario: BleScenario, ledger: Ledger, person: Person | None = None) -> None:
        self.meter = Meter(scenario.meter, scenario.clock, scenario.memory)
        self.records = Records(self.meter, ledger)
        self.security = scenario.security
        self.person = person or Person()
        self._present = present_of(scenario.starts)
        elapsed = Elapsed(self.meter, scenario.dialect, self._present)
        self.sensor = Sensor(
            scenario.meter, self.records, elapsed, scenario.dialect, scenario.security, scenario.faults
        )
        radio, serial = scenario.radio, scenario.meter.serial
        self.address = radio.address or _static_address(scenario.meter.vendor + "\0" + serial)
        self.name = radio.name or f"{scenario.meter.model} {serial[-4:]}"
        self.mtu = scenario.dialect.mtu
        self.service_data = table.advertised(radio, scenario.dialect)
        self.is_private = radio.private
        self.awake_s = radio.awake_s
        self.is_advertising = True
        self.woken: Callable[[], object] = lambda: None
        self._awake_since_s = time.monotonic()
        self.bonds: dict[str, bool] = {}
        self._connections = 0
        self._losing = {fault.at for fault in scenario.faults if fault.kind is FaultKind.BOND_LOST}

    @property
    def present(self) -> datetime:
        """The simulated present."""
        return self._present()

    @property
    def sent(self) -> tuple[Stored, ...]:
        """Tests in the memory whose last segment the far stack confirmed."""
        return self.records.sent

    @property
    def unsent(self) -> tuple[Stored, ...]:
        """Tests in the memory whose last segment it did not."""
        return self.records.unsent

    def make(self, entry: Entry) -> Stored:
        """Do one more test: it is stored, and sent at once to a hub that listens."""
        test = self.meter.make(entry)
        self._awake_since_s = time.monotonic()
        self.sensor.made(test)
        self.woken()
        return test

    @property
    def is_found(self) -> bool:
        """Whether it advertises now."""
        is_awake = self.awake_s is None or time.monotonic() - self._awake_since_s < self.awake_s
        return self.is_advertising and is_awake

    def meets(self) -> None:
        """A connection comes up; the meter may have lost its bonds before."""
        self._connections += 1
        if self._connections in self._losing:
            self.bonds.clear()

    def passkey(self) -> int:
        """The passkey of a new pairing, 0 to 999999."""
        fixed = self.security.passkey
        return secrets.randbelow(1_000_000) if fixed is None else fixed


def _static_address(text: str) -> str:
    """Static random address (two most significant bits set), the same for the same text."""
    octets = bytearray(hashlib.sha256(text.encode()).digest()[:6])
    octets[0] |= 0xC0
    return ":".join(f"{octet:02X}" for octet in octets)
