r"""What one HL7 v2 receiver wants otherwise than the next: codes, units, identifiers, pace.

Coded fields are written as HL7 writes them, ``code^text^system``. They hold no delimiter but ``^``.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, NamedTuple

from pydantic import Field, StringConstraints

from gateway.reporting.channels.mllp_settings import MllpSettings

__all__ = ["AUTHORITY", "CODED", "Authority", "Coded", "Codes", "Hl7v2Settings", "PatientIdType", "Profile"]

_TEXT = r"[^|~\\&^\x00-\x1f\x7f]"
Coded = Annotated[str, StringConstraints(pattern=rf"^{_TEXT}{{1,50}}(\^{_TEXT}{{1,199}}(\^{_TEXT}{{1,20}})?)?$")]
Unit = Annotated[str, StringConstraints(pattern=rf"^({_TEXT}{{1,50}}(\^{_TEXT}{{1,199}}(\^{_TEXT}{{1,20}})?)?)?$")]
Authority = Annotated[
    str, StringConstraints(pattern=rf"^({_TEXT}{{0,50}}(\^{_TEXT}{{1,199}}\^{_TEXT}{{1,10}})?)?$")
]
CODED = "write it as code^text^system, like 46418-0^INR in Capillary blood by Coagulation assay^LN"
_UNIT = "write it as code^text^system, like {INR}^INR^UCUM, or leave it empty"
AUTHORITY = "write it as name^id^type, like CLINIC^2.25.98^ISO, or leave it out"


PatientIdType = Annotated[str, Field(pattern=r"^[A-Z0-9]{1,5}$", description="a type like MR (table 0203)")]
Profile = Annotated[
    str,
    Field(
        max_length=400,
        pattern=r"^[^|\\&\x00-\x1f\x7f]*$",
        description="what MSH-21 shall hold, as ^^OID^ISO; several parted by ~",
    ),
]


class Codes(NamedTuple):
    """OBX-3 of each quantity, ready to be sent."""

    inr: str
    pt_seconds: str
    quick_percent: str


class Hl7v2Settings(MllpSettings):
    """Settings of a destination of channel ``hl7v2``.

    LOINC says in the code which specimen was used: the codes that hold unless told otherwise are the capillary
    ones. The Quick value has no capillary LOINC code, so it goes under its device term alone.
    """

    inr: Annotated[Coded, Field(description=CODED)] = "46418-0^INR in Capillary blood by Coagulation assay^LN"
    pt_seconds: Annotated[Coded, Field(description=CODED)] = (
        "46417-2^Prothrombin time (PT) in Capillary blood by Coagulation assay^LN"
    )
    quick_percent: Annotated[Coded | None, Field(description=CODED)] = None
    device_codes: Annotated[bool, Field(description="true or false")] = True
    """IEEE 11073-10101 terms as the alternative codes of OBX-3 (CE-4 to CE-6)."""
    inr_unit: Annotated[Unit, Field(description=_UNIT)] = "{INR}^INR^UCUM"
    pt_unit: Annotated[Unit, Field(description=_UNIT)] = "s^second^UCUM"
    quick_unit: Annotated[Unit, Field(description=_UNIT)] = "%^percent^UCUM"
    flags: Annotated[bool, Field(description="true or false")] = True
    """Target range (OBX-7) and interpretation (OBX-8), where limits are known. Off-range marks are always sent."""
    patient_authority: Annotated[Authority, Field(description=AUTHORITY)] = ""
    """Authority of the provider's patient ids (PID-3, CX-4); without it the receiving facility."""
    patient_id_type: PatientIdType = "MR"
    order_authority: Annotated[Authority, Field(description=AUTHORITY)] = ""
    """Who gave the number of the standing order (ORC-2, OBR-2, EI-2 to EI-4)."""
    section: Annotated[str, Field(pattern=r"^[A-Z]{2,3}$", description="a section like LAB or POC")] = "LAB"
    """OBR-24."""
    profile: Profile = ""

    @cached_property
    def codes(self) -> Codes:
        """OBX-3 with or without the device's own terms."""
        if not self.device_codes:
            return Codes(self.inr, self.pt_seconds, self.quick_percent or "160268^MDC_QUICK_VALUE_COAG^MDC")
        return Codes(
            _both(self.inr, "160260^MDC_RATIO_INR_COAG^MDC"),
            _both(self.pt_seconds, "160264^MDC_TIME_PD_COAG^MDC"),
            _both(self.quick_percent, "160268^MDC_QUICK_VALUE_COAG^MDC"),
        )


def _both(code: str | None, device: str) -> str:
    return device if code is None else f"{code}{'^' * (2 - code.count('^'))}^{device}"
