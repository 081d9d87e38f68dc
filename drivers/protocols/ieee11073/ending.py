"""How an association and a connection come to their end: in order, broken off by either side, or simply gone."""

from __future__ import annotations

from drivers.contract import Rejected
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
from drivers.protocols.ieee11073.apdu import Abrt, Apdu, Rlre, Rlrq
from drivers.protocols.ieee11073.exchange import Exchange
from drivers.protocols.ieee11073.states import State

__all__ = ["Ending"]

_ABORT_REASONS = {1: "buffer overflow", 2: "an answer came too late", 3: "the configuration took too long"}


class Ending:
    """The acts of every state that lead to an end.

    Args:
        exchange: the conversation.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def ask_release(self) -> None:
        """RLRQ 0."""
        exchange, talk = self._exchange, self._exchange.talk
        talk.procedure, talk.step, talk.open_invoke_id = None, None, None
        exchange.forget_what_brought_nothing()
        exchange.send(Rlrq())
        exchange.wait(exchange.settings.release_s)

    def answer_release(self) -> None:
        """RLRE 0."""
        self._exchange.forget_what_brought_nothing()
        self._exchange.send(Rlre())
        unread = DeviceError("the meter ended the association before everything was read", DeviceReason.GAVE_UP)
        self._exchange.finish(None if self._exchange.talk.at_rest else unread)

    def abort_out_of_place(self, octets: bytes) -> None:
        """ABRT 0: what came has no place here."""
        exchange = self._exchange
        error: DriverError = exchange.talk.problem or ProtocolError(
            f"the meter sent an APDU {octets[:2].hex().upper()} that has no place in state "
            f"{exchange.before.name.lower()}; the association was broken off, the meter keeps what was not "
            "confirmed",
            ProtocolReason.BAD_STRUCTURE,
        )
        exchange.abort(0, error)

    def abort_late(self, reason: int, what: str) -> None:
        """ABRT 2 or 3: time is up."""
        message = f"the meter took too long for {what}; it keeps what was not confirmed. Connect it again"
        self._exchange.abort(reason, DeviceError(message, DeviceReason.GAVE_UP))

    def aborted(self, apdu: Apdu | None) -> None:
        """Note the agent's abort."""
        exchange = self._exchange
        reason = _ABORT_REASONS.get(apdu.reason if isinstance(apdu, Abrt) else 0, "without a reason")
        exchange.forget()
        exchange.finish(DeviceError(f"the meter broke the association off: {reason}", DeviceReason.GAVE_UP))
        exchange.listen()

    def give_up(self, *, is_stale: bool) -> None:
        """Nobody asked to associate. Args: is_stale: the agent thinks that it is associated, and will ask again."""
        exchange = self._exchange
        if is_stale:
            exchange.send(Abrt(0))
            exchange.state = State.UNASSOCIATED
            exchange.listen()
            return
        message = (
            f"the meter did not ask to associate within {exchange.settings.association_s:g} s. Unplug it, wait "
            "until its display is off, and connect it again"
        )
        exchange.finish(DeviceError(message, DeviceReason.GAVE_UP), close=True)

    def break_off(self, error: DriverError, rest: bytes = b"") -> None:
        """Abort and give the connection up. Args: rest: octets that make no sense any more."""
        exchange = self._exchange
        if exchange.is_closed:
            return
        if rest:
            exchange.events.append(Rejected(rest, error))
        exchange.send(Abrt(0))
        exchange.state = State.DISCONNECTED
        exchange.finish(error, close=True)

    def gone(self, rest: bytes) -> None:
        """The connection is gone. Args: rest: what had come of an APDU that is not whole."""
        exchange = self._exchange
        if rest:
            message = f"the connection ended {len(rest)} octets into an APDU"
            cut = FramingError(message, FramingReason.TRUNCATED, offset=len(rest))
            exchange.events.append(Rejected(rest, cut))
        is_done = exchange.before in (State.UNASSOCIATED, State.OPERATING) and exchange.talk.at_rest
        error = TransportError("the meter went away before everything was read", TransportReason.CLOSED)
        exchange.finish(None if is_done and not rest and exchange.held is None else error, close=True)
