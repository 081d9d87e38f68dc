"""A channel whose far end answers as a test says: for what no particular protocol is needed.

Installed under the name ``scripted``; its address is ``scripted:NAME``.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace

from gateway.reporting import channels
from gateway.reporting.channels.base import Answer, Channel, ChannelSettings, Circumstances, Level, Outcome
from gateway.reporting.reportable import ReportableResult

DELIVERED = Answer(Outcome.DELIVERED, Level.DELIVERED, b"yes", "far end", "", certificate="ab" * 32)
ACCEPTED = Answer(Outcome.ACCEPTED, Level.ACCEPTED, b"kept", "far end", "kept")
REFUSED = Answer(Outcome.REFUSED, Level.SENT, b"no", "far end", "not that one")
AWAY = Answer(Outcome.NOT_SENT, None, b"", "far end", "nobody there")


def busy(seconds: float) -> Answer:
    return Answer(Outcome.POSTPONED, Level.SENT, b"wait", "far end", "busy", retry_after_s=seconds)


@dataclass
class FarEnd:
    """Answers in turn; the last answer stays. `receipts`: what looking for a receipt gives, None for none yet."""

    answers: list[Answer | Exception] = field(default_factory=lambda: [DELIVERED])
    receipts: list[Answer | None] | None = None
    reachable: bool = True
    got: list[bytes] = field(default_factory=list)
    tried: int = 0
    looks: int = 0


class Settings(ChannelSettings):
    """Nothing of its own."""


class Sender:
    ready = True

    def __init__(self, address: str, _settings: Settings, _circumstances: Circumstances) -> None:
        self.far_end = FAR_ENDS[check_address(address)]
        if self.far_end.receipts is not None:
            self.receipt = self._receipt

    async def open(self) -> Answer | None:
        self.far_end.tried += 1
        return None if self.far_end.reachable else AWAY

    async def send(self, octets: bytes, control_id: str) -> Answer:
        self.far_end.got.append(octets)
        answers = self.far_end.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None:
        pass

    async def _receipt(self, _octets: bytes, _control_id: str) -> Answer | None:
        self.far_end.looks += 1
        receipts = self.far_end.receipts
        assert receipts is not None
        return receipts.pop(0) if receipts else None


FAR_ENDS: dict[str, FarEnd] = defaultdict(FarEnd)


def check_address(address: str) -> str:
    if not address.startswith("scripted:"):
        raise ValueError(f"{address!r} is none; write it as scripted:name")
    return address


def render(report: ReportableResult, _settings: Settings) -> bytes:
    assert report.result.inr is not None
    return f"{report.result_id} {report.status} {report.result.inr.text}".encode()


CHANNEL = Channel("scripted", Settings, check_address, render, Sender)


@contextmanager
def installed() -> Iterator[None]:
    """While this lasts, destinations may have the channel ``scripted``."""
    module = "gateway.reporting.channels.scripted"
    sys.modules[module] = SimpleNamespace(CHANNEL=CHANNEL)  # type: ignore[assignment]  # all that is asked of it
    channels.NAMES["scripted"] = "scripted"
    try:
        yield
    finally:
        del sys.modules[module], channels.NAMES["scripted"]
        channels.settings.cache_clear()
        FAR_ENDS.clear()
