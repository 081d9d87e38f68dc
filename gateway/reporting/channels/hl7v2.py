r"""A result as HL7 v2.5.1 ORU^R01, by template.

Sources: HL7 v2.5.1 chapter 2 (escaping 2.7, MSH 2.15.9), chapter 4 (ORC, OBR), chapter 7 (OBX 7.4.2, tables 0078,
0085, 0123). MSH-15 and MSH-16 stay empty: original mode, one acknowledgement, from the application.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from gateway.clock import Quality
from gateway.reporting.configuration import Supplier
from gateway.reporting.reportable import Provider, ReportableResult, Status, UnreportableError
from gateway.result import Kind, Quantity
from gateway.wire.reading import Origin

__all__ = ["Codes", "escape", "render"]


@dataclass(frozen=True, slots=True)
class Codes:
    """OBX-3 of each quantity as ready CE fields: code^text^system, with an IEEE 11073-10101 alternative.

    LOINC says in the code which specimen was used: these are the capillary ones. The Quick value has no capillary
    LOINC code, so it goes under its device term alone.
    """

    inr: str = "46418-0^INR in Capillary blood by Coagulation assay^LN^160260^MDC_RATIO_INR_COAG^MDC"
    pt_seconds: str = (
        "46417-2^Prothrombin time (PT) in Capillary blood by Coagulation assay^LN^160264^MDC_TIME_PD_COAG^MDC"
    )
    quick_percent: str = "160268^MDC_QUICK_VALUE_COAG^MDC"


CODES = Codes()
OBX_STATUS = {Status.FINAL: "F", Status.CORRECTED: "C", Status.RETRACTED: "W"}
"""OBX-11, table 0085; W: was posted as wrong. A retracted record that is no patient's at all has D: delete."""
OBR_STATUS = {Status.FINAL: "F", Status.CORRECTED: "C", Status.RETRACTED: "C"}
"""OBR-25, table 0123."""
TIME_WORDS = {
    Quality.SYNCHRONISED: "meter clock checked",
    Quality.OFFSET_CORRECTED: "corrected for the error of the meter clock",
    Quality.ASSUMED_ZONE: "meter clock not checked",
    Quality.IMPLAUSIBLE: "meter clock wrong",
    Quality.UNSET: "meter clock not set",
    Quality.STATED: "stated by a person",
}

