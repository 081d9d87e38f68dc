"""What the agent has: its objects, its MDS, the layout of its reports and segments (11073-10418 over 20601)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from simulators.ieee11073 import encoding as e
from simulators.ieee11073.dialect import Dialect, Stamp, Transfer
from simulators.meter import Identity, Kind, Stored

__all__ = [
    "STORE",
    "Observed",
    "Segment",
    "config_report",
    "configuration_id",
    "entry",
    "mds",
    "observed",
    "segment_attributes",
    "segments_of",
    "stamp_of",
]

METRIC, DISEASE, DIMENSION = 2, 128, 4
INR, PT, QUICK, CONTROL = 29188, 29192, 29196, 29204
STATUS, LOT, TESTER = 29301, 29300, 29316
TESTERS = {"self": 29317, "professional": 29318, "laboratory": 29319}
UNIT_INR, UNIT_SECOND, UNIT_PERCENT = 6608, 2176, 544
NUMERIC, ENUMERATION, PM_STORE = 6, 5, 61

HANDLE = {INR: 1, PT: 2, QUICK: 3, STATUS: 4, LOT: 5, CONTROL: 6, TESTER: 7}
STORE = 8
LOT_CHARACTERS = 10
"""Fixed layouts need strings of one length."""

STATUS_BITS = {
    "battery-low": 0,
    "sensor-malfunction": 1,
    "sample-size-insufficient": 2,
    "strip-insertion-error": 3,
    "strip-type-incorrect": 4,
    "result-too-high": 5,
    "result-too-low": 6,
    "temperature-too-high": 7,
    "temperature-too-low": 8,
    "read-interrupted": 9,
    "device-fault": 10,
    "calibration-due": 11,
}
STAMP_ATTRIBUTE = {Stamp.ABSOLUTE: (0x0990, 8), Stamp.BASE_OFFSET: (0x0A82, 8), Stamp.RELATIVE: (0x0991, 4)}


class Observed(NamedTuple):
    """One observation: object, then attribute and value in the order of its layout."""

    term: int
    values: tuple[tuple[int, bytes], ...]


class Segment(NamedTuple):
    """A stored segment: what kind of tests it holds, and the tests."""

    instance: int
    kind: Kind
    tests: tuple[Stored, ...]


def _number(dialect: Dialect) -> tuple[int, int]:
    return (0x0A4C, 2) if dialect.numbers == "sfloat" else (0x0A56, 4)


def _value_slot(term: int, dialect: Dialect) -> tuple[int, int]:
    if term in (INR, PT, QUICK, CONTROL):
        return _number(dialect)
    if term == STATUS:
        return (0x0A66, 2)
    return (0x0A4A, 2 + LOT_CHARACTERS) if term == LOT else (0x0A49, 2)


def _layout(slots: Sequence[tuple[int, int]]) -> bytes:
    return e.sequence(e.u16(*slot) for slot in slots)


def config_report(dialect: Dialect, config_id: int) -> bytes:
    """Event information of the configuration report; without objects for a standard configuration."""
    objects = []
    if config_id == dialect.config_id:
        units = {INR: UNIT_INR, PT: UNIT_SECOND, QUICK: UNIT_PERCENT, CONTROL: UNIT_INR}
        for term, handle in HANDLE.items():
            if term == TESTER and dialect.tester is None:
                continue
            partition = METRIC if term in units else DISEASE
            pairs = [(0x092F, e.u16(partition, term)), (0x0A46, e.u16(0xF040))]
            if term in units:
                pairs.append((0x0996, e.u16(units[term])))
            pairs.append((0x0A55, _layout([_value_slot(term, dialect), STAMP_ATTRIBUTE[dialect.stamp]])))
            objects.append(e.u16(NUMERIC if term in units else ENUMERATION, handle) + e.attributes(pairs))
        if dialect.transfer is Transfer.STORE:
            pairs = [
                (0x0A4D, e.u16(0x8800)),  # variable number of segments, episodic entries
                (0x0943, e.u16(0x0400)),  # stored as measured
                (0x0941, e.u32(2500)),
                (0x0A63, e.u32(8 * 5000)),
            ]
            objects.append(e.u16(PM_STORE, STORE) + e.attributes(pairs))
    return e.u16(config_id) + e.sequence(objects)


def configuration_id(dialect: Dialect, *, is_standard_refused: bool) -> int:
    """Which configuration to offer now."""
    first = dialect.standard_first
    return dialect.config_id if first is None or is_standard_refused else first


def mds(identity: Identity, dialect: Dialect, shown: datetime | None, ticks: int) -> bytes:
    """Attribute list of the MDS object."""
    production = [(1, identity.serial), (5, identity.firmware), (3, "A")]
    capability = 0x8000 | (0x4000 if dialect.settable else 0) | (0x0010 if dialect.asks_for_time else 0)
    if dialect.stamp is Stamp.BASE_OFFSET:
        capability |= 0x0100 | (0x0002 if dialect.base_is_utc else 0)
    if dialect.stamp is Stamp.RELATIVE:
        capability |= 0x2000
    classes = e.sequence([e.u16(0x2012)])  # USB, coagulation monitor
    pairs = [
        (0x0A5A, e.sequence([e.u16(4114, 1)])),
        (0x0928, e.text(identity.vendor) + e.text(identity.model)),
        (0x0984, e.octet_string(bytes.fromhex(dialect.system_id))),
        (0x0A44, e.u16(dialect.config_id)),
        (0x0A45, e.u16(capability, 7936) + e.u32(0xFFFFFFFF) + e.u16(100, 8) + e.u32(0)),
        (0x092D, e.sequence(e.u16(kind, 0) + e.text(value) for kind, value in production)),
        (
            0x0A4B,
            e.sequence(
                [b"\x02\x01" + e.octet_string(b"\x07\x00" + classes), b"\x02\x02" + e.octet_string(e.u16(0))]
            ),
        ),
    ]
    if dialect.stamp is Stamp.BASE_OFFSET:
        pairs.append((0x0A81, e.base_offset_time(shown, dialect.offset_min)))
    else:
        pairs.append((0x0987, e.absolute_time(shown)))
    if dialect.stamp is Stamp.RELATIVE:
        pairs.append((0x098F, e.u32(ticks)))
    return e.attributes(pairs)


def status_of(test: Stored) -> int:
    """Device status of a test: 16 bits, bit 0 the most significant."""
    names = []
    shown = test.entry.inr or ""
    if shown.startswith(">"):
        names.append("result-too-high")
    elif shown.startswith("<"):
        names.append("result-too-low")
    if test.entry.error_code is not None:
        names.append(test.entry.error_code if test.entry.error_code in STATUS_BITS else "device-fault")
    return sum(0x8000 >> STATUS_BITS[name] for name in names)


def stamp_of(test: Stored, dialect: Dialect, ticks: int) -> bytes:
    """The time stamp of a test."""
    if test.entry.device_time is not None:
        return bytes.fromhex(test.entry.device_time)
    if dialect.stamp is Stamp.BASE_OFFSET:
        return e.base_offset_time(test.shown, dialect.offset_min)
    return e.u32(ticks) if dialect.stamp is Stamp.RELATIVE else e.absolute_time(test.shown)


def _float(dialect: Dialect, shown: str | None) -> bytes:
    return e.sfloat_of(shown) if dialect.numbers == "sfloat" else e.float_of(shown)


def _lot(lot: str | None) -> bytes:
    octets = (lot or "").encode()[:LOT_CHARACTERS].ljust(LOT_CHARACTERS, b"\0")
    return e.octet_string(octets)


def _values(test: Stored, dialect: Dialect, *, whole: bool) -> list[tuple[int, bytes]]:
    """Term and value of everything known of a test; `whole` also what is not, as fixed entries need it."""
    entry, status = test.entry, status_of(test)
    first = CONTROL if entry.kind is Kind.CONTROL else INR
    values = [(first, _float(dialect, entry.inr))] if entry.inr is not None or whole else []
    for term, shown in ((PT, entry.pt_seconds), (QUICK, entry.quick_percent)):
        if shown is not None or whole:
            values.append((term, _float(dialect, shown)))
    if status or whole or dialect.status_always:
        values.append((STATUS, e.u16(status)))
    if entry.strip_lot is not None or whole:
        values.append((LOT, _lot(entry.strip_lot)))
    if dialect.tester is not None:
        values.append((TESTER, e.u16(TESTERS[dialect.tester])))
    return values


def observed(test: Stored, dialect: Dialect, ticks: int) -> list[Observed]:
    """The observations of a test, each with its stamp."""
    stamp = (STAMP_ATTRIBUTE[dialect.stamp][0], stamp_of(test, dialect, ticks))
    return [
        Observed(term, ((_value_slot(term, dialect)[0], value), stamp))
        for term, value in _values(test, dialect, whole=False)
    ]


def entry(test: Stored, dialect: Dialect) -> bytes:
    """A test as an entry of a stored segment: its time, then every value."""
    values = b"".join(value for _, value in _values(test, dialect, whole=True))
    return e.absolute_time(test.shown) + values


def segments_of(tests: Sequence[Stored], dialect: Dialect) -> list[Segment]:
    """The memory in segments; controls have segments of their own."""
    found: list[Segment] = []
    size = dialect.entries_per_segment
    for kinds in ((Kind.PATIENT, Kind.ERROR), (Kind.CONTROL,)):
        chosen = [test for test in tests if test.entry.kind in kinds]
        for start in range(0, len(chosen), size):
            found.append(Segment(len(found) + 1, kinds[0], tuple(chosen[start : start + size])))
    return found


def segment_attributes(segment: Segment, dialect: Dialect) -> bytes:
    """Attribute list that describes a segment."""
    terms = [CONTROL if segment.kind is Kind.CONTROL else INR, PT, QUICK, STATUS, LOT]
    if dialect.tester is not None:
        terms.append(TESTER)
    elements = []
    for term in terms:
        is_numeric = term in (INR, CONTROL, PT, QUICK)
        code = e.u16(METRIC if is_numeric else DISEASE, term)
        layout = _layout([_value_slot(term, dialect)])
        elements.append(e.u16(NUMERIC if is_numeric else ENUMERATION) + code + e.u16(HANDLE[term]) + layout)
    return e.attributes(
        [
            (0x0922, e.u16(segment.instance)),
            (0x0A4E, e.u16(0x8000) + e.sequence(elements)),
            (0x097B, e.u32(len(segment.tests))),
            (0x0A64, e.u32(8 * 20_000)),
            (0x0953, e.u16(0)),
        ]
    )
