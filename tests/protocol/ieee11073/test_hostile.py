"""Octets of an enemy: only driver errors, bounded work, no acknowledgement that was not earned."""

from __future__ import annotations

import random
import tracemalloc

from hypothesis import example, given, settings
from hypothesis import strategies as st

from drivers.contract import Event, Piece, Send
from drivers.errors import DriverError
from drivers.meters.ieee11073 import Ieee11073Driver
from drivers.protocols.ieee11073 import apdu as a
from drivers.protocols.ieee11073.dump import messages
from drivers.protocols.ieee11073.message import split
from simulators.ieee11073.dialect import Dialect, Form, Transfer
from tests.protocol.ieee11073.conftest import ABOVE_RANGE, CONFIGURATION, REPORT
from tests.protocol.ieee11073.conversation import agent, converse

CONVERSATION = converse(agent(Dialect(transfer=Transfer.STORE, entries_per_event=3))).host.messages
REPORTS = converse(agent(Dialect(form=Form.PERSON_VARIABLE))).host.messages
SEEDS = [octets for message in (CONVERSATION[0], REPORTS[0]) for octets in message] + [CONFIGURATION, REPORT]


def altered(octets: bytes, changes: list[tuple[int, int]]) -> bytes:
    changed = bytearray(octets)
    for place, value in changes:
        changed[place % len(changed)] = value
    return bytes(changed)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6))
def test_altered_apdus_are_understood_or_refused(seed: bytes, changes: list[tuple[int, int]]) -> None:
    octets = altered(seed, changes)
    offset = None
    try:
        list(messages(octets))
    except DriverError as error:
        offset = error.offset if error.offset is not None else -1
    if offset is None:
        assert b"".join(each.encode() for each in map(a.decode, split(octets))) == octets
    else:
        assert 0 <= offset <= len(octets)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([CONVERSATION[0], CONVERSATION[-1], REPORTS[0], [CONFIGURATION, ABOVE_RANGE]]),
    st.integers(0, 9),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_altered_messages_decode_or_are_refused(
    message: list[bytes], which: int, changes: list[tuple[int, int]]
) -> None:
    pieces = list(message)
    pieces[which % len(pieces)] = altered(pieces[which % len(pieces)], changes)
    try:
        decoded = Ieee11073Driver({}).decode(pieces)
    except DriverError:
        return
    assert all(item.octets for item in decoded.items)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=4096))
@example(b"\xe7\x00\xff\xff" + bytes(65535))
def test_any_octets_are_an_error_or_nothing(octets: bytes) -> None:
    session = Ieee11073Driver({}).session()
    events = session.opened(0.0) + session.receive(octets, 0.0) + session.lost(1.0)
    assert not any(isinstance(event, Piece) for event in events)


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 400))
def test_a_session_survives_any_order_of_real_and_altered_apdus(chance: random.Random, chunk: int) -> None:
    stream = b"".join(
        altered(chance.choice(SEEDS), [(chance.randrange(2000), chance.randrange(256))] * chance.randrange(2))
        for _ in range(8)
    )
    session = Ieee11073Driver({}).session()
    unconfirmed = 0
    events = session.opened(0.0)
    for start in range(0, len(stream), chunk):
        events += session.receive(stream[start : start + chunk], start * 0.01)
        while events:
            event: Event = events.pop(0)
            if isinstance(event, Piece):
                unconfirmed += 1
                assert unconfirmed == 1
                events += session.confirm(start * 0.01)
                unconfirmed = 0
            elif isinstance(event, Send):
                a.decode(event.octets)
        deadline = session.deadline_s
        if deadline is not None:
            events += session.tick(deadline)
    session.lost(1e6)


def test_memory_stays_bounded_whatever_is_promised() -> None:
    session = Ieee11073Driver({}).session()
    session.opened(0.0)
    tracemalloc.start()
    try:
        for _ in range(200):
            session.receive(b"\xe7\x00\xff\xff" + bytes(60_000), 0.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
