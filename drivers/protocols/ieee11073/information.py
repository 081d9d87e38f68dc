"""What events and actions carry, and how it is told which.

Source: IEEE 11073-20601, annex A. Every class encodes itself again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from drivers.protocols.ieee11073 import nomenclature as mdc
from drivers.protocols.ieee11073.apdu import Action, ActionReply, EventReply, EventReport
from drivers.protocols.ieee11073.configuration import ConfigReply, ConfigReport
from drivers.protocols.ieee11073.mder import PAIR, Reader
from drivers.protocols.ieee11073.scans import SCAN_EVENTS, DataReply, DataRequest, ScanReport
from drivers.protocols.ieee11073.segments import (
    SEGMENT,
    SegmentData,
    SegmentList,
    SegmentReply,
    Selection,
    Trigger,
    TriggerReply,
)

__all__ = ["Information", "SetTime", "read_action", "read_event"]


@dataclass(frozen=True, slots=True)
class SetTime:
    """A new time for the agent's clock: eight octets and, for an absolute time, the accuracy as FLOAT."""

    time: bytes
    accuracy: int | None = None

    def encode(self) -> bytes:
        """Octets of the action information."""
        return self.time if self.accuracy is None else self.time + self.accuracy.to_bytes(4, "big")


Information = (
    ConfigReport
    | ConfigReply
    | ScanReport
    | SegmentData
    | SegmentReply
    | DataRequest
    | DataReply
    | Selection
    | SegmentList
    | Trigger
    | TriggerReply
    | SetTime
)

Read = TypeVar("Read", bound=Information)


def read_event(apdu: EventReport | EventReply) -> Information | None:
    """What an event report or its reply carries; None for nothing or an event that is not known.

    Raises:
        ProtocolError: some length inside does not fit.
    """
    reader = Reader(apdu.info, apdu.at)
    if isinstance(apdu, EventReport):
        if apdu.event in SCAN_EVENTS:
            return ScanReport.read(apdu.event, reader)
        if apdu.event == mdc.CONFIG_REPORT:
            return ConfigReport.read(reader)
        return SegmentData.read(reader) if apdu.event == mdc.SEGMENT_DATA else None
    if apdu.event == mdc.CONFIG_REPORT:
        return _whole(ConfigReply(*reader.unpack(PAIR, "configuration reply")), reader)
    if apdu.event == mdc.SEGMENT_DATA:
        return _whole(SegmentReply(*reader.unpack(SEGMENT, "segment data reply")), reader)
    return None


def read_action(apdu: Action | ActionReply) -> Information | None:
    """What an action or its reply carries; None for nothing or an action that is not known.

    Raises:
        ProtocolError: some length inside does not fit.
    """
    reader = Reader(apdu.info, apdu.at)
    is_order = isinstance(apdu, Action)
    if apdu.action == mdc.DATA_REQUEST:
        return DataRequest.read(reader) if is_order else DataReply.read(reader)
    if apdu.action == mdc.SEG_GET_INFO:
        return Selection.read(reader) if is_order else SegmentList.read(reader)
    if apdu.action == mdc.SEG_TRIG_XFER:
        if is_order:
            return _whole(Trigger(reader.u16("segment instance")), reader)
        return _whole(TriggerReply(*reader.unpack(PAIR, "segment transfer reply")), reader)
    if apdu.action == mdc.SEG_CLR and is_order:
        return Selection.read(reader)
    if apdu.action == mdc.SET_TIME and is_order:
        return _whole(SetTime(reader.take(8, "time"), reader.u32("accuracy")), reader)
    if apdu.action == mdc.SET_BO_TIME and is_order:
        return _whole(SetTime(reader.take(8, "time")), reader)
    return None


def _whole(read: Read, reader: Reader) -> Read:
    reader.finish("information")
    return read
