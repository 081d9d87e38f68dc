"""What one test of an INR meter is, in the terms of IEEE 11073-10101 and -10418, whichever protocol carried it.

* an INR that is a number: a result; with a control beside it a ``control``, and ``test`` or ``calibration`` where
  the meter says so;
* +INFINITY and -INFINITY: comparator ``>`` and ``<``, with the limit of the profile as value if it has one. A
  number under the device status "result too high" or "too low" gets the comparator too;
* NaN, "not at this resolution", an invalid or unavailable measurement, and 0 (sent instead of an error): ``error``;
* device status with a fault and no INR: ``error`` with the names of the bits as its code; "result too high" or "too
  low" without an INR: a result with that comparator. A status without any bit set is nothing;
* anything else is none that can be used: `ProtocolError` with the reason.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, NamedTuple

from drivers.contract import Comparator, MeterRecord, Quantity, RecordKind
from drivers.errors import ProtocolError, ProtocolReason
from drivers.meters.coagulation_profile import Limits
from drivers.protocols.ieee11073 import nomenclature as mdc
from drivers.protocols.ieee11073.mder import Number, Special

__all__ = [
    "Findings",
    "Measured",
    "Remarks",
    "is_noted",
    "notes_on",
    "plain",
    "read_test",
    "tester",
    "unit_name",
]

_TOO_HIGH: Final = 0x0400
_TOO_LOW: Final = 0x0200
_FAULTS: Final = 0xFFFF & ~(0x8000 | 0x0010 | _TOO_HIGH | _TOO_LOW)
"""Not battery low, not calibration due, not what explains an infinity."""
_IMPOSSIBLE: Final = 10_000
"""No INR, seconds or percentage is negative or reaches this; what does was misread."""
_NO_NUMBER: Final = (Special.NAN, Special.NRES, Special.RESERVED)
_TESTERS: Final = {29317: "self", 29318: "health care professional", 29319: "laboratory"}
_NOTED: Final = {
    mdc.ISI: "ISI",
    mdc.TARGET_LEVEL: "target level",
    mdc.MEDICATION_NOW: "current medication",
    mdc.MEDICATION_NEW: "new medication",
}


class Measured(NamedTuple):
    """One quantity. Attributes: number: None when it carried none; unit: term of partition 4."""

    number: Number | None
    unit: int | None


@dataclass(frozen=True, slots=True)
class Remarks:
    """What the meter says about the measurement.

    Attributes:
        no_result: it is invalid or not available.
        calibrating: it was made for a calibration.
        test: it is a test, a demonstration or training.
        not_final: it is an early indication, or still under way.
        flags: all of it in the standard's words.
    """

    no_result: bool = False
    calibrating: bool = False
    test: bool = False
    not_final: bool = False
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that a meter reported of one test.

    Attributes:
        terms: full codes of all that was reported, with their names.
        measured: the same as quantities, by full code.
        is_control: the meter says that it is a control, by whatever means.
        is_test: the whole conversation is a test.
        status: device status, 16 bits, bit 0 the most significant.
        main: how to name the INR in an error.
    """

    terms: Mapping[int | None, str]
    measured: Mapping[int | None, Measured]
    is_control: bool
    is_test: bool
    status: int
    remarks: Remarks
    main: str = "the INR"

    @property
    def quantity(self) -> tuple[int, Measured] | None:
        """The INR, or what a control carries in its place."""
        for term in (mdc.INR, mdc.CONTROL):
            if term in self.measured:
                return term, self.measured[term]
        return None

    @property
    def flags(self) -> tuple[str, ...]:
        """What the meter remarked."""
        return mdc.bit_names(self.status, mdc.DEVICE_STATUS) + self.remarks.flags


def read_test(findings: Findings, limits: Limits, bare: MeterRecord) -> MeterRecord | None:
    """The record of a test; None when it says nothing at all.

    Args:
        findings: what was reported.
        limits: the profile's measuring range.
        bare: the record with what does not depend on the values: octets, time, number, lot, patient, notes.

    Raises:
        ProtocolError: it can be used neither as a result nor as an error.
    """
    main = findings.quantity
    if main is None:
        return _without_inr(findings, limits, bare)
    term, measured = main
    remarks = findings.remarks
    if remarks.not_final:
        raise _unusable("it is an early indication, not a final result")
    if measured.unit not in (None, mdc.DIM_INR, mdc.DIM_DIMLESS) and term == mdc.INR:
        raise _unusable(f"its INR has the unit {unit_name(measured.unit)}")
    number = measured.number
    if number is None:
        raise _unusable(f"{findings.main} carries no number")
    if isinstance(number, Decimal) and not 0 <= number < _IMPOSSIBLE:
        raise _unusable(f"the number of {findings.main} is none that a test can have")
    kind = _kind(findings)
    error_code = None
    # Where the meter says on which side of its range the value lies, it is a result without a number.
    has_side = findings.status & (_TOO_HIGH | _TOO_LOW) and number in (Special.NAN, Special.NRES)
    is_failed = number in _NO_NUMBER or number == 0 or remarks.no_result
    if kind is RecordKind.PATIENT and is_failed and not has_side:
        kind = RecordKind.ERROR
        error_code = ", ".join(findings.flags) or ("NaN" if number != 0 else "INR 0")
    values = _Values(findings, measured, number, limits)
    is_error = kind is RecordKind.ERROR
    return replace(
        bare,
        kind=kind,
        inr=None if is_error else values.inr,
        pt_seconds=None if is_error else values.pt_seconds,
        quick_percent=None if is_error else values.quick_percent,
        patient_id=bare.patient_id if kind is RecordKind.PATIENT else None,
        error_code=error_code,
        flags=findings.flags,
        notes=(*values.notes, *bare.notes),
    )


