r"""What ORU^R01 messages of all versions have in common: escaping, instants, names, and when there is no report.

Sources: HL7 v2.5.1 chapter 2 (escaping 2.7, data types 2.A), chapter 7 (OBX 7.4.2, tables 0078, 0085, 0123).
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache

from gateway.reporting.reportable import Provider, ReportableResult, Status, UnreportableError
from gateway.result import Kind, Quantity
from gateway.wire.reading import Origin

__all__ = [
    "UTF_8",
    "check",
    "escape",
    "far_end",
    "judged",
    "maker",
    "measured",
    "order_number",
    "stamp",
    "status_of_observations",
    "status_of_request",
]

UTF_8 = "UNICODE UTF-8"
"""MSH-18 (table 0211) where a message is not ASCII."""
NAMESPACE_MOST = 20
"""A namespace id (data type IS) holds no more."""
OBX_STATUS = {Status.FINAL: "F", Status.CORRECTED: "C", Status.RETRACTED: "W"}
OBR_STATUS = {Status.FINAL: "F", Status.CORRECTED: "C", Status.RETRACTED: "C"}
_SPECIAL = re.compile(r"[\x00-\x1f\x7f\\|^&~]")
_ESCAPES = {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"}


def check(report: ReportableResult) -> None:
    """Raises UnreportableError for what is no patient result, or may not leave as production."""
    result = report.result
    if result.inr is None or (result.kind is not Kind.PATIENT and report.status is not Status.RETRACTED):
        raise UnreportableError(f"a {result.kind.value} record without patient INR is never reported")
    if report.processing_id == "P" and report.origin in (Origin.SIMULATOR, Origin.REPLAY):
        raise UnreportableError(f"a result of origin {report.origin.value} never goes out as production")


def status_of_observations(report: ReportableResult) -> str:
    """OBX-11 (table 0085). W: was posted as wrong; D, delete, where the record is no patient's at all."""
    if report.status is Status.RETRACTED and report.result.kind is not Kind.PATIENT:
        return "D"
    return OBX_STATUS[report.status]


def status_of_request(report: ReportableResult) -> str:
    """OBR-25 (table 0123)."""
    return OBR_STATUS[report.status]


def escape(text: str) -> str:
    r"""A text as the content of one subcomponent: delimiters by name, control characters as ``\Xhh\``.

    A carriage return would end the segment, and 0x0B or 0x1C the MLLP frame.
    """
    return _SPECIAL.sub(_sequence, text) if _SPECIAL.search(text) else text


def _sequence(found: re.Match[str]) -> str:
    return _ESCAPES.get(found[0]) or f"\\X{ord(found[0]):02X}\\"


def stamp(instant: datetime, precision: str = "seconds") -> str:
    """An instant as DTM with its offset, ``20260314072800-0400``. Slicing takes a fifth of the time of strftime."""
    text = instant.isoformat(timespec=precision)
    return f"{text[:4]}{text[5:7]}{text[8:10]}{text[11:13]}{text[14:16]}{text[17:-6]}{text[-6:-3]}{text[-2:]}"


def measured(
    code: str, quantity: Quantity, unit: str, target: str = "", flags: tuple[str, ...] = (), place: str = ""
) -> str:
    """OBX-2 to OBX-8: the meter's own digits; off the measuring range a structured number, never a plain one."""
    if quantity.comparator is not None and quantity.comparator not in flags:
        flags = (*flags, quantity.comparator)
    told = f"{unit}|{target}|{'~'.join(flags)}"
    if quantity.value is None:
        return f"ST|{code}|{place}|{escape(quantity.text)}|{told}"
    if quantity.comparator is None:
        return f"NM|{code}|{place}|{quantity.value}|{told}"
    return f"SN|{code}|{place}|{quantity.comparator}^{quantity.value}|{told}"


def judged(report: ReportableResult, *, flags: bool) -> tuple[str, tuple[str, ...]]:
    """OBX-7 and OBX-8 of the INR: the prescribed target, never the range of people without an anticoagulant.

    Args:
        report: the result with the limits that held.
        flags: whether the receiver wants them.
    """
    limits = report.limits
    if limits is None or not flags:
        return "", ()
    return f"{limits.target_low}-{limits.target_high}", report.interpretation


def order_number(order_id: str | None, authority: str) -> str:
    """The placer's order number (EI)."""
    if not order_id:
        return ""
    return f"{escape(order_id)}^{authority}" if authority else escape(order_id)


def maker(vendor: str | None, model: str | None) -> str:
    """Vendor and model as the namespace of a serial number (EI-2)."""
    return escape(" ".join(part for part in (vendor, model) if part)[:NAMESPACE_MOST].rstrip())


@lru_cache(maxsize=4096)
def far_end(provider: Provider, patient_authority: str) -> tuple[str, str, str, str]:
    """MSH-5, MSH-6, the authority of the provider's patient ids (CX-4), and the ordering provider (XCN)."""
    receiver, facility = (
        "^".join(escape(part) for part in text.split("^")) for text in (provider.application, provider.facility)
    )
    authority = patient_authority or provider.facility or provider.id
    authority = "&".join(escape(part) for part in authority.split("^"))
    name = escape(provider.name)
    if provider.npi:
        ordering = f"{escape(provider.npi)}^{name}^^^^^^^NPI&2.16.840.1.113883.4.6&ISO^L^^^NPI"
    else:
        ordering = f"^{name}"
    return receiver, facility, authority, ordering
