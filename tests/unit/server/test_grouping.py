"""Readings of one test become one result, in whatever order they come; contradictions are shown."""

from __future__ import annotations

import base64
import itertools
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.result import Kind, Quantity
from gateway.server.refusals import Reason
from gateway.wire.reading import Reading, Repetition
from tests.unit.server.stage import JOURNAL, NOW, OTHER_JOURNAL, Stage, clock, reading, result

NEVER_SET = "2000-01-01T00:05:00"


def raw(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def groups(stage: Stage) -> set[frozenset[tuple[str, int]]]:
    """Which readings make up one result."""
    found: dict[int, set[tuple[str, int]]] = {}
    for row in stage.rows("SELECT result_id, journal, number FROM reading WHERE result_id IS NOT NULL"):
        found.setdefault(row["result_id"], set()).add((row["journal"], row["number"]))
    return {frozenset(group) for group in found.values()}


TESTS = [
    result("2026-03-01T07:00:00", "2.5"),
    result("2026-03-01T07:00:00", "2.5", strip_lot=None, record_number="7"),  # the same test, told with less
    result("2026-03-01T07:00:00", "2.50"),
    result("2026-03-01T07:00:00", "2.6"),
    result("2026-03-08T07:00:00", ">8.0"),
    result("2026-03-08T07:00:00", "8.0"),
    result("2026-03-09T07:00:00", kind=Kind.CONTROL, inr="1.1"),
    result("2026-03-10T07:00:00", "2.5", strip_lot="1"),
    result("2026-03-10T07:00:00", "2.5", strip_lot="2"),  # contradicts the one before
    result("2026-03-11T07:00:00", kind=Kind.ERROR, error_code="E-5"),
]


@given(st.permutations(range(len(TESTS))), st.integers(1, 5))
@settings(max_examples=20, deadline=None)
def test_grouping_and_conflicts_do_not_depend_on_order_or_batches(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], size: int
) -> None:
    stage = Stage(tmp_path_factory.mktemp("order"))
    everything = [reading(index + 1, TESTS[index]) for index in order]
    for first in range(0, len(everything), size):
        stage.take(*everything[first : first + size])
    own = {
        frozenset((str(JOURNAL), number) for number in group)
        for group in ({1, 2, 3}, {4}, {5}, {6}, {7}, {8, 9}, {10})
    }
    assert groups(stage) == own
    assert stage.reasons() == [Reason.CONFLICT]
    (held,) = stage.rows("SELECT DISTINCT result_id FROM reading WHERE number IN (8, 9)")
    assert stage.waiting()[0].result_id == held["result_id"]
    stage.close()


def test_a_copy_that_contradicts_holds_the_result_back_and_names_the_fields(stage: Stage) -> None:
    stage.take(reading(1))
    (taken,) = stage.take(reading(2, result(strip_lot="OTHER", pt_seconds=Quantity(text="29", value="29"))))
    assert taken.verdict == "quarantined"
    (entry,) = stage.waiting()
    assert entry.reason == Reason.CONFLICT
    assert "strip_lot" in entry.detail
    assert "564636" not in entry.detail


def test_two_records_of_one_message_with_one_identity_are_a_conflict(stage: Stage) -> None:
    stage.take(reading(1, message=9, position=0, raw=raw("a")), reading(2, message=9, position=1, raw=raw("b")))
    assert stage.reasons() == [Reason.CONFLICT]


def test_the_same_octets_twice_in_one_message_are_no_conflict(stage: Stage) -> None:
    stage.take(reading(1, message=9, position=0, raw=raw("a")), reading(2, message=9, position=1, raw=raw("a")))
    assert stage.reasons() == []
    assert stage.count("result") == 1


@pytest.mark.parametrize("order", list(itertools.permutations([0, 1, 2])))
def test_two_in_one_message_are_found_in_any_order_beside_a_copy(stage: Stage, order: tuple[int, ...]) -> None:
    copies = [
        reading(1, message=9, position=0, raw=raw("a")),
        reading(2, message=9, position=1, raw=raw("b")),
        reading(3, message=10, position=0, raw=raw("a")),
    ]
    for index in order:
        stage.take(copies[index])
    assert stage.reasons() == [Reason.CONFLICT]


def test_errors_of_one_second_are_no_conflict(stage: Stage) -> None:
    stage.take(
        reading(1, result(kind=Kind.ERROR, error_code="E-5"), message=1, position=0, raw=raw("a")),
        reading(2, result(kind=Kind.ERROR, error_code="E-6"), message=1, position=1, raw=raw("b")),
    )
    assert stage.reasons() == []


