"""Observation bodies: what a Generic Health Sensor measured, of every class.

::

    class u8 | length u16 | flags u16 | the fields that the flags announce | value by class

Two conventions exist for the length: it counts everything, or what follows it. Whichever fits the octets that are
there is taken, and inside a bundle the one of the bundle. Two readings of a TLV exist as well: its length counts
the value, or the value and its format; the second is tried where the first does not fit.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from drivers.errors import ProtocolError, ProtocolReason
from drivers.protocols.ghs import names
from drivers.protocols.ghs.octets import GattReader
from drivers.protocols.ghs.times import CURRENT_TIMELINE, STAMP_OCTETS, TimeStamp
from drivers.protocols.ieee11073.mder import Number, float_value, malformed, sfloat_value

__all__ = [
    "Bundle",
    "Compound",
    "Discrete",
    "Events",
    "Length",
    "Numeric",
    "Observation",
    "Samples",
    "States",
    "Text",
    "Tlv",
    "Tlvs",
    "Value",
    "fingerprint",
    "fits",
    "read_observation",
]

HEAD_OCTETS: Final = 5
_COUNTED_HEAD: Final = 3


class Length(StrEnum):
    """What the length of an observation counts."""

    TOTAL = "total"
    """Everything, class and length included (philips-labs, Realtek)."""
    REMAINDER = "remainder"
    """What follows it (STM32WBA)."""


class Numeric(NamedTuple):
    """A number. Attributes: unit: term of partition 4."""

    unit: int
    number: Number


class Discrete(NamedTuple):
    """One code."""

    code: int


class Text(NamedTuple):
    """Characters."""

    text: str


class Samples(NamedTuple):
    """A row of samples: value = scale x sample + offset; `period` in seconds."""

    unit: int
    scale: Number
    offset: Number
    period: Number
    samples_per_period: int
    octets_per_sample: int
    sample_count: int
    octets: bytes


class Events(NamedTuple):
    """Which of many things hold, as codes (class 5)."""

    codes: tuple[int, ...]


class States(NamedTuple):
    """Which of many things hold, as bits (class 6). The masks say which bits are supported and which are states."""

    supported: bytes
    states: bytes
    bits: bytes


class Tlv(NamedTuple):
    """A further attribute.

    Attributes:
        type: full code.
        format: GATT format type of the value; see `names.TLV_FORMATS`.
        octets: the value as it came.
        value: the same as number or text, or None where the format is not known.
    """

    type: int
    format: int
    octets: bytes
    value: Number | int | str | None


class Tlvs(NamedTuple):
    """An observation that is nothing but attributes (class 8)."""

    tlvs: tuple[Tlv, ...]


class Component(NamedTuple):
    """One part of a compound. Attributes: value_type: numbered as the classes are."""

    type: int
    value_type: int
    value: Value


class Compound(NamedTuple):
    """Several values measured together (class 7)."""

    components: tuple[Component, ...]


class Bundle(NamedTuple):
    """Several observations that share the bundle's fields (class FF)."""

    members: tuple[Observation, ...]


Value = Numeric | Discrete | Text | Samples | Events | States | Tlvs | Compound | Bundle


@dataclass(frozen=True, slots=True)
class Observation:
    """One observation. What the flags do not announce is None or empty.

    Attributes:
        at: where it begins in the input.
        octets: all of it.
        length_field: as it came.
        type: full code of what was observed.
        duration: of the measurement, in seconds.
        status: measurement status; see `names.MEASUREMENT_STATUS`.
        patient: the sensor's own number of the patient.
        value_at: where the value begins in `octets`.
        stamp_places: where time stamps begin in `octets`, those of a bundle's members too.
    """

    at: int
    octets: bytes
    class_code: int
    length_field: int
    length: Length
    flags: int
    type: int | None
    stamp: TimeStamp | None
    duration: Number | None
    status: int | None
    identifier: int | None
    patient: int | None
    supplemental: tuple[int, ...]
    derived_from: tuple[int, ...]
    member_of: tuple[int, ...]
    tlvs: tuple[Tlv, ...]
    value: Value
    value_at: int
    stamp_places: tuple[int, ...]


