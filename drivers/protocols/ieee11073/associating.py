"""How an association comes about: the agent asks, is accepted or not, and tells its configuration if need be.

Source: IEEE 11073-20601, clauses on the association and configuring procedures.
"""

from __future__ import annotations

from collections.abc import Callable

from drivers.contract import Context, Rejected
from drivers.errors import ProtocolError, ProtocolReason
from drivers.protocols.ieee11073.apdu import Aarq, Apdu, EventReply, EventReport
from drivers.protocols.ieee11073.association import Talk, examined, response, verdict
from drivers.protocols.ieee11073.configuration import ConfigReply
from drivers.protocols.ieee11073.exchange import Exchange
from drivers.protocols.ieee11073.objects import Configuration
from drivers.protocols.ieee11073.states import Happening, State

__all__ = ["STALE_GRACE_S", "Associating"]

STALE_GRACE_S = 1.0
"""An agent repeats its request after 10 s; what comes sooner was on its way before."""


class Associating:
    """The acts of the states unassociated, waiting for and checking a configuration.

    Args:
        exchange: the conversation.
        operate: called when manager and agent agree on a configuration.
    """

    def __init__(self, exchange: Exchange, operate: Callable[[Configuration], None]) -> None:
        self._exchange = exchange
        self._operate = operate
        self._is_stale = False
        self._answered_s = 0.0

    def happening_of(self, request: Aarq, octets: bytes) -> Happening:
        """What it is that an association request happens to be."""
        exchange = self._exchange
        if exchange.talk.is_fresh and octets == exchange.talk.request:
            return Happening.AARQ_AGAIN
        agent, result = examined(request)
        if agent is None or result:
            return Happening.AARQ_UNACCEPTABLE
        return Happening.AARQ_UNKNOWN if exchange.known.find(agent) is None else Happening.AARQ_KNOWN

    def expect_request_soon(self) -> None:
        """Something of an earlier association came."""
        exchange = self._exchange
        was_on_its_way = exchange.aborted_s is not None and exchange.now_s - exchange.aborted_s < STALE_GRACE_S
        if not (self._is_stale or was_on_its_way):
            self._is_stale = True
            exchange.wait(STALE_GRACE_S)

    def takes_up_stale(self) -> bool:
        """Whether time is up because nothing but something of an earlier association came; asked once."""
        is_stale, self._is_stale = self._is_stale, False
        return is_stale

    def accept(self, apdu: Apdu | None, octets: bytes) -> None:
        """AARE 0 and begin to operate, or AARE 3 and wait for the configuration."""
        exchange = self._exchange
        agent = examined(apdu)[0] if isinstance(apdu, Aarq) else None
        if agent is None:
            return
        known = exchange.known.find(agent) if exchange.state is State.OPERATING else None
        answer = response(3 if known is None else 0, agent, exchange.settings.system_id)
        exchange.talk = Talk(agent, octets, answer, is_fresh=True, known=known)
        self._is_stale = False
        self._answered_s = exchange.now_s
        exchange.events.append(Context(octets))
        exchange.send(answer)
        if known is None:
            self.expect_configuration()
        else:
            exchange.events.append(Context(known.octets))
            self._operate(known.configuration)

    def accept_again(self) -> None:
        """The same request came again."""
        exchange, talk = self._exchange, self._exchange.talk
        if talk.answer is None or exchange.now_s - self._answered_s < STALE_GRACE_S:
            return  # it was sent before the answer could arrive
        self._answered_s = exchange.now_s
        exchange.send(talk.answer)
        if talk.configuration is not None:
            self._operate(talk.configuration)
        else:
            self.expect_configuration()

    def reject(self, apdu: Apdu | None, _octets: bytes) -> None:
        """AARE with the reason."""
        exchange = self._exchange
        agent, result = examined(apdu) if isinstance(apdu, Aarq) else (None, 1)
        exchange.send(response(result, agent, exchange.settings.system_id))
        why = {4: "no common protocol", 5: "no common parameter", 8: "unknown association version"}
        message = f"the meter asks to associate in a way that is not 20601: {why.get(result, 'it is no agent')}"
        exchange.finish(ProtocolError(message, ProtocolReason.UNSUPPORTED))
        exchange.listen()

    def check(self, apdu: Apdu | None, octets: bytes) -> None:
        """Examine a configuration and answer."""
        exchange, talk = self._exchange, self._exchange.talk
        report = apdu if isinstance(apdu, EventReport) else None
        try:
            reply, configuration = verdict(report, octets, exchange.settings.accepts)
        except ProtocolError as error:
            exchange.events.append(Rejected(octets, error))
            talk.note(error)
            reply, configuration = ConfigReply(0, 1), None
        if configuration is not None and not reply.result:
            talk.configuration, talk.told = configuration, octets
            talk.problem = None
            exchange.events.append(Context(octets))
        elif configuration is not None and configuration.objects:
            message = "the meter's configuration has nothing that this driver reads; it is another kind of meter"
            talk.note(ProtocolError(message, ProtocolReason.UNSUPPORTED))
        if report is not None:
            exchange.send(EventReply(report.invoke_id, report.handle, report.time, report.event, reply.encode()))
        exchange.fire(Happening.CONFIG_REFUSED if reply.result else Happening.CONFIG_ACCEPTED)

    def expect_configuration(self) -> None:
        """Wait for a configuration, or for another one."""
        self._exchange.wait(self._exchange.settings.configuration_s)

    def take(self) -> None:
        """A configuration was accepted."""
        configuration = self._exchange.talk.configuration
        if configuration is not None:
            self._operate(configuration)
