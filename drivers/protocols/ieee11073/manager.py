"""The manager's side of a conversation: octets in, events and octets out, confirmation only when told.

What to do in which state stands in `states`, what is asked of the agent in `procedure`; here both meet the octets.
An event report is confirmed to the agent only after the caller has confirmed its piece, because an agent may delete
what was confirmed (IEEE 11073-20601, clause on confirmed event reports).
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import replace
from typing import NamedTuple

from drivers.contract import Context, Event, Finished, Piece, Rejected, Send, Session
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
from drivers.protocols.ieee11073.apdu import (
    Aarq,
    Abrt,
    Action,
    ActionReply,
    Apdu,
    EventReply,
    EventReport,
    Get,
    GetReply,
    OperationError,
    Rlre,
    Rlrq,
    Set,
    decode,
)
from drivers.protocols.ieee11073.association import (
    Talk,
    event_reply,
    examined,
    happening_of,
    holds_report,
    response,
    verdict,
)
from drivers.protocols.ieee11073.framing import ApduStream
from drivers.protocols.ieee11073.information import ConfigReply, ScanReport, SegmentData, read_event
from drivers.protocols.ieee11073.objects import Configuration, configuration_of
from drivers.protocols.ieee11073.procedure import Ask, Problem, Quiet, Settings, clear, operate
from drivers.protocols.ieee11073.states import TABLE, Act, Happening, State

__all__ = ["ConfigurationCache", "Manager"]

ConfigurationCache = MutableMapping[tuple[bytes, int], bytes]
"""Octets of accepted configuration reports by the agent's system-id and configuration id."""

MAX_EARLY_REPORTS = 64
STALE_GRACE_S = 1.0
"""An agent repeats its request after 10 s; what comes sooner was on its way before."""
_ABORT_REASONS = {1: "buffer overflow", 2: "an answer came too late", 3: "the configuration took too long"}


class _Held(NamedTuple):
    octets: bytes
    apdu: EventReport | ActionReply
    reply: EventReply | None
    since_s: float