_SPECIAL = re.compile(r"[\x00-\x1f\x7f\\|^&~]")
_ESCAPES = {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"}


def escape(text: str) -> str:
    r"""A text as the content of one subcomponent: delimiters by name, control characters as ``\Xhh\``.

    A carriage return would end the segment, and 0x0B or 0x1C the MLLP frame.
    """
    return _SPECIAL.sub(_sequence, text) if _SPECIAL.search(text) else text


def _sequence(found: re.Match[str]) -> str:
    return _ESCAPES.get(found[0]) or f"\\X{ord(found[0]):02X}\\"


def render(report: ReportableResult, codes: Codes = CODES) -> bytes:
    """The report as one HL7 message in UTF-8, segments ended by CR, without transport framing.

    Raises:
        UnreportableError: not a patient result, or one without an INR.
    """
    result, patient = report.result, report.patient
    retracted = report.status is Status.RETRACTED
    if result.inr is None or (result.kind is not Kind.PATIENT and not retracted):
        raise UnreportableError(f"a {result.kind.value} record without patient INR is never reported")
    if report.processing_id == "P" and report.origin in (Origin.SIMULATOR, Origin.REPLAY):
        raise UnreportableError(f"a result of origin {report.origin.value} never goes out as production")
    sender, facility, laboratory = _supplier(report.supplier)
    receiver, receiving_facility, authority, ordering = _provider(report.provider)
    filler = f"{escape(report.result_id)}^{sender}"
    taken = _stamp(report.taken_at)
    released = _stamp(report.released_at, "milliseconds")
    status = "D" if retracted and result.kind is not Kind.PATIENT else OBX_STATUS[report.status]
    meter = result.meter
    maker = " ".join(part for part in (meter.vendor, meter.model) if part)
    device = f"{escape(meter.serial or '')}^{escape(maker)}" if meter.serial or maker else ""
    tail = f"|||{status}|||{taken}||||{device}|{taken}||||{laboratory}"
    lines = [
        "",  # MSH, when it is known whether all of the rest is ASCII
        f"PID|1||{escape(patient.provider_patient_id)}^^^{authority}^MR||"
        f"{escape(patient.family_name)}^{escape(patient.given_name)}^^^^^L||"
        f"{patient.birth_date.isoformat().replace('-', '')}|{escape(patient.sex)}",
        f"ORC|RE||{filler}|||||||||{ordering}",
        f"OBR|1||{filler}|{codes.inr}|||{taken}|||||||||{ordering}||||||{released}||LAB|"
        f"{OBR_STATUS[report.status]}",
        f"OBX|1|{_measured(codes.inr, result.inr, '{INR}^INR^UCUM')}{tail}",
    ]
    lines += [f"NTE|{number}|L|{escape(note)}" for number, note in enumerate(_notes(report), 1)]
    further = (
        (codes.pt_seconds, result.pt_seconds, "s^second^UCUM"),
        (codes.quick_percent, result.quick_percent, "%^percent^UCUM"),
    )
    number = 1
    for code, quantity, unit in further:
        if quantity is not None:
            number += 1
            lines.append(f"OBX|{number}|{_measured(code, quantity, unit)}{tail}")
    body = "\r".join(lines)
    header = (
        f"MSH|^~\\&|{sender}|{facility}|{receiver}|{receiving_facility}|{released}||ORU^R01^ORU_R01|"
        f"{report.control_id}|{report.processing_id}|2.5.1"
    )
    if not (body.isascii() and header.isascii()):
        header += "||||||UNICODE UTF-8"
    return f"{header}{body}\r".encode()


def _measured(code: str, quantity: Quantity, unit: str) -> str:
    """OBX-2 to OBX-8: the meter's own digits; off the measuring range a structured number, never a plain one."""
    if quantity.value is None:
        return f"ST|{code}||{escape(quantity.text)}|{unit}||{quantity.comparator or ''}"
    if quantity.comparator is None:
        return f"NM|{code}||{quantity.value}|{unit}||"
    return f"SN|{code}||{quantity.comparator}^{quantity.value}|{unit}||{quantity.comparator}"


def _notes(report: ReportableResult) -> list[str]:
    notes = ["Patient self-test at home"]
    if report.origin is Origin.PERSON:
        notes[0] += ", entered by hand"
    if report.processing_id == "T":
        notes.insert(0, "Test message: not for a patient's chart")
    if report.status is Status.CORRECTED:
        notes.append("Corrects an earlier report of this result")
    elif report.status is Status.RETRACTED:
        notes.append("Withdrawn: do not use the earlier report of this result")
    if report.result.strip_lot:
        notes.append(f"Strip lot {report.result.strip_lot}")
    uncertainty = report.uncertainty_s
    within = f"{uncertainty / 60:.0f} min" if uncertainty >= 60 else f"{uncertainty:.0f} s"
    notes.append(f"Time of test: {TIME_WORDS[report.quality]}, known within {within}")
    return notes


def _stamp(instant: datetime, precision: str = "seconds") -> str:
    """An instant as DTM with its offset, ``20260314072800-0400``. Slicing takes a fifth of the time of strftime."""
    text = instant.isoformat(timespec=precision)
    return f"{text[:4]}{text[5:7]}{text[8:10]}{text[11:13]}{text[14:16]}{text[17:-6]}{text[-6:-3]}{text[-2:]}"


@lru_cache(maxsize=16)
def _supplier(supplier: Supplier) -> tuple[str, str, str]:
    """MSH-3 (also the authority of our result ids, EI-2 to EI-4), MSH-4, and OBX-23."""
    sender = escape(supplier.application) + (f"^{supplier.application_oid}^ISO" if supplier.application_oid else "")
    facility = escape(supplier.facility) + (f"^{supplier.facility_oid}^ISO" if supplier.facility_oid else "")
    laboratory = f"{escape(supplier.name)}^L" + (f"^^^^NPI^XX^^^{supplier.npi}" if supplier.npi else "")
    return sender, facility, laboratory


@lru_cache(maxsize=4096)
def _provider(provider: Provider) -> tuple[str, str, str, str]:
    """MSH-5, MSH-6, the authority of the provider's patient ids (CX-4), and the ordering provider (XCN)."""
    receiver, facility = (
        "^".join(escape(part) for part in text.split("^")) for text in (provider.application, provider.facility)
    )
    authority = "&".join(escape(part) for part in (provider.facility or provider.id).split("^"))
    name = escape(provider.name)
    if provider.npi:
        ordering = f"{escape(provider.npi)}^{name}^^^^^^^NPI&2.16.840.1.113883.4.6&ISO^L^^^NPI"
    else:
        ordering = f"^{name}"
    return receiver, facility, authority, ordering
