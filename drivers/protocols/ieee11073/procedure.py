"""What a manager asks of an agent once they operate, in order; a generator without input or output.

It yields steps and is sent what came of them: identify, fetch the stored segments, request measurements from agents
that wait to be asked, set the clock if that is wanted, and come to an end when the agent has nothing more to say.
Source: IEEE 11073-20601, clause on the operating procedure and the clauses on MDS and PM-store methods.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from drivers.errors import DeviceError, DeviceReason, DriverError, ProtocolError
from drivers.protocols.ieee11073 import nomenclature as mdc
from drivers.protocols.ieee11073.apdu import (
    Action,
    ActionReply,
    Apdu,
    Association,
    Get,
    GetReply,
    OperationError,
    OperationReject,
)
from drivers.protocols.ieee11073.information import SetTime, read_action
from drivers.protocols.ieee11073.mder import AbsoluteTime, BaseOffsetTime
from drivers.protocols.ieee11073.objects import Configuration, Meter, Segment
from drivers.protocols.ieee11073.scans import DataReply, DataRequest
from drivers.protocols.ieee11073.segments import SegmentList, Selection, Trigger, TriggerReply

__all__ = [
    "Ask",
    "Listen",
    "Problem",
    "Procedure",
    "Quiet",
    "Settings",
    "Step",
    "TimePolicy",
    "clear",
    "clear_read",
    "operate",
]


class TimePolicy(StrEnum):
    """Whether the agent's clock is set."""

    NEVER = "never"
    WHEN_ASKED = "when_asked"
    """Only when the agent itself asks for it."""
    ALWAYS = "always"
    """At the end of every association in which the agent allows it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a manager behaves. Times are those of the 20601 clauses on timeouts unless a meter needs others.

    Attributes:
        system_id: the manager's own EUI-64.
        accepts: full codes of which a configuration must have at least one; empty accepts any.
        association_s: how long a connection may stay without an association request.
        configuration_s: how long the agent may take for its configuration.
        answer_s: how long an answer to GET or an action may take.
        release_s: how long the answer to a release may take.
        segment_s: how long a stored segment may pause when the agent tells no transfer timeout.
        quiet_s: how long nothing must move before the clock is set.
        release_when_quiet_s: release the association when nothing moved for so long; 0 never.
        read_stored: fetch stored segments.
        set_time: whether to set the agent's clock.
        local_now: the present in the place of the meter, with zone; needed to set a clock.
    """

    system_id: bytes = bytes.fromhex("0200000000000001")
    accepts: frozenset[int] = frozenset()
    association_s: float = 10.0
    configuration_s: float = 10.0
    answer_s: float = 3.0
    release_s: float = 3.0
    segment_s: float = 20.0
    quiet_s: float = 2.0
    release_when_quiet_s: float = 10.0
    read_stored: bool = True
    set_time: TimePolicy = TimePolicy.NEVER
    local_now: Callable[[], datetime] | None = None


class Ask(NamedTuple):
    """Send a request and come back with its answer.

    Attributes:
        is_context: later reports need the answer in order to be decoded.
        comes_first: reports follow from the answer; through an endpoint of their own they may overtake it.
    """

    request: Get | Action
    timeout_s: float
    is_context: bool = False
    comes_first: bool = False


class Listen(NamedTuple):
    """Come back when the last entry of a segment is stored."""

    instance: int
    timeout_s: float


class Quiet(NamedTuple):
    """Come back when nothing has moved for so long."""

    seconds: float


class Problem(NamedTuple):
    """Something went wrong that does not end the association but must be told in the end."""

    error: DriverError


Step = Ask | Listen | Quiet | Problem
Procedure = Generator[Step, Apdu | None, None]


def operate(agent: Association, configuration: Configuration, settings: Settings) -> Procedure:
    """Everything a manager does in one association."""
    meter = yield from _identify(settings)
    if settings.read_stored:
        for store in configuration.stores:
            yield from _fetch(store, settings)
    if not agent.request_mode_flags & 0x0001 and agent.manager_requests:
        yield from _request(agent, configuration, settings)
    if _wants_time(meter, settings):
        yield Quiet(settings.quiet_s)
        yield from _set_time(meter, settings)
    if settings.release_when_quiet_s:
        yield Quiet(settings.release_when_quiet_s)


