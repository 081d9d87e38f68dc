"""What one association is: who agreed on what, how far the procedure has come.

Source: IEEE 11073-20601, clauses on the association procedure (AARQ, AARE and their results).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from drivers.errors import DeviceError, DeviceReason, DriverError, ProtocolError, ProtocolReason
from drivers.protocols.ieee11073 import nomenclature as mdc
from drivers.protocols.ieee11073.apdu import (
    PROTOCOL_20601,
    Aare,
    Aarq,
    Abrt,
    Action,
    ActionReply,
    Apdu,
    Association,
    Attribute,
    DataProtocol,
    EventReply,
    EventReport,
    Get,
    GetReply,
    OperationError,
    OperationReject,
    Rlre,
    Rlrq,
    Set,
    SetReply,
)
from drivers.protocols.ieee11073.configuration import ConfigReply, ConfigReport
from drivers.protocols.ieee11073.information import read_action, read_event
from drivers.protocols.ieee11073.objects import Configuration, KnownConfiguration, configuration_of
from drivers.protocols.ieee11073.procedure import Ask, Listen, Procedure, Quiet, Step
from drivers.protocols.ieee11073.scans import DataReply
from drivers.protocols.ieee11073.segments import (
    SEGMENT,
    SEGMENT_AGENT_ABORT,
    SEGMENT_CONFIRM,
    SEGMENT_FIRST,
    SEGMENT_LAST,
    SegmentData,
)
from drivers.protocols.ieee11073.states import Happening

__all__ = ["Talk", "event_reply", "examined", "happening_of", "holds_report", "response", "verdict"]

_VERSIONS = (0x80000000, 0x40000000, 0x20000000)
"""Protocol versions 1, 2 and 3 as bits; the first that both know is chosen."""


def examined(request: Aarq) -> tuple[Association | None, int]:
    """What an agent offers under 20601, and the result for its AARE (0 when it can be accepted)."""
    if not request.version & 0x80000000:
        return None, 8
    offers = (each.information for each in request.protocols)
    agent = next((each for each in offers if isinstance(each, Association)), None)
    if agent is None:
        return None, 4
    if not (agent.encoding_rules & 0x8000 and agent.nomenclature_version & 0x80000000):
        return agent, 5
    if not any(agent.protocol_version & bit for bit in _VERSIONS):
        return agent, 5
    return agent, 0 if agent.system_type & 0x00800000 else 1


def response(result: int, agent: Association | None, system_id: bytes) -> Aare:
    """The manager's answer: MDER, its own identity, and nothing else to choose from."""
    offered = agent.protocol_version if agent is not None else 0
    version = next((bit for bit in _VERSIONS if offered & bit), _VERSIONS[0])
    ours = Association(version, 0x8000, 0x80000000, 0, 0x80000000, system_id, 0, 0, 0, 0)
    return Aare(result, DataProtocol(PROTOCOL_20601, ours))


def happening_of(apdu: Apdu, open_invoke_id: int | None) -> Happening:
    """What it is that an APDU other than an association request happens to be."""
    if isinstance(apdu, EventReport):
        if not apdu.confirmed:
            return Happening.EVENT
        is_configuration = apdu.event == mdc.CONFIG_REPORT
        return Happening.CONFIG_REPORT if is_configuration else Happening.CONFIRMED_EVENT
    if isinstance(apdu, Get | Set | Action):
        return Happening.ORDER
    if isinstance(apdu, EventReply | GetReply | SetReply | ActionReply | OperationError | OperationReject):
        return Happening.ANSWER if apdu.invoke_id == open_invoke_id else Happening.STRAY_ANSWER
    return _SIMPLE[type(apdu)]


def verdict(
    report: EventReport | None, octets: bytes, accepts: frozenset[int]
) -> tuple[ConfigReply, Configuration | None]:
    """What to answer to a configuration report.

    An empty list of objects under a standard identifier says that the agent expects the manager to know it: result
    2 makes it send another one. A list that is there is taken whatever its identifier, so no table of standard
    configurations is needed.

    Args:
        report: the report.
        octets: the whole APDU it came in.
        accepts: codes of which the configuration must have at least one; empty accepts any.

    Raises:
        ProtocolError: the report does not have its form.
    """
    told = read_event(report) if report is not None else None
    if not isinstance(told, ConfigReport):
        return ConfigReply(0, 1), None
    configuration = configuration_of(octets)
    if not configuration.objects:
        return ConfigReply(told.config_id, 2 if 0 < told.config_id < _FIRST_EXTENDED else 1), configuration
    is_wanted = not accepts or bool(accepts & configuration.types)
    return ConfigReply(told.config_id, 0 if is_wanted else 1), configuration


