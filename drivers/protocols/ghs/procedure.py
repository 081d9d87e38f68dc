"""What a client asks of a Generic Health Sensor, in order; a generator without input or output.

It yields steps and is sent what came of them: who the sensor is, what it can, what its clock shows; then the
records of its memory from the last one read on, its clock set if that is wanted, and live observations for as long
as it stays. The clock is set after the memory was read: setting it makes every older stamp one of an old timeline.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from drivers.errors import (
    DeviceError,
    DeviceReason,
    DriverError,
    PairingError,
    PairingReason,
    ProtocolError,
    ProtocolReason,
    TransportError,
    TransportReason,
)
from drivers.protocols import gatt
from drivers.protocols.ghs import names
from drivers.protocols.ghs.features import LIVE_START, LIVE_STOP, ControlAnswer, Features, control_answer
from drivers.protocols.ghs.memory import Memory
from drivers.protocols.ghs.message import text_of
from drivers.protocols.ghs.times import ElapsedTime, setting
from drivers.protocols.ieee11073.procedure import TimePolicy

__all__ = [
    "Ask",
    "Client",
    "Complete",
    "Delete",
    "Hear",
    "Pause",
    "Problem",
    "Procedure",
    "Quiet",
    "Ready",
    "Resync",
    "Sent",
    "Settings",
    "Step",
]


@dataclass(frozen=True, slots=True)
class Settings:
    """How a client behaves.

    Attributes:
        accepts: full codes of which the sensor must observe one, if it lists what it observes; empty accepts any.
        specializations: terms of partition 8 that are as good.
        read_stored, live: read the memory; take observations as they are made.
        link_s: how long the transport may take for the first frame.
        answer_s: how long the answer to one request may take (an ATT transaction: 30 s).
        report_s: how long a report may pause, and its end may take.
        busy_s: how long to leave a sensor alone that says it is busy.
        close_when_quiet_s: disconnect when no observation came for so long; 0 leaves that to the sensor.
        set_time: whether to set the sensor's clock; needs `local_now`.
        set_time_beyond_s: smaller errors of the clock are left alone.
        time_source: how the hub's own clock is kept; see `names.SYNC_SOURCES`.
        local_now: the present where the sensor is used, with zone.
    """

    accepts: frozenset[int] = frozenset()
    specializations: frozenset[int] = frozenset()
    read_stored: bool = True
    live: bool = True
    link_s: float = 60.0
    answer_s: float = 30.0
    report_s: float = 30.0
    busy_s: float = 3.0
    close_when_quiet_s: float = 30.0
    set_time: TimePolicy = TimePolicy.NEVER
    set_time_beyond_s: float = 60.0
    time_source: int = 1
    local_now: Callable[[], datetime] | None = None


class Ask(NamedTuple):
    """Send a request and come back with its answer.

    Attributes:
        is_context: decoding needs the answer.
        is_extra: everything that is owed was done before; if the link ends meanwhile, that is an orderly end.
    """

    request: gatt.Request
    is_context: bool = False
    is_extra: bool = False


class Hear(NamedTuple):
    """Come back with what a control point indicates, or with None when nothing moved for so long.

    Attributes:
        is_extra: as with `Ask`.
    """

    uuid: str
    timeout_s: float
    is_extra: bool = False


class Pause(NamedTuple):
    """Come back after so long."""

    seconds: float


class Quiet(NamedTuple):
    """Come back with None when no observation came for so long (None: never), or with an order."""

    seconds: float | None


class Complete(NamedTuple):
    """Everything that was asked of the memory is on disk."""


class Ready(NamedTuple):
    """Everything that decoding needs was told, observations may go on to the caller; come back with the `Memory`.

    Attributes:
        meter: what tells this meter from others.
    """

    meter: str


class Problem(NamedTuple):
    """Something went wrong that does not end the conversation but must be told in the end."""

    error: DriverError


class Resync(NamedTuple):
    """Order: a live observation was damaged; its stored copy is wanted."""


class Delete(NamedTuple):
    """Order of a person: delete the records up to this one."""

    at_most: int


Step = Ask | Hear | Pause | Quiet | Ready | Complete | Problem
Sent = gatt.Frame | bytes | Memory | Resync | Delete | None
Procedure = Generator[Step, Sent, None]

_PAIRING: Final = {
    0x05: "insufficient authentication",
    0x08: "insufficient authorization",
    0x0C: "encryption key too short",
    0x0F: "insufficient encryption",
}
NOT_CONFIGURED: Final = 0xFD
IN_PROGRESS: Final = 0xFE
_ABSENT: Final = frozenset({0x01, 0x02, 0x0A})
"""Invalid handle, read not permitted, attribute not found."""
_LIVE_ATTEMPTS: Final = 3


class Client:
    """What the steps of one conversation share."""

    def __init__(self, link: gatt.Link, settings: Settings) -> None:
        self.link = link
        self.settings = settings

    def offers(self, uuid: str) -> bool:
        """Whether the sensor has a characteristic; when nothing is known of its services, perhaps."""
        return not self.link.services or self.link.has(uuid)

    def failed(self, answer: Sent, what: str) -> DriverError:
        """The error for a request that was not answered as it should be."""
        if not isinstance(answer, gatt.Failed):
            return ProtocolError(f"{what}: an answer to another request", ProtocolReason.BAD_STRUCTURE)
        if answer.code in _PAIRING:
            return self._pairing(answer.code, what)
        if answer.code == 0:
            return TransportError(f"{what}: {answer.text[:200]}", TransportReason.TIMED_OUT)
        return DeviceError(f"{what}: the meter refuses with ATT error 0x{answer.code:02X}", DeviceReason.REFUSED)

    def _pairing(self, code: int, what: str) -> PairingError:
        why = f"{what}: {_PAIRING[code]}"
        if not self.link.bonded:
            remedy = "the meter is not paired with this hub: set it to pairing and run inr-gateway pair"
            return PairingError(f"{why}; {remedy}", PairingReason.REJECTED)
        remedy = (
            "the pairing that is kept is not what the meter asks for: remove it here (inr-gateway unpair) and in "
            "the meter, then pair again"
        )
        reason = PairingReason.BOND_LOST if code == 0x0F else PairingReason.DOWNGRADED
        return PairingError(f"{why}; {remedy}", reason)

    # ------------------------------------------------------------------ requests

    def read(self, uuid: str, *, is_context: bool = False) -> Generator[Step, Sent, bytes | None]:
        """A value, or None when the sensor does not have it.

        Raises:
            DriverError: it has, and does not give it.
        """
        if not self.offers(uuid):
            return None
        answer = yield Ask(gatt.Read(uuid), is_context)
        if isinstance(answer, gatt.ReadDone) and answer.uuid == uuid:
            return answer.value
        if isinstance(answer, gatt.Failed) and answer.code in _ABSENT:
            return None
        raise self.failed(answer, f"reading {names.CHARACTERISTICS.get(uuid, uuid)}")

    def subscribe(self, uuid: str) -> Generator[Step, Sent, bool]:
        """Have a characteristic's notifications. Returns: whether it has any.

        Raises:
            DriverError: it has, and does not give them.
        """
        if not self.offers(uuid):
            return False
        answer = yield Ask(gatt.Subscribe(uuid))
        if isinstance(answer, gatt.Subscribed) and answer.uuid == uuid:
            return True
        if isinstance(answer, gatt.Failed) and answer.code in _ABSENT:
            return False
        raise self.failed(answer, f"subscribing to {names.CHARACTERISTICS.get(uuid, uuid)}")

    def write(self, uuid: str, value: bytes) -> Generator[Step, Sent, gatt.Failed | None]:
        """Write a value; a subscription that the sensor has forgotten is made again. Returns: why not.

        Raises:
            ProtocolError: the answer is one to another request.
        """
        answer = yield Ask(gatt.Write(uuid, value))
        if isinstance(answer, gatt.Failed) and answer.code == NOT_CONFIGURED and (yield from self.subscribe(uuid)):
            answer = yield Ask(gatt.Write(uuid, value))
        if isinstance(answer, gatt.Failed):
            return answer
        if isinstance(answer, gatt.Written) and answer.uuid == uuid:
            return None
        raise self.failed(answer, f"writing {names.CHARACTERISTICS.get(uuid, uuid)}")

    # ------------------------------------------------------------------ who and what it is

    def identify(self) -> Generator[Step, Sent, str]:
        """Who it is. Returns: what tells it from other meters: serial number, system id, or its address."""
        told: dict[str, str] = {}
        for uuid in names.INFORMATION:
            if uuid == names.SYSTEM_ID and told.get(names.SERIAL):
                continue
            value = yield from self.read(uuid, is_context=True)
            if value is not None:
                told[uuid] = text_of(uuid, value)
        return told.get(names.SERIAL) or told.get(names.SYSTEM_ID) or self.link.address

    def examine(self) -> Generator[Step, Sent, None]:
        """What it observes.

        Raises:
            ProtocolError: nothing that is wanted.
        """
        wanted = self.settings.accepts
        value = yield from self.read(names.FEATURES)
        if value is None or not wanted:
            return
        try:
            features = Features.of(value)
        except ProtocolError as error:
            yield Problem(error)
            return
        terms = {term for term, _ in features.specializations}
        if features.types and not wanted & set(features.types) and not self.settings.specializations & terms:
            message = "the meter lists what it observes, and INR is not among it; it is another kind of meter"
            raise ProtocolError(message, ProtocolReason.UNSUPPORTED)

    # ------------------------------------------------------------------ its clock

    def clock(self) -> Generator[Step, Sent, ElapsedTime | None]:
        """What its clock shows."""
        value = yield from self.read(names.ELAPSED_TIME, is_context=True)
        try:
            return None if value is None else ElapsedTime.of(value)
        except ProtocolError as error:
            yield Problem(error)
            return None

    def set_clock(self, shown: ElapsedTime | None) -> Generator[Step, Sent, None]:
        """Set its clock if the settings allow it and it is wrong, and look again."""
        settings = self.settings
        if shown is None or settings.local_now is None or settings.set_time is TimePolicy.NEVER:
            return
        if shown.stamp.is_ticks or not (shown.needs_set or settings.set_time is TimePolicy.ALWAYS):
            return
        current = yield from self.clock()  # reading the memory took a while
        if current is None:
            return
        now = settings.local_now()
        if not current.needs_set and not _is_wrong(current, now, settings.set_time_beyond_s):
            return
        try:
            value = setting(now, current.stamp, settings.time_source)
        except ValueError as error:
            yield Problem(ProtocolError(f"the meter's clock is not set: {error}", ProtocolReason.BAD_VALUE))
            return
        refused = yield from self.write(names.ELAPSED_TIME, value)
        if refused is not None:
            why = _CLOCK_REFUSALS.get(refused.code, f"ATT error 0x{refused.code:02X}")
            message = f"the meter refuses to have its clock set: {why}"
            yield Problem(DeviceError(message, DeviceReason.REFUSED))
            return
        yield from self.clock()

    # ------------------------------------------------------------------ live observations

    def start_live(self) -> Generator[Step, Sent, bool]:
        """Have observations sent as they are made. Returns: whether the sensor was told to and must be stopped."""
        if not self.settings.live or not (yield from self.subscribe(names.CONTROL_POINT)):
            return False
        for attempt in range(_LIVE_ATTEMPTS):
            if attempt:
                yield Pause(self.settings.busy_s)
            refused = yield from self.write(names.CONTROL_POINT, LIVE_START)
            if refused is not None:  # 81: it sends them without being told to
                return False
            heard = yield Hear(names.CONTROL_POINT, self.settings.answer_s)
            if not isinstance(heard, bytes) or not _is_busy(heard):
                return True
        message = "the meter is too busy to send results as they are made; they are read from its memory later"
        yield Problem(DeviceError(message, DeviceReason.REFUSED))
        return False

    def stop_live(self) -> Generator[Step, Sent, None]:
        """Have it send none: some sensors answer nothing else meanwhile."""
        if (yield from self.write(names.CONTROL_POINT, LIVE_STOP)) is None:
            yield Hear(names.CONTROL_POINT, self.settings.answer_s)


_CLOCK_REFUSALS: Final = {
    0x80: "it wants a better time source; tell it under [clock] source how the hub's clock is kept",
    0x81: "it does not understand the format it shows itself",
    0xFF: "the time is out of its range",
}


def _is_wrong(shown: ElapsedTime, now: datetime, beyond_s: float) -> bool:
    local, offset = shown.stamp.local, now.utcoffset()
    if local is None or offset is None:
        return True
    right = now.replace(tzinfo=None)
    if shown.stamp.utc_offset_min == 0 and not shown.stamp.has_offset:
        right -= offset
    return abs((local - right).total_seconds()) > beyond_s


def _is_busy(value: bytes) -> bool:
    try:
        return control_answer(value) is not ControlAnswer.SUCCESS
    except ProtocolError:
        return False
