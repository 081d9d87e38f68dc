"""What one receiver of IHE PCD-01 wants otherwise than the next."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.reporting.channels.hl7v2_settings import (
    AUTHORITY,
    CODED,
    Authority,
    Coded,
    PatientIdType,
    Profile,
)
from gateway.reporting.channels.mllp_settings import MllpSettings

__all__ = ["Pcd01Settings"]

_FLAG = "true or false"
Eui64 = Annotated[str, Field(pattern=r"^([0-9A-F]{16})?$", description="sixteen hexadecimal digits in capitals")]


class Pcd01Settings(MllpSettings):
    """Settings of a destination of channel ``pcd01``. Codes and units are those of IEEE 11073-10101, always."""

    profile: Profile = "IHE PCD ORU-R01 2006^HL7^2.16.840.1.113883.9.n.m^HL7"
    """MSH-21. Receivers compare it letter by letter and are not agreed on the letters: ``ORU-R012006`` without the
    blank, or ``1.3.6.1.4.1.19376.1.6.1.1.1^ISO`` for the identifier, are in use too."""
    gateway_eui64: Eui64 = ""
    """EUI-64 of this gateway (MSH-3 and the authority of our result ids), where the receiver wants one instead of
    the supplier's ``application_oid``."""
    eui64_serials: Annotated[bool, Field(description=_FLAG)] = True
    """A meter's number of sixteen hexadecimal digits is its EUI-64: that is how an IEEE 11073 meter without a
    serial number is known. False where real serial numbers look like that."""
    service: Annotated[Coded, Field(description=CODED)] = "182777000^monitoring of patient^SNOMED-CT"
    """OBR-4."""
    time_sync: Annotated[Coded, Field(description=CODED)] = "532225^MDC_TIME_SYNC_NTPV3^MDC"
    """How the hubs' clocks are kept right; said of results whose time was checked against one."""
    flags: Annotated[bool, Field(description=_FLAG)] = True
    """Target range (OBX-7) and interpretation (OBX-8), where limits are known. Off-range marks are always sent."""
    patient_authority: Annotated[Authority, Field(description=AUTHORITY)] = ""
    """Authority of the provider's patient ids (PID-3, CX-4); without it the receiving facility."""
    patient_id_type: PatientIdType = "MR"
    order_authority: Annotated[Authority, Field(description=AUTHORITY)] = ""
    """Who gave the number of the standing order (OBR-2, EI-2 to EI-4); without it the receiving facility."""
