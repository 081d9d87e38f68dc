"""The simulated meters of this project as the conformance kit takes them: thin, and without a line or waiting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from drivers.conformance import CannotError, SimulatedMeter, StoredTest
from drivers.contract import RecordKind
from drivers.protocols import gatt
from simulators.astm.dialect import Dialect as AstmDialect
from simulators.astm.dialect import Framing, Grouping, Timers
from simulators.astm.outbox import Outbox
from simulators.astm.sender import Action as AstmAction
from simulators.astm.sender import Delivered, Sender
from simulators.astm.sender import Transmit as AstmTransmit
from simulators.ble.dialect import Dialect as BleDialect
from simulators.ble.dialect import Security
from simulators.ble.elapsed import Elapsed
from simulators.ble.encoding import Length
from simulators.ble.gatt import AttError, Say
from simulators.ble.records import Records
from simulators.ble.sensor import Sensor
from simulators.deliveries import Deliveries
from simulators.ieee11073.agent import Agent
from simulators.ieee11073.dialect import Dialect as AgentDialect
from simulators.ieee11073.dialect import Form, Transfer
from simulators.ledger import Ledger
from simulators.meter import Clock, ClockKind, Entry, Identity, Kind, Meter, Stored
from simulators.poct1a.device import Accepted, Action, Device, HangUp, Transmit
from simulators.poct1a.dialect import COAGUCHEK, PT2
from simulators.poct1a.dialect import Dialect as Poct1aDialect

__all__ = [
    "AgentMeter",
    "AskedAgentMeter",
    "AstmMeter",
    "CoaguchekMeter",
    "GhsMeter",
    "PersonwiseAgentMeter",
    "Pt2Meter",
    "ResumingAstmMeter",
    "SmallGhsMeter",
    "StoringAgentMeter",
    "StreamingAstmMeter",
    "WrappedPoct1aMeter",
]

SOMEWHEN = datetime(2026, 3, 14, 12, tzinfo=UTC)
"""What time it is while the clock was never set."""
RIGHT, UNSET = Clock(zone="UTC"), Clock(zone="UTC", kind=ClockKind.UNSET)
KINDS = {RecordKind.PATIENT: Kind.PATIENT, RecordKind.CONTROL: Kind.CONTROL, RecordKind.ERROR: Kind.ERROR}


class Ours(SimulatedMeter):
    """One of ours. Its tests are numbered by their place in the memory."""

    def switched_on(self) -> tuple[Meter, Ledger]:
        """The meter and its list of what it was told, as they are now."""
        meter = Meter(Identity(), UNSET)
        for place, test in enumerate(self.memory):
            meter.clock = UNSET if test.shown is None else RIGHT
            at = SOMEWHEN - timedelta(hours=100 - place) if test.shown is None else test.shown.replace(tzinfo=UTC)
            meter.make(_entry(test, at))
        meter.clock = UNSET if self.shows is None else RIGHT
        ledger = Ledger()
        told = [place for place, test in enumerate(self.memory) if test in self.told]
        ledger.write({"event": "received", "entries": told})
        return meter, ledger

    def present(self) -> datetime:
        """What time it is."""
        return SOMEWHEN if self.shows is None else self.shows.replace(tzinfo=UTC)

    def note(self, delivered: Iterable[Stored]) -> None:
        """These are received."""
        self.told.update(self.memory[test.ordinal] for test in delivered)


def _entry(test: StoredTest, at: datetime) -> Entry:
    is_control, is_error = test.kind is RecordKind.CONTROL, test.kind is RecordKind.ERROR
    return Entry(
        kind=KINDS[test.kind],
        at=at,
        inr=test.inr,
        number=test.number,
        strip_lot="564636",
        control_lot="7712" if is_control else None,
        error_code="E-5" if is_error else None,
    )


class AstmMeter(Ours):
    """E1394 records over E1381."""

    dialect: ClassVar[AstmDialect] = AstmDialect()

    def __init__(self, memory: Sequence[StoredTest], shows: datetime | None) -> None:
        super().__init__(memory, shows)
        self._sender = self._new_sender()

    def _new_sender(self) -> Sender:
        return Sender(Timers(), establishment=self.dialect.establishment, resume=self.dialect.resume)

    def connected(self, now_s: float) -> bytes:
        meter, ledger = self.switched_on()
        self._deliveries = Deliveries(meter, ledger, names_meter=True)
        self._outbox = Outbox(meter, self.dialect, self._deliveries)
        self._outbox.begin_contact()
        self._sender.lost()
        return self._follow([], now_s)

    def receive(self, octets: bytes, now_s: float) -> bytes:
        return self._follow(self._sender.receive(octets, now_s), now_s)

    def tick(self, now_s: float) -> bytes:
        return self._follow(self._sender.tick(now_s), now_s)

    def _follow(self, actions: Sequence[AstmAction], now_s: float) -> bytes:
        said = b""
        for action in actions:
            if isinstance(action, AstmTransmit):
                said += action.octets
            elif isinstance(action, Delivered):
                self._outbox.received(action.message)
        if self._sender.idle:
            message = self._sender.unfinished or self._outbox.next(self.present())
            if message is not None:
                said += b"".join(
                    each.octets for each in self._sender.offer(message, now_s) if isinstance(each, AstmTransmit)
                )
        self.note(self._deliveries.delivered)
        self.deadline_s = self._sender.deadline_s
        return said


class ResumingAstmMeter(AstmMeter):
    """After a broken connection it goes on in the middle of the message."""

    dialect = AstmDialect(resume=True)


class StreamingAstmMeter(AstmMeter):
    """The whole memory in one message, cut anywhere, without ENQ and EOT."""

    dialect = AstmDialect(framing=Framing.STREAM, grouping=Grouping.MEMORY, trailer="lf", establishment=False)


class CoaguchekMeter(Ours):
    """POCT1-A2 documents."""

    dialect: ClassVar[Poct1aDialect] = COAGUCHEK

    def connected(self, now_s: float) -> bytes:
        meter, _ = self.switched_on()
        clock = meter.clock
        self._device = Device(
            meter,
            self.dialect,
            lambda: [test for test in meter.memory if self.memory[test.ordinal] not in self.told],
            lambda: clock.shows(self.present()),
        )
        return self._follow(self._device.connected(now_s))

    def receive(self, octets: bytes, now_s: float) -> bytes:
        return self._follow(self._device.receive(octets, now_s))

    def tick(self, now_s: float) -> bytes:
        return self._follow(self._device.tick(now_s))

    def _follow(self, actions: Sequence[Action]) -> bytes:
        said = b""
        for action in actions:
            if isinstance(action, Transmit):
                said += action.octets
            elif isinstance(action, Accepted):
                self.note(action.tests)
            elif isinstance(action, HangUp):
                self.has_hung_up = True
        self.deadline_s = self._device.deadline_s
        return said


class Pt2Meter(CoaguchekMeter):
    """Several services in a document, acknowledgements without reference."""

    dialect = PT2


class WrappedPoct1aMeter(CoaguchekMeter):
    """Documents between VT and FS CR."""

    dialect = COAGUCHEK.model_copy(update={"wrapped": True})


class AgentMeter(Ours):
    """An IEEE 11073 agent that reports by itself."""

    dialect: ClassVar[AgentDialect] = AgentDialect()

    def connected(self, now_s: float) -> bytes:
        meter, ledger = self.switched_on()
        self._deliveries = Deliveries(meter, ledger)
        self._agent = Agent(meter, self.dialect, self._deliveries, self.present)
        return self._follow(self._agent.connected(now_s))

    def receive(self, octets: bytes, now_s: float) -> bytes:
        return self._follow(self._agent.receive(octets, now_s))

    def tick(self, now_s: float) -> bytes:
        return self._follow(self._agent.tick(now_s))

    def _follow(self, apdus: Sequence[bytes]) -> bytes:
        self.note(self._deliveries.delivered)
        self.deadline_s = self._agent.deadline_s
        return b"".join(apdus)


class StoringAgentMeter(AgentMeter):
    """Its memory is fetched, segment by segment."""

    dialect = AgentDialect(transfer=Transfer.STORE, entries_per_event=1)


class PersonwiseAgentMeter(AgentMeter):
    """Its reports name persons, and say of each attribute which it is."""

    dialect = AgentDialect(form=Form.PERSON_VARIABLE)


class AskedAgentMeter(AgentMeter):
    """It answers data requests, with everything in one report."""

    dialect = AgentDialect(transfer=Transfer.ASKED)

    def connected(self, now_s: float) -> bytes:
        if sum(test.shown is None for test in self.memory) > 1:
            raise CannotError("tests of one report are told apart by their times")
        return super().connected(now_s)


class GhsMeter(Ours):
    """A Generic Health Sensor behind the frames of `drivers.protocols.gatt`, which stand for the radio."""

    dialect: ClassVar[BleDialect] = BleDialect(stamp="local_offset")

    def connected(self, now_s: float) -> bytes:
        numbers = [int(test.number or 0) for test in self.memory]
        if numbers != sorted(set(numbers)) or 0 in numbers:
            raise CannotError("record numbers of this profile count upwards")
        meter, ledger = self.switched_on()
        records = Records(meter, ledger)
        elapsed = Elapsed(meter, self.dialect, self.present)
        self._sensor = Sensor(meter.identity, records, elapsed, self.dialect, Security(requires="none"))
        self._sensor.connected(self.dialect.mtu)
        self._parser = gatt.Parser()
        services = tuple(
            gatt.Service(
                service.uuid,
                tuple(gatt.Characteristic(each.uuid, each.properties) for each in service.characteristics),
            )
            for service in self._sensor.services
        )
        return gatt.encode(gatt.Link("C0:11:22:33:44:55", None, True, self._sensor.mtu, services))

    def receive(self, octets: bytes, now_s: float) -> bytes:
        self._parser.feed(octets)
        said = b""
        while (frame := self._parser.next()) is not None:
            if isinstance(frame, gatt.Disconnect):
                self.has_hung_up = True
                break
            said += gatt.encode(self._answer(frame))
            while (step := self._sensor.next_step()) is not None:
                if isinstance(step, Say):
                    said += gatt.encode(gatt.Notified(step.uuid, step.value))
                    self._sensor.left(step)
        return said

    def _answer(self, frame: gatt.Frame) -> gatt.Frame:
        uuid = getattr(frame, "uuid", gatt.NO_UUID)
        try:
            match frame:
                case gatt.Read():
                    return gatt.ReadDone(uuid, self._sensor.read(uuid))
                case gatt.Write():
                    self._sensor.write(uuid, frame.value)
                    return gatt.Written(uuid)
                case gatt.Subscribe():
                    self._sensor.subscribe(uuid, 2 if "indicate" in self._properties(uuid) else 1)
                    return gatt.Subscribed(uuid)
        except AttError as error:
            return gatt.Failed(uuid, int(error.code), str(error))
        raise AssertionError(f"no request: {frame}")

    def _properties(self, uuid: str) -> Sequence[str]:
        every = (each for service in self._sensor.services for each in service.characteristics)
        return next(each.properties for each in every if each.uuid == uuid)


class SmallGhsMeter(GhsMeter):
    """The smallest segments, lengths that count everything, and few ways to ask for records."""

    dialect = BleDialect(stamp="local", length=Length.TOTAL, operators=(1, 3), form="numeric", mtu=23)
