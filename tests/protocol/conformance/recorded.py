"""Conversations of simulated meters with a session that confirms everything, made without a line or waiting."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import date

from drivers.conformance import Conversation
from drivers.contract import Driver, Event, Finished, Piece, Send
from simulators.astm.dialect import Dialect as AstmDialect
from simulators.astm.dialect import Timers
from simulators.astm.outbox import Outbox
from simulators.astm.sender import Delivered, Sender
from simulators.astm.sender import Transmit as AstmTransmit
from simulators.ieee11073.agent import Agent
from simulators.ieee11073.deliveries import Deliveries
from simulators.ieee11073.dialect import Dialect as AgentDialect
from simulators.ledger import Ledger
from simulators.meter import Meter
from simulators.poct1a.device import Accepted, Device, Transmit
from simulators.poct1a.dialect import Dialect as Poct1aDialect
from simulators.scenario import five_weeks

SCENARIO = five_weeks(date(2026, 3, 14))
STARTS = SCENARIO.starts
assert STARTS is not None
PRESENT = STARTS

MeterSays = Callable[[bytes, float], bytes]
"""Octets from the host and the time; nothing from the host means that time passed."""


def meter(entries: slice) -> Meter:
    return Meter(SCENARIO.meter, SCENARIO.clock, SCENARIO.memory[entries])


def recorded(driver: Driver, first: bytes, says: MeterSays) -> Conversation:
    """What the meter says, cut where it waits for the host."""
    session = driver.session()
    now_s, turns, is_over = 0.0, [first], False

    def follow(events: Sequence[Event]) -> bytes:
        nonlocal is_over
        said, todo = b"", deque(events)
        while todo:
            event = todo.popleft()
            if isinstance(event, Send):
                said += event.octets
            elif isinstance(event, Piece):
                todo.extendleft(reversed(session.confirm(now_s)))
            elif isinstance(event, Finished):
                is_over = is_over or event.close
        return said

    heard = follow(session.opened(now_s)) + follow(session.receive(first, now_s))
    for _ in range(1000):
        turn = says(heard, now_s)
        heard = b""
        if turn:
            turns.append(turn)
            heard = follow(session.receive(turn, now_s))
        elif is_over or session.deadline_s is None or session.deadline_s > now_s + 2:
            return Conversation(*turns)
        else:
            now_s = max(now_s, session.deadline_s)
            heard = follow(session.tick(now_s))
    raise AssertionError("the meter does not come to an end")


def astm(driver: Driver, dialect: AstmDialect, entries: slice) -> Conversation:
    of = meter(entries)
    outbox = Outbox(of, dialect, Ledger())
    sender = Sender(Timers(), establishment=dialect.establishment)
    outbox.begin_contact()

    def says(heard: bytes, now_s: float) -> bytes:
        said = b""
        for action in sender.receive(heard, now_s):
            if isinstance(action, AstmTransmit):
                said += action.octets
            elif isinstance(action, Delivered):
                outbox.received(action.message)
        if sender.idle and not said:
            message = outbox.next(PRESENT)
            if message is not None:
                actions = sender.offer(message, now_s)
                said += b"".join(each.octets for each in actions if isinstance(each, AstmTransmit))
        return said

    return recorded(driver, says(b"", 0.0), says)


def poct1a(driver: Driver, dialect: Poct1aDialect, entries: slice) -> Conversation:
    of = meter(entries)
    accepted: set[int] = set()
    device = Device(
        of,
        dialect,
        lambda: [test for test in of.memory if test.ordinal not in accepted],
        lambda: of.clock.shows(PRESENT),
    )

    def done(actions: Sequence[object]) -> bytes:
        for action in actions:
            if isinstance(action, Accepted):
                accepted.update(test.ordinal for test in action.tests)
        return b"".join(action.octets for action in actions if isinstance(action, Transmit))

    first = done(device.connected(0.0))
    return recorded(driver, first, lambda heard, now_s: done(device.receive(heard, now_s)))


def agent(driver: Driver, dialect: AgentDialect, entries: slice) -> Conversation:
    of = meter(entries)
    made = Agent(of, dialect, Deliveries(of, Ledger()), lambda: PRESENT)
    first = b"".join(made.connected(0.0))
    return recorded(driver, first, lambda heard, now_s: b"".join(made.receive(heard, now_s)))
