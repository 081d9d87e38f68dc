"""Values of a Generic Health Sensor's characteristics as JSON knows them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from drivers.errors import ProtocolError, ProtocolReason
from drivers.protocols.ghs import names, racp
from drivers.protocols.ghs.features import Features, ServiceData, control_answer
from drivers.protocols.ghs.message import text_of
from drivers.protocols.ghs.observation import (
    Bundle,
    Compound,
    Discrete,
    Events,
    Numeric,
    Observation,
    Samples,
    States,
    Text,
    Tlv,
    Tlvs,
    Value,
)
from drivers.protocols.ghs.times import ElapsedTime, TimeStamp
from drivers.protocols.ieee11073 import nomenclature as mdc
from drivers.protocols.ieee11073.mder import Number, Special

__all__ = ["code", "observation", "service_data", "value_of"]

_REQUESTS: Final = {opcode.value: opcode.name.lower().replace("_", "-") for opcode in racp.Opcode}


def code(full: int | None) -> dict[str, Any] | None:
    """A full code with its reference identifier, or None for one that stands in no table."""
    if full is None:
        return None
    name = mdc.TERMS.get(full)
    return {"code": full, "partition": full >> 16, "term": full & 0xFFFF, "name": name}


def observation(told: Observation) -> dict[str, Any]:
    """An observation with every field; what the flags do not announce is left out."""
    announced = names.bit_names(told.flags, dict(enumerate(names.FIELDS)))
    shown: dict[str, Any] = {
        "class": {"code": told.class_code, "name": names.CLASSES[told.class_code]},
        "length-field": told.length_field,
        "length-counts": told.length.value,
        "flags": {"bits": f"{told.flags:04X}", "set": announced},
    }
    optional: dict[str, Any] = {
        "observation-type": code(told.type),
        "time-stamp": None if told.stamp is None else stamp(told.stamp),
        "measurement-duration": None if told.duration is None else number(told.duration),
        "measurement-status": None if told.status is None else _bits(told.status, names.MEASUREMENT_STATUS),
        "observation-id": told.identifier,
        "patient": told.patient,
        "supplemental-information": [code(each) for each in told.supplemental],
        "derived-from": list(told.derived_from),
        "is-member-of": list(told.member_of),
        "tlvs": [_tlv(each) for each in told.tlvs],
    }
    shown |= {field: optional[field] for field in announced}
    return {**shown, "value": _value(told.value)}


def stamp(told: TimeStamp) -> dict[str, Any]:
    """A time stamp; ``local`` is what the sensor showed, None for ticks."""
    local = told.local
    return {
        "raw": told.raw.hex(),
        "flags": _bits(told.flags & ~0x0C, names.TIME_FLAGS, 8),
        "count": told.count,
        "resolution-us": told.resolution_us,
        "source": {"code": told.source, "name": names.SYNC_SOURCES.get(told.source)},
        "offset-quarters": told.quarters,
        "local": None if local is None else local.isoformat(),
        "utc-offset-min": told.utc_offset_min,
    }


def number(told: Number) -> str:
    """A number without exponent, or the name of a special value."""
    return told.value if isinstance(told, Special) else f"{told:f}"


def service_data(value: bytes, base: int) -> dict[str, Any]:
    """Advertised service data.

    Raises:
        ProtocolError: it is none.
    """
    told = ServiceData.of(value, base)
    return {
        "specializations": [code(mdc.INFRASTRUCTURE | each) for each in told.specializations],
        "users": list(told.users),
    }


def value_of(uuid: str, value: bytes, base: int) -> Any:
    """Value of a characteristic that is no observation; hexadecimal digits where it is not known.

    Raises:
        ProtocolError: it does not have the form of its characteristic.
    """
    if uuid in names.INFORMATION:
        return text_of(uuid, value)
    if uuid == names.ELAPSED_TIME:
        told = ElapsedTime.of(value, base)
        return {
            "time": stamp(told.stamp),
            "status": _bits(told.status, {0: "needs-set"}, 8),
            "capabilities": _bits(told.capabilities, {0: "daylight-saving", 1: "zone"}, 8),
        }
    if uuid == names.FEATURES:
        features = Features.of(value, base)
        return {
            "flags": features.flags,
            "observation-types": [code(each) for each in features.types],
            "specializations": [
                {**(code(mdc.INFRASTRUCTURE | term) or {}), "version": version}
                for term, version in features.specializations
            ],
        }
    if uuid == names.CONTROL_POINT:
        return control_answer(value, base).name.lower().replace("_", "-")
    if uuid == names.RACP:
        return _racp(racp.decode(value, base))
    return value.hex()


def _racp(answer: racp.Answer) -> dict[str, Any]:
    if isinstance(answer, racp.Response):
        request = {"code": answer.request, "name": _REQUESTS.get(answer.request)}
        return {"answer": "response", "request": request, "response": {"code": answer.code, "name": answer.why}}
    name = "combined-report" if isinstance(answer, racp.Combined) else "number-of-records"
    return {"answer": name, "count": answer.count}


def _value(told: Value) -> Any:
    match told:
        case Numeric():
            return {"unit": _unit(told.unit), "number": number(told.number)}
        case Discrete():
            return told.code
        case Text():
            return told.text
        case Samples():
            return {
                "unit": _unit(told.unit),
                "scale-factor": number(told.scale),
                "offset": number(told.offset),
                "sample-period": number(told.period),
                "samples-per-period": told.samples_per_period,
                "octets-per-sample": told.octets_per_sample,
                "number-of-samples": told.sample_count,
                "samples": told.octets.hex(),
            }
        case Events():
            return [code(each) for each in told.codes]
        case States():
            shown = {
                "octets-per-mask": len(told.bits),
                "supported-mask": told.supported.hex(),
                "state-mask": told.states.hex(),
                "bits": told.bits.hex(),
            }
            if len(told.bits) == 4:  # an ST example has a term here
                shown["as-term"] = code(int.from_bytes(told.bits, "little"))
            return shown
        case Tlvs():
            return [_tlv(each) for each in told.tlvs]
        case Compound():
            return [
                {
                    "type": code(each.type),
                    "value-type": {"code": each.value_type, "name": names.CLASSES[each.value_type]},
                    "value": _value(each.value),
                }
                for each in told.components
            ]
        case Bundle():
            return [observation(each) for each in told.members]
    raise ProtocolError("octet 0: a value of no class", ProtocolReason.UNSUPPORTED, offset=0)


def _tlv(told: Tlv) -> dict[str, Any]:
    return {
        "type": code(told.type),
        "length": len(told.octets),
        "format": {"code": told.format, "name": names.TLV_FORMATS.get(told.format)},
        "octets": told.octets.hex(),
        "value": number(told.value) if isinstance(told.value, Decimal | Special) else told.value,
    }


def _unit(unit: int) -> dict[str, Any]:
    return {"code": unit, "name": mdc.UNITS.get(unit, (None,))[0]}


def _bits(bits: int, table: dict[int, str], width: int = 16) -> dict[str, Any]:
    return {"bits": f"{bits:0{width // 4}X}", "set": names.bit_names(bits, table, width)}
