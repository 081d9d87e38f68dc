"""The thread that owns bleak, from one life of BlueZ to the next.

A life is one event loop: a connection to D-Bus, our agent, a scan, connections to meters. When BlueZ or D-Bus goes
away everything in it ends, and the next life begins with a new loop, because bleak would go on believing what the
old BlueZ had said (it keeps its picture for each loop).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol, TypeVar

from drivers.errors import DriverError
from drivers.transports.ble.agent import Agent, Person
from drivers.transports.ble.bluez import BlueZ, DBusError
from drivers.transports.ble.errors import explained, missing_library, not_running
from drivers.transports.ble.scanner import Heard, Scanner, Timing, connected

__all__ = ["Ear", "Radio"]

T = TypeVar("T")

STOP_S: Final = 8.0

_log = logging.getLogger(__name__)


class Ear(Protocol):
    """Who listens. All calls come in the radio's loop and must not block."""

    def heard(self, heard: Heard) -> None:
        """An advertisement."""

    def wanted_to_pair(self, address: str) -> None:
        """A device asked for a pairing and was refused."""


class Radio:
    """All Bluetooth of one purpose: the hub's, where nobody answers questions, or a command's, with a person."""

    def __init__(self, person: Person | None = None, timing: Timing | None = None) -> None:
        """Args: person: answers BlueZ's questions; None: they are answered with no."""
        self.timing = timing or Timing()
        self.agent = Agent(person)
        self.agent.on_refused = self._wanted_to_pair
        self.bluez: BlueZ | None = None
        """In the radio's loop only: the connection of this life."""
        self.trouble: DriverError | None = None
        """Why nothing is heard, or None."""
        self._ears: list[Ear] = []
        self._claimed: set[str] = set()
        self._work: set[asyncio.Task[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Event | None = None
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._tried = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bluetooth", daemon=True)

    def start(self) -> None:
        """Start the thread; returns at once.

        Raises:
            TransportError: bleak or dbus-fast is not installed.
        """
        try:
            import bleak  # noqa: F401  (asked for here, so that the answer comes where it can be told)

            if sys.platform == "linux":
                import dbus_fast  # noqa: F401
        except ImportError as error:
            raise missing_library(error) from error
        self._thread.start()

    def stop(self) -> None:
        """End all connections and the thread."""
        self._stopping.set()
        with self._lock:
            if self._loop is not None and self._wake is not None:
                self._loop.call_soon_threadsafe(self._wake.set)
        self._thread.join(STOP_S)

    def add(self, ear: Ear) -> None:
        """Let somebody listen; from any thread."""
        with self._lock:
            self._ears = [*self._ears, ear]

    def remove(self, ear: Ear) -> None:
        """The contrary."""
        with self._lock:
            self._ears = [each for each in self._ears if each is not ear]

    def wait_until_tried(self, timeout_s: float) -> None:
        """Wait until the first scan runs, or cannot."""
        self._tried.wait(timeout_s)

    def post(self, what: Callable[[], object]) -> None:
        """Have something done in the loop; between two lives it is forgotten."""
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(what)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """In the loop: run something that ends with this life."""
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._worked)

    def claim(self, address: str) -> bool:
        """In the loop: whether no other ear speaks with this meter; from now on this one does."""
        free = address not in self._claimed
        self._claimed.add(address)
        return free

    def release(self, address: str) -> None:
        """In the loop: it does no more."""
        self._claimed.discard(address)

    def call(self, work: Callable[[], Coroutine[Any, Any, T]], timeout_s: float) -> T:
        """From another thread: run something and wait for what it gives.

        Raises:
            DriverError: the radio does not work, or what the work raises.
            TimeoutError: it takes longer.
        """
        with self._lock:
            loop = self._loop
            if loop is None:
                raise self.trouble or not_running()
            future = asyncio.run_coroutine_threadsafe(work(), loop)
        try:
            return future.result(timeout_s)
        except BaseException:
            future.cancel()
            raise

    # ---------------------------------------------------------------- one life after the other

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                with asyncio.Runner() as runner:
                    runner.run(self._life())
                failures = 0
            except DriverError as error:
                failures += 1
                self._tell(error)
            except Exception as error:
                failures += 1
                _log.error("Bluetooth: %s; it is started again", type(error).__name__, exc_info=error)
                self._tell(explained(error, "Bluetooth"))
            self._stopping.wait(self.timing.pause_s(max(failures, 1)))

    async def _life(self) -> None:
        wake = asyncio.Event()
        with self._lock:
            self._loop, self._wake = asyncio.get_running_loop(), wake
        bluez = None
        try:
            if self._stopping.is_set():
                return
            if sys.platform == "linux":
                bluez = await BlueZ.opened()
                if not await self._running(bluez, wake):
                    return
                await self._register(bluez)
                for heard in await connected(bluez):
                    self._heard(heard)
            self.bluez = bluez
            scanner = Scanner(bluez, self._heard, self._tell, self.timing)
            await self._until(wake, bluez, asyncio.create_task(scanner.run()))
        finally:
            with self._lock:
                self._loop = self._wake = None
            self.bluez = None
            await self._end(bluez)

    async def _running(self, bluez: BlueZ, wake: asyncio.Event) -> bool:
        if not bluez.running.is_set():
            self._tell(not_running())
            await self._until(wake, bluez, asyncio.create_task(bluez.running.wait()))
        return bluez.running.is_set() and not wake.is_set()

    async def _register(self, bluez: BlueZ) -> None:
        try:
            await self.agent.register(bluez)
        except DBusError as error:
            raise explained(error, "Bluetooth") from error

    async def _until(self, wake: asyncio.Event, bluez: BlueZ | None, main: asyncio.Task[Any]) -> None:
        """Until the work is done, BlueZ is gone, or the radio is to stop."""
        others = [asyncio.create_task(wake.wait())]
        if bluez is not None:
            others.append(asyncio.create_task(bluez.gone.wait()))
        try:
            await asyncio.wait({main, *others}, return_when=asyncio.FIRST_COMPLETED)
            if main.done():
                main.result()
            elif bluez is not None and bluez.gone.is_set():
                self._tell(not_running())
        finally:
            for task in (main, *others):
                task.cancel()
            await asyncio.gather(main, *others, return_exceptions=True)

    async def _end(self, bluez: BlueZ | None) -> None:
        for task in list(self._work):
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        if bluez is not None:
            await bluez.close()
        await _close_bleak()

    # ---------------------------------------------------------------- what is heard

    def _heard(self, heard: Heard) -> None:
        for ear in self._ears:
            ear.heard(heard)

    def _wanted_to_pair(self, address: str) -> None:
        for ear in self._ears:
            ear.wanted_to_pair(address)

    def _tell(self, trouble: DriverError | None) -> None:
        self.trouble = trouble
        self._tried.set()

    def _worked(self, task: asyncio.Task[Any]) -> None:
        self._work.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("Bluetooth: %s", type(error).__name__, exc_info=error)


async def _close_bleak() -> None:
    """Close the D-Bus connection that bleak keeps for this loop; it would do so only when the next one needs it."""
    if sys.platform != "linux":
        return
    from bleak.backends.bluezdbus import manager

    instances = manager._global_instances  # noqa: SLF001  (bleak has no public way to close it)
    mine = instances.pop(asyncio.get_running_loop(), None)
    bus, watcher = getattr(mine, "_bus", None), getattr(mine, "_bus_watcher_task", None)
    if watcher is not None:  # it would call this end a loss
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)
    if bus is not None:
        with contextlib.suppress(Exception):
            bus.disconnect()
        await asyncio.sleep(0)  # it closes its socket in the loop