def fits(octets: bytes) -> Length | None:
    """By which convention the length fits octets that are one observation and nothing else; None: by neither."""
    if len(octets) < HEAD_OCTETS:
        return None
    told = octets[1] | octets[2] << 8
    if told == len(octets):
        return Length.TOTAL
    return Length.REMAINDER if told + _COUNTED_HEAD == len(octets) else None


def read_observation(octets: bytes, base: int = 0) -> Observation:
    """Read one observation that ends with the octets.

    Args:
        octets: its octets, without segment header and record number.
        base: where they begin in the input, for error messages.

    Raises:
        ProtocolError: they are none; the error has the offset.
    """
    if len(octets) < HEAD_OCTETS:
        raise malformed(f"an observation has at least {HEAD_OCTETS} octets, {len(octets)} are there", base)
    length = fits(octets)
    if length is None:
        told = octets[1] | octets[2] << 8
        raise malformed(
            f"the length says {told} octets (in all or after it), {len(octets)} are there in all", base + 1
        )
    reading = _Reading(length)
    try:
        return reading.observation(GattReader(octets, base), in_bundle=False)
    except ProtocolError:
        if not reading.saw_tlvs:
            raise
        try:
            return _Reading(length, format_is_counted=True).observation(GattReader(octets, base), in_bundle=False)
        except ProtocolError:
            pass
        raise


def fingerprint(body: bytes) -> str:
    """What tells whether a record is the one that was read before, as 16 hexadecimal digits.

    The flag "current timeline" is left out: it changes when the clock is set, and the record does not.
    """
    bare = bytearray(body)
    try:
        places = read_observation(body).stamp_places
    except ProtocolError:
        places = ()
    for place in places:
        bare[place] &= ~CURRENT_TIMELINE
    return hashlib.sha256(bare).hexdigest()[:16]


