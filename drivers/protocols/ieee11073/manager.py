"""The manager's side of a conversation: octets in, events and octets out, confirmation only when told.

What to do in which state stands in `states`; how it is done in `associating`, `operating` and `ending`; what is
asked of the agent in `procedure`. Here they meet the octets.
"""

from __future__ import annotations

from collections.abc import Mapping

from drivers.contract import NO_MEMOS, Clearable, Event, Rejected, Session
from drivers.errors import DeviceError, DeviceReason, FramingError, ProtocolError
from drivers.protocols.ieee11073.apdu import Aarq, EventReport, Rlre, decode
from drivers.protocols.ieee11073.associating import Associating
from drivers.protocols.ieee11073.association import happening_of
from drivers.protocols.ieee11073.ending import Ending
from drivers.protocols.ieee11073.exchange import Doing, Exchange
from drivers.protocols.ieee11073.framing import ApduStream
from drivers.protocols.ieee11073.known_configurations import KnownConfigurations
from drivers.protocols.ieee11073.objects import Meter
from drivers.protocols.ieee11073.operating import Operating
from drivers.protocols.ieee11073.procedure import Quiet, Settings, clear, clear_read
from drivers.protocols.ieee11073.states import Act, Happening, State

__all__ = ["Manager"]

MAX_EARLY_REPORTS = 64


