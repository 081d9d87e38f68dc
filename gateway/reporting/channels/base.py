"""What a channel is: a pure renderer, and a sender that carries octets to an address and says what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from gateway.reporting.configuration import Delivery
from gateway.reporting.reportable import ReportableResult

__all__ = ["Answer", "Channel", "Level", "Outcome", "Renderer", "Sender"]

Renderer = Callable[[ReportableResult], bytes]
"""Turns a result into the octets of one report. Pure: the same input gives the same octets."""


class Outcome(StrEnum):
    """What became of one sending."""

    DELIVERED = "delivered"
    """The far end's application acknowledged this very report."""
    REFUSED = "refused"
    """The far end wants a person to change something before it is sent again."""
    POSTPONED = "postponed"
    """The far end could not take it now; sending it again later may help."""
    AMBIGUOUS = "ambiguous"
    """Octets left, but no usable answer came: it may or may not have arrived. The same octets are sent again."""
    NOT_SENT = "not_sent"
    """No octet left."""


class Level(StrEnum):
    """Evidence, weakest first. Only ``delivered`` and above prove that the provider's system has the result."""

    SENT = "sent"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    SEEN = "seen"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the far end said to one sending.

    Attributes:
        level: the evidence this gives; None when no octet left.
        evidence: the far end's own octets, as far as they came.
        peer: who answered: address, and the application's name where it gave one.
        text: the reason in plain words for whoever reads the queue. It may quote the far end, so it is stored and
            shown to the operator but never logged.
    """

    outcome: Outcome
    level: Level | None
    evidence: bytes
    peer: str
    text: str


class Sender(Protocol):
    """A way to one address. One report at a time; a sender belongs to one task."""

    @property
    def ready(self) -> bool:
        """Whether `send` can be called now without opening first."""

    async def open(self) -> Answer | None:
        """Make ready to send. Returns None, or the answer ``not_sent`` when the address cannot be reached."""

    async def send(self, octets: bytes, control_id: str) -> Answer:
        """Send one report and wait for its answer. Never raises for what the far end or the network does."""

    async def close(self) -> None:
        """Let go of the address; `open` may be called again."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One way of reporting.

    Attributes:
        render: makes a report's octets.
        sender: makes a sender for an address. Raises ValueError when the address is none of this channel.
    """

    render: Renderer
    sender: Callable[[str, Delivery], Sender]
