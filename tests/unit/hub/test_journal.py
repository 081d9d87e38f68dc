"""The journal's promises: committed means on disk, names are never used twice, nothing without a receipt goes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

import pytest

from gateway.hub import rows
from gateway.hub.entries import Closing, Contexts, Line, StoredPiece
from gateway.hub.journal import Journal, JournalError
from gateway.hub.rows import MEMOS_PER_LINE, REJECTED_PER_LINE
from gateway.hub.surroundings import Stamp
from gateway.wire.reading import Origin, digest
from tests.unit.hub.conftest import LINE, NOW, Bench

LONG_AGO = NOW - timedelta(hours=1)


@dataclass(frozen=True)
class Text:
    text: str

    def encode(self, _journal: UUID, number: int, message: int, position: int) -> bytes:
        return f"{self.text} {number} {message} {position}".encode()


def piece(octets: bytes, *, minutes: float = 0, context: bool = False) -> StoredPiece:
    stamp = Stamp(NOW + timedelta(minutes=minutes), None, "boot", 1.5)
    return StoredPiece(octets, stamp, context=context)


def whole(*texts: str, state: str = "decoded", key: str | None = "acme/1") -> Closing:
    return Closing("decoded" if state == "decoded" else "undecodable", key, [Text(text) for text in texts])


def put(
    journal: Journal, octets: bytes, closing: Closing, *, minutes: float = 0, previous: int | None = None
) -> range:
    message = journal.add_piece(LINE, piece(octets, minutes=minutes), message=None, previous=previous, ends=True)
    return journal.conclude([(message, closing)])


def add(journal: Journal, octets: bytes = b"octets", *texts: str, minutes: float = 0) -> range:
    return put(journal, octets, whole(*texts), minutes=minutes)


@contextmanager
def commits(journal: Journal) -> Iterator[list[str]]:
    """Statements that SQLite sees meanwhile and that end a transaction on disk."""
    seen: list[str] = []
    journal._database.set_trace_callback(lambda sql: seen.append(sql) if sql == "COMMIT" else None)
    yield seen
    journal._database.set_trace_callback(None)


def test_a_meter_waits_for_one_commit_and_receipts_go_with_it(bench: Bench) -> None:
    first = add(bench.journal, b"a", "one")
    bench.journal.credit(first[0], "stored", "epoch", NOW)
    with commits(bench.journal) as seen:
        message = bench.journal.add_piece(LINE, piece(b"b"), message=None, ends=True)
    assert len(seen) == 1
    assert bench.journal.waiting(0, 10) == []
    with commits(bench.journal) as seen:
        numbers = bench.journal.conclude([(message, whole("two", "three"))])
    assert len(seen) == 1
    assert list(numbers) == [2, 3]
    assert [row.number for row in bench.journal.waiting(0, 10)] == [2, 3]
    assert not bench.journal.unwritten


def test_committed_is_seen_by_another_connection_at_once(bench: Bench) -> None:
    bench.journal.add_piece(LINE, piece(b"H\n"), message=None)
    with closing(sqlite3.connect(bench.path)) as other:
        assert other.execute("SELECT octets FROM piece").fetchall() == [(b"H\n",)]


def test_payloads_are_frozen_with_their_names(bench: Bench) -> None:
    add(bench.journal, b"a", "one")
    add(bench.journal, b"b", "two")
    (second,) = bench.journal.waiting(1, 10)
    assert second.payload == b"two 2 2 0"
    assert second.sha256 == digest(b"two 2 2 0")
    assert bench.journal.payload(2) == second
    assert bench.journal.digest(3) is None


def test_a_failed_commit_leaves_nothing_and_wastes_no_number(bench: Bench) -> None:
    bench.journal._database.execute("PRAGMA max_page_count = 20")
    with pytest.raises(JournalError, match="full"):
        add(bench.journal, b"x" * 500_000, "one")
    assert bench.journal.counts().readings == 0
    assert not bench.journal.damaged
    bench.journal._database.execute("PRAGMA max_page_count = 100000")
    assert list(add(bench.journal, b"x" * 500_000, "one")) == [1]


def test_receipts_survive_a_failed_commit(bench: Bench) -> None:
    add(bench.journal, b"a", "one")
    bench.journal.credit(1, "stored", "epoch", NOW)
    bench.journal._database.execute("PRAGMA max_page_count = 20")
    with pytest.raises(JournalError):
        add(bench.journal, b"x" * 500_000, "two")
    assert bench.journal.unwritten
    bench.journal._database.execute("PRAGMA max_page_count = 100000")
    bench.journal.flush()
    assert bench.journal.waiting(0, 10) == []


def test_numbers_are_not_used_again_after_everything_was_pruned(bench: Bench) -> None:
    add(bench.journal, b"a", "one", "two")
    bench.journal.credit(1, "stored", "e", NOW)
    bench.journal.credit(2, "quarantined", "e", NOW)
    assert bench.journal.prune(NOW + timedelta(days=1)) == 1
    assert bench.journal.counts().readings == 0
    bench.journal.close()
    bench.again()
    assert list(add(bench.journal, b"b", "three")) == [3]


def test_only_what_has_all_its_receipts_is_pruned(bench: Bench) -> None:
    add(bench.journal, b"a", "one", "two")  # 2 has no receipt
    add(bench.journal, b"b", "three")  # receipt too young
    add(bench.journal, b"c", "four")
    bench.journal.add_piece(LINE, piece(b"open\n"), message=None)
    for number, at in ((1, NOW), (3, NOW + timedelta(days=30)), (4, NOW)):
        bench.journal.credit(number, "stored", "e", at)
    before = NOW + timedelta(days=10)
    assert bench.journal.prune(before) == 1
    assert bench.journal.prune(before) == 0
    assert bench.journal.counts().readings == 3
    assert bench.journal.counts().open_messages == 1
    assert bench.journal.payload(4) is None
    assert bench.journal.pieces(3) == []


def test_a_message_grows_and_is_read_back_with_its_stamps(bench: Bench) -> None:
    contexts = Contexts([piece(b"C\n", context=True)])
    message = bench.journal.add_piece(LINE, piece(b"H\n"), message=None, contexts=contexts)
    bench.journal.add_piece(LINE, piece(b"R\n", minutes=1), message=message)
    bench.journal.close()
    bench.again()
    assert bench.journal.pieces(message) == [*contexts.pieces, piece(b"H\n"), piece(b"R\n", minutes=1)]


def contexts_in(journal: Journal) -> list[bytes]:
    return [octets for (octets,) in journal._database.execute("SELECT octets FROM context ORDER BY id")]


def test_contexts_stand_once_for_all_messages_of_a_conversation(bench: Bench) -> None:
    journal, told = bench.journal, Contexts([piece(b"C\n", context=True)])
    messages = [journal.add_piece(LINE, piece(b"%d\n" % n), message=None, contexts=told) for n in range(3)]
    told.pieces.append(piece(b"D\n", context=True))
    messages += [journal.add_piece(LINE, piece(b"%d\n" % n), message=None, contexts=told) for n in range(3, 5)]
    assert contexts_in(journal) == [b"C\n", b"D\n"]
    bench.journal.close()
    bench.again()
    whole = [[part.octets for part in bench.journal.pieces(message)] for message in messages]
    assert whole == [[b"C\n", b"0\n"], [b"C\n", b"1\n"], [b"C\n", b"2\n"]] + [
        [b"C\n", b"D\n", b"%d\n" % n] for n in range(3, 5)
    ]


def test_contexts_are_removed_with_the_last_message_that_needs_them(bench: Bench) -> None:
    journal, older, newer = bench.journal, *(Contexts([piece(name, context=True)]) for name in (b"C\n", b"D\n"))
    conversations = ((older, b"1"), (newer, b"2"), (older, b"3"))
    messages = [
        journal.add_piece(LINE, piece(o), message=None, contexts=told, ends=True) for told, o in conversations
    ]
    for message, receipted in zip(messages, (NOW, NOW, NOW + timedelta(days=30)), strict=True):
        (number,) = journal.conclude([(message, whole("value"))])
        journal.credit(number, "stored", "e", receipted)
    assert journal.prune(NOW + timedelta(days=10)) == 2
    assert [part.octets for part in journal.pieces(messages[2])] == [b"C\n", b"3"]
    assert journal.prune(NOW + timedelta(days=40)) == 1
    assert contexts_in(journal) == []
    late = journal.add_piece(LINE, piece(b"4"), message=None, contexts=older)  # its conversation still goes on
    assert [part.octets for part in journal.pieces(late)] == [b"C\n", b"4"]


def test_contexts_of_a_commit_that_failed_are_written_with_the_next(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Contexts([piece(b"C\n", context=True)])

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(rows, "insert_piece", fail)
        with pytest.raises(JournalError):
            bench.journal.add_piece(LINE, piece(b"1"), message=None, contexts=told)
    assert contexts_in(bench.journal) == []
    message = bench.journal.add_piece(LINE, piece(b"1"), message=None, contexts=told)
    assert [part.octets for part in bench.journal.pieces(message)] == [b"C\n", b"1"]


def test_a_message_without_end_is_refused_before_it_runs_into_the_next(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "PLACES", 4)
    message = bench.journal.add_piece(LINE, piece(b"0"), message=None)
    for n in range(1, 4):
        assert bench.journal.add_piece(LINE, piece(b"%d" % n), message=message) == message
    with pytest.raises(JournalError, match="4 pieces and goes on"):
        bench.journal.add_piece(LINE, piece(b"4"), message=message)
    other = bench.journal.add_piece(LINE, piece(b"new"), message=None)
    assert [part.octets for part in bench.journal.pieces(message)] == [b"0", b"1", b"2", b"3"]
    assert [part.octets for part in bench.journal.pieces(other)] == [b"new"]


def test_a_broken_message_is_taken_up_by_one_conversation_alone(bench: Bench) -> None:
    contexts = Contexts([piece(b"C\n", context=True)])
    message = bench.journal.add_piece(LINE, piece(b"H\n"), message=None, contexts=contexts)
    assert bench.journal.take_up(LINE, LONG_AGO) is None  # still held by the conversation that began it
    bench.journal.put_down(message, settled=False)
    assert bench.journal.take_up(Line("meter", "meter@10.0.0.9", "tiny"), LONG_AGO) is None
    assert bench.journal.take_up(LINE, LONG_AGO) == (message, (b"H\n",))  # contexts are the session's own
    assert bench.journal.take_up(LINE, LONG_AGO) is None


def test_two_broken_messages_behind_one_host_are_never_mixed(bench: Bench) -> None:
    for _ in range(2):
        message = bench.journal.add_piece(LINE, piece(b"H\n"), message=None)
        bench.journal.put_down(message, settled=False)
    assert bench.journal.take_up(LINE, LONG_AGO) is None


def test_a_message_that_its_conversation_left_is_not_taken_up(bench: Bench) -> None:
    first = bench.journal.add_piece(LINE, piece(b"H1\n"), message=None)
    second = bench.journal.add_piece(LINE, piece(b"H2\n"), message=None, previous=first)
    bench.journal.put_down(second, settled=False)
    assert bench.journal.take_up(LINE, LONG_AGO) == (second, (b"H2\n",))


def test_the_last_message_is_taken_up_until_its_acknowledgement_is_certain(bench: Bench) -> None:
    message = bench.journal.add_piece(LINE, piece(b"HL\n"), message=None, ends=True)
    bench.again()  # killed before the meter got its answer
    assert bench.journal.take_up(LINE, LONG_AGO) == (message, (b"HL\n",))
    bench.journal.put_down(message, settled=True)
    assert bench.journal.take_up(LINE, LONG_AGO) is None
    bench.journal.close()
    bench.again()
    assert bench.journal.take_up(LINE, LONG_AGO) is None


def test_what_broke_off_long_ago_is_not_taken_up(bench: Bench) -> None:
    message = bench.journal.add_piece(LINE, piece(b"H\n"), message=None)
    bench.journal.put_down(message, settled=False)
    assert bench.journal.take_up(LINE, NOW + timedelta(seconds=1)) is None


def test_a_message_that_was_given_up_and_goes_on_is_begun_again_whole(bench: Bench) -> None:
    old = bench.journal.add_piece(LINE, piece(b"H\n"), message=None)
    fault = whole("fault", state="undecodable")
    assert list(bench.journal.conclude([(old, fault)])) == [1]
    assert list(bench.journal.conclude([(old, fault)])) == []
    message = bench.journal.add_piece(LINE, piece(b"L\n"), message=old, ends=True)
    assert message != old
    assert [part.octets for part in bench.journal.pieces(message)] == [b"H\n", b"L\n"]
    assert list(bench.journal.conclude([(message, whole("result"))])) == [2]


@pytest.mark.parametrize(("again", "is_repeated"), [(b"HRL\n", True), (b"HSL\n", False)])
def test_a_broken_message_that_came_again_whole_is_no_loss(bench: Bench, again: bytes, is_repeated: bool) -> None:
    broken = bench.journal.add_piece(LINE, piece(b"HR"), message=None)
    put(bench.journal, again, whole("result"), previous=broken)
    waiting = bench.journal.open_messages(NOW + timedelta(hours=1))
    assert waiting == ([] if is_repeated else [(broken, LINE)])


def test_a_message_that_is_going_on_elsewhere_is_not_closed_as_repeated(bench: Bench) -> None:
    bench.journal.add_piece(LINE, piece(b"H"), message=None)
    put(bench.journal, b"HL", whole("result"))
    assert bench.journal.counts().open_messages == 1


def test_what_is_whole_waits_for_its_decoding_over_a_crash(bench: Bench) -> None:
    line = replace(LINE, origin=Origin.REPLAY)
    first = bench.journal.add_piece(line, piece(b"a"), message=None, ends=True)
    bench.journal.add_piece(LINE, piece(b"open"), message=None)
    second = bench.journal.add_piece(LINE, piece(b"b"), message=None, ends=True)
    bench.again()
    assert bench.journal.undecoded() == [(first, line), (second, LINE)]
    bench.journal.conclude([(first, whole()), (second, whole("one"))])
    assert bench.journal.undecoded() == []


def test_several_messages_are_concluded_in_one_commit(bench: Bench) -> None:
    messages = [bench.journal.add_piece(LINE, piece(b"a"), message=None, ends=True) for _ in range(3)]
    with commits(bench.journal) as seen:
        numbers = bench.journal.conclude([(message, whole("x", "y")) for message in messages])
    assert len(seen) == 1
    assert list(numbers) == [1, 2, 3, 4, 5, 6]
    found = bench.journal.last_messages("acme/1", 2)
    assert [[number for number, _payload in message.readings] for message in found] == [[5, 6], [3, 4]]


def test_open_messages_wait_for_their_time(bench: Bench) -> None:
    message = bench.journal.add_piece(LINE, piece(b"H\n"), message=None)
    bench.journal.add_piece(LINE, piece(b"R\n", minutes=10), message=message)
    assert bench.journal.open_messages(NOW + timedelta(minutes=10)) == []
    assert bench.journal.open_messages(NOW + timedelta(minutes=11)) == [(message, LINE)]


def test_damaged_octets_are_kept_and_bounded(bench: Bench) -> None:
    message = bench.journal.add_piece(LINE, piece(b"H\n"), message=None)
    bench.journal.note_rejected(LINE, message, b"!1", "checksum", "bad", NOW)
    bench.journal.flush()
    bench.journal.note_rejected(LINE, message, b"!2", "checksum", "bad", NOW)
    assert bench.journal.rejected(message) == [b"!1", b"!2"]
    for index in range(3 * REJECTED_PER_LINE):
        bench.journal.note_rejected(LINE, None, b"%d" % index, "checksum", "bad", NOW)
        if index % 7 == 0:
            bench.journal.flush()
    bench.journal.flush()
    assert bench.journal.counts().rejected == REJECTED_PER_LINE


def test_an_epoch_takes_the_receipts_above_its_mark(bench: Bench) -> None:
    add(bench.journal, b"a", "1", "2", "3", "4")
    before = bench.journal.epoch
    assert before is None
    assert bench.journal.adopt("first", 0, NOW)
    for number in (1, 2, 3):
        bench.journal.credit(number, "stored", "first", NOW)  # 3 is not even written yet when the epoch comes
    assert bench.journal.adopt("second", 2, NOW)
    assert [row.number for row in bench.journal.waiting(0, 10)] == [3, 4]
    assert not bench.journal.adopt("first", 0, NOW)
    assert not bench.journal.adopt("second", 0, NOW)
    bench.journal.close()
    bench.again()
    assert bench.journal.epoch == "second"
    assert [row.number for row in bench.journal.waiting(0, 10)] == [3, 4]


def test_identity_and_content_stay_over_a_crash(bench: Bench) -> None:
    add(bench.journal, b"a", "one")
    uuid = bench.journal.uuid
    bench.again()  # the first connection was never closed
    assert bench.journal.uuid == uuid
    assert [row.number for row in bench.journal.waiting(0, 10)] == [1]


def test_last_messages_of_a_meter_come_newest_first(bench: Bench) -> None:
    add(bench.journal, b"a", "1", "2")
    add(bench.journal, b"b", "3")
    put(bench.journal, b"c", whole("4", key="acme/2"))
    found = bench.journal.last_messages("acme/1", 10)
    assert [[number for number, _payload in message.readings] for message in found] == [[3], [1, 2]]


def test_a_file_that_breaks_under_the_hub_is_noticed(bench: Bench) -> None:
    add(bench.journal, b"a", "one")
    bench.journal._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with bench.path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (bench.path.stat().st_size - 4096))
    bench.journal._database.execute("PRAGMA shrink_memory")
    with pytest.raises(JournalError):
        bench.journal.last_messages("acme/1", 10)
    assert bench.journal.damaged


def test_memos_are_there_at_once_and_on_disk_with_the_next_commit(bench: Bench) -> None:
    bench.journal.note_memo(LINE, "last record SN1", b"7", NOW)
    bench.journal.note_memo(LINE, "last record SN1", b"8", NOW)
    assert bench.journal.memos(LINE) == {"last record SN1": b"8"}
    assert bench.journal.memos(replace(LINE, name="other")) == {}
    add(bench.journal)
    bench.again()
    assert bench.journal.memos(LINE) == {"last record SN1": b"8"}


def test_of_many_memos_those_touched_last_stay(bench: Bench) -> None:
    for number in range(MEMOS_PER_LINE + 5):
        bench.journal.note_memo(LINE, f"meter {number}", b"x", NOW + timedelta(seconds=number))
    bench.journal.flush()
    kept = bench.journal.memos(LINE)
    assert len(kept) == MEMOS_PER_LINE
    assert "meter 4" not in kept
    assert "meter 5" in kept


@pytest.mark.parametrize(("key", "octets"), [("k" * 201, b""), ("k", bytes(65_537))])
def test_a_memo_that_is_too_long_is_not_kept(bench: Bench, key: str, octets: bytes) -> None:
    bench.journal.note_memo(LINE, key, octets, NOW)
    assert bench.journal.memos(LINE) == {}
