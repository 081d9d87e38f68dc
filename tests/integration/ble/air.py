"""A fake BlueZ in a thread of its own, with simulated meters in its range."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

from simulators.ble.bluez import FakeBlueZ
from simulators.ble.direct import Direct, Far
from simulators.ble.instrument import Instrument
from simulators.ble.scenario import BleScenario
from simulators.ledger import Ledger

__all__ = ["Air", "meter", "until"]

T = TypeVar("T")


def meter(**scenario: Any) -> Instrument:
    return Instrument(BleScenario.model_validate(scenario), Ledger())


def until(condition: Callable[[], T | None], timeout_s: float = 10.0, what: str = "") -> T:
    deadline_s = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline_s, f"waited {timeout_s:g} s for {what or condition}"
        time.sleep(0.01)
    return value


class Air:
    """`do` runs something in the fake's loop and waits; `bluez` may be looked at from anywhere."""

    def __init__(self, bus_address: str) -> None:
        self._address = bus_address
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="air", daemon=True)
        self._thread.start()
        self.meters: list[Direct] = []
        self.bluez = self.call(self._made)

    async def _made(self) -> FakeBlueZ:
        return FakeBlueZ([])

    def start(self) -> None:
        self.do(self.bluez.start(self._address))

    def stop(self, *, is_crash: bool = False) -> None:
        self.do(self.bluez.stop(is_crash=is_crash))

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def call(self, what: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return self.do(what())

    def sync(self, what: Callable[[], T]) -> T:
        """Run a plain function in the fake's loop."""

        async def run() -> T:
            return what()

        return self.do(run())

    def add(self, instrument: Instrument, *, bonded: bool = False, authenticated: bool = True) -> Direct:
        def put() -> Direct:
            far = Direct(instrument)
            if bonded:
                self.bluez.bonds.add(far.identity)
                instrument.bonds[self.bluez.address] = authenticated
            self.bluez.fars.append(cast(Far, far))
            self.meters.append(far)
            return far

        return self.sync(put)

    def called(self, member: str) -> int:
        return sum(name == member for name, _ in list(self.bluez.calls))
