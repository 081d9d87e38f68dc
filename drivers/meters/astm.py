"""Meters and analysers that send results as ASTM E1394 records over an E1381 link (CLSI LIS02 over LIS01).

The protocol says how records look, not which test id means INR. That is told by a profile (TOML)::

    driver = "astm"
    description = "..."             # for persons
    zone = "Europe/Berlin"          # zone in which the meter writes its times, if it is always the same

    [link]
    checksum = "strict"             # or "unpadded": checksums below 10h come with one digit
    max_frame_octets = 65536        # longest text of a frame
    max_message_octets = 4194304    # longest message
    receiver_timeout_s = 30         # silence after which a transfer is over
    trailer_wait_s = 0.05           # how long an answer waits for the LF of a frame; 0 if the meter sends none
    reply_within_s = 12             # an answer later than this is withheld; less than the meter's own timer (15 s)

    [serial]
    baudrate = 9600                 # and bytesize, parity, stopbits, xonxoff, rtscts, dsrdtr

    [meter]                         # places in the header, or "=TEXT" for a constant
    vendor = "=Acme"
    model = "H.5.1"
    serial = "H.5.3"
    firmware = "H.5.4"
    clock = "H.14"

    [tests]                         # conditions on R records; one or a list of which any suffices
    inr = "R.3.4=INR"               # required
    pt_seconds = "R.3.4=PT"
    quick_percent = "R.3.4=QUICK"

    [kind]                          # conditions; any suffices
    control = "P.3=QC*"             # besides O.12=Q and H.12=Q
    calibration = "O.12=CAL"
    test = "P.3=DEMO"               # besides H.12=T and H.12=D
    error = "R.5=ERR"               # besides R.9=X
    patient_processing = ["", "P"]  # values of H.12 under which patient results may stand

    [record]                        # places; one or a list of which the first that is not empty counts
    time = ["R.13", "R.12"]
    number = "O.3"
    strip_lot = "C.4.2 where C.4.1=LOT"
    control_lot = "C.4.2 where C.4.1=CTRL"
    control_level = "C.4.3 where C.4.1=CTRL"
    operator = "R.11"
    patient = ["P.4", "P.3"]
    error_code = "C.4.2 where C.4.1=ERR"

The notation of places and conditions is that of `drivers.protocols.astm.paths`. In ``[kind]`` and ``[record]``,
``R`` is the record of the INR.

What becomes of a test (an order with everything under it):

* with one INR that is a number: a record of the kind the marks say; results that the profile does not know and
  comments that it does not use are listed in its notes;
* with an INR that is marked as failed, is empty beside an error code, or is 0 (which meters send instead of an
  error): a record of kind ``error``, without values;
* otherwise, for example another analyte alone: `Unreadable`, with the reason. Nothing is dropped.

A value off the measuring range comes as ``>8.0``, or as ``8.0`` with ``>`` among the flags (R.7); both become
value 8.0 with comparator ``>``.

Checklist (proven: by octets that a device sent; specified: E1394 says so; unknown: to be tried with the meter):

=================================  =========  ==========================================================
INR, PT s, PT % and their times    proven     Sysmex CS-2500
lot under another record's test    proven     Sysmex CS-2500
whole message in one frame         proven     Abbott Afinion 2 (a meter without INR)
model and serial from H.5          proven     Sysmex CS-2500, Abbott Afinion 2
meter's clock in H.14              proven     Abbott Afinion 2
value beyond a limit by R.7        proven     Sysmex CS-2500 (fibrinogen), specified for every test
comparator within R.4              unknown    profile home_inr_astm, ours
control by O.12 = Q or H.12 = Q    specified
error by R.9 = X                   specified
training and debugging by H.12     specified
error codes, strip lot of a meter  unknown    profile home_inr_astm, ours
zone suffix of times               specified
resending after a lost ACK         specified
setting the meter's clock          not done   the protocol has no means for it
any home INR meter                 unknown    no capture of one is public
=================================  =========  ==========================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
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
from drivers.meters.astm_profile import AstmProfile
from drivers.protocols.astm.link import AstmLink
from drivers.protocols.astm.message import Group, Message, Stray, structure
from drivers.protocols.astm.paths import Condition, Place, Records
from drivers.protocols.astm.records import Record

__all__ = ["AstmDriver"]

NOTE_CHARACTERS = 400
"""Longer notes are cut into several, because a note must fit into what travels."""

_NUMBER = re.compile(r"([<>]?)\s*(\d{1,9}(?:\.\d{1,9})?)")
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(?:([+-])(\d\d)(\d\d))?")
_CONTROL = Condition.parse("O.12=Q")
_FAILED = Condition.parse("R.9=X")
_PROCESSING = {"Q": RecordKind.CONTROL, "T": RecordKind.TEST, "D": RecordKind.TEST}


class AstmDriver(Driver):
    """Any meter that speaks ASTM, by its profile."""

    name: ClassVar[str] = "astm"
    summary: ClassVar[str] = "ASTM E1394 records over an E1381 link (LIS02/LIS01), described by a profile"
    evidence: ClassVar[str] = (
        "captured octets of a coagulation analyser (Sysmex CS-2500) and of a point-of-care meter without INR "
        "(Abbott Afinion 2); no capture of a home INR meter is public"
    )
    confirmed_by: ClassVar[ConfirmedBy] = ConfirmedBy.CALLER
    transports: ClassVar[frozenset[str]] = frozenset({"serial", "tcp"})

    def __init__(self, profile: Mapping[str, object]) -> None:
        self._profile = AstmProfile.read(profile)
        self.zone = self._profile.zone
        kind, record, tests = self._profile.kind, self._profile.record, self._profile.tests
        self._kinds: tuple[tuple[RecordKind, tuple[Condition, ...]], ...] = (
            (RecordKind.TEST, kind.test),
            (RecordKind.CALIBRATION, kind.calibration),
            (RecordKind.CONTROL, (_CONTROL, *kind.control)),
        )
        self._failed = (_FAILED, *kind.error)
        self._places: tuple[tuple[str, tuple[Place, ...]], ...] = tuple(
            (name, getattr(record, name)) for name in type(record).model_fields if name != "time"
        )
        self._tests = (("inr", tests.inr), ("pt", tests.pt_seconds), ("quick", tests.quick_percent))

    def session(self, unfinished: Sequence[bytes] = (), memos: Mapping[str, bytes] = NO_MEMOS) -> Session:
        """A receiver that goes on with the message that was left open."""
        return AstmLink(self._profile.link.settings, unfinished)

    def serial_parameters(self) -> Mapping[str, object]:
        """``[serial]`` of the profile, with the usual 9600 8-N-1 for what it leaves out."""
        return self._profile.serial.model_dump()

    def decode(self, pieces: Sequence[bytes]) -> Decoded:
        """Decode a whole message: frames, or the text of records."""
        message = structure(pieces)
        meter = self._identity(message.header)
        items: list[MeterRecord | Unreadable] = []
        for item in message.items:
            if item.header is not message.header and self._identity(item.header) != meter:
                items.append(_unreadable(item, "its header names another meter than the message's first header"))
            elif isinstance(item, Stray):
                items.append(_stray(item))
            else:
                items.append(self._test(item))
        return Decoded(meter, self._clock(message), tuple(items))

    def _identity(self, header: Record) -> MeterIdentity:
        records = {"H": (header,)}
        meter = self._profile.meter
        vendor, serial, model, firmware = (
            (place.find(records)[0] or None) if place is not None else None
            for place in (meter.vendor, meter.serial, meter.model, meter.firmware)
        )
        return MeterIdentity(vendor, serial, model, firmware)

    def _clock(self, message: Message) -> MeterClock | None:
        raw, _ = self._profile.meter.clock.find({"H": (message.header,)})
        return MeterClock(_device_time(raw), message.header_piece) if raw else None

    def _test(self, group: Group) -> MeterRecord | Unreadable:
        found: dict[str, Record] = {}
        unknown: list[Record] = []
        comments: list[Record] = []
        for record in group.own:
            if record.type == "R":
                quantity = self._quantity_of(record)
                if quantity is None:
                    unknown.append(record)
                elif quantity in found:
                    return _unreadable(group, "one order holds the same test twice", record)
                else:
                    found[quantity] = record
            elif record.type == "C":
                comments.append(record)
        inr = found.get("inr")
        if inr is None:
            return self._without_inr(group, unknown)
        records: Records = {
            "H": (group.header,),
            "P": (group.patient,) if group.patient is not None else (),
            "O": (group.order,) if group.order is not None else (),
            "R": (inr,),
            "C": [*(record for record in group.shared if record.type == "C"), *comments],
            "M": group.of_type("M"),
            "S": group.of_type("S"),
        }
        return self._record(group, records, found, unknown)

    def _record(
        self, group: Group, records: Records, found: Mapping[str, Record], unknown: Sequence[Record]
    ) -> MeterRecord | Unreadable:
        inr_record = found["inr"]
        processing = group.header.part(12)
        if processing not in self._profile.kind.patient_processing and processing not in _PROCESSING:
            return _unreadable(
                group,
                "H.12 is neither P, Q, T nor D; if it marks patients, name it under patient_processing",
                group.header,
            )
        values: dict[str, str | None] = {}
        used: list[Record | None] = []
        for name, places in self._places:
            values[name], record = _first(places, records)
            used.append(record)
        inr = _quantity(inr_record)
        failed = any(condition.met_in(records) for condition in self._failed)
        zero = inr is not None and inr.value == 0 and inr.comparator is None
        if failed or zero or (inr is None and values["error_code"] is not None):
            kind, inr = RecordKind.ERROR, None
            found = {}
        elif inr is None or inr.value is None:
            return _unreadable(
                group, "the INR (R.4) is no number, and the record is not marked as failed", inr_record
            )
        elif values["error_code"] is not None:
            return _unreadable(group, "it holds both an INR and an error code", inr_record)
        else:
            kind = self._kind(processing, records)
        raw_time, _ = _first(self._profile.record.time, records)
        pt, quick = found.get("pt"), found.get("quick")
        return MeterRecord(
            kind=kind,
            octets=group.octets,
            device_time=_device_time(raw_time) if raw_time is not None else None,
            inr=inr,
            pt_seconds=_quantity(pt) if pt is not None else None,
            quick_percent=_quantity(quick) if quick is not None else None,
            record_number=values["number"],
            strip_lot=values["strip_lot"],
            control_lot=values["control_lot"],
            control_level=values["control_level"],
            operator_id=values["operator"],
            patient_id=values["patient"],
            error_code=values["error_code"],
            flags=_flags(inr_record),
            notes=_notes(records["C"], used, unknown) + (("INR 0: no result",) if zero else ()),
        )

    def _kind(self, processing: str, records: Records) -> RecordKind:
        marked = _PROCESSING.get(processing)
        if marked is not None:
            return marked
        for kind, conditions in self._kinds:
            if any(condition.met_in(records) for condition in conditions):
                return kind
        return RecordKind.PATIENT

    def _quantity_of(self, record: Record) -> str | None:
        for name, conditions in self._tests:
            for condition in conditions:
                if condition.holds(record):
                    return name
        return None

    def _without_inr(self, group: Group, unknown: Sequence[Record]) -> Unreadable:
        names = ", ".join(sorted({record.part(3) for record in unknown})) or "no result"
        return _unreadable(
            group,
            f"the order holds {names[:NOTE_CHARACTERS]} and no INR (by this profile, {self._profile.tests.named})",
            group.own[0],
            ProtocolReason.UNSUPPORTED,
        )


def _unreadable(
    item: Group | Stray, problem: str, record: Record | None = None, reason: ProtocolReason | None = None
) -> Unreadable:
    offset = item.offset_of(record) if record is not None and isinstance(item, Group) else 0
    place = f"{record.type} {record.part(2)}: " if record is not None and record.type != "H" else ""
    if reason is None:
        reason = ProtocolReason.BAD_VALUE
    return Unreadable(item.octets, ProtocolError(place + problem, reason, offset=offset))


def _stray(item: Stray) -> Unreadable:
    offset = len(item.header.octets) + 1
    kind = item.record.type[:20]
    if kind == "Q":
        problem, reason = "the meter asks for orders (Q record); the gateway has none", ProtocolReason.UNSUPPORTED
    elif len(kind) == 1 and kind in "PORCMSL":
        problem, reason = f"a {kind} record after the last record (L)", ProtocolReason.BAD_STRUCTURE
    else:
        problem, reason = "a record of a type that E1394 does not know", ProtocolReason.BAD_STRUCTURE
    return Unreadable(item.octets, ProtocolError(problem, reason, offset=offset))


def _first(places: Sequence[Place], records: Records) -> tuple[str | None, Record | None]:
    for place in places:
        text, record = place.find(records)
        if text:
            return text, record
    return None, None


def _quantity(record: Record) -> Quantity | None:
    """R.4 with its unit; None when it is empty. R.7 may say that the value lies off the measuring range."""
    text = record.part(4)
    if not text:
        return None
    unit = record.part(5) or None
    found = _NUMBER.fullmatch(text)
    if found is None:
        return Quantity(text, None, None, unit)
    said = {flag for flag in record.repeats(7) if flag in ("<", ">")} | ({found.group(1)} - {""})
    if len(said) > 1:  # value and flag contradict each other
        return Quantity(text, None, None, unit)
    comparator: Comparator | None = ">" if ">" in said else "<" if "<" in said else None
    return Quantity(text, Decimal(found.group(2)), comparator, unit)


def _flags(record: Record) -> tuple[str, ...]:
    """Abnormal flags (R.7), and the status (R.9) unless it is F, final."""
    status = record.part(9)
    return (*record.repeats(7), *([f"status {status}"] if status not in ("", "F") else []))


def _notes(comments: Sequence[Record], used: Sequence[Record | None], unknown: Sequence[Record]) -> tuple[str, ...]:
    texts = [record.part(4) for record in comments if not any(record is other for other in used)]
    texts += [f"not read: test {record.part(3)}" for record in unknown]
    return tuple(
        text[start : start + NOTE_CHARACTERS] for text in texts for start in range(0, len(text), NOTE_CHARACTERS)
    )


def _device_time(raw: str) -> DeviceTime:
    """A time ``YYYYMMDDHHMM[SS][+HHMM]`` (E1394 5.6.2). A date alone is no time of a test."""
    found = _TIME.fullmatch(raw)
    if found is None:
        return DeviceTime(raw, None)
    year, month, day, hour, minute, second, sign, offset_h, offset_min = found.groups()
    try:
        local = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0))
    except ValueError:
        return DeviceTime(raw, None)
    if sign is None:
        return DeviceTime(raw, local)
    offset = int(offset_h) * 60 + int(offset_min)
    if offset > 14 * 60 or int(offset_min) > 59:
        return DeviceTime(raw, None)
    return DeviceTime(raw, local, offset if sign == "+" else -offset)
