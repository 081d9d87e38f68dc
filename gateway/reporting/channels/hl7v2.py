r"""A result as HL7 v2.5.1 ORU^R01, by template.

Sources: HL7 v2.5.1 chapter 2 (escaping 2.7, MSH 2.15.9), chapter 4 (ORC, OBR), chapter 7 (OBX 7.4.2, tables 0078,
0085, 0123). MSH-15 and MSH-16 stay empty: original mode, one acknowledgement, from the application.
"""

from __future__ import annotations

from functools import lru_cache

from gateway.reporting.channels import mllp_way
from gateway.reporting.channels.base import Channel
from gateway.reporting.channels.hl7v2_parts import (
    UTF_8,
    check,
    escape,
    far_end,
    judged,
    maker,
    measured,
    order_number,
    stamp,
    status_of_observations,
    status_of_request,
)
from gateway.reporting.channels.hl7v2_settings import Hl7v2Settings
from gateway.reporting.configuration import Supplier
from gateway.reporting.notes import notes
from gateway.reporting.reportable import ReportableResult

__all__ = ["CHANNEL", "Hl7v2Settings", "render"]


def render(report: ReportableResult, settings: Hl7v2Settings) -> bytes:
    """The report as one HL7 message in UTF-8, segments ended by CR, without transport framing.

    Raises:
        UnreportableError: not a patient result, or one without an INR.
    """
    check(report)
    result, patient = report.result, report.patient
    assert result.inr is not None
    sender, facility, laboratory = _supplier(report.supplier)
    receiver, receiving_facility, authority, ordering = far_end(report.provider, settings.patient_authority)
    codes = settings.codes
    order = order_number(report.order_id, settings.order_authority)
    filler = f"{escape(report.result_id)}^{sender}"
    taken = stamp(report.taken_at)
    released = stamp(report.released_at, "milliseconds")
    status = status_of_observations(report)
    meter = result.meter
    made_by = maker(meter.vendor, meter.model)
    device = f"{escape(meter.serial or '')}^{made_by}" if meter.serial or made_by else ""
    tail = f"|||{status}|||{taken}||||{device}|{taken}||||{laboratory}"
    lines = [
        "",  # MSH, when it is known whether all of the rest is ASCII
        f"PID|1||{escape(patient.provider_patient_id)}^^^{authority}^{settings.patient_id_type}||"
        f"{escape(patient.family_name)}^{escape(patient.given_name)}^^^^^L||"
        f"{patient.birth_date.isoformat().replace('-', '')}|{escape(patient.sex)}",
        f"ORC|RE|{order}|{filler}|||||||||{ordering}",
        f"OBR|1|{order}|{filler}|{codes.inr}|||{taken}|||||||||{ordering}||||||{released}||{settings.section}|"
        f"{status_of_request(report)}",
        f"OBX|1|{measured(codes.inr, result.inr, settings.inr_unit, *judged(report, flags=settings.flags))}{tail}",
    ]
    lines += [f"NTE|{number}|L|{escape(note)}" for number, note in enumerate(notes(report), 1)]
    further = (
        (codes.pt_seconds, result.pt_seconds, settings.pt_unit),
        (codes.quick_percent, result.quick_percent, settings.quick_unit),
    )
    number = 1
    for code, quantity, unit in further:
        if quantity is not None:
            number += 1
            lines.append(f"OBX|{number}|{measured(code, quantity, unit)}{tail}")
    body = "\r".join(lines)
    header = (
        f"MSH|^~\\&|{sender}|{facility}|{receiver}|{receiving_facility}|{released}||ORU^R01^ORU_R01|"
        f"{report.control_id}|{report.processing_id}|2.5.1"
    )
    character_set = "" if body.isascii() and header.isascii() and settings.profile.isascii() else UTF_8
    if settings.profile:
        header += f"||||||{character_set}|||{settings.profile}"
    elif character_set:
        header += f"||||||{character_set}"
    return f"{header}{body}\r".encode()


@lru_cache(maxsize=16)
def _supplier(supplier: Supplier) -> tuple[str, str, str]:
    """MSH-3 (also the authority of our result ids, EI-2 to EI-4), MSH-4, and OBX-23."""
    sender = escape(supplier.application) + (f"^{supplier.application_oid}^ISO" if supplier.application_oid else "")
    facility = escape(supplier.facility) + (f"^{supplier.facility_oid}^ISO" if supplier.facility_oid else "")
    laboratory = f"{escape(supplier.name)}^L" + (f"^^^^NPI^XX^^^{supplier.npi}" if supplier.npi else "")
    return sender, facility, laboratory


CHANNEL = Channel(
    name="hl7v2",
    settings=Hl7v2Settings,
    check_address=mllp_way.check_address,
    render=render,
    sender=mllp_way.sender,
    probe=mllp_way.probe,
)
