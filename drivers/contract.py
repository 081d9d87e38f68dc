"""What a driver is: the specification that every driver, built in or third-party, keeps.

A driver has two halves, both without any input or output of their own (sans-IO):

* a `Session` speaks with one meter over one connection. Octets go in, `Event` objects come out. What
  must not be lost comes out as a `Piece`; the caller commits its octets to disk and only then calls
  `Session.confirm`, which yields the octets that acknowledge it to the meter.
* `Driver.decode` turns the committed pieces of one whole message into records. It is a pure function:
  the same octets give the same records today and in ten years.

So a crash between receipt and decoding loses nothing: the pieces stand in the journal and are decoded
from there.

Promises that the conformance kit checks:

1. Any chunking of the same octets gives the same events.
2. No event acknowledges a piece before `confirm` was called for it.
3. No input makes `receive`, `tick` or `decode` raise anything but a `drivers.errors.DriverError`, hang, or
   hold more than a bounded amount of memory.
4. A piece that was confirmed and is sent again by the meter is confirmed again and not reported as new.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar, Literal

from drivers.errors import DeviceError, DeviceReason, DriverError

__all__ = [
    "NO_MEMOS",
    "Advertisement",
    "Clearable",
    "Comparator",
    "ConfirmedBy",
    "Context",
    "Decoded",
    "DeviceTime",
    "Driver",
    "Event",
    "Finished",
    "Memo",
    "MeterClock",
    "MeterIdentity",
    "MeterRecord",
    "Piece",
    "Quantity",
    "RecordKind",
    "Rejected",
    "Security",
    "Send",
    "Session",
    "Unreadable",
]

Comparator = Literal["<", ">"]
Security = Literal["none", "encrypted", "authenticated"]
"""What a Bluetooth connection must have before a session begins: nothing; keys from any pairing; keys from a
pairing in which a person compared or typed a number (Core Vol 3 Part C clause 10.2.1: LE security mode 1, levels
1, 2, 3 and above)."""


class ConfirmedBy(StrEnum):
    """Who tells the meter that a record has arrived."""

    CALLER = "caller"
    """The session, when the caller has committed: nothing can be lost."""
    STACK = "stack"
    """The radio or USB stack by itself: the driver reconciles from the meter's memory at the next contact."""
    NONE = "none"
    """Nobody: the driver can lose, and is listed so, unless it reconciles from the meter's memory."""


class RecordKind(StrEnum):
    """What a record in a meter's memory is."""

    PATIENT = "patient"
    CONTROL = "control"
    """A quality control run; never a patient's result."""
    CALIBRATION = "calibration"
    ERROR = "error"
    """The meter tried and failed; there is no value."""
    TEST = "test"
    """Training, demonstration or debugging; never a patient's result."""


@dataclass(frozen=True, slots=True)
class Advertisement:
    """What a Bluetooth LE device says of itself before anybody connects to it.

    Attributes:
        address: its identity address once it is bonded, else the one it uses now; on macOS the system's identifier.
        name: what it calls itself, if it does.
        service_uuids: 128-bit form, lower case.
        service_data: by service UUID in the same form.
        manufacturer_data: by company identifier.
        rssi: how strong it is heard, in dBm.
    """

    address: str
    name: str | None
    service_uuids: tuple[str, ...]
    service_data: Mapping[str, bytes]
    manufacturer_data: Mapping[int, bytes]
    rssi: int | None


@dataclass(frozen=True, slots=True)
class MeterIdentity:
    """Which meter it is. `vendor` and `serial` together are its key; the rest is description."""

    vendor: str | None
    serial: str | None
    model: str | None = None
    firmware: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceTime:
    """A time exactly as a meter wrote it.

    Attributes:
        raw: the characters or hexadecimal octets as sent.
        local: the same as a naive `datetime`, or None when `raw` is no time (unset, impossible date).
        utc_offset_min: minutes east of UTC when the meter itself said so, else None.
    """

    raw: str
    local: datetime | None
    utc_offset_min: int | None = None


@dataclass(frozen=True, slots=True)
class MeterClock:
    """The meter's own clock, read once during a message.

    Attributes:
        time: what the meter's clock showed.
        piece: index of the piece that carried it; the caller knows when that piece arrived.
    """

    time: DeviceTime
    piece: int