def clear(store: int, instances: tuple[int, ...], settings: Settings) -> Procedure:
    """Delete stored segments (all of them without instances). Only ever run on a person's explicit order."""
    selection = Selection.instances(instances) if instances else Selection.all()
    order = Action(0, confirmed=True, handle=store, action=mdc.SEG_CLR, info=selection.encode())
    answer = yield Ask(order, settings.segment_s)
    if not isinstance(answer, ActionReply):
        yield _refused(answer, f"to clear its store {store}")


def clear_read(fetched: Mapping[int, Mapping[int, int]], settings: Settings) -> Procedure:
    """Delete stored segments that were read, unless something was added to them since. On a person's order only.

    Args:
        fetched: entries that were read of each segment, by store and instance.
        settings: see there.
    """
    for store, read in fetched.items():
        segments = yield from _list(store, settings, is_context=False)
        if segments is None:
            return
        held = {segment.instance: segment.entries for segment in segments}
        for instance, entries in read.items():
            if held.get(instance) != entries:
                message = (
                    f"segment {instance} of store {store} does not hold the {entries} results that were read, or "
                    "does not say so; nothing more is deleted. Read the meter again"
                )
                yield Problem(DeviceError(message, DeviceReason.REFUSED))
                return
        yield from clear(store, tuple(read), settings)


def _identify(settings: Settings) -> Generator[Step, Apdu | None, Meter | None]:
    answer = yield Ask(Get(0, handle=0), settings.answer_s, is_context=True)
    if not isinstance(answer, GetReply):
        yield _refused(answer, "to tell who it is (GET MDS)")
        return None
    try:
        return Meter.of(answer.attributes)
    except ProtocolError as error:
        yield Problem(error)
        return None


def _fetch(store: int, settings: Settings) -> Procedure:
    segments = yield from _list(store, settings, is_context=True)
    for segment in segments or ():
        if segment.entries != 0:
            yield from _transfer(store, segment, settings)


def _list(
    store: int, settings: Settings, *, is_context: bool
) -> Generator[Step, Apdu | None, list[Segment] | None]:
    """Which segments a store holds; None if it does not say."""
    order = Action(0, confirmed=True, handle=store, action=mdc.SEG_GET_INFO, info=Selection.all().encode())
    answer = yield Ask(order, settings.answer_s, is_context=is_context)
    try:
        told = read_action(answer) if isinstance(answer, ActionReply) else None
        if isinstance(told, SegmentList):
            return [Segment.of(each) for each in told.segments]
    except ProtocolError as error:
        yield Problem(error)
        return None
    yield _refused(answer, f"to list the segments of its store {store}")
    return None


_TRANSFER_RESULTS = {1: "it does not exist", 2: "try later", 512: "another failure"}
_ATTEMPTS = 3


def _transfer(store: int, segment: Segment, settings: Settings) -> Procedure:
    info = Trigger(segment.instance).encode()
    order = Action(0, confirmed=True, handle=store, action=mdc.SEG_TRIG_XFER, info=info)
    result: int | None = None
    for attempt in range(_ATTEMPTS):
        if attempt:
            yield Quiet(settings.quiet_s)
        answer = yield Ask(order, settings.answer_s, comes_first=True)
        try:
            told = read_action(answer) if isinstance(answer, ActionReply) else None
        except ProtocolError as error:
            yield Problem(error)
            return
        if not isinstance(told, TriggerReply):
            yield _refused(answer, f"to send segment {segment.instance} of its store {store}")
            return
        result = told.result
        if result == 0:
            yield Listen(segment.instance, segment.transfer_timeout_s or settings.segment_s)
            return
        if result != 2:
            break
    if result != 3:  # 3: it is empty
        why = _TRANSFER_RESULTS.get(result or 0, f"result {result}")
        message = f"the meter did not send segment {segment.instance} of its store {store}: {why}; connect it again"
        yield Problem(DeviceError(message, DeviceReason.REFUSED))


