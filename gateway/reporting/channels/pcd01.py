"""A result as an IHE PCD-01 message (HL7 v2.6 ORU^R01): a device observation report, for whoever asks for one.

Sources: IHE Patient Care Device Technical Framework, volume 2 (PCD-01; appendix A: OBX-4 as places in the tree of
IEEE 11073-10201; appendix C: data types); Continua H.812.1 (a device without parts: zeros for VMD and channel);
IEEE 11073-10101 (codes: partition x 65,536 + term) and -10418 (coagulation).

MSH-15 ``NE`` and MSH-16 ``AL`` ask for one acknowledgement, the application's, as original mode does. A receiver
that gives a commit acknowledgement (CA) all the same has not said that its application has the report.
"""

from __future__ import annotations

import re
from functools import lru_cache

from gateway.clock import Quality
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
)
from gateway.reporting.channels.pcd01_settings import Pcd01Settings
from gateway.reporting.configuration import Supplier
from gateway.reporting.notes import notes
from gateway.reporting.reportable import ReportableResult, Status
from gateway.result import Meter

__all__ = ["CHANNEL", "Pcd01Settings", "render"]

INR, INR_UNIT = "160260^MDC_RATIO_INR_COAG^MDC", "268752^MDC_DIM_INR^MDC"
PT, PT_UNIT = "160264^MDC_TIME_PD_COAG^MDC", "264320^MDC_DIM_SEC^MDC"
QUICK, QUICK_UNIT = "160268^MDC_QUICK_VALUE_COAG^MDC", "262688^MDC_DIM_PERCENT^MDC"
COAGULATION_METER = "528402^MDC_DEV_SPEC_PROFILE_COAG^MDC"
TIME_SYNC = "68220^MDC_TIME_SYNC_PROTOCOL^MDC"
NOT_SYNCHRONISED = "532224^MDC_TIME_SYNC_NONE^MDC"
BATCH = "8417908^MDC_BATCHCODE_COAG^MDC"
RAW = "R"
"""OBX-11: as the device gave it, verified by nobody."""
CHECKED = (Quality.SYNCHRONISED, Quality.OFFSET_CORRECTED)
_EUI64 = re.compile(r"(?=.*[A-F])[0-9A-F]{16}")


def render(report: ReportableResult, settings: Pcd01Settings) -> bytes:
    """The report as one HL7 message in UTF-8, segments ended by CR, without transport framing.

    Raises:
        UnreportableError: not a patient result, or one without an INR.
    """
    check(report)
    result, patient = report.result, report.patient
    assert result.inr is not None
    sender, facility = _supplier(report.supplier, settings.gateway_eui64)
    receiver, receiving_facility, authority, _ = far_end(report.provider, settings.patient_authority)
    taken, released = stamp(report.taken_at), stamp(report.released_at)
    status = RAW if report.status is Status.FINAL else status_of_observations(report)
    device = _device(result.meter, result.strip_lot, eui64_serials=settings.eui64_serials)
    time_sync = settings.time_sync if report.quality in CHECKED else NOT_SYNCHRONISED
    rows = [f"CWE|{TIME_SYNC}|0.0.0.1|{time_sync}||||||{RAW}", *device]
    place = len(device)  # one of them is the meter itself, which has no place under itself
    tail = f"|||{status}|||{taken}"
    target, flags = judged(report, flags=settings.flags)
    rows.append(f"{measured(INR, result.inr, INR_UNIT, target, flags, f'1.0.0.{place}')}{tail}")
    remarks = len(rows)
    for code, quantity, unit in ((PT, result.pt_seconds, PT_UNIT), (QUICK, result.quick_percent, QUICK_UNIT)):
        if quantity is not None:
            place += 1
            rows.append(f"{measured(code, quantity, unit, place=f'1.0.0.{place}')}{tail}")
    lines = [f"OBX|{number}|{row}" for number, row in enumerate(rows, 1)]
    lines[remarks:remarks] = [f"NTE|{number}|L|{escape(note)}" for number, note in enumerate(notes(report), 1)]
    order = order_number(
        report.order_id, settings.order_authority or receiving_facility or escape(report.provider.id)
    )
    about = (
        f"PID|||{escape(patient.provider_patient_id)}^^^{authority}^{settings.patient_id_type}||"
        f"{escape(patient.family_name)}^{escape(patient.given_name)}^^^^^L||"
        f"{patient.birth_date.isoformat().replace('-', '')}|{escape(patient.sex)}\r"
        f"OBR|1|{order}|{escape(report.result_id)}^{sender}|"
        f"{settings.service}|||{taken}"
    )
    body = "\r".join([about, *lines])
    header = (
        f"MSH|^~\\&|{sender}|{facility}|{receiver}|{receiving_facility}|{released}||ORU^R01^ORU_R01|"
        f"{report.control_id}|{report.processing_id}|2.6|||NE|AL||"
    )
    ascii_only = body.isascii() and header.isascii() and settings.profile.isascii()
    return f"{header}{'' if ascii_only else UTF_8}|||{settings.profile}\r{body}\r".encode()


@lru_cache(maxsize=16384)
def _device(meter: Meter, lot: str | None, *, eui64_serials: bool) -> tuple[str, ...]:
    """OBX-2 to the end: the meter and what is known of it, each at a place of its own below it."""
    serial = meter.serial or ""
    if eui64_serials and _EUI64.fullmatch(serial):
        name = f"{serial}^^{serial}^EUI-64"
    else:
        made_by = maker(meter.vendor, meter.model)
        name = f"{escape(serial)}^{made_by}" if serial or made_by else ""
    known = (
        ("531970^MDC_ID_MODEL_MANUFACTURER^MDC", meter.vendor),
        ("531969^MDC_ID_MODEL_NUMBER^MDC", meter.model),
        ("531972^MDC_ID_PROD_SPEC_SERIAL^MDC", meter.serial),
        ("531976^MDC_ID_PROD_SPEC_FW^MDC", meter.firmware),
        (BATCH, lot),
    )
    given = [(code, text) for code, text in known if text]
    return (
        f"|{COAGULATION_METER}|1|||||||X" + (f"|||||||{name}" if name else ""),
        *(f"ST|{code}|1.0.0.{place}|{escape(text)}||||||{RAW}" for place, (code, text) in enumerate(given, 1)),
    )


@lru_cache(maxsize=64)
def _supplier(supplier: Supplier, eui64: str) -> tuple[str, str]:
    """MSH-3 (also the authority of our result ids, EI-2 to EI-4) and MSH-4."""
    sender = escape(supplier.application)
    if eui64:
        sender += f"^{eui64}^EUI-64"
    elif supplier.application_oid:
        sender += f"^{supplier.application_oid}^ISO"
    facility = escape(supplier.facility) + (f"^{supplier.facility_oid}^ISO" if supplier.facility_oid else "")
    return sender, facility


CHANNEL = Channel(
    name="pcd01",
    settings=Pcd01Settings,
    check_address=mllp_way.check_address,
    render=render,
    sender=mllp_way.sender,
    probe=mllp_way.probe,
)
