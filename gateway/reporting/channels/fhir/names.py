"""The names under which a server finds our resources again: identifiers, searches, and references within a bundle.

One result of one patient keeps its identifiers over all versions, resends and restarts. The patient is part of
them, because a result that was taken for another patient's is withdrawn there and reported anew here: under one
identifier the server would keep the withdrawn one and say that it has it already.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from functools import lru_cache
from urllib.parse import quote

from gateway.reporting.channels.fhir.settings import FhirSettings
from gateway.reporting.configuration import Supplier
from gateway.reporting.reportable import Provider, UnreportableError
from gateway.result import DeviceTime, Meter

__all__ = [
    "hub_value",
    "local_root",
    "meter_value",
    "patient_system",
    "phd_value",
    "query",
    "result_value",
    "system",
]

_EPOCH = datetime(2000, 1, 1)  # noqa: DTZ001 - the guide counts the meter's own seconds, which have no zone
_PLAIN = re.compile(r"[A-Za-z0-9/.:~_-]*").fullmatch
_SEARCH = str.maketrans({"\\": "\\\\", "|": "\\|", ",": "\\,", "$": "\\$"})


def system(settings: FhirSettings, supplier: Supplier) -> str:
    """The system of our identifiers.

    Raises:
        UnreportableError: neither the destination nor the supplier names one.
    """
    if settings.identifier_system is not None:
        return settings.identifier_system
    if supplier.application_oid is not None:
        return f"urn:oid:{supplier.application_oid}"
    raise UnreportableError(
        "our identifiers have no system; set identifier_system in the destination's settings, or application_oid"
        " in [delivery.supplier] of server.toml"
    )


def patient_system(settings: FhirSettings, provider: Provider) -> str:
    """The system of the provider's patient ids.

    Raises:
        UnreportableError: neither the settings nor the facility (``name^OID^ISO``) name one.
    """
    if settings.patient_identifier_system is not None:
        return settings.patient_identifier_system
    parts = provider.facility.split("^")
    if len(parts) == 3 and parts[2] == "ISO" and parts[1]:
        return f"urn:oid:{parts[1]}"
    raise UnreportableError(
        "the provider's patient ids have no system; set patient_identifier_system in the destination's settings"
    )


@lru_cache(maxsize=65536)
def _mark(provider_patient_id: str) -> str:
    return hashlib.sha256(provider_patient_id.encode()).hexdigest()[:8]


def result_value(result_id: str, provider_patient_id: str) -> str:
    """The value of the identifier of one result of one patient."""
    return f"{result_id}.{_mark(provider_patient_id)}"


def meter_value(meter: Meter) -> str | None:
    """The value of a meter's identifier: its key, as the store knows it; None for one that cannot be told apart."""
    return None if meter.key is None else f"meter/{meter.key}"


def hub_value(hub_id: str) -> str:
    """The value of a hub's identifier."""
    return f"hub/{hub_id}"


def phd_value(meter_key: str, provider_patient_id: str, term: str, time: DeviceTime) -> str | None:
    """The identifier that the Personal Health Device guide makes of meter, patient, kind and the meter's own time.

    The time is in seconds since 2000 as the meter shows it, with its offset in quarters of an hour where it has
    one.    Versions of the guide compute it differently, so that nothing of ours depends on it.
    """
    if time.local is None:
        return None
    seconds = int((time.local - _EPOCH).total_seconds())
    offset = "" if time.utc_offset_min is None else f"{time.utc_offset_min // 15:+d}"
    device = meter_key.replace("/", "").upper()
    return f"{device}-{provider_patient_id}-{term}-{seconds}{offset}"


def query(parameter: str, system: str, value: str) -> str:
    """A search by token, as it stands in ``ifNoneExist`` and conditional URLs (R4 3.1.1.4.10, 3.1.0.8.1)."""
    return f"{parameter}={_quoted_system(system)}|{value if _PLAIN(value) else _quoted(value)}"


def _quoted(value: str) -> str:
    return quote(value.translate(_SEARCH), safe="/.:~-_")


@lru_cache(maxsize=1024)
def _quoted_system(system: str) -> str:
    return quote(system, safe=":/.~-_")


def local_root(system: str, value: str) -> str:
    """What the references to a bundle's entries begin with; twelve hexadecimal digits complete one.

    They are UUIDs out of a digest (RFC 9562, version 8), so that the same result gives the same octets.
    """
    digest = hashlib.sha256(f"{system}|{value}".encode()).hexdigest()
    return f"urn:uuid:{digest[:8]}-{digest[8:12]}-8{digest[12:15]}-a{digest[15:18]}-"
