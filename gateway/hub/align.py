"""Recognising records that were read before, by their order, when the meter has no running clock.

Without a believable time a record cannot be identified by itself: two tests may give the same values. But a meter's
memory is a list. Read again, it is the earlier list, perhaps without its oldest records, and the new ones at one
end. Where only one way of laying the two lists over each other fits, it tells repetitions from new tests. Where
several fit, or only a single record overlaps, nothing is decided: a repetition taken for new would be counted
twice, a new test taken for a repetition would be lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.result import Result, content_differs, normalised_inr
from gateway.wire.reading import Repetition

__all__ = ["Known", "Memory", "align"]

SHORT = 1
"""An overlap of one record may be chance."""
CLEAR = 3
"""An overlap this long makes a competing one of a single record chance."""
MOST_CANDIDATES = 20


@dataclass(frozen=True, slots=True)
class Known:
    """A record that stands in the journal.

    Attributes:
        number: of the reading that carried it first.
        result: None for a record that could not be read.
    """

    number: int
    result: Result | None


@dataclass(frozen=True, slots=True)
class Memory:
    """What the journal knows of a meter's memory.

    Attributes:
        listed: the records of its last message with more than one, in that order.
        since: what came one by one after it, oldest first.
        older: everything before `listed`.
    """

    listed: tuple[Known, ...] = ()
    since: tuple[Known, ...] = ()
    older: tuple[Known, ...] = ()


@dataclass(frozen=True, slots=True)
class _Overlay:
    """One way to lay the earlier list over the present one: for each record the earlier one that it repeats."""

    length: int
    repeats: tuple[Known | None, ...]


def align(memory: Memory, records: Sequence[Result | None]) -> list[Repetition]:
    """Say of each record of a message what it repeats.

    Args:
        memory: what is known of this meter.
        records: the records of the message in its order; None for one that could not be read.

    Returns:
        For each record: ``of`` an earlier reading; neither, for a new test; or ``maybe``.
    """
    overlays = _overlays(memory.listed + memory.since, records, oldest_first=True)
    overlays += _overlays(memory.since[::-1] + memory.listed, records, oldest_first=False)
    longest = max((overlay.length for overlay in overlays), default=0)
    if longest >= CLEAR:
        overlays = [overlay for overlay in overlays if overlay.length > SHORT]
    sure = longest > SHORT or _distinguished(memory, records, overlays)
    ways = [overlay.repeats for overlay in overlays]
    if not sure:
        ways.append((None,) * len(records))  # perhaps nothing overlaps
    return [_judge([way[index] for way in ways], memory, record, sure) for index, record in enumerate(records)]


def _overlays(image: Sequence[Known], records: Sequence[Result | None], *, oldest_first: bool) -> list[_Overlay]:
    found = []
    count = len(records)
    for length in range(1, min(len(image), count) + 1):
        start = 0 if oldest_first else count - length
        earlier = image[len(image) - length :] if oldest_first else image[:length]
        if all(same(known.result, records[start + offset]) for offset, known in enumerate(earlier)):
            repeats = (None,) * start + tuple(earlier) + (None,) * (count - length - start)
            found.append(_Overlay(length, repeats))
    return found


def _distinguished(memory: Memory, records: Sequence[Result | None], overlays: Sequence[_Overlay]) -> bool:
    """Whether the meter's own record number bears out the one overlap of a single record."""
    pairs = {
        (index, known)
        for overlay in overlays
        for index, known in enumerate(overlay.repeats)
        if known is not None and overlay.length == SHORT
    }
    if len(pairs) != 1:
        return False
    index, known = pairs.pop()
    record = records[index]
    if record is None or known.result is None or record.record_number is None:
        return False
    number = record.record_number
    earlier = memory.listed + memory.since
    position = {index + 1, earlier.index(known) + 1}
    if number != known.result.record_number or (number.isdecimal() and int(number) in position):
        return False  # a number that only counts the records of a message tells nothing
    here = Counter(result.record_number for result in records if result is not None)
    there = Counter(known.result.record_number for known in earlier if known.result is not None)
    return here[number] == 1 and there[number] == 1


def _judge(candidates: list[Known | None], memory: Memory, record: Result | None, sure: bool) -> Repetition:
    numbers = {known.number for known in candidates if known is not None}
    new_is_possible = not candidates or None in candidates
    if not sure:  # no order to go by: anything that was seen before may be seen again
        everything = memory.older + memory.listed + memory.since
        numbers |= {known.number for known in everything if same(known.result, record)}
    if not numbers:
        return Repetition()
    if len(numbers) == 1 and not new_is_possible:
        return Repetition(of=numbers.pop())
    return Repetition(maybe=tuple(sorted(numbers)[-MOST_CANDIDATES:]))


def same(left: Result | None, right: Result | None) -> bool:
    """Whether two records may be one test: what both say agrees. Record numbers do not matter, meters renumber."""
    if left is None or right is None:
        return left is right
    if left.kind is not right.kind or normalised_inr(left.inr) != normalised_inr(right.inr):
        return False
    times = (left.device_time, right.device_time)
    if times[0] is not None and times[1] is not None and times[0].raw != times[1].raw:
        return False
    return not content_differs(left, right)
