"""What the parts of a manager share: where the conversation stands, and what comes out of the present call.

The table of states is looked up here; `associating`, `operating` and `ending` say what is done in each act.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from drivers.contract import Event, Finished, Memo, Piece, Rejected, Send
from drivers.errors import DriverError, ProtocolError, ProtocolReason
from drivers.protocols.ieee11073.apdu import Abrt, ActionReply, Apdu, EventReply, EventReport
from drivers.protocols.ieee11073.association import Talk
from drivers.protocols.ieee11073.known_configurations import KnownConfigurations
from drivers.protocols.ieee11073.procedure import Settings
from drivers.protocols.ieee11073.states import TABLE, Act, Happening, State

__all__ = ["Doing", "Exchange", "Held"]

Doing = Callable[[Apdu | None, bytes], None]
"""Does an act about an APDU (None: about something else that happened) and its octets."""


class Held(NamedTuple):
    """A report that waits for the caller's commit."""

    octets: bytes
    apdu: EventReport | ActionReply
    reply: EventReply | None
    since_s: float


class Exchange:
    """One connection.

    Attributes:
        talk: the association, thrown away with it.
        state, before: where it stands, and where it stood when the present act began.
        events: what comes out of the present call, which was made at `now_s`.
        deadline_s: when time is up for what is waited for.
        held: a report that waits for its commit; nothing goes on meanwhile.
        is_closed: the connection is of no more use.
        aborted_s: when this side last broke an association off; what the agent said before it heard may still come.
        acts: what is done in each act.
    """

    def __init__(self, settings: Settings, known: KnownConfigurations) -> None:
        self.settings = settings
        self.known = known
        self.talk = Talk()
        self.state = self.before = State.DISCONNECTED
        self.events: list[Event] = []
        self.now_s = 0.0
        self.deadline_s: float | None = None
        self.held: Held | None = None
        self.is_closed = False
        self.aborted_s: float | None = None
        self.acts: Mapping[Act, Doing] = {}

    def begin(self, now_s: float) -> None:
        """A call of the caller begins."""
        self.events = []
        self.now_s = now_s

    def fire(self, happening: Happening, apdu: Apdu | None = None, octets: bytes = b"") -> None:
        """Something happened: do what the table says."""
        transition = TABLE[self.state, happening]
        self.before, self.state = self.state, transition.after
        self.acts[transition.act](apdu, octets)

    def send(self, apdu: Apdu) -> None:
        """Say something to the agent."""
        self.events.append(Send(apdu.encode()))

    def hold(self, octets: bytes, apdu: EventReport | ActionReply, reply: EventReply | None) -> None:
        """Have a report committed."""
        self.talk.has_reported = True
        self.held = Held(octets, apdu, reply, self.now_s)
        self.events.append(Piece(octets, starts_message=True, ends_message=True))

    def wait(self, seconds: float) -> None:
        """From now on so long."""
        self.deadline_s = self.now_s + seconds

    def listen(self) -> None:
        """Wait for an association request."""
        self.wait(self.settings.association_s)

    def forget(self) -> None:
        """A configuration that was taken for known does not do; the agent is to tell it again next time."""
        talk = self.talk
        if talk.agent is not None and talk.known is not None:
            talk.known = None
            self.remember(self.known.forget(talk.agent))

    def forget_what_brought_nothing(self) -> None:
        """Perhaps the agent has objects by now that the known configuration lacks: better ask than miss them."""
        if not self.talk.has_reported:
            self.forget()

    def remember(self, memos: list[Memo]) -> None:
        """Leave something for later conversations."""
        self.events.extend(memos)

    def abort(self, reason: int, error: DriverError) -> None:
        """Break the association off; what is not confirmed stays in the meter."""
        self.forget()
        self.send(Abrt(reason))
        self.state = State.UNASSOCIATED
        self.aborted_s = self.now_s
        self.finish(error)
        self.listen()

    def finish(self, error: DriverError | None, *, close: bool = False) -> None:
        """The conversation is over; unless `close`, another may follow."""
        error = error or self.talk.problem
        for octets, report in self.talk.early:
            if not report.confirmed:  # the agent will not send it again
                late = ProtocolError("the meter ended before it told who it is", ProtocolReason.NO_HEADER)
                self.events.append(Rejected(octets, late))
        self.talk = Talk()
        self.deadline_s = None
        self.is_closed = self.is_closed or close
        self.events.append(Finished(error, close=close))
