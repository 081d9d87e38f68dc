"""One report with everything that is needed to understand it, taken apart into tests.

A message is a list of pieces: the association request, the configuration report, the answers that say who the agent
is and how its segments are laid out, and last the report. Each test keeps octets that decode to it alone: the same
contexts and the report reduced to the observations of that test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from drivers.errors import DriverError, FramingError, ProtocolError, ProtocolReason
from drivers.protocols.ieee11073 import nomenclature as mdc
from drivers.protocols.ieee11073.apdu import (
    Aarq,
    ActionReply,
    Apdu,
    Attribute,
    EventReport,
    GetReply,
    decode,
)
from drivers.protocols.ieee11073.association import examined
from drivers.protocols.ieee11073.attributes import read
from drivers.protocols.ieee11073.configuration import ConfigReport
from drivers.protocols.ieee11073.framing import ApduStream
from drivers.protocols.ieee11073.information import read_action, read_event
from drivers.protocols.ieee11073.mder import PAIR, BaseOffsetTime, malformed
from drivers.protocols.ieee11073.objects import Configuration, Meter, Segment, configuration_of
from drivers.protocols.ieee11073.reports import Observation, observations, segment_entries, stamp
from drivers.protocols.ieee11073.scans import DataReply, Scan, ScanReport
from drivers.protocols.ieee11073.segments import SegmentData, SegmentList

__all__ = ["Damaged", "Message", "SingleTest", "Surroundings", "read_message", "split", "surroundings_of"]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the contexts of a conversation say.

    Attributes:
        system_id: the agent's EUI-64.
        is_test_association: the agent asked for a test association; nothing in it is a patient's.
        meter: who the agent is, or None when it did not say.
        clock_piece: index of the piece that told the meter's clock.
        segments: stored segments by handle of their store and instance number.
        octets: the contexts that matter, since the last association request.
    """

    system_id: bytes = b""
    is_test_association: bool = False
    configuration: Configuration = field(default_factory=lambda: Configuration(0, {}))
    meter: Meter | None = None
    clock_piece: int | None = None
    segments: Mapping[tuple[int, int], Segment] = field(default_factory=dict)
    octets: bytes = b""


@dataclass(frozen=True, slots=True)
class SingleTest:
    """Observations of one person that share a time stamp.

    Attributes:
        octets: what decodes to this test alone.
        number: segment and entry of a stored test.
        notes: what else is known of the stored test.
    """

    observations: tuple[Observation, ...]
    octets: bytes
    number: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Damaged:
    """A part of a report that does not fit what is known of the agent."""

    octets: bytes
    error: DriverError


@dataclass(frozen=True, slots=True)
class Message:
    """A report, taken apart."""

    surroundings: Surroundings
    parts: tuple[SingleTest | Damaged, ...]


def split(octets: bytes) -> list[bytes]:
    """The APDUs that stand one after another in some octets.

    Raises:
        ProtocolError: something else stands there, or the last one is cut short.
    """
    if len(octets) >= 4 and PAIR.unpack_from(octets)[1] == len(octets) - 4 and octets[0] & 0xF0 == 0xE0:
        return [octets]  # `decode` says what is wrong with a single one
    stream = ApduStream()
    found = []
    try:
        stream.feed(octets)
        while (apdu := stream.next()) is not None:
            found.append(apdu)
    except FramingError as error:
        raise ProtocolError(str(error), ProtocolReason.BAD_STRUCTURE, offset=error.offset) from None
    rest = stream.rest()
    if rest:
        raise malformed(f"the last {len(rest)} octets are no whole APDU", len(octets) - len(rest))
    return found


def read_message(pieces: tuple[bytes, ...]) -> Message:
    """Understand a message.

    Raises:
        ProtocolError: there is no report in it, or the report is no APDU.
    """
    if not pieces:
        raise ProtocolError("a message without octets", ProtocolReason.NO_HEADER, offset=0)
    *contexts, last = pieces
    inside = split(last)
    if not inside:
        raise ProtocolError("a message without octets", ProtocolReason.NO_HEADER, offset=0)
    marked = (*enumerate(contexts), *((len(contexts), each) for each in inside[:-1]))
    surroundings = surroundings_of(marked)
    report = inside[-1]
    return Message(surroundings, _parts(surroundings, decode(report), report))


