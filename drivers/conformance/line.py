"""One connection between a host and a simulated meter, and everything that may happen to it.

Utterances are counted from 0: what the meter, or the host, says at once. Time is the host's, and passes only here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from drivers.conformance.conversation import Conversation
from drivers.conformance.host import PATIENCE_S, BrokenPromiseError, Host
from drivers.conformance.simulator import SimulatedMeter

__all__ = ["Line", "recorded"]

MOST_STEPS = 100_000
LONGEST_S = 1800.0
"""Longer than any memory takes, and long enough for meters to lose patience several times."""


@dataclass
class Line:
    """A connection.

    Attributes:
        cut_after: it is gone after so many octets of the meter.
        loses: this utterance of the host never reaches the meter.
        is_cut_then: and the connection is gone with it.
        dies_at: in the middle of this utterance the meter's battery is out.
        noise: octets that arrive before an utterance of the meter.
        delay_s: how long an utterance of the meter is on its way; its second half arrives last.
        longest_s: after so long the meter is taken off the line, whatever it is doing.
        patience_s: when nothing is due for so long, nobody waits any more; None: they always do.
        stays: at the end the connection is left as it is.
        watch: called when the meter was told of tests.
        turns: what arrived, cut where the host spoke or time passed.
        answers: how many utterances of the host there were.
        utterances: how many of the meter.
        octets: of the meter that arrived.
    """

    host: Host
    meter: SimulatedMeter
    cut_after: int | None = None
    loses: int | None = None
    is_cut_then: bool = False
    dies_at: int | None = None
    noise: Mapping[int, bytes] = field(default_factory=dict)
    delay_s: float = 0.0
    longest_s: float = LONGEST_S
    patience_s: float | None = None
    stays: bool = False
    watch: Callable[[], None] = lambda: None
    turns: list[bytes] = field(default_factory=list)
    answers: int = 0
    utterances: int = 0
    octets: int = 0
    _queue: deque[tuple[float, bytes]] = field(default_factory=deque)
    _is_gone: bool = False
    _is_dead: bool = False
    _end_s: float = 0.0
    _is_new_turn: bool = True

    def run(self, *, is_open: bool = False) -> Line:
        """Let them talk until one of them closes, the line is cut, or nothing happens any more.

        Args:
            is_open: the host was connected all the time; only the meter begins anew.

        Raises:
            BrokenPromiseError: they never come to an end.
        """
        meter = self.meter
        self._end_s = self.host.now_s + self.longest_s
        meter.has_hung_up, meter.deadline_s = False, None
        if not is_open:
            self.host.opened()
        self._say(meter.connected(self.host.now_s))
        for _ in range(MOST_STEPS):
            if self._is_gone or self.host.now_s > self._end_s or not (self._moves() or self._waits()):
                break
        else:
            raise BrokenPromiseError(f"host and meter still talk after {MOST_STEPS} steps")
        if not self.stays:
            self.host.lost()
        return self

    def _moves(self) -> bool:
        """Whatever is to happen now, one thing of it."""
        host, meter = self.host, self.meter
        while (due_s := meter.deadline_s) is not None and due_s <= host.now_s and not self._is_dead:
            self._say(meter.tick(due_s))
            if meter.deadline_s == due_s:
                raise RuntimeError("tick() of the simulated meter leaves deadline_s as it is; it must move it on")
        heard = host.heard()
        if heard:
            self._hears(heard)
            return True
        if host.is_closed:
            self._is_gone = True
        elif host.busy_until_s is not None:
            if host.now_s < host.busy_until_s:
                return False
            host.committed()
        elif self._queue and self._queue[0][0] <= host.now_s:
            self._arrives()
        elif meter.has_hung_up and not self._queue:
            self._is_gone = True
        else:
            return False
        return True

    def _hears(self, octets: bytes) -> None:
        self._is_new_turn = True
        self.answers += 1
        if self.answers - 1 == self.loses:
            self._is_gone = self.is_cut_then
        elif not (self._is_dead or self.meter.has_hung_up):
            known = len(self.meter.told)
            self._say(self.meter.receive(octets, self.host.now_s))
            if len(self.meter.told) > known:
                self.watch()

    def _say(self, octets: bytes) -> None:
        if not octets or self._is_dead:
            return
        if self.utterances == self.dies_at:
            self._is_dead = True
            octets = octets[: len(octets) // 2]
        octets = self.noise.get(self.utterances, b"") + octets
        self.utterances += 1
        half = len(octets) // 2 if self.delay_s else 0
        if half:
            self._queue.append((self.host.now_s + self.delay_s / 2, octets[:half]))
        self._queue.append((self.host.now_s + self.delay_s, octets[half:]))

    def _arrives(self) -> None:
        """Everything that came while the host was busy arrives at once."""
        octets = b""
        while self._queue and self._queue[0][0] <= self.host.now_s:
            octets += self._queue.popleft()[1]
        if self.cut_after is not None and self.octets + len(octets) >= self.cut_after:
            octets = octets[: self.cut_after - self.octets]
            self._is_gone = True
        self.octets += len(octets)
        if self._is_new_turn:
            self.turns.append(b"")
            self._is_new_turn = False
        self.turns[-1] += octets
        self.host.receive(octets)

    def _waits(self) -> bool:
        """Time passes until something is due."""
        host = self.host
        is_busy = host.busy_until_s is not None
        due = [
            due_s
            for due_s in (
                host.busy_until_s,
                None if is_busy else host.session.deadline_s,
                None if is_busy or not self._queue else self._queue[0][0],
                None if self._is_dead else self.meter.deadline_s,
            )
            if due_s is not None
        ]
        until_s = self._end_s if self.patience_s is None else min(self._end_s, host.now_s + self.patience_s)
        if not due or min(due) > until_s:
            return False
        self._is_new_turn = True
        if is_busy:
            host.now_s = max(host.now_s, min(due))
        else:
            host.wait(max(0.0, min(due) - host.now_s))
        return True


def recorded(host: Host, meter: SimulatedMeter) -> Conversation:
    """What the meter says to a host, cut where it waits for it, and until one of them has to wait for long."""
    return Conversation(*Line(host, meter, patience_s=PATIENCE_S).run().turns)
