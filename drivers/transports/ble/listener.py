"""Waits for meters that advertise, and connects to each at once: many show themselves for 30 s after a test."""

from __future__ import annotations

import contextlib
import logging
import queue
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from drivers.contract import Advertisement, Security
from drivers.errors import DriverError, PairingError, PairingReason, TransportError, TransportReason
from drivers.protocols.gatt import Disconnect, Frame
from drivers.transports.base import Listener, Transport
from drivers.transports.ble.errors import bond_lost, bond_probably_lost
from drivers.transports.ble.link import Connection
from drivers.transports.ble.radio import Radio
from drivers.transports.ble.scanner import Heard, Timing
from drivers.transports.ble.sharing import borrowed, give_back
from drivers.transports.ble.transport import BleTransport, Mailbox
from drivers.transports.ble.trust import Trust

__all__ = ["BleListener", "meter_address"]

_WORD: Final = re.compile(r"ble:([a-z][a-z0-9_-]*)?")
_ADDRESS: Final = re.compile(
    r"ble:([0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})"
)
AWAY_S: Final = 25.0
"""Not heard for two of BlueZ's scan periods: the meter was away, and has come again with something to say."""
SETTLE_S: Final = 0.5
"""After a connection BlueZ speaks of the device although it has not heard it."""
LONGEST_S: Final = 300.0
"""Most between two failed contacts with a meter that goes on advertising."""
DOUBTFUL: Final = 5
"""A bonded meter that drops the link so often in a row before it says anything has probably lost its keys: BlueZ
often gives no reason (bluez issue 433)."""
FORGET_S: Final = 600.0
"""What was said of a meter that is heard no more is no trouble any more."""
MAX_METERS: Final = 64
"""Meters that are remembered; one that changes its address each quarter of an hour must not fill the memory."""

_log = logging.getLogger(__name__)


def meter_address(address: str) -> str | None:
    """The one meter that an address names, upper case; None for any.

    Raises:
        TransportError: MISCONFIGURED.
    """
    if found := _ADDRESS.fullmatch(address):
        return found.group(1).upper()
    if _WORD.fullmatch(address):
        return None
    raise TransportError(
        f"{address}: write ble:ghs for any meter of the driver's kind, or ble:AA:BB:CC:DD:EE:FF for one meter",
        TransportReason.MISCONFIGURED,
    )


@dataclass(slots=True)
class _Meter:
    """What is known of one meter; times of the monotonic clock."""

    heard_s: float = float("-inf")
    ended_s: float = float("-inf")
    not_before_s: float = float("-inf")
    failures: int = 0
    silent: int = 0
    """Links in a row in which the meter said nothing."""
    busy: bool = False
    bonded: bool = False
    trouble: DriverError | None = None


