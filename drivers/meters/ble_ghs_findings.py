"""From a Generic Health Sensor's observation to the findings of single tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from drivers.errors import ProtocolError, ProtocolReason
from drivers.meters.coagulation import Findings, Measured, Remarks, notes_on, plain, tester
from drivers.protocols.ghs import names
from drivers.protocols.ghs.message import Received
from drivers.protocols.ghs.observation import (
    Bundle,
    Compound,
    Discrete,
    Events,
    Length,
    Numeric,
    Observation,
    States,
    Text,
    Tlv,
    Tlvs,
    Value,
)
from drivers.protocols.ghs.segments import framed
from drivers.protocols.ghs.times import TimeStamp
from drivers.protocols.ieee11073 import nomenclature as mdc

__all__ = ["Part", "findings_of", "notes_of", "parts_of", "strip_lot_of"]

_INVALID, _NOT_AVAILABLE, _CALIBRATING, _TEST, _EARLY, _SETTING = (1 << bit for bit in (0, 2, 3, 4, 5, 7))
_NO_USER: Final = 0xFF
_RESULTS: Final = frozenset({mdc.INR, mdc.CONTROL})


@dataclass(frozen=True, slots=True)
class Part:
    """Everything an observation says of one test.

    Attributes:
        octets: frames that say this and nothing else.
        shared: the observation that holds it all.
        members: observations of which it is made; of a bundle those of one time stamp and patient.
        stamp, patient: of the test.
    """

    octets: bytes
    shared: Observation
    members: tuple[Observation, ...]
    stamp: TimeStamp | None
    patient: int | None

    @property
    def patient_id(self) -> str | None:
        """The meter's own number of the patient, if it knows one."""
        return None if self.patient in (None, _NO_USER) else str(self.patient)

    def values(self) -> Iterator[tuple[int | None, Value]]:
        """Full code and value of everything that was observed."""
        for member in self.members:
            term = self.shared.type if member.type is None else member.type
            if isinstance(member.value, Compound):
                yield from ((component.type, component.value) for component in member.value.components)
            else:
                yield term, member.value

    def tlvs(self) -> Iterator[Tlv]:
        """Further attributes, of the whole and of its members."""
        for each in self._all():
            yield from each.tlvs
            if isinstance(each.value, Tlvs):
                yield from each.value.tlvs

    def supplemental(self) -> tuple[int, ...]:
        """Supplemental codes, of the whole and of its members."""
        return tuple(dict.fromkeys(code for each in self._all() for code in each.supplemental))

    def status(self) -> int:
        """Measurement status of the result; without one, of everything."""
        results = [each for each in self.members if _RESULTS & _terms(each)] or list(self.members)
        status = self.shared.status or 0
        for each in results:
            status |= each.status or 0
        return status

    def _all(self) -> tuple[Observation, ...]:
        return self.members if self.members == (self.shared,) else (self.shared, *self.members)


def parts_of(observation: Observation, received: Received) -> list[Part]:
    """The tests in an observation: one, except in a bundle whose members have stamps or patients of their own."""
    if not isinstance(observation.value, Bundle):
        whole = (observation,)
        return [Part(received.octets, observation, whole, observation.stamp, observation.patient)]
    groups: dict[tuple[bytes, int | None], list[Observation]] = {}
    for member in observation.value.members:
        stamp = member.stamp or observation.stamp
        patient = observation.patient if member.patient is None else member.patient
        groups.setdefault((b"" if stamp is None else stamp.raw, patient), []).append(member)
    return [
        Part(
            received.octets if len(groups) == 1 else _alone(observation, members, received),
            observation,
            tuple(members),
            TimeStamp.of(raw) if raw else None,
            patient,
        )
        for (raw, patient), members in groups.items()
    ]