def _request(agent: Association, configuration: Configuration, settings: Settings) -> Procedure:
    """Ask an agent that does not speak by itself for its measurements, in the widest scope it offers."""
    flags = agent.request_mode_flags
    once_or_on = 0x0080 if flags & 0x0080 else 0x0020
    handles = tuple(
        handle
        for handle, each in configuration.objects.items()
        if each.object_class in (mdc.NUMERIC, mdc.ENUMERATION)
    )
    classes = sorted({configuration.objects[handle].object_class for handle in handles}, reverse=True)
    if flags & 0x0800:
        wishes = [DataRequest(1, 0x8800 | once_or_on, 0, 0, 0)]
    elif flags & 0x0400:
        wishes = [DataRequest(n, 0x8400 | once_or_on, 0, 0, each) for n, each in enumerate(classes, start=1)]
    else:
        wishes = [DataRequest(1, 0x8200 | once_or_on, 0, 0, 0, handles)]
    for wish in wishes:
        order = Action(0, confirmed=True, handle=0, action=mdc.DATA_REQUEST, info=wish.encode())
        answer = yield Ask(order, settings.answer_s)
        try:
            told = read_action(answer) if isinstance(answer, ActionReply) else None
        except ProtocolError as error:
            yield Problem(error)
            continue
        if not isinstance(told, DataReply):
            yield _refused(answer, "to send its measurements (data request)")
        elif told.result:
            message = f"the meter answers the data request with result {told.result} and sends no measurements"
            yield Problem(DeviceError(message, DeviceReason.REFUSED))


def _wants_time(meter: Meter | None, settings: Settings) -> bool:
    if meter is None or settings.local_now is None or not (meter.can_be_set or meter.asks_for_time):
        return False
    asked = settings.set_time is TimePolicy.WHEN_ASKED and meter.asks_for_time
    return asked or settings.set_time is TimePolicy.ALWAYS


def _set_time(meter: Meter | None, settings: Settings) -> Procedure:
    """Set the clock last: everything stored was read beside the clock it was stamped by. Then look again."""
    if meter is None or settings.local_now is None:
        return
    now = settings.local_now()
    if isinstance(meter.clock, BaseOffsetTime):
        base = int(now.astimezone(UTC).timestamp())
        offset = now.utcoffset()
        minutes = int(offset.total_seconds() // 60) if offset else 0
        info = SetTime(base.to_bytes(4, "big") + bytes(2) + minutes.to_bytes(2, "big", signed=True))
        action = mdc.SET_BO_TIME
    else:
        info, action = SetTime(AbsoluteTime.at(now.replace(tzinfo=None)).raw, accuracy=0), mdc.SET_TIME
    order = Action(0, confirmed=True, handle=0, action=action, info=info.encode())
    answer = yield Ask(order, settings.answer_s)
    if not isinstance(answer, ActionReply):
        yield _refused(answer, "to have its clock set")
        return
    yield from _identify(settings)


_ERRORS = {
    1: "no such object",
    2: "access denied",
    9: "no such action",
    17: "invalid object",
    23: "protocol violation",
    24: "not allowed by the object",
    25: "the action timed out",
    26: "the action was aborted",
}
_PROBLEMS = {
    0: "unrecognised APDU",
    2: "badly structured APDU",
    101: "unrecognised operation",
    103: "out of resources",
    303: "unexpected error",
}


def _refused(answer: Apdu | None, what: str) -> Problem:
    if isinstance(answer, OperationError):
        why = f"error {answer.value}, {_ERRORS.get(answer.value, 'not in the standard')}"
    elif isinstance(answer, OperationReject):
        why = f"reject {answer.problem}, {_PROBLEMS.get(answer.problem, 'not in the standard')}"
    else:
        why = f"an answer of another kind ({type(answer).__name__})"
    return Problem(DeviceError(f"the meter refuses {what}: {why}", DeviceReason.REFUSED))
