"""One conversation with one meter from the command line, through the hub's own `Contact`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from drivers import registry
from drivers.contract import Context, Decoded, Driver, Memo, Piece, Rejected
from drivers.errors import DriverError, TransportError, TransportReason
from gateway.hub.contact import Contact, Transport

__all__ = ["Seen", "converse", "decoded", "opened"]

ACCEPT_S = 0.5


class _NotAcknowledgedError(Exception):
    """A piece came and is not to be acknowledged: the conversation ends here, without a word to the meter."""


@dataclass
class Seen:
    """What one conversation brought, in memory; takes the place of the hub's intake.

    Attributes:
        commit: has everything that arrived on disk, or raises OSError; None: nothing is acknowledged.
        on_message: called with the contexts and pieces of each whole message.
        broken: the pieces of a message without its end.
        unacknowledged: the conversation ended because a piece was not to be acknowledged.
    """

    commit: Callable[[], None] | None
    on_message: Callable[[Sequence[bytes]], None]
    broken: list[bytes] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    messages: int = 0
    unacknowledged: bool = False
    problem: OSError | None = None
    _contexts: list[bytes] = field(default_factory=list)
    _before: list[bytes] = field(default_factory=list)

    def note(self, context: Context) -> None:
        """Keep what later messages need."""
        self._contexts.append(context.octets)

    def remember(self, memo: Memo) -> None:
        """Nothing is kept for another time."""

    def take(self, piece: Piece) -> bool:
        """Have a piece on disk and show its message if it is whole. What is not to be acknowledged ends it all."""
        if self.commit is not None:
            try:
                self.commit()
            except OSError as error:
                self.problem = error
                raise _NotAcknowledgedError from error
        if piece.starts_message or not self.broken:
            self._before, self.broken = list(self._contexts), []
        self.broken.append(piece.octets)
        if piece.ends_message:
            message, self.broken = [*self._before, *self.broken], []
            self.messages += 1
            self.on_message(message)
        if self.commit is None:
            self.unacknowledged = True
            raise _NotAcknowledgedError
        return True

    def reject(self, rejected: Rejected) -> None:
        """Remember damaged octets."""
        self.rejected.append(rejected)

    def tally(self) -> int:
        """Nothing to log."""
        return 0

    def settle(self) -> None:
        """The conversation ended in order."""
        self._contexts.clear()

    def close(self) -> None:
        """The connection is over."""


class _Patient:
    """A transport that stops the conversation when the meter was silent for too long."""

    def __init__(self, transport: Transport, seconds: float, stopping: threading.Event) -> None:
        self.peer = transport.peer
        self._transport = transport
        self._seconds = seconds
        self._stopping = stopping
        self._heard_s = time.monotonic()

    def read(self, max_octets: int, timeout_s: float, /) -> bytes:
        octets = self._transport.read(max_octets, timeout_s)
        now_s = time.monotonic()
        if octets:
            self._heard_s = now_s
        elif now_s - self._heard_s >= self._seconds:
            self._stopping.set()
        return octets

    def write(self, octets: bytes, /) -> None:
        self._transport.write(octets)

    def close(self) -> None:
        self._transport.close()


def opened(address: str, driver: Driver, seconds: float, bonds: Path | None = None) -> registry.Transport:
    """Open a port; at an address to listen on, wait for the first meter.

    Args:
        address: of the port.
        driver: with its profile.
        seconds: how long to wait for a meter.
        bonds: list of the Bluetooth meters that are paired.

    Raises:
        DriverError: it cannot be opened, no meter came in time, or one came that is not paired.
    """
    if not registry.listens(address):
        return registry.open_transport(address, **driver.serial_parameters())
    with registry.listen(
        address, max_connections=1, recognises=driver.recognises, security=driver.security, bonds=bonds
    ) as listener:
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0:
            transport = listener.accept(min(left_s, ACCEPT_S))
            if transport is not None:
                return transport
        troubles = listener.troubles
    if troubles:
        raise troubles[0]
    raise TransportError(f"{address}: no meter connected within {seconds:g} s", TransportReason.TIMED_OUT)


def converse(transport: Transport, driver: Driver, seen: Seen, seconds: float | None = None) -> bool:
    """Converse until either side ends it, or the meter was silent for so long. Closes the transport.

    Returns:
        Whether the session brought it to an orderly end.
    """
    stopping = threading.Event()
    patient = transport if seconds is None else _Patient(transport, seconds, stopping)
    try:
        return Contact(transport.peer, patient, driver.session(), seen).run(stopping)
    except _NotAcknowledgedError:
        return False
    finally:
        transport.close()


def decoded(driver: Driver, pieces: Sequence[bytes]) -> Decoded | DriverError:
    """What a message says, or why it says nothing."""
    try:
        return driver.decode(pieces)
    except DriverError as error:
        return error
