"""A conversation: every octet on disk before its acknowledgement, whatever the chunking, whatever breaks."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.errors import TransportError, TransportReason
from gateway.hub.alarms import Alarm
from gateway.hub.contact import Contact
from tests.unit.hub.conftest import LINE, Bench

MESSAGE = b"H|Acme|1|2026-03-14T08:00:00\nR|2.5|2026-03-13T08:00:00\nL\n"


class Wire:
    """The hub's end of a cable whose far end says what the test wants, and then is gone."""

    kind, peer = "serial", "wire"

    def __init__(self, *says: bytes) -> None:
        self.says = list(says)
        self.heard: list[bytes] = []
        self.on_write: Callable[[bytes], None] = lambda _octets: None
        self.closed = False

    def read(self, _max_octets: int, _timeout_s: float) -> bytes:
        if not self.says:
            raise TransportError("wire: unplugged", TransportReason.UNPLUGGED)
        return self.says.pop(0)

    def write(self, octets: bytes) -> None:
        self.on_write(octets)
        self.heard.append(octets)

    def close(self) -> None:
        self.closed = True

    @property
    def answers(self) -> bytes:
        return b"".join(self.heard).removeprefix(b"hello\n")


def converse(bench: Bench, *says: bytes, wire: Wire | None = None) -> Wire:
    wire = wire or Wire(*says)
    intake = bench.intake()
    session = bench.driver.session(intake.unfinished())
    Contact("meter", wire, session, intake).run(threading.Event())
    return wire


def test_each_piece_is_committed_when_its_acknowledgement_leaves(bench: Bench) -> None:
    seen: list[int] = []
    wire = Wire(MESSAGE)
    with closing(sqlite3.connect(bench.path)) as other:

        def look(_octets: bytes) -> None:
            seen.append(other.execute("SELECT count(*) FROM piece").fetchone()[0])

        wire.on_write = look
        converse(bench, wire=wire)
    assert seen == [0, 1, 2, 3]
    assert len(bench.readings) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 2 * len(MESSAGE)), max_size=12))
def test_any_chunking_gives_the_same_readings(bench: Bench, cuts: list[int]) -> None:
    octets = MESSAGE + MESSAGE
    before = len(bench.readings)
    ends = [*sorted(cuts), len(octets)]
    chunks = [octets[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    wire = converse(bench, *chunks, b".\n")
    assert wire.answers == b"+\n" * 6
    found = bench.readings[before:]
    assert [reading.octets for reading in found] == [b"R|2.5|2026-03-13T08:00:00\n"] * 2


def test_nothing_is_acknowledged_while_the_journal_cannot_commit(bench: Bench) -> None:
    database = bench.journal._database
    database.execute("PRAGMA max_page_count = 1")
    big = b"R|2.5|2026-03-13T08:00:00|" + b"7" * 60_000 + b"\n"
    wire = converse(bench, b"H|Acme|1\n", big, big)
    assert b"-\n" in wire.answers
    assert Alarm.JOURNAL_CANNOT_COMMIT in bench.alarms
    database.execute("PRAGMA max_page_count = 100000")
    wire = converse(bench, MESSAGE)
    assert wire.answers == b"+\n+\n+\n"
    assert Alarm.JOURNAL_CANNOT_COMMIT not in bench.alarms


@pytest.mark.parametrize("cut", range(1, len(MESSAGE)))
def test_a_message_goes_on_after_a_break_at_any_octet(bench: Bench, cut: int) -> None:
    """The meter repeats the line it has no answer for, over a new connection to a hub that was started again."""
    answered = converse(bench, MESSAGE[:cut]).answers.count(b"+\n")
    bench.again()
    rest = b"".join(MESSAGE.splitlines(keepends=True)[answered:])
    wire = converse(bench, rest, b".\n")
    assert wire.answers == b"+\n" * (3 - answered)
    assert [reading.octets for reading in bench.readings] == [b"R|2.5|2026-03-13T08:00:00\n"]


def test_a_lost_last_acknowledgement_is_given_again_without_a_second_reading(bench: Bench) -> None:
    wire = Wire(MESSAGE)
    acknowledged = 0

    def lose_the_third(octets: bytes) -> None:
        nonlocal acknowledged
        acknowledged += octets == b"+\n"
        if acknowledged == 3:
            raise TransportError("wire: unplugged", TransportReason.UNPLUGGED)

    wire.on_write = lose_the_third
    converse(bench, wire=wire)
    wire = converse(bench, b"L\n", b".\n")
    assert wire.answers == b"+\n"
    assert len(bench.readings) == 1


def test_damaged_octets_are_kept_with_their_message(bench: Bench) -> None:
    converse(bench, b"H|Acme|1\n!noise\n")
    assert bench.journal.rejected(1) == [b"!noise\n"]


def test_a_session_that_fails_ends_its_connection_and_keeps_the_octets(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    wire = converse(bench, b"H|Acme|1\n", b"?2.5\n", b"never read")
    assert wire.says == [b"never read"]
    assert bench.journal.rejected(1) == [b"?2.5\n"]
    assert "2.5" not in caplog.text
    assert converse(bench, MESSAGE).answers == b"+\n+\n+\n"


def test_contexts_go_to_disk_before_each_message_and_are_decoded_with_it(bench: Bench) -> None:
    converse(bench, b"C|context\n", MESSAGE, MESSAGE)
    for message in (1, 2):
        first, *rest = bench.journal.pieces(message)
        assert (first.octets, first.context) == (b"C|context\n", True)
        assert not any(piece.context for piece in rest)
    assert len(bench.readings) == 2


def test_contexts_end_with_their_conversation(bench: Bench) -> None:
    converse(bench, b"C|context\n", b".\n", MESSAGE)
    assert [piece.context for piece in bench.journal.pieces(1)] == [False, False, False]


def test_it_stops_when_the_hub_stops(bench: Bench) -> None:
    stopping = threading.Event()
    wire = Wire(b"H|Acme|1\n", b"R|2.5\n", b"never read")
    wire.on_write = lambda _octets: stopping.set() if len(wire.heard) == 2 else None
    intake = bench.intake()
    Contact("meter", wire, bench.driver.session(), intake).run(stopping)
    assert wire.says == [b"never read"]
    assert bench.journal.take_up(LINE, bench.stamper.stamp().received_at.replace(year=2020)) is not None
