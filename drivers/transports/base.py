"""What a transport is: it moves octets between the hub and one meter, and nothing else.

All calls block; one thread reads and writes. Errors are `drivers.errors.TransportError`, whose message names the
port and the remedy.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from drivers.errors import DriverError

__all__ = ["Listener", "Transport"]


class _Closing(ABC):
    """A context manager; leaving it closes it."""

    @abstractmethod
    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Transport(_Closing):
    """An open connection to one meter.

    Attributes:
        kind: ``serial``, ``tcp``, ``usb``, ``ble`` or ``replay``.
        peer: the port or far end as a person would name it.
    """

    kind: str
    peer: str

    @abstractmethod
    def read(self, max_octets: int, timeout_s: float) -> bytes:
        """Wait for octets.

        Returns:
            One octet or more as soon as there are any, or none when the time is over.

        Raises:
            TransportError: the connection is gone; what had arrived before was returned before.
        """

    @abstractmethod
    def write(self, octets: bytes) -> None:
        """Hand all octets to the operating system.

        Raises:
            TransportError: the connection is gone, or the far end does not take them.
        """

    @abstractmethod
    def close(self) -> None:
        """End the connection. May be called again, and by another thread while one reads: that read ends."""


class Listener(_Closing):
    """A place to which meters connect by themselves.

    Attributes:
        address: where it listens, with the port that was really chosen.
        refused: connections that were closed at once because too many were open.
        troubles: what keeps it from its work just now although it goes on trying; each names the remedy.
    """

    address: str
    refused: int
    troubles: tuple[DriverError, ...] = ()

    @abstractmethod
    def accept(self, timeout_s: float) -> Transport | None:
        """Wait for the next meter; None when the time is over.

        Raises:
            TransportError: the listener was closed.
        """

    def concluded(self, transport: Transport, *, done: bool) -> None:
        """The conversation over a transport from `accept` is over.

        Args:
            transport: that one; it is closed.
            done: everything was read, so there is no reason to speak with this meter again at once.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop listening; connections that are open stay so."""
