"""Judges by the journal whether everything that a simulated meter remembers was read, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from drivers.conformance.host import BrokenPromiseError, Host
from drivers.conformance.memories import PRESENT, invented, missing, named
from drivers.conformance.simulator import SimulatedMeter, StoredTest
from drivers.contract import Decoded, MeterRecord, Unreadable

__all__ = ["Judge"]

_CLOCK_TOLERANCE = timedelta(minutes=15)


class Judge:
    """Looks into what hosts have committed.

    Args:
        decode: the driver's, for one message.
        is_told: the session itself tells the meter what is received, so that it can be held to it.
    """

    def __init__(self, decode: Callable[[list[bytes]], Decoded], *, is_told: bool) -> None:
        self._decode = decode
        self._is_told = is_told
        self._known: dict[tuple[bytes, ...], Decoded] = {}
        self._early: list[tuple[Host, StoredTest]] = []

    def records(self, hosts: Iterable[Host]) -> list[MeterRecord]:
        """All records that connections brought."""
        items = [item for decoded in self._decoded(hosts) for item in decoded.items]
        return [item for item in items if isinstance(item, MeterRecord)]

    def all_is_here(
        self,
        meter: SimulatedMeter,
        hosts: Sequence[Host],
        where: str,
        *,
        others: Sequence[Host] = (),
        may_lack_time: bool = False,
        may_be_unreadable: bool = False,
    ) -> None:
        """All tests and nothing else are in the journal, and the meter was told so, at the right time.

        Args:
            meter: remembers them.
            hosts: connections that brought them.
            where: what happened, for a message.
            others: connections that brought tests which the meter does not remember any more.
            may_lack_time: its clock was changed since.
            may_be_unreadable: a test may have come in a form that only a person can read.

        Raises:
            BrokenPromiseError: it is not so.
        """
        messages = self._decoded(hosts)
        unreadable = [item for each in messages for item in each.items if isinstance(item, Unreadable)]
        if unreadable and not may_be_unreadable:
            raise BrokenPromiseError(f"{where}: a part of what came cannot be read: {unreadable[0].error}")
        if len({each.meter for each in messages}) > 1 and not may_be_unreadable:
            raise BrokenPromiseError(f"{where}: the messages of one meter name different meters")
        records = self.records(hosts)
        lost = missing(meter.memory, records, may_lack_time=may_lack_time)
        if len(lost) > len(unreadable):
            told = "; the meter was told that it is received" if lost[0] in meter.told and self._is_told else ""
            raise BrokenPromiseError(f"{where}: lost or altered: {_listed(lost)}{_near(lost, records)}{told}")
        known = self.records(others)
        strange = [
            each for each in invented(meter.memory, records, may_lack_time=may_lack_time) if each not in known
        ]
        if strange:
            raise BrokenPromiseError(
                f"{where}: the meter remembers no such test as this {strange[0].kind.value} record: "
                f"{strange[0].inr}, {strange[0].device_time}"
            )
        if self._is_told:
            self._told_in_time(meter, [] if unreadable else hosts, where)

    def is_told(self, meter: SimulatedMeter, host: Host) -> None:
        """The meter has just been told of tests: note those that are not committed."""
        hosts, before = [host], host.earlier
        while before is not None:
            hosts.append(before)
            before = before.earlier
        told = [test for test in meter.memory if test in meter.told]
        self._early += [(host, test) for test in missing(told, self.records(hosts), may_lack_time=True)]

    def clock_shows(self, host: Host, shows: datetime | None) -> None:
        """The meter's clock is told as it is. Args: shows: None: it was never set.

        Raises:
            BrokenPromiseError: it is told otherwise.
        """
        for decoded in self._decoded([host]):
            local = None if decoded.clock is None else decoded.clock.time.local
            if local is None:
                continue
            if shows is None and local.year >= PRESENT.year - 1:
                raise BrokenPromiseError(f"the clock was never set, and is said to show {local}")
            if shows is not None and abs(local - shows) > _CLOCK_TOLERANCE:
                raise BrokenPromiseError(f"the clock shows {shows}, and is said to show {local}")

    def _decoded(self, hosts: Iterable[Host]) -> list[Decoded]:
        """The same octets come again and again."""
        found = []
        for message in (message for host in hosts for message in host.messages):
            key = tuple(message)
            if key not in self._known:
                self._known[key] = self._decode(message)
            found.append(self._known[key])
        return found

    def _told_in_time(self, meter: SimulatedMeter, hosts: Sequence[Host], where: str) -> None:
        for host, test in self._early:
            if any(host is each for each in hosts):
                raise BrokenPromiseError(
                    f"{where}: the meter was told of {named(test)} before it was committed; an answer came too "
                    "early, or may be taken for the answer to something else"
                )
        untold = [test for test in meter.memory if test not in meter.told]
        if untold:
            raise BrokenPromiseError(f"{where}: the meter was never told of {_listed(untold)}")


def _listed(tests: Sequence[StoredTest]) -> str:
    more = f" and {len(tests) - 3} more" if len(tests) > 3 else ""
    return ", ".join(map(named, tests[:3])) + more


def _near(lost: Sequence[StoredTest], records: Sequence[MeterRecord]) -> str:
    """What came instead, if it was altered."""
    instead = [each for each in records if each.device_time and each.device_time.local == lost[0].shown]
    if not instead or lost[0].shown is None:
        return ""
    quantity = instead[0].inr
    told = "without INR" if quantity is None else f"{quantity.comparator or ''}{quantity.value} ({quantity.text!r})"
    return f"; instead came {instead[0].kind.value} {told}"
