"""Checks with a simulated meter: the promises in conversations that answer, break, are repeated and resumed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar
from unittest import SkipTest

from drivers.conformance.conversation import Conversation
from drivers.conformance.host import BrokenPromiseError, Host
from drivers.conformance.judge import Judge
from drivers.conformance.line import Line, recorded
from drivers.conformance.memories import ALL_KINDS, AROUND_SUMMER_TIME, OFF_RANGE, PRESENT, TWO, long, numbered
from drivers.conformance.simulator import CannotError, SimulatedMeter, StoredTest
from drivers.conformance.suite import DriverConformance
from drivers.contract import ConfirmedBy, RecordKind

__all__ = ["SimulatorConformance"]

_DAY_S = 86_400.0
_HOUR = timedelta(hours=1)
_NOISE = (b"\0", b"\xff" * 9, b"\r\nnoise\r\n")


class SimulatorConformance(DriverConformance):
    """Subclass it like `DriverConformance`; a simulated meter takes the place of the conversation.

    All checks of `DriverConformance` are made too: with `conversation` if there is one, else with what the meter
    says to a host that confirms everything.

    Attributes:
        simulator: the meter.
        most_live_cuts: at so many octets a live conversation is cut; at each, if there are fewer.
        longest_memory: how many results a long memory holds.
        slow_disk_s: how long a slow commit takes; longer than the meter waits until it repeats, or gives up.
        slow_meter_s: how long an utterance of the meter may be on its way; less than any time-out of the protocol.
    """

    simulator: ClassVar[type[SimulatedMeter]]
    most_live_cuts: ClassVar[int] = 3000
    longest_memory: ClassVar[int] = 60
    slow_disk_s: ClassVar[float] = 100.0
    slow_meter_s: ClassVar[float] = 1.0

    # ---------------------------------------------------------------- what is remembered is read, and nothing else

    def test_live_the_memory_is_read_as_it_is(self) -> None:
        """Every test once, as it was displayed; an orderly end; and the meter was told of each."""
        meter = self._meter(ALL_KINDS)
        host = self._contact(meter).host
        self._judge.all_is_here(meter, [host], "a whole memory was read")
        records = self._judge.records([host])
        if len(records) != len(meter.memory):
            raise BrokenPromiseError(f"{len(meter.memory)} tests are remembered, and {len(records)} records came")
        for finished in host.finished:
            if finished.error is not None:
                raise BrokenPromiseError(f"a conversation without fault ends with an error: {finished.error}")

    def test_live_values_off_the_range_keep_their_sign(self) -> None:
        """``>8.0`` is neither 8.0 nor an error."""
        tests = tuple(replace(test, inr=inr) for test, inr in zip(TWO, OFF_RANGE, strict=True))
        self._read(tests, "a value off the measuring range was read")

    def test_live_controls_and_errors_are_no_results(self) -> None:
        """A control with a patient's value and an error stay what they are."""
        kinds = (RecordKind.CONTROL, RecordKind.ERROR)
        self._read(
            [test for test in ALL_KINDS if test.kind in kinds], "a control and an error were read without results"
        )

    def test_live_a_long_memory_is_read_whole(self) -> None:
        """Numbers of frames and requests come round."""
        self._read(long(self.longest_memory), f"a memory of {self.longest_memory} results was read")

    # ---------------------------------------------------------------- clocks

    def test_live_a_clock_that_was_never_set(self) -> None:
        """No time is made up, and nothing is dropped for lack of one."""
        self._needs_clock()
        tests = [replace(test, shown=None) for test in ALL_KINDS]
        meter = self._meter(tests, shows=None)
        host = self._contact(meter).host
        self._judge.all_is_here(meter, [host], "the clock was never set")
        self._judge.clock_shows(host, None)

    def test_live_a_clock_that_is_wrong(self) -> None:
        """Times are told as the meter wrote them; nobody corrects them here."""
        self._needs_clock()
        for wrong in (timedelta(hours=-7), timedelta(days=-2000), timedelta(days=400)):
            tests = [replace(test, shown=test.shown + wrong) for test in ALL_KINDS if test.shown is not None]
            meter = self._meter(tests, shows=PRESENT + wrong)
            host = self._contact(meter).host
            self._judge.all_is_here(meter, [host], f"the clock is wrong by {wrong / _HOUR:g} hours")
            self._judge.clock_shows(host, PRESENT + wrong)

    def test_live_a_clock_that_was_changed_between_sessions(self) -> None:
        """What was stored stays as it was written; the clock is what it is now."""
        self._needs_clock()
        just_now = replace(ALL_KINDS[-2], shown=PRESENT - timedelta(minutes=50))
        for change in (timedelta(hours=-3), timedelta(days=1)):
            meter = self._meter((*ALL_KINDS[:-2], just_now))
            first = self._contact(meter).host
            meter.shows = PRESENT + change
            new = replace(ALL_KINDS[-1], shown=PRESENT + change - timedelta(minutes=2))
            meter.memory += (self._stepped(meter, new),)
            meter.told.clear()
            second = self._contact(meter, first).host
            where = f"the clock was changed by {change / _HOUR:g} hours between two sessions"
            self._judge.all_is_here(meter, [first, second], where, may_lack_time=True)
            self._judge.clock_shows(first, PRESENT)
            self._judge.clock_shows(second, PRESENT + change)

    def test_live_a_clock_that_was_set_between_two_tests(self) -> None:
        """A meter gets its clock set between two tests."""
        self._needs_clock()
        tests = [replace(test, shown=None) for test in ALL_KINDS[:3]]
        meter = self._meter(tests, shows=None)
        first = self._contact(meter).host
        meter.shows = PRESENT
        meter.memory += tuple(self._stepped(meter, test) for test in ALL_KINDS[3:])
        meter.told.clear()
        second = self._contact(meter, first).host
        self._judge.all_is_here(meter, [first, second], "the clock was set between two tests", may_lack_time=True)

    def test_live_times_around_the_change_to_summer_time(self) -> None:
        """An hour that comes twice and one that never was: both are told as they were written."""
        self._needs_clock()
        self._read(AROUND_SUMMER_TIME, "tests were made in the hours in which clocks are changed")

    # ---------------------------------------------------------------- numbers and order

    def test_live_records_out_of_order(self) -> None:
        """Newest first, and in no order at all; numbered as they come, or with the numbers of their tests."""
        orders = [[ALL_KINDS[index] for index in order] for order in ((5, 4, 3, 2, 1, 0), (3, 0, 5, 1, 4, 2))]
        for tests in [*map(numbered, orders), *orders]:
            self._read_twice(tests, "records came out of order")

    def test_live_records_numbered_from_one_again(self) -> None:
        """The memory was cleared: new tests come under old numbers, fewer than before, as many, and more."""
        for count in (1, 3, 4):
            meter = self._meter(numbered(ALL_KINDS[:3]))
            first = self._contact(meter).host
            again = numbered([replace(test, inr="4.4") for test in TWO] + list(AROUND_SUMMER_TIME))[:count]
            meter.memory = tuple(self._stepped(meter, test) for test in again)
            second = self._contact(meter, first).host
            where = f"the memory was cleared, and {count} new tests are numbered from 1 again"
            self._judge.all_is_here(meter, [second], where, others=[first])

    def test_live_the_oldest_records_are_overwritten(self) -> None:
        """The memory is full: old tests are gone, their numbers with them."""
        meter = self._meter(ALL_KINDS[:4])
        first = self._contact(meter).host
        meter.memory = tuple(self._stepped(meter, test) for test in ALL_KINDS[3:])
        second = self._contact(meter, first).host
        self._judge.all_is_here(meter, [first, second], "the oldest tests were overwritten", others=[first])

    def test_live_numbers_that_repeat_or_are_missing(self) -> None:
        """Nothing is taken for known because of its number."""
        for numbers in (("7", "7", "7"), ("", "", ""), ("9", "1", "2")):
            tests = [replace(test, number=number) for test, number in zip(ALL_KINDS[:3], numbers, strict=True)]
            self._read_twice(tests, f"the record numbers are {', '.join(repr(number) for number in numbers)}")

    # ---------------------------------------------------------------- again and again

    def test_live_new_results_come_in_the_next_session(self) -> None:
        """After a memory was read, what is added is read, again and again."""
        meter = self._meter(ALL_KINDS[:2])
        hosts = [self._contact(meter).host]
        for test in ALL_KINDS[2:]:
            meter.memory += (self._stepped(meter, test),)
            hosts.append(self._contact(meter, hosts[-1]).host)
            self._judge.all_is_here(meter, hosts, "a test was added after the memory had been read")

    def test_live_a_memory_that_is_offered_again(self) -> None:
        """A meter that forgot what it was told: nothing is altered by hearing it twice."""
        self._read_twice(ALL_KINDS, "the meter offered everything again")

    def test_live_an_answer_that_is_lost(self) -> None:
        """The meter heard nothing, and does what its protocol says; wherever that happens."""
        for number in range(self._plain.answers):
            meter = self._meter(TWO)
            first = self._contact(meter, loses=number).host
            where = f"answer {number + 1} of the host was lost"
            for before, after in zip(first.commits, first.commits[1:], strict=False):
                if before == after:
                    raise BrokenPromiseError(f"{where}; the meter repeated a piece, and it was reported as new")
            second = self._contact(meter, first).host
            self._judge.all_is_here(meter, [first, second], where)

    def test_live_an_answer_that_is_lost_with_the_connection(self) -> None:
        """The hub has it, the meter does not know: it offers it again in another session."""
        for number in range(self._plain.answers):
            meter = self._meter(TWO)
            first = self._contact(meter, loses=number, is_cut_then=True).host
            second = self._contact(meter, first).host
            where = f"answer {number + 1} of the host was lost, and the connection with it"
            self._judge.all_is_here(meter, [first, second], where)

    def test_live_cut_anywhere_and_resumed(self) -> None:
        """Cut at every octet of the meter: a new session, with what the last one left, brings all the rest."""
        octets = self._plain.octets
        step = -(-octets // self.most_live_cuts)
        for cut in range(1, octets + 1, step):
            meter = self._meter(TWO)
            first = self._contact(meter, cut_after=cut).host
            second = self._contact(meter, first).host
            self._judge.all_is_here(meter, [first, second], f"cut after octet {cut} and connected again")

    def test_live_noise_between_messages(self) -> None:
        """Octets that mean nothing come before something that does."""
        for number in range(self._plain.utterances):
            for noise in _NOISE:
                meter = self._meter(TWO)
                first = self._contact(meter, noise={number: noise}).host
                second = self._contact(meter, first).host
                where = f"{noise!r} came before utterance {number + 1} of the meter"
                self._judge.all_is_here(meter, [first, second], where, may_be_unreadable=True)

    # ---------------------------------------------------------------- commits and time

    def test_live_the_meter_is_told_only_of_what_is_committed(self) -> None:
        """Promise 2, by the meter's own judgement: power fails before a commit, or the disk is full."""
        for ordinal in range(self._plain.host.pieces):
            for options in ({"withholds": ordinal}, {"refuses": {ordinal}}):
                meter = self._meter(TWO)
                first = self._contact(meter, host_options=options).host
                second = self._contact(meter, first).host
                what = "never committed" if "withholds" in options else "refused"
                self._judge.all_is_here(meter, [first, second], f"piece {ordinal + 1} was {what}")

    def test_live_a_slow_disk(self) -> None:
        """The meter waits, repeats or gives up; in the end everything is there."""
        for seconds in (1.0, self.slow_disk_s / 10, self.slow_disk_s):
            meter = self._meter(TWO)
            first = self._contact(meter, host_options={"commit_s": seconds}).host
            second = self._contact(meter, first).host
            self._judge.all_is_here(meter, [first, second], f"each commit took {seconds:g} s")

    def test_live_a_slow_meter(self) -> None:
        """Octets arrive late and in parts, but before any time-out: one session is enough."""
        meter = self._meter(ALL_KINDS)
        host = self._contact(meter, delay_s=self.slow_meter_s).host
        self._judge.all_is_here(
            meter, [host], f"each utterance of the meter was on its way for {self.slow_meter_s:g} s"
        )

    def test_live_a_meter_that_dies_and_is_switched_on_a_day_later(self) -> None:
        """Silence, wherever it begins, is given up; on the same connection, if that is still there."""
        for number in range(self._plain.utterances):
            meter = self._meter(TWO)
            first = self._contact(meter, dies_at=number, longest_s=_DAY_S, stays=True).host
            first.now_s += _DAY_S
            hosts = [first]
            if not first.is_closed:
                Line(first, meter, stays=True).run(is_open=True)
            if first.is_closed:
                hosts.append(self._contact(meter, first).host)
            else:
                first.lost()
            where = f"the meter died at its utterance {number + 1}, and was switched on again after a day"
            self._judge.all_is_here(meter, hosts, where)

    def test_live_memos_that_are_lost_old_or_damaged(self) -> None:
        """What an earlier session left may be gone, from before, of another meter, or nonsense: nothing is lost."""
        meter = self._meter(ALL_KINDS[:3])
        first = self._contact(meter).host
        meter.memory += tuple(self._stepped(meter, test) for test in ALL_KINDS[3:])
        for what, spoil in _SPOILT.items():
            again = self._meter(meter.memory)
            again.told |= meter.told
            left = Host(self._new_session()).after(first)
            left.memos = {key: spoil(octets) for key, octets in first.memos.items() if spoil is not None}
            second = self._contact(again, left).host
            self._judge.all_is_here(again, [first, second], f"the memos were {what}")

    # ---------------------------------------------------------------- what they share

    @cached_property
    def _conversation(self) -> Conversation:
        own: Conversation | None = getattr(self, "conversation", None)
        return recorded(self._host(), self._meter(ALL_KINDS[1:])) if own is None else own

    @cached_property
    def _plain(self) -> Line:
        """A conversation without fault, to be spoilt at each of its places."""
        line = self._contact(self._meter(TWO))
        if not line.host.pieces:
            raise BrokenPromiseError("a conversation without fault brings nothing")
        return line

    def _meter(self, memory: Sequence[StoredTest], shows: datetime | None = PRESENT) -> SimulatedMeter:
        try:
            meter = self.simulator((), shows)
            meter.memory = tuple(self._stepped(meter, test) for test in memory)
        except CannotError as error:
            raise SkipTest(f"the simulated meter cannot: {error}") from None
        return meter

    @staticmethod
    def _stepped(meter: SimulatedMeter, test: StoredTest) -> StoredTest:
        """The test with a time that the meter can write."""
        step_s = meter.clock_step_s
        if test.shown is None or step_s is None:
            return replace(test, shown=None)
        seconds = (test.shown - datetime(2000, 1, 1)) // timedelta(seconds=1)
        return replace(test, shown=test.shown - timedelta(seconds=seconds % step_s))

    def _contact(
        self,
        meter: SimulatedMeter,
        before: Host | None = None,
        *,
        host_options: Mapping[str, Any] | None = None,
        **mischief: Any,
    ) -> Line:
        """One connection, after an earlier one of the same meter; what the meter was told is committed."""
        last, memos = ((), {}) if before is None else (before.last, before.memos)
        host = Host(self._new_session(last, memos), **(host_options or {}))
        if before is not None:
            host.after(before)
            host.now_s = before.now_s + 60
        line = Line(host, meter, watch=lambda: self._judge.is_told(meter, host), **mischief)
        try:
            line.run()
        except CannotError as error:
            raise SkipTest(f"the simulated meter cannot: {error}") from None
        return line

    def _read(self, memory: Sequence[StoredTest], where: str) -> None:
        meter = self._meter(memory)
        self._judge.all_is_here(meter, [self._contact(meter).host], where)

    def _read_twice(self, memory: Sequence[StoredTest], where: str) -> None:
        meter = self._meter(memory)
        first = self._contact(meter).host
        self._judge.all_is_here(meter, [first], where)
        meter.told.clear()
        second = self._contact(meter, first).host
        self._judge.all_is_here(meter, [first, second], f"{where}, for the second time")

    @cached_property
    def _judge(self) -> Judge:
        is_told = self.acknowledges and self.driver.confirmed_by is ConfirmedBy.CALLER
        return Judge(lambda message: self._decoded_anew([message])[0], is_told=is_told)

    def _needs_clock(self) -> None:
        if self._meter(()).clock_step_s is None:
            raise SkipTest("the simulated meter has no clock")


_SPOILT: Mapping[str, Callable[[bytes], bytes] | None] = {
    "lost": None,
    "emptied": lambda _: b"",
    "cut in half": lambda octets: octets[: len(octets) // 2],
    "replaced by nonsense": lambda _: b"\xff\x00[{",
    "altered": lambda octets: octets.translate(bytes.maketrans(b"0123456789", b"1234567890")),
}
