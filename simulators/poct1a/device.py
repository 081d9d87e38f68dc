"""The device's side of the basic profile as a state machine without input or output.

    HEL ─ACK─▶ DST ─ACK─▶ ready ─REQ ROBS─▶ OBS ─ACK AA─▶ next OBS … ─▶ EOT ─ACK─▶ ready ─END─▶ ACK, hang up
                           │                 └─ACK AE, AR: stays unsent; EOT
                           └─DTV START_CONTINUOUS─▶ ACK, then OBS whenever a test is made, KPA in between

A document without an answer is sent again; after the last try the meter hangs up.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Final

from simulators.meter import Meter, Stored
from simulators.poct1a.dialect import Dialect
from simulators.poct1a.documents import Writer, batches

__all__ = ["Accepted", "Action", "Device", "HangUp", "Refused", "Transmit"]

_DOCUMENT: Final = re.compile(rb"<([A-Z]{3}\.R\d\d)[\s>].*?</\1\s*>", re.DOTALL)
_LONGEST_ANSWER: Final = 65_536


@dataclass(frozen=True, slots=True)
class Transmit:
    """A document leaves now."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Accepted:
    """The meter was told AA: these tests are received. To be remembered before anything else leaves."""

    tests: tuple[Stored, ...]
    octets: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """The meter was not told AA: these tests stay to be offered."""

    tests: tuple[Stored, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class HangUp:
    """The meter closes the connection."""


Action = Transmit | Accepted | Refused | HangUp


class _Phase(Enum):
    OFF = auto()
    HELLO = auto()
    STATUS = auto()
    READY = auto()
    OBSERVATIONS = auto()
    EVENTS = auto()
    TOPIC_ENDS = auto()
    CONTINUOUS = auto()


@dataclass(frozen=True, slots=True)
class _Awaited:
    """A document that waits for its answer."""

    control_id: str
    octets: bytes
    tests: tuple[Stored, ...]
    tries: int


class Device:
    """One meter at one connection after another.

    Args:
        unsent: which tests the meter would offer now, oldest first.
        shown: what its clock shows now.
        set_clock: called when the host sets it.
    """

    def __init__(
        self,
        meter: Meter,
        dialect: Dialect,
        unsent: Callable[[], Sequence[Stored]],
        shown: Callable[[], datetime | None],
        set_clock: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._dialect = dialect
        self._writer = Writer(meter.identity, meter.clock, dialect)
        self._unsent = unsent
        self._shown = shown
        self._set_clock = set_clock
        self._reset()

    def _reset(self) -> None:
        self._phase = _Phase.OFF
        self._awaited: _Awaited | None = None
        self._input = b""
        self._offers: deque[tuple[tuple[Stored, ...], str]] = deque()
        self._offered: set[int] = set()
        self._deadline_s: float | None = None

    @property
    def deadline_s(self) -> float | None:
        """When `tick` has something to do, on the clock of the caller."""
        return self._deadline_s

    def connected(self, now_s: float) -> list[Action]:
        """A host is there: HEL."""
        self._reset()
        self._phase = _Phase.HELLO
        return self._say(self._writer.hello(self._shown()), now_s)

    def receive(self, octets: bytes, now_s: float) -> list[Action]:
        """Octets came from the host."""
        self._input += octets
        actions: list[Action] = []
        while self._phase is not _Phase.OFF and (found := _DOCUMENT.search(self._input)) is not None:
            self._input = self._input[found.end() :]
            try:
                document = ET.fromstring(found[0])
            except ET.ParseError:
                continue
            actions += self._heard(document, now_s)
        self._input = self._input[-_LONGEST_ANSWER:]
        return actions

    def tick(self, now_s: float) -> list[Action]:
        """Time passed. Does nothing before `deadline_s`."""
        if self._deadline_s is None or now_s < self._deadline_s:
            return []
        awaited = self._awaited
        if awaited is None:
            return self._say(self._writer.keep_alive(self._shown()), now_s)
        if awaited.tries >= self._dialect.tries:
            self._deadline_s = None
            return [*self.lost("no answer"), HangUp()]
        self._awaited = _Awaited(awaited.control_id, awaited.octets, awaited.tests, awaited.tries + 1)
        self._deadline_s = now_s + self._dialect.application_timeout_s
        return [Transmit(awaited.octets)]

    def made(self, now_s: float) -> list[Action]:
        """A test was made: in continuous mode it is sent at once."""
        return self._next(now_s) if self._phase is _Phase.CONTINUOUS and self._awaited is None else []

    def lost(self, reason: str = "connection lost") -> list[Action]:
        """The connection is gone."""
        awaited = self._awaited
        self._reset()
        return [] if awaited is None or not awaited.tests else [Refused(awaited.tests, reason)]

    def _heard(self, document: ET.Element, now_s: float) -> list[Action]:
        control_id = _said(document, "HDR/HDR.control_id")
        match document.tag:
            case "ACK.R01":
                return self._answered(document, now_s)
            case "REQ.R01":
                return self._requested(_said(document, "REQ/REQ.request_cd"), control_id, now_s)
            case "DTV.R01" | "DTV.R02":
                return self._directed(document, control_id, now_s)
            case "END.R01":
                return [Transmit(self._writer.acknowledge(self._shown(), control_id)[1]), *self.lost(), HangUp()]
        return [Transmit(self._writer.acknowledge(self._shown(), control_id)[1])]

    def _answered(self, document: ET.Element, now_s: float) -> list[Action]:
        awaited = self._awaited
        if awaited is None:
            return []
        reference = self._dialect.reference
        if reference != "none" and _said(document, f"ACK/ACK.{reference}") != awaited.control_id:
            return []
        self._awaited, self._deadline_s = None, None
        kind = _said(document, "ACK/ACK.type_cd")
        if kind == "AA":
            told: list[Action] = [Accepted(awaited.tests, awaited.octets)] if awaited.tests else []
            return told + self._next(now_s)
        if awaited.tests:
            self._offers.clear()  # the host cannot keep results now; what is left is for another time
            return [Refused(awaited.tests, f"answered {kind or 'nothing'}"), *self._next(now_s)]
        return [*self.lost(), HangUp()]

    def _next(self, now_s: float) -> list[Action]:
        """What follows when the last document was answered."""
        match self._phase:
            case _Phase.HELLO:
                self._phase = _Phase.STATUS
                return self._say(self._writer.status(self._shown(), len(self._unsent())), now_s)
            case _Phase.STATUS:
                self._phase = _Phase.READY
            case _Phase.OBSERVATIONS if self._offers:
                tests, services = self._offers.popleft()
                return self._say(self._writer.observations(self._shown(), tests, services), now_s, tests)
            case _Phase.OBSERVATIONS:
                self._phase = _Phase.TOPIC_ENDS
                return self._say(self._writer.end_of_topic(self._shown(), "OBS"), now_s)
            case _Phase.EVENTS:
                self._phase = _Phase.TOPIC_ENDS
                return self._say(self._writer.end_of_topic(self._shown(), "D_EV"), now_s)
            case _Phase.TOPIC_ENDS if self._dialect.hangs_up:
                return [*self.lost(), HangUp()]
            case _Phase.TOPIC_ENDS:
                self._phase = _Phase.READY
            case _Phase.CONTINUOUS:
                return self._continue(now_s)
        return []

    def _continue(self, now_s: float) -> list[Action]:
        new = [test for test in self._unsent() if test.ordinal not in self._offered]
        if not new:
            self._deadline_s = now_s + self._dialect.keep_alive_s
            return []
        tests = batches(new, self._dialect)[0]
        self._offered.update(test.ordinal for test in tests)
        return self._say(self._writer.observations(self._shown(), tests), now_s, tests)

    def _requested(self, code: str, control_id: str, now_s: float) -> list[Action]:
        if self._phase is not _Phase.READY:
            return []
        if code == "ROBS":
            self._phase = _Phase.OBSERVATIONS
            # Written before it is asked for: it is the host's turnaround that is of interest, not the meter's.
            self._offers = deque(
                (tests, self._writer.services(tests)) for tests in batches(self._unsent(), self._dialect)
            )
            return self._next(now_s)
        if code == "RDEV":
            self._phase = _Phase.EVENTS
            return self._say(self._writer.event(self._shown()), now_s)
        return [Transmit(self._writer.escape(self._shown(), control_id, "UNS")[1])]

    def _directed(self, document: ET.Element, control_id: str, now_s: float) -> list[Action]:
        command = _said(document, "DTV/DTV.command_cd")
        if command not in self._dialect.directives:
            return [Transmit(self._writer.escape(self._shown(), control_id, "UNS")[1])]
        if command == "SET_TIME":
            self._set_clock(_said(document, "TM/TM.dttm"))
        answer = Transmit(self._writer.acknowledge(self._shown(), control_id)[1])
        if command != "START_CONTINUOUS":
            return [answer]
        self._phase = _Phase.CONTINUOUS
        return [answer, *self._next(now_s)]

    def _say(self, document: tuple[str, bytes], now_s: float, tests: tuple[Stored, ...] = ()) -> list[Action]:
        control_id, octets = document
        self._awaited = _Awaited(control_id, octets, tests, 1)
        self._deadline_s = now_s + self._dialect.application_timeout_s
        return [Transmit(octets)]


def _said(document: ET.Element, path: str) -> str:
    """Attribute V of an element, without blanks; empty when there is none."""
    found = document.find(path)
    return "" if found is None else found.get("V", "").strip()