@dataclass(frozen=True, slots=True)
class Quantity:
    """A measured quantity, unaltered.

    Attributes:
        text: as the meter wrote it, without padding.
        value: the number with the meter's own precision (``2.70`` stays ``2.70``); for a reading off
            the measuring range the limit that was printed; None when there is no number.
        comparator: ``>`` or ``<`` when the true value lies beyond `value`.
        unit: as the meter wrote it, or None.
    """

    text: str
    value: Decimal | None
    comparator: Comparator | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class MeterRecord:
    """One record of a meter's memory, as one message carried it.

    Attributes:
        octets: the original octets that this record was decoded from; together with nothing else they
            decode to the same record.
        record_number: the meter's own number for it. Real meters repeat, renumber or omit it.
        flags: what the meter remarked (abnormal flags, status), in its own words.
        patient_id: the patient identifier typed into or stored by the meter, if any.
    """

    kind: RecordKind
    octets: bytes
    device_time: DeviceTime | None = None
    inr: Quantity | None = None
    pt_seconds: Quantity | None = None
    quick_percent: Quantity | None = None
    record_number: str | None = None
    strip_lot: str | None = None
    control_lot: str | None = None
    control_level: str | None = None
    operator_id: str | None = None
    patient_id: str | None = None
    error_code: str | None = None
    flags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A part of a message that arrived whole but cannot be understood; it is kept and shown."""

    octets: bytes
    error: DriverError


@dataclass(frozen=True, slots=True)
class Decoded:
    """Everything one message says.

    Attributes:
        meter: who sent it.
        clock: the meter's clock beside the piece that carried it, or None.
        items: records and unreadable parts in the order of the message.
    """

    meter: MeterIdentity
    clock: MeterClock | None
    items: tuple[MeterRecord | Unreadable, ...]


@dataclass(frozen=True, slots=True)
class Send:
    """Octets to write to the meter now; they acknowledge nothing that is not yet committed."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Piece:
    """Octets that must be on disk before they are acknowledged.

    The session holds back everything that follows until `Session.confirm` or `Session.refuse`.

    Attributes:
        octets: exactly what arrived.
        starts_message: this piece opens a new message; an older one that is still open will not go on.
        ends_message: the message is whole with this piece and can be decoded.
    """

    octets: bytes
    starts_message: bool
    ends_message: bool


@dataclass(frozen=True, slots=True)
class Context:
    """Octets that later messages of this conversation need in order to be decoded.

    Who the meter is, what its clock shows, how its reports are laid out. The caller puts all contexts of the
    conversation, in order, before the pieces of each message that starts afterwards. The session acknowledges them
    by itself: a meter offers them again in every conversation, so nothing is lost with them.
    """

    octets: bytes


@dataclass(frozen=True, slots=True)
class Memo:
    """Something that a later conversation with the same meter should know: the last record read, a layout.

    It replaces what its key held. It reaches the disk with a later commit, so losing the newest one may cost a
    repetition but never a result. A session yields it after `Session.confirm` of what it is about.

    Attributes:
        key: names the meter, because a line may see several; at most 200 characters.
        octets: at most 64 KiB; a longer one is not kept.
    """

    key: str
    octets: bytes


@dataclass(frozen=True, slots=True)
class Rejected:
    """Octets that are damaged and were not acknowledged; the meter is expected to repeat them.

    The caller keeps them with the message, so that they can be shown if the repetition never comes.
    """

    octets: bytes
    error: DriverError


@dataclass(frozen=True, slots=True)
class Finished:
    """The meter or the session ended the conversation.

    Attributes:
        error: None after an orderly end.
        close: True when the connection is of no more use and the caller should close it.
    """

    error: DriverError | None = None
    close: bool = False


@dataclass(frozen=True, slots=True)
class Clearable:
    """What `Session.clear` would delete from a meter's memory.

    Attributes:
        serial: the meter, as `MeterIdentity.serial` names it.
        what: for a person, for example "segments 1 and 2, 40 records".
    """

    serial: str
    what: str


Event = Send | Context | Piece | Memo | Rejected | Finished

NO_MEMOS: Mapping[str, bytes] = MappingProxyType({})


