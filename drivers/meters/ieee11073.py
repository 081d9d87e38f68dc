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

Observations of one person with one time stamp are one test; what becomes of it: see `drivers.meters.coagulation`.

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
    ConfirmedBy,
    Decoded,
    DeviceTime,
    Driver,
    MeterClock,
    MeterIdentity,
    MeterRecord,
    RecordKind,
    Session,
    Unreadable,
)
from drivers.errors import ProtocolError
from drivers.meters.coagulation import Findings, Measured, Remarks, is_noted, notes_on, plain, read_test, tester
from drivers.meters.ieee11073_profile import Ieee11073Profile
from drivers.protocols.ieee11073 import nomenclature as mdc
from drivers.protocols.ieee11073.manager import Manager
from drivers.protocols.ieee11073.mder import AbsoluteTime, BaseOffsetTime, Number, Special
from drivers.protocols.ieee11073.message import Message, SingleTest, read_message
from drivers.protocols.ieee11073.objects import Meter
from drivers.protocols.ieee11073.reports import Observation, stamp, type_name
from drivers.protocols.ieee11073.structures import CompoundValue, Value

__all__ = ["Ieee11073Driver"]

_NO_RESULT = 0x8000 | 0x2000
_CALIBRATING = 0x1000
_TEST_DATA = 0x0800 | 0x0400
_NOT_FINAL = 0x0040 | 0x0020


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

    def session(self, unfinished: Sequence[bytes] = (), memos: Mapping[str, bytes] = NO_MEMOS) -> Session:
        """A manager that knows the configurations that earlier conversations accepted."""
        return Manager(self._settings, memos)

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
        main = found.get(mdc.INR) or found.get(mdc.CONTROL)
        measured = _measurement_status(main) | _measurement_status(found.get(mdc.CONTROL))
        findings = Findings(
            terms={type_code: type_name(type_code) for type_code in found},
            measured={type_code: Measured(_number(each), each.unit) for type_code, each in found.items()},
            is_control=mdc.CONTROL in found,
            is_test=message.surroundings.is_test_association,
            status=_bits(found.get(mdc.DEVICE_STATUS_TYPE)),
            remarks=_remarks(measured) if measured else _NO_REMARKS,
            main="" if main is None else f"object {main.handle} ({type_name(main.type)})",
        )
        bare = MeterRecord(
            kind=RecordKind.ERROR,
            octets=test.octets,
            device_time=_device_time(_first_stamp(test), message.surroundings.meter),
            record_number=test.number,
            strip_lot=_text(found.get(mdc.STRIP_LOT)),
            patient_id=_person(test),
            notes=(*_notes(found), *test.notes),
        )
        try:
            return read_test(findings, self._profile.limits, bare)
        except ProtocolError as error:
            return Unreadable(test.octets, error)


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


_NO_REMARKS = Remarks()


def _remarks(measured: int) -> Remarks:
    return Remarks(
        no_result=bool(measured & _NO_RESULT),
        calibrating=bool(measured & _CALIBRATING),
        test=bool(measured & _TEST_DATA),
        not_final=bool(measured & _NOT_FINAL),
        flags=mdc.bit_names(measured, mdc.MEASUREMENT_STATUS),
    )


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
    return plain(number) if number is not None else None


def _notes(found: Mapping[int | None, Observation]) -> list[str]:
    notes = []
    tested = found.get(mdc.TESTER)
    if tested is not None:
        code = tested.values.get(0x0A49)
        notes.append(f"tester: {(tester(code) or code) if isinstance(code, int) else _text(tested)}")
    if len(found) > 1 and is_noted(found):
        notes += notes_on((code or 0, _text(each), each.unit) for code, each in found.items())
    return notes


def _person(test: SingleTest) -> str | None:
    person = test.observations[0].person
    return None if person is None or person == 0xFFFF else str(person)


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