def _without_inr(findings: Findings, limits: Limits, bare: MeterRecord) -> MeterRecord | None:
    status = findings.status
    is_status_alone = set(findings.terms) == {mdc.DEVICE_STATUS_TYPE}
    if is_status_alone and not status:
        return None
    kind, inr = RecordKind.ERROR, None
    if status & (_TOO_HIGH | _TOO_LOW) and not status & _FAULTS:
        # A value off the range is the one a doctor must not miss, so it is a result even without its object.
        kind = _kind(findings)
        inr = _beyond(Quantity(mdc.DEVICE_STATUS[5 if status & _TOO_HIGH else 6], None), None, status, limits)
    elif not (is_status_alone or status & _FAULTS):
        names = ", ".join(findings.terms.values())[:300] or "nothing"
        raise _unusable(f"it holds {names} and no INR", ProtocolReason.UNSUPPORTED)
    return replace(
        bare,
        kind=kind,
        inr=inr,
        patient_id=bare.patient_id if kind is RecordKind.PATIENT else None,
        error_code=None if inr else ", ".join(findings.flags),
        flags=findings.flags,
    )


class _Values:
    """The quantities of one test."""

    def __init__(self, findings: Findings, main: Measured, number: Number, limits: Limits) -> None:
        self.notes: list[str] = []
        self.inr: Quantity | None = None
        self.pt_seconds = self._of_unit(findings.measured.get(mdc.PT_SECONDS), mdc.DIM_SECOND, "PT")
        self.quick_percent = self._of_unit(findings.measured.get(mdc.QUICK), mdc.DIM_PERCENT, "Quick")
        if main.unit == mdc.DIM_SECOND and self.pt_seconds is None:
            self.pt_seconds = _quantity(number, main.unit)
        elif main.unit == mdc.DIM_PERCENT and self.quick_percent is None:
            self.quick_percent = _quantity(number, main.unit)
        else:
            self.inr = _beyond(_quantity(number, main.unit), number, findings.status, limits)

    def _of_unit(self, measured: Measured | None, unit: int, label: str) -> Quantity | None:
        if measured is None or measured.number is None or measured.number in _NO_NUMBER:
            return None
        quantity = _quantity(measured.number, measured.unit)
        if measured.unit in (None, unit):
            return quantity
        self.notes.append(f"{label} {quantity.text} {unit_name(measured.unit)}")
        return None


def _kind(findings: Findings) -> RecordKind:
    if findings.is_test:
        return RecordKind.TEST
    if findings.is_control:
        return RecordKind.CONTROL
    if findings.remarks.calibrating:
        return RecordKind.CALIBRATION
    return RecordKind.TEST if findings.remarks.test else RecordKind.PATIENT


def _unusable(why: str, reason: ProtocolReason = ProtocolReason.BAD_VALUE) -> ProtocolError:
    return ProtocolError(f"a test of the report cannot be used: {why}", reason)


def _quantity(number: Number, unit: int | None) -> Quantity:
    value = number if isinstance(number, Decimal) else None
    written = None if unit is None else mdc.UNITS.get(unit, ("", f"4:{unit}"))[1]
    comparator: Comparator | None = None
    if number is Special.POSITIVE_INFINITY:
        comparator = ">"
    elif number is Special.NEGATIVE_INFINITY:
        comparator = "<"
    return Quantity(plain(number), value, comparator, written or None)


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


def plain(number: Number) -> str:
    """A number as text, without exponent."""
    return number.value if isinstance(number, Special) else f"{number:f}"


def unit_name(code: int | None) -> str:
    """A unit as it is written."""
    name, written = mdc.UNITS.get(code or 0, (f"4:{code}", ""))
    return written or name


def tester(term: int) -> str | None:
    """Who tested, by a term of partition 128; None for another term."""
    return _TESTERS.get(term & 0xFFFF)


def is_noted(codes: Collection[int | None]) -> bool:
    """Whether `notes_on` has anything to say about some of these."""
    return not _NOTED.keys().isdisjoint(codes)


def notes_on(texts: Iterable[tuple[int, str | None, int | None]]) -> list[str]:
    """Notes on target and medication. Args: texts: full code, value as text, unit."""
    found = {code: (text, unit) for code, text, unit in texts if code in _NOTED}
    return [
        f"{label}: {found[code][0]} {unit_name(found[code][1]) if found[code][1] is not None else ''}".rstrip()
        for code, label in _NOTED.items()
        if code in found
    ]