def test_a_control_that_was_sent_as_a_patients_result_is_a_conflict(stage: Stage) -> None:
    stage.take(reading(1), reading(2, result(kind=Kind.CONTROL)))
    assert stage.reasons() == [Reason.CONFLICT]
    assert "kind" in stage.waiting()[0].detail


# ---------------------------------------------------------------- meters without a running clock


def unclocked(
    number: int, inr: str = "2.5", of: int | None = None, maybe: tuple[int, ...] = (), **changes: Any
) -> Reading:
    fields: dict[str, Any] = {
        "repetition": Repetition(of=of, maybe=maybe),
        "meter_clock": clock("2000-01-01T00:06:00"),
        **changes,
    }
    return reading(number, result(NEVER_SET, inr), **fields)


def test_equal_times_of_a_clock_that_was_never_set_are_different_tests(stage: Stage) -> None:
    stage.take(unclocked(1), unclocked(2))
    assert groups(stage) == {frozenset({(str(JOURNAL), 1)}), frozenset({(str(JOURNAL), 2)})}
    assert stage.count("version") == 2


@pytest.mark.parametrize("order", list(itertools.permutations([0, 1, 2])))
def test_a_chain_of_repetitions_is_one_result_in_any_order(stage: Stage, order: tuple[int, ...]) -> None:
    chain = [unclocked(1), unclocked(4, of=1), unclocked(7, of=4)]
    for index in order:
        stage.take(chain[index])
    assert groups(stage) == {frozenset({(str(JOURNAL), number) for number in (1, 4, 7)})}
    assert stage.reasons() == []
    assert [row["key"] for row in stage.rows("SELECT key FROM result")] == [f"{JOURNAL}/1"]
    assert stage.count("version") == 1


def test_a_repetition_waits_for_what_it_repeats(stage: Stage) -> None:
    (taken,) = stage.take(unclocked(4, of=1))
    assert taken.verdict == "quarantined"
    assert stage.reasons() == [Reason.REPEATS_UNSEEN]


def test_a_repetition_with_another_inr_is_a_conflict(stage: Stage) -> None:
    stage.take(unclocked(1), unclocked(4, "3.9", of=1))
    assert stage.reasons() == [Reason.CONFLICT]
    assert "inr" in stage.waiting()[0].detail


def test_what_may_repeat_waits_for_a_person_and_is_not_counted(stage: Stage) -> None:
    stage.take(unclocked(1), unclocked(2, maybe=(1,)))
    (entry,) = stage.waiting()
    assert entry.reason == Reason.AMBIGUOUS_REPEAT
    assert "1" in entry.detail
    assert stage.count("version") == 1


def test_another_journals_reading_of_such_a_meter_waits_when_the_inr_is_equal(stage: Stage) -> None:
    stage.take(unclocked(1), unclocked(1, journal=OTHER_JOURNAL), unclocked(2, "3.3", journal=OTHER_JOURNAL))
    assert stage.reasons() == [Reason.AMBIGUOUS_REPEAT]
    assert stage.count("version") == 2


def test_a_clock_that_was_never_set_and_nobody_aligned_waits(stage: Stage) -> None:
    stage.take(unclocked(1, repetition=None))
    assert stage.reasons() == [Reason.AMBIGUOUS_REPEAT]


# ---------------------------------------------------------------- a clock that jumps


def test_the_same_time_after_a_reset_of_the_clock_is_a_conflict_and_not_a_repeat(stage: Stage) -> None:
    reset = result("2015-01-01T00:05:00")
    stage.take(reading(1, reset, meter_clock=clock("2015-01-01T00:09:00", NOW - timedelta(days=14))))
    stage.take(reading(2, reset, meter_clock=clock("2015-01-01T00:10:00", NOW)))
    assert stage.count("version") == 1
    assert stage.reasons() == [Reason.CONFLICT]
    stage.release(stage.waiting()[0].id, as_two=True)
    assert stage.count("version") == 2


def test_reading_a_wrong_clock_again_is_a_repeat(stage: Stage) -> None:
    wrong = result("2015-01-01T00:05:00")
    stage.take(reading(1, wrong, meter_clock=clock("2015-01-01T00:09:00", NOW - timedelta(days=14))))
    stage.take(reading(2, wrong, meter_clock=clock("2015-01-15T00:10:00", NOW)))
    assert (stage.reasons(), stage.count("version")) == ([], 1)


