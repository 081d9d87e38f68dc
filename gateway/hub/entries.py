"""What goes into the journal and comes out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol
from uuid import UUID

from gateway.hub.surroundings import Stamp
from gateway.wire.reading import Origin

__all__ = ["Closing", "Contexts", "Counts", "Draft", "Line", "PastMessage", "StoredPiece", "Waiting"]

Closed = Literal["decoded", "undecodable"]


@dataclass(frozen=True, slots=True)
class Line:
    """Where a message comes from and where it may go on after a break.

    Attributes:
        port: name of the attachment.
        name: the port, and for a listener the peer's host beside it.
        driver: name of the driver.
        origin: what its readings say of themselves; only a meter's are ever reported.
    """

    port: str
    name: str
    driver: str
    origin: Origin = Origin.SIMULATOR


class Draft(Protocol):
    """A reading that lacks nothing but its name."""

    def encode(self, journal: UUID, number: int, message: int, position: int, /) -> bytes:
        """The payload under this name."""


@dataclass(frozen=True, slots=True)
class Closing:
    """What a message came to."""

    state: Closed
    meter_key: str | None
    drafts: Sequence[Draft]


@dataclass(frozen=True, slots=True)
class StoredPiece:
    """Octets of a message as they arrived.

    Attributes:
        stamp: the hub's clock when they came.
        context: they stand before the message because it needs them to be decoded.
    """

    octets: bytes
    stamp: Stamp
    context: bool = False


@dataclass(slots=True)
class Contexts:
    """What a conversation has told that its messages need to be decoded; it stands in the journal once.

    Attributes:
        pieces: in order.
        ids: of those that stand in the journal already.
    """

    pieces: list[StoredPiece] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)

    def clear(self) -> None:
        """The conversation ended; another may follow."""
        self.pieces.clear()
        self.ids.clear()


@dataclass(frozen=True, slots=True)
class Waiting:
    """A reading without a receipt."""

    number: int
    payload: bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class PastMessage:
    """The readings of an earlier message: (number, payload) in the order of the message."""

    message: int
    readings: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """How much the journal holds."""

    readings: int
    waiting: int
    open_messages: int
    rejected: int
