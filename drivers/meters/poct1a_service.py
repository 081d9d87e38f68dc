"""One service (SVC) of an observation message: what of it is which quantity, and what kind of record it makes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from drivers.contract import Comparator, DeviceTime, MeterRecord, Quantity, RecordKind
from drivers.errors import ProtocolError, ProtocolReason
from drivers.meters.poct1a_profile import Limits, Observation, Poct1aProfile
from drivers.protocols.poct1a.documents import Part
from drivers.protocols.poct1a.times import device_time

__all__ = ["read_service", "read_time"]

NOTE_CHARACTERS: Final = 400
"""Longer notes are cut into several, because a note must fit into what travels."""

_NUMBER: Final = re.compile(r"([<>]?)\s*(\d{1,9}(?:\.\d{1,9})?)", re.ASCII)
_BEYOND: Final[dict[str, Comparator]] = {
    ">": ">",  # interpretation (HL7 table 0078): above the instrument's scale
    "<": "<",
    "PINF": ">",  # reason for no value (HL7 null flavour)
    "NINF": "<",
    "HI": ">",  # what displays of home INR meters show
    "LO": "<",
}
_NAMES: Final = {"inr": "INR", "pt_seconds": "PT", "quick_percent": "Quick value"}


@dataclass(frozen=True, slots=True)
class _Measured:
    """One OBS object that the profile knows."""

    row: Observation
    part: Part
    code: str
    quantity: Quantity | None
    is_zero: bool


def read_service(
    message: str, service: Part, rows: Sequence[Observation], profile: Poct1aProfile, octets: bytes
) -> MeterRecord:
    """Make a record of a service.

    Args:
        message: ``OBS.R01`` or ``OBS.R02``.
        service: the object SVC.
        rows: of the profile's table, those for this meter.
        profile: everything else about the meter family.
        octets: which the record is decoded from.

    Raises:
        ProtocolError: it cannot be understood; a person must see it.
    """
    kind = _kind(message, service, profile)
    if len(list(service.every("PT"))) > 1:
        raise _error(service, "the service names more than one patient")
    known, unknown = _observations(service, rows, profile)
    status = service.said("SVC.status_cd")
    inr = known.get("inr")
    zeros = [_NAMES[means] for means in ("inr", "pt_seconds") if means in known and known[means].is_zero]
    has_inr = inr is not None and inr.quantity is not None
    if status == "ERR" or zeros or (inr is not None and not has_inr):
        kind = RecordKind.ERROR
    elif kind is RecordKind.PATIENT:
        if inr is None:
            raise _no_inr(service, unknown)
        _must_be_accepted(inr.part, profile)
    quantities = {
        means: None if measured.is_zero or status == "ERR" else measured.quantity
        for means, measured in known.items()
    }
    when = service.said("SVC.observation_dttm")
    reagents = [lot for part in service.every("RGT") if (lot := part.said("RGT.lot_number")) is not None]
    return MeterRecord(
        kind=kind,
        octets=octets,
        device_time=None if when is None else read_time(when, profile),
        inr=quantities.get("inr"),
        pt_seconds=quantities.get("pt_seconds"),
        quick_percent=quantities.get("quick_percent"),
        record_number=service.said("SVC.sequence_nbr"),
        strip_lot=reagents[0] if reagents else None,
        control_lot=service.deep("CTC", "CTC.lot_number"),
        control_level=service.deep("CTC", "CTC.level_cd"),
        operator_id=service.deep("OPR", "OPR.operator_id"),
        patient_id=service.deep("PT", "PT.patient_id"),
        error_code=status if status == "ERR" else None,
        flags=_flags(service, inr),
        notes=_notes(service, known, unknown, zeros, reagents[1:]),
    )


def read_time(raw: str, profile: Poct1aProfile) -> DeviceTime:
    """A time of this meter, without its offset from UTC if that is not to be believed."""
    time = device_time(raw)
    if profile.meter.utc_offset == "ignored":
        return DeviceTime(time.raw, time.local)
    return time


def _kind(message: str, service: Part, profile: Poct1aProfile) -> RecordKind:
    """Patient only if nothing says otherwise: OBS.R02 and a control (CTC) never are."""
    role = service.said("SVC.role_cd")
    if role == "CAL":
        return RecordKind.CALIBRATION
    if message == "OBS.R02" or next(service.every("CTC"), None) is not None:
        return RecordKind.CONTROL
    if role in (None, "OBS"):
        return RecordKind.PATIENT
    if role == "PRF" or "QC" in role or role in profile.kind.control_roles:
        return RecordKind.CONTROL
    raise _error(
        service,
        f"SVC.role_cd is {role[:20]!r}; if it marks controls, name it under [kind] control_roles",
        ProtocolReason.UNSUPPORTED,
    )


def _observations(
    service: Part, rows: Sequence[Observation], profile: Poct1aProfile
) -> tuple[dict[str, _Measured], list[str]]:
    """What the profile knows by its meaning, and the names of the rest."""
    known: dict[str, _Measured] = {}
    unknown: list[str] = []
    for part in service.every("OBS"):
        named = part.field("OBS.observation_id")
        code = "" if named is None else named.attributes.get("V", "").strip()
        display = "" if named is None else named.attributes.get("DN", "").strip()
        value = part.field("OBS.value") or part.field("OBS.qualitative_value")
        unit = "" if value is None else value.attributes.get("U", "").strip()
        row = next((row for row in rows if row.matches(code, display, unit)), None)
        if row is None:
            unknown.append(
                " ".join(text for text in (code, display, f"in {unit}" if unit else "") if text) or "nameless"
            )
            continue
        if row.means in known:
            raise _error(part, f"the service holds {_NAMES[row.means]} twice")
        quantity = _quantity(part, unit or None, service.said("SVC.status_cd"), profile, is_inr=row.means == "inr")
        is_zero = quantity is not None and quantity.value == 0 and quantity.comparator is None
        known[row.means] = _Measured(row, part, code or display, quantity, is_zero)
    return known, unknown


def _quantity(
    part: Part, unit: str | None, status: str | None, profile: Poct1aProfile, *, is_inr: bool
) -> Quantity | None:
    """The value of an OBS; None when the meter gives none.

    Raises:
        ProtocolError: it is neither a number nor a sign that it lies beyond the range, or contradicts itself.
    """
    field = part.field("OBS.value") or part.field("OBS.qualitative_value")
    text = None if field is None else field.said
    null = None if field is None else field.attributes.get("NULL")
    number = None if text is None else _NUMBER.fullmatch(text)
    limits = profile.range if is_inr else None
    marks = [text, null, part.said("OBS.interpretation_cd")]
    if is_inr and (number is None or _is_at_end(Decimal(number[2]), status, limits)):
        marks.append(status)  # beside a value inside the range it says something else
    if number is not None:
        marks.append(number[1])
    signs = [mark for mark in marks if mark in _BEYOND]
    said = {_BEYOND[sign] for sign in signs}
    if len(said) > 1:
        raise _error(part, "its marks say both above and below the measuring range")
    comparator = next(iter(said), None)
    if number is not None:
        return Quantity(str(text), Decimal(number[2]), comparator, unit)
    if comparator is not None and text in (None, *_BEYOND):
        limit = None if limits is None else limits.high if comparator == ">" else limits.low
        return Quantity(signs[0], limit, comparator, unit)
    if text is None:
        return None
    raise _error(part, "OBS.value is no number and no sign of a reading beyond the measuring range")


def _is_at_end(value: Decimal, status: str | None, limits: Limits | None) -> bool:
    if limits is None:
        return False
    return (status == "HI" and value >= limits.high) or (status == "LO" and value <= limits.low)


def _must_be_accepted(part: Part, profile: Poct1aProfile) -> None:
    status = part.said("OBS.status_cd")
    if status is not None and status not in profile.kind.accepted_status:
        raise _error(
            part,
            f"OBS.status_cd is {status[:20]!r}: the result was not accepted at the meter; a person must decide. "
            "If it means accepted, name it under [kind] accepted_status",
            ProtocolReason.UNSUPPORTED,
        )


def _flags(service: Part, inr: _Measured | None) -> tuple[str, ...]:
    """What the meter remarked, in its words; what is normal (NRM, NEW, N, A) is no remark."""
    flags = [service.said("SVC.status_cd"), service.said("SVC.reason_cd")]
    if inr is not None:
        flags.append(inr.part.said("OBS.interpretation_cd"))
        value = inr.part.field("OBS.value")
        null = None if value is None else value.attributes.get("NULL")
        status, method = inr.part.said("OBS.status_cd"), inr.part.said("OBS.method_cd")
        flags.append(None if null is None else f"NULL {null}")
        flags.append(None if status in (None, "A") else f"status {status}")
        flags.append("entered by hand" if method == "I" else None)
    role = service.said("SVC.role_cd")
    flags.append(role if role not in ("OBS", "LQC", "CAL") else None)
    return tuple(flag for flag in flags if flag is not None and flag not in ("NRM", "NEW", "N"))


def _notes(
    service: Part, known: dict[str, _Measured], unknown: Sequence[str], zeros: Sequence[str], lots: Sequence[str]
) -> tuple[str, ...]:
    texts = []
    for part in service.every("NTE"):
        field = part.field("NTE.text")
        if field is not None:
            texts.append(": ".join(text for text in (field.attributes.get("V", "").strip(), field.text) if text))
    texts += [f"the meter sent 0 as {name}, which is no result" for name in zeros]
    texts += [f"further reagent lot {lot}" for lot in lots]
    texts += [f"not read: observation {name}" for name in unknown]
    texts += [
        f"unproven: observation {measured.code} was read as {_NAMES[means]}"
        for means, measured in known.items()
        if not measured.row.proven
    ]
    return tuple(
        text[start : start + NOTE_CHARACTERS] for text in texts for start in range(0, len(text), NOTE_CHARACTERS)
    )


def _no_inr(service: Part, unknown: Sequence[str]) -> ProtocolError:
    names = ", ".join(unknown)[:NOTE_CHARACTERS] or "no observation"
    return _error(
        service,
        f"the service holds {names} and no INR; if one is the INR, add a row [[observation]] to the profile",
        ProtocolReason.UNSUPPORTED,
    )


def _error(part: Part, why: str, reason: ProtocolReason = ProtocolReason.BAD_VALUE) -> ProtocolError:
    return ProtocolError(f"{part.name} at octet {part.start}: {why}", reason, offset=part.start)
