"""A test in the memory as an observation of a Generic Health Sensor; terms of IEEE 11073-10101 and 10418."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from simulators.ble import encoding as e
from simulators.ble.dialect import Dialect
from simulators.ble.encoding import Body, ObservationClass
from simulators.meter import Entry, Kind, Stored

__all__ = ["SPECIALIZATION", "TYPES", "octets_of"]

SPECIALIZATION: Final = 0x1012
_METRIC, _DISEASE = 2 << 16, 128 << 16
INR, PT, QUICK, CONTROL = (_METRIC | term for term in (29188, 29192, 29196, 29204))
LOT, STATUS = (_DISEASE | term for term in (29300, 29301))
TESTERS: Final = {"self": _DISEASE | 29317, "professional": _DISEASE | 29318, "laboratory": _DISEASE | 29319}
UNIT_INR, UNIT_SECOND, UNIT_PERCENT = 6608, 2176, 544
TYPES: Final = (INR, PT, QUICK, CONTROL, STATUS)
"""Observation types the meter can send."""
INVALID, TEST_DATA = 1 << 0, 1 << 4
"""Bits of the measurement status."""
_NUMERIC, _DISCRETE, _STRING = 1, 2, 3
_STATUS_BITS: Final = (
    "battery-low",
    "sensor-malfunction",
    "sample-size-insufficient",
    "strip-insertion-error",
    "strip-type-incorrect",
    "result-too-high",
    "result-too-low",
    "temperature-too-high",
    "temperature-too-low",
    "read-interrupted",
    "device-fault",
    "calibration-due",
)


class _Part(NamedTuple):
    """One thing known of a test: its term, what kind of value it is, the value."""

    kind: int
    value_type: int
    value: bytes

    def body(self) -> Body:
        """The part as an observation of its own."""
        classes = {1: ObservationClass.NUMERIC, 2: ObservationClass.DISCRETE, 3: ObservationClass.STRING}
        return Body(classes[self.value_type], self.value, self.kind)


def octets_of(test: Stored, dialect: Dialect, stamp: bytes | None) -> bytes:
    """The observation of a test, whole."""
    parts = _parts(test.entry, dialect)
    body = _body(parts, dialect)
    fields = {
        "stamp": stamp,
        "duration_s": dialect.duration_s,
        "status": _measurement_status(test.entry, dialect),
        "identifier": test.ordinal + 1 if dialect.identifies else None,
        "patient": dialect.user,
        "supplemental": () if dialect.tester is None else (TESTERS[dialect.tester],),
        "tlvs": _lots(test.entry) if dialect.lots == "tlv" else (),
    }
    return Body(body.observation_class, body.value, body.kind, **fields).octets(dialect.length)  # type: ignore[arg-type]  # fields by name


def _body(parts: list[_Part], dialect: Dialect) -> Body:
    first = parts[0]
    if dialect.form == "numeric" or len(parts) == 1:
        return first.body()
    if dialect.form == "bundle":
        return e.bundle([part.body() for part in parts], dialect.length)
    components = b"".join(e.component(*part) for part in parts)
    return Body(ObservationClass.COMPOUND, bytes([len(parts)]) + components, first.kind)


def _parts(entry: Entry, dialect: Dialect) -> list[_Part]:
    status = _Part(STATUS, _DISCRETE, struct.pack("<I", _device_status(entry)))
    if entry.kind is Kind.ERROR and dialect.errors == "status":
        return [status, *_lot_parts(entry, dialect)]
    is_control = entry.kind is Kind.CONTROL and dialect.controls != "status"
    parts = [_Part(CONTROL if is_control else INR, _NUMERIC, e.numeric(UNIT_INR, entry.inr))]
    if entry.pt_seconds is not None:
        parts.append(_Part(PT, _NUMERIC, e.numeric(UNIT_SECOND, entry.pt_seconds)))
    if entry.quick_percent is not None:
        parts.append(_Part(QUICK, _NUMERIC, e.numeric(UNIT_PERCENT, entry.quick_percent)))
    if dialect.status_too and _device_status(entry):
        parts.append(status)
    return [*parts, *_lot_parts(entry, dialect)]


def _lot_parts(entry: Entry, dialect: Dialect) -> list[_Part]:
    if dialect.lots != "member" or entry.strip_lot is None:
        return []
    return [_Part(LOT, _STRING, e.string(entry.strip_lot))]


def _lots(entry: Entry) -> tuple[bytes, ...]:
    return () if entry.strip_lot is None else (e.tlv(LOT, entry.strip_lot.encode()),)


def _measurement_status(entry: Entry, dialect: Dialect) -> int | None:
    bits = dialect.measurement_status
    if entry.kind is Kind.CONTROL and dialect.controls != "type":
        bits |= TEST_DATA
    if entry.kind is Kind.ERROR and dialect.errors == "nan":
        bits |= INVALID
    return bits or None


def _device_status(entry: Entry) -> int:
    """16 bits, bit 0 the most significant."""
    names = []
    shown = entry.inr or ""
    if shown.startswith(">"):
        names.append("result-too-high")
    elif shown.startswith("<"):
        names.append("result-too-low")
    if entry.error_code is not None:
        names.append(entry.error_code if entry.error_code in _STATUS_BITS else "device-fault")
    return sum(0x8000 >> _STATUS_BITS.index(name) for name in names)
