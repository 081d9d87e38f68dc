"""The checks. A subclass says which driver and which conversation; every method ``test_…`` checks one promise."""

from __future__ import annotations

import re
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar
from unittest import SkipTest

from hypothesis import HealthCheck, given, settings

from drivers.conformance.conversation import Conversation
from drivers.conformance.host import PATIENCE_S, BrokenPromiseError, Entry, Host, play
from drivers.conformance.hostile import damaged, floods, splits
from drivers.contract import NO_MEMOS, Decoded, Driver, MeterRecord, Quantity, RecordKind, Session, Unreadable
from drivers.errors import DriverError

__all__ = ["DriverConformance"]

_DAY_S = 86_400.0
_CLOCK = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?|(?<!\d)\d{14}(?!\d)")


class DriverConformance:
    """Subclass it, name the subclass ``Test…``, and give it what stands here.

    Attributes:
        driver: the class to be proven.
        profile: its profile.
        conversation: at least one result; better a patient's result, a control, an error and one off the range.
            Keep it short: it is played again for each of its octets.
        expected: how many records of each `RecordKind` it holds, if you know; unreadable parts count as None.
        acknowledges: the protocol has acknowledgements, so that every piece is answered.
        repeats_after_s: a meter that got no answer repeats after this; not less than the meter's own timer, if
            answers that cross a repetition cannot be told from answers to it; not more than the host waits for an
            answer to a question of its own.
        most_cuts: a longer conversation is cut at so many of its octets only, those around turns among them.
        examples: how many damaged conversations and random splits are tried.
        most_held_octets: how much memory a session may hold whatever arrives.
        slowest_s: what no damaged conversation may take longer than.
    """

    driver: ClassVar[type[Driver]]
    profile: ClassVar[Mapping[str, object]] = {}
    conversation: ClassVar[Conversation]
    expected: ClassVar[Mapping[Any, int] | None] = None
    acknowledges: ClassVar[bool] = True
    repeats_after_s: ClassVar[float] = 5.0
    most_cuts: ClassVar[int] = 3000
    examples: ClassVar[int] = 100
    most_held_octets: ClassVar[int] = 4_194_304
    slowest_s: ClassVar[float] = 5.0

    def new_driver(self) -> Driver:
        """A driver that remembers nothing, as after a restart. Override it to give the driver more."""
        return self.driver(self.profile)

    def comparable(self, octets: bytes) -> bytes:
        """Octets to the meter without what depends on the hub's clock. Override it if your protocol needs it."""
        return _CLOCK.sub(b"(time)", octets)

    def repeats(self, turn: bytes) -> bool:  # noqa: ARG002 - for subclasses
        """Whether the meter sends this turn again when it hears nothing. Override it if some turns only answer."""
        return True

    # ---------------------------------------------------------------- the promises

    def test_the_conversation_is_read_in_order(self) -> None:
        """The conversation as it stands ends without an error and gives records; all else rests on this."""
        host = self._reference
        if not host.messages:
            raise BrokenPromiseError(
                "no message became whole; is it this driver's conversation, from its first octet on?"
            )
        for finished in host.finished:
            if finished.error is not None:
                raise BrokenPromiseError(f"the conversation ends with an error: {finished.error}")
        if not host.finished:
            raise BrokenPromiseError("the conversation ends without Finished, even when the connection is lost")
        if not self._items:
            raise BrokenPromiseError("the messages hold neither records nor unreadable parts")
        if self.expected is not None:
            found = Counter(item.kind if isinstance(item, MeterRecord) else None for item in self._items.values())
            if found != Counter(self.expected):
                raise BrokenPromiseError(f"expected {_listed(self.expected)}; decoded {_listed(found)}")

    def test_any_chunking_gives_the_same_events(self) -> None:
        """Promise 1: one octet at a time, and split anywhere."""
        turns, expected = self._conversation.turns, self._log(self._reference)
        single = play(self._host(), turns, split=lambda turn: [bytes([octet]) for octet in turn])
        _compare("one octet at a time", self._log(single), expected)

        @self._settings(self.examples)
        @given(splits(len(self._conversation)))
        def check(places: list[int]) -> None:
            _compare(f"cut at {places}", self._log(play(self._host(), turns, split=_Cutter(places))), expected)

        check()

    def test_nothing_is_acknowledged_before_confirm(self) -> None:
        """Promise 2: while a piece waits, the meter hears nothing, whatever it sends and however long it takes."""
        accepted = self._answers(self._reference)
        for ordinal in range(len(self._reference.commits)):
            host = Host(self._new_session(), withholds=ordinal)
            play(host, self._conversation.turns, lose=False)
            host.wait(_DAY_S)
            host.lost()
            goodbye = self._answers(host)[ordinal]
            if goodbye and goodbye == accepted[ordinal]:
                raise BrokenPromiseError(f"piece {ordinal + 1} is acknowledged though it was never confirmed")

    def test_every_confirmed_piece_is_answered(self) -> None:
        """What is confirmed is acknowledged, at once or as soon as the meter has finished sending."""
        if not self.acknowledges:
            raise SkipTest("this protocol has no acknowledgements")
        for ordinal, answer in enumerate(self._answers(self._reference)):
            if not answer:
                raise BrokenPromiseError(f"piece {ordinal + 1} was confirmed, and the meter was never told")

    def test_refuse_acknowledges_nothing_and_loses_nothing(self) -> None:
        """What could not be committed is not acknowledged; the meter's next attempt brings it."""
        accepted = self._answers(self._reference)
        for ordinal, answer in enumerate(accepted):
            host = play(Host(self._new_session(), refuses={ordinal}), self._conversation.turns, lose=False)
            refused = self._answers(host)[ordinal : ordinal + 1]
            if self.acknowledges and answer and refused == [answer]:
                raise BrokenPromiseError(
                    f"piece {ordinal + 1} was refused, and the meter hears the same as if it were confirmed"
                )
            host.lost()
            self._nothing_is_lost(host, f"piece {ordinal + 1} was refused")

    def test_nothing_is_lost_wherever_the_connection_breaks(self) -> None:
        """Cut at every octet: what the meter was told is committed, and the rest comes with its next attempt."""
        turns, reference = self._conversation.turns, self._log(self._reference)
        for cut in self._cuts():
            host = play(self._host(), turns, cut=cut)
            log = [entry for entry in self._log(host) if entry[0] not in _ENDS]
            before = [entry for entry in reference if entry[0] not in _ENDS]
            if log != before[: len(log)]:
                raise BrokenPromiseError(
                    f"cut after octet {cut}: the session did other things before the cut than without it"
                )
            self._nothing_is_lost(host, f"cut after octet {cut}")

    def test_a_repetition_is_acknowledged_again_and_not_new(self) -> None:
        """Promise 4: the meter missed an acknowledgement and sends the piece again."""
        once = [index for index in self._single_piece_turns() if self.repeats(self._conversation.turns[index])]
        if not once:
            raise SkipTest("no turn holds exactly one piece; record a meter that waits after each")
        for index in once:
            host = self._host()
            host.opened()
            for number, turn in enumerate(self._conversation.turns):
                for is_again in (False, True)[: 2 if number == index else 1]:
                    if is_again:
                        host.wait(self.repeats_after_s)
                    self._turn(host, turn, must_answer=is_again and self.acknowledges, number=number)
            host.wait(PATIENCE_S)
            host.lost()
            if host.commits != self._reference.commits:
                raise BrokenPromiseError(
                    f"turn {index + 1} was repeated after its acknowledgement, and other pieces came of it; if the "
                    "meter never repeats such a turn, override repeats()"
                )

    def test_a_meter_that_falls_silent_is_given_up(self) -> None:
        """Time-outs: silence in the middle of a turn ends the conversation, by `tick` alone."""
        for index in self._single_piece_turns() or range(len(self._conversation.turns)):
            turn = self._conversation.turns[index]
            if len(turn) < 2:
                continue
            host = play(self._host(), [*self._conversation.turns[:index], turn[: len(turn) // 2]], lose=False)
            known = len(host.log)
            host.wait(_DAY_S)
            if not any(name.startswith(_ENDS) for name, _ in host.log[known:]):
                raise BrokenPromiseError(
                    f"half of turn {index + 1} came, then nothing for a day; tick() yields neither Finished nor "
                    "Rejected, so nobody learns of it"
                )
            host.lost()

    def test_decode_is_a_pure_function(self) -> None:
        """The same octets give the same records, in any order of calls and from a driver that knows nothing."""
        messages = self._reference.messages
        driver = self.new_driver()
        first = [_plain(driver.decode(message)) for message in messages]
        again = [_plain(driver.decode(message)) for message in reversed(messages)][::-1]
        fresh = [_plain(self.new_driver().decode(message)) for message in messages]
        if not first == again == fresh:
            raise BrokenPromiseError(
                "decode() gives other records when it is called again, in another order, or by a new driver"
            )

    def test_each_record_is_decoded_from_its_own_octets(self) -> None:
        """`MeterRecord.octets`, with nothing else, decode to the same record."""
        for number, item in enumerate(self._items.values(), 1):
            if isinstance(item, Unreadable):
                continue
            alone = self.new_driver().decode([item.octets]).items
            if alone != (item,):
                raise BrokenPromiseError(
                    f"record {number}: its own octets decode to {len(alone)} other items or other values"
                )

    def test_records_say_what_they_may_say(self) -> None:
        """An error has no value, a patient's result has an INR, times have no zone, numbers are numbers."""
        for decoded, message in zip(self._decoded(self._reference), self._reference.messages, strict=True):
            if decoded.clock is not None and not 0 <= decoded.clock.piece < len(message):
                raise BrokenPromiseError(
                    f"the meter's clock is said to stand in piece {decoded.clock.piece} of {len(message)}"
                )
        for number, item in enumerate(self._items.values(), 1):
            if isinstance(item, MeterRecord):
                problem = _problem(item)
                if problem:
                    raise BrokenPromiseError(f"record {number}: {problem}")
            elif not item.octets:
                raise BrokenPromiseError(f"item {number} is unreadable and has no octets")

    def test_hostile_octets_do_no_harm(self) -> None:
        """Promise 3: damaged conversations raise nothing but DriverError, do not hang, and can be cut off."""

        @self._settings(self.examples * 2)
        @given(damaged(self._conversation))
        def check(turns: list[bytes]) -> None:
            started_s = time.monotonic()
            host = play(self._host(), turns, lose=False)
            host.wait(_DAY_S)
            host.lost()
            driver = self.new_driver()
            for octets in ([*host.messages, [*host.commits]] if host.commits else []) + [[t] for t in turns]:
                try:
                    driver.decode(octets)
                except DriverError:
                    continue
            if time.monotonic() - started_s > self.slowest_s:
                raise BrokenPromiseError(f"a damaged conversation takes longer than {self.slowest_s:g} s")

        check()

    def test_floods_fill_no_memory(self) -> None:
        """Promise 3: a meter that never stops, confirmed or not, is held in bounded memory."""
        octets = self.most_held_octets * 3 // 2
        for withholds in (None, 0):
            for what, start, chunks in floods(self._conversation, octets):
                host = Host(self._new_session(), withholds=withholds, forgets=True)
                if withholds is not None:
                    play(host, self._conversation.turns, lose=False)
                else:
                    host.opened()
                    host.receive(start)
                _flood(host, chunks, self.most_held_octets, what)

    # ---------------------------------------------------------------- what they share

    @cached_property
    def _conversation(self) -> Conversation:
        return self.conversation

    @cached_property
    def _reference(self) -> Host:
        return play(self._host(), self._conversation.turns)

    @cached_property
    def _items(self) -> dict[bytes, MeterRecord | Unreadable]:
        return self._items_of(self._reference)

    def _new_session(self, unfinished: Iterable[bytes] = (), memos: Mapping[str, bytes] = NO_MEMOS) -> Session:
        return self.new_driver().session(tuple(unfinished), memos)

    def _host(self) -> Host:
        return Host(self._new_session())

    def _log(self, host: Host) -> list[Entry]:
        return [(name, self.comparable(octets) if name == "Send" else octets) for name, octets in host.log]

    def _decoded(self, host: Host) -> list[Decoded]:
        return self._decoded_anew(host.messages)

    def _decoded_anew(self, messages: Iterable[list[bytes]]) -> list[Decoded]:
        driver = self.new_driver()
        try:
            return [driver.decode(message) for message in messages]
        except DriverError as error:
            raise BrokenPromiseError(
                f"a message that the session called whole cannot be decoded: {error}"
            ) from error

    def _items_of(self, host: Host) -> dict[bytes, MeterRecord | Unreadable]:
        return {item.octets: item for decoded in self._decoded(host) for item in decoded.items}

    def _answers(self, host: Host) -> list[bytes]:
        """What the meter hears after each piece and before the next."""
        answers: list[bytes] = []
        for name, octets in self._log(host):
            if name.startswith("Piece"):
                answers.append(b"")
            elif name == "Send" and answers:
                answers[-1] += octets
        return answers

    def _nothing_is_lost(self, host: Host, where: str) -> None:
        """The meter begins anew, and everything is there."""
        key = (host.is_open, tuple(host.last), tuple(map(tuple, host.messages)))
        if key in self._known:
            return
        self._known.add(key)
        again = play(Host(self._new_session(host.last, host.memos)).after(host), self._conversation.turns)
        found = {**self._items_of(host), **self._items_of(again)}
        missing = self._items.keys() - found.keys()
        if missing:
            raise BrokenPromiseError(
                f"{where}: {len(missing)} of {len(self._items)} records are lost when the meter begins anew"
            )
        if found.keys() - self._items.keys():
            raise BrokenPromiseError(f"{where}: records appear that the meter never sent")

    @cached_property
    def _known(self) -> set[tuple[object, ...]]:
        return set()

    def _cuts(self) -> list[int]:
        octets = len(self._conversation)
        if octets <= self.most_cuts:
            return list(range(1, octets + 1))
        near: set[int] = set()
        end = 0
        for turn in self._conversation.turns:
            end += len(turn)
            near.update(range(max(1, end - 3), min(octets, end + 3) + 1))
        return sorted(near | set(range(1, octets + 1, -(-octets // self.most_cuts))))

    def _single_piece_turns(self) -> list[int]:
        host = self._host()
        host.opened()
        found = []
        for number, turn in enumerate(self._conversation.turns):
            before = len(host.commits)
            self._turn(host, turn, must_answer=False, number=number)
            if len(host.commits) == before + 1 and not host.is_closed:
                found.append(number)
        return found

    @staticmethod
    def _turn(host: Host, turn: bytes, *, must_answer: bool, number: int) -> None:
        said = host.said
        host.receive(turn)
        if host.said == said:
            host.wait(PATIENCE_S, until_said=True)
        if must_answer and host.said == said:
            raise BrokenPromiseError(
                f"turn {number + 1} came again because its acknowledgement was lost, and gets none"
            )

    @staticmethod
    def _settings(examples: int) -> settings:
        return settings(
            max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )


_ENDS = ("Finished", "Finished close", "Rejected")


class _Cutter:
    """Splits turns at places of the whole stream."""

    def __init__(self, places: list[int]) -> None:
        self._places = places
        self._at = 0

    def __call__(self, turn: bytes) -> Iterator[bytes]:
        inside = [place - self._at for place in self._places if self._at < place < self._at + len(turn)]
        self._at += len(turn)
        for start, stop in zip([0, *inside], [*inside, len(turn)], strict=True):
            yield turn[start:stop]


def _compare(how: str, found: list[Entry], expected: list[Entry]) -> None:
    if found == expected:
        return
    number = next((n for n, pair in enumerate(zip(found, expected, strict=False)) if pair[0] != pair[1]), None)
    if number is None:
        raise BrokenPromiseError(f"{how}: {len(found)} events instead of {len(expected)}")
    raise BrokenPromiseError(
        f"{how}: event {number + 1} is {found[number][0]} instead of {expected[number][0]}, or other octets"
    )


def _flood(host: Host, chunks: Iterator[bytes], most_octets: int, what: str) -> None:
    tracemalloc.start()
    try:
        base, _ = tracemalloc.get_traced_memory()
        for chunk in chunks:
            host.receive(chunk)
            held = tracemalloc.get_traced_memory()[0] - base
            if held > most_octets:
                raise BrokenPromiseError(f"{what}: the session holds {held} octets; {most_octets} are allowed")
    finally:
        tracemalloc.stop()


def _plain(decoded: Decoded) -> tuple[object, ...]:
    """What can be compared; errors are compared by what they say."""
    items = [
        (item.octets, str(item.error), item.error.reason) if isinstance(item, Unreadable) else item
        for item in decoded.items
    ]
    return decoded.meter, decoded.clock, items


def _problem(record: MeterRecord) -> str | None:
    quantities = (record.inr, record.pt_seconds, record.quick_percent)
    if not record.octets:
        return "it has no octets"
    if record.kind is RecordKind.ERROR and any(each is not None and each.value is not None for each in quantities):
        return "it is an error and has a value"
    if record.kind is RecordKind.PATIENT and record.inr is None:
        return "it is a patient's result and has no INR"
    if record.device_time is not None and record.device_time.local is not None:
        local: datetime = record.device_time.local
        if local.tzinfo is not None:
            return "its time has a zone; local is naive, and utc_offset_min says what the meter said"
    return next((why for each in quantities if each is not None and (why := _quantity_problem(each))), None)


def _quantity_problem(quantity: Quantity) -> str | None:
    if not quantity.text:
        return "a quantity has no text: nobody can see what the meter wrote"
    if quantity.value is None:
        return None
    if not quantity.value.is_finite() or quantity.value < 0:
        return "a value is no number that a test can have"
    if quantity.comparator is None and quantity.text[:1] in "<>":
        return "the meter wrote < or >, and the comparator says nothing of it"
    return None


def _listed(counts: Mapping[Any, int]) -> str:
    named = sorted((kind.value if kind else "unreadable", count) for kind, count in counts.items())
    return ", ".join(f"{count} {name}" for name, count in named) or "nothing"