@lru_cache(maxsize=64)  # the contexts of a conversation come with each of its messages
def surroundings_of(contexts: tuple[tuple[int, bytes], ...]) -> Surroundings:
    """What contexts say; each comes with the index of the piece it stood in.

    Raises:
        ProtocolError: a context is no APDU.
    """
    found = Surroundings()
    for piece, octets in contexts:
        for apdu_octets in split(octets):
            found = _with_context(found, piece, decode(apdu_octets), apdu_octets)
    return found


def _with_context(found: Surroundings, piece: int, apdu: Apdu, octets: bytes) -> Surroundings:
    if isinstance(apdu, Aarq):
        agent = examined(apdu)[0]
        if agent is None:
            return found
        is_test = bool(agent.functional_units & 0x20000000)
        return Surroundings(agent.system_id, is_test, octets=octets)
    changed = found
    if isinstance(apdu, GetReply) and apdu.handle == 0:
        changed = replace(found, meter=_meter(apdu), clock_piece=piece)
    elif isinstance(apdu, EventReport):
        told = read_event(apdu)
        if isinstance(told, ConfigReport):
            changed = replace(found, configuration=configuration_of(octets))
        elif isinstance(told, ScanReport):
            changed = replace(found, configuration=found.configuration.updated(told))
    elif isinstance(apdu, ActionReply):
        told_of = read_action(apdu)
        if isinstance(told_of, SegmentList):
            segments = {(apdu.handle, each.instance): Segment.of(each) for each in told_of.segments}
            changed = replace(found, segments={**found.segments, **segments})
    return found if changed is found else replace(changed, octets=found.octets + octets)


def _meter(reply: GetReply) -> Meter:
    """Who the agent is by the attributes that can be read; one bad attribute must not cost a result its meter."""
    return Meter.of(tuple(each for each in reply.attributes if _readable(each)))


def _readable(attribute: Attribute) -> bool:
    try:
        read(attribute)
    except ProtocolError:
        return False
    return True


def _parts(surroundings: Surroundings, apdu: Apdu, octets: bytes) -> tuple[SingleTest | Damaged, ...]:
    whole = surroundings.octets + octets
    try:
        if isinstance(apdu, EventReport):
            told = read_event(apdu)
            if isinstance(told, ScanReport):
                return _scanned(surroundings, told, apdu, octets)
            if isinstance(told, SegmentData):
                return _stored(surroundings, told, apdu)
            if isinstance(told, ConfigReport):
                return ()
            name = mdc.name(mdc.EVENTS, apdu.event)
            raise malformed(f"the report of event {name} is not understood", 18, ProtocolReason.UNSUPPORTED)
        if isinstance(apdu, ActionReply) and apdu.action == mdc.DATA_REQUEST:
            answer = read_action(apdu)
            report = answer.report() if isinstance(answer, DataReply) else None
            if report is not None:
                return _scanned(surroundings, report, apdu, octets)
    except ProtocolError as error:
        return (Damaged(whole, error),)
    return ()


def _stored(surroundings: Surroundings, told: SegmentData, apdu: EventReport) -> tuple[SingleTest | Damaged, ...]:
    segment = surroundings.segments.get((apdu.handle, told.instance))
    if segment is None:
        raise malformed(
            f"segment {told.instance} of store {apdu.handle} was not described before",
            apdu.at,
            ProtocolReason.UNSUPPORTED,
        )
    notes = ("the meter's clock was changed since it was stored",) if segment.adjusted else ()
    parts: list[SingleTest | Damaged] = []
    for place, entry in enumerate(segment_entries(told, segment, surroundings.configuration), start=told.index):
        alone = replace(told, index=place, count=1, entries=entry.octets)
        octets = surroundings.octets + replace(apdu, info=alone.encode()).encode()
        parts.append(SingleTest(entry.observations, octets, f"{told.instance}.{place}", notes))
    return tuple(parts)