def event_reply(report: EventReport) -> EventReply:
    """The confirmation of a report; that of segment data repeats which entries it confirms."""
    info = b""
    if report.event == mdc.SEGMENT_DATA and len(report.info) >= SEGMENT.size:
        instance, index, count, _status = SEGMENT.unpack_from(report.info)
        info = SEGMENT.pack(instance, index, count, SEGMENT_CONFIRM)
    return EventReply(report.invoke_id, report.handle, report.time, report.event, info)


def holds_report(reply: ActionReply) -> bool:
    """Whether the answer to a data request carries measurements."""
    if reply.action != mdc.DATA_REQUEST:
        return False
    try:
        told = read_action(reply)
    except ProtocolError:
        return True  # something came that cannot be understood: it is kept like any other report
    return isinstance(told, DataReply) and bool(told.info)


_FIRST_EXTENDED = 0x4000
_SIMPLE = {Aare: Happening.AARE, Rlrq: Happening.RLRQ, Rlre: Happening.RLRE, Abrt: Happening.ABRT}


@dataclass(slots=True)
class Talk:
    """State of one association, thrown away with it.

    Attributes:
        agent: what the agent told of itself; None while there is no association.
        request: octets of the association request.
        answer: the association response that was given to it.
        is_fresh: nothing but the association request has come.
        told: octets of the configuration report that was accepted in this association.
        known: the configuration that was taken for known instead.
        open_invoke_id: invoke id of the request that waits for its answer.
        next_index: entry of a segment that should come next.
        attributes: what the agent said of itself.
        has_reported: a report came.
        fetched: how many entries of stored segments were read whole, by store and instance.
        ends: what is asked now is the last thing.
        early: reports that wait for an answer that is to come before them.
        problem: the first thing that went wrong without ending the association.
    """

    agent: Association | None = None
    request: bytes = b""
    answer: Aare | None = None
    is_fresh: bool = False
    told: bytes = b""
    known: KnownConfiguration | None = None
    configuration: Configuration | None = None
    procedure: Procedure | None = None
    step: Step | None = None
    open_invoke_id: int | None = None
    next_index: int = 0
    attributes: tuple[Attribute, ...] = ()
    has_reported: bool = False
    fetched: dict[int, dict[int, int]] = field(default_factory=dict)
    ends: bool = False
    early: deque[tuple[bytes, EventReport]] = field(default_factory=deque)
    problem: DriverError | None = None

    @property
    def awaits_context(self) -> bool:
        """The answer to the open request is needed to decode reports."""
        return isinstance(self.step, Ask) and self.step.is_context

    @property
    def holds_reports(self) -> bool:
        """Reports have to wait for the answer to the open request."""
        return isinstance(self.step, Ask) and (self.step.is_context or self.step.comes_first)

    @property
    def at_rest(self) -> bool:
        """Nothing that was asked for is outstanding."""
        return self.step is None or isinstance(self.step, Quiet)

    def note(self, error: DriverError) -> None:
        """Remember what went wrong; the first problem is the one that is told."""
        self.problem = self.problem or error

    def listens_for(self, data: SegmentData) -> bool:
        """Whether these entries belong to the segment that was asked for."""
        return isinstance(self.step, Listen) and data.instance == self.step.instance

    def hears(self, store: int, data: SegmentData) -> float | None:
        """Entries of the segment of a store that is listened for are on disk.

        Returns:
            how many seconds the next ones may take, or None when the segment is complete or was broken off.
        """
        if not data.status & SEGMENT_FIRST and data.index != self.next_index:
            message = (
                f"segment {data.instance}: entry {data.index} came where {self.next_index} was expected; "
                "connect the meter again"
            )
            self.note(ProtocolError(message, ProtocolReason.BAD_STRUCTURE))
        self.next_index = data.index + data.count
        if data.status & SEGMENT_LAST:
            self.fetched.setdefault(store, {})[data.instance] = self.next_index
        if data.status & SEGMENT_AGENT_ABORT:
            message = f"the meter broke off its segment {data.instance} after entry {self.next_index}"
            self.note(DeviceError(message, DeviceReason.GAVE_UP))
        is_over = data.status & (SEGMENT_LAST | SEGMENT_AGENT_ABORT)
        return self.step.timeout_s if isinstance(self.step, Listen) and not is_over else None
