"""What happens while manager and agent operate: reports are kept, and the procedure goes from step to step.

An event report is confirmed to the agent only after the caller has confirmed its piece, because an agent may delete
what was confirmed (IEEE 11073-20601, clause on confirmed event reports).
"""

from __future__ import annotations

from dataclasses import replace

from drivers.contract import Context, Send
from drivers.errors import ProtocolError, ProtocolReason
from drivers.protocols.ieee11073.apdu import (
    Action,
    ActionReply,
    Apdu,
    EventReport,
    Get,
    GetReply,
    OperationError,
    Set,
)
from drivers.protocols.ieee11073.association import event_reply, holds_report
from drivers.protocols.ieee11073.exchange import Exchange
from drivers.protocols.ieee11073.information import read_event
from drivers.protocols.ieee11073.known_configurations import identity_of
from drivers.protocols.ieee11073.objects import Configuration
from drivers.protocols.ieee11073.procedure import Ask, Problem, Procedure, Quiet, operate
from drivers.protocols.ieee11073.reports import fits, is_measurement_alone
from drivers.protocols.ieee11073.scans import ScanReport
from drivers.protocols.ieee11073.segments import SegmentData
from drivers.protocols.ieee11073.states import Happening, State

__all__ = ["Operating"]


class Operating:
    """The acts of the state operating.

    Args:
        exchange: the conversation.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._invoke_id = 0
        self._last_confirmed: tuple[bytes, bytes] | None = None

    def operate(self, configuration: Configuration) -> None:
        """Begin: manager and agent agree on a configuration."""
        talk = self._exchange.talk
        self._last_confirmed = None
        if talk.agent is not None:
            talk.configuration = configuration
            self.follow(operate(talk.agent, configuration, self._exchange.settings))

    def follow(self, procedure: Procedure) -> None:
        """Begin to ask what a procedure wants to know."""
        self._exchange.talk.procedure = procedure
        self.advance(None)

    def advance(self, answer: Apdu | None) -> None:
        """Let the procedure go on to its next step."""
        exchange, talk = self._exchange, self._exchange.talk
        talk.step, talk.open_invoke_id, exchange.deadline_s = None, None, None
        while talk.procedure is not None:
            try:
                step = talk.procedure.send(answer)
            except StopIteration:
                talk.procedure = None
                if exchange.settings.release_when_quiet_s or talk.ends:
                    exchange.fire(Happening.WANT_RELEASE)
                return
            answer = None
            if isinstance(step, Problem):
                talk.note(step.error)
                exchange.forget()
                continue
            talk.step, talk.next_index = step, 0
            if isinstance(step, Ask):
                self._invoke_id = self._invoke_id % 0xFFFF + 1
                talk.open_invoke_id = self._invoke_id
                exchange.send(replace(step.request, invoke_id=self._invoke_id))
            exchange.wait(step.seconds if isinstance(step, Quiet) else step.timeout_s)
            return

    def take_answer(self, apdu: Apdu | None, octets: bytes) -> None:
        """The answer to the open request."""
        exchange, talk = self._exchange, self._exchange.talk
        if isinstance(apdu, ActionReply) and holds_report(apdu):
            exchange.hold(octets, apdu, None)
            return
        if isinstance(apdu, GetReply) and not self._is_who_it_was(apdu):
            self._ask_anew("it is not the meter, or not the firmware, that told its configuration before")
            return
        if isinstance(apdu, GetReply):
            talk.attributes = apdu.attributes
        if talk.awaits_context and isinstance(apdu, GetReply | ActionReply):
            exchange.events.append(Context(octets))
        self.advance(apdu)

    def keep(self, apdu: Apdu | None, octets: bytes) -> None:
        """Have a report stored, then confirm it."""
        exchange, talk = self._exchange, self._exchange.talk
        if self._last_confirmed is not None and self._last_confirmed[0] == octets:
            exchange.events.append(Send(self._last_confirmed[1]))
        elif isinstance(apdu, EventReport):
            if talk.known is not None and not fits(apdu, talk.known.configuration):
                if apdu.confirmed:  # so it is sent again, and will be understood
                    self._ask_anew("a report does not fit the configuration that the meter told before")
                    return
                exchange.forget()
            exchange.hold(octets, apdu, event_reply(apdu) if apdu.confirmed else None)

    def confirm(self) -> None:
        """The report that was held is on disk."""
        exchange = self._exchange
        held, exchange.held = exchange.held, None
        if held is None:
            return
        if exchange.deadline_s is not None:
            exchange.deadline_s += exchange.now_s - held.since_s  # the caller's time is not the meter's
        if exchange.state is not State.OPERATING:
            return
        if held.reply is not None:
            self._last_confirmed = (held.octets, held.reply.encode())
            exchange.events.append(Send(self._last_confirmed[1]))
        if isinstance(held.apdu, ActionReply):
            self.advance(held.apdu)
        else:
            self._stored(held.apdu, held.octets)

    def refuse(self, apdu: Apdu | None, value: int) -> None:
        """Answer an order, or a report that has no place now, with an error."""
        if isinstance(apdu, EventReport):
            self._exchange.forget()  # it tells a configuration although it was told that it is known
        if isinstance(apdu, Get) or (isinstance(apdu, EventReport | Set | Action) and apdu.confirmed):
            self._exchange.send(OperationError(apdu.invoke_id, value))

    def _stored(self, report: EventReport, octets: bytes) -> None:
        """A report is on disk and confirmed; see what follows from it."""
        exchange, talk = self._exchange, self._exchange.talk
        if is_measurement_alone(report):
            return
        try:
            told = read_event(report)
            if isinstance(told, ScanReport) and talk.configuration is not None:
                updated = talk.configuration.updated(told)
                if updated is not talk.configuration:
                    talk.configuration = updated
                    exchange.events.append(Context(octets))
        except ProtocolError:
            return  # what is wrong with it will be shown when the stored octets are decoded
        if isinstance(told, SegmentData) and talk.listens_for(told):
            next_within_s = talk.hears(report.handle, told)
            if next_within_s is None:
                self.advance(None)
            else:
                exchange.wait(next_within_s)

    def _is_who_it_was(self, reply: GetReply) -> bool:
        """Compare who an agent is with who told the configuration; what was told just now is remembered."""
        exchange, talk = self._exchange, self._exchange.talk
        if reply.handle != 0 or talk.agent is None:
            return True
        identity = identity_of(reply.attributes)
        if talk.known is not None:
            return talk.known.identity == identity
        if talk.told:
            exchange.remember(exchange.known.learn(talk.agent, talk.told, identity))
        return True

    def _ask_anew(self, why: str) -> None:
        """Break off what was begun on a known configuration: at the next association the agent tells it again."""
        message = f"{why}; the meter is asked for its configuration when it associates again"
        self._exchange.abort(0, ProtocolError(message, ProtocolReason.BAD_VALUE))
