"""From the committed octets of one message to readings.

No octet that arrived falls out: what cannot become a result becomes a fault reading, which carries it to the
server's quarantine.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from drivers.contract import Decoded, MeterIdentity, MeterRecord, Unreadable
from drivers.errors import DriverError, ProtocolReason
from gateway.clock import MeterOffset, Quality, resolve
from gateway.hub.align import Known, Memory, align
from gateway.hub.entries import Closing, Line, PastMessage, StoredPiece
from gateway.hub.journal import JournalError
from gateway.hub.surroundings import Stamp
from gateway.result import DeviceTime, Meter, Result
from gateway.wire.reading import (
    MAX_PAYLOAD_OCTETS,
    READING_SCHEMA,
    Fault,
    HubClock,
    MeterClockReading,
    Reading,
    Repetition,
    encode,
)

__all__ = ["Interpreter", "ReadingDraft", "memory_of", "where"]

RAW_PART_OCTETS = 131_072
"""Octets that do not fit into one payload travel in parts of this size, each a fault reading of its own."""
PLACEHOLDER = UUID(int=0)

_log = logging.getLogger(__name__)

Pieces = Sequence[StoredPiece]


@dataclass(frozen=True, slots=True)
class ReadingDraft:
    """A reading that lacks its name."""

    reading: Reading

    def encode(self, journal: UUID, number: int, message: int, position: int) -> bytes:
        """The payload under this name."""
        name = {"journal": journal, "number": number, "message": message, "position": position}
        return encode(self.reading.model_copy(update=name))


@dataclass(frozen=True, slots=True)
class Interpreter:
    """Turns messages of one attachment into readings.

    Attributes:
        decode: the driver's.
        line: where the messages come from.
        hub, zone, software: as they stand in every reading.
        last_messages: the journal's earlier messages of a meter, newest first.
        on_driver_fault: called when a driver failed in a way it must not.
    """

    decode: Callable[[Sequence[bytes]], Decoded]
    line: Line
    hub: str
    zone: str
    software: str
    last_messages: Callable[[str], Sequence[PastMessage]]
    on_driver_fault: Callable[[], None]

    def whole(self, pieces: Pieces) -> Closing:
        """What a message that came to its end says."""
        octets = [piece.octets for piece in pieces]
        try:
            decoded = self.decode(octets)
            meter = _meter(decoded.meter)
            key = None if meter is None else meter.key
            return Closing("decoded", key, self._drafts(decoded, meter, key, pieces))
        except JournalError:
            raise
        except DriverError as error:
            fault = Fault(reason=str(error.reason), detail=str(error)[:500], offset=error.offset)
        except Exception as error:  # a driver's bug must not cost a single octet
            self.on_driver_fault()
            return self.failed(pieces, error)
        return Closing("undecodable", None, self._faults(b"".join(octets), fault, pieces[-1].stamp))

    def failed(self, pieces: Pieces, error: Exception) -> Closing:
        """A message over which our own software failed: one fault with all its octets."""
        fault = Fault(reason="driver_fault", detail=f"driver {self.line.driver}: {where(error)}")
        _log.error("port %s: %s", self.line.port, fault.detail)
        octets = b"".join(piece.octets for piece in pieces)
        return Closing("undecodable", None, self._faults(octets, fault, pieces[-1].stamp))

    def broken(self, pieces: Pieces, rejected: Iterable[bytes]) -> Closing:
        """A message that never came to its end: one fault with all its octets, the damaged ones at the end."""
        damaged = b"".join(rejected)
        whole = b"".join(piece.octets for piece in pieces)
        detail = f"the message never came to its end: {len(whole)} octets in {len(pieces)} pieces"
        if damaged:
            detail += f", then {len(damaged)} damaged octets that were never acknowledged"
        fault = Fault(reason=str(ProtocolReason.NO_END), detail=detail, offset=len(whole))
        return Closing("undecodable", None, self._faults(whole + damaged, fault, pieces[-1].stamp))

    # ---------------------------------------------------------------- inside

    def _drafts(self, decoded: Decoded, meter: Meter | None, key: str | None, pieces: Pieces) -> list[ReadingDraft]:
        stamp = pieces[-1].stamp
        beside = self._beside(decoded, pieces)
        outcomes = [_outcome(decoded.meter, item) for item in decoded.items]
        results = [outcome if isinstance(outcome, Result) else None for outcome in outcomes]
        repetitions = self._repetitions(key, results, beside, stamp)
        drafts: list[ReadingDraft] = []
        for item, outcome, repetition in zip(decoded.items, outcomes, repetitions, strict=True):
            if isinstance(outcome, Result):
                draft = self._draft(item.octets, stamp, meter, beside, result=outcome, repetition=repetition)
                if _fits(draft):
                    drafts.append(draft)
                    continue
                outcome = Fault(reason="too_large", detail="the record is too large for one payload")
            drafts += self._faults(item.octets, outcome, stamp, meter, beside)
        return drafts

    def _beside(self, decoded: Decoded, pieces: Pieces) -> tuple[MeterClockReading, Stamp] | None:
        """The meter's clock beside the hub's when the piece that carried it arrived."""
        clock = decoded.clock
        if clock is None or not 0 <= clock.piece < len(pieces):
            return None
        try:
            time = DeviceTime(
                raw=clock.time.raw[:100], local=clock.time.local, utc_offset_min=clock.time.utc_offset_min
            )
        except ValidationError:
            return None
        stamp = pieces[clock.piece].stamp
        return MeterClockReading(device_time=time, hub_time=stamp.received_at), stamp

    def _repetitions(
        self,
        key: str | None,
        results: Sequence[Result | None],
        beside: tuple[MeterClockReading, Stamp] | None,
        stamp: Stamp,
    ) -> list[Repetition | None]:
        timeless = [result is not None and self._timeless(result, beside, stamp) for result in results]
        if key is None or not any(timeless):
            return [None] * len(results)
        found = align(memory_of(self.last_messages(key)), results)
        return [one if without else None for one, without in zip(found, timeless, strict=True)]

    def _timeless(self, result: Result, beside: tuple[MeterClockReading, Stamp] | None, stamp: Stamp) -> bool:
        time = result.device_time
        offset = None
        if beside is not None and beside[0].device_time.local is not None:
            shown = beside[0].device_time
            assert shown.local is not None
            offset = MeterOffset(shown.local, shown.utc_offset_min, beside[0].hub_time, beside[1].synchronised)
        resolved = resolve(
            None if time is None else time.local,
            None if time is None else time.utc_offset_min,
            offset,
            ZoneInfo(self.zone),
            stamp.received_at,
        )
        return resolved.quality in (Quality.UNSET, Quality.IMPLAUSIBLE)

    def _faults(
        self,
        octets: bytes,
        fault: Fault,
        stamp: Stamp,
        meter: Meter | None = None,
        beside: tuple[MeterClockReading, Stamp] | None = None,
    ) -> list[ReadingDraft]:
        """One fault reading, or as many as it takes to carry all octets."""
        count = max(1, -(-len(octets) // RAW_PART_OCTETS))
        drafts = []
        for index in range(count):
            part = octets[index * RAW_PART_OCTETS : (index + 1) * RAW_PART_OCTETS]
            said = fault
            if count > 1:
                said = fault.model_copy(update={"detail": f"part {index + 1} of {count}: {fault.detail}"})
            drafts.append(self._draft(part, stamp, meter, beside, fault=said))
        return drafts

    def _draft(
        self,
        octets: bytes,
        stamp: Stamp,
        meter: Meter | None,
        beside: tuple[MeterClockReading, Stamp] | None,
        *,
        result: Result | None = None,
        fault: Fault | None = None,
        repetition: Repetition | None = None,
    ) -> ReadingDraft:
        believed = stamp if beside is None else beside[1]
        return ReadingDraft(
            Reading(
                schema=READING_SCHEMA,
                journal=PLACEHOLDER,
                number=1,
                hub=self.hub,
                origin=self.line.origin,
                software=self.software,
                driver=self.line.driver,
                port=self.line.port,
                message=1,
                position=0,
                read_at=stamp.received_at,
                hub_clock=HubClock(
                    synchronised=believed.synchronised, boot_id=stamp.boot_id, monotonic_s=stamp.monotonic_s
                ),
                meter_clock=None if beside is None else beside[0],
                zone=self.zone,
                meter=meter,
                result=result,
                fault=fault,
                repetition=repetition,
                raw=base64.b64encode(octets).decode("ascii"),
            )
        )


def memory_of(messages: Sequence[PastMessage]) -> Memory:
    """What earlier messages (newest first) tell of a meter's memory."""
    since: list[Known] = []
    older: list[Known] = []
    listed: tuple[Known, ...] = ()
    for message in messages:
        known = tuple(_known(payload) for _number, payload in message.readings)
        if listed:
            older[:0] = known
        elif len(known) > 1:
            listed = known
        else:
            since[:0] = known
    return Memory(listed, tuple(since), tuple(older))