_MAIN = (mdc.INR, mdc.CONTROL)


class _Gathering:
    """Observations on their way to a test: each type once.

    Attributes:
        stamped: person and time stamp.
    """

    __slots__ = ("found", "stamped", "types")

    def __init__(self, stamped: object) -> None:
        self.stamped = stamped
        self.found: list[tuple[Observation, Scan]] = []
        self.types: set[int | None] = set()

    def add(self, observation: Observation, scan: Scan) -> None:
        self.found.append((observation, scan))
        self.types.add(observation.type)

    def leave_start(self, to: _Gathering) -> None:
        """What repeats a type is of another test, and so is an INR or a control that stands right before it."""
        last, scan = self.found[-1]
        if self.is_mixed and last.type in _MAIN:
            self.found.pop()
            self.types.discard(last.type)
            to.add(last, scan)

    @property
    def is_mixed(self) -> bool:
        """Both an INR and a control stand in it."""
        return self.types.issuperset(_MAIN)

    @property
    def scans(self) -> list[Scan]:
        """Where its observations came from."""
        scans: list[Scan] = []
        for _, scan in self.found:
            if not scans or scans[-1] is not scan:
                scans.append(scan)
        return scans


def _scanned(
    surroundings: Surroundings, report: ScanReport, apdu: EventReport | ActionReply, octets: bytes
) -> tuple[SingleTest | Damaged, ...]:
    gathered: list[_Gathering | Damaged] = []
    by_stamp: dict[tuple[int | None, object], _Gathering] = {}
    latest: dict[int | None, _Gathering] = {}
    for scan in report.scans:
        try:
            found = observations(report, scan, surroundings.configuration, apdu.handle)
        except ProtocolError as error:
            gathered.append(Damaged(_reduced(surroundings, report, [scan], apdu), error))
            continue
        for observation in found:
            time = stamp(observation)
            key = (observation.person, time.raw if isinstance(time, BaseOffsetTime) else time)
            test = latest.get(observation.person) if time is None else by_stamp.get(key)
            if test is None or observation.type in test.types:
                before, test = test, _Gathering(key)
                if before is not None:
                    before.leave_start(test)
                gathered.append(test)
            by_stamp[key] = latest[observation.person] = test
            test.add(observation, scan)
    if len(gathered) == 1 and isinstance(gathered[0], _Gathering):
        return (SingleTest(tuple(each for each, _ in gathered[0].found), surroundings.octets + octets),)
    several = {key for key, times in Counter(_stamps(gathered)).items() if times > 1}
    parts: list[SingleTest | Damaged] = []
    for part in gathered:
        if isinstance(part, Damaged):
            parts.append(part)
            continue
        alone = _reduced(surroundings, report, part.scans, apdu)
        if part.is_mixed and part.stamped in several:
            parts.append(Damaged(alone, ProtocolError(_MIXED, ProtocolReason.BAD_VALUE)))
        else:
            parts.append(SingleTest(tuple(observation for observation, _ in part.found), alone))
    return tuple(parts)


_MIXED = (
    "a result and a control under one time stamp, which other tests have too, cannot be told apart; look at the "
    "meter's memory, and set its clock"
)


def _stamps(gathered: Iterable[_Gathering | Damaged]) -> Iterator[object]:
    return (part.stamped for part in gathered if isinstance(part, _Gathering))


def _reduced(
    surroundings: Surroundings, report: ScanReport, scans: list[Scan], apdu: EventReport | ActionReply
) -> bytes:
    """The contexts and the same report with these observations alone."""
    persons = tuple(dict.fromkeys(scan.person for scan in scans if scan.person is not None))
    alone = replace(report, scans=tuple(scans), persons=persons).encode()
    if isinstance(apdu, ActionReply):
        answer = read_action(apdu)
        alone = replace(answer, info=alone).encode() if isinstance(answer, DataReply) else apdu.info
    return surroundings.octets + replace(apdu, info=alone).encode()