class Manager(Session):
    """One connection with one agent; associations may follow each other on it.

    After an orderly release, and after either side aborts, a `Finished` ends the conversation; the connection can
    be used for the next association, unless it says ``close``.
    """

    def __init__(self, settings: Settings | None = None, cache: ConfigurationCache | None = None) -> None:
        self._settings = settings or Settings()
        self._cache: ConfigurationCache = {} if cache is None else cache
        self._stream = ApduStream()
        self._talk = Talk()
        self._events: list[Event] = []
        self._now_s = 0.0
        self._deadline_s: float | None = None
        self._closed = False
        self._state = self._before = State.DISCONNECTED
        self._invoke_id = 0
        self._is_stale = False
        self._answered_s = 0.0
        self._held: _Held | None = None
        self._last_confirmed: tuple[bytes, bytes] | None = None
        self._acts: dict[Act, Callable[[Apdu | None, bytes], None]] = {
            Act.NOTHING: lambda _apdu, _octets: None,
            Act.LISTEN: lambda _apdu, _octets: self._listen(),
            Act.ABORT_STALE: lambda _apdu, _octets: self._expect_request_soon(),
            Act.GIVE_UP: lambda _apdu, _octets: self._give_up(),
            Act.END: lambda _apdu, _octets: self._end(),
            Act.ACCEPT_KNOWN: self._accept,
            Act.ACCEPT_UNKNOWN: self._accept,
            Act.ACCEPT_AGAIN: lambda _apdu, _octets: self._accept_again(),
            Act.REJECT: self._reject,
            Act.ABORT: lambda _apdu, octets: self._abort(0, self._out_of_place(octets)),
            Act.ABORT_LATE_ANSWER: lambda _apdu, _octets: self._abort(2, _too_late("an answer")),
            Act.ABORT_LATE_CONFIG: lambda _apdu, _octets: self._abort(3, _too_late("its configuration")),
            Act.ABORTED: self._aborted,
            Act.CHECK_CONFIG: self._check_config,
            Act.REFUSE_CONFIG: self._refuse_config,
            Act.TAKE_CONFIG: self._take_config,
            Act.KEEP: self._keep,
            Act.TAKE_ANSWER: self._take_answer,
            Act.REFUSE_ORDER: lambda apdu, _octets: self._refuse_operation(apdu, 1),
            Act.REFUSE_EVENT: lambda apdu, _octets: self._refuse_operation(apdu, 24),
            Act.ASK_RELEASE: lambda _apdu, _octets: self._ask_release(),
            Act.ANSWER_RELEASE: lambda _apdu, _octets: self._answer_release(),
            Act.ANSWER_CROSSING_RELEASE: lambda _apdu, _octets: self._send(Rlre()),
            Act.RELEASED: lambda _apdu, _octets: self._finish(None),
        }

    # What the caller does -------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where the conversation stands."""
        return self._state

    def opened(self, now_s: float) -> list[Event]:
        """The agent speaks first; nothing is sent."""
        self._begin(now_s)
        self._fire(Happening.CONNECTED)
        return self._run()

    def receive(self, octets: bytes, now_s: float) -> list[Event]:
        """Octets arrived, in any chunking."""
        self._begin(now_s)
        if self._closed:
            return []
        try:
            self._stream.feed(octets)
        except FramingError as error:
            self._break_off(error)
        return self._run()

    def confirm(self, now_s: float) -> list[Event]:
        """The piece last yielded is on disk: confirm its report, go on."""
        self._begin(now_s)
        held, self._held = self._held, None
        if held is None:
            return []
        if self._deadline_s is not None:
            self._deadline_s += now_s - held.since_s  # the caller's time is not the meter's
        if self._state is State.OPERATING:
            if held.reply is not None:
                self._last_confirmed = (held.octets, held.reply.encode())
                self._send(held.reply)
            self._stored(held.apdu, held.octets)
        return self._run()

    def refuse(self, now_s: float) -> list[Event]:
        """The piece could not be committed: abort, so that the agent keeps it."""
        self._begin(now_s)
        if self._held is None or self._closed:
            return []
        self._held = None
        self._send(Abrt(0))
        self._state = State.DISCONNECTED
        kept = DeviceError("a report could not be stored here and stays in the meter", DeviceReason.GAVE_UP)
        self._finish(kept, close=True)
        return self._events

    def tick(self, now_s: float) -> list[Event]:
        """Time passed."""
        self._begin(now_s)
        deadline_s = self.deadline_s
        if deadline_s is None or now_s < deadline_s:
            return []
        self._deadline_s = None
        if self._state is State.OPERATING and isinstance(self._talk.step, Quiet):
            self._advance(None)
        else:
            self._fire(Happening.TIMEOUT)
        return self._run()

    @property
    def deadline_s(self) -> float | None:
        """When `tick` has something to do; nothing runs out while a piece waits for the caller."""
        return None if self._held is not None or self._closed else self._deadline_s

    def lost(self, now_s: float) -> list[Event]:
        """The connection is gone."""
        self._begin(now_s)
        if not self._closed:
            self._fire(Happening.LOST)
            self._closed = True
        return self._events

    def release(self, now_s: float) -> list[Event]:
        """End the association in order. Does nothing while a piece waits."""
        self._begin(now_s)
        if self._held is None:
            self._fire(Happening.WANT_RELEASE)
        return self._run()

    def abort(self, now_s: float) -> list[Event]:
        """Break the association off; what is not yet confirmed stays in the meter."""
        self._begin(now_s)
        self._held = None
        self._fire(Happening.WANT_ABORT)
        return self._run()

    def clear_stored(self, store: int, instances: tuple[int, ...], now_s: float) -> list[Event]:
        """Delete stored segments on a person's explicit order; all of a store without instances.

        Raises:
            DeviceError: not now: no association, or something is still being read.
        """
        self._begin(now_s)
        if self._state is not State.OPERATING or not self._talk.at_rest or self._held is not None:
            raise DeviceError("stored segments can be cleared only once everything is read", DeviceReason.REFUSED)
        self._talk.procedure = clear(store, instances, self._settings)
        self._advance(None)
        return self._run()

    # The way of an APDU ---------------------------------------------------------------------------------------

    def _begin(self, now_s: float) -> None:
        self._events = []
        self._now_s = now_s

    def _run(self) -> list[Event]:
        try:
            while self._held is None and not self._closed:
                talk = self._talk
                if talk.early and not talk.awaits_context:
                    octets, report = talk.early.popleft()
                    self._fire(happening_of(report, None), report, octets)
                elif (whole := self._stream.next()) is not None:
                    self._take(whole)
                else:
                    break
        except FramingError as error:
            self._break_off(error)
        return self._events

    def _take(self, octets: bytes) -> None:
        try:
            apdu = decode(octets)
        except ProtocolError as error:
            self._events.append(Rejected(octets, error))
            self._talk.note(error)
            self._fire(Happening.DAMAGED, None, octets)
            return
        talk = self._talk
        if isinstance(apdu, Aarq):
            happening = self._request_happening(apdu, octets)
        else:
            happening = happening_of(apdu, talk.open_invoke_id)
        if happening is not Happening.AARQ_AGAIN:
            talk.is_fresh = False
        if isinstance(talk.step, Quiet):
            self._deadline_s = self._now_s + talk.step.seconds
        if talk.awaits_context and isinstance(apdu, EventReport):
            talk.early.append((octets, apdu))
            if len(talk.early) > MAX_EARLY_REPORTS:
                self._abort(1, DeviceError("the meter does not wait for its answers", DeviceReason.GAVE_UP))
            return
        self._fire(happening, apdu, octets)

    def _request_happening(self, request: Aarq, octets: bytes) -> Happening:
        if self._talk.is_fresh and octets == self._talk.request:
            return Happening.AARQ_AGAIN
        agent, result = examined(request)
        if agent is None or result:
            return Happening.AARQ_UNACCEPTABLE
        known = (agent.system_id, agent.config_id) in self._cache
        return Happening.AARQ_KNOWN if known else Happening.AARQ_UNKNOWN

    def _fire(self, happening: Happening, apdu: Apdu | None = None, octets: bytes = b"") -> None:
        transition = TABLE[self._state, happening]
        self._before, self._state = self._state, transition.after
        self._acts[transition.act](apdu, octets)

    def _send(self, apdu: Apdu) -> None:
        self._events.append(Send(apdu.encode()))

    # Association ----------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        self._deadline_s = self._now_s + self._settings.association_s

    def _expect_request_soon(self) -> None:
        if not self._is_stale:
            self._is_stale = True
            self._deadline_s = self._now_s + STALE_GRACE_S

    def _accept(self, apdu: Apdu | None, octets: bytes) -> None:
        agent = examined(apdu)[0] if isinstance(apdu, Aarq) else None
        if agent is None:
            return
        is_known = self._state is State.OPERATING
        answer = response(0 if is_known else 3, agent, self._settings.system_id)
        self._talk = Talk(agent, octets, answer, is_fresh=True)
        self._is_stale = False
        self._answered_s = self._now_s
        self._last_confirmed = None
        self._events.append(Context(octets))
        self._send(answer)
        if is_known:
            cached = self._cache[agent.system_id, agent.config_id]
            self._events.append(Context(cached))
            self._operate(configuration_of(cached))
        else:
            self._deadline_s = self._now_s + self._settings.configuration_s

    def _accept_again(self) -> None:
        talk = self._talk
        if talk.answer is None or self._now_s - self._answered_s < STALE_GRACE_S:
            return  # it was sent before the answer could arrive
        self._answered_s = self._now_s
        self._send(talk.answer)
        if talk.configuration is not None:
            self._operate(talk.configuration)
        else:
            self._deadline_s = self._now_s + self._settings.configuration_s

    def _reject(self, apdu: Apdu | None, _octets: bytes) -> None:
        agent, result = examined(apdu) if isinstance(apdu, Aarq) else (None, 1)
        self._send(response(result, agent, self._settings.system_id))
        why = {4: "no common protocol", 5: "no common parameter", 8: "unknown association version"}
        message = f"the meter asks to associate in a way that is not 20601: {why.get(result, 'it is no agent')}"
        self._finish(ProtocolError(message, ProtocolReason.UNSUPPORTED))
        self._listen()

    def _check_config(self, apdu: Apdu | None, octets: bytes) -> None:
        report = apdu if isinstance(apdu, EventReport) else None
        try:
            reply, configuration = verdict(report, octets, self._settings.accepts)
        except ProtocolError as error:
            self._events.append(Rejected(octets, error))
            self._talk.note(error)
            reply, configuration = ConfigReply(0, 1), None
        if configuration is not None and not reply.result:
            self._talk.configuration = configuration
            self._talk.problem = None
            if self._talk.agent is not None:
                self._cache[self._talk.agent.system_id, reply.config_id] = octets
            self._events.append(Context(octets))
        elif configuration is not None and configuration.objects:
            message = "the meter's configuration has nothing that this driver reads; it is another kind of meter"
            self._talk.note(ProtocolError(message, ProtocolReason.UNSUPPORTED))
        if report is not None:
            answer = EventReply(report.invoke_id, report.handle, report.time, report.event, reply.encode())
            self._send(answer)
        self._fire(Happening.CONFIG_REFUSED if reply.result else Happening.CONFIG_ACCEPTED)

    def _refuse_config(self, _apdu: Apdu | None, _octets: bytes) -> None:
        self._deadline_s = self._now_s + self._settings.configuration_s

    def _take_config(self, _apdu: Apdu | None, _octets: bytes) -> None:
        if self._talk.configuration is not None:
            self._operate(self._talk.configuration)

    # Operation ------------------------------------------------------------------------------------------------

    def _operate(self, configuration: Configuration) -> None:
        if self._talk.agent is not None:
            self._talk.configuration = configuration
            self._talk.procedure = operate(self._talk.agent, configuration, self._settings)
            self._advance(None)

    def _advance(self, answer: Apdu | None) -> None:
        """Let the procedure go on to its next step."""
        talk = self._talk
        talk.step, talk.open_invoke_id, self._deadline_s = None, None, None
        while talk.procedure is not None:
            try:
                step = talk.procedure.send(answer)
            except StopIteration:
                talk.procedure = None
                if self._settings.release_when_quiet_s:
                    self._fire(Happening.WANT_RELEASE)
                return
            answer = None
            if isinstance(step, Problem):
                talk.note(step.error)
                continue
            talk.step, talk.next_index = step, 0
            if isinstance(step, Ask):
                self._invoke_id = self._invoke_id % 0xFFFF + 1
                talk.open_invoke_id = self._invoke_id
                self._send(replace(step.request, invoke_id=self._invoke_id))
            self._deadline_s = self._now_s + (step.seconds if isinstance(step, Quiet) else step.timeout_s)
            return

    def _take_answer(self, apdu: Apdu | None, octets: bytes) -> None:
        if isinstance(apdu, ActionReply) and holds_report(apdu):
            self._hold(octets, apdu, None)
            return
        if self._talk.awaits_context and isinstance(apdu, GetReply | ActionReply):
            self._events.append(Context(octets))
        self._advance(apdu)

    def _keep(self, apdu: Apdu | None, octets: bytes) -> None:
        if self._last_confirmed is not None and self._last_confirmed[0] == octets:
            self._events.append(Send(self._last_confirmed[1]))
        elif isinstance(apdu, EventReport):
            self._hold(octets, apdu, event_reply(apdu) if apdu.confirmed else None)

    def _hold(self, octets: bytes, apdu: EventReport | ActionReply, reply: EventReply | None) -> None:
        self._held = _Held(octets, apdu, reply, self._now_s)
        self._events.append(Piece(octets, starts_message=True, ends_message=True))

    def _stored(self, apdu: EventReport | ActionReply, octets: bytes) -> None:
        """A report is on disk and confirmed; see what follows from it."""
        if isinstance(apdu, ActionReply):
            self._advance(apdu)
            return
        talk = self._talk
        try:
            told = read_event(apdu)
            if isinstance(told, ScanReport) and talk.configuration is not None:
                updated = talk.configuration.updated(told)
                if updated is not talk.configuration:
                    talk.configuration = updated
                    self._events.append(Context(octets))
        except ProtocolError:
            return  # what is wrong with it will be shown when the stored octets are decoded
        if isinstance(told, SegmentData) and talk.listens_for(told):
            next_within_s = talk.hears(told)
            if next_within_s is None:
                self._advance(None)
            else:
                self._deadline_s = self._now_s + next_within_s

    def _refuse_operation(self, apdu: Apdu | None, value: int) -> None:
        if isinstance(apdu, Get) or (isinstance(apdu, EventReport | Set | Action) and apdu.confirmed):
            self._send(OperationError(apdu.invoke_id, value))

    # Ends -----------------------------------------------------------------------------------------------------

    def _ask_release(self) -> None:
        talk = self._talk
        talk.procedure, talk.step, talk.open_invoke_id = None, None, None
        self._send(Rlrq())
        self._deadline_s = self._now_s + self._settings.release_s

    def _answer_release(self) -> None:
        self._send(Rlre())
        unread = DeviceError("the meter ended the association before everything was read", DeviceReason.GAVE_UP)
        self._finish(None if self._talk.at_rest else unread)

    def _abort(self, reason: int, error: DriverError) -> None:
        self._send(Abrt(reason))
        self._state = State.UNASSOCIATED
        self._finish(error)
        self._listen()

    def _aborted(self, apdu: Apdu | None, _octets: bytes) -> None:
        reason = _ABORT_REASONS.get(apdu.reason if isinstance(apdu, Abrt) else 0, "without a reason")
        self._finish(DeviceError(f"the meter broke the association off: {reason}", DeviceReason.GAVE_UP))
        self._listen()

    def _out_of_place(self, octets: bytes) -> DriverError:
        return self._talk.problem or ProtocolError(
            f"the meter sent an APDU {octets[:2].hex().upper()} that has no place in state "
            f"{self._before.name.lower()}; the association was broken off, the meter keeps what was not confirmed",
            ProtocolReason.BAD_STRUCTURE,
        )

    def _give_up(self) -> None:
        if self._is_stale:  # the agent thinks that it is associated, and will now ask again
            self._is_stale = False
            self._send(Abrt(0))
            self._state = State.UNASSOCIATED
            self._listen()
            return
        message = (
            f"the meter did not ask to associate within {self._settings.association_s:g} s. Unplug it, wait until "
            "its display is off, and connect it again"
        )
        self._finish(DeviceError(message, DeviceReason.GAVE_UP), close=True)

    def _break_off(self, error: FramingError) -> None:
        """The stream makes no sense any more."""
        if self._closed:
            return
        rest = self._stream.rest()
        if rest:
            self._events.append(Rejected(rest, error))
        self._send(Abrt(0))
        self._state = State.DISCONNECTED
        self._finish(error, close=True)

    def _end(self) -> None:
        rest = self._stream.rest()
        if rest:
            message = f"the connection ended {len(rest)} octets into an APDU"
            cut = FramingError(message, FramingReason.TRUNCATED, offset=len(rest))
            self._events.append(Rejected(rest, cut))
        is_done = self._before in (State.UNASSOCIATED, State.OPERATING) and self._talk.at_rest
        gone = TransportError("the meter went away before everything was read", TransportReason.CLOSED)
        self._finish(None if is_done and not rest and self._held is None else gone, close=True)

    def _finish(self, error: DriverError | None, *, close: bool = False) -> None:
        error = error or self._talk.problem
        for octets, report in self._talk.early:
            if not report.confirmed:  # the agent will not send it again
                late = ProtocolError("the meter ended before it told who it is", ProtocolReason.NO_HEADER)
                self._events.append(Rejected(octets, late))
        self._talk = Talk()
        self._deadline_s = None
        self._closed = self._closed or close
        self._events.append(Finished(error, close=close))


def _too_late(what: str) -> DeviceError:
    return DeviceError(
        f"the meter took too long for {what}; it keeps what was not confirmed. Connect it again",
        DeviceReason.GAVE_UP,
    )
