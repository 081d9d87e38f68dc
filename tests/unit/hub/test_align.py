"""Recognising repetitions by order: never a new test taken for a repetition, never the reverse; else undecided."""

from __future__ import annotations

from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from gateway.hub.align import Known, Memory, align, same
from gateway.result import DeviceTime, Kind, Meter, Quantity, Result
from gateway.wire.reading import Repetition

METER = Meter(vendor="Acme", serial="1")
NEW = Repetition()


def result(inr: str, *, number: str | None = None, lot: str | None = None, time: str | None = None) -> Result:
    shown = None if time is None else DeviceTime(raw=time, local=None)
    return Result(
        kind=Kind.PATIENT,
        meter=METER,
        device_time=shown,
        inr=Quantity(text=inr, value=inr),
        record_number=number,
        strip_lot=lot,
    )


def known(*inrs: str, first: int = 1) -> tuple[Known, ...]:
    return tuple(Known(first + index, result(inr)) for index, inr in enumerate(inrs))


def say(memory: Memory, *inrs: str) -> list[Repetition]:
    return align(memory, [result(inr) for inr in inrs])


def of(*numbers: int) -> list[Repetition]:
    return [Repetition(of=number) for number in numbers]


def test_the_first_read_is_all_new() -> None:
    assert say(Memory(), "2.5", "2.5", "3.1") == [NEW, NEW, NEW]


def test_new_tests_behind_the_old_list() -> None:
    assert say(Memory(known("2.1", "2.2", "2.3")), "2.1", "2.2", "2.3", "2.4") == [*of(1, 2, 3), NEW]


def test_new_tests_before_the_old_list() -> None:
    assert say(Memory(known("2.3", "2.2", "2.1")), "2.4", "2.3", "2.2", "2.1") == [NEW, *of(1, 2, 3)]


def test_the_oldest_fell_out_of_the_memory() -> None:
    assert say(Memory(known("2.1", "2.2", "2.3")), "2.2", "2.3", "2.4") == [*of(2, 3), NEW]


def test_a_new_test_may_have_an_old_value_when_the_order_is_clear() -> None:
    assert say(Memory(known("2.1", "2.2", "2.3")), "2.1", "2.2", "2.3", "2.1") == [*of(1, 2, 3), NEW]


def test_one_equal_record_alone_is_undecided() -> None:
    assert say(Memory(since=known("2.5")), "2.5") == [Repetition(maybe=(1,))]


def test_one_other_record_alone_is_new() -> None:
    assert say(Memory(since=known("2.5")), "2.6") == [NEW]


def test_equal_values_throughout_are_undecided() -> None:
    found = say(Memory(known("2.5", "2.5", "2.5")), "2.5", "2.5", "2.5")
    assert [repetition.of for repetition in found] == [None, None, None]
    assert all(repetition.maybe for repetition in found)


def test_a_record_that_was_seen_and_comes_out_of_order_is_undecided() -> None:
    memory = Memory(known("2.1", "2.2", "2.3", first=4), older=known("3.1", "3.2", "3.3"))
    assert say(memory, "2.2") == [Repetition(maybe=(5,))]
    assert say(memory, "3.3") == [Repetition(maybe=(3,))]
    assert say(memory, "4.0") == [NEW]


def test_single_records_since_the_list_are_part_of_it() -> None:
    memory = Memory(known("2.1", "2.2"), since=known("2.3", first=3))
    assert say(memory, "2.1", "2.2", "2.3", "2.4") == [*of(1, 2, 3), NEW]
    newest_first = Memory(known("2.2", "2.1"), since=known("2.3", first=3))
    assert say(newest_first, "2.4", "2.3", "2.2", "2.1") == [NEW, *of(3, 1, 2)]


def test_a_record_number_decides_where_one_record_overlaps() -> None:
    memory = Memory(since=(Known(1, result("2.5", number="37")),))
    assert align(memory, [result("2.5", number="37")]) == of(1)
    assert align(memory, [result("2.5", number="38")]) == [Repetition(maybe=(1,))]  # meters renumber


def test_a_record_number_that_only_counts_positions_decides_nothing() -> None:
    memory = Memory(since=(Known(1, result("2.5", number="1")),))
    assert align(memory, [result("2.5", number="1")]) == [Repetition(maybe=(1,))]


def test_a_live_report_may_lack_what_the_stored_copy_has() -> None:
    memory = Memory((Known(1, result("2.5")), Known(2, result("2.6")), Known(3, result("2.7"))))
    stored = [result("2.5", lot="7"), result("2.6", lot="7"), result("2.7", lot="7")]
    assert align(memory, stored) == of(1, 2, 3)
    assert not same(result("2.5", lot="7"), result("2.5", lot="8"))
    assert not same(result("2.5", time="00:01"), result("2.5", time="00:02"))


def test_unreadable_records_keep_their_place_in_the_order() -> None:
    memory = Memory((Known(1, result("2.1")), Known(2, None), Known(3, result("2.3"))))
    records = [result("2.1"), None, result("2.3"), result("2.4")]
    assert align(memory, records) == [*of(1, 2, 3), NEW]


def test_time_of_another_meter_kind_is_no_concern() -> None:
    clocked = Result(
        kind=Kind.PATIENT,
        meter=METER,
        device_time=DeviceTime(raw="x", local=datetime(2026, 1, 1)),
        inr=Quantity(text="2.5", value="2.5"),
    )
    assert same(clocked, result("2.5"))


inrs = st.sampled_from(["1.9", "2.0", "2.5", "2.6", "3.0"])


@given(st.lists(inrs, max_size=12), st.lists(inrs, max_size=4), st.integers(0, 12), st.booleans())
def test_whatever_is_decided_is_right(old: list[str], fresh: list[str], dropped: int, newest_first: bool) -> None:
    """The memory is the old list without its oldest, and new tests: what `align` decides must agree with that."""
    kept = list(range(1, len(old) + 1))[min(dropped, max(len(old) - 2, 0)) :]
    truth: list[int | None] = [*kept, *[None] * len(fresh)]
    values = [old[number - 1] for number in kept] + fresh
    listed = known(*old)
    if newest_first:
        truth, values, listed = truth[::-1], values[::-1], listed[::-1]
    decided = say(Memory(listed), *values)
    assert len(decided) == len(truth)
    for found, right in zip(decided, truth, strict=True):
        if found.of is not None:
            assert found.of == right
        elif not found.maybe:
            assert right is None
    if len(kept) >= 3 and len({*old, *fresh}) == len(old) + len(fresh):  # nothing left to chance
        assert [found.of for found in decided] == truth
        assert not any(found.maybe for found in decided)


@given(st.lists(inrs, min_size=1, max_size=8), st.lists(inrs, min_size=1, max_size=8))
def test_numbers_come_from_the_memory_and_name_equal_records(old: list[str], records: list[str]) -> None:
    for found, inr in zip(say(Memory(known(*old)), *records), records, strict=True):
        numbers = (*found.maybe, *([found.of] if found.of else []))
        assert all(old[number - 1] == inr for number in numbers)
        assert not (found.of and found.maybe)


@given(st.lists(inrs, min_size=1, max_size=8), st.lists(inrs, min_size=1, max_size=8))
def test_without_an_overlap_nothing_that_was_seen_is_new(old: list[str], records: list[str]) -> None:
    found = say(Memory(older=known(*old)), *records)
    for repetition, inr in zip(found, records, strict=True):
        assert (repetition == NEW) == (inr not in old)