class _Reading:
    """Reads with one set of conventions."""

    def __init__(self, length: Length, *, format_is_counted: bool = False) -> None:
        self._length = length
        self._format_is_counted = format_is_counted
        self.saw_tlvs = False

    def observation(self, reader: GattReader, *, in_bundle: bool) -> Observation:
        """The observation at the reader's position; outside a bundle it fills what the reader has."""
        start = reader.position
        class_code = reader.u8("observation class")
        if class_code not in names.CLASSES or (in_bundle and class_code == names.BUNDLE):
            where = " in a bundle" if in_bundle else ""
            message = f"no observation{where} is of class {class_code}"
            raise malformed(message, reader.at - 1, ProtocolReason.UNSUPPORTED)
        told = reader.u16("length of the observation")
        size = told + (_COUNTED_HEAD if self._length is Length.REMAINDER else 0)
        if size < HEAD_OCTETS or start + size > reader.end:
            raise malformed(f"the length of the observation says {told} octets, which do not fit", reader.at - 2)
        inner = GattReader(reader.octets, reader.base, reader.position, start + size)
        reader.position = start + size
        return self._fields(inner, start, class_code, told)

    def _fields(self, reader: GattReader, start: int, class_code: int, told: int) -> Observation:
        flags = reader.u16("observation flags")
        if flags >> len(names.FIELDS):
            message = f"flags {flags:04X} announce fields that this version does not know"
            raise malformed(message, reader.at - 2, ProtocolReason.UNSUPPORTED)

        def has(field: str) -> bool:
            return bool(flags >> names.FIELDS.index(field) & 1)

        kind = reader.u32("observation type") if has("observation-type") else None
        places: tuple[int, ...] = ()
        stamp = None
        if has("time-stamp"):
            places = (reader.position - start,)
            stamp = TimeStamp.of(reader.take(STAMP_OCTETS, "time stamp"))
        duration = reader.number("measurement duration") if has("measurement-duration") else None
        status = reader.u16("measurement status") if has("measurement-status") else None
        identifier = reader.u32("observation id") if has("observation-id") else None
        patient = reader.u8("patient") if has("patient") else None
        supplemental = reader.codes("supplemental codes") if has("supplemental-information") else ()
        derived_from = reader.codes("derived-from") if has("derived-from") else ()
        member_of = reader.codes("is-member-of") if has("is-member-of") else ()
        tlvs = self._tlvs(reader) if has("tlvs") else ()
        value_at = reader.position - start
        value = self._value(reader, class_code)
        reader.finish("observation")
        if isinstance(value, Bundle):
            base = reader.base + start
            places += tuple(member.at - base + place for member in value.members for place in member.stamp_places)
        return Observation(
            at=reader.base + start,
            octets=reader.octets[start : reader.end],
            class_code=class_code,
            length_field=told,
            length=self._length,
            flags=flags,
            type=kind,
            stamp=stamp,
            duration=duration,
            status=status,
            identifier=identifier,
            patient=patient,
            supplemental=supplemental,
            derived_from=derived_from,
            member_of=member_of,
            tlvs=tlvs,
            value=value,
            value_at=value_at,
            stamp_places=places,
        )

    def _value(self, reader: GattReader, class_code: int) -> Value:
        match class_code:
            case names.NUMERIC:
                return Numeric(reader.u16("unit"), reader.number("value"))
            case names.DISCRETE:
                return Discrete(reader.u32("value"))
            case names.STRING:
                return Text(_text(reader))
            case names.SAMPLE_ARRAY:
                return _samples(reader)
            case names.EVENTS:
                return Events(reader.codes("terms"))
            case names.STATES:
                size = reader.u8("octets of the bit masks")
                masks = [reader.take(size, what) for what in ("supported mask", "state mask", "bits")]
                return States(*masks)
            case names.COMPOUND:
                count = reader.u8("count of components")
                return Compound(tuple(self._component(reader) for _ in range(count)))
            case names.TLV:
                return Tlvs(self._tlvs(reader))
            case _:
                count = reader.u8("count of observations")
                return Bundle(tuple(self.observation(reader, in_bundle=True) for _ in range(count)))

    def _component(self, reader: GattReader) -> Component:
        kind = reader.u32("component type")
        value_type = reader.u8("component value type")
        if not names.NUMERIC <= value_type <= names.STATES:
            message = f"no component has values of type {value_type}"
            raise malformed(message, reader.at - 1, ProtocolReason.UNSUPPORTED)
        return Component(kind, value_type, self._value(reader, value_type))

    def _tlvs(self, reader: GattReader) -> tuple[Tlv, ...]:
        self.saw_tlvs = True
        return tuple(self._tlv(reader) for _ in range(reader.u8("count of TLVs")))

    def _tlv(self, reader: GattReader) -> Tlv:
        kind = reader.u32("TLV type")
        length = reader.u16("TLV length")
        form = reader.u8("TLV format")
        if self._format_is_counted:
            if not length:
                raise malformed("a TLV whose length does not count its format", reader.at - 3)
            length -= 1
        octets = reader.take(length, "TLV value")
        return Tlv(kind, form, octets, _tlv_value(form, octets))


def _text(reader: GattReader) -> str:
    place = reader.at + 2
    octets = reader.sized("string")
    try:
        return octets.decode()
    except UnicodeDecodeError as error:
        raise malformed("a string that is no UTF-8", place + error.start, ProtocolReason.BAD_VALUE) from None


def _samples(reader: GattReader) -> Samples:
    unit = reader.u16("unit")
    scale, offset, period = (reader.number(what) for what in ("scale factor", "offset", "sample period"))
    per_period, size = reader.u8("samples per period"), reader.u8("octets per sample")
    count = reader.u32("number of samples")
    return Samples(unit, scale, offset, period, per_period, size, count, reader.take(count * size, "samples"))


def _tlv_value(form: int, octets: bytes) -> Number | int | str | None:
    """A value by its format; some sensors send more octets than the format has."""
    name = names.TLV_FORMATS.get(form, "")
    if name == "utf8s":
        try:
            return octets.decode()
        except UnicodeDecodeError:
            return None
    if name == "medfloat32" and len(octets) == 4:
        return float_value(int.from_bytes(octets, "little"))
    if name == "medfloat16" and len(octets) == 2:
        return sfloat_value(int.from_bytes(octets, "little"))
    if octets and len(octets) <= 16 and name.startswith(("uint", "sint", "boolean")):
        return int.from_bytes(octets, "little", signed=name.startswith("sint"))
    return None