def findings_of(part: Part) -> Findings:
    """The findings of a test.

    Raises:
        ProtocolError: it holds two results, or a setting of the meter.
    """
    status = part.status()
    if status & _SETTING:
        message = "a test of the report cannot be used: it is a setting of the meter, not a measurement"
        raise ProtocolError(message, ProtocolReason.UNSUPPORTED)
    terms: dict[int | None, str] = {}
    measured: dict[int | None, Measured] = {}
    for term, value in part.values():
        if term in _RESULTS and term in terms:
            message = f"a test of the report cannot be used: it holds {_name(term)} twice"
            raise ProtocolError(message, ProtocolReason.BAD_VALUE)
        if isinstance(value, Tlvs):
            terms.update({each.type: f"{_name(each.type)} as TLV" for each in value.tlvs})
            continue
        terms.setdefault(term, _name(term))
        if isinstance(value, Numeric):
            measured.setdefault(term, Measured(value.number, value.unit))
        elif term in _RESULTS:
            measured.setdefault(term, Measured(None, None))
    return Findings(
        terms=terms,
        measured=measured,
        is_control=mdc.CONTROL in terms or mdc.CONTROL in part.supplemental(),
        is_test=False,
        status=_device_status(part),
        remarks=Remarks(
            no_result=bool(status & (_INVALID | _NOT_AVAILABLE)),
            calibrating=bool(status & _CALIBRATING),
            test=bool(status & _TEST),
            not_final=bool(status & _EARLY),
            flags=names.bit_names(status, names.MEASUREMENT_STATUS),
        ),
        main=f"its {_name(mdc.INR if mdc.INR in measured else mdc.CONTROL)}",
    )


def strip_lot_of(part: Part) -> str | None:
    """The lot of the test strip, as a value or as a further attribute."""
    for term, value in part.values():
        if term == mdc.STRIP_LOT and (text := _text(value)):
            return text
    for tlv in part.tlvs():
        if tlv.type == mdc.STRIP_LOT and tlv.value is not None:
            return _plain(tlv.value).replace("\0", "").strip() or None
    return None


def notes_of(part: Part) -> list[str]:
    """What else is known of a test."""
    values = list(part.values())
    notes = notes_on((term or 0, _text(value), _unit(value)) for term, value in values)
    for term, value in values:
        if term == mdc.TESTER and isinstance(value, Discrete):
            notes.append(f"tester: {tester(value.code) or _name(value.code)}")
        elif isinstance(value, States):
            notes.append(f"{_name(term)}: bits {value.bits.hex()}")
        elif isinstance(value, Events):
            notes.append(f"{_name(term)}: {', '.join(map(_name, value.codes))}"[:500])
    for code in part.supplemental():
        who = tester(code) if code >> 16 == mdc.DISEASE >> 16 else None
        notes.append(f"tester: {who}" if who else f"supplemental code {_name(code)}")
    stamp = part.stamp
    if stamp is not None and not stamp.is_current and stamp.local is not None:
        notes.append(f"the meter's clock was changed since this test; it showed {stamp.local.isoformat()}")
    return notes


def _alone(bundle: Observation, members: list[Observation], received: Received) -> bytes:
    """The bundle with some of its members only, framed."""
    rest = bundle.octets[3 : bundle.value_at] + bytes([len(members)]) + b"".join(each.octets for each in members)
    told = len(rest) + (3 if bundle.length is Length.TOTAL else 0)
    number = b"" if received.number is None else received.number.to_bytes(4, "little")
    return framed(received.uuid, number + bytes([names.BUNDLE]) + told.to_bytes(2, "little") + rest)


def _terms(observation: Observation) -> set[int | None]:
    if isinstance(observation.value, Compound):
        return {component.type for component in observation.value.components}
    return {observation.type}


def _device_status(part: Part) -> int:
    """16 bits as IEEE 11073-10418 counts them, where they come as one number."""
    for term, value in part.values():
        if term == mdc.DEVICE_STATUS_TYPE and isinstance(value, Discrete) and value.code <= 0xFFFF:
            return value.code
    return 0


def _text(value: Value) -> str | None:
    if isinstance(value, Text):
        return value.text.replace("\0", "").strip() or None
    if isinstance(value, Numeric):
        return plain(value.number)
    return str(value.code) if isinstance(value, Discrete) else None


def _unit(value: Value) -> int | None:
    return value.unit if isinstance(value, Numeric) else None


def _plain(value: object) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _name(term: int | None) -> str:
    """Reference identifier of a full code, or partition and term."""
    if term is None:
        return "an observation without type"
    return mdc.TERMS.get(term) or f"{term >> 16}:{term & 0xFFFF}"
