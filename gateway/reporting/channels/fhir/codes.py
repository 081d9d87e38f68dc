"""Code systems, profiles and the three quantities of a coagulation meter.

Sources: LOINC; IEEE 11073-10101 (32-bit codes: partition x 65,536 + term); FHIR R4; US Core 8.0.1; Personal Health
Device implementation guide 2.0.0 (STU 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = [
    "INR",
    "MDC",
    "PHD_CATEGORY",
    "PHD_DEVICE",
    "PHD_GATEWAY",
    "PHD_NUMERIC",
    "PT",
    "QUICK",
    "UCUM",
    "US_CORE_OBSERVATION",
    "US_CORE_PROVENANCE",
    "US_CORE_REPORT",
    "Measured",
]

MDC: Final = "urn:iso:std:iso:11073:10101"
UCUM: Final = "http://unitsofmeasure.org"
_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
OBSERVATION_CATEGORY: Final = _TERMINOLOGY + "observation-category"
REPORT_CATEGORY: Final = _TERMINOLOGY + "v2-0074"
INTERPRETATION: Final = _TERMINOLOGY + "v3-ObservationInterpretation"
DATA_ABSENT: Final = _TERMINOLOGY + "data-absent-reason"
RANGE_MEANING: Final = _TERMINOLOGY + "referencerange-meaning"
ACT_REASON: Final = _TERMINOLOGY + "v3-ActReason"
DATA_OPERATION: Final = _TERMINOLOGY + "v3-DataOperation"
AUTHOR: Final = _TERMINOLOGY + "provenance-participant-type"
_US_CORE = "http://hl7.org/fhir/us/core/"
TRANSMITTER: Final = _US_CORE + "CodeSystem/us-core-provenance-participant-type"
NPI: Final = "http://hl7.org/fhir/sid/us-npi"
PHD_CATEGORY: Final = "http://hl7.org/fhir/uv/phd/CodeSystem/PhdObservationCategories"
GATEWAY_EXTENSION: Final = "http://hl7.org/fhir/StructureDefinition/observation-gatewayDevice"

US_CORE_OBSERVATION: Final = _US_CORE + "StructureDefinition/us-core-observation-lab"
US_CORE_REPORT: Final = _US_CORE + "StructureDefinition/us-core-diagnosticreport-lab"
US_CORE_PROVENANCE: Final = _US_CORE + "StructureDefinition/us-core-provenance"
_PHD = "http://hl7.org/fhir/uv/phd/StructureDefinition/"
PHD_BASE: Final = _PHD + "PhdBaseObservation"
PHD_NUMERIC: Final = _PHD + "PhdNumericObservation"
PHD_DEVICE: Final = _PHD + "PhdDevice"
PHD_GATEWAY: Final = _PHD + "PhgDevice"


@dataclass(frozen=True, slots=True)
class Measured:
    """One quantity of a meter.

    Attributes:
        number: its place in a bundle.
        part: what parts its identifier from that of the result; empty for the INR.
        term: 32-bit code of IEEE 11073-10101.
        unit: as people write it; `ucum` as machines do (R4 2.24.0.8, checked against UCUM: ``INR`` and ``sec`` are
            no units).
    """

    number: int
    part: str
    term: str
    name: str
    text: str
    unit: str
    ucum: str


INR: Final = Measured(1, "", "160260", "MDC_RATIO_INR_COAG", "INR", "INR", "{INR}")
PT: Final = Measured(2, ".pt", "160264", "MDC_TIME_PD_COAG", "Prothrombin time", "s", "s")
QUICK: Final = Measured(3, ".quick", "160268", "MDC_QUICK_VALUE_COAG", "Quick value", "%", "%")

METER_TYPE: Final = ("65573", "MDC_MOC_VMS_MDS_SIMP")
HUB_TYPE: Final = ("531981", "MDC_MOC_VMS_MDS_AHD")
COAGULATION: Final = ("528402", "MDC_DEV_SPEC_PROFILE_COAG")
COAGULATION_VERSION: Final = "1"
"""Version of the coagulation specialisation (IEEE 11073-10418) after which the resources are made."""
FIRMWARE: Final = ("531976", "MDC_ID_PROD_SPEC_FW")
SOFTWARE: Final = ("531975", "MDC_ID_PROD_SPEC_SW")