class Session(ABC):
    """One conversation with one meter over one connection. Not safe for use by several threads.

    Times are seconds of any monotonic clock; the session only compares them.
    """

    @abstractmethod
    def opened(self, now_s: float) -> list[Event]:
        """The connection is there. Yields what the host says first, if it speaks first."""

    @abstractmethod
    def receive(self, octets: bytes, now_s: float) -> list[Event]:
        """Octets arrived, in any chunking."""

    @abstractmethod
    def confirm(self, now_s: float) -> list[Event]:
        """The piece last yielded is on disk. Yields its acknowledgement and whatever was held back.

        Where the protocol demands it the acknowledgement comes later, out of `receive` or `tick`: when the meter
        has finished sending; or never, when the meter waits for it no more and will repeat the piece.
        """

    @abstractmethod
    def refuse(self, now_s: float) -> list[Event]:
        """The piece last yielded could not be committed. Yields a refusal, if the protocol has one."""

    @abstractmethod
    def tick(self, now_s: float) -> list[Event]:
        """Time passed. Does nothing before `deadline_s`."""

    @property
    @abstractmethod
    def deadline_s(self) -> float | None:
        """When `tick` has something to do, or None."""

    @abstractmethod
    def lost(self, now_s: float) -> list[Event]:
        """The connection is gone. Only `Rejected` and `Finished` may come out."""

    @property
    def clearable(self) -> Clearable | None:
        """What `clear` would delete now: records that the caller has confirmed, and no others.

        None while something is still being read, after anything went wrong, and where nothing can be deleted.
        """
        return None

    def clear(self, now_s: float) -> list[Event]:  # noqa: ARG002  (the answer of those that cannot)
        """Delete what `clearable` says, on a person's explicit order; nothing else ever deletes.

        The conversation ends with it; whether the meter did it tells `Finished`: it has no error.

        Raises:
            DeviceError: nothing can be deleted now.
        """
        raise DeviceError("this meter's memory cannot be cleared by its driver", DeviceReason.REFUSED)


class Driver(ABC):
    """A family of meters that speak one protocol.

    A driver is constructed with a *profile*: plain data (from TOML) that says how a particular meter fills
    the protocol's fields. An unusable profile raises `ValueError` that names the key and the remedy.
    """

    name: ClassVar[str]
    """Short stable name, as written in configuration and readings."""
    summary: ClassVar[str]
    """One line for a person who chooses a driver."""
    evidence: ClassVar[str]
    """On what evidence it rests: real meter, captures, specification only. Say what is unproven."""
    confirmed_by: ClassVar[ConfirmedBy]
    transports: ClassVar[frozenset[str]]
    """Kinds of transport it works over: ``serial``, ``tcp``, ``usb``, ``ble``."""
    zone: str | None = None
    """IANA zone in which the profile's meters write their times, if always the same; a port's own zone wins."""
    security: Security = "none"
    """What the profile's meters demand of a Bluetooth connection."""

    @abstractmethod
    def __init__(self, profile: Mapping[str, object]) -> None: ...

    @abstractmethod
    def session(self, unfinished: Sequence[bytes] = (), memos: Mapping[str, bytes] = NO_MEMOS) -> Session:
        """Start a conversation.

        Args:
            unfinished: the committed pieces of the message that this meter left open, oldest first. A meter
                may go on with the next piece after a broken connection or a restart of the hub. The pieces of the
                meter's last message may be given even if it is whole: then a meter that missed the last
                acknowledgement and repeats the last piece gets it again.
            memos: what earlier conversations on this line left (see `Memo`), by key. They may be of another meter,
                old or missing.
        """

    @abstractmethod
    def decode(self, pieces: Sequence[bytes]) -> Decoded:
        """Decode the pieces of one whole message, preceded by the contexts of its conversation.

        Raises:
            DriverError: the message as a whole cannot be understood. Single records that cannot be understood
                come out as `Unreadable` among the others.
        """

    def recognises(self, seen: Advertisement) -> bool:  # noqa: ARG002  (the answer of drivers without Bluetooth)
        """Whether this is a meter of the profile, judged by what it advertises over Bluetooth LE."""
        return False

    def serial_parameters(self) -> Mapping[str, object]:
        """Keyword arguments for the serial port (baudrate, bytesize, parity, stopbits), if any."""
        return {}
