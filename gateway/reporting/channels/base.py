"""What a channel is: a pure renderer, and a sender that carries octets to an address and says what came of it.

A channel is one module (or package) that exports ``CHANNEL``. Whatever it needs beyond the standard library is
imported by the functions that use it, never at its own import.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Generic, Protocol, TypeVar

from pydantic import Field

from gateway.clock import Clock
from gateway.configuration import Section
from gateway.reporting.configuration import Delivery
from gateway.reporting.reportable import ReportableResult
from gateway.reporting.secrets import SecretError, Secrets

__all__ = [
    "Answer",
    "Channel",
    "ChannelSettings",
    "Circumstances",
    "Finding",
    "Level",
    "MakeTrial",
    "Outcome",
    "Probe",
    "SecretError",
    "Secrets",
    "Sender",
    "Trial",
]


class ChannelSettings(Section):
    """What one destination wants otherwise: the table ``settings`` of destinations.toml.

    Each channel has a subclass; a field's description says what to write, and stands in every error about it.
    """

    pause_s: Annotated[
        float, Field(ge=0, le=3600, description="seconds between the answer to one report and the next report")
    ] = 0.0


S = TypeVar("S", bound=ChannelSettings)


class Outcome(StrEnum):
    """What became of one sending."""

    DELIVERED = "delivered"
    """The far end's application acknowledged this very report."""
    ACCEPTED = "accepted"
    """The far end keeps it. Whether the application has it comes later (`Sender.receipt`), or never (e-mail).

    It is not sent again. Falling back to another destination goes on as long as it is no more than accepted.
    """
    REFUSED = "refused"
    """The far end wants a person to change something before it is sent again."""
    POSTPONED = "postponed"
    """The far end could not take it now; sending it again later may help. Bounded by ``postponed_most``, unless
    `Answer.retry_after_s` is given."""
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
        certificate: SHA-256 of the peer's certificate (DER) in hexadecimal, empty without one.
        retry_after_s: the far end as a whole wants to be left alone for so long (HTTP Retry-After). Nothing else is
            sent there meanwhile, and the answer does not count against the report.
    """

    outcome: Outcome
    level: Level | None
    evidence: bytes
    peer: str
    text: str
    certificate: str = ""
    retry_after_s: float | None = None


class Sender(Protocol):
    """A way to one address. One report at a time; a sender belongs to one task.

    A sender of a channel whose receipts come later has a further method, ``async def receipt(octets, control_id) ->
    Answer | None``: looks once for the receipt of an accepted report; None while there is none. It is called after
    `open`, at growing intervals.
    """

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
class Circumstances:
    """What a sender gets beside its address and settings.

    Attributes:
        delivery: time-outs, and the name of the supplier.
        secrets: keys and passwords; read when they are used, so that a new one holds without a restart.
    """

    delivery: Delivery
    secrets: Secrets
    clock: Clock


@dataclass(frozen=True, slots=True)
class Trial:
    """A made-up result, marked as a test, for a probe: every one has a result id and a control id of its own."""

    report: ReportableResult
    octets: bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """What a probe saw.

    Attributes:
        name: short and stable, like ``stale-acknowledgements``; a person accepts a danger under this name.
        danger: a destination with it does not go live unless a named person says so.
        text: what was seen and what it means, for a person.
    """

    name: str
    danger: bool
    text: str


MakeTrial = Callable[[str], Trial]
"""Makes a new trial whose patient has this family name (to try letters outside ASCII)."""
Probe = Callable[[str, S, Circumstances, MakeTrial], Awaitable[Sequence[Finding]]]
"""Tries a far end at an address and says what it really does."""


@dataclass(frozen=True, slots=True)
class Channel(Generic[S]):
    """One way of reporting.

    Attributes:
        name: as destinations name it.
        settings: the model of a destination's settings.
        check_address: gives back the address as it is to be kept. Raises ValueError, with the remedy after a
            semicolon, when it is none of this channel.
        render: makes a report's octets. Pure: the same input gives the same octets. Raises UnreportableError.
        sender: makes a sender. Raises ValueError (so also SecretError) when address or secrets cannot be used.
        summary: `render` wants the patient's history and summary.
        probe: tries a far end; None: the same octets are sent twice through a sender.
    """

    name: str
    settings: type[S]
    check_address: Callable[[str], str]
    render: Callable[[ReportableResult, S], bytes]
    sender: Callable[[str, S, Circumstances], Sender]
    summary: bool = False
    probe: Probe[S] | None = None
