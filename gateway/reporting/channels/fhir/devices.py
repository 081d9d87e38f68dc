"""Meter and hub as Device resources (Personal Health Device guide 2.0.0: PhdDevice, PhgDevice)."""

from __future__ import annotations

from functools import lru_cache

import orjson

import gateway
from gateway.reporting.channels.fhir import codes, names
from gateway.reporting.channels.fhir.scene import Json, Scene, coding, concept, frozen, meta
from gateway.result import Meter

__all__ = ["fits_the_guide", "hub", "meter"]


def fits_the_guide(meter: Meter) -> bool:
    """Whether all is known that a PhdDevice must hold; many a meter says neither model nor firmware."""
    return None not in (meter.vendor, meter.serial, meter.model, meter.firmware)


def meter(scene: Scene) -> tuple[str, orjson.Fragment] | None:
    """Reference and entry of the meter; None when it gave no serial, so that it cannot be told from others."""
    found = scene.report.result.meter
    value = names.meter_value(found)
    if value is None:
        return None
    profile = codes.PHD_DEVICE if scene.settings.profiles and fits_the_guide(found) else None
    known = (found.vendor, found.serial, found.model, found.firmware)
    return _meter(scene.system, value, known, profile, scene.is_test)


def hub(scene: Scene) -> tuple[str, orjson.Fragment] | None:
    """Reference and entry of the hub; None when no hub had a part in it."""
    if not scene.report.hub_id:
        return None
    return _hub(scene.system, names.hub_value(scene.report.hub_id), scene.settings.profiles, scene.is_test)


@lru_cache(maxsize=16384)
def _meter(
    system: str, value: str, known: tuple[str | None, ...], profile: str | None, is_test: bool
) -> tuple[str, orjson.Fragment]:
    *named, firmware = known
    resource = _device(system, value, meta(profile, is_test), codes.METER_TYPE)
    given = zip(("manufacturer", "serialNumber", "modelNumber"), named, strict=True)
    resource |= {name: text for name, text in given if text is not None}
    if firmware is not None:
        resource["version"] = [{"type": concept(_mdc(codes.FIRMWARE)), "value": firmware}]
    return _entry(system, value, resource)


@lru_cache(maxsize=16384)
def _hub(system: str, value: str, profiles: bool, is_test: bool) -> tuple[str, orjson.Fragment]:
    resource = _device(system, value, meta(codes.PHD_GATEWAY if profiles else None, is_test), codes.HUB_TYPE)
    resource["deviceName"] = [{"name": "INR hub", "type": "user-friendly-name"}]
    resource["version"] = [{"type": concept(_mdc(codes.SOFTWARE)), "value": gateway.__version__}]
    return _entry(system, value, resource)


def _device(system: str, value: str, about: orjson.Fragment | None, kind: tuple[str, str]) -> Json:
    resource: Json = {"resourceType": "Device"}
    if about is not None:
        resource["meta"] = about
    return resource | {
        "identifier": [{"system": system, "value": value}],
        "type": concept(_mdc(kind)),
        "specialization": [
            {"systemType": concept(_mdc(codes.COAGULATION)), "version": codes.COAGULATION_VERSION},
        ],
    }


def _entry(system: str, value: str, resource: Json) -> tuple[str, orjson.Fragment]:
    """A device is only ever created unless it is there: what the server knows of it beyond that is left alone."""
    full_url = names.local_root(system, value) + "0" * 12
    request = {"method": "POST", "url": "Device", "ifNoneExist": names.query("identifier", system, value)}
    return full_url, frozen({"fullUrl": full_url, "resource": resource, "request": request})


def _mdc(kind: tuple[str, str]) -> Json:
    return coding(codes.MDC, *kind)