class BleListener(Listener):
    """Waits for meters at an address like ``ble:ghs``.

    Args:
        address: see `drivers.transports.ble`.
        recognises: see `drivers.contract.Driver.recognises`.
        security: see `drivers.contract.Driver.security`.
        bonds: file of the meters that were paired with this hub; needed for the security ``authenticated``.
        max_connections: most meters at once.
        again_after_s: pause after everything was read, for a meter that goes on advertising.
        radio: whose ears; None: the hub's, which all listeners of a process share.
        timing: of the hub's radio, when this is its first listener.

    Raises:
        TransportError: MISCONFIGURED, or MISSING_LIBRARY.
    """

    def __init__(
        self,
        address: str,
        *,
        recognises: Callable[[Advertisement], bool],
        security: Security = "authenticated",
        bonds: Path | None = None,
        max_connections: int = 8,
        again_after_s: float = 300.0,
        radio: Radio | None = None,
        timing: Timing | None = None,
    ) -> None:
        self.address = address
        self.refused = 0
        self._one = meter_address(address)
        self._recognises = recognises
        self._trust = Trust(security, bonds, one_meter=self._one is not None)
        self._max = max_connections
        self._again_after_s = again_after_s
        self._meters: dict[str, _Meter] = {}
        self._open = 0
        self._ready: queue.SimpleQueue[BleTransport] = queue.SimpleQueue()
        self._closed = False
        self._handing = threading.Lock()
        self._own = radio is None
        self._radio = borrowed(timing) if radio is None else radio
        self._radio.add(self)
        self._radio.wait_until_tried(1.0)

    @property
    def troubles(self) -> tuple[DriverError, ...]:  # type: ignore[override]  # computed here, an attribute elsewhere
        """What keeps it from its work now."""
        now_s = time.monotonic()
        of_meters = [
            meter.trouble
            for meter in list(self._meters.values())
            if meter.trouble is not None and now_s - max(meter.heard_s, meter.ended_s) < FORGET_S
        ]
        general = [each for each in (self._radio.trouble, self._trust.problem) if each is not None]
        return tuple({str(each): each for each in general + of_meters}.values())

    def accept(self, timeout_s: float) -> Transport | None:
        """Wait for the next meter."""
        if self._closed:
            raise TransportError(f"{self.address}: the listener was closed", TransportReason.CLOSED)
        with contextlib.suppress(queue.Empty):
            return self._ready.get(timeout=timeout_s)
        return None

    def concluded(self, transport: Transport, *, done: bool) -> None:
        """The conversation is over."""
        address = transport.peer.removeprefix("ble:")
        self._radio.post(lambda: self._concluded(address, done=done))

    def close(self) -> None:
        """Stop listening."""
        with self._handing:
            if self._closed:
                return
            self._closed = True
        self._radio.remove(self)
        with contextlib.suppress(queue.Empty):
            while True:
                self._ready.get_nowait().close()
        if self._own:
            give_back(self._radio)

    # ---------------------------------------------------------------- in the radio's loop

    def heard(self, heard: Heard) -> None:
        """An advertisement: connect if this meter is ours and it is time to."""
        address = heard.advertisement.address
        if self._closed or not self._is_wanted(heard):
            return
        now_s = time.monotonic()
        meter = self._meter(address)
        if meter.busy or (heard.connected and not heard.left_over) or now_s < meter.ended_s + SETTLE_S:
            return
        came_back = now_s - meter.heard_s >= AWAY_S
        meter.heard_s = now_s
        meter.bonded = self._trust.is_bonded(heard)
        if (objection := self._trust.objection(heard)) is not None:
            meter.trouble = objection
            return
        if meter.trouble is not None and meter.trouble.reason is not PairingReason.BOND_LOST:
            meter.trouble = None  # what the meter itself has shown is forgotten when it has shown the contrary
        if not came_back and now_s < meter.not_before_s:
            return
        if self._open < self._max and self._radio.claim(address):
            meter.busy = True
            self._open += 1
            self._radio.spawn(self._contact(heard, meter))

    def wanted_to_pair(self, address: str) -> None:
        """A meter asked for a pairing and was refused: if it was bonded, it has lost its keys."""
        meter = self._meters.get(address)
        if meter is not None and meter.bonded:
            meter.trouble = bond_lost(address)

    async def _contact(self, heard: Heard, meter: _Meter) -> None:
        address = heard.advertisement.address
        mailbox = Mailbox()
        connection = Connection(heard, mailbox)
        try:
            try:
                await connection.open()
            except DriverError as error:
                _log.info("%s", error)
                self._failed(meter, error)
                meter.silent += connection.aborted
                self._doubt(address, meter)
                return
            self._hand_out(connection, mailbox)
            await connection.serve()
            meter.silent = 0 if mailbox.useful else meter.silent + 1
            if connection.refused:
                meter.trouble = bond_lost(address)
            elif mailbox.useful:
                meter.trouble = None
            self._doubt(address, meter)
        finally:
            self._radio.release(address)
            self._open -= 1
            meter.busy = False
            meter.heard_s = meter.ended_s = time.monotonic()
            meter.not_before_s = max(meter.not_before_s, meter.ended_s + self._radio.timing.retry_s)

    def _hand_out(self, connection: Connection, mailbox: Mailbox) -> None:
        with self._handing:
            if self._closed:
                connection.post(Disconnect())
                return
            # The connection keeps the radio, for it may outlive this listener.
            on_close = partial(give_back, borrowed()) if self._own else lambda: None
            post = partial(self._post, connection)
            self._ready.put(BleTransport(connection.address, mailbox, post, on_close))

    def _doubt(self, address: str, meter: _Meter) -> None:
        if meter.bonded and meter.silent >= DOUBTFUL and meter.trouble is None:
            meter.trouble = bond_probably_lost(address)

    def _post(self, connection: Connection, frame: Frame) -> None:
        self._radio.post(lambda: connection.post(frame))

    def _failed(self, meter: _Meter, error: DriverError) -> None:
        meter.failures += 1
        if isinstance(error, PairingError):
            meter.trouble = error
        delay_s = min(self._radio.timing.retry_s * 2 ** min(meter.failures - 1, 16), LONGEST_S)
        meter.not_before_s = time.monotonic() + delay_s

    def _concluded(self, address: str, *, done: bool) -> None:
        meter = self._meters.get(address)
        if meter is None:
            return
        if done:
            meter.failures = meter.silent = 0
            meter.trouble = None
            meter.not_before_s = time.monotonic() + self._again_after_s
        else:
            self._failed(meter, TransportError("the conversation did not come to its end", TransportReason.CLOSED))

    # ---------------------------------------------------------------- whose meter it is

    def _is_wanted(self, heard: Heard) -> bool:
        if self._one is not None and self._one != heard.advertisement.address:
            return False
        try:
            return self._recognises(heard.advertisement)
        except Exception as error:  # a driver's fault must not end the scan for others
            _log.error("%s: the driver failed with an advertisement: %s", self.address, type(error).__name__)
            return False

    def _meter(self, address: str) -> _Meter:
        meter = self._meters.get(address)
        if meter is None:
            if len(self._meters) >= MAX_METERS:
                idle = [key for key, each in self._meters.items() if not each.busy]
                oldest = min(idle, key=lambda key: self._meters[key].heard_s, default=None)
                if oldest is not None:
                    del self._meters[oldest]
            meter = self._meters[address] = _Meter()
        return meter