def test_reading_the_memory_again_after_the_clock_was_put_right_is_a_repeat(stage: Stage) -> None:
    wrong = result("2026-02-20T00:05:00")
    stage.take(reading(1, wrong, meter_clock=clock("2026-02-20T00:09:00", NOW - timedelta(days=7))))
    stage.take(reading(2, wrong, meter_clock=clock("2026-03-14T11:00:00", NOW)))
    assert (stage.reasons(), stage.count("version")) == ([], 1)


# ---------------------------------------------------------------- a person decides


def test_keeping_the_first_copy_lets_the_result_go_on_unchanged(stage: Stage) -> None:
    stage.take(reading(1), reading(2, result(strip_lot="OTHER")))
    stage.release(stage.waiting()[0].id, keep=1)
    assert stage.waiting() == []
    assert [(row["version"], row["status"]) for row in stage.versions()] == [(1, "final")]


def test_keeping_the_other_copy_corrects_what_was_known(stage: Stage) -> None:
    stage.take(reading(1), reading(2, result(strip_lot="OTHER")))
    stage.release(stage.waiting()[0].id, keep=2)
    assert [(row["version"], row["status"]) for row in stage.versions()] == [(1, "final"), (2, "corrected")]
    assert '"OTHER"' in stage.versions()[1]["body"]
    assert stage.versions()[1]["reading_id"] == 2


def test_keeping_a_control_takes_the_patients_result_back(stage: Stage) -> None:
    stage.take(reading(1), reading(2, result(kind=Kind.CONTROL)))
    stage.release(stage.waiting()[0].id, keep=2)
    assert [row["status"] for row in stage.versions()] == ["final", "retracted"]
    assert [row["kind"] for row in stage.rows("SELECT kind FROM result")] == ["control"]


def test_two_tests_with_one_identity_become_two_results_and_stay_two(stage: Stage) -> None:
    stage.take(reading(1, message=9, position=0, raw=raw("a")), reading(2, message=9, position=1, raw=raw("b")))
    stage.release(stage.waiting()[0].id, as_two=True)
    assert groups(stage) == {frozenset({(str(JOURNAL), 1)}), frozenset({(str(JOURNAL), 2)})}
    assert [row["status"] for row in stage.versions()] == ["final", "final"]
    # The meter sends its whole memory again.
    stage.take(reading(3, message=10, position=0, raw=raw("a")), reading(4, message=10, position=1, raw=raw("b")))
    assert stage.waiting() == []
    assert groups(stage) == {
        frozenset({(str(JOURNAL), 1), (str(JOURNAL), 3)}),
        frozenset({(str(JOURNAL), 2), (str(JOURNAL), 4)}),
    }


def test_a_decided_contradiction_does_not_come_up_again(stage: Stage) -> None:
    other = result(strip_lot="OTHER")
    stage.take(reading(1), reading(2, other))
    stage.release(stage.waiting()[0].id, keep=1)
    stage.take(reading(3), reading(4, other))
    assert stage.waiting() == []
    stage.take(reading(5, result(strip_lot="A THIRD")))
    assert stage.reasons() == [Reason.CONFLICT]


def test_three_copies_that_differ_ask_until_all_is_decided(stage: Stage) -> None:
    stage.take(
        reading(1, result(strip_lot="1")), reading(2, result(strip_lot="2")), reading(3, result(strip_lot="3"))
    )
    (entry,) = stage.waiting()
    stage.release(entry.id, as_two=True)
    (left,) = stage.waiting()
    assert left.reason == Reason.CONFLICT
    stage.release(left.id, keep=1)
    assert stage.waiting() == []
    assert groups(stage) == {frozenset({(str(JOURNAL), 1), (str(JOURNAL), 3)}), frozenset({(str(JOURNAL), 2)})}


def test_a_doubtful_repetition_joins_the_test_that_a_person_names(stage: Stage) -> None:
    stage.take(unclocked(1), unclocked(2, maybe=(1,)), unclocked(3, of=2))
    stage.release(stage.waiting()[0].id, keep=1)
    assert stage.waiting() == []
    assert stage.count("version") == 1
    assert groups(stage) == {frozenset({(str(JOURNAL), number) for number in (1, 2, 3)})}
    stage.take(unclocked(4, of=3))
    assert len(groups(stage)) == 1


def test_a_doubtful_repetition_may_be_a_test_of_its_own(stage: Stage) -> None:
    stage.take(unclocked(1), unclocked(2, maybe=(1,)))
    stage.release(stage.waiting()[0].id, as_two=True)
    assert (stage.waiting(), stage.count("version")) == ([], 2)
