"""A simulated agent and the driver's session in one process, their time in the test's hands."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from drivers.contract import Context, Decoded, Event, Finished, Memo, MeterRecord, Piece, Rejected, Send, Unreadable
from drivers.meters.ieee11073 import Ieee11073Driver
from drivers.protocols.ieee11073.manager import Manager
from simulators.deliveries import Deliveries
from simulators.ieee11073.agent import Agent
from simulators.ieee11073.dialect import Dialect, Fault
from simulators.ledger import Ledger
from simulators.meter import Clock, Entry, Identity, Meter
from simulators.scenario import five_weeks

SCENARIO = five_weeks(date(2026, 3, 14))
MAX_STEPS = 10_000


@dataclass
class Host:
    """Does what a hub does: commits pieces, then confirms; keeps contexts with the messages that follow."""

    session: Manager
    commits: bool = True
    contexts: list[bytes] = field(default_factory=list)
    messages: list[list[bytes]] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    finished: list[Finished] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    memos: dict[str, bytes] = field(default_factory=dict)
    log: list[Event] = field(default_factory=list)

    def follow(self, events: list[Event], now_s: float) -> list[bytes]:
        """What to send to the meter in consequence."""
        sent: list[bytes] = []
        todo = deque(events)
        while todo:
            event = todo.popleft()
            self.log.append(event)
            if isinstance(event, Send):
                sent.append(event.octets)
            elif isinstance(event, Context):
                self.contexts.append(event.octets)
            elif isinstance(event, Piece):
                assert event.starts_message
                assert event.ends_message
                if self.commits:
                    self.messages.append([*self.contexts, event.octets])
                answer = self.session.confirm if self.commits else self.session.refuse
                todo.extendleft(reversed(answer(now_s)))
            elif isinstance(event, Memo):
                self.memos[event.key] = event.octets
            elif isinstance(event, Rejected):
                self.rejected.append(event)
            else:
                self.finished.append(event)
                self.contexts.clear()
        self.sent += sent
        return sent


@dataclass
class Outcome:
    """What came of a conversation."""

    driver: Ieee11073Driver
    agent: Agent
    host: Host
    now_s: float

    @property
    def decoded(self) -> list[Decoded]:
        return [self.driver.decode(message) for message in self.host.messages]

    @property
    def items(self) -> list[MeterRecord | Unreadable]:
        return [item for decoded in self.decoded for item in decoded.items]

    @property
    def records(self) -> list[MeterRecord]:
        return [item for item in self.items if isinstance(item, MeterRecord)]


def agent(
    dialect: Dialect | None = None,
    faults: Iterable[Fault] = (),
    memory: Sequence[Entry] = SCENARIO.memory,
    clock: Clock = SCENARIO.clock,
    ledger: Ledger | None = None,
    identity: Identity = SCENARIO.meter,
) -> Agent:
    """A simulated meter; by default with a patient's five weeks in its memory."""
    meter = Meter(identity, clock, memory)
    starts = SCENARIO.starts
    assert starts is not None
    return Agent(meter, dialect or Dialect(), Deliveries(meter, ledger or Ledger()), lambda: starts, faults)


def converse(
    meter: Agent,
    profile: Mapping[str, object] | None = None,
    *,
    driver: Ieee11073Driver | None = None,
    chunk: int | None = None,
    cut_after: int | None = None,
    commits: bool = True,
    conversations: int = 1,
    now_s: float = 0.0,
    before: Outcome | None = None,
) -> Outcome:
    """Let both speak until the conversation is over or the cable is cut.

    Args:
        chunk: how many octets arrive at once; None: whole APDUs.
        cut_after: the cable is cut after so many octets of the meter.
        conversations: how many ends to wait for before it is over.
        before: an earlier conversation on the same line; what it left is known.
    """
    driver = driver or Ieee11073Driver(profile or {})
    memos = {} if before is None else dict(before.host.memos)
    session = driver.session((), dict(memos))
    assert isinstance(session, Manager)
    host = Host(session, commits, memos=memos)
    to_host = deque(meter.connected(now_s))
    to_meter = deque(host.follow(session.opened(now_s), now_s))
    arrived = 0
    for _ in range(MAX_STEPS):
        if to_meter:
            to_host.extend(meter.receive(to_meter.popleft(), now_s))
        elif to_host:
            octets = to_host.popleft()
            if cut_after is not None and arrived + len(octets) > cut_after:
                octets = octets[: cut_after - arrived]
            arrived += len(octets)
            size = chunk or max(len(octets), 1)
            for start in range(0, len(octets), size):
                to_meter.extend(host.follow(session.receive(octets[start : start + size], now_s), now_s))
            if arrived == cut_after:
                meter.lost()
                host.follow(session.lost(now_s), now_s)
                return Outcome(driver, meter, host, now_s)
        elif len(host.finished) >= conversations or (host.finished and host.finished[-1].close):
            return Outcome(driver, meter, host, now_s)
        else:
            deadlines = [each for each in (session.deadline_s, meter.deadline_s) if each is not None]
            if not deadlines:
                return Outcome(driver, meter, host, now_s)
            now_s = max(now_s, min(deadlines))
            to_meter.extend(host.follow(session.tick(now_s), now_s))
            to_host.extend(meter.tick(now_s))
    raise AssertionError("the conversation does not come to an end")
