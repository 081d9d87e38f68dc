"""One connection with a Generic Health Sensor, client's side: GATT frames in, events and GATT frames out.

What is asked stands in `conversation` and `procedure`; here both meet the frames. Each observation that arrived
whole becomes one `Piece`: the frames of its segments as they came. The radio stack has confirmed them already, so a
piece's `confirm` tells the meter nothing; it moves the memo from which the next conversation asks on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

from drivers.contract import Clearable, Context, Event, Finished, Memo, Piece, Rejected, Send, Session
from drivers.errors import (
    DeviceError,
    DeviceReason,
    DriverError,
    FramingError,
    FramingReason,
    ProtocolError,
    ProtocolReason,
    TransportError,
    TransportReason,
)
from drivers.protocols import gatt
from drivers.protocols.ghs import names
from drivers.protocols.ghs.conversation import converse
from drivers.protocols.ghs.memory import Anchor, Memory
from drivers.protocols.ghs.message import record_of
from drivers.protocols.ghs.observation import fingerprint
from drivers.protocols.ghs.procedure import (
    Ask,
    Client,
    Complete,
    Delete,
    Hear,
    Pause,
    Problem,
    Procedure,
    Quiet,
    Ready,
    Resync,
    Sent,
    Settings,
    Step,
)
from drivers.protocols.ghs.segments import OBSERVATIONS, Assembler, Broken, Whole

__all__ = ["GhsSession", "memo_key"]

MAX_EARLY_OCTETS: Final = 262_144
"""Observations that arrive before the meter has said who it is."""
_INBOX: Final = 8
_KEY_CHARACTERS: Final = 200
_NUMBERED_OCTETS: Final = 5
"""Of a first segment that holds a record number: header and number."""


def memo_key(meter: str) -> str:
    """Key of the memo that holds the last record read of a meter."""
    return f"last_record {meter}"[:_KEY_CHARACTERS]


class _Early:
    """A piece that waits, with the record that it is of, if its number is known."""

    __slots__ = ("octets", "record")

    def __init__(self, octets: bytes, record: Anchor | None) -> None:
        self.octets = octets
        self.record = record


class GhsSession(Session):
    """Client's side of a conversation with one meter.

    Args:
        settings: how it behaves.
        memos: what earlier conversations left.
    """

    def __init__(self, settings: Settings, memos: Mapping[str, bytes]) -> None:
        self._settings = settings
        self._memos = memos
        self._parser = gatt.Parser()
        self._assemblers = {uuid: Assembler() for uuid in OBSERVATIONS}
        self._inboxes: dict[str, deque[bytes]] = {
            uuid: deque(maxlen=_INBOX) for uuid in (names.RACP, names.CONTROL_POINT)
        }
        self._early: deque[_Early] = deque()
        self._early_octets = 0
        self._orders: deque[Resync | Delete] = deque(maxlen=_INBOX)
        self._script: Procedure | None = None
        self._step: Step | None = None
        self._link: gatt.Link | None = None
        self._has_name = False
        self._memory: Memory | None = None
        self._key = self._meter = ""
        self._held: _Early | None = None
        self._held_s = 0.0
        self._problem: DriverError | None = None
        self._events: list[Event] = []
        self._now_s = 0.0
        self._deadline_s: float | None = None
        self._is_last_order = False
        self._is_over = False

    # What the caller does -------------------------------------------------------------------------------------

    def opened(self, now_s: float) -> list[Event]:
        """The transport speaks first."""
        self._begin(now_s)
        self._deadline_s = now_s + self._settings.link_s
        return self._events

    def receive(self, octets: bytes, now_s: float) -> list[Event]:
        """Octets of frames, in any chunking."""
        self._begin(now_s)
        if self._is_over:
            return []
        try:
            self._parser.feed(octets)
        except FramingError as error:
            self._finish(error)
        return self._run()

    def confirm(self, now_s: float) -> list[Event]:
        """The piece last yielded is on disk."""
        self._begin(now_s)
        held, self._held = self._held, None
        if held is None or self._is_over:
            return []
        if self._deadline_s is not None:
            self._deadline_s += now_s - self._held_s  # the caller's time is not the meter's
        if held.record is not None and self._memory is not None and self._memory.confirmed(held.record):
            self._remember(self._memory)
        return self._run()

    def refuse(self, now_s: float) -> list[Event]:
        """The piece could not be committed. It is still in the meter's memory, and the memo stays before it."""
        self._begin(now_s)
        if self._held is None or self._is_over:
            return []
        self._held = None
        why = "a result could not be stored here; it is read from the meter's memory at the next contact"
        self._finish(DeviceError(why, DeviceReason.GAVE_UP))
        return self._events

    def tick(self, now_s: float) -> list[Event]:
        """Time passed."""
        self._begin(now_s)
        deadline_s = self.deadline_s
        if deadline_s is None or now_s < deadline_s:
            return []
        self._deadline_s = None
        if isinstance(self._step, Quiet) and self._assemblers[names.LIVE].is_partial:
            self._broken_off(names.LIVE)  # its stored copy is asked for
        elif isinstance(self._step, Hear | Pause | Quiet):
            self._advance(None)
        elif self._is_at_rest:
            self._finish(None)  # the link is dead, but nothing more was owed
        else:
            what = "the meter answers no more" if self._link is not None else "the connection was not made"
            why = f"{what}; bring it nearer to the hub, and wake it"
            self._finish(TransportError(why, TransportReason.TIMED_OUT))
        return self._run()

    @property
    def deadline_s(self) -> float | None:
        """When `tick` has something to do; nothing runs out while a piece waits for the caller."""
        return None if self._held is not None or self._is_over else self._deadline_s

    def lost(self, now_s: float) -> list[Event]:
        """The connection is gone. A meter that has nothing more to say may end it."""
        self._begin(now_s)
        if self._is_over:
            return []
        self._is_over = True
        is_at_rest = self._is_at_rest and self._held is None
        is_partial = self._reject_rests()
        error = self._problem
        if error is None and (is_partial or not is_at_rest):
            why = "the connection was lost before everything was read; the rest is read at the next contact"
            error = TransportError(why, TransportReason.CLOSED)
        self._events.append(Finished(error, close=True))
        return self._events

    def delete_stored(self, at_most: int, now_s: float) -> list[Event]:
        """Delete the meter's records up to a number, on a person's explicit order; nothing else ever does.

        It is done when nothing else is under way. If the meter refuses, the conversation ends with that error.

        Raises:
            DeviceError: that record, or one before it, is not known to be on disk here.
        """
        anchor = None if self._memory is None else self._memory.anchor
        if anchor is None or at_most > anchor.number or self._is_over:
            why = "only records that were read and stored here can be deleted, once all of them are"
            raise DeviceError(why, DeviceReason.REFUSED)
        self._begin(now_s)
        self._orders.append(Delete(at_most))
        return self._run()

    @property
    def clearable(self) -> Clearable | None:
        """The records up to the last one of which, and of all before it, it is known that they are on disk here."""
        anchor = None if self._memory is None else self._memory.anchor
        is_at_rest = isinstance(self._step, Quiet) and self._held is None and not (self._early or self._orders)
        if anchor is None or self._is_over or self._problem is not None or not is_at_rest:
            return None
        return Clearable(self._meter, f"records up to number {anchor.number}")

    def clear(self, now_s: float) -> list[Event]:
        """Delete those records, then disconnect."""
        anchor = None if self._memory is None else self._memory.anchor
        if self.clearable is None or anchor is None:
            raise DeviceError("not everything is read that the meter stores", DeviceReason.REFUSED)
        self._is_last_order = True
        return self.delete_stored(anchor.number, now_s)

    # The way of a frame ---------------------------------------------------------------------------------------

    def _begin(self, now_s: float) -> None:
        self._events = []
        self._now_s = now_s

    def _run(self) -> list[Event]:
        try:
            while self._held is None and not self._is_over:
                if self._early and self._memory is not None:
                    self._take(self._early.popleft())
                elif isinstance(self._step, Ready):
                    self._advance(self._memory)
                elif isinstance(self._step, Quiet) and self._orders:
                    self._advance(self._orders.popleft())
                elif (frame := self._parser.next()) is not None:
                    self._frame(frame)
                else:
                    break
        except FramingError as error:
            self._finish(error)
        return self._events

    @property
    def _is_at_rest(self) -> bool:
        """Nothing is owed: the meter may leave."""
        step = self._step
        return isinstance(step, Quiet) or (isinstance(step, Ask | Hear) and step.is_extra)

    def _frame(self, frame: gatt.Frame) -> None:
        match frame:
            case gatt.Notified():
                self._notified(frame)
            case gatt.Link() if self._link is None:
                self._linked(frame)
            case gatt.Advertised():
                pass
            case _ if isinstance(self._step, Ask) and _is_answer(frame):
                if self._step.is_context and isinstance(frame, gatt.ReadDone):
                    self._has_name = self._has_name or (frame.uuid in _NAMES and any(frame.value))
                    self._events.append(Context(self._parser.octets))
                self._advance(frame)
            case _:
                why = f"the transport says {type(frame).__name__}, which answers nothing"
                self._finish(ProtocolError(why, ProtocolReason.BAD_STRUCTURE))

    def _linked(self, link: gatt.Link) -> None:
        self._link = link
        self._link_octets = self._parser.octets
        self._script = converse(Client(link, self._settings))
        self._advance(None)

    def _notified(self, frame: gatt.Notified) -> None:
        if frame.uuid == names.RACP:  # a procedure ended; of a record that is not whole nothing more will come
            self._broken_off(names.STORED)
        inbox = self._inboxes.get(frame.uuid)
        if inbox is not None:
            if isinstance(self._step, Hear) and self._step.uuid == frame.uuid:
                self._advance(frame.value)
            else:
                inbox.append(frame.value)
        elif frame.uuid in OBSERVATIONS:
            for found in self._assemblers[frame.uuid].feed(frame.value):
                if isinstance(found, Whole):
                    self._observed(frame.uuid, found)
                else:
                    self._broken(frame.uuid, found)
            self._moved()

    def _broken_off(self, uuid: str) -> None:
        for broken in self._assemblers[uuid].rest():
            self._broken(uuid, broken)

    def _broken(self, uuid: str, broken: Broken) -> None:
        self._events.append(Rejected(_octets(uuid, broken), broken.error))
        if uuid == names.LIVE:
            if not self._orders:
                self._orders.append(Resync())
        elif self._memory is not None:
            first = broken.segments[0]
            has_number = len(first) >= _NUMBERED_OCTETS and first[0] & 1
            self._memory.broken(int.from_bytes(first[1:_NUMBERED_OCTETS], "little") if has_number else None)

    def _observed(self, uuid: str, whole: Whole) -> None:
        octets = _octets(uuid, whole)
        record: Anchor | None = None
        if uuid == names.STORED:
            try:
                number, body = record_of(whole)
            except ProtocolError:
                pass  # it arrived whole: the caller keeps it, and its decoding says what is wrong
            else:
                record = Anchor(number, fingerprint(body))
                if self._memory is not None and not self._memory.arrived(record):
                    return
        self._early.append(_Early(octets, record))
        self._early_octets += len(octets)
        if self._memory is None and self._early_octets > MAX_EARLY_OCTETS:
            why = "the meter sends results without end before it has said who it is"
            self._finish(FramingError(why, FramingReason.TOO_LONG, offset=0))

    def _take(self, piece: _Early) -> None:
        self._early_octets -= len(piece.octets)
        self._held, self._held_s = piece, self._now_s
        self._events.append(Piece(piece.octets, starts_message=True, ends_message=True))

    def _moved(self) -> None:
        """Something arrived: what waits for silence waits on."""
        match self._step:
            case Hear(uuid=names.RACP, timeout_s=seconds):
                self._deadline_s = self._now_s + seconds
            case Quiet() if self._assemblers[names.LIVE].is_partial:
                self._deadline_s = self._now_s + self._settings.report_s
            case Quiet(seconds=limit_s):
                self._deadline_s = None if limit_s is None else self._now_s + limit_s

    # The script -----------------------------------------------------------------------------------------------

    def _advance(self, came: Sent) -> None:
        """Go on to the next step that waits for something."""
        script = self._script
        if script is None:
            return
        try:
            while True:
                self._step = script.send(came)
                waits, came = self._enter(self._step)
                if waits:
                    break
        except StopIteration:
            self._finish(None)
        except DriverError as error:
            self._finish(error)

    def _enter(self, step: Step) -> tuple[bool, Sent]:
        """Begin a step. Returns: whether it waits for something; if not, what came of it."""
        match step:
            case Ask():
                if isinstance(step.request, gatt.Write):
                    self._clear(step.request.uuid)
                self._events.append(Send(gatt.encode(step.request)))
                self._deadline_s = self._now_s + self._settings.answer_s
            case Hear():
                inbox = self._inboxes[step.uuid]
                if inbox:
                    return False, inbox.popleft()
                self._deadline_s = self._now_s + step.timeout_s
            case Quiet() if self._is_last_order and not self._orders:
                self._finish(None)
            case Pause() | Quiet():
                self._deadline_s = None if step.seconds is None else self._now_s + step.seconds
            case Ready():
                self._ready(step)
            case Complete():
                if self._memory is not None and self._memory.complete():
                    self._remember(self._memory)
                return False, None
            case Problem():
                self._problem = self._problem or step.error
                return False, None
        return True, None

    def _clear(self, uuid: str) -> None:
        """A request begins: indications before it are of no more interest."""
        if uuid in self._inboxes:
            self._inboxes[uuid].clear()
        if uuid == names.RACP:
            self._assemblers[names.STORED].reset()

    def _ready(self, step: Ready) -> None:
        if not self._has_name:
            self._events.append(Context(self._link_octets))
        self._meter = step.meter
        self._key = memo_key(step.meter)
        self._memory = Memory(Anchor.of(self._memos.get(self._key)))

    def _remember(self, memory: Memory) -> None:
        self._events.append(Memo(self._key, b"" if memory.anchor is None else memory.anchor.encode()))

    # The end --------------------------------------------------------------------------------------------------

    def _finish(self, error: DriverError | None) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._reject_rests()
        if self._link is not None:
            self._events.append(Send(gatt.encode(gatt.Disconnect())))
        self._events.append(Finished(error or self._problem, close=True))

    def _reject_rests(self) -> bool:
        """What did not become a piece is shown. Returns: whether there was any."""
        known = len(self._events)
        for piece in self._early:
            why = "it came before the meter had said who it is; it is read from its memory at the next contact"
            self._events.append(Rejected(piece.octets, ProtocolError(why, ProtocolReason.NO_HEADER)))
        self._early.clear()
        for uuid, assembler in self._assemblers.items():
            for broken in assembler.rest():
                error = FramingError("the connection ended inside an observation", FramingReason.TRUNCATED)
                self._events.append(Rejected(_octets(uuid, broken), error))
        rest = self._parser.rest()
        if rest:
            error = FramingError("the connection ended inside a frame", FramingReason.TRUNCATED, offset=0)
            self._events.append(Rejected(rest, error))
        return len(self._events) > known


_NAMES: Final = frozenset({names.SERIAL, names.SYSTEM_ID})


def _octets(uuid: str, found: Whole | Broken) -> bytes:
    """The frames in which it came."""
    return b"".join(gatt.encode(gatt.Notified(uuid, each)) for each in found.segments)


def _is_answer(frame: gatt.Frame) -> bool:
    return isinstance(frame, gatt.ReadDone | gatt.Written | gatt.Subscribed | gatt.Unsubscribed | gatt.Failed)
