"""INR meters that speak IEEE 11073-20601 with the 11073-10418 specialization, over USB (PHDC) or TCP.

A configuration-driven manager: which objects a meter has it tells itself, so no table of standard configurations is
needed. Addresses: ``phdc:`` for USB; ``tcp-listen://HOST:6024`` for agents that dial in, as software agents do.

The profile (TOML) may be empty; what it can say::

    driver = "ieee11073"
    zone = "Europe/Berlin"          # needed only to set clocks

    [limits]                        # measuring range; without it a value beyond is reported as text alone
    above = "8.0"
    below = "0.8"
    source = "FDA K183255"          # required with limits

    [association]                   # seconds; see drivers.protocols.ieee11073.procedure.Settings
    system_id = "0200000000000001"  # this manager's EUI-64
    any_meter = false               # true also takes meters without INR
    read_stored = true              # fetch stored segments (PM-store)
    release_when_quiet_s = 10       # 0 keeps the association

    [clock]
    set = "never"                   # or "when_asked", "always"

    [usb]
    specializations = [0x1012]

What becomes of observations: those of one person with one time stamp are one test.

* an INR that is a number: a record; its kind is ``control`` beside a control object, ``test`` when its measurement
  status says test or demo data or the association was a test, ``calibration`` during a calibration;
* +INFINITY and -INFINITY: comparator ``>`` and ``<``, with the limit of the profile as value if it has one. A
  number under the device status "result too high" or "too low" gets the comparator too;
* NaN, "not at this resolution", an invalid or unavailable measurement, and 0 (sent instead of an error): ``error``;
* device status with a fault and no INR: ``error`` with the names of the bits as its code; "result too high" or "too
  low" without an INR: a result with that comparator;
* anything else, for example an early indication or a negative number: `Unreadable` with the reason. A status
  without any bit set is nothing.

Checklist (specified: by the standard or its nomenclature; proven: by octets of shipping meters or published ones;
unknown: to be tried with a meter):

==========================================  =========  =====================================================
association, configuration, GET MDS         proven     published octets; flow of a shipping glucose meter
scan reports fixed, variable, multi-person  proven     published octets of other meters
grouped reports of scanners                 proven     published octets of a pulse oximeter
INR, PT, Quick, control, status codes       specified  nomenclature; no octets of an INR meter are public
stored segments (PM-store)                  specified  flow of a shipping insulin pen; no INR meter
attribute layout of a 10418 meter           unknown    the standard's text is not public; not needed
which standard configuration id it has      unknown    not needed
meaning of +INFINITY as "above range"       specified  limits must come from the profile
base offset and relative time               specified
setting the clock                           specified  off unless configured
clearing stored results                     specified  only on a person's order
any INR meter                               unknown    none that speaks this standard is known
==========================================  =========  =====================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import ClassVar

from drivers.contract import (
    NO_MEMOS,
    Comparator,
    ConfirmedBy,
    Decoded,
    DeviceTime,
    Driver,
    MeterClock,
    MeterIdentity,
    MeterRecord,
    Quantity,
    RecordKind,
    Session,
    Unreadable,
)
from drivers.errors import ProtocolError, ProtocolReason
from drivers.meters.ieee11073_profile import Ieee11073Profile, Limits
from drivers.protocols.ieee11073 import nomenclature as mdc
from drivers.protocols.ieee11073.attributes import CompoundValue, Value
from drivers.protocols.ieee11073.manager import ConfigurationCache, Manager
from drivers.protocols.ieee11073.mder import AbsoluteTime, BaseOffsetTime, Number, Special
from drivers.protocols.ieee11073.message import Message, SingleTest, read_message
from drivers.protocols.ieee11073.objects import Meter
from drivers.protocols.ieee11073.reports import Observation, stamp, type_name

__all__ = ["Ieee11073Driver"]

MAX_CACHED_CONFIGURATIONS = 64

_NO_RESULT = 0x8000 | 0x2000
_CALIBRATING = 0x1000
_TEST_DATA = 0x0800 | 0x0400
_NOT_FINAL = 0x0040 | 0x0020
_TOO_HIGH = 0x0400
_TOO_LOW = 0x0200
_FAULTS = 0xFFFF & ~(0x8000 | 0x0010 | _TOO_HIGH | _TOO_LOW)
"""Not battery low, not calibration due, not what explains an infinity."""
_IMPOSSIBLE = 10_000
"""No INR, seconds or percentage is negative or reaches this; what does was misread."""
_TESTERS = {29317: "self", 29318: "health care professional", 29319: "laboratory"}
_NOTED = {
    mdc.ISI: "ISI",
    mdc.TARGET_LEVEL: "target level",
    mdc.MEDICATION_NOW: "current medication",
    mdc.MEDICATION_NEW: "new medication",
}


class Ieee11073Driver(Driver):
    """Any INR meter of the standard."""

    name: ClassVar[str] = "ieee11073"
    summary: ClassVar[str] = "IEEE 11073-20601 manager for INR meters (11073-10418) over USB PHDC or TCP"
    evidence: ClassVar[str] = (
        "the standard's nomenclature and published octets of other meters; no INR meter was tested, and none that "
        "speaks this standard is known"
    )
    confirmed_by: ClassVar[ConfirmedBy] = ConfirmedBy.CALLER
    transports: ClassVar[frozenset[str]] = frozenset({"usb", "tcp"})

    def __init__(self, profile: Mapping[str, object]) -> None:
        self._profile = Ieee11073Profile.read(profile)
        self.zone = self._profile.zone
        # The one clock in here: a meter's clock can only be set to the present. Off unless the profile asks for it.
        self._settings = self._profile.settings(datetime.now)
        self._configurations: ConfigurationCache = _Bounded()

    def session(self, unfinished: Sequence[bytes] = (), memos: Mapping[str, bytes] = NO_MEMOS) -> Session:
        """A manager that remembers the configurations earlier conversations accepted."""
        return Manager(self._settings, self._configurations)

    def serial_parameters(self) -> Mapping[str, object]:
        """Not serial: by which specializations the USB transport recognises a meter."""
        return {"specializations": self._profile.usb.specializations}

    def decode(self, pieces: Sequence[bytes]) -> Decoded:
        """Decode one report, preceded by the association request, configuration and answers of its conversation."""
        message = read_message(tuple(pieces))
        meter = message.surroundings.meter
        records = [
            self._record(message, part) if isinstance(part, SingleTest) else Unreadable(part.octets, part.error)
            for part in message.parts
        ]
        return Decoded(
            _identity(meter, message.surroundings.system_id),
            _clock(message),
            tuple(record for record in records if record is not None),
        )

    def _record(self, message: Message, test: SingleTest) -> MeterRecord | Unreadable | None:
        found = {observation.type: observation for observation in test.observations}
        status = _bits(found.get(mdc.DEVICE_STATUS_TYPE))
        main = found.get(mdc.INR) or found.get(mdc.CONTROL)
        if main is None:
            return self._without_inr(message, test, found, status)
        measured = _measurement_status(main) | _measurement_status(found.get(mdc.CONTROL))
        if measured & _NOT_FINAL:
            return _unreadable(test, "it is an early indication, not a final result")
        if main.unit not in (None, mdc.DIM_INR, mdc.DIM_DIMLESS) and main.type == mdc.INR:
            return _unreadable(test, f"its INR has the unit {_unit_name(main.unit)}")
        number = _number(main)
        if number is None:
            return _unreadable(test, f"object {main.handle} ({type_name(main.type)}) carries no number")
        if isinstance(number, Decimal) and not 0 <= number < _IMPOSSIBLE:
            return _unreadable(test, f"the number of object {main.handle} is none that a test can have")
        kind = _kind(measured, is_control=mdc.CONTROL in found, is_test=message.surroundings.is_test_association)
        values = _Values(found, main, number, status, self._profile.limits)
        is_failed = number in (Special.NAN, Special.NRES, Special.RESERVED, 0) or bool(measured & _NO_RESULT)
        flags = mdc.bit_names(status, mdc.DEVICE_STATUS) + mdc.bit_names(measured, mdc.MEASUREMENT_STATUS)
        error_code = None
        if is_failed and kind is RecordKind.PATIENT:
            if status & (_TOO_HIGH | _TOO_LOW) and number in (Special.NAN, Special.NRES):
                is_failed = False  # the meter says on which side of its range the value lies
            else:
                kind = RecordKind.ERROR
                error_code = ", ".join(flags) or ("NaN" if number != 0 else "INR 0")
        is_patient = kind is RecordKind.PATIENT
        return MeterRecord(
            kind=kind,
            octets=test.octets,
            device_time=_device_time(_first_stamp(test), message.surroundings.meter),
            inr=None if kind is RecordKind.ERROR else values.inr,
            pt_seconds=None if kind is RecordKind.ERROR else values.pt_seconds,
            quick_percent=None if kind is RecordKind.ERROR else values.quick_percent,
            record_number=test.number,
            strip_lot=_text(found.get(mdc.STRIP_LOT)),
            patient_id=_person(test) if is_patient else None,
            error_code=error_code,
            flags=flags,
            notes=(*values.notes, *_notes(found), *test.notes),
        )

    def _without_inr(
        self, message: Message, test: SingleTest, found: Mapping[int | None, Observation], status: int
    ) -> MeterRecord | Unreadable | None:
        flags = mdc.bit_names(status, mdc.DEVICE_STATUS)
        is_status_alone = set(found) == {mdc.DEVICE_STATUS_TYPE}
        if is_status_alone and not status:
            return None
        kind, inr = RecordKind.ERROR, None
        if status & (_TOO_HIGH | _TOO_LOW) and not status & _FAULTS:
            # A value off the range is the one a doctor must not miss, so it is a result even without its object.
            kind = RecordKind.TEST if message.surroundings.is_test_association else RecordKind.PATIENT
            text = mdc.DEVICE_STATUS[5 if status & _TOO_HIGH else 6]
            inr = _beyond(Quantity(text, None), None, status, self._profile.limits)
        elif not (is_status_alone or status & _FAULTS):
            names = ", ".join(type_name(each) for each in found)
            return _unreadable(test, f"it holds {names[:300]} and no INR", ProtocolReason.UNSUPPORTED)
        return MeterRecord(
            kind=kind,
            octets=test.octets,
            device_time=_device_time(_first_stamp(test), message.surroundings.meter),
            inr=inr,
            record_number=test.number,
            strip_lot=_text(found.get(mdc.STRIP_LOT)),
            patient_id=_person(test) if kind is RecordKind.PATIENT else None,
            error_code=None if inr else ", ".join(flags),
            flags=flags,
            notes=(*_notes(found), *test.notes),
        )


class _Values:
    """The quantities of one test."""

    def __init__(
        self,
        found: Mapping[int | None, Observation],
        main: Observation,
        number: Number,
        status: int,
        limits: Limits,
    ) -> None:
        self.notes: list[str] = []
        self.inr: Quantity | None = None
        self.pt_seconds = self._of_unit(found.get(mdc.PT_SECONDS), mdc.DIM_SECOND, "PT")
        self.quick_percent = self._of_unit(found.get(mdc.QUICK), mdc.DIM_PERCENT, "Quick")
        if main.unit == mdc.DIM_SECOND and self.pt_seconds is None:
            self.pt_seconds = _quantity(number, main.unit)
        elif main.unit == mdc.DIM_PERCENT and self.quick_percent is None:
            self.quick_percent = _quantity(number, main.unit)
        else:
            self.inr = _beyond(_quantity(number, main.unit), number, status, limits)

    def _of_unit(self, observation: Observation | None, unit: int, label: str) -> Quantity | None:
        number = None if observation is None else _number(observation)
        if observation is None or number in (None, Special.NAN, Special.NRES, Special.RESERVED):
            return None
        quantity = _quantity(number, observation.unit)
        if observation.unit in (None, unit):
            return quantity
        self.notes.append(f"{label} {quantity.text} {_unit_name(observation.unit)}")
        return None


class _Bounded(dict[tuple[bytes, int], bytes]):
    """A cache that forgets the oldest entry; without it an agent only sends its configuration again."""

    def __setitem__(self, key: tuple[bytes, int], value: bytes) -> None:
        self.pop(key, None)
        if len(self) >= MAX_CACHED_CONFIGURATIONS:
            del self[next(iter(self))]
        super().__setitem__(key, value)


def _kind(measured: int, *, is_control: bool, is_test: bool) -> RecordKind:
    if is_test:
        return RecordKind.TEST
    if is_control:
        return RecordKind.CONTROL
    if measured & _CALIBRATING:
        return RecordKind.CALIBRATION
    return RecordKind.TEST if measured & _TEST_DATA else RecordKind.PATIENT


def _unreadable(test: SingleTest, why: str, reason: ProtocolReason = ProtocolReason.BAD_VALUE) -> Unreadable:
    return Unreadable(test.octets, ProtocolError(f"a test of the report cannot be used: {why}", reason))


def _number(observation: Observation) -> Number | None:
    values = observation.values
    for identifier in (0x0A4C, 0x0A56):
        value = values.get(identifier)
        if isinstance(value, Decimal | Special):
            return value
    value = values.get(0x0950)
    return value.value if isinstance(value, CompoundValue) else None


def _measurement_status(observation: Observation | None) -> int:
    if observation is None:
        return 0
    own = observation.values.get(0x0947)
    inside = observation.values.get(0x0950)
    return (own if isinstance(own, int) else 0) | (inside.status if isinstance(inside, CompoundValue) else 0)


def _bits(observation: Observation | None) -> int:
    """The device status as 16 bits, whichever attribute carries it."""
    if observation is None:
        return 0
    value = observation.values.get(0x0A66)
    if isinstance(value, int):
        return value
    wide = observation.values.get(0x0A65)
    return wide >> 16 if isinstance(wide, int) else 0


def _text(observation: Observation | None) -> str | None:
    if observation is None:
        return None
    value = observation.values.get(0x0A4A)
    if isinstance(value, str):
        return value.strip() or None
    number = _number(observation)
    return _plain(number) if number is not None else None


def _notes(found: Mapping[int | None, Observation]) -> list[str]:
    notes = []
    tester = found.get(mdc.TESTER)
    if tester is not None:
        code = tester.values.get(0x0A49)
        notes.append(f"tester: {_TESTERS.get(code, code) if isinstance(code, int) else _text(tester)}")
    for code, label in _NOTED.items() if len(found) > 1 else ():
        observation = found.get(code)
        if observation is not None:
            unit = _unit_name(observation.unit) if observation.unit is not None else ""
            notes.append(f"{label}: {_text(observation)} {unit}".rstrip())
    return notes


def _person(test: SingleTest) -> str | None:
    person = test.observations[0].person
    return None if person is None or person == 0xFFFF else str(person)


def _plain(number: Number) -> str:
    return number.value if isinstance(number, Special) else f"{number:f}"


def _unit_name(code: int | None) -> str:
    name, written = mdc.UNITS.get(code or 0, (f"4:{code}", ""))
    return written or name


def _quantity(number: Number, unit: int | None) -> Quantity:
    value = number if isinstance(number, Decimal) else None
    written = None if unit is None else mdc.UNITS.get(unit, ("", f"4:{unit}"))[1]
    comparator: Comparator | None = None
    if number is Special.POSITIVE_INFINITY:
        comparator = ">"
    elif number is Special.NEGATIVE_INFINITY:
        comparator = "<"
    return Quantity(_plain(number), value, comparator, written or None)


def _beyond(quantity: Quantity, number: Number | None, status: int, limits: Limits) -> Quantity:
    """The INR with what else is known of a value off the measuring range."""
    comparator = quantity.comparator
    if comparator is None and number is not Special.RESERVED and status & (_TOO_HIGH | _TOO_LOW):
        comparator = ">" if status & _TOO_HIGH else "<"
    if comparator is None:
        return quantity
    value = quantity.value
    if value is None:
        value = limits.above if comparator == ">" else limits.below
    return Quantity(quantity.text, value, comparator, quantity.unit)


def _first_stamp(test: SingleTest) -> Value | None:
    return next((time for each in test.observations if (time := stamp(each)) is not None), None)


def _device_time(value: Value | None, meter: Meter | None) -> DeviceTime | None:
    if isinstance(value, AbsoluteTime):
        return DeviceTime(value.raw.hex(), value.local)
    if isinstance(value, BaseOffsetTime):
        is_utc = meter is not None and meter.base_is_utc and value.local is not None
        return DeviceTime(value.raw.hex(), value.local, value.offset_min if is_utc else None)
    if isinstance(value, int):
        return DeviceTime(f"relative {value}", _from_ticks(value, meter))
    return None


def _from_ticks(ticks: int, meter: Meter | None) -> datetime | None:
    """Wall time of a relative stamp, if the meter told its clock and its ticks (1/8 ms, 32 bits) together."""
    if meter is None or meter.clock is None or meter.clock.local is None or meter.ticks is None or ticks >= 1 << 32:
        return None
    behind = (ticks - meter.ticks + (1 << 31)) % (1 << 32) - (1 << 31)
    return meter.clock.local + timedelta(microseconds=behind * 125)


def _identity(meter: Meter | None, system_id: bytes) -> MeterIdentity:
    address = system_id.hex().upper() or None
    if meter is None:
        return MeterIdentity(None, address)
    return MeterIdentity(
        meter.manufacturer or None,
        meter.serial or address,
        meter.model or None,
        meter.firmware or None,
    )


def _clock(message: Message) -> MeterClock | None:
    surroundings = message.surroundings
    if surroundings.meter is None or surroundings.clock_piece is None:
        return None
    time = _device_time(surroundings.meter.clock, surroundings.meter)
    return None if time is None else MeterClock(time, surroundings.clock_piece)