class Manager(Session):
    """One connection with one agent; associations may follow each other on it.

    After an orderly release, and after either side aborts, a `Finished` ends the conversation; the connection can
    be used for the next association, unless it says ``close``.

    Args:
        settings: how it behaves.
        memos: what earlier conversations left; among it configurations (see `known_configurations`).
    """

    def __init__(self, settings: Settings | None = None, memos: Mapping[str, bytes] = NO_MEMOS) -> None:
        self._settings = settings or Settings()
        self._stream = ApduStream()
        self._exchange = Exchange(self._settings, KnownConfigurations(memos, self._settings.accepts))
        self._operating = Operating(self._exchange)
        self._associating = Associating(self._exchange, self._operating.operate)
        self._ending = Ending(self._exchange)
        self._exchange.acts = self._acts()

    # What the caller does -------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where the conversation stands."""
        return self._exchange.state

    def opened(self, now_s: float) -> list[Event]:
        """The agent speaks first; nothing is sent."""
        self._exchange.begin(now_s)
        self._exchange.fire(Happening.CONNECTED)
        return self._run()

    def receive(self, octets: bytes, now_s: float) -> list[Event]:
        """Octets arrived, in any chunking."""
        self._exchange.begin(now_s)
        if self._exchange.is_closed:
            return []
        try:
            self._stream.feed(octets)
        except FramingError as error:
            self._ending.break_off(error, self._stream.rest())
        return self._run()

    def confirm(self, now_s: float) -> list[Event]:
        """The piece last yielded is on disk: confirm its report, go on."""
        self._exchange.begin(now_s)
        if self._exchange.held is None:
            return []
        self._operating.confirm()
        return self._run()

    def refuse(self, now_s: float) -> list[Event]:
        """The piece could not be committed: abort, so that the agent keeps it."""
        exchange = self._exchange
        exchange.begin(now_s)
        if exchange.held is None or exchange.is_closed:
            return []
        exchange.held = None
        kept = DeviceError("a report could not be stored here and stays in the meter", DeviceReason.GAVE_UP)
        self._ending.break_off(kept)
        return exchange.events

    def tick(self, now_s: float) -> list[Event]:
        """Time passed."""
        exchange = self._exchange
        exchange.begin(now_s)
        deadline_s = self.deadline_s
        if deadline_s is None or now_s < deadline_s:
            return []
        exchange.deadline_s = None
        if exchange.state is State.OPERATING and isinstance(exchange.talk.step, Quiet):
            self._operating.advance(None)
        else:
            exchange.fire(Happening.TIMEOUT)
        return self._run()

    @property
    def deadline_s(self) -> float | None:
        """When `tick` has something to do; nothing runs out while a piece waits for the caller."""
        exchange = self._exchange
        return None if exchange.held is not None or exchange.is_closed else exchange.deadline_s

    def lost(self, now_s: float) -> list[Event]:
        """The connection is gone."""
        exchange = self._exchange
        exchange.begin(now_s)
        if not exchange.is_closed:
            exchange.fire(Happening.LOST)
            exchange.is_closed = True
        return exchange.events

    def release(self, now_s: float) -> list[Event]:
        """End the association in order. Does nothing while a piece waits."""
        self._exchange.begin(now_s)
        if self._exchange.held is None:
            self._exchange.fire(Happening.WANT_RELEASE)
        return self._run()

    def abort(self, now_s: float) -> list[Event]:
        """Break the association off; what is not yet confirmed stays in the meter."""
        self._exchange.begin(now_s)
        self._exchange.held = None
        self._exchange.fire(Happening.WANT_ABORT)
        return self._run()

    def clear_stored(self, store: int, instances: tuple[int, ...], now_s: float) -> list[Event]:
        """Delete stored segments on a person's explicit order; all of a store without instances.

        Raises:
            DeviceError: not now: no association, or something is still being read.
        """
        exchange = self._exchange
        exchange.begin(now_s)
        if exchange.state is not State.OPERATING or not exchange.talk.at_rest or exchange.held is not None:
            raise DeviceError("stored segments can be cleared only once everything is read", DeviceReason.REFUSED)
        self._operating.follow(clear(store, instances, self._settings))
        return self._run()

    @property
    def clearable(self) -> Clearable | None:
        """The stored segments that were read whole in this association."""
        exchange, talk = self._exchange, self._exchange.talk
        is_at_rest = exchange.state is State.OPERATING and talk.at_rest and exchange.held is None
        if talk.agent is None or talk.problem is not None or not talk.fetched or not is_at_rest:
            return None
        try:
            serial = Meter.of(talk.attributes).serial or talk.agent.system_id.hex().upper()
        except ProtocolError:
            return None
        stores = (
            f"segments {', '.join(map(str, read))} of store {store}, {sum(read.values())} records"
            for store, read in talk.fetched.items()
        )
        return Clearable(serial, "; ".join(stores))

    def clear(self, now_s: float) -> list[Event]:
        """Delete those segments, then release the association."""
        if self.clearable is None:
            raise DeviceError("not everything is read that the meter stores", DeviceReason.REFUSED)
        self._exchange.begin(now_s)
        talk = self._exchange.talk
        talk.ends = True
        self._operating.follow(clear_read(talk.fetched, self._settings))
        return self._run()

    # The way of an APDU ---------------------------------------------------------------------------------------

    def _run(self) -> list[Event]:
        exchange = self._exchange
        try:
            while exchange.held is None and not exchange.is_closed:
                talk = exchange.talk
                if talk.early and not talk.holds_reports:
                    octets, report = talk.early.popleft()
                    exchange.fire(happening_of(report, None), report, octets)
                elif (whole := self._stream.next()) is not None:
                    self._take(whole)
                else:
                    break
        except FramingError as error:
            self._ending.break_off(error, self._stream.rest())
        return exchange.events

    def _take(self, octets: bytes) -> None:
        exchange, talk = self._exchange, self._exchange.talk
        try:
            apdu = decode(octets)
        except ProtocolError as error:
            exchange.events.append(Rejected(octets, error))
            talk.note(error)
            exchange.fire(Happening.DAMAGED, None, octets)
            return
        if isinstance(apdu, Aarq):
            happening = self._associating.happening_of(apdu, octets)
        else:
            happening = happening_of(apdu, talk.open_invoke_id)
        if happening is not Happening.AARQ_AGAIN:
            talk.is_fresh = False
        if isinstance(talk.step, Quiet):
            exchange.wait(talk.step.seconds)
        if talk.holds_reports and isinstance(apdu, EventReport):
            talk.early.append((octets, apdu))
            if len(talk.early) > MAX_EARLY_REPORTS:
                exchange.abort(1, DeviceError("the meter does not wait for its answers", DeviceReason.GAVE_UP))
            return
        exchange.fire(happening, apdu, octets)

    def _acts(self) -> dict[Act, Doing]:
        exchange, associating, operating, ending = self._exchange, self._associating, self._operating, self._ending
        return {
            Act.NOTHING: lambda _apdu, _octets: None,
            Act.LISTEN: lambda _apdu, _octets: exchange.listen(),
            Act.ABORT_STALE: lambda _apdu, _octets: associating.expect_request_soon(),
            Act.GIVE_UP: lambda _apdu, _octets: ending.give_up(is_stale=associating.takes_up_stale()),
            Act.END: lambda _apdu, _octets: ending.gone(self._stream.rest()),
            Act.ACCEPT_KNOWN: associating.accept,
            Act.ACCEPT_UNKNOWN: associating.accept,
            Act.ACCEPT_AGAIN: lambda _apdu, _octets: associating.accept_again(),
            Act.REJECT: associating.reject,
            Act.ABORT: lambda _apdu, octets: ending.abort_out_of_place(octets),
            Act.ABORT_LATE_ANSWER: lambda _apdu, _octets: ending.abort_late(2, "an answer"),
            Act.ABORT_LATE_CONFIG: lambda _apdu, _octets: ending.abort_late(3, "its configuration"),
            Act.ABORTED: lambda apdu, _octets: ending.aborted(apdu),
            Act.CHECK_CONFIG: associating.check,
            Act.REFUSE_CONFIG: lambda _apdu, _octets: associating.expect_configuration(),
            Act.TAKE_CONFIG: lambda _apdu, _octets: associating.take(),
            Act.KEEP: operating.keep,
            Act.TAKE_ANSWER: operating.take_answer,
            Act.REFUSE_ORDER: lambda apdu, _octets: operating.refuse(apdu, 1),
            Act.REFUSE_EVENT: lambda apdu, _octets: operating.refuse(apdu, 24),
            Act.ASK_RELEASE: lambda _apdu, _octets: ending.ask_release(),
            Act.ANSWER_RELEASE: lambda _apdu, _octets: ending.answer_release(),
            Act.ANSWER_CROSSING_RELEASE: lambda _apdu, _octets: exchange.send(Rlre()),
            Act.RELEASED: lambda _apdu, _octets: exchange.finish(None),
        }