def _known(payload: bytes) -> Known:
    reading = Reading.model_validate_json(payload)
    first = reading.repetition.of if reading.repetition is not None else None
    return Known(first or reading.number, reading.result)


def _meter(identity: MeterIdentity) -> Meter | None:
    try:
        return Meter(
            vendor=identity.vendor or None,
            serial=identity.serial or None,
            model=identity.model or None,
            firmware=identity.firmware or None,
        )
    except ValidationError:
        return None


def _outcome(identity: MeterIdentity, item: MeterRecord | Unreadable) -> Result | Fault:
    if isinstance(item, Unreadable):
        error = item.error
        return Fault(reason=str(error.reason), detail=str(error)[:500], offset=error.offset)
    try:
        return Result.from_record(identity, item)
    except ValidationError as invalid:
        problems = invalid.errors(include_url=False, include_context=False, include_input=False)
        detail = "; ".join(f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in problems)
        return Fault(reason="not_normalisable", detail=detail[:500])


def _fits(draft: ReadingDraft) -> bool:
    if len(draft.reading.raw) < MAX_PAYLOAD_OCTETS // 8:  # even if every character of it were escaped once more
        return True
    return len(draft.encode(PLACEHOLDER, 10**17, 10**17, 10**6)) <= MAX_PAYLOAD_OCTETS


def where(error: BaseException) -> str:
    """Which error and in which line; never its text, which may quote a value."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f" at {trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"
    return f"{type(error).__name__}{place}"
